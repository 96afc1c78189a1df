"""One's-complement sums of the headers, taken as they leave the walk."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.checksum import RangeSum
from offramp.walk.layout import OFFSET_BITS, Layout, Passage


class BaseSums(data.Struct):
    """One's-complement sums of headers without their checksum fields, each two words that are to be added.

    ``outer`` and ``inner`` cover an IP header, extension headers included; ``transport`` the TCP or UDP
    header. If the outer header is IPv6, ``outer`` covers what a UDP checksum below VXLAN does: the
    addresses and everything from the UDP header, without its length, to the inner Ethernet header.
    """

    outer: data.ArrayLayout(16, 2)
    inner: data.ArrayLayout(16, 2)
    transport: data.ArrayLayout(16, 2)


class HeaderSums(wiring.Component):
    """Sums each header of a packet.

    Works on the beats that leave the walk, each with all that is known by then: every header that starts
    in a beat is known with it. Free-running, one beat a cycle.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.

    Members
    -------
    i : In(passage)
        Beats at the end of the walk.
    layout : In(Layout)
        What is known with them.
    o : Out(StructLayout({"valid": 1, "sums": BaseSums}))
        One set of sums for each packet, :attr:`latency` cycles after the beat with its last header byte (or
        the packet's last one, if that comes first).
    """

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self._units = {
            name: RangeSum(passage.lanes, granularity=2, depth=3, folded=False)
            for name in ("outer", "inner", "transport")
        }
        super().__init__({
            "i": In(passage),
            "layout": In(Layout),
            "o": Out(data.StructLayout({"valid": 1, "sums": BaseSums})),
        })

    @property
    def latency(self) -> int:
        """Cycles from the last header beat to the sums."""
        return 2 + self._units["outer"].latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, words = self.passage.beat_shift, self.passage.lanes // 2
        beat: Any = self.i
        outer, inner, transport = self.layout.outer, self.layout.inner, self.layout.transport
        tunnel = self.layout.tunnel.nvgre | self.layout.tunnel.vxlan
        present = transport.tcp | transport.udp
        transport_start = Mux(tunnel, inner.end, outer.end)

        # First cycle: where every place is, seen from this beat.
        def place(name: str, offset: Value) -> tuple[Signal, Signal, Signal]:
            number = Signal(OFFSET_BITS, name=f"{name}_byte")
            before = Signal(name=f"{name}_before", reset_less=True)
            here = Signal(name=f"{name}_here", reset_less=True)
            lane = Signal(depth - 1, name=f"{name}_lane", reset_less=True)
            m.d.comb += number.eq(offset)
            m.d.sync += [
                before.eq(number[depth:] < beat.index),
                here.eq(number[depth:] == beat.index),
                lane.eq(number[1:depth]),
            ]
            return before, here, lane

        def behind(name: str, offset: Value) -> Value:
            """One bit a word of the beat, set from ``offset`` on."""
            before, here, lane = place(name, offset)
            return Cat(before | (here & (lane <= n)) for n in range(words))

        def at(name: str, offset: Value, applies: Value) -> Value:
            """One bit a word of the beat, set at ``offset``."""
            _, here, lane = place(name, offset)
            wanted = Signal(name=f"{name}_wanted", reset_less=True)
            m.d.sync += wanted.eq(applies)
            return Cat(wanted & here & (lane == n) for n in range(words))

        def flag(name: str, value: Value) -> Value:
            kept = Signal(name=name, reset_less=True)
            m.d.sync += kept.eq(value)
            return kept.replicate(words)

        outer_start = behind("outer_start", outer.start + Mux(outer.ipv6, 8, 0))
        outer_end = behind("outer_end", Mux(outer.ipv6, outer.start + 40, outer.end))
        tunnel_start = behind("tunnel_start", outer.end)
        inner_start = behind("inner_start", inner.start)
        inner_end = behind("inner_end", inner.end)
        header = behind("transport_start", transport_start)
        header_end = behind("transport_end", self.layout.end)
        below_vxlan = flag("below_vxlan", outer.ipv6)
        inside = flag("inside", tunnel)
        counted = flag("counted", present)

        enables = {
            "outer": (
                (outer_start & ~outer_end) | (tunnel_start & ~(inside & inner_start) & below_vxlan)
            )
            & ~at("outer_checksum", outer.start + 10, outer.ipv4)
            & ~at("tunnel_length", outer.end + 4, outer.ipv6)
            & ~at("tunnel_checksum", outer.end + 6, outer.ipv6),
            "inner": inner_start & ~inner_end & inside & ~at("inner_checksum", inner.start + 10, inner.ipv4),
            "transport": header
            & ~header_end
            & counted
            & ~at("transport_checksum", transport_start + Mux(transport.udp, 6, 16), Const(1)),
        }

        # The sums are complete with the beat that has the last header byte.
        done = Signal()  # for this packet
        ends = Signal()
        m.d.comb += ends.eq(
            beat.valid
            & (beat.first | ~done)
            & (beat.final | (~self.layout.cut & ((self.layout.end - 1) >> depth <= beat.index)))
        )
        with m.If(beat.valid):
            m.d.sync += done.eq(ends | (done & ~beat.first))
        counts = beat.valid & (beat.first | ~done)

        # Second cycle: which words count.
        octets = [Signal(beat.data.shape(), name=f"data{n}", reset_less=True) for n in range(2)]
        valid, last = Signal(2), Signal(2, reset_less=True)
        m.d.sync += [
            octets[0].eq(beat.data),
            octets[1].eq(octets[0]),
            valid.eq(Cat(counts, valid)),
            last.eq(Cat(ends, last)),
        ]
        for name, unit in self._units.items():
            m.submodules[name] = unit
            enable = Signal(words, name=f"sums_{name}", reset_less=True)
            m.d.sync += enable.eq(enables[name])
            m.d.comb += [
                unit.beat.valid.eq(valid[-1]),
                unit.beat.data.eq(octets[1]),
                unit.beat.enable.eq(enable),
                unit.beat.last.eq(last[-1]),
                self.o.sums[name].eq(unit.sum.halves),
            ]
        m.d.comb += self.o.valid.eq(self._units["outer"].sum.valid)
        return m
