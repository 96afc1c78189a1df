"""Frames leave the receive path as they came, and each leaves one record behind, whatever the handshakes.

The path looks at frames in a pipeline that cannot stop. Here it is a delay, of as many cycles as a proof can
bear: what keeps records from getting lost is the room that is left for those under way, not what is done.
"""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Cat, Cover, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from offramp.packet import Beat, keep
from offramp.queue import ShallowQueue
from offramp.receive.tap import Tap
from offramp_sim.formal import Verdict, prove

LANES = 2
DEPTH = 12
FULL = 13
"""Cycles in which the queue of records has been full, and has gone on."""

NUMBER = 4
"""Bits of the number of a beat, enough for the depth."""


class Contract(wiring.Component):
    """Any beats, any handshakes: beat number n comes out as it went in, whichever n is, and is seen once.

    Parameters
    ----------
    tap : wiring.Component
        What is to be proved.
    """

    def __init__(self, tap: wiring.Component) -> None:
        self.tap = tap
        super().__init__({
            "frames": In(stream.Signature(Beat(LANES, bad=1))),
            "passed": Out(stream.Signature(Beat(LANES, keep=LANES, bad=1))),
            "room": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tap = tap = self.tap
        wiring.connect(m, wiring.flipped(self.frames), tap.frames)
        wiring.connect(m, tap.passed, wiring.flipped(self.passed))
        m.d.comb += tap.room.eq(self.room)
        put = self.frames.valid & self.frames.ready
        get = self.passed.valid & self.passed.ready

        m.d.comb += Assert(tap.seen.valid == put, "a beat is seen when it is accepted")
        with m.If(put):
            m.d.comb += Assert(Value.cast(tap.seen.beat) == Value.cast(self.frames.p))

        chosen = AnyConst(NUMBER)
        came, left = Signal(NUMBER), Signal(NUMBER)
        kept = Signal(Beat(LANES, bad=1))
        m.d.sync += [came.eq(came + put), left.eq(left + get)]
        with m.If(put & (came == chosen)):
            m.d.sync += kept.eq(self.frames.p)
        with m.If(self.passed.valid):
            m.d.comb += Assert(came != left, "nothing leaves that has not come")
        with m.If(self.passed.valid & (left == chosen)):
            beat = self.passed.p
            m.d.comb += [
                Assert(Value.cast(beat.data) == Value.cast(kept.data)),
                Assert(beat.count == kept.count),
                Assert(beat.last == kept.last),
                Assert(beat.keep == keep(kept.count)),
                Assert(beat.bad == (kept.bad & kept.last), "only the last beat is marked"),
            ]

        stalled, before = Signal(), Signal(Value.cast(self.passed.p).shape())
        m.d.sync += [stalled.eq(self.passed.valid & ~self.passed.ready), before.eq(self.passed.p)]
        with m.If(stalled):
            m.d.comb += Assert(self.passed.valid & (Value.cast(self.passed.p) == before))

        # What is taken at once, with room for more, never waits and is not held back.
        free, had_room = Signal(init=1), Signal(init=1)
        m.d.sync += [free.eq(free & self.passed.ready), had_room.eq(self.room)]
        with m.If(free & self.passed.ready):
            m.d.comb += Assert(self.frames.ready == had_room)
        with m.If(came != left):
            m.d.comb += Assert(self.passed.valid)
        m.d.comb += Cover((left == 4) & self.passed.p.last & self.passed.p.bad & stalled)
        return m


class Records(wiring.Component):
    """A tap, what looks at frames for ``cycles`` cycles, and the queue of what it says of them.

    The number of a frame is what is said of it. If the records that leave are numbered one after the other
    and there are never more of them than frames that have come, there is one for each.
    """

    def __init__(self, tap: wiring.Component, *, cycles: int, reserve: int) -> None:
        self.tap = tap
        self.cycles = cycles
        self.queue = ShallowQueue(NUMBER, depth=8, reserve=reserve)
        super().__init__({
            "frames": In(stream.Signature(Beat(LANES, bad=1))),
            "passed": Out(stream.Signature(Beat(LANES, keep=LANES, bad=1))),
            "records": Out(stream.Signature(NUMBER)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tap, m.submodules.queue = tap, queue = self.tap, self.queue
        wiring.connect(m, wiring.flipped(self.frames), tap.frames)
        wiring.connect(m, tap.passed, wiring.flipped(self.passed))
        wiring.connect(m, queue.output, wiring.flipped(self.records))

        number = Signal(NUMBER)
        progress = Signal(self.cycles)
        said = Signal(data.ArrayLayout(NUMBER, self.cycles))
        ends = tap.seen.valid & tap.seen.beat.last
        m.d.sync += [
            number.eq(number + ends),
            progress.eq(Cat(ends, progress)),
            said.as_value().eq(Cat(number, said)),
        ]
        m.d.comb += [
            tap.room.eq(~queue.almost_full),
            queue.input.valid.eq(progress[-1]),
            queue.input.p.eq(said[self.cycles - 1]),
        ]

        came, told = Signal(NUMBER), Signal(NUMBER)
        m.d.sync += [
            came.eq(came + (self.frames.valid & self.frames.ready & self.frames.p.last)),
            told.eq(told + (self.records.valid & self.records.ready)),
        ]
        with m.If(self.records.valid):
            m.d.comb += [Assert(self.records.p == told), Assert(told != came)]
        # Patience: with nothing new, all records are there at once but for their time in the pipeline.
        quiet = Signal(range(self.cycles + ShallowQueue.latency + 1))
        with m.If(ends):
            m.d.sync += quiet.eq(0)
        with m.Elif(quiet != self.cycles + ShallowQueue.latency):
            m.d.sync += quiet.eq(quiet + 1)
        with m.If((quiet == self.cycles + ShallowQueue.latency) & (told != came)):
            m.d.comb += Assert(self.records.valid, "a frame without a record")
        return m


class Spoilt(wiring.Component):
    """A tap with a fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.tap = Tap(LANES)
        super().__init__(dict(self.tap.signature.members))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tap = tap = self.tap
        m.d.comb += tap.room.eq(self.room)
        wiring.connect(m, wiring.flipped(self.frames), tap.frames)
        wiring.connect(m, tap.passed, wiring.flipped(self.passed))
        m.d.comb += self.seen.eq(tap.seen)
        put = tap.frames.valid & tap.frames.ready
        number = Signal(3)
        m.d.sync += number.eq(number + put)
        match self.fault:
            case "a bit is changed":
                m.d.comb += tap.frames.p.data[1].eq(self.frames.p.data[1] ^ (number == 5))
            case "a beat is lost":
                m.d.comb += tap.frames.valid.eq(self.frames.valid & (number != 3))
                m.d.sync += number.eq(number + (self.frames.valid & self.frames.ready))
            case "seen although not accepted":
                m.d.comb += self.seen.valid.eq(self.frames.valid)
            case "not seen":
                m.d.comb += self.seen.valid.eq(tap.seen.valid & (number != 4))
            case "a beat in the middle is marked":
                m.d.comb += self.passed.p.bad.eq(self.frames.p.bad)
            case "room is not looked at":
                m.d.comb += tap.room.eq(1)
            case "a pause without need":
                m.d.comb += tap.room.eq(self.room & (number != 6))
        return m


FAULTS = (
    "a bit is changed",
    "a beat is lost",
    "seen although not accepted",
    "not seen",
    "a beat in the middle is marked",
    "room is not looked at",
    "a pause without need",
)


def test_frames_leave_as_they_came():
    prove(Contract(Tap(LANES)), mode="bmc", depth=DEPTH).expect()


def test_beats_that_wait_are_within_the_depth():
    prove(Contract(Tap(LANES)), mode="cover", depth=DEPTH).expect()


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(fault):
    prove(Contract(Spoilt(fault)), mode="bmc", depth=DEPTH).expect(Verdict.FAIL)


def test_every_frame_has_one_record():
    prove(Records(Tap(LANES), cycles=2, reserve=3), mode="bmc", depth=FULL).expect()


@pytest.mark.parametrize(
    ("fault", "reserve"), [("not seen", 3), ("room is not looked at", 3), ("", 2)]
)
def test_a_record_that_is_lost_is_found(fault, reserve):
    """The last one is that of a queue with too little in reserve: what is under way is one more."""
    tap = Spoilt(fault) if fault else Tap(LANES)
    prove(Records(tap, cycles=2, reserve=reserve), mode="bmc", depth=FULL).expect(Verdict.FAIL)
