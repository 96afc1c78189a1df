import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from offramp.walk.place import Places

from tests.hdl.streams import simulate
from tests.hdl.walks import WIDTHS

BEATS = 16
OFFSET_BITS = 12


class Found(wiring.Component):
    """The words of a beat that are behind a byte of the packet, and the one that is at it."""

    def __init__(self, lanes):
        self.lanes = lanes
        words = lanes // 2
        super().__init__({
            "index": In(range(BEATS)),
            "number": In(OFFSET_BITS),
            "applies": In(1),
            "behind": Out(words),
            "at": Out(words),
        })

    def elaborate(self, platform):
        m = Module()
        places = Places(m, self.index, self.lanes)
        m.d.comb += [
            self.behind.eq(places.behind("behind", self.number, self.applies)),
            self.at.eq(places.at("at", self.number, self.applies)),
        ]
        return m


@pytest.mark.parametrize("lanes", WIDTHS)
def test_words_are_told_by_the_byte_that_they_are_at_or_behind(lanes):
    """A cycle later, for every place in and around every beat; an odd byte is in the word of the even one."""
    dut = Found(lanes)
    rng = random.Random(lanes)
    asked = [(1, n, 1) for n in range(3 * lanes)]  # all places in the beat, in the one before and behind it
    asked += [
        (rng.randrange(BEATS), rng.randrange(1 << OFFSET_BITS), rng.random() < 0.8) for _ in range(100)
    ]
    seen = []

    async def bench(ctx):
        for index, number, applies in [*asked, (0, 0, 0)]:
            ctx.set(dut.index, index)
            ctx.set(dut.number, number)
            ctx.set(dut.applies, applies)
            _, _, behind, at = await ctx.tick().sample(dut.behind, dut.at)
            seen.append((behind, at))

    simulate(dut, bench)
    for (index, number, applies), (behind, at) in zip(asked, seen[1:], strict=True):
        for n in range(lanes // 2):
            word = (lanes * index) // 2 + n
            assert behind >> n & 1 == (applies and word >= number // 2)
            assert at >> n & 1 == (applies and word == number // 2)
