"""The first stage behind the walk: where everything in a received frame ends, by its length fields."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import CARRIED_BITS, OFFSET_BITS, Layout, Look, Passage
from offramp.walk.transport import TCP_BYTES, UDP_BYTES
from offramp.walk.tunnel import ETHERNET_BYTES

END_BITS = 17
"""Byte offsets behind what a 16-bit length field can reach."""


IPV4_ADDRESSES = (12, 20)
IPV6_ADDRESSES = (8, 40)
"""First byte of an IP header's addresses, and the byte behind them."""


class Ends(data.Struct):
    """Bytes behind what the length fields span.

    ``outer_ip`` and ``inner_ip`` by the IP headers; ``outer`` and ``inner`` behind what a checksum of the
    protocol above covers: by UDP's own length, or else as the IP header says. ``headers`` is behind the last
    header that is needed; TCP's options are not. ``datagram`` and ``frame`` are behind the outer UDP header
    and the inner Ethernet header, if there are any.
    """

    outer_ip: END_BITS
    outer: END_BITS
    inner_ip: END_BITS
    inner: END_BITS
    headers: OFFSET_BITS
    datagram: OFFSET_BITS
    frame: OFFSET_BITS


class Addressed(data.Struct):
    """Where the addresses of an IP header are: their first byte, and the byte behind them."""

    first: OFFSET_BITS
    behind: OFFSET_BITS


class Surveyed(data.StructLayout):
    """A beat of a received frame, with what is known by the end of it.

    ``index`` is its number in the frame, up to the longest frame's last; longer ones count as so long.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    max_bytes : int
        Length of the longest frame.
    max_header_bytes : int
        Bytes of a frame that are looked at for headers.
    """

    def __init__(self, lanes: int, max_bytes: int, max_header_bytes: int) -> None:
        self.lanes = lanes
        self.max_bytes = max_bytes
        self.max_header_bytes = max_header_bytes
        super().__init__({
            "valid": 1,
            "last": 1,
            "index": range(max_bytes // lanes),
            "data": data.ArrayLayout(8, lanes),
            "bytes": range(max_bytes + 1),  # up to the end of the beat
            "limit": range(max_header_bytes + 1),  # of them that were looked at for headers
            "limit_again": range(max_header_bytes + 1),  # so that one register need not reach everything
            "over": 1,  # not all of them were
            "look": Look,
            "carried": CARRIED_BITS,
            "layout": Layout,
            "ends": Ends,
            "addressed": data.StructLayout({"outer": Addressed, "inner": Addressed}),
            "outer_udp": 1,  # the outer IP header is followed by UDP, VXLAN's or not
        })


class Survey(wiring.Component):
    """Adds lengths to places.

    Free-running, one beat a cycle.

    Parameters
    ----------
    passage : Passage
        Layout of the beats of the walk.
    max_bytes : int
        Length of the longest frame.

    Members
    -------
    passed : In(passage)
        Beats that have passed the walk, those behind its window as well.
    surveyed : Out(Surveyed(lanes, max_bytes, max_header_bytes))
        The same beats, :attr:`latency` cycles later.
    """

    latency = 1

    def __init__(self, passage: Passage, max_bytes: int) -> None:
        self.passage = passage
        self.shape = Surveyed(passage.lanes, max_bytes, passage.max_header_bytes)
        super().__init__({
            "passed": In(passage),
            "surveyed": Out(self.shape),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat: Any = self.passed
        layout = beat.layout
        outer, inner, tunnel, transport = layout.outer, layout.inner, layout.tunnel, layout.transport
        found = tunnel.nvgre | tunnel.vxlan
        moves = beat.valid | beat.beyond

        index = Signal(self.shape["index"].shape)
        octets = Cat(beat.count, index + (beat.count == 0))
        limit = Signal(self.shape["limit"].shape)
        limit_again = Signal.like(limit, init=1, reset_less=True)  # or both would be merged
        over = index >= self.passage.max_header_bytes // self.passage.lanes
        m.d.comb += limit.eq(Mux(over, self.passage.max_header_bytes, octets))
        with m.If(moves):
            m.d.sync += index.eq(Mux(layout.last, 0, index + ~index.all()))

        def end(start: Value, length: Value) -> Value:
            return (start + length)[:END_BITS]

        # Before a datagram's length has passed, its end is far away.
        far = (1 << END_BITS) - 2
        outer_udp = tunnel.vxlan | (transport.udp & ~found)
        outer_ip, inner_ip = (end(ip.length_from, ip.length) for ip in (outer, inner))
        outer_datagram = Mux(tunnel.told, end(outer.end, tunnel.length), far)
        inner_datagram = Mux(layout.cut, far, end(inner.end, transport.sequence[16:]))

        innermost = Mux(found, inner.end, outer.end)
        needed = innermost + Mux(transport.tcp, TCP_BYTES, UDP_BYTES)

        kept: Any = Signal(self.surveyed.shape(), name="kept", reset_less=True)
        valid = Signal()
        m.d.sync += [
            valid.eq(moves),
            kept.last.eq(layout.last),
            kept.index.eq(index),
            kept.data.eq(beat.data),
            kept.bytes.eq(octets),
            kept.limit.eq(limit),
            limit_again.eq(limit),
            kept.over.eq(over),
            kept.look.eq(beat.look),
            kept.carried.eq(beat.carried),
            kept.layout.eq(layout),
            kept.outer_udp.eq(outer_udp),
            kept.ends.outer_ip.eq(outer_ip),
            kept.ends.outer.eq(Mux(outer_udp, outer_datagram, outer_ip)),
            kept.ends.inner_ip.eq(inner_ip),
            kept.ends.inner.eq(Mux(transport.udp, inner_datagram, inner_ip)),
            kept.ends.headers.eq(Mux(transport.tcp | transport.udp, needed, layout.end)),
            kept.ends.datagram.eq(outer.end + UDP_BYTES),
            kept.ends.frame.eq(tunnel.inner_frame + ETHERNET_BYTES),
        ]
        for layer, ip in (("outer", outer), ("inner", inner)):
            places = zip(("first", "behind"), IPV4_ADDRESSES, IPV6_ADDRESSES, strict=True)
            for name, ipv4_place, ipv6_place in places:
                place = ip.start + Mux(ip.ipv6, ipv6_place, ipv4_place)
                m.d.sync += kept.addressed[layer][name].eq(place)
        m.d.comb += [
            self.surveyed.eq(kept),
            self.surveyed.valid.eq(valid),
            self.surveyed.limit_again.eq(limit_again),
        ]
        return m
