"""Packets of every shape, built by scapy, as the requests and the frames that they should become."""

import dataclasses
import functools
import itertools
import struct
from typing import Any

from offramp_sim.model import Config, Request
from offramp_sim.model.words import Checksum, LargeSend, Supplemental, UdpSegmentation
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.layers.l2 import GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw
from scapy.utils import checksum as internet_checksum

ON = Config(encapsulation=frozenset({"nvgre", "vxlan"}))
"""Everything switched on."""

IPV4_ADDRESSES = {"outer": ("10.0.0.1", "10.0.0.2"), "inner": ("192.168.1.1", "192.168.1.2")}
IPV6_ADDRESSES = {"outer": ("fd00::a:1", "fd00::a:2"), "inner": ("fd00::1", "fd00::2")}
WAYPOINTS = ("fd00::77:1", "fd00::77:2")
"""Addresses in a routing header; the last is where the packet ends up."""

NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a packet is made of. The default is a plain TCP segment over IPv4.

    Parameters
    ----------
    outer, inner : int
        IP versions; ``inner`` matters in a tunnel only.
    tunnel : str
        ``""``, ``"nvgre"`` or ``"vxlan"``.
    transport : str
        ``"tcp"``, ``"udp"`` or ``"icmp"``.
    tags : tuple of int
        TPIDs of the VLAN tags on the outer Ethernet header.
    inner_tag : bool
        A VLAN tag on the inner Ethernet header.
    outer_extras, inner_extras : tuple of str
        ``"options"`` for IPv4; any of ``"hop"``, ``"routing"``, ``"destination"`` for IPv6.
    tcp_options : bool
        A timestamp option.
    """

    outer: int = 4
    tunnel: str = ""
    inner: int = 4
    transport: str = "tcp"
    tags: tuple[int, ...] = ()
    inner_tag: bool = False
    outer_extras: tuple[str, ...] = ()
    inner_extras: tuple[str, ...] = ()
    tcp_options: bool = False
    flags: int = 0x10
    sequence: int = 0xFFFF_FF80
    outer_id: int = 0x7FFE
    inner_id: int = 0x1234
    vxlan_port: int = 4789
    vxlan_checksum: int | None = 0

    def __str__(self) -> str:
        """Name the kind, for the names of tests."""
        inside = f"-{self.tunnel}-ipv{self.inner}" if self.tunnel else ""
        options = "-options" if self.outer_extras or self.inner_extras or self.tcp_options else ""
        return f"ipv{self.outer}{inside}-{self.transport}{'-tagged' * bool(self.tags)}{options}"

    @property
    def version(self) -> int:
        """Innermost IP version."""
        return self.inner if self.tunnel else self.outer

    def layers(
        self, *, index: int = 0, mss: int = 0, flags: int | None = None, id_bits: int = 15
    ) -> list[Packet]:
        """Return the headers of segment ``index``, one packet a layer, the transport's last."""
        link = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        for number, tpid in enumerate(self.tags):
            link /= {0x8100: Dot1Q, 0x88A8: Dot1AD}[tpid](vlan=100 + number, prio=5)
        place = "outer" if self.tunnel else "inner"
        layers = [
            link,
            ip_layer(place, self.outer, self.outer_extras, count(self.outer_id, index, id_bits), 64),
        ]
        if self.tunnel:
            inner_link = Ether(src="02:aa:00:00:00:01", dst="02:aa:00:00:00:02")
            if self.inner_tag:
                inner_link /= Dot1Q(vlan=7)
            if self.tunnel == "nvgre":
                layers.append(GRE(key_present=1, key=0x1234565A, proto=0x6558))
            else:
                udp = UDP(sport=54321, dport=self.vxlan_port, chksum=self.vxlan_checksum)
                layers.append(udp / VXLAN(flags=8, vni=0x123456))
            layers.append(inner_link)
            identification = count(self.inner_id, index, id_bits)
            layers.append(ip_layer("inner", self.inner, self.inner_extras, identification, 128))
        match self.transport:
            case "tcp":
                options = [("Timestamp", (0x01020304, 0x05060708)), ("NOP", None), ("NOP", None)]
                sequence = (self.sequence + index * mss) & 0xFFFF_FFFF
                layers.append(
                    TCP(
                        sport=1000,
                        dport=2000,
                        seq=sequence,
                        ack=0x11223344,
                        window=0x2000,
                        flags=self.flags if flags is None else flags,
                        options=options if self.tcp_options else [],
                    )
                )
            case "udp":
                layers.append(UDP(sport=1000, dport=2000))
            case _:
                layers.append(ICMP() if self.version == 4 else ICMPv6EchoRequest())
        return layers

    def offsets(self) -> tuple[int, ...]:
        """Return where each of the :meth:`layers` begins, and where the payload does."""
        return offsets(self)

    @property
    def header_bytes(self) -> int:
        """Bytes in front of the payload."""
        return self.offsets()[-1]

    @property
    def outer_ip(self) -> int:
        """Where the outer IP header begins."""
        return self.offsets()[1]

    @property
    def inner_frame(self) -> int:
        """Where the inner Ethernet header begins."""
        return self.offsets()[3]

    @property
    def inner_ip(self) -> int:
        """Where the innermost IP header begins."""
        return self.offsets()[-3]

    @property
    def transport_start(self) -> int:
        """Where the transport header begins."""
        return self.offsets()[-2]

    @property
    def checksum_offset(self) -> int:
        """Where the transport checksum is."""
        return self.transport_start + {"tcp": 16, "udp": 6, "icmp": 2}[self.transport]

    def build(self, payload: bytes, **options: int) -> bytes:
        """Return the frame with ``payload``, all lengths and checksums done by scapy."""
        layers = self.layers(**options)
        packet = layers[0]
        for layer in layers[1:]:
            packet = packet / layer
        return bytes(packet / Raw(payload))

    def segments(self, payload: bytes, mss: int, *, id_bits: int = 15) -> list[bytes]:
        """Return the frames that a large send of ``payload`` must become."""
        parts = [payload[n : n + mss] for n in range(0, len(payload), mss)] or [b""]
        frames = []
        for index, part in enumerate(parts):
            flags = self.flags
            if index > 0:
                flags &= ~0x80
            if index < len(parts) - 1:
                flags &= ~0x09
            frames.append(self.build(part, index=index, mss=mss, flags=flags, id_bits=id_bits))
        return frames

    def seed(self, length: int) -> int:
        """Return the sum of the pseudo-header of the innermost IP header, as the host fills it in."""
        final = (
            WAYPOINTS[-1] if "routing" in (self.inner_extras if self.tunnel else self.outer_extras) else None
        )
        if self.version == 4:
            source, destination = IPV4_ADDRESSES["inner"]
            ends = bytes(IP(src=source, dst=destination))[12:20]
        else:
            source, destination = IPV6_ADDRESSES["inner"]
            ends = bytes(IPv6(src=source, dst=final or destination))[8:40]
        number = NUMBERS["icmpv6" if self.transport == "icmp" and self.version == 6 else self.transport]
        return internet_checksum(ends + struct.pack(">II", length, number)) ^ 0xFFFF

    def template(self, payload: bytes, *, seed: int, length_field: int = 0, ip_checksum: int = 0) -> bytes:
        """Return the packet as the host hands it over for segmentation."""
        packet = bytearray(self.build(b"") + payload)
        for start, version in {self.outer_ip: self.outer, self.inner_ip: self.version}.items():
            put(packet, start + (2 if version == 4 else 4), length_field)
            if version == 4:
                put(packet, start + 10, ip_checksum)
        if self.tunnel == "vxlan":
            put(packet, self.offsets()[2] + 4, length_field)
        if self.transport == "udp":
            put(packet, self.transport_start + 4, length_field)
        put(packet, self.checksum_offset, seed)
        return bytes(packet)

    def supplemental(self, **changes: int) -> int:
        """Return the word that describes the inner frame, with valid offsets."""
        if not self.tunnel:
            return 0
        fields = {
            "encapsulated": 1,
            "offsets_valid": 1,
            "inner_frame_offset": self.inner_frame,
            "inner_ip_offset": self.inner_ip - self.inner_frame,
            "inner_transport_offset": self.transport_start - self.inner_ip,
            "inner_ipv6": int(self.inner == 6),
            "tcp_options": int(self.tcp_options),
        }
        return Supplemental(**(fields | changes)).pack()

    def checksum(self, **changes: int) -> int:
        """Return a checksum word that names the outer IP version."""
        fields = {"ipv4": int(self.outer == 4), "ipv6": int(self.outer == 6)}
        return Checksum(**(fields | changes)).pack()

    def segment_word(self, mss: int, **changes: int) -> dict[str, int]:
        """Return the word that asks for segmentation, by the name of its slot."""
        fields = {"mss": mss, "ipv6": int(self.outer == 6)}
        offset = 0x2AA if self.tunnel else self.transport_start
        if self.transport == "udp":
            return {"uso": UdpSegmentation(**(fields | {"udp_header_offset": offset} | changes)).pack()}
        fields |= {"tcp_header_offset": offset, "version2": 1}
        return {"lso": LargeSend(**(fields | changes)).pack()}

    def large_send(self, payload: bytes, mss: int, *, seed: int | None = None, **changes: int) -> Request:
        """Return a request for LSO or USO; ``changes`` are fields of its words."""
        seed = self.seed(0) if seed is None else seed
        names = {field.name for field in dataclasses.fields(Supplemental)}
        return Request(
            self.template(payload, seed=seed),
            supplemental=self.supplemental(**{name: changes[name] for name in changes if name in names}),
            checksum=self.checksum(),
            **self.segment_word(mss, **{name: changes[name] for name in changes if name not in names}),
        )

    def sum_up(self, payload: bytes, *, seed: int | None = None, **changes: int) -> Request:
        """Return a request to put all checksums in; ``changes`` are fields of the checksum word."""
        packet = bytearray(self.build(payload))
        if self.transport in ("tcp", "udp"):
            length = len(packet) - self.transport_start
            put(packet, self.checksum_offset, self.seed(length) if seed is None else seed)
        for start, version in {self.outer_ip: self.outer, self.inner_ip: self.version}.items():
            if version == 4:
                put(packet, start + 10, 0xDEAD)
        flags = {"tcp": 1, "udp": 1, "ip_header": 1}
        return Request(
            bytes(packet), supplemental=self.supplemental(), checksum=self.checksum(**(flags | changes))
        )


