"""Random requests for the send path: every kind, valid or spoilt in every way, reproducible by seed.

What a request should lead to is not decided here; that is the business of the model. Only to make a checksum
come out as zero is the model asked what it would be otherwise.
"""

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator

from offramp_sim.model import Build, Config, Request, send
from offramp_sim.model.checksum import fold, ones_sum
from offramp_sim.model.headers import Protocol
from offramp_sim.model.words import Checksum, LargeSend, Supplemental, UdpSegmentation, Vlan

ICMP, ICMPV6, NO_NEXT_HEADER = 1, 58, 59
"""Protocols that no checksum is inserted for."""


def requests(
    rng: random.Random,
    count: int,
    *,
    build: Build | None = None,
    max_payload: int = 4096,
    max_segments: int = 40,
    config_every: int = 40,
    mismatches: bool = True,
) -> Iterator[tuple[Request, Config]]:
    """Yield ``count`` random requests, each with the configuration under which it is sent.

    Parameters
    ----------
    rng : random.Random
        The only source of randomness.
    count : int
    build : Build, optional
        The limits to play around with.
    max_payload : int
        Most payload bytes of any packet; what is too long for this is only *claimed* to be longer.
    max_segments : int
        Most segments of a request, so that a small MSS does not become a long train.
    config_every : int
        Mean number of requests from one change of configuration to the next.
    mismatches : bool
        Also yield requests whose buffers do not add up to their length.
    """
    build = build or Build()
    config = random_config(rng)
    for number in range(count):
        if rng.random() < 1 / config_every:
            config = random_config(rng)
        limits = Limits(build, max_payload, max_segments, config.vxlan_port)
        draft = random_draft(rng, limits)
        if not mismatches:
            draft.length = None
        request = draft.request(tag=number & 0xFFFF)
        if draft.headers and not draft.spoilt and rng.random() < 0.2:
            request = zero_a_checksum(rng, request, draft.shape, config, build)
        yield request, config


