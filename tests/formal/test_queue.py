"""Buffers keep the stream contract, long enough to fill small ones and to wrap around."""

from functools import partial

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from offramp.queue import ShallowQueue, Skid
from offramp_sim.formal import prove

BUFFERS = {
    "skid": (partial(Skid, 1), 20),
    "shallow queue": (partial(ShallowQueue, 1, 8, reserve=1), 11),
    "late shallow queue": (partial(ShallowQueue, 1, 8, reserve=1, late=True), 11),
}

buffers = pytest.mark.parametrize(("make", "depth"), BUFFERS.values(), ids=BUFFERS)


def keep_reserve(m: Module, dut: wiring.Component) -> None:
    """Whoever feeds a buffer that always takes stops at ``almost_full`` but for what is under way."""
    if not dut.input.signature.always_ready:
        return
    late = Signal(range(dut.reserve + 1))
    with m.If(~dut.almost_full):
        m.d.sync += late.eq(0)
    with m.Elif(dut.input.valid):
        m.d.comb += Assume(late != dut.reserve)
        m.d.sync += late.eq(late + 1)


class Contract(wiring.Component):
    """What every buffer promises, with free ports around it.

    A buffer does not look at payloads, so it is enough to watch a single mark: all payloads are zero but
    one, whichever. If the mark comes out where it was put in, wherever that is, and nothing else comes out,
    then nothing is lost, doubled, changed or out of order.
    """

    def __init__(self, dut: wiring.Component) -> None:
        self.dut = dut
        super().__init__({"input": In(stream.Signature(1)), "output": Out(stream.Signature(1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        wiring.connect(m, wiring.flipped(self.input), dut.input)
        wiring.connect(m, dut.output, wiring.flipped(self.output))
        keep_reserve(m, dut)
        put = self.input.valid & self.input.ready
        get = self.output.valid & self.output.ready

        inside = Signal(4)
        m.d.sync += inside.eq(inside + put - get)
        with m.If(inside == 0):
            m.d.comb += Assert(~self.output.valid)

        once = Signal()
        watching = Signal()
        ahead = Signal(4)
        m.d.comb += Assume(~(self.input.p & once))
        with m.If(put & self.input.p):
            m.d.sync += [once.eq(1), watching.eq(1), ahead.eq(inside - get)]
        with m.Elif(watching & get):
            m.d.sync += [watching.eq(ahead != 0), ahead.eq(ahead - 1)]
        with m.If(self.output.valid):
            m.d.comb += Assert(self.output.p == (watching & (ahead == 0)))

        stalled = Signal()
        before = Signal()
        m.d.sync += [stalled.eq(self.output.valid & ~self.output.ready), before.eq(self.output.p)]
        with m.If(stalled):
            m.d.comb += Assert(self.output.valid & (self.output.p == before))
        return m


class Patience(wiring.Component):
    """A receiver that always takes gets everything soon: a buffer does not hold anything back."""

    def __init__(self, dut: wiring.Component) -> None:
        self.dut = dut
        super().__init__({"input": In(stream.Signature(1)), "output": Out(stream.Signature(1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        wiring.connect(m, wiring.flipped(self.input), dut.input)
        wiring.connect(m, dut.output, wiring.flipped(self.output))
        keep_reserve(m, dut)

        inside = Signal(5)
        put = self.input.valid & self.input.ready
        get = self.output.valid & self.output.ready
        m.d.sync += inside.eq(inside + put - get)

        waited = Signal(range(dut.latency + 1))
        with m.If((inside == 0) | get):
            m.d.sync += waited.eq(Mux(put, 1, 0))
        with m.Elif(waited != dut.latency):
            m.d.sync += waited.eq(waited + 1)
        with m.If((inside != 0) & (waited == dut.latency)):
            m.d.comb += Assert(self.output.valid)
        with m.If(inside == 0):
            m.d.comb += Assert(self.input.ready)
        return m


class Reserve(wiring.Component):
    """Nothing but what feeds a queue: it asserts itself that there is room."""

    def __init__(self, dut: ShallowQueue) -> None:
        self.dut = dut
        super().__init__({"input": In(stream.Signature(1)), "output": Out(stream.Signature(1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        wiring.connect(m, wiring.flipped(self.input), dut.input)
        wiring.connect(m, dut.output, wiring.flipped(self.output))
        keep_reserve(m, dut)
        return m


@buffers
def test_every_payload_comes_out_once_and_in_order(make, depth):
    prove(Contract(make()), mode="bmc", depth=depth, solver="yices").expect()


@buffers
def test_nothing_is_held_back(make, depth):
    prove(Patience(make()), mode="bmc", depth=depth, solver="yices").expect()


@pytest.mark.parametrize(("depth", "reserve"), [(8, 1), (8, 2), (8, 3)])
def test_the_reserve_takes_what_is_under_way(depth, reserve):
    queue = ShallowQueue(1, depth, reserve=reserve)
    prove(Reserve(queue), mode="bmc", depth=3 * depth, solver="yices").expect()
