import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from offramp_sim.formal import Verdict, prove


class Saturating(wiring.Component):
    """Counts enabled cycles up to a bound, with something to prove of it."""

    def __init__(self, *statements):
        self.statements = statements
        self.count = Signal(4)
        self.bound = AnyConst(4)
        super().__init__({"enable": In(1)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable & (self.count != 9)):
            m.d.sync += self.count.eq(self.count + 1)
        m.d.comb += [statement(self) for statement in self.statements]
        return m


def test_an_invariant_is_proved_for_all_time():
    proof = prove(Saturating(lambda dut: Assert(dut.count <= 9)), depth=2)
    assert (proof.verdict, proof.trace) == (Verdict.PASS, None)


def test_a_broken_assertion_comes_with_its_line_and_a_trace():
    proof = prove(Saturating(lambda dut: Assert(dut.count < 9)), depth=12)
    assert proof.verdict is Verdict.FAIL
    assert proof.trace.is_file()
    with pytest.raises(AssertionError, match=r"test_formal\.py"):
        proof.expect()


def test_a_bound_on_time_looks_no_further():
    prove(Saturating(lambda dut: Assert(dut.count < 9)), depth=9, mode="bmc").expect()
    prove(Saturating(lambda dut: Assert(dut.count < 9)), depth=10, mode="bmc").expect(Verdict.FAIL)


def test_an_invariant_that_induction_cannot_reach_is_unknown():
    prove(Saturating(lambda dut: Assert(dut.count != 12)), depth=2).expect(Verdict.UNKNOWN)


def test_assumptions_bind_the_inputs():
    prove(
        Saturating(lambda dut: Assume(~dut.enable), lambda dut: Assert(dut.count == 0)), depth=2
    ).expect()


def test_arbitrary_constants_take_every_value():
    prove(
        Saturating(lambda dut: Assume(dut.bound < 9), lambda dut: Assert(dut.count <= dut.bound)), depth=10
    ).expect(Verdict.FAIL)


def test_cover_finds_what_can_be_reached():
    prove(Saturating(lambda dut: Cover(dut.count == 9)), depth=10, mode="cover").expect()
    prove(Saturating(lambda dut: Cover(dut.count == 9)), depth=9, mode="cover").expect(Verdict.FAIL)


def test_resets_are_part_of_a_proof_only_on_request():
    class Sticky(wiring.Component):
        def __init__(self):
            super().__init__({"set": In(1)})

        def elaborate(self, platform):
            m = Module()
            flag, seen = Signal(), Signal(reset_less=True)
            with m.If(self.set):
                m.d.sync += [flag.eq(1), seen.eq(1)]
            m.d.comb += Assert(flag == seen)
            return m

    prove(Sticky(), depth=3).expect()
    prove(Sticky(), depth=3, resets=True).expect(Verdict.FAIL)