def ip_layer(place: str, version: int, extras: tuple[str, ...], identification: int, hops: int) -> Packet:
    """Return an IP header with options or extension headers."""
    if version == 4:
        source, destination = IPV4_ADDRESSES[place]
        options = [IPOption_Router_Alert(), IPOption_NOP(), IPOption_NOP(), IPOption_NOP(), IPOption_NOP()]
        return IP(
            src=source,
            dst=destination,
            ttl=hops,
            flags="DF",
            id=identification,
            options=options if extras else [],
        )
    source, destination = IPV6_ADDRESSES[place]
    layer = IPv6(src=source, dst=destination, hlim=hops, tc=0x12, fl=0x34567)
    for extra in extras:
        match extra:
            case "hop":
                layer /= IPv6ExtHdrHopByHop(options=[RouterAlert()])
            case "routing":
                layer /= IPv6ExtHdrRouting(addresses=list(WAYPOINTS), segleft=2)
            case "destination":
                layer /= IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\x5a" * 12)])
    return layer


@functools.cache
def offsets(shape: Shape) -> tuple[int, ...]:
    """Return where each layer of ``shape`` begins, and where its payload does."""
    return tuple(itertools.accumulate((len(bytes(layer)) for layer in shape.layers()), initial=0))


def count(first: int, index: int, bits: int) -> int:
    """Return the ``index``-th identification after ``first``, where only the low ``bits`` count."""
    period = 1 << bits
    return first // period * period + (first + index) % period


