"""What the header walk finds, and how it is handed from layer to layer."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from amaranth.utils import exact_log2

OFFSET_BITS = 12
"""Byte offsets in a packet; the last IPv6 extension header may run 2,048 bytes past the limit."""


CARRIED_BITS = 8
"""Bits that travel with every beat of a packet and mean nothing to the walk."""

REACH_BYTES = 58
"""Bytes behind a pointer that are looked at, at most: those of an inner frame up to its IP addresses."""


class EtherType:
    """EtherTypes that the walk knows."""

    IPV4 = 0x0800
    IPV6 = 0x86DD
    CUSTOMER_TAG = 0x8100
    SERVICE_TAG = 0x88A8
    TRANSPARENT_BRIDGING = 0x6558


def is_tag(kind: Value) -> Value:
    """Whether EtherType ``kind`` is that of a VLAN tag."""
    return (kind == EtherType.CUSTOMER_TAG) | (kind == EtherType.SERVICE_TAG)


class Protocol:
    """IP protocol numbers that the walk knows."""

    HOP_BY_HOP = 0
    TCP = 6
    UDP = 17
    ROUTING = 43
    FRAGMENT = 44
    GRE = 47
    ESP = 50
    AH = 51
    DESTINATION = 60


WALKED = (Protocol.HOP_BY_HOP, Protocol.ROUTING, Protocol.FRAGMENT, Protocol.AH, Protocol.DESTINATION)
"""IPv6 extension headers that are walked over; a fragment header is the last one (TXC-11, RXC-8)."""


def is_among(protocol: Value, numbers: Sequence[int]) -> Value:
    """Whether ``protocol`` is one of some numbers."""
    low, high = protocol[:4], protocol[4:]  # what few bits tell is told by few levels of logic
    sixteens = sorted({number >> 4 for number in numbers})
    return Cat(
        (high == sixteen) & Cat(low == number & 15 for number in numbers if number >> 4 == sixteen).any()
        for sixteen in sixteens
    ).any()


def is_secured(protocol: Value) -> Value:
    """Whether ``protocol`` is an AH or ESP header."""
    return (protocol == Protocol.AH) | (protocol == Protocol.ESP)


class Pointer(data.Struct):
    """Where the next header is, as far as the bytes up to this beat tell.

    ``known`` is clear until they do. ``ended`` means that nothing behind ``start`` is understood, and
    ``chained`` that an IPv6 extension header is there that is still to be walked over. ``tentative`` means
    that a UDP header is there that may still turn out to be a tunnel's. Behind extension headers, ``gre``,
    ``tcp`` and ``udp`` say what is there, if it is one of these, known and understood.
    """

    known: 1
    ended: 1
    chained: 1
    tentative: 1
    gre: 1
    tcp: 1
    udp: 1
    protocol: 8
    start: OFFSET_BITS


class Network(data.Struct):
    """An IP header and its extension headers.

    ``start`` is the first byte of the IP header and ``end`` the byte behind its last extension header.
    ``length`` is the Total Length of IPv4 or the Payload Length of IPv6, ``protocol`` what is at ``end`` if
    the header is ``whole``; ``length_from`` is the byte that the length counts from. ``malformed`` says that
    the version nibble is not the EtherType's or that IHL is below 5; ``secured`` that there is an AH or ESP
    header; ``routed`` that a routing header has segments left.
    """

    ipv4: 1
    ipv6: 1
    malformed: 1
    whole: 1
    fragment: 1
    secured: 1
    routed: 1
    protocol: 8
    identification: 16
    length: 16
    length_from: OFFSET_BITS
    start: OFFSET_BITS
    end: OFFSET_BITS


class Tunnel(data.Struct):
    """What stands between the outer IP header and the inner Ethernet header.

    ``gre_options`` marks a GRE header that would be NVGRE were it not for a checksum, routing or sequence
    field, and ``unknown`` one of GRE or VXLAN that is not understood. ``vxlan_port`` says that the outer UDP
    header's destination is what means VXLAN. ``inner_frame`` is the first byte of the
    inner Ethernet header where ``nvgre`` or ``vxlan`` is set.
    """

    nvgre: 1
    vxlan: 1
    gre_options: 1
    unknown: 1
    vxlan_port: 1
    checksum: 1  # the outer UDP header, or GRE, has a checksum
    inner_tag: 1
    inner_frame: OFFSET_BITS
    told: 1  # the next field has passed
    length: 16  # of the outer UDP datagram


class Transport(data.Struct):
    """The innermost TCP or UDP header.

    ``control`` is TCP's word of data offset and flags, ``sequence`` its sequence number (for UDP the upper
    half is the length field), ``checksum`` the checksum field, ``ports`` source and destination.
    """

    tcp: 1
    udp: 1
    ports: 32
    sequence: 32
    control: 16
    checksum: 16


class Layout(data.Struct):
    """Everything the walk found in one packet.

    ``end`` is the byte behind the last header that the walk visited; ``cut`` says that the packet (``last``)
    or the window ended before that header's fields had passed. With ``last`` the packet has ``octets`` bytes,
    and ``mismatch`` repeats its mark. What is behind those bytes in the last beat may have been taken for
    headers; if so, ``end`` is behind them as well. ``split`` is set where the second buffer begins in front
    of the inner frame (SG-3).
    """

    tags: 2  # of the outer Ethernet header
    outer: Network
    tunnel: Tunnel
    inner: Network
    transport: Transport
    end: OFFSET_BITS
    cut: 1
    last: 1
    octets: OFFSET_BITS  # that there are
    mismatch: 1
    split: 1


def is_present(beat: Any, layer: str) -> Value:
    """Whether a packet has that layer's IP header, if any: the inner one is inside a tunnel only."""
    tunnel = beat.layout.tunnel
    return Const(1) if layer == "outer" else tunnel.nvgre | tunnel.vxlan


