"""The ways to spoil a request: in its headers, in its words, or in the lengths that it states."""

import dataclasses
from collections.abc import Callable

from offramp_sim.model.headers import Protocol
from offramp_sim.model.words import LargeSend, UdpSegmentation
from offramp_sim.stimulus.draft import Draft, announce
from offramp_sim.stimulus.shape import ICMP, NO_NEXT_HEADER, Ip, put, random_extension


def some_ip(draft: Draft) -> tuple[int, Ip]:
    """Return start and header of the outer or the inner IP header."""
    shape = draft.shape
    places = [(shape.outer_ip, shape.outer), (shape.inner_ip, shape.innermost)]
    return draft.rng.choice(places)


def insert(draft: Draft, start: int, ip: Ip, extension: tuple[int, bytes]) -> None:
    """Put an extension header, the first of its chain, into the IPv6 header ``ip`` at ``start``."""
    kind, body = extension
    packet = draft.packet
    body = bytes([packet[start + 6]]) + body[1:]
    packet[start + 6] = kind
    packet[start + 40 : start + 40] = body
    ip.extensions.insert(0, (kind, body))
    lengthen(draft, len(body), [start])


def lengthen(draft: Draft, size: int, starts: list[int]) -> None:
    """Correct what the headers and the words say after ``size`` bytes came into the headers at ``starts``."""
    shape = draft.shape
    lengths = {start + (2 if draft.packet[start] >> 4 == 4 else 4) for start in (shape.outer_ip, *starts)}
    for offset in lengths:
        put(draft.packet, offset, (int.from_bytes(draft.packet[offset : offset + 2], "big") + size) & 0xFFFF)
    if not shape.tunnel:
        if draft.lso.pack():
            draft.lso = dataclasses.replace(draft.lso, tcp_header_offset=shape.transport)
        if draft.uso.pack():
            draft.uso = dataclasses.replace(draft.uso, udp_header_offset=shape.transport)


def make_fragment(draft: Draft) -> None:
    """Make the packet a fragment, outside or inside."""
    start, ip = some_ip(draft)
    if ip.version == 4:
        put(draft.packet, start + 6, draft.rng.choice([0x2000, 0x2003, 0x0001, 0x1FFF, 0x2000]))
    else:
        insert(draft, start, ip, (Protocol.FRAGMENT, draft.rng.randbytes(8)))


def name_both_versions(draft: Draft) -> None:
    draft.checksum = dataclasses.replace(draft.checksum, ipv4=1, ipv6=1)


def name_the_other_version(draft: Draft) -> None:
    checksum = draft.checksum
    if checksum.ipv4 != checksum.ipv6 and draft.rng.random() < 0.5:
        draft.checksum = dataclasses.replace(checksum, ipv4=checksum.ipv6, ipv6=checksum.ipv4)
    elif draft.lso.pack():
        draft.lso = dataclasses.replace(draft.lso, ipv6=1 - draft.lso.ipv6)
    elif draft.uso.pack():
        draft.uso = dataclasses.replace(draft.uso, ipv6=1 - draft.uso.ipv6)


def ask_for_version_1(draft: Draft) -> None:
    draft.lso = dataclasses.replace(draft.lso, version2=0)


def cut_off(draft: Draft) -> None:
    headers = draft.headers.size if draft.headers else 14
    del draft.packet[draft.rng.randrange(min(headers, len(draft.packet)) + 1) :]


def garble_ip(draft: Draft) -> None:
    start, _ = some_ip(draft)
    if start < len(draft.packet):
        draft.packet[start] = draft.rng.choice([draft.rng.getrandbits(8), 0x40 | draft.rng.randrange(5)])


def garble_tunnel(draft: Draft) -> None:
    shape = draft.shape
    if shape.tunnel == "nvgre":
        flags = draft.rng.choice([0x0000, 0x2001, 0x2800, 0x0800, 0x2000])
        protocol = draft.rng.choice([0x6558, 0x0800, 0x880B])
        put(draft.packet, shape.tunnel_start, flags)
        put(draft.packet, shape.tunnel_start + 2, protocol)
    elif draft.rng.random() < 0.5:
        put(draft.packet, shape.tunnel_start + 2, draft.limits.vxlan_port ^ 1 << draft.rng.randrange(16))
    else:
        draft.packet[shape.tunnel_start + 8] &= ~0x08


def add_gre_options(draft: Draft) -> None:
    draft.packet[draft.shape.tunnel_start] |= draft.rng.choice([0x80, 0x40, 0x10, 0x90])


def secure(draft: Draft) -> None:
    start, ip = some_ip(draft)
    if ip.version == 4:
        draft.packet[start + 9] = draft.rng.choice([Protocol.AH, Protocol.ESP])
    elif ip.extensions or draft.rng.random() < 0.5:
        insert(draft, start, ip, (Protocol.AH, random_extension(draft.rng, Protocol.AH, ip)))
    else:
        draft.packet[start + 6] = Protocol.ESP


