"""Job files: one request a line, as JSON.

{"frame": "<hex>", "buffers": [42, 14, 300], "lso": 1073743284, "config": {"encapsulation": ["nvgre"]}}
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from offramp_sim.core import Job
from offramp_sim.errors import BadInput
from offramp_sim.model import Config, Request

WORDS = ("supplemental", "checksum", "lso", "uso", "vlan")
LARGEST_OFFLOAD_BYTES = (1 << 18) - 1
SWITCHES = (
    *("lso_ipv4", "lso_ipv6", "uso_ipv4", "uso_ipv6"),
    *("tx_ipv4_checksum", "tx_tcp_ipv4_checksum", "tx_udp_ipv4_checksum"),
    *("tx_tcp_ipv6_checksum", "tx_udp_ipv6_checksum"),
)


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON objects of ``path``, one a line, each with its line number; blank lines are skipped."""
    try:
        with path.open("rb") as file:
            for number, octets in enumerate(file, start=1):
                if not octets.strip():
                    continue
                yield number, parsed(path, f"line {number}", octets.rstrip())
    except OSError as error:
        raise BadInput(path, "", error.strerror or str(error)) from error


def parsed(path: Path, place: str, octets: bytes) -> dict[str, Any]:
    """Return the JSON object ``octets``, which is at ``place`` in ``path``."""
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise BadInput(path, place, f"not JSON: {_said(error)}") from error
    if not isinstance(value, dict):
        raise BadInput(path, place, "not a JSON object")
    return value


def _said(error: ValueError | RecursionError) -> str:
    match error:
        case json.JSONDecodeError():
            line = f"line {error.lineno}, " if error.lineno > 1 else ""
            return f"{error.msg} at {line}column {error.colno}"
        case UnicodeDecodeError():
            return f"not UTF-8 at byte {error.start + 1}"
        case RecursionError():
            return "nested too deeply"
        case _:
            return "a number of too many digits"


def read(path: Path) -> list[Job]:
    """Return the jobs in ``path``, tagged by position; a configuration stays in force until the next."""
    jobs: list[Job] = []
    config = Config()
    for number, value in objects(path):
        try:
            if "config" in value:
                config = reconfigured(config, value["config"])
            jobs.append(Job(_request(value, len(jobs) & 0xFFFF), config))
        except ValueError as error:
            raise BadInput(path, f"line {number}", str(error)) from error
    return jobs


def _request(value: dict[str, Any], tag: int) -> Request:
    if unknown := value.keys() - {"frame", "buffers", "config", *WORDS}:
        raise ValueError(f"unknown key {shortened(min(unknown))}")
    if "frame" not in value:
        raise ValueError("frame is missing")
    match value["frame"]:
        case str(text):
            try:
                frame = bytes.fromhex(text)
            except ValueError as error:
                raise ValueError(f"frame is not hexadecimal: {error}") from error
        case other:
            raise ValueError(f"frame must be a string of hexadecimal digits, not {shortened(other)}")
    buffers = None
    if "buffers" in value:
        listed = value["buffers"]
        if not isinstance(listed, list):
            raise ValueError(f"buffers must be a list of lengths, not {shortened(listed)}")
        buffers = tuple(integer("buffers", length, 1, 0xFFFFFFFF) for length in listed)
        if sum(buffers) != len(frame):
            raise ValueError(f"the buffers add up to {sum(buffers)} bytes, the frame has {len(frame)}")
    words = {name: integer(name, value.get(name, 0), 0, 0xFFFFFFFF) for name in WORDS}
    return Request(frame=frame, buffers=buffers, tag=tag, **words)


def integer(name: str, value: object, low: int, high: int) -> int:
    """Return ``value`` if it is an integer from ``low`` to ``high``, else raise :class:`ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an integer, not {shortened(value)}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {shortened(value)}")
    return value


def reconfigured(config: Config, changes: object) -> Config:
    """Return ``config`` with the ``changes`` of a job file's ``config`` object."""
    if not isinstance(changes, dict):
        raise ValueError(f"config must be an object, not {shortened(changes)}")
    new: dict[str, Any] = {}
    for name, value in changes.items():
        match name:
            case "encapsulation":
                if not isinstance(value, list) or not all(kind in ("nvgre", "vxlan") for kind in value):
                    kinds = "a list of 'nvgre' and 'vxlan'"
                    raise ValueError(f"encapsulation must be {kinds}, not {shortened(value)}")
                new[name] = frozenset(value)
            case "vxlan_port":
                if port := integer(name, value, 0, 0xFFFF):  # zero keeps the current one (CFG-5)
                    new[name] = port
            case "max_offload_bytes":
                # 32 bits (LIM-1), more of them than any packet that a core takes has use for.
                limit = min(integer(name, value, 0, 0xFFFFFFFF), LARGEST_OFFLOAD_BYTES)
                new |= {"max_offload_ipv4_bytes": limit, "max_offload_ipv6_bytes": limit}
            case "id_wrap":
                if str(value) not in ("15", "16"):
                    raise ValueError(f"id_wrap must be '15' or '16', not {shortened(value)}")
                new[name] = int(value)
            case _ if name in SWITCHES:
                if not isinstance(value, bool):
                    raise ValueError(f"{name} must be true or false, not {shortened(value)}")
                new[name] = value
            case _:
                raise ValueError(f"unknown configuration key {shortened(name)}")
    return dataclasses.replace(config, **new)
