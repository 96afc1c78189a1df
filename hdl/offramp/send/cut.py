"""Plans where a train's payload is cut."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
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
    and ``tail`` the last one's valid lanes (zero: all); an ``empty`` slice has no beat of its own.
    ``wraps`` says that the last beat takes bytes from two of the packet's. The next slice starts in packet
    beats that are ``advance`` (-1, 0, 1) further than those in which this one ends. ``sum_beats``,
    ``sum_tail`` and ``sum_empty`` are the same as without ``sum_`` for the bytes that are summed.
    """

    def __init__(self, lanes: int, limits: Limits) -> None:
        depth = exact_log2(lanes)
        beats = limits.slice_bits + 1 - depth
        super().__init__({
            "bytes": limits.slice_bits,
            "first": 1,
            "last": 1,
            "head": depth,
            "turn": depth,
            "beats": beats,
            "tail": depth,
            "empty": 1,
            "wraps": 1,
            "advance": signed(2),
            "sum_beats": beats,
            "sum_tail": depth,
            "sum_empty": 1,
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
    started : In(1)
        It is to be cut next.
    abort : In(1)
        What is left of the train whose slice was taken last is not needed.
    full : Out(1)
        Stop: a few more trains fit in.
    slices : Out(stream.Signature(Slice(lanes, limits)))
        Its slices, in order.
    """

    slices: stream.Interface

    def __init__(self, lanes: int, limits: Limits) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        super().__init__({
            "train": In(Train(limits)),
            "started": In(1),
            "abort": In(1),
            "full": Out(1),
            "slices": Out(stream.Signature(Slice(lanes, limits))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = exact_log2(self.lanes)
        given: Any = self.train
        order_layout = data.StructLayout({
            name: given[name].shape()
            for name in ("header_bytes", "payload_bytes", "slice_bytes", "first_bytes", "sum_bytes")
        } | {"single": 1, "segmented": 1})
        m.submodules.orders = orders = ShallowQueue(order_layout, 16, reserve=6)
        m.d.comb += [
            orders.input.valid.eq(self.started),
            self.full.eq(orders.almost_full),
        ]
        m.d.comb += [orders.input.p[name].eq(given[name]) for name in order_layout.members]

        order: Any = orders.output.p
        mss = order.slice_bytes
        head = order.header_bytes[:depth]

        # Behind the first slice: bytes that are left, and by how much they exceed one more full slice.
        inside = Signal()
        left = Signal(PAYLOAD_BITS, reset_less=True)
        excess = Signal(signed(PAYLOAD_BITS + 2), reset_less=True)  # left - mss - 1
        turn = Signal(depth, reset_less=True)

        last = Signal()
        count = Signal(self.limits.slice_bits)
        m.d.comb += [
            last.eq(Mux(inside, excess < 0, order.single)),
            count.eq(Mux(inside, Mux(last, left, mss), order.first_bytes)),
        ]

        shape = Slice(self.lanes, self.limits)
        cut: Any = Signal(shape)
        span = Signal(self.limits.slice_bits + 1)
        summed = Signal(self.limits.slice_bits)
        sum_span = Signal(self.limits.slice_bits + 1)
        beats = Signal(shape["beats"].shape)
        here = Signal(depth)
        carried = Signal(depth + 1)
        m.d.comb += [
            here.eq(Mux(inside, turn, 0)),
            carried.eq(here + mss[:depth]),
            span.eq(head + count),
            summed.eq(Mux(order.segmented, count, order.sum_bytes)),
            sum_span.eq(head + summed),
            cut.bytes.eq(count),
            cut.first.eq(~inside),
            cut.last.eq(last),
            cut.head.eq(head),
            cut.turn.eq(here),
            beats.eq((span - 1) >> depth),
            cut.beats.eq(Mux(span.any(), beats, 0)),
            cut.tail.eq(span[:depth]),
            cut.empty.eq(~span.any()),
            cut.wraps.eq((Mux(span[:depth].any(), span[:depth], self.lanes) + here) > self.lanes),
            # How many packet beats a full slice turns over, against the frame beats that it fills.
            cut.advance.eq(mss[depth : depth + 2] + carried[depth] - beats[:2]),
            cut.sum_beats.eq((sum_span - 1) >> depth),
            cut.sum_tail.eq(sum_span[:depth]),
            cut.sum_empty.eq(~summed.any()),
        ]

        # The register that offers slices makes room when they are taken.
        valid = Signal()
        offered = Signal(shape, reset_less=True)
        m.d.comb += [
            self.slices.valid.eq(valid),
            self.slices.p.eq(offered),
        ]
        with m.If(self.abort):
            m.d.sync += valid.eq(0)
            with m.If(~(valid & offered.last)):
                m.d.comb += orders.output.ready.eq(1)
                m.d.sync += inside.eq(0)
        with m.Elif(self.slices.ready | ~valid):
            m.d.sync += [valid.eq(orders.output.valid), offered.eq(cut)]
            with m.If(orders.output.valid):
                m.d.comb += orders.output.ready.eq(last)
                m.d.sync += [
                    inside.eq(~last),
                    turn.eq(carried),
                    left.eq(Mux(inside, left, order.payload_bytes) - mss),
                    excess.eq(Mux(inside, excess, order.payload_bytes - mss - 1) - mss),
                ]
        return m