class Look(data.Struct):
    """Which tunnels to look into.

    ``strict`` says that there has to be one, and that GRE must be NVGRE to the letter: a packet that should
    have a tunnel and has none ends the walk. Without it, protocols and ports decide (RXP-1).
    """

    nvgre: 1
    vxlan: 1
    strict: 1
    vxlan_port: 16


class Passage(data.StructLayout):
    """One beat on its way through the walk, with what is known by the end of it.

    Headers are looked for in the *window*, the first ``max_header_bytes`` bytes of a packet: in beats that
    are ``valid``. Those behind it are ``beyond``; they only go along.
    ``next_index`` is ``index`` + 1, so that nobody has to count before comparing.
    ``apart`` has bit n set n beats behind the one that the pointer points into, as far as anybody looks, and
    ``anew`` says that the pointer has nothing to do with those before.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    max_header_bytes : int
        Bytes that the walk looks at, a multiple of ``lanes``.
    """

    def __init__(self, lanes: int, max_header_bytes: int) -> None:
        self.lanes = lanes
        self.max_header_bytes = max_header_bytes
        super().__init__({
            "valid": 1,
            "beyond": 1,
            "first": 1,
            "anew": 1,
            "final": 1,  # last beat of the packet or of the window
            "index": range(max_header_bytes // lanes),
            "next_index": range(max_header_bytes // lanes + 1),
            "data": data.ArrayLayout(8, lanes),
            "count": exact_log2(lanes),
            "look": Look,
            "carried": CARRIED_BITS,  # for whoever is behind the walk
            "buffer": data.StructLayout({"ended": 1, "bytes": 8}),
            "pointer": Pointer,
            "apart": (REACH_BYTES + lanes - 2) // lanes + 1,
            "layout": Layout,
        })

    @property
    def beat_shift(self) -> int:
        """Bits of an offset that count lanes inside a beat."""
        return exact_log2(self.lanes)

    def later(self, m: Module, beat: Any, *, name: str) -> Any:
        """Return ``beat`` a cycle later, of which a reset forgets only that there was one."""
        kept: Any = Signal(self, name=f"{name}_kept", reset_less=True)
        valid, beyond = Signal(name=f"{name}_valid"), Signal(name=f"{name}_beyond")
        later: Any = Signal(self, name=name)
        m.d.sync += [kept.eq(beat), valid.eq(beat.valid), beyond.eq(beat.beyond)]
        m.d.comb += [later.eq(kept), later.valid.eq(valid), later.beyond.eq(beyond)]
        return later
