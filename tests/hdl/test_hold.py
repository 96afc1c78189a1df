import random
from dataclasses import dataclass

import pytest
from offramp.send.hold import SLACK, Hold

from tests.hdl.streams import drain, simulate
from tests.hdl.trains import LIMITS, WIDTHS


@dataclass
class Packet:
    """Beats to hold, how many of them are in front of the payload, and what the judge says."""

    beats: int
    skip: int = 0
    refused: bool = False
    bad: bool = False


def rows(packets, lanes):
    """Yield what goes in; every beat has its own number."""
    number = 0
    for packet in packets:
        for beat in range(packet.beats):
            last = beat == packet.beats - 1
            octets = number.to_bytes(4, "big").rjust(lanes, b"\x5a")
            bad = int(last and packet.bad)
            yield {"data": list(octets), "last": int(last), "bad": bad, "spoilt": bad}
            number += 1


def expected(packets, lanes):
    row = rows(packets, lanes)
    out = []
    for packet in packets:
        mine = [next(row) for _ in range(packet.beats)]
        out += [] if packet.refused else mine[packet.skip :]
    return out


async def judge(ctx, dut, packets, rng, idle):
    """Give the orders, a few late ones included."""
    for packet in packets:
        while ctx.get(dut.full) or rng.random() < idle:
            await ctx.tick()
        ctx.set(dut.order, {"valid": 1, "skip": packet.skip, "refused": packet.refused})
        await ctx.tick()
        ctx.set(dut.order.valid, 0)


async def store(ctx, dut, packets, rng, idle, slack=SLACK):
    """Store beats; when room is gone, as many more as may still come."""
    late = 0
    for row in rows(packets, dut.lanes):
        late = 0 if ctx.get(dut.room) else late
        while rng.random() < idle or (late == slack and not ctx.get(dut.room)):
            await ctx.tick()
        late += not ctx.get(dut.room)
        ctx.set(dut.beat, {"valid": 1, **row})
        await ctx.tick()
        ctx.set(dut.beat.valid, 0)


def run(dut, packets, *, seed=0, idle=(0.0, 0.0), stall=0.0, ahead=0):
    """Store and judge packets; ``ahead`` cycles pass before the first order."""
    taken, log = [], []

    async def give(ctx):
        for _ in range(ahead):
            await ctx.tick()
        await judge(ctx, dut, packets, random.Random(seed), idle[0])

    async def put(ctx):
        await store(ctx, dut, packets, random.Random(seed + 1), idle[1])

    async def take(ctx):
        count = len(expected(packets, dut.lanes))
        await drain(ctx, dut.parts, taken, count, rng=random.Random(seed + 2), stall=stall, log=log)
        for _ in range(20):
            assert not ctx.get(dut.parts.valid), "a beat too many"
            await ctx.tick()

    simulate(dut, give, put, take)
    assert taken == expected(packets, dut.lanes)
    return log


def random_packets(rng, lanes, number):
    most = LIMITS.header_beats(lanes)
    for _ in range(number):
        beats = rng.choice([1, 1, 2, rng.randint(1, 12), rng.randint(1, 2 * most)])
        skip = rng.choice([0, rng.randint(0, min(beats - 1, most))])
        yield Packet(beats, skip, rng.random() < 0.3, rng.random() < 0.2)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("idle", [(0, 0), (0.3, 0), (0.8, 0), (0, 0.3), (0, 0.7), (0.2, 0.2)])
@pytest.mark.parametrize("stall", [0, 0.3])
def test_payloads_go_on_and_refused_packets_do_not_whichever_comes_first(lanes, idle, stall):
    """The judgement or the beats."""
    rng = random.Random(f"{lanes} {idle} {stall}")
    packets = list(random_packets(rng, lanes, 40))
    run(Hold(lanes, LIMITS, depth=128), packets, seed=lanes, idle=idle, stall=stall)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_beats_leave_every_cycle_from_packet_to_packet(lanes):
    packets = [Packet(1) for _ in range(12)] + [Packet(4, skip) for skip in range(4)] + [Packet(9)] * 2
    log = run(Hold(lanes, LIMITS), packets, ahead=60)
    assert log == list(range(log[0], log[0] + len(log)))


