"""The headers of a random packet, in every mix of layers, and the packet that they make."""

import dataclasses
import random

from offramp_sim.model import Build
from offramp_sim.model.checksum import fold, ones_sum
from offramp_sim.model.headers import Protocol

ICMP, ICMPV6, NO_NEXT_HEADER = 1, 58, 59
"""Protocols that no checksum is inserted for."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a packet may be like: see :func:`requests`."""

    build: Build
    max_payload: int
    max_segments: int
    vxlan_port: int


@dataclasses.dataclass
class Ip:
    """An IP header to be written; ``final`` is the destination that the pseudo-header counts."""

    version: int
    source: bytes
    destination: bytes
    final: bytes
    fixed: bytes
    """The rest of the header that is merely copied: TOS and ID and TTL, or class and flow and hop limit."""
    fragment: int = 0
    options: bytes = b""
    extensions: list[tuple[int, bytes]] = dataclasses.field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of header, options and extension headers."""
        if self.version == 4:
            return 20 + len(self.options)
        return 40 + sum(len(body) for _, body in self.extensions)

    def write(self, protocol: int, payload: bytes, checksum: bytes) -> bytes:
        """Return header and ``payload``, lengths as they should be (or as much of them as fits 16 bits)."""
        if self.version == 4:
            total = (self.size + len(payload)) & 0xFFFF
            words = 5 + len(self.options) // 4
            return b"".join(
                [
                    bytes([0x40 | words, self.fixed[0]]),
                    total.to_bytes(2, "big"),
                    self.fixed[1:3],
                    self.fragment.to_bytes(2, "big"),
                    bytes([self.fixed[3], protocol]),
                    checksum,
                    self.source,
                    self.destination,
                    self.options,
                    payload,
                ]
            )
        chain = b""
        for kind, body in reversed(self.extensions):
            chain = bytes([protocol]) + body[1:] + chain
            protocol = kind
        length = (len(chain) + len(payload)) & 0xFFFF
        return b"".join(
            [
                bytes([0x60 | self.fixed[0] & 0xF]),
                self.fixed[1:4],
                length.to_bytes(2, "big"),
                bytes([protocol, self.fixed[4]]),
                self.source,
                self.destination,
                chain,
                payload,
            ]
        )


@dataclasses.dataclass
class Shape:
    """The headers of a packet: ``tunnel`` is ``""``, ``"nvgre"`` or ``"vxlan"``."""

    tags: bytes
    outer: Ip
    tunnel: str
    tunnel_header: bytes
    inner_tags: bytes
    inner: Ip
    protocol: int
    transport_header: bytes

    @property
    def innermost(self) -> Ip:
        """The IP header that the transport header belongs to."""
        return self.inner if self.tunnel else self.outer

    @property
    def outer_ip(self) -> int:
        """First byte of the outer IP header."""
        return 14 + len(self.tags)

    @property
    def tunnel_start(self) -> int:
        """First byte behind the outer IP header."""
        return self.outer_ip + self.outer.size

    @property
    def inner_frame(self) -> int:
        """First byte of the inner Ethernet header."""
        return self.tunnel_start + len(self.tunnel_header)

    @property
    def inner_ip(self) -> int:
        """First byte of the IP header in front of the transport header."""
        return self.inner_frame + 14 + len(self.inner_tags) if self.tunnel else self.outer_ip

    @property
    def transport(self) -> int:
        """First byte of the transport header."""
        return self.inner_ip + self.innermost.size

    @property
    def checksum_field(self) -> int:
        """Where the transport checksum is, if the protocol has one."""
        return self.transport + (16 if self.protocol == Protocol.TCP else 6)

    @property
    def size(self) -> int:
        """Bytes of all headers."""
        return self.transport + len(self.transport_header)

    def write(self, rng: random.Random, payload: bytes) -> bytearray:
        """Return the packet; IP header checksums are garbage (TXC-4)."""
        packet = self.innermost.write(self.protocol, self.transport_header + payload, rng.randbytes(2))
        if self.tunnel:
            link = rng.randbytes(12) + self.inner_tags + ethertype(self.inner.version)
            header = bytearray(self.tunnel_header)
            packet = link + packet
            if self.tunnel == "vxlan":
                header[4:6] = ((len(header) + len(packet)) & 0xFFFF).to_bytes(2, "big")
            protocol = Protocol.UDP if self.tunnel == "vxlan" else Protocol.GRE
            packet = self.outer.write(protocol, bytes(header) + packet, rng.randbytes(2))
        return bytearray(rng.randbytes(12) + self.tags + ethertype(self.outer.version) + packet)


def ethertype(version: int) -> bytes:
    """Return the EtherType of IP ``version``."""
    return b"\x08\x00" if version == 4 else b"\x86\xdd"


def random_octets(rng: random.Random, size: int) -> bytes:
    """Return ``size`` bytes: random, or all the same, to drive sums into their corners."""
    match rng.randrange(8):
        case 0:
            return b"\xff" * size
        case 1:
            return bytes(size)
        case _:
            return rng.randbytes(size)


def random_ip(rng: random.Random, version: int, *, extras: bool, secured: bool = False) -> Ip:
    """Return an IP header, with ``extras`` often one with options or extension headers."""
    size = 4 if version == 4 else 16
    source, destination = random_octets(rng, size), random_octets(rng, size)
    ip = Ip(version, source, destination, final=destination, fixed=random_octets(rng, 5))
    if rng.random() < 0.3 and version == 4:
        ip.fixed = ip.fixed[:1] + rng.choice([b"\x7f\xff", b"\xff\xff", b"\x7f\xfe"]) + ip.fixed[3:]
    if version == 4:
        ip.fragment = rng.choice([0, 0x4000, 0x8000])
    if not extras:
        return ip
    if version == 4:
        ip.options = rng.randbytes(4 * rng.choice([0, 0, 1, 3, rng.randint(1, 10)]))
    else:
        kinds = [
            Protocol.HOP_BY_HOP,
            Protocol.ROUTING,
            Protocol.DESTINATION,
            *([Protocol.AH] if secured else []),
        ]
        for kind in rng.choice([[], [], *([kind] for kind in kinds), rng.sample(kinds, 2)]):
            ip.extensions.append((kind, random_extension(rng, kind, ip)))
    return ip


def random_extension(rng: random.Random, kind: int, ip: Ip) -> bytes:
    """Return an IPv6 extension header; a routing header changes the final destination of ``ip``."""
    match kind:
        case Protocol.ROUTING:
            hops = rng.choice([0, 1, 1, 2])
            left = rng.randint(0, hops)
            addresses = rng.randbytes(16 * hops)
            if left:
                ip.final = addresses[-16:]
            return bytes([0, 2 * hops, rng.choice([0, 2, 4]), left]) + rng.randbytes(4) + addresses
        case Protocol.AH:
            return bytes([0, 4]) + rng.randbytes(22)
        case Protocol.FRAGMENT:
            return rng.randbytes(8)
        case _:
            length = rng.choice([0, 0, 1, 2, 3])
            return bytes([0, length]) + rng.randbytes(8 * length + 6)


def random_shape(
    rng: random.Random, limits: Limits, protocol: int, *, tunnel: str, secured: bool = False
) -> Shape:
    """Return the headers of a packet, hardly ever more than the build can hold."""
    extras = rng.random() < 0.5
    for _ in range(20):
        match protocol:
            case Protocol.TCP:
                options = rng.choice([0, 0, 3, 3, rng.randint(0, 10)])
                flags = rng.choice([0x10, 0x18, 0x19, 0xD9, rng.randrange(256) & ~0x26])
                header = random_octets(rng, 12) + bytes([16 * (5 + options) | rng.randrange(16), flags])
                header += rng.randbytes(2) + bytes(4) + rng.randbytes(4 * options)
            case Protocol.UDP:
                header = random_octets(rng, 4) + bytes(4)
            case _:
                header = rng.randbytes(8)
        match tunnel:
            case "nvgre":
                tunnel_header = b"\x20\x00\x65\x58" + rng.randbytes(4)
            case "vxlan":
                checksum = rng.choice([b"\0\0", rng.randbytes(2)])
                ports = rng.randbytes(2) + limits.vxlan_port.to_bytes(2, "big")
                tunnel_header = ports + b"\0\0" + checksum + b"\x08\0\0\0" + rng.randbytes(3) + b"\0"
            case _:
                tunnel_header = b""
        tags = [rng.choice([b"\x81\x00", b"\x88\xa8"]) + rng.randbytes(2) for _ in range(3)]
        shape = Shape(
            tags=b"".join(tags[: rng.choice([0, 0, 1, 2])]),
            outer=random_ip(rng, rng.choice([4, 6]), extras=extras, secured=secured),
            tunnel=tunnel,
            tunnel_header=tunnel_header,
            inner_tags=tags[2] if tunnel and rng.random() < 0.2 else b"",
            inner=random_ip(rng, rng.choice([4, 6]), extras=extras, secured=secured),
            protocol=protocol,
            transport_header=header,
        )
        if shape.size <= limits.build.max_header_bytes:
            break
        extras = extras and rng.random() < 0.8
    return shape


def random_payload(rng: random.Random, size: int, position: int) -> bytes:
    """Return ``size`` payload bytes; a ramp tells the ``position`` of what gets lost or swapped."""
    if rng.random() < 0.3:
        return bytes((position + n) & 0xFF for n in range(size))
    return random_octets(rng, size)


def put(packet: bytearray, offset: int, word: int) -> None:
    """Write a big-endian 16-bit ``word`` at ``offset``."""
    packet[offset : offset + 2] = word.to_bytes(2, "big")


def put_seed(rng: random.Random, packet: bytearray, shape: Shape, length: int) -> None:
    """Write the sum of the pseudo-header, with the transport ``length``, where the checksum will be."""
    ip = shape.innermost
    sums = [ones_sum(ip.source), ones_sum(ip.final), shape.protocol, length]
    if shape.innermost.version == 4 and ip.options and rng.random() < 0.2:
        sums[1] = rng.getrandbits(16)  # a source route: the final destination is elsewhere (LSO-5)
    put(packet, shape.checksum_field, fold(sum(sums)))
