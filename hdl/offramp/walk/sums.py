"""One's-complement sums of the headers, taken as they leave the walk."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.checksum import RangeSum
from offramp.walk.layout import OFFSET_BITS, Passage
from offramp.walk.place import Places


class BaseSums(data.Struct):
    """One's-complement sums of headers without their checksum fields.

    ``outer`` and ``inner`` cover an IP header, extension headers included; ``transport`` the TCP or UDP
    header. If the outer header is IPv6, ``outer`` covers what a UDP checksum below VXLAN does: the
    addresses and everything from the UDP header, without its length, to the inner Ethernet header.
    """

    outer: 16
    inner: 16
    transport: 16


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
        Beats at the end of the walk, with what is known by them.
    o : Out(StructLayout({"valid": 1, "sums": BaseSums}))
        One set of sums for each packet, :attr:`latency` cycles after the beat with its last header byte (or
        the packet's last one, if that comes first).
    """

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self._units = {
            name: RangeSum(passage.lanes, granularity=2, depth=4)
            for name in ("outer", "inner", "transport")
        }
        super().__init__({
            "i": In(passage),
            "o": Out(data.StructLayout({"valid": 1, "sums": BaseSums})),
        })

    @property
    def latency(self) -> int:
        """Cycles from the last header beat to the sums."""
        return 3 + self._units["outer"].latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, words = self.passage.beat_shift, self.passage.lanes // 2
        beat: Any = self.i
        layout = beat.layout
        outer, inner, transport = layout.outer, layout.inner, layout.transport
        tunnel = layout.tunnel.nvgre | layout.tunnel.vxlan
        present = transport.tcp | transport.udp
        transport_start = Mux(tunnel, inner.end, outer.end)

        # First cycle: where every place is. Second cycle: where that is, seen from this beat.
        index = Signal.like(beat.index, reset_less=True)
        m.d.sync += index.eq(beat.index)

        always = Const(1)

        def byte(name: str, offset: Value, applies: Value) -> tuple[Signal, Signal]:
            number = Signal(OFFSET_BITS, name=f"{name}_byte", reset_less=True)
            wanted = Signal(name=f"{name}_wanted", reset_less=True)
            m.d.sync += [number.eq(offset), wanted.eq(applies)]
            return number, wanted

        places = Places(m, index, self.passage.lanes)

        def behind(name: str, offset: Value, applies: Value = always) -> Value:
            return places.behind(name, *byte(name, offset, applies))

        def at(name: str, offset: Value, applies: Value) -> Value:
            return places.at(name, *byte(name, offset, applies))

        outer_start = behind("outer_start", outer.start + Mux(outer.ipv6, 8, 0))
        outer_end = behind("outer_end", Mux(outer.ipv6, outer.start + 40, outer.end))
        tunnel_start = behind("tunnel_start", outer.end, outer.ipv6)
        inner_start = behind("inner_start", inner.start, tunnel)
        inner_end = behind("inner_end", inner.end)
        header = behind("transport_start", transport_start, present)
        header_end = behind("transport_end", layout.end)

        enables = {
            "outer": ((outer_start & ~outer_end) | (tunnel_start & ~inner_start))
            & ~at("outer_checksum", outer.start + 10, outer.ipv4)
            & ~at("tunnel_length", outer.end + 4, outer.ipv6)
            & ~at("tunnel_checksum", outer.end + 6, outer.ipv6),
            "inner": inner_start & ~inner_end & ~at("inner_checksum", inner.start + 10, inner.ipv4),
            "transport": header
            & ~header_end
            & ~at("transport_checksum", transport_start + Mux(transport.udp, 6, 16), always),
        }

        # The sums are complete with the beat that has the last header byte.
        valid = Signal(2)
        first, final = (Signal(2, name=name, reset_less=True) for name in ("first", "final"))
        cut, reached = (Signal(name=name, reset_less=True) for name in ("cut", "reached"))
        last_byte = Signal(OFFSET_BITS, reset_less=True)
        m.d.sync += [
            valid.eq(Cat(beat.valid, valid)),
            first.eq(Cat(beat.first, first)),
            final.eq(Cat(beat.final, final)),
            cut.eq(layout.cut),
            last_byte.eq(layout.end - 1),
            reached.eq(~cut & (last_byte[depth:] <= index)),
        ]

        # Third cycle: which beats and words count.
        done = Signal()  # for this packet
        counts, ends = Signal(), Signal()
        m.d.comb += [
            counts.eq(valid[-1] & (first[-1] | ~done)),
            ends.eq(counts & (final[-1] | reached)),
        ]
        with m.If(valid[-1]):
            m.d.sync += done.eq(ends | (done & ~first[-1]))
        octets = [Signal(beat.data.shape(), name=f"data{n}", reset_less=True) for n in range(3)]
        m.d.sync += [later.eq(earlier) for later, earlier in zip(octets, [beat.data, *octets], strict=False)]
        going, last = Signal(), Signal(reset_less=True)
        m.d.sync += [going.eq(counts), last.eq(ends)]
        for name, unit in self._units.items():
            m.submodules[name] = unit
            enable = Signal(words, name=f"sums_{name}", reset_less=True)
            m.d.sync += enable.eq(enables[name])
            m.d.comb += [
                unit.beat.valid.eq(going),
                unit.beat.data.eq(octets[-1]),
                unit.beat.enable.eq(enable),
                unit.beat.last.eq(last),
                self.o.sums[name].eq(unit.sum.value),
            ]
        m.d.comb += self.o.valid.eq(self._units["outer"].sum.valid)
        return m
