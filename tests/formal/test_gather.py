"""Every byte of every buffer comes out of Gather once and in its place, whatever the handshakes."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from offramp.packet import Beat
from offramp.send.gather import Gather, Order
from offramp_sim.formal import prove

POSITION = 6
"""Bits of counters of bytes, enough for the depth of the proofs."""


class Contract(wiring.Component):
    """Buffers of any length, some arbitrary number of them a packet, any length claimed.

    All bytes are zero but one, whichever. Gather does not look at bytes, so if that one comes out in its
    place and no other does, then none is lost, doubled, changed or out of order. What is said about packets
    (their end, mismatch, split) is checked on the beat that it comes out in, which may be any.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.dut = Gather(lanes)
        super().__init__({
            "orders": In(stream.Signature(Order())),
            "buffers": In(stream.Signature(Beat(lanes))),
            "packets": Out(stream.Signature(self.dut.packets.p.shape())),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        wiring.connect(m, wiring.flipped(self.orders), dut.orders)
        wiring.connect(m, wiring.flipped(self.buffers), dut.buffers)
        wiring.connect(m, dut.packets, wiring.flipped(self.packets))
        beat, joined = self.buffers.p, self.packets.p
        put = self.buffers.valid & self.buffers.ready
        get = self.packets.valid & self.packets.ready

        def size(beat):
            return Mux(beat.last & (beat.count != 0), beat.count, self.lanes)

        buffers = AnyConst(2)
        length = AnyConst(POSITION)
        marks = Signal(self.lanes)
        m.d.comb += [
            Assume(buffers != 0),
            Assume(self.orders.p.buffers == buffers),
            Assume(self.orders.p.length == length),
            Assume(beat.last | (beat.count == 0)),
            *(marks[lane].eq((size(beat) > lane) & (beat.data[lane] != 0)) for lane in range(self.lanes)),
        ]

        # Where the beat that goes in begins: bytes and buffers of its packet that went before.
        before = Signal(POSITION)
        buffer = Signal(2)
        ends = beat.last & (buffer == buffers - 1)
        with m.If(put):
            m.d.sync += before.eq(Mux(ends, 0, before + size(beat)))
            m.d.sync += buffer.eq(Mux(ends, 0, buffer + beat.last))

        inside = Signal(POSITION)
        m.d.sync += inside.eq(inside + Mux(put, size(beat), 0) - Mux(get, size(joined), 0))

        # The mark: how many bytes are in front of it, its place in its packet, and what there is to know
        # about that packet.
        once = Signal()
        watching = Signal()
        ahead = Signal(POSITION)
        place = Signal(POSITION)
        with m.If(put & marks.any()):
            lane = Signal(range(self.lanes))
            m.d.comb += Assume(~once & ((marks & (marks - 1)) == 0))
            m.d.comb += lane.eq(sum(Mux(marks[lane], lane, 0) for lane in range(self.lanes)))
            m.d.sync += [
                once.eq(1),
                watching.eq(1),
                ahead.eq(inside - Mux(get, size(joined), 0) + lane),
                place.eq(before + lane),
            ]
        with m.Elif(watching & get):
            m.d.sync += [watching.eq(ahead >= size(joined)), ahead.eq(ahead - size(joined))]

        current = Signal(init=1)  # the packet that goes in is the mark's, or might become it
        complete = Signal()
        total = Signal(POSITION)
        first = Signal(POSITION)
        first_known = Signal()
        with m.If(put):
            with m.If(current):
                m.d.sync += total.eq(before + size(beat))
                with m.If(beat.last & (buffer == 0)):
                    m.d.sync += [first_known.eq(1), first.eq(before + size(beat))]
            with m.If(ends & (once | marks.any())):
                m.d.sync += [current.eq(0), complete.eq(1)]
            with m.Elif(ends):
                m.d.sync += first_known.eq(0)

        here = watching & (ahead < size(joined))
        with m.If(self.packets.valid):
            m.d.comb += Assert(size(joined) <= inside)
            m.d.comb += Assert(joined.last | (joined.count == 0))
            for lane in range(self.lanes):
                with m.If(size(joined) > lane):
                    m.d.comb += Assert((joined.data[lane] != 0) == (watching & (ahead == lane)))
        with m.If(self.packets.valid & here):
            end = Signal(POSITION + 1)
            m.d.comb += end.eq(place - ahead + size(joined))
            m.d.comb += Assert(joined.last == (complete & (end == total)))
            m.d.comb += Assert(joined.split.ended == (first_known & (first <= end)))
            with m.If(joined.split.ended):
                m.d.comb += Assert(joined.split.bytes == first)
            with m.If(joined.last):
                m.d.comb += Assert(joined.mismatch == (total != length))
            with m.Else():
                m.d.comb += Assert(~complete | (end < total))

        # Proofs of what never happens would be no proofs.
        m.d.comb += Cover(self.packets.valid & here & joined.last & (buffers == 3) & (place > self.lanes))
        return m


@pytest.mark.parametrize(("lanes", "depth"), [(2, 9), (4, 8)])
def test_every_byte_comes_out_once_and_in_its_place(lanes, depth):
    prove(Contract(lanes), mode="bmc", depth=depth, solver="yices").expect()


def test_a_packet_of_several_buffers_is_within_the_depth():
    prove(Contract(2), mode="cover", depth=9, solver="yices").expect()
