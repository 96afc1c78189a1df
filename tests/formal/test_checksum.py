"""Proofs of the one's-complement unit against the plain sum: add wide, fold until nothing is carried."""

from collections.abc import Callable, Sequence

import pytest
from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from offramp.checksum import RangeSum, RangeTotal, RangeVerdict, add, carry_save
from offramp_sim.formal import Verdict, prove


def fold(total: Value) -> Value:
    """Fold as often as something can be above bit 15 (at most twice here)."""
    if len(total) > 17:
        total = total[:16] + total[16:]
    return (total[:16] + total[16:])[:16]


def plain_sum(words: Sequence[Value]) -> Value:
    """The specification: add, then fold."""
    return fold(sum(words[1:], start=words[0])[: (len(words) * 0xFFFF).bit_length()])


class SameSum(wiring.Component):
    """``result`` of any words has the plain sum of these words."""

    def __init__(self, count: int, result: Callable[..., Sequence[Value]]) -> None:
        self.result = result
        super().__init__({f"word{n}": In(16) for n in range(count)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = [getattr(self, name) for name in self.signature.members]
        m.d.comb += Assert(plain_sum(self.result(*words)) == plain_sum(words))
        return m


class EveryGroup(wiring.Component):
    """Any beats at all, for ever: each group gets its plain sum in the promised cycle, nothing else comes.

    The plain sum is kept beside the unit's accumulator, on beats as late as the unit's are when they get
    there; that both stand for the same number is what the induction rests on.
    """

    def __init__(self, dut: RangeSum | RangeTotal) -> None:
        self.dut = dut
        super().__init__({"beat": In(dut.beat.shape())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        m.d.comb += dut.beat.eq(self.beat)

        def late(value: Value, cycles: int) -> Value:
            for _ in range(cycles):
                previous, value = value, Signal(len(value))
                m.d.sync += value.eq(previous)
            return value

        octets = [
            Mux(self.beat.enable[lane // dut.granularity], self.beat.data[lane], 0)
            for lane in range(dut.lanes)
        ]
        folded = isinstance(dut, RangeSum) and dut.folded
        stages = dut.latency - 1 - folded
        words = [late(Cat(octets[lane + 1], octets[lane]), stages) for lane in range(0, dut.lanes, 2)]
        if isinstance(dut, RangeTotal) and dut.extra:
            words += [late(Mux(self.beat.last, word, 0), stages) for word in self.beat.extra]
        valid, last = late(self.beat.valid, stages), late(self.beat.last, stages)

        total = Signal(16)
        first = Signal(init=1)
        with m.If(valid):
            m.d.sync += total.eq(plain_sum([*words, Mux(first, 0, total)]))
            m.d.sync += first.eq(last)
        m.d.comb += Assert(dut.first == first)
        if isinstance(dut, RangeTotal):
            m.d.comb += Assert(dut.sum.value + dut.sum.carry == total)
            result = dut.sum.value + dut.sum.carry
        else:
            m.d.comb += Assert(plain_sum(dut.total) == total)
            result = dut.sum.value if folded else plain_sum([dut.sum.halves[0], dut.sum.halves[1]])

        ended, value = late(valid & last, 1 + folded), late(total, int(folded))
        m.d.comb += Assert(dut.sum.valid == ended)
        with m.If(ended):
            m.d.comb += Assert(result == value)
        return m


class RightVerdict(wiring.Component):
    """A verdict is good when the total is ``right``, and comes a cycle later."""

    def __init__(self, dut: RangeVerdict, right: int) -> None:
        self.dut = dut
        self.right = right
        super().__init__({"beat": In(dut.beat.shape())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        total = dut.unit.sum
        ended, good = Signal(), Signal()
        m.d.sync += [ended.eq(total.valid), good.eq(total.value + total.carry == self.right)]
        m.d.comb += [
            dut.beat.eq(self.beat),
            Assert(dut.verdict.valid == ended),
            Assert(~ended | (dut.verdict.good == good)),
        ]
        return m


class SavedSum(wiring.Component):
    """Two words for three: their total is that of the three or 0xFFFF less, and is zero only with it."""

    def __init__(self) -> None:
        super().__init__({f"word{n}": In(16) for n in range(3)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = [getattr(self, name) for name in self.signature.members]
        total, saved = sum(words[1:], start=words[0]), sum(carry_save(*words), start=Const(0))
        m.d.comb += [
            Assert((total == saved) | (total == saved + 0xFFFF)),
            Assert((total == 0) == (saved == 0)),
        ]
        return m


class Folding(wiring.Component):
    """A total and one that is 0xFFFF more fold to the same word, unless the smaller is zero."""

    total: In(18)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        more = (self.total + 0xFFFF)[:18]
        m.d.comb += Assert((self.total == 0) | (more < self.total) | (fold(more) == fold(self.total)))
        return m


def test_carry_save_keeps_the_sum():
    """In two steps, because solvers take long to compare folded sums of three words."""
    prove(SavedSum(), depth=1).expect()
    prove(Folding(), depth=1).expect()


def test_add_is_the_sum():
    prove(SameSum(2, lambda a, b: [add(a, b)]), depth=1).expect()


def test_add_needs_its_carry():
    prove(SameSum(2, lambda a, b: [(a + b)[:16]]), depth=1).expect(Verdict.FAIL)


@pytest.mark.parametrize(
    ("lanes", "arguments"),
    [(2, {}), (4, {}), (4, {"depth": 2}), (4, {"granularity": 2}), (4, {"folded": False}), (8, {})],
)
def test_every_group_gets_its_plain_sum(lanes, arguments):
    dut = RangeSum(lanes, **arguments)
    prove(EveryGroup(dut), depth=dut.latency).expect()


def test_another_solver_agrees():
    dut = RangeSum(2)
    prove(EveryGroup(dut), depth=dut.latency, solver="z3").expect()


@pytest.mark.parametrize(
    ("lanes", "arguments"),
    [(2, {}), (4, {}), (4, {"granularity": 2}), (2, {"extra": 1}), (4, {"extra": 3}), (8, {})],
)
def test_every_group_gets_its_plain_total(lanes, arguments):
    dut = RangeTotal(lanes, **arguments)
    prove(EveryGroup(dut), depth=dut.latency).expect()


def test_a_verdict_is_good_when_all_adds_up_to_ones():
    prove(RightVerdict(RangeVerdict(2), 0xFFFF), depth=2).expect()


@pytest.mark.parametrize("right", [0, 1, 0xFFFE])
def test_no_other_total_is_good(right):
    dut = RangeVerdict(2)
    prove(RightVerdict(dut, right), depth=dut.latency + 1).expect(Verdict.FAIL)
