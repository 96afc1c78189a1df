"""Plans where a train's payload is cut."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
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
    valid ``beats``. ``wraps`` says that the last beat takes bytes from two of the packet's. The next slice
    starts in packet beats that are ``advance`` (-1, 0, 1) further than those in which this one ends.

    ``sum_beats`` and ``sum_empty`` are the same as without ``sum_`` for the bytes that are summed, which
    ``start`` and ``stop`` in the packet's lanes.
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
            "empty": 1,
            "wraps": 1,
            "advance": signed(2),
            "sum_beats": beats,
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
        given: Any = self.train
        names = ("header_bytes", "payload_bytes", "slice_bytes", "sum_bytes", "single", "segmented")
        layout = data.StructLayout({"refused": 1, **{name: given[name].shape() for name in names}})
        m.submodules.orders = orders = ShallowQueue(layout, 16, reserve=8)
        m.d.comb += [
            orders.input.valid.eq(self.judged),
            orders.input.p.refused.eq(~self.passed),
            self.full.eq(orders.almost_full),
        ]
        m.d.comb += [orders.input.p[name].eq(given[name]) for name in names]

        m.submodules.slices = slices = ShallowQueue(self.slices.p.shape(), 16, reserve=4, late=True)
        wiring.connect(m, slices.output, wiring.flipped(self.slices))
        self._measure(m, self._count(m, orders, slices), slices)
        return m

    def _count(self, m: Module, orders: ShallowQueue, slices: ShallowQueue) -> Any:
        """First cycle: how many bytes each slice has, and by how much the packet is turned."""
        depth = exact_log2(self.lanes)
        order: Any = orders.output.p
        mss, head = order.slice_bytes, order.header_bytes[:depth]

        room = Signal()
        m.d.sync += room.eq(~slices.almost_full & ~self.hold)

        # Behind the first slice: bytes that are left, and by how much they exceed one more full slice.
        inside = Signal()
        left = Signal(PAYLOAD_BITS, reset_less=True)
        excess = Signal(signed(PAYLOAD_BITS + 2), reset_less=True)  # left - mss - 1
        turn = Signal(depth, reset_less=True)
        aborted = Signal()

        last, go = Signal(), Signal()
        remaining = Signal(PAYLOAD_BITS)
        size = Signal(self.limits.slice_bits)
        m.d.comb += [
            go.eq(orders.output.valid & ~order.refused & room),
            last.eq(Mux(inside, (excess < 0) | aborted, order.single)),
            orders.output.ready.eq((last | order.refused) & room),
            remaining.eq(Mux(inside, left, order.payload_bytes)),
            size.eq(Mux(last, remaining, mss)),
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
                "summed": len(size),
                "first": 1,
                "last": 1,
                "head": depth,
                "turn": depth,
                "start": depth + 1,
                "carried": 2,
            })
        )
        m.d.sync += [
            counted.valid.eq(go),
            counted.bytes.eq(size),
            counted.summed.eq(Mux(order.segmented, size, order.sum_bytes)),
            counted.first.eq(~inside),
            counted.last.eq(last),
            counted.head.eq(head),
            counted.turn.eq(here),
            counted.start.eq(head + here),
            counted.carried.eq(carried[depth:]),
        ]
        return counted

    def _measure(self, m: Module, counted: Any, slices: ShallowQueue) -> None:
        """Second cycle: how many beats that makes."""
        depth = exact_log2(self.lanes)
        cut: Any = slices.input.p

        def place(name: str, size: Value) -> tuple[Signal, Signal]:
            """Return the last byte's place and the number behind it, counted from the first beat's lane 0."""
            end = Signal(depth, name=f"{name}_end")
            final = Signal(signed(len(size) + 2), name=f"{name}_final")
            m.d.comb += [
                end.eq(counted.head + size[:depth]),
                final.eq(size + (counted.head - Const(1))),
            ]
            return final, end

        final, tail = place("slice", counted.bytes)
        sum_final, sum_tail = place("sum", counted.summed)
        beats = final[depth:-1]
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
            cut.tail.eq(tail),
            cut.empty.eq(final[-1]),
            # Whether the turn carries the last byte into another beat.
            cut.wraps.eq(final[depth] ^ (counted.bytes[: depth + 1] + (counted.start - Const(1)))[depth]),
            # How many packet beats a full slice turns over, against the frame beats that it fills.
            cut.advance.eq(counted.carried - beats[:2]),
            cut.sum_beats.eq(sum_final[depth:-1]),
            cut.sum_empty.eq(~counted.summed.any()),
            cut.start.eq(counted.start[:depth]),
            cut.stop.eq(sum_tail + counted.turn),
        ]
