"""Received frames, built layer by layer by scapy."""

import dataclasses
import itertools

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

ODD, EVEN = b"\x5a" * 41, b"\xa5\x3c" * 20
"""Payloads."""



def link(place: str = "outer", *tags: int) -> Packet:
    """Return an Ethernet header, tagged with these VLANs, outermost first."""
    number = {"outer": "00", "inner": "aa"}[place]
    header = Ether(src=f"02:{number}:00:00:00:01", dst=f"02:{number}:00:00:00:02")
    for count, vlan in enumerate(tags):
        header /= Dot1Q(vlan=vlan, prio=3) if count == len(tags) - 1 else Dot1AD(vlan=vlan)
    return header


def ip(place: str, kind: str) -> Packet:
    """Return an IP header: ``"4"`` or ``"6"``, with ``"f"`` behind it that of a fragment."""
    if kind[0] == "4":
        ends = {"outer": ("10.0.0.1", "10.0.0.2"), "inner": ("192.168.1.1", "192.168.1.2")}[place]
        return IP(src=ends[0], dst=ends[1], id=0x7FFE, flags="MF" if "f" in kind else "DF")
    ends = {"outer": ("fd00::a:1", "fd00::a:2"), "inner": ("fd00::1", "fd00::2")}[place]
    header = IPv6(src=ends[0], dst=ends[1], tc=0x12, fl=0x34567)
    return header / IPv6ExtHdrFragment(m=1, id=7) if "f" in kind else header


def l4(kind: str, version: str) -> Packet:
    """Return a transport header."""
    match kind.split()[0]:
        case "tcp":
            return TCP(sport=1000, dport=2000, seq=0xFFFFFF80, ack=0x11223344, flags="PA")
        case "udp":
            return UDP(sport=1000, dport=2000, chksum=0 if "zero" in kind else None)
        case _:
            return ICMP() if version == "4" else ICMPv6EchoRequest()


def tunnel_layer(tunnel: str, **fields: object) -> Packet:
    """Return what stands between the outer IP header and the inner frame."""
    if tunnel == "nvgre":
        return GRE(**({"key_present": 1, "key": 0x1234565A, "proto": 0x6558} | fields))
    udp = UDP(sport=54321, dport=fields.get("dport", 4789), chksum=fields.get("chksum", 0))
    return udp / VXLAN(flags=fields.get("flags", 8), vni=0x123456)


@dataclasses.dataclass
class Built:
    """A frame, and where each of its layers begins."""

    frame: bytes
    starts: list[int]

    def changed(self, offset: int, octets: bytes | int) -> bytes:
        """Return the frame with other bytes at ``offset``; a number is XORed to the byte there."""
        frame = bytearray(self.frame)
        if isinstance(octets, int):
            frame[offset] ^= octets
        else:
            frame[offset : offset + len(octets)] = octets
        return bytes(frame)


def build(*layers: Packet, payload: bytes = ODD) -> Built:
    """Return the frame of these layers, all lengths and checksums done by scapy."""
    packet = layers[0]
    for layer in layers[1:]:
        packet = packet / layer
    starts = itertools.accumulate((len(bytes(layer)) for layer in layers), initial=0)
    return Built(bytes(packet / Raw(payload)), list(starts))


def frame_of(
    outer: str,
    tunnel: str,
    inner: str,
    transport: str,
    *,
    payload: bytes = ODD,
    **fields: object,
) -> bytes:
    """Return a frame as the table describes it: ``x`` behind a layer's name says that its checksum is wrong.

    ``fields`` are those of the tunnel's header.
    """
    layers = [link(), ip("outer" if tunnel else "inner", outer)]
    if tunnel:
        layers += [tunnel_layer(tunnel, **fields), link("inner"), *([ip("inner", inner)] if inner else [])]
    innermost = inner if tunnel else outer
    layers.append(l4(transport, innermost[0]) if innermost else ARP(psrc="10.0.0.1", pdst="10.0.0.2"))
    built = build(*layers, payload=payload)
    for layer, kind in ((1, outer), (4, inner if tunnel else "")):
        if "x" in kind:
            built.frame = built.changed(built.starts[layer] + 11, 0x01)
    if "x" in transport.split():
        built.frame = built.changed(built.starts[-2] + (17 if "tcp" in transport else 7), 0x40)
    return built.frame


def with_extras(place: str, version: str) -> Packet:
    """Return an IP header with options, or with every extension header that is walked over."""
    header = ip(place, version)
    if version == "4":
        header.options = [IPOption_NOP() for _ in range(8)]
        return header
    header /= IPv6ExtHdrHopByHop(options=[RouterAlert()])
    header /= IPv6ExtHdrRouting(addresses=["fd00::77"], segleft=0)
    return header / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\x5a" * 4)])


def destination(size: int) -> Packet:
    """Return destination options of ``size`` bytes."""
    return IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(size - 4))])


def authenticated(version: str) -> Packet:
    """Return an IP header with AH behind it."""
    return ip("inner", version) / AH(nh=6, payloadlen=4, spi=1, seq=2, icv=b"\x3c" * 12)


def nvgre_with(header: Packet) -> list[Packet]:
    """Return the layers of a tunnel down to the inner IP ``header``."""
    return [ip("outer", "4"), tunnel_layer("nvgre"), link("inner"), header]


def with_tcp_checksum(built: Built) -> bytes:
    """Return the frame with the checksum of its last layer, TCP, as it would be without what is in front.

    Scapy does not find the pseudo-header behind AH.
    """
    start = built.starts[-2]
    plain = bytes(ip("inner", "6") / l4("tcp", "6") / Raw(built.frame[start + 20 :]))
    return built.changed(start + 16, plain[56:58])
