import random
from dataclasses import dataclass

import pytest
from offramp.packet import Beat
from offramp.send.fit import Fit

from tests.hdl.streams import beats, feed, plain, simulate
from tests.hdl.trains import LIMITS, WIDTHS

CONTROL = 0xB0B5


@dataclass
class Arrival:
    """A packet as it comes in, and its length as the request says it (what comes in, unless given)."""

    octets: bytes
    tagged: bool = False
    length: int | None = None

    @property
    def claimed(self) -> int:
        return len(self.octets) if self.length is None else self.length

    @property
    def bad(self) -> bool:
        return self.claimed != len(self.octets)

    @property
    def last_byte(self) -> int:
        """Number of the frame's last byte, the tag included."""
        return min(max(0, self.claimed - 1 + 4 * self.tagged), (1 << 20) - 1)

    @property
    def frame(self) -> bytes:
        """The packet with its tag behind the addresses (SG-8)."""
        tag = b"\x81\x00" + CONTROL.to_bytes(2, "big") if self.tagged else b""
        return self.octets[:12] + tag + self.octets[12:]

    def brief(self, lanes):
        return {
            "last_beat": self.last_byte // lanes,
            "endless": self.claimed >= 1 << 20,
            "has_tag": self.tagged,
            "tag_control": CONTROL,
        }

    def beats(self, lanes):
        """Number of beats that it leaves in."""
        final = self.last_byte // lanes
        if self.bad:
            final = min(final, max(self.last_own_beat(lanes), LIMITS.header_beats(lanes) - 1))
        return final + 1

    def last_own_beat(self, lanes):
        """Number of the beat from which on there is nothing to be had of a bad packet."""
        return (len(self.octets) - 1) // lanes


def run(dut, arrivals, *, seed=0, idle=0.0, stall=0.0):
    lanes = dut.lanes
    out, cycles, accepted = [], [], []

    async def briefs(ctx):
        rng = random.Random(seed)
        await feed(ctx, dut.briefs, [some.brief(lanes) for some in arrivals], rng=rng, idle=idle)

    async def packets(ctx):
        # A length of more than twenty bits is not compared by those who compare.
        bursts = [
            {**beat, "mismatch": beat["last"] and some.bad and some.claimed < 1 << 20}
            for some in arrivals
            for beat in beats(some.octets, lanes)
        ]
        await feed(ctx, dut.packets, bursts, rng=random.Random(seed + 1), idle=idle)

    async def watch(ctx):
        rng = random.Random(seed + 2)
        ctx.set(dut.room, 1)
        cycle = quiet = 0
        while quiet < 12:
            _, _, beat, valid, ready = await ctx.tick().sample(dut.beat, dut.packets.valid, dut.packets.ready)
            cycle += 1
            quiet += sum(beat["last"] for beat in out) == len(arrivals)
            if valid and ready:
                accepted.append(cycle)
            if beat.valid:
                out.append(plain(beat))
                cycles.append(cycle)
            if stall:
                ctx.set(dut.room, rng.random() >= stall)

    simulate(dut, briefs, packets, watch)
    return out, cycles, accepted


def check(arrivals, lanes, out):
    beat_of = iter(out)
    for some in arrivals:
        count = some.beats(lanes)
        for number in range(count):
            beat = next(beat_of)
            assert beat["last"] == (number == count - 1)
            assert beat["window"] == (number < LIMITS.header_beats(lanes))
            assert beat["bad"] == (some.bad and number >= min(some.last_own_beat(lanes), count - 1))
            expected = some.frame[number * lanes : (number + 1) * lanes]
            assert bytes(beat["data"][: len(expected)]) == expected
    assert not list(beat_of)


def make(lanes):
    return Fit(lanes, LIMITS, Beat(lanes, mismatch=1))


def random_arrival(rng, lanes):
    size = rng.choice([rng.randint(1, 2 * lanes), rng.randint(14, 400), 64, 4 * lanes, 260])
    arrival = Arrival(rng.randbytes(size), tagged=size >= 14 and rng.random() < 0.4)
    match rng.randrange(4):
        case 0:
            arrival.length = size + rng.choice([1, 1000, rng.randint(1, 4 * lanes), 1 << 20])
        case 1:
            arrival.length = max(0, size - rng.choice([1, size, rng.randint(1, 3 * lanes)]))
    return arrival


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.4, 0), (0, 0.5), (0.2, 0.2)])
def test_packets_leave_as_long_as_they_should_be_whatever_the_handshakes(lanes, idle, stall):
    rng = random.Random(f"{lanes} {idle} {stall}")
    arrivals = [random_arrival(rng, lanes) for _ in range(40)]
    out, *_ = run(make(lanes), arrivals, seed=lanes, idle=idle, stall=stall)
    check(arrivals, lanes, out)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_tag_goes_in_behind_the_addresses_of_a_frame_of_any_length(lanes):
    """SG-8: with it the frame may need a beat more than the packet."""
    rng = random.Random(lanes)
    sizes = [*range(14, 14 + lanes + 6), *range(64, 64 + lanes, 5)]
    arrivals = [Arrival(rng.randbytes(size), tagged=True) for size in sizes]
    out, *_ = run(make(lanes), arrivals)
    check(arrivals, lanes, out)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("tagged", [False, True])