def ask_for_the_other_protocol(draft: Draft) -> None:
    shape = draft.shape
    lso, uso = draft.lso, draft.uso
    match draft.rng.randrange(3):
        case 0:
            draft.uso = UdpSegmentation(mss=lso.mss, udp_header_offset=shape.transport, ipv6=lso.ipv6)
            draft.lso = LargeSend(mss=uso.mss, tcp_header_offset=shape.transport, ipv6=uso.ipv6, version2=1)
        case 1 if lso.pack():
            draft.uso = UdpSegmentation(mss=lso.mss, udp_header_offset=shape.transport, ipv6=lso.ipv6)
        case _ if not shape.innermost.extensions:
            offset = 9 if shape.innermost.version == 4 else 6
            draft.packet[shape.inner_ip + offset] = draft.rng.choice(
                [Protocol.TCP, Protocol.UDP, ICMP, NO_NEXT_HEADER, draft.rng.randrange(256)]
            )


def name_no_ip_inside(draft: Draft) -> None:
    put(draft.packet, draft.shape.inner_ip - 2, draft.rng.choice([0x0806, 0x8100, 0x88CC, 0x0800, 0x86DD]))


def shorten_tcp(draft: Draft) -> None:
    draft.packet[draft.shape.transport + 12] &= 0x4F


def set_tcp_flags(draft: Draft) -> None:
    draft.packet[draft.shape.transport + 13] |= draft.rng.choice([0x02, 0x04, 0x20])


def misplace(draft: Draft) -> None:
    """Say that a header is where it is not."""
    shape = draft.shape
    if shape.tunnel:
        offsets = [
            ("inner_frame_offset", shape.inner_frame, 8),
            ("inner_ip_offset", shape.inner_ip - shape.inner_frame, 6),
            ("inner_transport_offset", shape.transport - shape.inner_ip, 10),
        ]
        wrong = draft.rng.randrange(3)
        values = {
            name: (value ^ (1 << draft.rng.randrange(width) if n == wrong else 0)) & (1 << width) - 1
            for n, (name, value, width) in enumerate(offsets)
        }
        draft.supplemental = dataclasses.replace(draft.supplemental, offsets_valid=1, **values)
        return
    offset = draft.rng.choice([0, shape.transport ^ 1 << draft.rng.randrange(10), draft.rng.getrandbits(10)])
    if draft.lso.pack():
        draft.lso = dataclasses.replace(draft.lso, tcp_header_offset=offset)
    elif draft.uso.pack():
        draft.uso = dataclasses.replace(draft.uso, udp_header_offset=offset)
    else:
        draft.checksum = dataclasses.replace(draft.checksum, tcp_header_offset=offset)


