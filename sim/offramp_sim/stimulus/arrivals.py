"""Random frames for the receive path: every mix of layers, whole or broken, reproducible by seed.

What is to be said of a frame is not decided here; that is the business of the model. Addresses, tags and
ports are few, so that filters and configurations made beside the frames, by :func:`config`, often match.
"""

import dataclasses
import random

from offramp_sim.model import ReceiveConfig, VmqFilter
from offramp_sim.model.checksum import checksum, ones_sum
from offramp_sim.model.headers import IPV4, IPV6, TRANSPARENT_ETHERNET, Protocol
from offramp_sim.model.reception import HASH_TYPES, KEY_BYTES, QUEUES, TABLE_ENTRIES
from offramp_sim.stimulus.mutate import mutate
from offramp_sim.stimulus.shape import (
    ICMP,
    ICMPV6,
    NO_NEXT_HEADER,
    Ip,
    ethertype,
    random_extension,
    random_ip,
    random_octets,
    random_payload,
)

ARP = 0x0806
PORTS = (4789, 4789, 4789, 8472)
STATIONS = tuple(b"\x02\x00\x5e\x10\x00" + bytes([number]) for number in range(6))
VLANS = (0, 1, 7, 100, 4095)


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A frame from the wire, and whether the MAC has marked it as bad."""

    frame: bytes
    marked_bad: bool = False


def arrival(rng: random.Random, *, max_payload: int = 9_200) -> Arrival:
    """Return a random received frame of at least one byte: valid, mutated, or nothing but random bytes."""
    kind = rng.random()
    if kind < 0.05:
        size = rng.choice([1, 13, 14, 15, 59, 60, 64, 65, rng.randint(1, 300)])
        octets = rng.randbytes(size)
    else:
        valid = random_frame(rng, max_payload)
        octets = valid.octets
        if kind > 0.6:
            other = random_frame(rng, 100).octets
            octets = mutate(rng, octets, other, lengths=valid.lengths, ips=valid.ips)
    return Arrival(octets, marked_bad=rng.random() < 0.04)


def config(rng: random.Random) -> ReceiveConfig:
    """Return a configuration, more often than not with everything switched on."""
    tunnels = frozenset({"nvgre", "vxlan"})
    types = frozenset(HASH_TYPES)
    checksums: dict[str, bool] = {}
    if rng.random() < 0.4:
        tunnels = frozenset(name for name in sorted(tunnels) if rng.random() < 0.6)
        types = frozenset(name for name in sorted(types) if rng.random() < 0.6)
        names = [field.name for field in dataclasses.fields(ReceiveConfig) if "checksum" in field.name]
        checksums = {name: False for name in names if rng.random() < 0.2}
    return ReceiveConfig(
        encapsulation=tunnels,
        vxlan_port=rng.choice(PORTS),
        active=rng.random() < 0.95,
        rss_key=rng.choice([ReceiveConfig().rss_key, rng.randbytes(KEY_BYTES)]),
        rss_types=types,
        rss_table=tuple(rng.randrange(QUEUES) for _ in range(TABLE_ENTRIES)),
        vmq_filters=tuple(random_filter(rng) for _ in range(rng.choice([0, 0, 1, 3, 16]))),
        default_queue=rng.randrange(QUEUES),
        **checksums,
    )


def random_filter(rng: random.Random) -> VmqFilter:
    """Return a filter for one of the stations."""
    return VmqFilter(
        mac=rng.choice(STATIONS),
        vlan=rng.choice([None, None, rng.choice(VLANS)]),
        queue=rng.randrange(QUEUES),
        spread=rng.random() < 0.5,
    )


# Valid frames, from the inside out -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Piece:
    """The inner part of a frame in the making, and where in it length fields and IP headers are."""

    octets: bytes
    lengths: tuple[int, ...] = ()
    ips: tuple[int, ...] = ()

    def behind(self, header: bytes, *, length: int | None = None, ip: bool = False) -> "Piece":
        """Return this piece with a ``header`` in front of it, that of IP or one with a ``length`` field."""
        lengths, ips = (tuple(len(header) + offset for offset in old) for old in (self.lengths, self.ips))
        own = () if length is None else (length,)
        return Piece(header + self.octets, own + lengths, (0, *ips) if ip else ips)

    def padded(self, octets: bytes) -> "Piece":
        """Return this piece with something behind it that no length counts."""
        return dataclasses.replace(self, octets=self.octets + octets)


def random_frame(rng: random.Random, max_payload: int) -> Piece:
    """Return a valid frame with or without a tunnel."""
    tunnel = rng.choice(["", "", "gre", "gre", "vxlan"])
    version = rng.choice([4, 6])
    packet = random_datagram(rng, version, max_payload, inside=bool(tunnel))
    if tunnel:
        packet, version = random_inner_frame(rng, packet, version), rng.choice([4, 6])
        ip = random_received_ip(rng, version)
        if tunnel == "gre":
            protocol, packet = Protocol.GRE, in_gre(rng, packet)
        else:
            protocol, packet = Protocol.UDP, in_vxlan(rng, packet, ip)
        packet = in_ip(rng, packet, ip, protocol)
    elif rng.random() < 0.05:
        return random_link(rng, Piece(rng.randbytes(46)), ARP.to_bytes(2, "big"), tags=2)
    frame = random_link(rng, packet, ethertype(version), tags=2)
    match rng.randrange(4):
        case 0 | 1:
            return frame.padded(random_octets(rng, max(0, 60 - len(frame.octets))))
        case 2:
            return frame.padded(random_octets(rng, rng.randint(1, 40)))
        case _:
            return frame


def random_inner_frame(rng: random.Random, packet: Piece, version: int) -> Piece:
    """Return an inner frame that holds ``packet``, seldom something that is not IP, sometimes padded."""
    kind = ethertype(version)
    if rng.random() < 0.06:
        kind = rng.choice([ARP, 0x88CC, 0x8100, rng.randrange(0x10000)]).to_bytes(2, "big")
    frame = random_link(rng, packet, kind, tags=1)
    if rng.random() < 0.3:  # padding that the sender's own link needed (T-19)
        frame = frame.padded(random_octets(rng, rng.choice([1, 6, max(0, 60 - len(frame.octets))])))
    return frame


def random_link(rng: random.Random, packet: Piece, kind: bytes, *, tags: int) -> Piece:
    """Return ``packet`` behind an Ethernet header with at most so many ``tags``, seldom one more."""
    count = rng.choice([0, 0, 0, *range(tags + 1)]) if rng.random() < 0.98 else tags + 1
    header = (rng.choice(STATIONS) if rng.random() < 0.8 else rng.randbytes(6)) + rng.randbytes(6)
    for _ in range(count):
        control = rng.randrange(16) << 12 | (rng.choice(VLANS) if rng.random() < 0.8 else rng.randrange(4096))
        header += rng.choice([b"\x81\x00", b"\x88\xa8"]) + control.to_bytes(2, "big")
    return packet.behind(header + kind)


def random_received_ip(rng: random.Random, version: int, *, fragments: bool = False) -> Ip:
    """Return an IP header, sometimes with several extension headers, seldom with long ones."""
    ip = random_ip(rng, version, extras=rng.random() < 0.3)
    if version == 6 and rng.random() < 0.15:
        kinds = [Protocol.HOP_BY_HOP, Protocol.ROUTING, Protocol.AH, Protocol.DESTINATION]
        chain = [rng.choice(kinds) for _ in range(rng.randint(1, 4))]
        ip.final = ip.destination
        ip.extensions = [(kind, random_extension(rng, kind, ip)) for kind in chain]
        if rng.random() < 0.1:  # towards, or beyond, the end of what is looked at
            words = rng.randint(10, 31)
            ip.extensions.append((Protocol.DESTINATION, bytes([0, words]) + rng.randbytes(8 * words + 6)))
    if fragments and rng.random() < 0.06:
        if version == 4:
            ip.fragment = rng.choice([0x2000, 0x2003, 0x0001, 0x1FFF])
        else:
            ip.extensions.append((Protocol.FRAGMENT, random_extension(rng, Protocol.FRAGMENT, ip)))
    return ip


def in_ip(rng: random.Random, packet: Piece, ip: Ip, protocol: int) -> Piece:
    """Return ``packet`` behind ``ip``; the IPv4 header checksum is right, sometimes zero."""
    octets = bytearray(ip.write(protocol, packet.octets, bytes(2)))
    header_bytes = len(octets) - len(packet.octets)
    if ip.version == 4:
        complete(octets, 10, header_bytes, word=4 if rng.random() < 0.05 else None)
    return packet.behind(bytes(octets[:header_bytes]), length=2 if ip.version == 4 else 4, ip=True)


def complete(octets: bytearray, field: int, end: int, *sums: int, word: int | None = None) -> None:
    """Write the checksum of ``sums`` and of ``octets`` up to ``end``, whose checksum ``field`` is zero.

    If the offset of a covered ``word`` is given, its value is chosen so that the checksum comes out as zero.
    """
    if word is not None:
        octets[word : word + 2] = bytes(2)
        value = checksum(ones_sum(octets[:end]), *sums)
        octets[word : word + 2] = value.to_bytes(2, "big")
    value = checksum(ones_sum(octets[:end]), *sums)
    octets[field : field + 2] = value.to_bytes(2, "big")


def random_datagram(rng: random.Random, version: int, max_payload: int, *, inside: bool) -> Piece:
    """Return an IP packet: TCP, UDP, or anything else."""
    ip = random_received_ip(rng, version, fragments=True)
    size = rng.choice([0, 1, 2, 6, 18, rng.randint(0, 100), rng.randint(0, 100), rng.randint(0, 1500)])
    if rng.random() < 0.01:
        size = rng.randint(1500, max(1500, max_payload))
    payload = random_payload(rng, min(size, max_payload), 0)
    protocol = rng.choice([*[Protocol.TCP, Protocol.UDP] * 5, None])
    match protocol:
        case Protocol.TCP:
            words = rng.choice([5, 5, 8, rng.randint(5, 15)])
            header = random_octets(rng, 12) + bytes([words << 4, rng.randrange(256)]) + rng.randbytes(2)
            return in_ip(rng, with_checksum(rng, header + bytes(4), 4 * words, payload, ip, protocol), ip, 6)
        case Protocol.UDP:
            port = rng.choice(PORTS) if rng.random() < 0.2 else rng.randrange(0x10000)
            ports = rng.randbytes(2) + port.to_bytes(2, "big")
            length = (8 + len(payload)).to_bytes(2, "big")
            packet = with_checksum(rng, ports + length + bytes(2), 8, payload, ip, protocol)
            if rng.random() < 0.1:  # behind the datagram, but in front of the end of IP
                packet = packet.padded(rng.randbytes(rng.randint(1, 9)))
            return in_ip(rng, dataclasses.replace(packet, lengths=(4,)), ip, 17)
        case _:
            others = [ICMP, ICMPV6, NO_NEXT_HEADER, Protocol.ESP, 135, 139, 140, rng.randrange(61, 256)]
            if version == 4:
                others.append(Protocol.AH)
            if inside:  # no second tunnel is looked into
                others.append(Protocol.GRE)
            return in_ip(rng, Piece(payload), ip, rng.choice(others))


def with_checksum(
    rng: random.Random, header: bytes, size: int, payload: bytes, ip: Ip, protocol: Protocol
) -> Piece:
    """Return ``payload`` behind a transport ``header`` of ``size`` bytes with its checksum.

    It is right, sometimes zero because the sum is; and UDP's sometimes because there is none.
    """
    octets = bytearray(header + rng.randbytes(size - len(header)) + payload)
    field = 16 if protocol == Protocol.TCP else 6
    pseudo = (ones_sum(ip.source), ones_sum(ip.final), protocol, len(octets))
    complete(octets, field, len(octets), *pseudo, word=0 if rng.random() < 0.05 else None)
    if protocol == Protocol.UDP:
        if octets[field : field + 2] == b"\0\0":
            octets[field : field + 2] = b"\xff\xff"
        if rng.random() < 0.1:
            octets[field : field + 2] = b"\0\0"
    return Piece(bytes(octets))


def in_gre(rng: random.Random, packet: Piece) -> Piece:
    """Return ``packet`` behind GRE with any of its options, seldom of a kind that is not understood."""
    options = rng.choice([*[0x2000] * 5, 0, 0x1000, 0x3000, 0x8000, 0x9000, 0xA000, 0xA000, 0xB000])
    size = 4 * options.bit_count()
    flags, kind = options, TRANSPARENT_ETHERNET
    match rng.randrange(16):
        case 0:
            flags |= rng.choice([0x0001, 0x0007, 0x4000])
        case 1:
            kind = rng.choice([IPV4, IPV6, 0x880B, 0x6559])
        case 2:  # bits that mean nothing here
            flags |= rng.getrandbits(16) & 0x0FF8
    first = flags.to_bytes(2, "big") + kind.to_bytes(2, "big")
    octets = bytearray(first + rng.randbytes(size) + packet.octets)
    if flags & 0x8000:
        octets[4:8] = bytes(4)
        complete(octets, 4, len(octets), word=6 if rng.random() < 0.1 else None)
    return packet.behind(bytes(octets[: 4 + size]))


def in_vxlan(rng: random.Random, packet: Piece, ip: Ip) -> Piece:
    """Return ``packet`` behind UDP and VXLAN, with or without a checksum of UDP's own."""
    flags = rng.choice([8, 8, 8, 8, 8 | rng.getrandbits(8), rng.getrandbits(8)])
    vxlan = bytes([flags]) + rng.choice([bytes(3), rng.randbytes(3)]) + rng.randbytes(3) + b"\0"
    ports = rng.randbytes(2) + rng.choice(PORTS).to_bytes(2, "big")
    length = (16 + len(packet.octets)) & 0xFFFF
    octets = bytearray(ports + length.to_bytes(2, "big") + bytes(2) + vxlan + packet.octets)
    if rng.random() < 0.5:
        pseudo = (ones_sum(ip.source), ones_sum(ip.final), Protocol.UDP, length)
        complete(octets, 6, len(octets), *pseudo, word=0 if rng.random() < 0.1 else None)
        if octets[6:8] == b"\0\0":
            octets[6:8] = b"\xff\xff"
    return packet.behind(bytes(octets[:16]), length=4)
