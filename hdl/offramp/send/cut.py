"""Plans where a train's payload is cut."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import check_lanes
from offramp.queue import ShallowQueue
from offramp.records import PAYLOAD_BITS
from offramp.send.train import Limits, Train


class Slice(data.StructLayout):
    """One frame's payload, as it is to be moved from the packet's lanes to the frame's.

    Lanes are those of beats. The payload of every frame starts in lane ``head``; in the packet it is turned
    by ``turn`` lanes. ``beats`` counts the frame's beats from the one in which the payload starts, less one,
    and ``tail`` the last one's valid lanes (zero: all); an ``empty`` slice has no beat of its own and no
    valid ``beats``. A ``short`` one has a beat or none. ``wraps`` says that the last beat takes bytes from
    two of the packet's. The next slice starts in packet beats that are one back from those in which this
    one ends, the same, or one ahead.

    ``sum_beats`` ... are the same as without ``sum_`` for the bytes that are summed, which ``start`` and
    ``stop`` in the packet's lanes.
    """

    def __init__(self, lanes: int, limits: Limits) -> None:
        depth = exact_log2(lanes)
        beats = limits.slice_bits + 1 - depth
        super().__init__({
            "bytes": limits.slice_bits,
            "last": 1,
            "turn": depth,
            "beats": beats,
            "tail": depth,
            "short": 1,
            "empty": 1,
            "wraps": 1,
            "back": 1,
            "same": 1,
            "ahead": 1,
            "sum_beats": beats,
            "sum_short": 1,
            "sum_empty": 1,
            "start": depth,
            "stop": depth,
        })


class Cut(wiring.Component):
    """Turns each train into the slices that its frames carry (LSO-10, LSO-11).

    All slices but the last are as long as the MSS; a train without payload has one empty slice (INV-7).
    One slice a cycle, trains back to back.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.

    Members
    -------
    train : In(Train(limits))
        A train.
    judged : In(1)
        It is the next one.
    passed : In(1)
        With ``judged``: it is not refused. Refused ones have no slices.
    abort : In(1)
        What is left of the train whose slice was taken last is not needed: a few more slices of it follow,
        then one that is its ``last``.
    full : Out(1)
        Stop: a few more trains fit in.
    hold : In(1)
        Stop: cut no more. May be late: up to two more slices follow.
    cut : Out(StructLayout({"valid": 1, "bytes": ..., "first": 1, "last": 1}))
        A slice is cut; as early as that is known, and in order.
    slices : Out(stream.Signature(Slice(lanes, limits)))
        Its slices, in order, the first one :attr:`latency` cycles after ``judged``.
    """

    slices: stream.Interface

    latency = 3

    def __init__(self, lanes: int, limits: Limits) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        super().__init__({
            "train": In(Train(limits)),
            "judged": In(1),
            "passed": In(1),
            "abort": In(1),
            "full": Out(1),
            "hold": In(1),
            "cut": Out(
                data.StructLayout({"valid": 1, "bytes": limits.slice_bits, "first": 1, "last": 1})
            ),
            "slices": Out(stream.Signature(Slice(lanes, limits))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = exact_log2(self.lanes)
        train: Any = self.train

        # Places of last bytes, counted from lane 0 of the beat in which the payload starts: a slice's beats
        # can be read off them.
        head = train.header_bytes[:depth]
        given = {
            "refused": ~self.passed,
            "head": head,
            "single": train.single,
            "segmented": train.segmented,
            "payload_bytes": train.payload_bytes,
            "slice_bytes": train.slice_bytes,
            "payload_final": train.last_byte - (train.header_bytes[depth:] << depth),
            "slice_final": train.slice_bytes + (head - Const(1)),
            "sum_final": train.sum_bytes + (head - Const(1)),
            "bare": train.bare,
            "summed": Cat(train.sum_bytes[n : n + 4].any() for n in range(0, len(train.sum_bytes), 4)),
        }
        place = signed(self.limits.slice_bits + 2)
        layout = data.StructLayout({
            **{name: len(value) for name, value in given.items()},
            "payload_final": signed(PAYLOAD_BITS + 2),
            "slice_final": place,
            "sum_final": place,
        })
        m.submodules.orders = orders = ShallowQueue(layout, 16, reserve=8, late=True)
        m.d.comb += [
            orders.input.valid.eq(self.judged),
            self.full.eq(orders.almost_full),
            *(orders.input.p[name].eq(value) for name, value in given.items()),
        ]

        m.submodules.slices = slices = ShallowQueue(self.slices.p.shape(), 16, reserve=4, late=True)
        wiring.connect(m, slices.output, wiring.flipped(self.slices))
        self._measure(m, self._count(m, orders, slices), slices)
        return m

    def _count(self, m: Module, orders: ShallowQueue, slices: ShallowQueue) -> Any:
        """First cycle: how many bytes each slice has, and by how much the packet is turned."""
        depth = exact_log2(self.lanes)
        order: Any = orders.output.p
        mss = order.slice_bytes

        room = Signal()
        m.d.sync += room.eq(~slices.almost_full & ~self.hold)

        # Behind the first slice: bytes that are left, where the last of them would be if they were the
        # slice, and by how much they exceed one more full slice.
        inside = Signal()
        left = Signal(PAYLOAD_BITS, reset_less=True)
        left_final = Signal.like(order.payload_final, reset_less=True)
        excess = Signal(signed(PAYLOAD_BITS + 2), reset_less=True)  # left - mss - 1
        turn = Signal(depth, reset_less=True)
        aborted = Signal()

        last, go = Signal(), Signal()
        remaining = Signal.like(left)
        remaining_final = Signal.like(left_final)
        size = Signal(self.limits.slice_bits)
        final = Signal.like(order.slice_final)
        m.d.comb += [
            go.eq(orders.output.valid & ~order.refused & room),
            last.eq(Mux(inside, (excess < 0) | aborted, order.single)),
            orders.output.ready.eq((last | order.refused) & room),
            remaining.eq(Mux(inside, left, order.payload_bytes)),
            remaining_final.eq(Mux(inside, left_final, order.payload_final)),
            size.eq(Mux(last, remaining, mss)),
            final.eq(Mux(last, remaining_final, order.slice_final)),
        ]
        here = Signal(depth)
        carried = Signal(depth + 2)
        m.d.comb += [
            here.eq(Mux(inside, turn, 0)),
            carried.eq(here + mss[: depth + 2]),
        ]
        with m.If(go):
            m.d.sync += [
                inside.eq(~last),
                turn.eq(carried),
                left.eq(remaining - mss),
                left_final.eq(remaining_final - mss),
                # The first slice is not taken off yet where the second one begins.
                excess.eq(Mux(inside, excess, order.payload_bytes) - Mux(inside, mss, (mss << 1) + 1)),
            ]

        # Ends of trains on their way to whoever takes the slices: without any, it is at our train.
        # Both what they take and that they abort is heard a cycle late.
        ends = Signal(range(32))
        taken, abort = Signal(), Signal()
        m.d.sync += [
            taken.eq(slices.output.valid & slices.output.ready & slices.output.p.last),
            abort.eq(self.abort),
            ends.eq(ends + (go & last) - taken),
            aborted.eq((aborted | (abort & (ends == 0))) & inside & ~(go & last)),
        ]

        counted: Any = Signal(
            data.StructLayout({
                "valid": 1,
                "bytes": len(size),
                "first": 1,
                "last": 1,
                "turn": depth,
                "advance": 2,  # packet beats from this slice's first to the next one's, modulo four
                "start": depth,
                "final": final.shape(),
                "sum_final": final.shape(),
                "sum_empty": 1,
            })
        )
        m.d.sync += [
            counted.valid.eq(go),
            counted.bytes.eq(size),
            counted.first.eq(~inside),
            counted.last.eq(last),
            counted.turn.eq(here),
            counted.advance.eq(carried[depth:]),
            counted.start.eq(order.head + here),
            counted.final.eq(final),
            counted.sum_final.eq(Mux(order.segmented, final, order.sum_final)),
            counted.sum_empty.eq(Mux(order.segmented, order.bare, ~order.summed.any())),
        ]
        return counted

    def _measure(self, m: Module, counted: Any, slices: ShallowQueue) -> None:
        """Second cycle: in which lanes it ends."""
        depth = exact_log2(self.lanes)
        cut: Any = slices.input.p
        final, sum_final = counted.final, counted.sum_final
        beats, sum_beats = final[depth:-1], sum_final[depth:-1]
        m.d.comb += [
            self.cut.valid.eq(counted.valid),
            self.cut.bytes.eq(counted.bytes),
            self.cut.first.eq(counted.first),
            self.cut.last.eq(counted.last),
            slices.input.valid.eq(counted.valid),
            cut.bytes.eq(counted.bytes),
            cut.last.eq(counted.last),
            cut.turn.eq(counted.turn),
            cut.beats.eq(beats),
            cut.tail.eq(final[:depth] + 1),
            cut.short.eq(final[-1] | ~beats.any()),
            cut.empty.eq(final[-1]),
            # Whether the turn carries the last byte into another beat.
            cut.wraps.eq((final[:depth] + counted.turn)[depth]),
            *(
                step.eq(counted.advance == (beats + n)[:2])
                for step, n in ((cut.back, -1), (cut.same, 0), (cut.ahead, 1))
            ),
            cut.sum_beats.eq(sum_beats),
            cut.sum_short.eq(~sum_beats.any()),
            cut.sum_empty.eq(counted.sum_empty),
            cut.start.eq(counted.start),
            cut.stop.eq(sum_final[:depth] + counted.turn + 1),
        ]