def random_config(rng: random.Random) -> Config:
    """Return a configuration, more often than not with everything switched on."""
    tunnels = frozenset({"nvgre", "vxlan"})
    port = 4789 if rng.random() < 0.6 else rng.randrange(1, 0x10000)
    wrap = rng.choice([15, 15, 16])
    if rng.random() < 0.6:
        return Config(encapsulation=tunnels, vxlan_port=port, id_wrap=wrap)
    switches = [field.name for field in dataclasses.fields(Config) if field.type is bool]
    off = {name: False for name in switches if rng.random() < 0.2}
    return Config(
        encapsulation=frozenset(name for name in sorted(tunnels) if rng.random() < 0.7),
        vxlan_port=port,
        id_wrap=wrap,
        max_offload_ipv4_bytes=rng.choice([262_143, 65_536, 1_000, 200]),
        max_offload_ipv6_bytes=rng.choice([262_143, 65_536, 1_000, 200]),
        **off,
    )


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a packet may be like: see :func:`requests`."""

    build: Build
    max_payload: int
    max_segments: int
    vxlan_port: int


# Packets -------------------------------------------------------------------------------------------------


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


# Drafts --------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Draft:
    """A request in the making, and what a spoiler has to know about it."""

    rng: random.Random
    limits: Limits
    packet: bytearray
    headers: Shape | None = None
    supplemental: Supplemental = dataclasses.field(default_factory=Supplemental)
    checksum: Checksum = dataclasses.field(default_factory=Checksum)
    lso: LargeSend = dataclasses.field(default_factory=LargeSend)
    uso: UdpSegmentation = dataclasses.field(default_factory=UdpSegmentation)
    length: int | None = None
    spoilt: bool = False

    @property
    def shape(self) -> Shape:
        """The headers, of a draft that is known to have some."""
        assert self.headers
        return self.headers

    @property
    def segment(self) -> bool:
        """The request is to be segmented."""
        return bool(self.lso.pack() or self.uso.pack())

    def request(self, tag: int) -> Request:
        """Return the finished request, in random buffers."""
        rng = self.rng
        vlan = 0
        if rng.random() < 0.2:
            vlan = Vlan(priority=rng.randrange(8), identifier=rng.randrange(1 << 12)).pack()
            vlan |= rng.choice([0, 0, 1 << 3, rng.getrandbits(16) << 16])
        return Request(
            bytes(self.packet),
            buffers=random_buffers(rng, len(self.packet), self.headers),
            length=self.length,
            supplemental=self.supplemental.pack() | rng.choice([0, 0, rng.getrandbits(4)]) << 28,
            checksum=self.checksum.pack() | rng.choice([0, 0, rng.getrandbits(11)]) << 5,
            lso=self.lso.pack(),
            uso=self.uso.pack() | (rng.choice([0, 1 << 30]) if self.uso.pack() else 0),
            vlan=vlan,
            tag=tag,
        )


def random_buffers(rng: random.Random, size: int, shape: Shape | None) -> tuple[int, ...] | None:
    """Return scatter-gather lengths: one piece, cut at the inner frame, or cut anywhere and often."""
    inner_frame = min(shape.inner_frame, size) if shape else 0
    cuts: set[int] = set()
    match rng.randrange(6):
        case 0 | 1:
            return None
        case 2:
            cuts = {inner_frame}
        case 3:
            cuts = {inner_frame, *(rng.randint(inner_frame, size) for _ in range(4))}
        case 4:
            cuts = {rng.randint(0, size) for _ in range(rng.randint(1, 9))}
        case 5:
            start = rng.randint(0, min(size, 200))
            cuts = set(range(start, start + rng.randint(2, 40)))
    bounds = [0, *sorted(cut for cut in cuts if 0 < cut < size), size]
    return tuple(end - start for start, end in itertools.pairwise(bounds)) if size else None


def random_draft(rng: random.Random, limits: Limits) -> Draft:
    """Return a request of any kind, sometimes spoilt."""
    kinds = {bystander: 1, sum_up: 4, cut_up: 5}
    (kind,) = rng.choices(list(kinds), list(kinds.values()))
    draft = kind(rng, limits)
    if rng.random() < 0.25:
        draft.spoilt = True
        rng.choice(spoilers(draft))(draft)
    return draft


def bystander(rng: random.Random, limits: Limits) -> Draft:
    """Return a packet that nothing is to be done with, whatever the words beside the point say (T-30)."""
    size = rng.choice(
        [1, 13, 14, 59, 60, 63, 64, 65, 128, rng.randint(1, 300), rng.randint(1, 1 + limits.max_payload)]
    )
    draft = Draft(rng, limits, bytearray(rng.randbytes(size)))
    match rng.randrange(3):
        case 0:  # a checksum word that names no IP version
            draft.checksum = Checksum(tcp=1, udp=rng.getrandbits(1), ip_header=rng.getrandbits(1))
        case 1:  # a supplemental word without another beside it
            draft.supplemental = Supplemental.unpack(rng.getrandbits(32))
        case 2:  # a checksum word that asks for nothing
            draft.checksum = Checksum(ipv4=1, tcp_header_offset=rng.getrandbits(10))
    return draft


def sum_up(rng: random.Random, limits: Limits) -> Draft:
    """Return a packet to put checksums into, without segmentation (section 3)."""
    tunnel = rng.choice(["", "nvgre", "vxlan"])
    protocol = rng.choice([*[Protocol.TCP, Protocol.UDP] * 3, ICMP, ICMPV6, rng.randrange(256)])
    shape = random_shape(rng, limits, protocol, tunnel=tunnel, secured=True)
    room = min(limits.max_payload, limits.build.max_mss)
    size = rng.choice([0, 1, 18, rng.randint(0, 100), rng.randint(0, room)])
    payload = random_payload(rng, size, shape.size)
    packet = shape.write(rng, payload)
    if protocol == Protocol.UDP:
        put(packet, shape.transport + 4, 8 + len(payload))
    if protocol in (Protocol.TCP, Protocol.UDP):
        put_seed(rng, packet, shape, len(packet) - shape.transport)
        if rng.random() < 0.1:
            put(packet, shape.checksum_field, 0)
    if rng.random() < 0.2:  # padding, or a trailer, that is no part of the datagram (TXC-14)
        packet += rng.randbytes(rng.randint(1, 30))
    flags = rng.choices([0, 1], [1, 4], k=3)
    draft = Draft(
        rng, limits, packet, shape, checksum=Checksum(tcp=flags[0], udp=flags[1], ip_header=flags[2])
    )
    if rng.random() < 0.1:
        make_fragment(draft)
    announce(draft)
    return draft


def cut_up(rng: random.Random, limits: Limits) -> Draft:
    """Return a packet to be segmented: LSOv2, LSOv1 or USO, with or without a tunnel (section 4)."""
    tunnel = rng.choice(["", "nvgre", "nvgre", "vxlan"])
    protocol = rng.choice([Protocol.TCP, Protocol.TCP, Protocol.UDP])
    shape = random_shape(rng, limits, protocol, tunnel=tunnel)
    mss, size = random_sizes(rng, limits, shape.size)
    packet = shape.write(rng, random_payload(rng, size, shape.size))
    if rng.random() < 0.95:
        put_seed(rng, packet, shape, 0)
    if rng.random() < 0.5:  # LSO-2: nobody promises anything about lengths
        for start, ip in ((shape.outer_ip, shape.outer), (shape.inner_ip, shape.innermost)):
            put(packet, start + (2 if ip.version == 4 else 4), rng.choice([0, rng.getrandbits(16)]))
        if shape.tunnel == "vxlan":
            put(packet, shape.tunnel_start + 4, rng.getrandbits(16))
    if protocol == Protocol.UDP:
        put(packet, shape.transport + 4, rng.choice([0, rng.getrandbits(16)]))
        if rng.random() < 0.1:
            put(packet, shape.checksum_field, 0)
    draft = Draft(rng, limits, packet, shape)
    offset = rng.getrandbits(10) if tunnel else shape.transport
    ipv6 = rng.getrandbits(1) if tunnel else int(shape.outer.version == 6)
    if protocol == Protocol.TCP:
        version2 = 1 if tunnel or ipv6 else rng.choice([0, 1, 1])
        draft.lso = LargeSend(mss=mss, tcp_header_offset=offset, version2=version2, ipv6=ipv6)
    else:
        draft.uso = UdpSegmentation(mss=mss, udp_header_offset=offset, ipv6=ipv6)
    if rng.random() < 0.7:
        draft.checksum = Checksum(
            tcp=rng.getrandbits(1), udp=rng.getrandbits(1), ip_header=rng.getrandbits(1)
        )
    announce(draft)
    return draft


def announce(draft: Draft) -> None:
    """Say in the out-of-band words of ``draft`` what its headers are."""
    rng, shape = draft.rng, draft.shape
    four = int(shape.outer.version == 4)
    if not draft.segment or rng.random() < 0.7:
        draft.checksum = dataclasses.replace(draft.checksum, ipv4=four, ipv6=1 - four)
    if shape.tunnel:
        hints = rng.choice([0, 0, 0, 0, 1])
        draft.supplemental = Supplemental(
            encapsulated=1,
            inner_ipv6=int(shape.inner.version == 6) ^ hints,
            tcp_options=int(shape.protocol == Protocol.TCP and len(shape.transport_header) > 20) ^ hints,
        )
        offsets = {
            "inner_frame_offset": shape.inner_frame,
            "inner_ip_offset": shape.inner_ip - shape.inner_frame,
            "inner_transport_offset": shape.transport - shape.inner_ip,
        }
        match rng.randrange(3):
            case 0 if shape.inner_frame < 256:
                draft.supplemental = dataclasses.replace(draft.supplemental, offsets_valid=1, **offsets)
            case 1:  # offsets that are not valid carry nothing (INV-1)
                rest = Supplemental.unpack(rng.getrandbits(32))
                garbage = {name: getattr(rest, name) for name in offsets}
                draft.supplemental = dataclasses.replace(draft.supplemental, **garbage)
        # OOB-27: invalid when encapsulated
        draft.checksum = dataclasses.replace(draft.checksum, tcp_header_offset=rng.getrandbits(10))
    elif shape.protocol == Protocol.TCP:
        offset = rng.choice([0, shape.transport, shape.transport])
        draft.checksum = dataclasses.replace(draft.checksum, tcp_header_offset=offset)


def random_sizes(rng: random.Random, limits: Limits, header_bytes: int) -> tuple[int, int]:
    """Return MSS and payload bytes, most of them near a boundary of beats, segments or the store."""
    longest = limits.build.max_mss
    near = rng.choice([-1, 0, 0, 1])
    beat = rng.choice([8, 16, 32, 64])
    mss = rng.choice(
        [
            rng.randint(1, 20),
            beat + near,
            beat * rng.randint(1, 8) - header_bytes % beat + near,  # frames that end near the end of a beat
            rng.choice([536, 1460, 1448, 8960, longest, longest - 1]),
            rng.randint(1, 2000),
            rng.randint(1, longest),
        ]
    )
    mss = min(max(mss, 1), longest)
    most = min(limits.max_payload, mss * limits.max_segments)
    size = rng.choice(
        [
            mss * rng.randint(0, 6) + near,
            rng.randint(0, mss),
            rng.randint(0, 4 * mss),
            rng.randint(0, most),
            most,
        ]
    )
    return mss, min(max(size, 0), most)


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


def zero_a_checksum(
    rng: random.Random, request: Request, shape: Shape, config: Config, build: Build
) -> Request:
    """Return ``request``, changed so that a checksum of one of its frames comes out as zero, if that can be.

    A word that is zero while the checksum is computed, and then takes its value, completes the sum to 0xFFFF.
    """
    frames = send(request, config, build).frames
    if not frames:
        return request
    tag = 4 if request.vlan & 0xFFFF else 0
    number = rng.randrange(len(frames))
    mss = (request.lso or request.uso) & 0xFFFFF
    room = len(frames[number]) - tag - shape.size
    # Pairs of a checksum field and a word that it covers, both in the request.
    places = [(number, shape.checksum_field, shape.size + number * mss)] * 3
    if room < 2:
        places.clear()
    for start, ip in ((shape.outer_ip, shape.outer), (shape.inner_ip, shape.innermost)):
        if ip.version == 4:
            places.append((0, start + 10, start + 4))
    if shape.tunnel == "vxlan":
        places.append((0, shape.tunnel_start + 6, shape.tunnel_start))
    if not places:
        return request
    number, field, word = rng.choice(places)
    if word >= shape.size:
        word += 2 * rng.randrange(room // 2)
    packet = bytearray(request.frame)
    put(packet, word, 0)
    frame = send(dataclasses.replace(request, frame=bytes(packet)), config, build).frames[number]
    packet[word : word + 2] = frame[field + tag : field + tag + 2]
    return dataclasses.replace(request, frame=bytes(packet))


# Spoilers ------------------------------------------------------------------------------------------------


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
    """Fill the header block with options up to the build's limit, or beyond it."""
    shape = draft.shape
    room = draft.limits.build.max_header_bytes - shape.size + draft.rng.choice([0, 0, 4, 8, 64])
    for start, ip in ((shape.inner_ip, shape.innermost), (shape.outer_ip, shape.outer)):
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
    ways: list[Callable[[Draft], None]] = [name_both_versions, cut_off, miscount, scramble]
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
