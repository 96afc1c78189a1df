"""Cuts the payload at the MSS boundaries and turns every slice to the lanes that it leaves in."""

from typing import Any

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.checksum import RangeSum
from offramp.packet import GROUP_LANES, at_most, check_lanes
from offramp.send.cut import Slice
from offramp.send.train import Limits, Part, Stored


class Slicer(wiring.Component):
    """Moves payload from the packet's lanes to those of its frames, and sums it.

    Every slice leaves in whole beats of its own, its first byte in lane ``head``. A packet beat that ends
    one slice and starts the next is used twice. Two beats of the packet are at hand at any time, so that
    an output beat takes from both; it is turned once, by the slice's own ``turn``.

    One output beat a cycle, slices and packets back to back.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.

    Members
    -------
    slices : In(stream.Signature(Slice(lanes, limits)))
        Where to cut.
    parts : In(stream.Signature(Part(lanes)))
        The packets' beats, from the one in which the payload starts.
    abort : Out(1)
        The packet has ended before the slice did, which is not the train's last: no more of it are needed.
    room : In(1)
        More beats can be stored. May be late: up to :attr:`latency` and one more beats follow.
    beat : Out(StructLayout({"valid": 1, "data": ...}))
        A beat to store.
    ended : Out(StructLayout({"valid": 1, "slice": Stored(lanes, limits)}))
        A slice has ended, in order. Its last beat follows :attr:`turn_stages` cycles later.
    sum : Out(StructLayout({"valid": 1, "halves": ArrayLayout(16, 2)}))
        One's-complement sum of each slice, in order, as two words that are still to be added.
    """

    slices: stream.Interface
    parts: stream.Interface

    def __init__(self, lanes: int, limits: Limits) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        super().__init__({
            "slices": In(stream.Signature(Slice(lanes, limits))),
            "parts": In(stream.Signature(Part(lanes))),
            "abort": Out(1),
            "room": In(1),
            "beat": Out(data.StructLayout({"valid": 1, "data": data.ArrayLayout(8, lanes)})),
            "ended": Out(data.StructLayout({"valid": 1, "slice": Stored(lanes, limits)})),
            "sum": Out(data.StructLayout({"valid": 1, "halves": data.ArrayLayout(16, 2)})),
        })

    @property
    def turn_stages(self) -> int:
        """Register stages of the rotator."""
        return 1 if self.lanes < 32 else 2

    @property
    def latency(self) -> int:
        """Cycles from taking a packet beat to the beat to store."""
        return 1 + self.turn_stages

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.lanes

        # The slice at work, with its lane masks worked out.
        current: Any = Signal(Slice(lanes, self.limits), reset_less=True)
        active, able = Signal(), Signal()  # there is one; and there is room for its beats
        first_beat, at_end = Signal(), Signal()
        closing = Signal()  # at the end of the train's last slice
        sum_end, sum_over = Signal(), Signal()
        upwards = Signal()  # the lanes that are summed are a range that does not wrap around
        left = Signal.like(current.beats, reset_less=True)
        sum_left = Signal.like(current.sum_beats, reset_less=True)

        older: Any = Signal(Part(lanes), reset_less=True)
        two = Signal()  # the slice's next byte is in ``older``; the newer beat is the one that follows it
        behind = Signal()  # the slice's next beat needs the first of the two only
        move = Signal()  # the output beat behind this one starts a packet beat further on
        newer: Any = self.parts.p

        # A packet that has ended too early ends all slices that its train still has, each in a cycle.
        go, ends, early, final = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            go.eq(able & self.parts.valid),
            ends.eq(at_end | newer.spoilt),
            early.eq(newer.spoilt & ~closing),
            final.eq(ends & current.last),
            self.abort.eq(go & newer.spoilt & ~current.last),
        ]

        # A packet's last beat, and no other is spoilt, stays until the train's last slice is done with it.
        shift, passes = Signal(), Signal()
        m.d.comb += [
            shift.eq(~newer.last & (move | ~two)),
            passes.eq((move & ~two) | shift),
            # That is `final | shift | (~early & move & ~two)`, put so that little stands behind what is slow.
            self.parts.ready.eq(able & Mux(newer.spoilt, current.last, closing | passes)),
        ]
        with m.If(go):
            m.d.sync += two.eq(~final & ~early & Mux(two, ~move | ~newer.last, ~move & ~newer.last))

        def advance(active: Signal, able: Signal) -> Value:
            """Keep these up to date; return whether the next slice is taken."""
            take = ~active | (able & self.parts.valid & ends)
            m.d.sync += [
                active.eq(Mux(take, self.slices.valid, active)),
                able.eq(self.room & Mux(take, self.slices.valid, active)),
            ]
            return take

        coming: Any = self.slices.p
        take = Signal()
        m.d.comb += [
            take.eq(advance(active, able)),
            self.slices.ready.eq(advance(*(Signal(name=f"{name}_next") for name in ("active", "able")))),
        ]
        still_behind = Signal()
        m.d.comb += still_behind.eq(
            Mux(go, at_end & ~final & Mux(behind, current.same, current.back), behind)
        )
        m.d.sync += behind.eq(still_behind)
        with m.If(take):
            m.d.sync += [
                current.eq(coming),
                left.eq(coming.beats),
                at_end.eq(coming.short),
                closing.eq(coming.short & coming.last),
                move.eq(~still_behind & (~coming.short | coming.ahead)),
                sum_left.eq(coming.sum_beats),
                sum_end.eq(coming.sum_short),
                sum_over.eq(coming.sum_empty),
                upwards.eq(coming.start < Mux(coming.sum_short, coming.stop, coming.turn)),
                first_beat.eq(1),
            ]
        with m.Elif(go):
            ending = left == 1
            m.d.sync += [
                first_beat.eq(0),
                left.eq(left - 1),
                at_end.eq(ending),
                closing.eq(ending & current.last),
                move.eq(~ending | current.ahead),
                sum_left.eq(sum_left - 1),
                sum_end.eq(sum_left == 1),
                sum_over.eq(sum_over | sum_end),
                upwards.eq((sum_left == 1) & (current.turn < current.stop)),
            ]

        # Each group of lanes has its own flags.
        from_turn, from_start, below_stop = (
            Signal(lanes, name=name, reset_less=True) for name in ("from_turn", "from_start", "below_stop")
        )
        for group in range(0, lanes, GROUP_LANES):
            mine = slice(group, group + GROUP_LANES)
            flags = [Signal(name=f"{name}{group}") for name in ("active", "able")]
            with m.If(advance(*flags)):
                m.d.sync += [
                    from_turn[mine].eq(Cat(at_most(coming.turn)[mine])),
                    from_start[mine].eq(Cat(at_most(coming.start)[mine])),
                    below_stop[mine].eq(~Cat(at_most(coming.stop)[mine])),
                ]
            with m.If(~two | (flags[1] & self.parts.valid & shift)):
                m.d.sync += [older.data[n].eq(newer.data[n]) for n in range(lanes)[mine]]
        with m.If(~two | (go & shift)):
            m.d.sync += [older[name].eq(newer[name]) for name in ("last", "bad", "spoilt")]

        # First register: the packet's two beats as one, lanes still the packet's.
        joined = Signal(data.ArrayLayout(8, lanes), reset_less=True)
        for n in range(lanes):
            m.d.sync += joined[n].eq(Mux(two & (behind | from_turn[n]), older.data[n], newer.data[n]))

        # Lanes are summed from ``start`` on in a slice's first beat, and up to ``stop`` in its last one.
        lower = Mux(first_beat, from_start, from_turn)
        upper = Mux(sum_end, below_stop, ~from_turn)
        enable = Mux(upwards, lower & upper, lower | upper) & ~sum_over.replicate(lanes)

        two_beats = two & ~behind & current.wraps
        m.d.sync += [
            self.ended.valid.eq(go & ends),
            self.ended.slice.bytes.eq(current.bytes),
            self.ended.slice.beats.eq(current.beats - left),
            self.ended.slice.tail.eq(current.tail),
            self.ended.slice.empty.eq(current.empty),
            self.ended.slice.last.eq(current.last),
            self.ended.slice.bad.eq(early | Mux(two & ~two_beats, older.bad, newer.bad)),
        ]
        self._sum(m, go, go & ends, joined, current.turn, enable)
        self._turn(m, go & ~current.empty, joined, current.turn)

        if platform is None:
            with m.If(go & final):
                m.d.sync += Assert(newer.last, "a train ends with its packet")
        return m

    def _sum(
        self, m: Module, valid: Value, end: Value, joined: Value, turn: Value, enable: Value
    ) -> None:
        # At 64 lanes the walk needs the cycle that a fifth level saves more than the sum does.
        m.submodules.sum = unit = RangeSum(self.lanes, depth=4 if self.lanes < 64 else 5, folded=False)
        m.d.comb += unit.beat.data.eq(joined)
        m.d.sync += [
            unit.beat.valid.eq(valid),
            unit.beat.enable.eq(enable),
            unit.beat.last.eq(end),
        ]
        # An odd turn exchanges high and low bytes, and so does it in the sum (RFC 1071, byte order).
        odd = Signal(unit.latency + 1, reset_less=True)
        m.d.sync += odd.eq(Cat(turn[0], odd))
        m.d.comb += self.sum.valid.eq(unit.sum.valid)
        for half, value in zip(self.sum.halves, unit.sum.halves, strict=True):
            m.d.comb += half.eq(Mux(odd[-1], Cat(value[8:], value[:8]), value))

    def _turn(self, m: Module, valid: Value, joined: Any, turn: Value) -> None:
        """Rotate the joined beats towards lane 0 by ``turn``, half of it in each register stage."""
        present = Signal(self.latency)
        m.d.sync += present.eq(Cat(valid, present))
        amount = Signal(len(turn), reset_less=True)
        m.d.sync += amount.eq(turn)

        octets = [joined[n] for n in range(self.lanes)]
        steps = list(reversed(range(len(turn))))
        share = -(-len(steps) // self.turn_stages)
        for stage in range(self.turn_stages):
            for step in steps[stage * share : (stage + 1) * share]:
                further = octets[1 << step :] + octets[: 1 << step]
                octets = [Mux(amount[step], *pair) for pair in zip(further, octets, strict=True)]
            turned = Signal(data.ArrayLayout(8, self.lanes), name=f"turned{stage}", reset_less=True)
            rest = Signal(len(turn), name=f"amount{stage}", reset_less=True)
            m.d.sync += [turned.eq(Cat(octets)), rest.eq(amount)]
            octets, amount = [turned[n] for n in range(self.lanes)], rest
        m.d.comb += [self.beat.valid.eq(present[-1]), self.beat.data.eq(turned)]