@pytest.mark.parametrize("lanes", [8, 64])
def test_refused_packets_take_a_cycle_each(lanes):
    packets = [Packet(1), *[Packet(6, refused=True)] * 5, Packet(1)]
    log = run(Hold(lanes, LIMITS), packets, ahead=60)
    assert log[1] - log[0] == 6


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("refused", [False, True])
def test_a_packet_longer_than_the_memory_passes(lanes, refused):
    packets = [Packet(5), Packet(300, 4, refused), Packet(2)]
    run(Hold(lanes, LIMITS, depth=64), packets)


@pytest.mark.parametrize("lanes", [8, 64])
@pytest.mark.parametrize("beats", [1, 3])
def test_a_full_memory_keeps_what_was_under_way(lanes, beats):
    """Long packets fill it with beats, short ones with ends of packets."""
    packets = [Packet(beats) for _ in range(300 // beats)]
    run(Hold(lanes, LIMITS, depth=128), packets, ahead=200)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_the_first_beat_comes_after_the_declared_latency(lanes):
    dut = Hold(lanes, LIMITS)

    async def bench(ctx):
        await store(ctx, dut, [Packet(4)], random.Random(), 0)
        await ctx.tick().repeat(5)
        ctx.set(dut.order, {"valid": 1, "skip": 2})
        cycles = 0
        while not ctx.get(dut.parts.valid):
            await ctx.tick()
            ctx.set(dut.order.valid, 0)
            cycles += 1
        assert cycles == dut.latency

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("skip", [0, 1, 3])
@pytest.mark.parametrize("ahead", [0, 1, 2, 3, 4, 6])
def test_what_is_there_of_a_packet_leaves_before_the_rest_comes_and_no_more(lanes, skip, ahead):
    """With ``ahead`` beats there before the order, the others one by one after it."""
    dut = Hold(lanes, LIMITS)
    packets = [Packet(2), Packet(8, skip)]
    written = list(rows(packets, lanes))
    taken = []

    async def put(ctx, count):
        for _ in range(count):
            ctx.set(dut.beat, {"valid": 1, **written.pop(0)})
            await ctx.tick()
            ctx.set(dut.beat.valid, 0)

    async def order(ctx, skip):
        ctx.set(dut.order, {"valid": 1, "skip": skip})
        await ctx.tick()
        ctx.set(dut.order.valid, 0)
        await ctx.tick().repeat(12)

    async def bench(ctx):
        await put(ctx, 2)
        await order(ctx, 0)
        await put(ctx, ahead)
        await ctx.tick().repeat(12)
        await order(ctx, skip)
        for there in range(ahead, 9):
            assert len(taken) == 2 + max(0, there - skip)
            await put(ctx, min(1, len(written)))
            await ctx.tick().repeat(12)

    async def take(ctx):
        await drain(ctx, dut.parts, taken, len(expected(packets, lanes)), rng=random.Random())

    simulate(dut, bench, take)
    assert taken == expected(packets, lanes)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("beats", [1, 3, 40])
def test_the_start_of_a_packet_that_is_not_whole_comes_a_cycle_later_at_most(lanes, beats):
    """No later at all if there are more beats of it than can be skipped."""
    dut = Hold(lanes, LIMITS)

    async def bench(ctx):
        ctx.set(dut.beat.valid, 1)
        await ctx.tick().repeat(beats)
        ctx.set(dut.beat.valid, 0)
        await ctx.tick().repeat(3)
        ctx.set(dut.order.valid, 1)
        cycles = 0
        while not ctx.get(dut.parts.valid):
            await ctx.tick()
            ctx.set(dut.order.valid, 0)
            cycles += 1
        assert cycles == dut.latency + (beats <= LIMITS.header_beats(lanes))

    simulate(dut, bench)


@pytest.mark.parametrize("idle", [0, 0.5])
def test_a_packet_that_is_refused_before_it_comes_takes_no_room(idle):
    dut = Hold(8, LIMITS, depth=64)
    rng = random.Random(0)

    async def bench(ctx):
        ctx.set(dut.order, {"valid": 1, "refused": 1})
        await ctx.tick()
        ctx.set(dut.order.valid, 0)
        await ctx.tick().until(dut.room)
        for row in rows([Packet(300)], 8):
            ctx.set(dut.beat, {"valid": 1, **row})
            await ctx.tick()
            ctx.set(dut.beat.valid, 0)
            while rng.random() < idle:
                await ctx.tick()
                assert ctx.get(dut.room)
            assert ctx.get(dut.room)

    simulate(dut, bench)
