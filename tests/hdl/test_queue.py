import random
from functools import partial

import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator
from offramp.queue import ShallowQueue, Skid

from tests.hdl.streams import drain, feed, simulate

BUFFERS = {
    "skid": partial(Skid, 16),
    "shallow queue": partial(ShallowQueue, 16),
    "short shallow queue": partial(ShallowQueue, 16, 8, reserve=1),
    "late shallow queue": partial(ShallowQueue, 16, 8, reserve=1, late=True),
}

buffers = pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)


def stop(dut):
    """What stops whoever feeds a buffer that cannot stop them itself."""
    return dut.almost_full if dut.input.signature.always_ready else None


def run(dut, words, *, seed, idle=0.0, stall=0.0):
    taken, log = [], []

    async def source(ctx):
        await feed(ctx, dut.input, words, rng=random.Random(seed), idle=idle, hold=stop(dut))

    async def sink(ctx):
        await drain(ctx, dut.output, taken, len(words), rng=random.Random(seed + 1), stall=stall, log=log)

    simulate(dut, source, sink)
    return taken, log


@buffers
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("idle", "stall"), [(0, 0.5), (0.5, 0), (0.3, 0.3), (0.05, 0.8)])
def test_order_is_kept_and_nothing_lost(make, seed, idle, stall):
    words = [random.Random(seed).getrandbits(16) for _ in range(150)]
    taken, _ = run(make(), words, seed=seed, idle=idle, stall=stall)
    assert taken == words


@buffers
def test_a_payload_passes_every_cycle(make):
    words = list(range(100))
    taken, log = run(make(), words, seed=0)
    assert taken == words
    assert log == list(range(log[0], log[0] + len(words)))


@buffers
def test_an_empty_buffer_offers_after_the_declared_latency(make):
    dut = make()

    async def bench(ctx):
        await ctx.tick().repeat(5)
        ctx.set(dut.input.payload, 0xCAFE)
        ctx.set(dut.input.valid, 1)
        assert ctx.get(dut.input.ready)
        cycles = 0
        while not ctx.get(dut.output.valid):
            await ctx.tick()
            ctx.set(dut.input.valid, 0)
            cycles += 1
        assert cycles == dut.latency
        assert ctx.get(dut.output.payload) == 0xCAFE

    simulate(dut, bench)


@buffers
def test_no_path_leads_from_input_to_output(make):
    dut = make()

    async def bench(ctx):
        def outputs():
            return ctx.get(dut.input.ready), ctx.get(dut.output.valid), ctx.get(dut.output.payload)

        rng = random.Random(1)
        for _ in range(200):
            before = outputs()
            held = stop(dut) is not None and ctx.get(stop(dut))
            ctx.set(dut.input.valid, rng.getrandbits(1) and not held)
            ctx.set(dut.input.payload, rng.getrandbits(16))
            ctx.set(dut.output.ready, rng.getrandbits(1))
            assert outputs() == before
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize(("depth", "reserve"), [(8, 3), (16, 1), (16, 3), (16, 8), (16, 11)])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_under_way_at_almost_full_fits_in_however_late(depth, reserve, seed):
    dut = ShallowQueue(16, depth, reserve=reserve)
    rng = random.Random(seed)
    put, taken = [], []

    async def bench(ctx):
        async def offer(pause):
            while rng.random() < pause:
                await ctx.tick()
            put.append(rng.getrandbits(16))
            ctx.set(dut.input.valid, 1)
            ctx.set(dut.input.payload, put[-1])
            await ctx.tick()
            ctx.set(dut.input.valid, 0)

        while not ctx.get(dut.almost_full):
            await offer(0.3)
        for _ in range(reserve):
            await offer(0.4)
        await drain(ctx, dut.output, taken, len(put), rng=rng)

    simulate(dut, bench)
    assert taken == put
    assert len(put) >= depth - 4, "the rest is not wasted"


@pytest.mark.parametrize("seed", range(4))
def test_almost_full_alone_keeps_a_pipeline_from_overrunning(seed):
    delay = 4
    dut = ShallowQueue(16, 16, reserve=delay + 1)
    rng = random.Random(seed)
    words = [rng.getrandbits(16) for _ in range(200)]
    taken = []

    async def pipeline(ctx):
        """A credit check, then ``delay`` stages that never stop."""
        stages = [None] * delay
        waiting = list(words)
        while waiting or any(word is not None for word in stages):
            go = waiting and not ctx.get(dut.almost_full) and rng.random() < 0.9
            stages.append(waiting.pop(0) if go else None)
            word = stages.pop(0)
            ctx.set(dut.input.valid, word is not None)
            if word is not None:
                ctx.set(dut.input.payload, word)
            await ctx.tick()
        ctx.set(dut.input.valid, 0)

    async def sink(ctx):
        await drain(ctx, dut.output, taken, len(words), rng=random.Random(seed), stall=0.5)

    simulate(dut, pipeline, sink)
    assert taken == words


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShallowQueue(8, 2), "at least 8, not 2"),
        (lambda: ShallowQueue(8, 24), "a power of two and at least 8, not 24"),
        (lambda: ShallowQueue(8, 16, reserve=12), "depth - 5 = 11, not 12"),
        (lambda: ShallowQueue(8, 16, reserve=0), "not 0"),
    ],
)
def test_sizes_that_do_not_work_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_reset_empties_the_shallow_queue():
    dut = ShallowQueue(16)
    reset = Signal()
    m = Module()
    m.submodules.dut = ResetInserter(reset)(dut)

    async def bench(ctx):
        ctx.set(dut.input.valid, 1)
        await ctx.tick().repeat(8)
        ctx.set(dut.input.valid, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert not ctx.get(dut.output.valid)
        ctx.set(dut.output.ready, 1)
        for _ in range(4):
            await ctx.tick()
            assert not ctx.get(dut.output.valid)

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
