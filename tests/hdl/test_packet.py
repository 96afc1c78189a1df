"""Small logic on lanes and counts, for every value that there is."""

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator
from offramp.packet import at_most, keep


def evaluate(function, width):
    """Return what ``function`` makes of each value of that width."""
    value, output = Signal(width), Signal(1 << width)
    m = Module()
    m.d.comb += output.eq(Cat(function(value)))
    results = []

    async def bench(ctx):
        for number in range(1 << width):
            ctx.set(value, number)
            results.append(ctx.get(output))

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
    return results


@pytest.mark.parametrize("width", range(1, 7))
def test_at_most_compares_with_every_constant(width):
    numbers = range(1 << width)
    expected = [sum(1 << n for n in numbers if value <= n) for value in numbers]
    assert evaluate(at_most, width) == expected


@pytest.mark.parametrize("width", range(1, 7))
def test_keep_has_the_lowest_lanes_or_all(width):
    lanes = 1 << width
    expected = [(1 << (count or lanes)) - 1 for count in range(lanes)]
    assert evaluate(keep, width) == expected
