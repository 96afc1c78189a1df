import random

import pytest
from offramp.send.cut import Cut

from tests.hdl.streams import drain, simulate
from tests.hdl.trains import LIMITS, WIDTHS, Cargo, pieces


async def start(ctx, dut, cargoes):
    """Start a train in every cycle."""
    for cargo in cargoes:
        ctx.set(dut.train, cargo.fields())
        ctx.set(dut.judged, 1)
        ctx.set(dut.passed, 1)
        await ctx.tick()
        ctx.set(dut.judged, 0)


def run(dut, cargoes, *, seed=0, stall=0.0):
    """Start trains while there is room; return the slices and the cycles they came in."""
    rng = random.Random(seed)
    taken, log, told = [], [], []

    async def send(ctx):
        for cargo in cargoes:
            while ctx.get(dut.full) or rng.random() < stall / 2:
                await ctx.tick()
            await start(ctx, dut, [cargo])

    async def receive(ctx):
        count = sum(len(cargo.sizes) for cargo in cargoes)
        await drain(ctx, dut.slices, taken, count, rng=random.Random(seed + 1), stall=stall, log=log)
        for _ in range(10):
            assert not ctx.get(dut.slices.valid), "a slice too many"
            await ctx.tick()

    async def listen(ctx):
        count = sum(len(cargo.sizes) for cargo in cargoes)
        while len(told) < count:
            _, _, cut = await ctx.tick().sample(dut.cut)
            if cut.valid:
                told.append((cut.bytes, cut.first, cut.last))
        for slice_, (size, _, last) in zip(taken, told, strict=False):
            assert (slice_["bytes"], slice_["last"]) == (size, last)

    simulate(dut, send, receive, listen)
    starts = [0] + [n + 1 for n, (_, _, last) in enumerate(told) if last]
    assert [n for n, (_, first, _) in enumerate(told) if first] == starts[:-1]
    return taken, log


def check(taken, cargoes, lanes):
    """Compare slices with plain Python, as far as a slice's fields mean something."""
    expected = [piece for cargo in cargoes for piece in pieces(cargo, lanes)]
    for got, piece in zip(taken, expected, strict=True):
        wanted = piece.fields()
        if piece.last:  # nothing follows
            del wanted["back"], wanted["same"], wanted["ahead"]
        if piece.empty:
            del wanted["wraps"], wanted["beats"]
        if piece.sum_empty:
            del wanted["sum_beats"], wanted["sum_short"]
        assert {name: got[name] for name in wanted} == wanted


def random_cargo(rng, lanes):
    header = rng.choice([42, 54, 96, 106, 256, 260, rng.randrange(14, 260, 2)])
    if rng.random() < 0.3:
        header = rng.choice([0, header])
        payload = rng.choice([0, 1, lanes, rng.randint(1, 3000)]) or (header == 0)
        return Cargo(header, payload, sum_bytes=rng.choice([None, 0, rng.randint(0, payload)]))
    mss = rng.choice([1, 2, 3, lanes - 1, lanes, lanes + 1, 64, 100, 536, 1460, rng.randint(1, 9600), 9600])
    payload = mss * rng.randint(0, 6) + rng.choice([0, 0, 1, mss - 1, rng.randint(0, mss)])
    return Cargo(header, payload, mss)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("stall", [0, 0.4])
def test_slices_are_as_plain_arithmetic_says(lanes, stall):
    rng = random.Random(f"{lanes} {stall}")
    cargoes = [random_cargo(rng, lanes) for _ in range(120)]
    taken, _ = run(Cut(lanes, LIMITS), cargoes, seed=lanes, stall=stall)
    check(taken, cargoes, lanes)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_slices_are_full_but_the_last_and_none_is_empty_behind_a_full_one(lanes):
    """LSO-10, LSO-11; without payload there is one, which is empty (INV-7)."""
    for payload, sizes in {200: [100, 100], 201: [100, 100, 1], 199: [100, 99], 100: [100], 0: [0]}.items():
        taken, _ = run(Cut(lanes, LIMITS), [Cargo(96, payload, 100)])
        assert [piece["bytes"] for piece in taken] == sizes
        assert [piece["last"] for piece in taken] == [0] * (len(sizes) - 1) + [1]


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("mss", [1, 3, 7])
def test_slices_of_a_few_bytes_come_every_cycle_from_train_to_train(lanes, mss):
    cargoes = [Cargo(54, 20 * mss, mss), Cargo(0, 60), Cargo(42, 9 * mss + 1, mss), *[Cargo(34, 1)] * 5]
    taken, log = run(Cut(lanes, LIMITS), cargoes)
    check(taken, cargoes, lanes)
    assert log == list(range(log[0], log[0] + len(taken)))


@pytest.mark.parametrize("payload", [262_143, 262_143 - 43])
def test_the_largest_payload_is_counted_without_wrapping(payload):
    """T-14: more than 64 KiB."""
    cargo = Cargo(254, payload, 8960)
    taken, _ = run(Cut(64, LIMITS), [cargo, Cargo(54, 10, 3)])
    check(taken, [cargo, Cargo(54, 10, 3)], 64)
    assert sum(piece["bytes"] for piece in taken) == payload + 10


@pytest.mark.parametrize("lanes", [8, 64])
@pytest.mark.parametrize("kept", range(1, 8))
@pytest.mark.parametrize("waiting", [0, 1, 30])
def test_an_abort_shortens_its_train_and_no_other(lanes, kept, waiting):
    """Whatever slices are already cut, of that train or of the next ones."""
    dut = Cut(lanes, LIMITS)
    cargoes = [Cargo(54, 9000, 100), Cargo(66, 300, 100), Cargo(34, 9)]
    if kept == 1:
        cargoes[0] = Cargo(54, 300, 100)
    taken, rest = [], []

    async def bench(ctx):
        await start(ctx, dut, cargoes)
        await drain(ctx, dut.slices, taken, kept, rng=random.Random())
        for _ in range(waiting):
            await ctx.tick()
        ctx.set(dut.abort, 1)
        await ctx.tick()
        ctx.set(dut.abort, 0)
        aborted = 0
        while not rest or not rest[-1]["last"]:
            rest.clear()
            await drain(ctx, dut.slices, rest, 1, rng=random.Random())
            aborted += 1
        assert aborted <= 24
        rest.clear()
        await drain(ctx, dut.slices, rest, 4, rng=random.Random())
        check(rest, cargoes[1:], lanes)

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_the_first_slice_comes_after_the_declared_latency(lanes):
    dut = Cut(lanes, LIMITS)

    async def bench(ctx):
        ctx.set(dut.train, Cargo(54, 9).fields())
        ctx.set(dut.judged, 1)
        ctx.set(dut.passed, 1)
        cycles = 0
        while not ctx.get(dut.slices.valid):
            await ctx.tick()
            ctx.set(dut.judged, 0)
            cycles += 1
        assert cycles == dut.latency

    simulate(dut, bench)


def test_a_full_queue_asks_for_no_more_trains_and_keeps_those_under_way():
    dut = Cut(8, LIMITS)
    taken = []

    async def bench(ctx):
        started = late = 0
        while late < 6:  # as many as its surroundings may still have under way
            late += ctx.get(dut.full)
            ctx.set(dut.train, Cargo(54, started + 1).fields())
            ctx.set(dut.judged, 1)
            ctx.set(dut.passed, 1)
            await ctx.tick()
            started += 1
        ctx.set(dut.judged, 0)
        await drain(ctx, dut.slices, taken, started, rng=random.Random())
        assert [piece["bytes"] for piece in taken] == list(range(1, started + 1))

    simulate(dut, bench)
