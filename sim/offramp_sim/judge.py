"""Judges wire frames against the packets they were made of, sharing no code with model, driver or hardware.

What is checked is what a receiver would notice: payloads join up to what was sent, every length and every
checksum is right, sequence numbers and identifications go on from frame to frame, and no other byte of a
header has changed.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

TCP, UDP, GRE = 6, 17, 47
_ONLY_FIRST, _ONLY_LAST = 0x80, 0x09  # CWR; PSH and FIN


class Wrong(Exception):
    """A frame is not what it should be."""


@dataclass
class Verdict:
    """What has been found right."""

    packets: int = 0
    frames: int = 0
    payload_bytes: int = 0
    checksums: int = 0


@dataclass
class Dissection:
    """Where things are in a frame: offsets of each IP header and of the UDP header of a tunnel."""

    ips: list[int] = field(default_factory=list)
    tunnels: list[int] = field(default_factory=list)
    transport: int = 0
    protocol: int = 0
    payload: int = 0
    end: int = 0


def _word(octets: bytes, at: int) -> int:
    (value,) = struct.unpack_from("!H", octets, at)
    return int(value)


def _adds_up(*parts: bytes) -> bool:
    """Return whether ``parts``, taken as 16-bit words, sum up to all ones."""
    total = 0
    for part in parts:
        padded = part + b"\0" * (len(part) % 2)
        total += sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    return total > 0 and total % 0xFFFF == 0


def dissect(frame: bytes, *, vxlan_port: int = 4789) -> Dissection:
    """Return where the headers of ``frame`` are, through tunnels to the innermost transport."""
    found = Dissection(end=len(frame), payload=len(frame))
    at = 12
    while True:
        while _word(frame, at) in (0x8100, 0x88A8):
            at += 4
        kind, at = _word(frame, at), at + 2
        if kind == 0x0800:
            found.ips.append(at)
            protocol, at = frame[at + 9], at + 4 * (frame[at] & 15)
        elif kind == 0x86DD:
            found.ips.append(at)
            protocol, at = frame[at + 6], at + 40
            while protocol in (0, 43, 60):
                protocol, at = frame[at], at + 8 * (frame[at + 1] + 1)
        else:
            return found
        if protocol == GRE and _word(frame, at) == 0x2000 and _word(frame, at + 2) == 0x6558:
            at += 8 + 12
        elif protocol == UDP and _word(frame, at + 2) == vxlan_port:
            found.tunnels.append(at)
            at += 16 + 12
        else:
            break
    if protocol in (TCP, UDP):
        found.transport, found.protocol = at, protocol
        found.payload = at + (8 if protocol == UDP else 4 * (frame[at + 12] >> 4))
    return found


def _constant(frame: bytes, where: Dissection) -> bytes:
    """Return the headers of ``frame`` with everything that may differ from segment to segment blanked."""
    header = bytearray(frame[: where.payload])
    for ip in where.ips:
        blanks = ((2, 6), (10, 12)) if frame[ip] >> 4 == 4 else ((4, 6),)
        for first, last in blanks:
            header[ip + first : ip + last] = bytes(last - first)
    for tunnel in where.tunnels:
        header[tunnel + 4 : tunnel + 8] = bytes(4)
    start = where.transport
    if where.protocol == TCP:
        header[start + 4 : start + 8] = bytes(4)
        header[start + 13] &= ~(_ONLY_FIRST | _ONLY_LAST) & 0xFF
        header[start + 16 : start + 18] = bytes(2)
    elif where.protocol == UDP:
        header[start + 4 : start + 8] = bytes(4)
    return bytes(header)


def _check_frame(frame: bytes, where: Dissection) -> int:
    """Check every length and checksum of a wire frame and return how many checksums there were."""
    count = 0
    for ip in where.ips:
        if frame[ip] >> 4 == 4:
            if _word(frame, ip + 2) != len(frame) - ip:
                raise Wrong(f"IPv4 total length {_word(frame, ip + 2)}, {len(frame) - ip} bytes are there")
            if not _adds_up(frame[ip : ip + 4 * (frame[ip] & 15)]):
                raise Wrong("IPv4 header checksum is wrong")
            count += 1
        elif _word(frame, ip + 4) != len(frame) - ip - 40:
            raise Wrong(f"IPv6 payload length {_word(frame, ip + 4)}, {len(frame) - ip - 40} bytes are there")
    udp = [(where.ips[layer], at) for layer, at in enumerate(where.tunnels)]
    if where.protocol == UDP:
        udp.append((where.ips[-1], where.transport))
    for ip, at in udp:
        if _word(frame, at + 4) != len(frame) - at:
            raise Wrong(f"UDP length {_word(frame, at + 4)}, {len(frame) - at} bytes are there")
        if _word(frame, at + 6):
            _check_transport(frame, ip, at, UDP)
            count += 1
    if where.protocol == TCP:
        _check_transport(frame, where.ips[-1], where.transport, TCP)
        count += 1
    return count


def _check_transport(frame: bytes, ip: int, at: int, protocol: int) -> None:
    addresses = frame[ip + 12 : ip + 20] if frame[ip] >> 4 == 4 else frame[ip + 8 : ip + 40]
    if not _adds_up(addresses, struct.pack("!II", len(frame) - at, protocol), frame[at:]):
        raise Wrong(f"{'TCP' if protocol == TCP else 'UDP'} checksum is wrong")


def _check_numbers(
    packet: bytes, start: Dissection, frame: bytes, where: Dissection, number: int, sent: int, *, last: bool
) -> None:
    """Check what counts on from frame to frame, in frame ``number`` after ``sent`` bytes of payload."""
    for before, after in zip(start.ips, where.ips, strict=True):
        if packet[before] >> 4 == 4:
            first, bits = _word(packet, before + 4), 0x7FFF if start.protocol == TCP else 0xFFFF
            expected = first & ~bits | (first + number) & bits
            if _word(frame, after + 4) != expected:
                raise Wrong(f"IPv4 identification {_word(frame, after + 4):#x}, not {expected:#x}")
    if start.protocol == TCP:
        (sequence,) = struct.unpack_from("!I", packet, start.transport + 4)
        (seen,) = struct.unpack_from("!I", frame, where.transport + 4)
        if seen != (sequence + sent) & 0xFFFFFFFF:
            raise Wrong(f"TCP sequence number {seen}, not {(sequence + sent) & 0xFFFFFFFF}")
        flags = packet[start.transport + 13]
        expected = flags & ~(_ONLY_FIRST | _ONLY_LAST)
        expected |= flags & (_ONLY_FIRST if number == 0 else 0) | flags & (_ONLY_LAST if last else 0)
        if frame[where.transport + 13] != expected:
            raise Wrong(f"TCP flags {frame[where.transport + 13]:#x}, not {expected:#x}")


def _packet(packet: bytes, frames: Iterator[tuple[int, bytes]], outside: int, verdict: Verdict) -> None:
    """Check the frames that ``packet`` became; each has ``outside`` bytes of tunnel in front."""
    start = dissect(packet)
    payload = packet[start.payload :]
    sent = number = size = 0
    while number == 0 or sent < len(payload):
        index, frame = next(frames, (-1, b""))
        if index < 0:
            raise Wrong(f"frames are missing for the last {len(payload) - sent} payload bytes")
        try:
            if outside:
                verdict.checksums += _check_frame(frame, dissect(frame))
            inner = frame[outside:]
            where = dissect(inner)
            if not start.transport:
                if inner != packet:
                    raise Wrong("is not as it was sent, though there is nothing to do to it")
                break
            if not outside:
                verdict.checksums += _check_frame(frame, where)
            carried = inner[where.payload :]
            if carried != payload[sent : sent + len(carried)]:
                raise Wrong("carries other payload than was sent")
            if _constant(inner, where) != _constant(packet, start):
                raise Wrong("has a header that is not the packet's")
            size = size or len(carried)
            last = sent + len(carried) >= len(payload)
            if (len(carried) != size and not last) or len(carried) > size:
                raise Wrong(f"carries {len(carried)} bytes among segments of {size}")
            _check_numbers(packet, start, inner, where, number, sent, last=last)
        except (Wrong, struct.error, IndexError) as error:
            raise Wrong(f"output frame {index}: {error}") from error
        sent += len(carried)
        number += 1
    verdict.frames += max(1, number)
    verdict.payload_bytes += sent


def judge(
    packets: Sequence[bytes], frames: Iterable[bytes], *, outside: Sequence[int] | None = None
) -> Verdict:
    """Return what was right about ``frames``, or raise :class:`Wrong` at the first that is not.

    Parameters
    ----------
    packets : sequence of bytes
        What was sent, in order.
    frames : iterable of bytes
        What came out, in order.
    outside : sequence of int, optional
        For each packet, the bytes of tunnel headers put in front; 0 for all by default.
    """
    verdict = Verdict()
    rest = iter(enumerate(frames))
    for number, packet in enumerate(packets):
        try:
            _packet(packet, rest, outside[number] if outside else 0, verdict)
        except Wrong as error:
            raise Wrong(f"packet {number}: {error}") from error
        verdict.packets += 1
    if (extra := next(rest, None)) is not None:
        raise Wrong(f"output frame {extra[0]} belongs to no packet")
    return verdict
