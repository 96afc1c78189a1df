"""Every byte of every slice comes out of Slicer once, in its lane of its beat, whatever the handshakes."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from offramp.send.slicer import Slicer
from offramp.send.train import Limits
from offramp_sim.formal import prove

LANES = 4
LIMITS = Limits(max_mss=7, max_header_bytes=4)
TRAINS = 3


class Kind:
    """An arbitrary packet: in which lane its payload starts, where it ends, and in which beat badly."""

    def __init__(self) -> None:
        self.head = AnyConst(2)
        self.end = AnyConst(4)
        self.spoilt = AnyConst(1)
        self.spoilt_beat = AnyConst(2)
        self.beats = Mux(self.end == 0, 1, (self.end + LANES - 1) >> 2)

    def assumptions(self):
        yield Assume(~self.head[0])
        yield Assume(self.head <= self.end)
        yield Assume(self.spoilt_beat < self.beats)


class Moves(wiring.Component):
    """Packets of two arbitrary kinds in turn, cut into slices of any length, and one slice that is watched.

    All bytes are zero but one, whichever byte of whichever packet. Slicer does not look at bytes, so if that
    one comes out in its lane of its beat, wherever it is, and no other byte of the slice is it, then none is
    lost, doubled, changed or out of order; and the slice may be any.
    """

    def __init__(self) -> None:
        self.dut = Slicer(LANES, LIMITS)
        super().__init__({
            "cut": In(1),
            "bytes": In(3),
            "offer": In(1),
            "room": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        kinds = [Kind(), Kind()]
        m.d.comb += [assumption for kind in kinds for assumption in kind.assumptions()]
        m.d.comb += dut.room.eq(self.room)

        def of(train, name):
            return Mux(train[0], getattr(kinds[1], name), getattr(kinds[0], name))

        # Slices, each from where the one before it has ended. An offer stands until it is taken.
        train = Signal(range(TRAINS + 1))
        first = Signal(init=1)
        reached = Signal(4)
        begin = Mux(first, of(train, "head"), reached)
        end, head = of(train, "end"), of(train, "head")
        size = Signal(4)
        last = Signal()
        stands = Signal()
        stood = Signal(3)
        piece = dut.slices.p
        taken = dut.slices.valid & dut.slices.ready
        m.d.comb += [
            Assume(~stands | (self.bytes == stood)),
            Assume(begin + size <= end),
            Assume((size != 0) | (first & last)),
            size.eq(self.bytes),
            last.eq(begin + size == end),
            dut.slices.valid.eq((self.cut | stands) & (train != TRAINS)),
        ]
        m.d.sync += [stands.eq(dut.slices.valid & ~taken & ~dut.abort), stood.eq(self.bytes)]
        with m.If(taken):
            m.d.sync += [first.eq(last), reached.eq(begin + size), train.eq(train + last)]
        with m.If(dut.abort):
            m.d.sync += [first.eq(1), train.eq(train + 1)]

        # Lane 0 of the frame's beat in which the payload starts is byte ``origin`` of the packet.
        origin = Signal(4)
        span = Signal(5)
        beats = Signal(2)
        m.d.comb += [
            origin.eq(begin - head),
            span.eq(head + size),
            beats.eq(Mux(span == 0, 0, (span - 1) >> 2)),
            piece.bytes.eq(size),
            piece.first.eq(first),
            piece.last.eq(last),
            piece.head.eq(head),
            piece.turn.eq(origin[:2]),
            piece.beats.eq(beats),
            piece.tail.eq(span[:2]),
            piece.empty.eq(span == 0),
            piece.wraps.eq(Mux(span[:2] == 0, LANES, span[:2]) + origin[:2] > LANES),
            piece.advance.eq(((origin + size) >> 2) - (origin >> 2) - beats),
        ]

        # The packets' beats. Nothing says whether they come before or after their slices.
        marked_train, marked = AnyConst(2), AnyConst(4)
        train_in = Signal(range(TRAINS + 1))
        beat_in = Signal(2)
        waits = Signal()
        part = dut.parts.p
        taken_in = dut.parts.valid & dut.parts.ready
        m.d.comb += [
            dut.parts.valid.eq((self.offer | waits) & (train_in != TRAINS)),
            part.bad.eq(of(train_in, "spoilt") & (beat_in == of(train_in, "spoilt_beat"))),
            part.last.eq(part.bad | (beat_in + 1 == of(train_in, "beats"))),
            *(
                part.data[lane].eq((train_in == marked_train) & (beat_in * LANES + lane == marked))
                for lane in range(LANES)
            ),
        ]
        m.d.sync += waits.eq(dut.parts.valid & ~taken_in)
        with m.If(taken_in):
            m.d.sync += [beat_in.eq(Mux(part.last, 0, beat_in + 1)), train_in.eq(train_in + part.last)]

        # The slice that is watched. An abort begins one that nobody has asked for.
        watched = AnyConst(4)
        number = Signal(4)
        seen, asked = Signal(), Signal()
        its_train = Signal.like(train)
        its_origin, its_size, its_last = Signal.like(origin), Signal.like(size), Signal()
        m.d.comb += [
            Assert(dut.begun.valid == (taken | dut.abort)),
            Assert(~(taken & dut.abort)),
            Assert(~taken | (dut.begun.bytes == size)),
            Assert(~dut.begun.valid | (dut.begun.last == (last | dut.abort))),
            Assert(~dut.begun.valid | (dut.begun.first == (first & taken))),
        ]
        m.d.sync += number.eq(number + dut.begun.valid)
        with m.If(dut.begun.valid & (number == watched)):
            m.d.sync += [seen.eq(1), asked.eq(taken), its_train.eq(train)]
            m.d.sync += [its_origin.eq(origin), its_size.eq(size), its_last.eq(last)]

        # What comes out, and the slice that it belongs to.
        out, ended = dut.beat, dut.ended
        number_out = Signal(4)
        beat_out = Signal(2)
        train_out = Signal.like(train)
        failed = Signal()  # an earlier slice of this train is bad
        m.d.sync += [number_out.eq(number_out + out.end), beat_out.eq(beat_out + out.valid)]
        with m.If(out.end):
            m.d.sync += [beat_out.eq(0), train_out.eq(train_out + ended.last)]
            m.d.sync += failed.eq((failed | ended.bad) & ~ended.last)

        head = of(its_train, "head")
        stop = Signal(5)
        m.d.comb += stop.eq(head + its_size)
        here = number_out == watched
        good = here & ~(out.end & ended.bad)
        with m.If(out.valid & here):
            m.d.comb += Assert(seen & (train_out == its_train))
            for lane in range(LANES):
                place = Signal(4, name=f"place{lane}")  # in the frame
                m.d.comb += place.eq(beat_out * LANES + lane)
                mark = (its_train == marked_train) & (its_origin + place == marked)
                with m.If(good & asked & (place >= head) & (place < stop)):
                    m.d.comb += Assert(out.data[lane] == mark)
        with m.If(out.end & here):
            m.d.comb += Assert(seen & (train_out == its_train))
            m.d.comb += Assert(~failed | ended.bad, "nothing is good behind what is bad")
            m.d.comb += Assert(asked | (ended.bad & ended.last & ~out.valid))
            with m.If(~ended.bad):
                m.d.comb += [
                    Assert(ended.bytes == its_size),
                    Assert(ended.last == its_last),
                    Assert(ended.empty == (stop == 0)),
                    Assert(out.valid != ended.empty),
                    Assert(ended.empty | (beat_out == (stop - 1) >> 2)),
                    Assert(ended.tail == stop[:2]),
                ]
            with m.Else():
                m.d.comb += Assert(of(its_train, "spoilt"), "only what is spoilt is bad")
            with m.If(~ended.empty):
                m.d.comb += Assert(ended.beats == beat_out)
            with m.If(of(its_train, "spoilt")):
                touched = its_origin + stop > of(its_train, "spoilt_beat") * LANES
                m.d.comb += Assert(ended.bad | ~(touched | ended.last), "what is spoilt is bad")

        # Proofs of what never happens would be no proofs.
        ends = out.end & here
        m.d.comb += [
            Cover(ends & ~ended.bad & (its_train == 2) & (watched == 4)),
            Cover(ends & ~ended.bad & (watched == 4) & (its_train == 0) & ended.last),
            Cover(ends & ~ended.bad & (its_train == 1) & kinds[0].spoilt & (watched == 3)),
        ]
        return m


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Proofs are for four lanes: the logic is that of more, and there is less of it."""
    monkeypatch.setattr("offramp.packet.WIDTHS", (LANES,))


def test_every_byte_comes_out_once_and_in_its_lane():
    prove(Moves(), mode="bmc", depth=12, solver="yices").expect()


def test_several_slices_and_packets_are_within_the_depth():
    prove(Moves(), mode="cover", depth=12, solver="yices").expect()
