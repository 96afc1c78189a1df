import random

import pytest
from offramp.walk.layout import Protocol
from offramp.walk.lookahead import Kind, Lookahead

from tests.hdl.streams import plain, simulate
from tests.hdl.walks import WIDTHS

KINDS = {
    Protocol.HOP_BY_HOP: Kind.OPTIONS,
    Protocol.DESTINATION: Kind.OPTIONS,
    Protocol.ROUTING: Kind.ROUTING,
    Protocol.AH: Kind.AUTHENTICATION,
    Protocol.FRAGMENT: Kind.FRAGMENT,
}


def behind(place, lanes):
    """In which beat that place is."""
    return {"inside": int(8 * place < lanes), "following": int(lanes <= 8 * place < 2 * lanes)}


def way(octets, start, kind, phase):
    """Follow the chain from an extension header of ``kind`` that begins at byte ``start``, header by header.

    Return what :class:`offramp.walk.lookahead.Way` has, of places only those that mean anything.
    """
    lanes = len(octets)
    place = (start - phase) // 8
    found = dict.fromkeys(("near", "far", "fragment", "routed", "straddles", "secured"), 0)
    while True:
        following, units = octets[start], octets[start + 1]
        found |= {"last": place, "authentication": int(kind == Kind.AUTHENTICATION)}
        found["secured"] |= kind == Kind.AUTHENTICATION
        size = (units + 2) // 2 if kind == Kind.AUTHENTICATION else units + 1
        found |= behind(place + size, lanes)
        if (kind == Kind.AUTHENTICATION and units % 2) or following not in KINDS:
            return found
        start, place, kind = start + 8 * size, place + size, KINDS[following]
        beat, lane = divmod(start - phase, lanes)
        if beat:
            # What the first header of another beat says is that beat's to tell.
            more = {"near": int(beat == 1), "far": int(beat > 1)}
            return found | more | {"kind": int(kind), "place": lane // 8 % max(lanes // 8, 2)}
        if kind == Kind.FRAGMENT:
            return found | {"fragment": 1, "authentication": 0, "last": place} | behind(place + 1, lanes)
        if kind == Kind.ROUTING:
            if start + 3 < lanes:
                found["routed"] |= octets[start + 3] != 0
            else:
                found["straddles"] = 1


def beat(rng, lanes):
    """Random bytes, of which many are headers' numbers and short lengths."""
    numbers = [*KINDS, 0, 43, 60, Protocol.TCP, Protocol.ESP, rng.randrange(256)]
    octets = bytearray(lanes)
    for n in range(0, lanes, 2):
        octets[n] = rng.choice(numbers)
        octets[n + 1] = rng.choice([0, 0, 0, 1, 2, 2, 3, 4, 6, rng.randrange(16), rng.randrange(256)])
    return bytes(octets)


@pytest.mark.parametrize("latency", [2, 3])
@pytest.mark.parametrize("phase", [0, 2])
@pytest.mark.parametrize("lanes", WIDTHS)
def test_every_chain_is_followed_to_the_end_of_the_beat(lanes, phase, latency):
    """From every slot and for both kinds, for beats in every cycle, the declared latency later."""
    dut = Lookahead(lanes, phase=phase, latency=latency)
    assert dut.latency == latency
    rng = random.Random(f"{lanes} {phase} {latency}")
    sent = [beat(rng, lanes) for _ in range(3000 // lanes)]
    seen = []

    async def bench(ctx):
        for octets in [*sent, *[bytes(lanes)] * latency]:
            ctx.set(dut.octets, list(octets))
            _, _, ways, left = await ctx.tick().sample(dut.ways, dut.left)
            seen.append((plain(ways), left))

    simulate(dut, bench)
    chained = 0
    for octets, (ways, left) in zip(sent, seen[latency:], strict=True):
        for slot in range(lanes // 4):
            place = 4 * slot + phase + 3
            assert left >> slot & 1 == (place < lanes and octets[place] != 0)
            for number, kind in ((0, Kind.OPTIONS), (1, Kind.AUTHENTICATION)):
                expected = way(octets, 4 * slot + phase, kind, phase)
                found = ways[2 * slot + number]
                found["routed"] = bool(found["routed"])  # a bit for each join
                assert {name: found[name] for name in expected} == expected
                chained += expected["last"] > slot // 2
    assert chained or lanes == 8, "there are chains of several headers"


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="phase must be 0 or 2, not 1"):
        Lookahead(8, phase=1)
    with pytest.raises(ValueError, match="latency must be 2 or 3, not 4"):
        Lookahead(8, phase=0, latency=4)