def stretch(draft: Draft) -> None:
    """Fill the header block with options up to the build's limit, beyond it, or so that a header crosses it.

    The packet may end soon behind the limit.
    """
    shape, limit = draft.shape, draft.limits.build.max_header_bytes
    places = [shape.tunnel_start, shape.inner_frame, shape.inner_ip, shape.transport]
    room = limit - draft.rng.choice(
        [shape.size - draft.rng.choice([0, 0, 4, 8, 64]), draft.rng.choice(places) + draft.rng.randrange(16)]
    )
    for inside in draft.rng.sample([True, False], 2):
        start, ip = (shape.inner_ip, shape.innermost) if inside else (shape.outer_ip, shape.outer)
        if ip.version == 6 and room >= 8:
            size = 8 * min(room // 8, 20)
            insert(
                draft,
                start,
                ip,
                (Protocol.DESTINATION, bytes([0, size // 8 - 1]) + draft.rng.randbytes(size - 2)),
            )
        elif ip.version == 4 and room >= 4:
            size = 4 * min(room // 4, 10 - len(ip.options) // 4)
            draft.packet[start] += size // 4
            draft.packet[start + 20 : start + 20] = ip_options = draft.rng.randbytes(size)
            ip.options = ip_options + ip.options
            lengthen(draft, size, [start])
        else:
            continue
        room -= size
        if not shape.tunnel:
            break
    if shape.protocol == Protocol.TCP and room >= 4 and shape.transport < len(draft.packet):
        header = shape.transport_header
        size = 4 * min(room // 4, 15 - len(header) // 4)
        draft.packet[shape.transport + 12] += size // 4 << 4
        draft.packet[shape.transport + 20 : shape.transport + 20] = draft.rng.randbytes(size)
        shape.transport_header = bytes(draft.packet[shape.transport : shape.transport + len(header) + size])
        lengthen(draft, size, [shape.inner_ip])
    announce(draft)
    if draft.rng.random() < 0.5:
        del draft.packet[limit + draft.rng.randrange(64) :]


def set_mss(draft: Draft, mss: int) -> None:
    """Change the MSS in whichever word asks for segmentation."""
    if draft.lso.pack():
        draft.lso = dataclasses.replace(draft.lso, mss=mss)
    if draft.uso.pack():
        draft.uso = dataclasses.replace(draft.uso, mss=mss)


def zero_mss(draft: Draft) -> None:
    set_mss(draft, 0)


def exceed_store(draft: Draft) -> None:
    longest = draft.limits.build.max_mss
    set_mss(draft, draft.rng.choice([longest + 1, draft.rng.randint(longest + 1, 0xFFFFF), 0xFFFFF]))


def exceed_length_field(draft: Draft) -> None:
    """Claim segments about as long as a 16-bit length field can tell."""
    payload = draft.rng.choice([65_535, 65_600, draft.rng.randint(65_300, 65_600)])
    set_mss(draft, draft.rng.choice([payload, 0xFFFFF]))
    claim(draft, payload)


def exceed_payload(draft: Draft) -> None:
    """Claim about as much payload as can be offloaded."""
    longest = draft.limits.build.max_payload_bytes
    more = draft.rng.randint(longest + 1, 1 << 31)
    claim(draft, draft.rng.choice([longest, longest + 1, 2 * longest, more]))


def claim(draft: Draft, payload: int) -> None:
    """Say that there are so many bytes of ``payload``; they need not come for the request to be refused."""
    draft.length = draft.shape.size + payload


def exceed_frame(draft: Draft) -> None:
    """Make, or claim, a packet about as long as the build can take in one piece."""
    longest = draft.limits.build.max_mss + draft.limits.build.max_header_bytes
    length = longest + draft.rng.choice([-1, 0, 0, 1, draft.rng.randint(1, 1000)])
    if len(draft.packet) <= length <= draft.limits.max_payload:
        draft.packet += draft.rng.randbytes(length - len(draft.packet))
    else:
        draft.length = draft.rng.choice([length, 0xFFFF_FFFF])


def miscount(draft: Draft) -> None:
    """State another length than the buffers have."""
    size, rng = len(draft.packet), draft.rng
    length = rng.choice([0, size - 1, size + 1, size + rng.randint(-64, 64), rng.randint(0, 2 * size)])
    if draft.segment and rng.random() < 0.3:  # buffers that end where a segment does
        mss = max(1, draft.lso.mss or draft.uso.mss)
        length = size + rng.randint(1, mss)
        del draft.packet[draft.shape.size + mss * rng.randint(0, 3) :]
    draft.length = max(0, length)


def run_dry(draft: Draft) -> None:
    """Let the buffers end inside the headers, or not far behind them, as if there had to be more."""
    draft.length = len(draft.packet)
    del draft.packet[draft.rng.randint(0, 300) :]


def falsify_length(draft: Draft) -> None:
    """Put something else into the length field that bounds the transport checksum."""
    shape = draft.shape
    offset = shape.inner_ip + (2 if shape.innermost.version == 4 else 4)
    if shape.protocol == Protocol.UDP and draft.rng.random() < 0.5:
        offset = shape.transport + 4
    length = int.from_bytes(draft.packet[offset : offset + 2], "big")
    wrong = draft.rng.choice([0, 7, 8, length - 1, length + 1, draft.rng.getrandbits(16)])
    put(draft.packet, offset, wrong & 0xFFFF)


def scramble(draft: Draft) -> None:
    """Flip bits wherever they may be, in the headers or in the words."""
    for _ in range(draft.rng.randint(1, 3)):
        if draft.packet and draft.rng.random() < 0.7:
            draft.packet[draft.rng.randrange(min(len(draft.packet), 130))] ^= 1 << draft.rng.randrange(8)
        else:
            name = draft.rng.choice(["supplemental", "checksum", "lso", "uso"])
            word = getattr(draft, name)
            setattr(draft, name, word.unpack(word.pack() ^ 1 << draft.rng.randrange(32)))


def spoilers(draft: Draft) -> list[Callable[[Draft], None]]:
    """Return the ways to spoil ``draft``; what each leads to depends on the rest."""
    ways: list[Callable[[Draft], None]] = [name_both_versions, cut_off, miscount, run_dry, scramble]
    if not draft.segment:
        ways.append(exceed_frame)
    if not draft.headers:
        return ways
    tunnel, protocol = draft.shape.tunnel, draft.shape.protocol
    ways += [name_the_other_version, garble_ip, make_fragment, secure, stretch, misplace]
    if tunnel:
        ways += [garble_tunnel, name_no_ip_inside]
    if tunnel == "nvgre":
        ways.append(add_gre_options)
    if protocol == Protocol.TCP:
        ways.append(shorten_tcp)
    if draft.lso.pack():
        ways.append(set_tcp_flags)
    if draft.lso.pack() and tunnel:
        ways.append(ask_for_version_1)
    if draft.segment:
        ways += [ask_for_the_other_protocol, zero_mss, exceed_store, exceed_length_field, exceed_payload]
    elif protocol in (Protocol.TCP, Protocol.UDP):
        ways.append(falsify_length)
    return ways
