# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.sim import Simulator
from offramp.ram import BlockRam


def run(dut, bench):
    sim = Simulator(dut)
    sim.add_clock(4e-9)
    sim.add_testbench(bench)
    sim.run()


def test_rows_are_read_as_they_were_written():
    dut = BlockRam(8, 16)
    rng = random.Random(0)
    rows = [0] * 16

    async def bench(ctx):
        expected = 0
        for _ in range(500):
            write, read = rng.randrange(16), rng.randrange(16)
            writing, reading = rng.random() < 0.7, rng.random() < 0.7 and read != write
            octet = rng.randrange(256)
            ctx.set(dut.write.addr, write)
            ctx.set(dut.write.data, octet)
            ctx.set(dut.write.en, writing)
            ctx.set(dut.read.addr, read)
            ctx.set(dut.read.en, reading)
            await ctx.tick()
            if reading:
                expected = rows[read]
            if writing:
                rows[write] = octet
            assert ctx.get(dut.read.data) == expected

    run(dut, bench)


def test_a_row_is_not_read_while_it_is_written():
    dut = BlockRam(8, 16)

    async def bench(ctx):
        for port in (dut.write, dut.read):
            ctx.set(port.addr, 5)
            ctx.set(port.en, 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match="no row is read while it is written"):
        run(dut, bench)


def test_depth_is_at_least_two():
    with pytest.raises(ValueError, match="not 1"):
        BlockRam(8, 1)
