import random

import pytest
from amaranth.hdl import Module
from offramp.walk.layout import Passage
from offramp.walk.window import Window

from tests.hdl.streams import simulate
from tests.hdl.walks import WIDTHS, WINDOW
from tests.model.shapes import get

TAGS = (0x8100, 0x88A8)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("phase", [None, 0, 2])
@pytest.mark.parametrize("marks", [(), ("tag",)], ids=["plain", "marked"])
def test_a_window_shows_the_words_behind_its_pointer(lanes, phase, marks):
    """Wherever the header starts, as they pass, for the declared latency, and until the next packet."""
    wanted = (0, 1, 4, 9)
    passage = Passage(lanes, WINDOW)
    dut = Window(passage, dict.fromkeys(wanted, marks), phase=phase)
    rng = random.Random(f"{lanes} {phase}")
    top = Module()
    top.submodules.dut = dut

    sent = []  # passages, and the words that are known with them
    for _ in range(300 // lanes + 6):
        start = rng.randrange(0, 80, 2)
        if phase is not None:
            start += (phase - start) % 4
        octets = b"".join(
            rng.choice((rng.randbytes(2), *(tag.to_bytes(2) for tag in TAGS)))
            for _ in range(lanes // 2 * rng.randint(1, 120 // lanes + 2))
        )
        for index in range(len(octets) // lanes):
            end = lanes * (index + 1)
            apart = 1 << index - start // lanes if index >= start // lanes else 0
            sent.append(({
                "valid": 1,
                "first": index == 0,
                "anew": index == 0,
                "index": index,
                "data": list(octets[end - lanes : end]),
                "pointer": {"known": end > start, "start": start},
                "apart": apart & ((1 << len(dut.i.apart)) - 1),
            }, {
                n: get(octets, start + 2 * word)
                for n, word in enumerate(wanted)
                if start + 2 * word + 2 <= end
            }))

    async def bench(ctx):
        pending = [None] * dut.latency
        for beat, known in [*sent, *[({"valid": 0}, None)] * dut.latency]:
            if rng.random() < 0.2:
                apart = rng.getrandbits(len(dut.i.apart))
                ctx.set(dut.i, {"first": 1, "anew": 1, "data": list(rng.randbytes(lanes)), "apart": apart})
                pending.append(None)
                await ctx.tick()
                verify(ctx, pending)
            ctx.set(dut.i, beat)
            pending.append(known)
            await ctx.tick()
            verify(ctx, pending)

    def verify(ctx, pending):
        known = pending[-dut.latency]
        assert ctx.get(dut.o.valid) == (known is not None)
        if known is not None:
            for n, place in enumerate(wanted):
                word = ctx.get(dut.words[f"word{place}"])
                assert word.passed == (n in known)
                if n in known:
                    assert word.value == known[n]
                    assert not marks or word.tag == (known[n] in TAGS)

    simulate(top, bench)


def test_a_window_has_a_phase_of_an_even_byte():
    with pytest.raises(ValueError, match="1"):
        Window(Passage(8, WINDOW), (0,), phase=1)
