"""Every byte of every slice comes out of Slicer once, in its lane of its beat of its frame."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Const, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from offramp.send.cut import Cut
from offramp.send.slicer import Slicer
from offramp.send.train import Limits
from offramp_sim.formal import prove

LANES = 4
LIMITS = Limits(max_mss=7, max_header_bytes=4)
POSITION = 5
"""Bits of positions in a payload, and some beats more."""

TRAINS = 3


class Kind:
    """A kind of train, arbitrary but for what is given.

    Its payload starts in lane ``head`` and is cut in slices of ``mss`` bytes. If it is ``spoilt``, that is
    from beat ``spoilt_beat`` on, and beat ``final_beat`` is its last.
    """

    def __init__(self, **given: int) -> None:
        widths = {"head": 2, "payload": 4, "mss": 3, "spoilt": 1, "spoilt_beat": 3, "final_beat": 3}
        for name, width in widths.items():
            setattr(self, name, Const(given[name], width) if name in given else AnyConst(width))

    @property
    def beats(self):
        """Beats of the whole packet, from the one on in which the payload starts."""
        total = self.head + self.payload
        return Mux(total == 0, 1, (total + LANES - 1) >> 2)

    def assumptions(self):
        yield Assume(~self.head[0])
        yield Assume(self.mss != 0)
        yield Assume(self.spoilt_beat <= self.final_beat)
        yield Assume(self.final_beat < self.beats)
        yield Assume(self.spoilt | (self.final_beat + 1 == self.beats))


class Moves(wiring.Component):
    """Trains of two kinds in turn, each cut by Cut and moved by Slicer.

    All bytes are zero but one, whichever byte of whichever payload, and those beside the payload. Slicer
    does not look at bytes, so if that one comes out in its lane of its beat of its slice, and nowhere else,
    then none is lost, doubled, changed or out of order.
    """

    def __init__(self, *kinds: Kind, stalls: bool) -> None:
        self.kinds = kinds
        self.stalls = stalls
        self.cut = Cut(LANES, LIMITS)
        self.dut = Slicer(LANES, LIMITS)
        super().__init__({"start": In(1), "offer": In(1), "room": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cut = cut = self.cut
        m.submodules.dut = dut = self.dut
        wiring.connect(m, cut.slices, dut.slices)
        m.d.comb += [cut.abort.eq(dut.abort), dut.room.eq(self.room)]
        m.d.comb += [assumption for kind in self.kinds for assumption in kind.assumptions()]

        started = self._start(m)
        marked_train, marked = AnyConst(2), AnyConst(POSITION)
        self._offer(m, started, marked_train, marked)
        self._follow(m, started, marked_train, marked)
        self._keep_contract(m)
        return m

    def of(self, train, name):
        """A property of train number ``train``."""
        one, other = (getattr(kind, name) for kind in self.kinds)
        return Mux(train[0], other, one)

    def _start(self, m):
        """Start trains while there is room for them; return how many have started."""
        started = Signal(range(TRAINS + 1))
        may_start = ~self.cut.full & (started != TRAINS)
        payload, mss = self.of(started, "payload"), self.of(started, "mss")
        m.d.comb += [
            self.cut.judged.eq(self.start),
            self.cut.passed.eq(1),
            self.cut.train.segmented.eq(1),
            self.cut.train.single.eq(payload <= mss),
            self.cut.train.header_bytes.eq(self.of(started, "head")),
            self.cut.train.last_byte.eq(self.of(started, "head") + payload - 1),
            self.cut.train.payload_bytes.eq(payload),
            self.cut.train.bare.eq(payload == 0),
            self.cut.train.slice_bytes.eq(mss),
        ]
        if self.stalls:
            m.d.comb += Assume(~self.start | may_start)
        else:
            m.d.comb += [Assume(self.start == may_start), Assume(self.offer), Assume(self.room)]
        m.d.sync += started.eq(started + self.start)
        return started

    def _offer(self, m, started, marked_train, marked):
        """Offer the packets of trains that have started, each beat until it is taken."""
        train = Signal(range(TRAINS + 1))
        beat = Signal(3)
        stands = Signal()
        part = self.dut.parts.p
        head, payload, spoilt = (self.of(train, name) for name in ("head", "payload", "spoilt"))
        taken = self.dut.parts.valid & self.dut.parts.ready
        m.d.comb += [
            self.dut.parts.valid.eq((self.offer | stands) & (train != started)),
            part.bad.eq(spoilt & (beat >= self.of(train, "spoilt_beat"))),
            part.last.eq(beat == self.of(train, "final_beat")),
            part.spoilt.eq(part.last & part.bad),
        ]
        for lane in range(LANES):
            position = Signal(POSITION + 1, name=f"position{lane}")
            mark = (train == marked_train) & (position == marked)
            m.d.comb += position.eq(beat * LANES + lane - head)
            m.d.comb += part.data[lane].eq(mark | (position >= payload))
        m.d.sync += stands.eq(self.dut.parts.valid & ~taken)
        with m.If(taken):
            m.d.sync += [beat.eq(Mux(part.last, 0, beat + 1)), train.eq(train + part.last)]

    def _follow(self, m, started, marked_train, marked):
        """Compare what comes out with where it belongs."""
        train = Signal(range(TRAINS + 1))
        before = Signal(POSITION)  # bytes of the payload in front of this slice
        beat = Signal(3)  # of this slice
        failed = Signal()  # an earlier slice of this train is bad
        head, payload, mss, spoilt = (self.of(train, name) for name in ("head", "payload", "mss", "spoilt"))
        size = Signal(POSITION)
        m.d.comb += size.eq(Mux(payload - before <= mss, payload - before, mss))
        end = head + size
        whole = before + size == payload
        out = self.dut.beat
        end_of_slice = self._delayed(m, self.dut.ended, self.dut.turn_stages)
        over, ended = end_of_slice.valid, end_of_slice.slice

        with m.If(out.valid):
            m.d.comb += Assert(train != started, "a slice comes of a train")
            for lane in range(LANES):
                place = beat * LANES + lane
                mark = (train == marked_train) & (before + place - head == marked)
                with m.If((place >= head) & (place < end) & ~failed & ~(over & ended.bad)):
                    m.d.comb += Assert(out.data[lane] == mark)
            m.d.sync += beat.eq(beat + 1)
        with m.If(over):
            m.d.comb += Assert(~failed | ended.bad, "nothing is good behind what is bad")
            m.d.comb += Assert(ended.empty | (ended.beats == beat))
            with m.If(ended.bad):
                m.d.comb += Assert(spoilt, "only what is spoilt is bad")
            with m.Else():
                m.d.comb += [
                    Assert(ended.last == whole),
                    Assert(ended.bytes == size),
                    Assert(ended.empty == (end == 0)),
                    Assert(beat + out.valid == (end + LANES - 1) >> 2),
                    Assert(ended.tail == end[:2]),
                ]
            with m.If(spoilt & (whole | (before + end > self.of(train, "spoilt_beat") * LANES))):
                m.d.comb += Assert(ended.bad, "what is spoilt is bad")
            m.d.sync += [
                beat.eq(0),
                before.eq(Mux(ended.last, 0, before + size)),
                train.eq(train + ended.last),
                failed.eq(~ended.last & (failed | ended.bad)),
            ]

        # Proofs of what never happens would be no proofs.
        one, other = self.kinds
        good = over & ended.last & ~ended.bad
        m.d.comb += [
            Cover(good & (train == 0) & (one.payload > 3 * one.mss) & (one.mss == 3)),
            Cover(good & (train == 1) & one.spoilt & (other.payload > other.mss)),
            Cover(good & (train == 2)),
        ]

    def _delayed(self, m, view, cycles):
        """What was there some cycles ago."""
        for _ in range(cycles):
            later = Signal.like(view)
            m.d.sync += later.eq(view)
            view = later
        return view

    def _keep_contract(self, m):
        """Slices stay on offer until they are taken, and are announced before they end."""
        slices = self.cut.slices
        stalled = Signal()
        offered = Signal.like(slices.p.as_value())
        m.d.sync += stalled.eq(slices.valid & ~slices.ready)
        m.d.sync += offered.eq(slices.p.as_value())
        with m.If(stalled):
            m.d.comb += Assert(slices.valid & (slices.p.as_value() == offered))

        begun, done = Signal(4), Signal(4)
        m.d.sync += [begun.eq(begun + self.cut.cut.valid), done.eq(done + self.dut.ended.valid)]
        m.d.comb += Assert(~self.dut.ended.valid | (begun != done))


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Proofs are for four lanes: the logic is that of more, and there is less of it."""
    monkeypatch.setattr("offramp.packet.WIDTHS", (LANES,))


def test_every_byte_of_any_train_comes_out_once_and_in_its_lane():
    """At full speed."""
    prove(Moves(Kind(), Kind(), stalls=False), mode="bmc", depth=13, solver="yices").expect()


def test_every_byte_comes_out_once_whatever_the_handshakes():
    """Of trains whose slices begin in all lanes, and end in some that begin before the next."""
    moves = Moves(Kind(head=2, mss=3), Kind(head=0, mss=5), stalls=True)
    prove(moves, mode="bmc", depth=12, solver="yices").expect()


def test_several_slices_and_trains_are_within_the_depth():
    prove(Moves(Kind(), Kind(), stalls=False), mode="cover", depth=12, solver="yices").expect()
