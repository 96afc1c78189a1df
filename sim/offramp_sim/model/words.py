"""The 32-bit out-of-band words that travel with a packet, field by field (specification section 1)."""

import dataclasses
from typing import ClassVar, Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A 32-bit word made of named bit fields; bits that no field covers are reserved.

    Subclasses list their fields in :attr:`layout` as ``name: (lowest bit, width)``. Reserved bits are packed
    as zero and ignored when a word is taken apart (INV-18).
    """

    layout: ClassVar[dict[str, tuple[int, int]]] = {}

    def __post_init__(self) -> None:
        for name, (_, width) in self.layout.items():
            value = getattr(self, name)
            if not 0 <= value < 1 << width:
                raise ValueError(f"{type(self).__name__}.{name} has {width} bits, {value!r} does not fit")

    def pack(self) -> int:
        """Return the word."""
        return sum(getattr(self, name) << low for name, (low, _) in self.layout.items())

    @classmethod
    def unpack(cls, word: int) -> Self:
        """Return the fields of ``word``."""
        return cls(**{name: word >> low & (1 << width) - 1 for name, (low, width) in cls.layout.items()})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supplemental(Word):
    """What the host says about an encapsulated packet (OOB-1..8).

    Members
    -------
    encapsulated : 1 bit
        The packet carries an inner Ethernet frame.
    offsets_valid : 1 bit
        The three offsets below are valid.
    inner_frame_offset : 8 bits, bytes
        First byte of the packet to the inner Ethernet header.
    inner_ip_offset : 6 bits, bytes
        Inner Ethernet header to inner IP header.
    inner_transport_offset : 10 bits, bytes
        Inner IP header to inner transport header, whichever protocol that is.
    inner_ipv6, tcp_options : 1 bit each
        Hints about the inner headers; what the packet says wins (INV-13, INV-14).
    """

    encapsulated: int = 0
    offsets_valid: int = 0
    inner_frame_offset: int = 0
    inner_ip_offset: int = 0
    inner_transport_offset: int = 0
    inner_ipv6: int = 0
    tcp_options: int = 0

    layout: ClassVar = {
        "encapsulated": (0, 1),
        "offsets_valid": (1, 1),
        "inner_frame_offset": (2, 8),
        "inner_ip_offset": (10, 6),
        "inner_transport_offset": (16, 10),
        "inner_ipv6": (26, 1),
        "tcp_options": (27, 1),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checksum(Word):
    """Which checksums to insert (OOB-21..27); both version bits describe the outer IP header.

    Members
    -------
    ipv4, ipv6, tcp, udp, ip_header : 1 bit each
    tcp_header_offset : 10 bits, bytes
        First byte of the packet to the TCP header, 0 if not given; invalid when encapsulated.
    """

    ipv4: int = 0
    ipv6: int = 0
    tcp: int = 0
    udp: int = 0
    ip_header: int = 0
    tcp_header_offset: int = 0

    layout: ClassVar = {
        "ipv4": (0, 1),
        "ipv6": (1, 1),
        "tcp": (2, 1),
        "udp": (3, 1),
        "ip_header": (4, 1),
        "tcp_header_offset": (16, 10),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class LargeSend(Word):
    """A TCP large send (OOB-12..20); a word of zero asks for none.

    Members
    -------
    mss : 20 bits, bytes
        Most TCP payload bytes in one segment.
    tcp_header_offset : 10 bits, bytes
        First byte of the packet to the TCP header; invalid when encapsulated.
    version2 : 1 bit
        LSOv2, else LSOv1.
    ipv6 : 1 bit
        LSOv2 only: the packet is IPv6. Reserved in LSOv1, which is IPv4 only.
    """

    mss: int = 0
    tcp_header_offset: int = 0
    version2: int = 0
    ipv6: int = 0

    layout: ClassVar = {"mss": (0, 20), "tcp_header_offset": (20, 10), "version2": (30, 1), "ipv6": (31, 1)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class UdpSegmentation(Word):
    """A UDP segmentation send (OOB-37..40); a word of zero asks for none.

    Members
    -------
    mss : 20 bits, bytes
        UDP payload bytes in every datagram but the last.
    udp_header_offset : 10 bits, bytes
        First byte of the packet to the UDP header; invalid when encapsulated.
    ipv6 : 1 bit
        The packet is IPv6.
    """

    mss: int = 0
    udp_header_offset: int = 0
    ipv6: int = 0

    layout: ClassVar = {"mss": (0, 20), "udp_header_offset": (20, 10), "ipv6": (31, 1)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vlan(Word):
    """The 802.1Q tag to put on every frame (OOB-41); all 16 bits zero ask for none.

    Members
    -------
    priority : 3 bits
    canonical : 1 bit
    identifier : 12 bits
    """

    priority: int = 0
    canonical: int = 0
    identifier: int = 0

    layout: ClassVar = {"priority": (0, 3), "canonical": (3, 1), "identifier": (4, 12)}

    @property
    def tag(self) -> bytes:
        """The four bytes that go behind the MAC addresses, empty if no tag is asked for (SG-8)."""
        if not self.pack():
            return b""
        control = self.priority << 13 | self.canonical << 12 | self.identifier
        return b"\x81\x00" + control.to_bytes(2, "big")
