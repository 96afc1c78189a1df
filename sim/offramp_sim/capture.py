"""Capture files: reads pcap and pcapng strictly, writes pcap.

Strictly means that a file which ends inside a frame, or whose frames were cut short when they were captured,
is refused: half a frame must not be taken for a whole one.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from offramp_sim.errors import BadInput

ETHERNET = 1
SNAP_BYTES = 262_144
"""Snap length of written files, the largest that readers agree on: no frame on a wire is longer."""

_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_SECTION_ORDER = 0x1A2B3C4D
_TIME_RESOLUTION, _TIME_OFFSET = 9, 14


@dataclass(frozen=True, slots=True)
class Captured:
    """A captured frame and when it was captured, in nanoseconds since 1970."""

    data: bytes
    time: int


def read(path: Path) -> Iterator[Captured]:
    """Yield the frames of the pcap or pcapng file ``path``.

    Raises :class:`BadInput` for anything but a complete capture of Ethernet frames.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            match magic:
                case b"\xa1\xb2\xc3\xd4" | b"\xd4\xc3\xb2\xa1":
                    yield from _pcap(path, file, ">" if magic[0] == 0xA1 else "<", 1000)
                case b"\xa1\xb2\x3c\x4d" | b"\x4d\x3c\xb2\xa1":
                    yield from _pcap(path, file, ">" if magic[0] == 0xA1 else "<", 1)
                case b"\x0a\x0d\x0d\x0a":
                    yield from _pcapng(path, file)
                case _:
                    raise BadInput(path, "", "neither a pcap nor a pcapng file")
    except OSError as error:
        raise BadInput(path, "", error.strerror or str(error)) from error


def _pcap(path: Path, file: BinaryIO, order: str, nanoseconds: int) -> Iterator[Captured]:
    """Yield the frames of a pcap file behind its magic number; its clock ticks every ``nanoseconds``."""
    header = file.read(20)
    if len(header) < 20:
        raise BadInput(path, "", "the file ends inside its header")
    (link_type,) = struct.unpack_from(order + "H", header, 16 if order == "<" else 18)
    if link_type != ETHERNET:
        raise BadInput(path, "", f"frames of link type {link_type}, not Ethernet (1)")
    number = 0
    while record := file.read(16):
        if len(record) < 16:
            raise BadInput(path, f"frame {number}", "the file ends inside a record header")
        seconds, ticks, captured, length = struct.unpack(order + "4I", record)
        data = file.read(captured)
        if len(data) < captured:
            raise BadInput(path, f"frame {number}", "the file ends inside the frame")
        _whole(path, number, data, length)
        yield Captured(data, seconds * 1_000_000_000 + ticks * nanoseconds)
        number += 1


def _whole(path: Path, number: int, data: bytes, length: int) -> None:
    if len(data) < length:
        problem = (
            f"cut to {len(data)} of {length} bytes when it was captured; capture with a larger snap length"
        )
        raise BadInput(path, f"frame {number}", problem)


@dataclass(frozen=True, slots=True)
class _Interface:
    """An interface of a pcapng section: ticks a second of its clock, and seconds to add."""

    ticks: int
    offset: int
    snap_bytes: int


def _pcapng(path: Path, file: BinaryIO) -> Iterator[Captured]:
    """Yield the frames of a pcapng file behind the first block type."""
    order = "<"
    interfaces: list[_Interface] = []
    number = 0
    kind_octets = b"\x0a\x0d\x0d\x0a"
    while kind_octets:
        place = f"block before frame {number}"
        length_octets = file.read(4)
        if kind_octets == b"\x0a\x0d\x0d\x0a":
            order_octets = file.read(4)
            order = ">" if order_octets == _SECTION_ORDER.to_bytes(4, "big") else "<"
            interfaces = []
        else:
            order_octets = b""
        if len(kind_octets + length_octets) < 8:
            raise BadInput(path, place, "the file ends inside a block header")
        kind, length = struct.unpack(order + "II", kind_octets + length_octets)
        rest = length - 8 - len(order_octets)
        if length % 4 or rest < 4:
            raise BadInput(path, place, f"a block of {length} bytes cannot be")
        body = order_octets + file.read(rest)
        if len(body) < length - 8:
            raise BadInput(path, place, "the file ends inside a block")
        if struct.unpack(order + "I", body[-4:])[0] != length:
            raise BadInput(path, place, "the two lengths of the block differ")
        try:
            if kind == _INTERFACE:
                interfaces.append(_interface(path, body[:-4], order))
            elif kind in (_ENHANCED, _SIMPLE):
                yield _packet(path, number, kind, body[:-4], order, interfaces)
                number += 1
        except (struct.error, IndexError) as error:
            raise BadInput(path, place, "the block is malformed") from error
        kind_octets = file.read(4)


def _interface(path: Path, body: bytes, order: str) -> _Interface:
    link_type, _, snap_bytes = struct.unpack_from(order + "HHI", body)
    if link_type != ETHERNET:
        raise BadInput(path, "", f"frames of link type {link_type}, not Ethernet (1)")
    ticks, offset = 1_000_000, 0
    start = 8
    while start + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, start)
        value = body[start + 4 : start + 4 + size]
        if code == _TIME_RESOLUTION:
            ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == _TIME_OFFSET:
            (offset,) = struct.unpack(order + "q", value)
        start += 4 + -(-size // 4) * 4
    return _Interface(ticks, offset, snap_bytes)


def _packet(
    path: Path, number: int, kind: int, body: bytes, order: str, interfaces: list[_Interface]
) -> Captured:
    if kind == _SIMPLE:
        (length,) = struct.unpack_from(order + "I", body)
        data = body[4 : 4 + min(length, interfaces[0].snap_bytes or length)]
        time = 0
    else:
        which, high, low, captured, length = struct.unpack_from(order + "5I", body)
        interface = interfaces[which]
        data = body[20 : 20 + captured]
        if len(data) < captured:
            raise BadInput(path, f"frame {number}", "the frame runs past its block")
        time = (high << 32 | low) * 1_000_000_000 // interface.ticks + interface.offset * 1_000_000_000
    _whole(path, number, data, length)
    return Captured(data, time)


class Writer:
    """Writes Ethernet frames to ``file`` as a pcap with a microsecond clock.

    Parameters
    ----------
    file : BinaryIO
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP_BYTES, ETHERNET))

    def write(self, data: bytes, time: int) -> None:
        """Append a frame, captured ``time`` nanoseconds after 1970."""
        seconds, nanoseconds = divmod(time, 1_000_000_000)
        self._file.write(
            struct.pack("<IIII", seconds & 0xFFFFFFFF, nanoseconds // 1000, len(data), len(data))
        )
        self._file.write(data)