def put(packet: bytearray, offset: int, word: int) -> None:
    """Write a big-endian 16-bit ``word``."""
    packet[offset : offset + 2] = word.to_bytes(2, "big")


def get(packet: bytes, offset: int) -> int:
    """Return the big-endian 16-bit word at ``offset``."""
    return int.from_bytes(packet[offset : offset + 2], "big")


def ramp(size: int) -> bytes:
    """Return ``size`` bytes of payload that count."""
    return bytes(n & 0xFF for n in range(size))


def patched(request: Request, *edits: tuple[int, bytes], **changes: Any) -> Request:
    """Return ``request`` with bytes of its frame, as (offset, bytes), and fields replaced."""
    frame = bytearray(request.frame)
    for offset, octets in edits:
        frame[offset : offset + len(octets)] = octets
    return dataclasses.replace(request, frame=bytes(frame), **changes)


S44 = Shape(tunnel="nvgre", flags=0x19)
"""The common shape of the specification's traps (section 16)."""

NO_ORDERS = (
    {},
    {"supplemental": S44.supplemental()},
    {"checksum": Checksum(tcp=1, udp=1, ip_header=1).pack()},
    {"checksum": Checksum(ipv4=1).pack()},
    {"checksum": Checksum(ipv6=1, tcp_header_offset=99).pack()},
    {"supplemental": S44.supplemental(), "checksum": Checksum(tcp=1).pack()},
)
"""Words that ask for nothing, whatever they look like (T-30, REQ-5, OOB-10)."""