def test_a_packet_that_is_too_short_or_too_long_is_marked_bad_and_hurts_no_other(lanes, tagged):
    rng = random.Random(lanes)
    arrivals = []
    for size in (20, 60 + lanes, 256, 261, 260 + 2 * lanes, 320):
        for change in (-lanes, -1, 1, 4, lanes - 4, lanes, 3 * lanes, 1 << 20):
            arrivals.append(Arrival(rng.randbytes(size), tagged, length=max(0, size + change)))
        arrivals.append(Arrival(rng.randbytes(size), tagged))
    out, *_ = run(make(lanes), arrivals)
    check(arrivals, lanes, out)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_the_beats_of_a_header_block_come_even_if_the_packet_ends_inside_it(lanes):
    """Whoever was told where the headers are counts on them."""
    arrivals = [Arrival(bytes(20), length=300), Arrival(bytes(20), True, length=256), Arrival(bytes(300))]
    out, *_ = run(make(lanes), arrivals)
    check(arrivals, lanes, out)
    window = [beat["window"] for beat in out]
    assert sum(window) == 3 * LIMITS.header_beats(lanes)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_beat_passes_every_cycle_from_packet_to_packet(lanes):
    rng = random.Random(lanes)
    arrivals = [Arrival(rng.randbytes(rng.randint(1, 3 * lanes))) for _ in range(16)]
    arrivals += [Arrival(rng.randbytes(rng.randint(1, lanes))) for _ in range(10)]
    out, cycles, accepted = run(make(lanes), arrivals)
    check(arrivals, lanes, out)
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))
    assert accepted == [cycle - Fit.latency for cycle in cycles]


@pytest.mark.parametrize("lanes", WIDTHS)
def test_three_more_beats_at_most_follow_when_room_is_gone(lanes):
    dut = make(lanes)
    some = Arrival(bytes(60 * lanes))
    late = []

    async def briefs(ctx):
        await feed(ctx, dut.briefs, [some.brief(lanes)], rng=random.Random())

    async def packets(ctx):
        bursts = [{**beat, "mismatch": 0} for beat in beats(some.octets, lanes)]
        await feed(ctx, dut.packets, bursts, rng=random.Random())

    async def watch(ctx):
        ctx.set(dut.room, 1)
        await ctx.tick().repeat(10)
        ctx.set(dut.room, 0)
        for _ in range(10):
            _, _, valid = await ctx.tick().sample(dut.beat.valid)
            late.append(valid)
        ctx.set(dut.room, 1)

    simulate(dut, briefs, packets, watch)
    assert sum(late) <= 3


@pytest.mark.parametrize("lanes", WIDTHS)
def test_filling_up_stops_when_room_is_gone(lanes):
    """And the next packet, whose first beat may have been accepted, comes behind it."""
    dut = make(lanes)
    arrivals = [Arrival(bytes(8), length=300), Arrival(b"\x77" * lanes)]
    out = []

    async def briefs(ctx):
        await feed(ctx, dut.briefs, [some.brief(lanes) for some in arrivals], rng=random.Random())

    async def packets(ctx):
        bursts = [{**beat, "mismatch": some.bad} for some in arrivals for beat in beats(some.octets, lanes)]
        await feed(ctx, dut.packets, bursts, rng=random.Random())

    async def watch(ctx):
        ctx.set(dut.room, 1)
        while len(out) < 2:
            _, _, beat = await ctx.tick().sample(dut.beat)
            if beat.valid:
                out.append(plain(beat))
        ctx.set(dut.room, 0)
        before = len(out)
        for cycle in range(30):
            _, _, beat = await ctx.tick().sample(dut.beat)
            assert not (beat.valid and cycle > 3)
            if beat.valid:
                out.append(plain(beat))
        assert len(out) <= before + 3
        ctx.set(dut.room, 1)
        for _ in range(60):
            _, _, beat = await ctx.tick().sample(dut.beat)
            if beat.valid:
                out.append(plain(beat))

    simulate(dut, briefs, packets, watch)
    check(arrivals, lanes, out)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_tag_that_makes_a_packet_a_beat_longer_costs_that_beat_only(lanes):
    """The next packet's first beat is right behind it."""
    arrivals = [Arrival(bytes(4 * lanes), tagged=True) for _ in range(5)]
    out, cycles, _ = run(make(lanes), arrivals)
    check(arrivals, lanes, out)
    assert cycles == list(range(cycles[0], cycles[0] + 5 * 5))
