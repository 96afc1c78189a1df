"""Configuration files of the receive path: one JSON object.

{"encapsulation": ["nvgre"], "rss_types": ["tcp_ipv4", "ipv4"], "rss_table": [0, 1, 2, 3],
 "vmq_filters": [{"mac": "02:00:00:00:00:07", "vlan": 12, "queue": 4, "spread": true}]}
"""

from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from offramp_sim.errors import BadInput
from offramp_sim.jobs import integer, parsed
from offramp_sim.model import ReceiveConfig, VmqFilter
from offramp_sim.model.reception import FILTERS, HASH_TYPES, KEY_BYTES, QUEUES, TABLE_ENTRIES
from offramp_sim.tunnel import mac_address

SWITCHES = (
    *("active", "ipv4_checksum", "tcp_ipv4_checksum", "udp_ipv4_checksum"),
    *("tcp_ipv6_checksum", "udp_ipv6_checksum"),
)


def read(path: Path) -> ReceiveConfig:
    """Return the configuration in ``path``; what it leaves out is as :func:`configured` says."""
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise BadInput(path, "", error.strerror or str(error)) from error
    value = parsed(path, "", octets)
    try:
        return configured(value)
    except ValueError as error:
        raise BadInput(path, "", str(error)) from error


def configured(settings: dict[str, Any]) -> ReceiveConfig:
    """Return the configuration that ``settings`` describe.

    Receive offload is active unless they say otherwise; all else that they leave out is as after a reset.
    """
    given: dict[str, Any] = {"active": True}
    for name, value in settings.items():
        match name:
            case "encapsulation":
                given[name] = _names(name, value, ("nvgre", "vxlan"))
            case "rss_types":
                given[name] = _names(name, value, tuple(HASH_TYPES))
            case "vxlan_port":
                if port := integer(name, value, 0, 0xFFFF):  # zero keeps the current one (CFG-5)
                    given[name] = port
            case "rss_key":
                given[name] = _key(value)
            case "rss_table":
                given[name] = _table(value)
            case "vmq_filters":
                if not isinstance(value, list) or len(value) > FILTERS:
                    raise ValueError(f"{name} must be a list of at most {FILTERS}, not {shortened(value)}")
                given[name] = tuple(_filter(n, entry) for n, entry in enumerate(value))
            case "default_queue":
                given[name] = integer(name, value, 0, QUEUES - 1)
            case _ if name in SWITCHES:
                given[name] = _switch(name, value)
            case _:
                raise ValueError(f"unknown key {shortened(name)}")
    return ReceiveConfig(**given)


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {shortened(value)}")
    return value


def _names(name: str, value: object, known: tuple[str, ...]) -> frozenset[str]:
    if not isinstance(value, list) or not all(item in known for item in value):
        raise ValueError(f"{name} must be a list of {', '.join(map(repr, known))}, not {shortened(value)}")
    return frozenset(value)


def _key(value: object) -> bytes:
    try:
        key = bytes.fromhex(value.replace(":", " ")) if isinstance(value, str) else b""
    except ValueError as error:
        raise ValueError(f"rss_key is not hexadecimal: {error}") from error
    if len(key) != KEY_BYTES:
        digits = f"a string of {2 * KEY_BYTES} hexadecimal digits"
        raise ValueError(f"rss_key must be {digits}, not {shortened(value)}")
    return key


def _table(value: object) -> tuple[int, ...]:
    """Return the indirection table; a shorter one stands for all of it by being repeated."""
    if not isinstance(value, list) or len(value) not in {1 << n for n in range(TABLE_ENTRIES.bit_length())}:
        raise ValueError(
            f"rss_table must be a list of {TABLE_ENTRIES} queues, or of a smaller power of two, "
            f"not {shortened(value)}"
        )
    queues = [integer("rss_table", queue, 0, QUEUES - 1) for queue in value]
    return tuple(queues * (TABLE_ENTRIES // len(queues)))


def _filter(number: int, value: object) -> VmqFilter:
    place = f"vmq_filters[{number}]"
    if not isinstance(value, dict):
        raise ValueError(f"{place} must be an object, not {shortened(value)}")
    if unknown := value.keys() - {"mac", "vlan", "queue", "spread"}:
        raise ValueError(f"{place} has the unknown key {shortened(min(unknown))}")
    if not isinstance(value.get("mac"), str):
        raise ValueError(f"{place} must have a mac such as '02:00:00:00:00:01'")
    try:
        mac = mac_address(value["mac"])
    except ValueError as error:
        raise ValueError(f"{place}: {shortened(value['mac'])} is not a MAC address") from error
    vlan = value.get("vlan")
    return VmqFilter(
        mac=mac,
        vlan=None if vlan is None else integer(f"{place}.vlan", vlan, 0, 0xFFF),
        queue=integer(f"{place}.queue", value.get("queue", 0), 0, QUEUES - 1),
        spread=_switch(f"{place}.spread", value.get("spread", False)),
    )
