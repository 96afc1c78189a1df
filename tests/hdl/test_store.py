import random

import pytest
from offramp.send.store import SLACK, Store
from offramp.send.train import TAG_BYTES, Limits

from tests.hdl.streams import plain, simulate
from tests.hdl.trains import LIMITS, WIDTHS


def row(number, lanes):
    return list(number.to_bytes(4, "big") * (lanes // 4))


@pytest.mark.parametrize("lanes", WIDTHS)
def test_beats_are_read_where_they_were_written_after_the_declared_latency(lanes):
    """Around the end of the memory as well, and while others are written."""
    dut = Store(lanes, Limits(max_mss=100, max_header_bytes=64))
    written = dut.depth + 40
    rng = random.Random(lanes)

    async def bench(ctx):
        pending = [None] * dut.read_latency
        for number in range(written + dut.read_latency):
            ctx.set(dut.beat, {"valid": number < written, "data": row(number, lanes)})
            wanted = rng.randrange(max(0, number - dut.depth + 1), number) if number > 1 else None
            if wanted is not None and wanted < written:
                ctx.set(dut.reader.address, wanted % dut.depth)
            else:
                wanted = None
            ctx.set(dut.reader.read, wanted is not None)
            pending.append(wanted)
            await ctx.tick()
            wanted = pending[-dut.read_latency]
            if wanted is not None:
                assert plain(ctx.get(dut.reader.data)) == row(wanted, lanes)

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", [8, 64])
def test_room_is_told_while_the_slack_still_fits_in(lanes):
    dut = Store(lanes, Limits(max_mss=100, max_header_bytes=64))

    async def bench(ctx):
        for _ in range(3):
            await ctx.tick()
        used = 0
        ctx.set(dut.beat.valid, 1)
        while ctx.get(dut.room):
            await ctx.tick()
            used += 1
        assert used + SLACK <= dut.depth
        assert used >= dut.depth - 3 * SLACK, "the rest is not wasted"
        ctx.set(dut.beat.valid, 0)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.room)
        ctx.set(dut.reader.free, 3)
        for _ in range(SLACK):
            await ctx.tick()
        ctx.set(dut.reader.free, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.room)

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", [8, 64])
def test_beats_come_and_go_in_the_same_cycle(lanes):
    dut = Store(lanes, Limits(max_mss=100, max_header_bytes=64))

    async def bench(ctx):
        ctx.set(dut.beat.valid, 1)
        await ctx.tick().repeat(20)
        ctx.set(dut.reader.free, 1)
        for _ in range(2 * dut.depth):
            await ctx.tick()
            assert ctx.get(dut.room)

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("max_mss", [1, 1460, 9600, 16_000])
def test_two_of_the_largest_slices_fit_in_beside_the_slack(lanes, max_mss):
    """One is written while the other is read."""
    limits = Limits(max_mss=max_mss)
    beats = -(-(limits.max_frame_bytes + TAG_BYTES) // lanes)
    dut = Store(lanes, limits)
    simulate(dut)
    assert dut.depth >= 2 * beats + 2 * SLACK


@pytest.mark.parametrize("value", [0, 16_001])
def test_segments_that_cannot_be_stored_are_refused_at_build_time(value):
    with pytest.raises(ValueError, match=f"{value}"):
        Limits(max_mss=value)


def test_a_store_has_a_power_of_two_of_rows_to_count_around():
    for lanes in WIDTHS:
        dut = Store(lanes, LIMITS)
        simulate(dut)
        assert dut.depth & (dut.depth - 1) == 0
