import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from offramp.send.gather import Gather, Schedule

from tests.hdl.streams import beats, drain, feed, packets, simulate

WIDTHS = [8, 16, 32, 64]


@dataclass
class Packet:
    """Buffers, and the length that the order claims (the right one unless given)."""

    buffers: list[bytes]
    length: int | None = None

    @property
    def octets(self) -> bytes:
        return b"".join(self.buffers)

    @property
    def claimed(self) -> int:
        return len(self.octets) if self.length is None else self.length

    def beats(self, lanes: int) -> int:
        return max(1, -(-len(self.octets) // lanes))


def cut(octets: bytes, *ends: int) -> Packet:
    """Cut a packet in buffers at given places."""
    places = [0, *ends, len(octets)]
    return Packet([octets[start:end] for start, end in pairwise(places)])


def run(dut, sent, *, seed=0, idle=0.0, stall=0.0):
    """Send packets; return the beats that came out and the cycles they came in."""
    lanes = dut.lanes
    taken, log = [], []

    async def order(ctx):
        orders = [{"length": packet.claimed, "buffers": len(packet.buffers)} for packet in sent]
        await feed(ctx, dut.orders, orders, rng=random.Random(seed), idle=idle, hold=dut.full)

    async def send(ctx):
        bursts = [beat for packet in sent for buffer in packet.buffers for beat in beats(buffer, lanes)]
        await feed(ctx, dut.buffers, bursts, rng=random.Random(seed + 1), idle=idle)

    async def receive(ctx):
        count = sum(packet.beats(lanes) for packet in sent)
        await drain(ctx, dut.packets, taken, count, rng=random.Random(seed + 2), stall=stall, log=log)
        for _ in range(10):
            assert not ctx.get(dut.packets.valid), "a beat too many"
            await ctx.tick()

    simulate(dut, order, send, receive)
    return taken, log


def check(dut, sent, taken):
    """Compare everything that is defined about the beats that came out."""
    lanes = dut.lanes
    beat_of = iter(taken)
    for packet in sent:
        received = [next(beat_of) for _ in range(packet.beats(lanes))]
        if packet.buffers:
            assert packets(received, lanes) == [packet.octets]
        first = len(packet.buffers[0]) if packet.buffers else None
        for number, beat in enumerate(received, 1):
            last = number == len(received)
            assert beat["last"] == last
            assert last or beat["count"] == 0, "only the last beat may be partial"
            end = len(packet.octets) if last else number * lanes
            ended = first is not None and first <= 255 and first <= end
            assert beat["split"]["ended"] == ended
            if ended:
                assert beat["split"]["bytes"] == first
        wrong = len(packet.octets) != packet.claimed and packet.claimed < 1 << 20
        assert received[-1]["mismatch"] == (wrong or not packet.buffers)


def shuffled(rng, lanes, number):
    """Packets of all kinds: few or many buffers, of one byte, about a beat or of any length."""
    sent = []
    for _ in range(number):
        lengths = [1, 1, 2, lanes - 1, lanes, lanes, lanes + 1, rng.randint(1, 4 * lanes)]
        buffers = [rng.randbytes(rng.choice(lengths)) for _ in range(rng.choice([1, 1, 1, 2, 3, 7]))]
        sent.append(Packet(buffers))
    return sent


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.3, 0.3), (0, 0.6), (0.6, 0), (0.05, 0.9)])
def test_buffers_join_in_order_whatever_the_handshakes(lanes, idle, stall):
    rng = random.Random(f"{lanes} {idle} {stall}")
    dut = Gather(lanes)
    sent = shuffled(rng, lanes, 500 // lanes)
    taken, _ = run(dut, sent, seed=rng.randrange(1000), idle=idle, stall=stall)
    check(dut, sent, taken)


@pytest.mark.parametrize("lanes", [8, 16])
def test_a_boundary_may_fall_anywhere(lanes):
    rng = random.Random(lanes)
    dut = Gather(lanes)
    sent = [
        cut(rng.randbytes(length), end)
        for length in range(2, 2 * lanes + 2)
        for end in range(1, length, 1 if lanes == 8 else 3)
    ]
    taken, _ = run(dut, sent)
    check(dut, sent, taken)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_every_length_about_a_beat_is_joined(lanes):
    rng = random.Random(lanes)
    dut = Gather(lanes)
    edges = [1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes]
    sent = [Packet([rng.randbytes(one), rng.randbytes(two)]) for one in edges for two in edges]
    taken, _ = run(dut, sent)
    check(dut, sent, taken)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_an_input_beat_is_accepted_every_cycle(lanes):
    rng = random.Random(lanes)
    dut = Gather(lanes)
    sent = shuffled(rng, lanes, 60 if lanes < 64 else 30)
    bursts = [beat for packet in sent for buffer in packet.buffers for beat in beats(buffer, lanes)]
    accepted = []

    async def order(ctx):
        orders = [{"length": packet.claimed, "buffers": len(packet.buffers)} for packet in sent]
        await feed(ctx, dut.orders, orders, rng=rng, hold=dut.full)

    async def send(ctx):
        cycle = 0
        for beat in bursts:
            ctx.set(dut.buffers.payload, beat)
            ctx.set(dut.buffers.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.buffers.ready)
                cycle += 1
            accepted.append(cycle)
        ctx.set(dut.buffers.valid, 0)

    async def receive(ctx):
        taken = []
        await drain(ctx, dut.packets, taken, sum(packet.beats(lanes) for packet in sent), rng=rng)

    simulate(dut, order, send, receive)
    assert accepted == list(range(accepted[0], accepted[0] + len(bursts)))


@pytest.mark.parametrize("lanes", WIDTHS)
def test_packets_of_one_beat_leave_every_cycle(lanes):
    rng = random.Random(lanes)
    dut = Gather(lanes)
    sent = [Packet([rng.randbytes(rng.randint(1, lanes))]) for _ in range(40)]
    taken, log = run(dut, sent)
    check(dut, sent, taken)
    assert log == list(range(log[0], log[0] + len(sent)))


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_pause_of_the_receiver_leaves_no_gap_behind(lanes):
    rng = random.Random(lanes)
    dut = Gather(lanes)
    octets = rng.randbytes(100 * lanes)
    taken, log = [], []

    async def order(ctx):
        await feed(ctx, dut.orders, [{"length": len(octets), "buffers": 1}], rng=rng, hold=dut.full)

    async def send(ctx):
        await feed(ctx, dut.buffers, beats(octets, lanes), rng=rng)

    async def receive(ctx):
        await ctx.tick().repeat(60)
        await drain(ctx, dut.packets, taken, 100, rng=rng, log=log)

    simulate(dut, order, send, receive)
    assert packets(taken, lanes) == [octets]
    assert log == list(range(100))


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("spare", [0, 1])
def test_the_end_of_a_packet_is_offered_after_the_declared_latency(lanes, spare):
    """Whether or not the last beat fits in with what is held back."""
    dut = Gather(lanes)
    sent = cut(bytes(range(2 * lanes - 3 * spare)), lanes - 1)

    async def bench(ctx):
        ctx.set(dut.packets.ready, 1)
        await feed(ctx, dut.orders, [{"length": sent.claimed, "buffers": 2}], rng=random.Random())
        bursts = [beat for buffer in sent.buffers for beat in beats(buffer, lanes)]
        await feed(ctx, dut.buffers, bursts, rng=random.Random())
        cycles = 1
        while not (ctx.get(dut.packets.valid) and ctx.get(dut.packets.payload.last)):
            await ctx.tick()
            cycles += 1
        assert cycles == dut.latency

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("stall", [0, 0.4])
def test_buffers_that_do_not_add_up_are_told(lanes, stall):
    rng = random.Random(lanes)
    dut = Gather(lanes)
    sent = []
    for length in (1, lanes - 1, lanes, lanes + 1, 3 * lanes):
        for wrong in (-1, 0, 1, lanes, 1 << 19):
            octets = rng.randbytes(length)
            sent.append(cut(octets, *sorted(rng.sample(range(1, length), min(2, length - 1)))))
            sent[-1].length = max(0, length + wrong)
    sent += [Packet([b"a"], 1 << 16), Packet([b"b"], 1 << 10 | 1), Packet([b"c"], 1)]
    taken, _ = run(dut, sent, stall=stall)
    check(dut, sent, taken)
    assert {beat["mismatch"] for beat in taken} == {0, 1}


def test_a_length_of_more_than_twenty_bits_is_left_to_a_later_stage():
    dut = Gather(8)
    sent = [Packet([b"a"], 1 << 20 | 1), Packet([b"b"], 1 << 31), Packet([b"c"], (1 << 20) - 1)]
    taken, _ = run(dut, sent)
    assert [beat["mismatch"] for beat in taken] == [0, 0, 1]


def test_a_packet_longer_than_the_counter_does_not_pass_for_a_short_one(monkeypatch):
    monkeypatch.setattr(Schedule, "_COUNTED", 8)
    dut = Gather(8)
    octets = bytes(600)
    sent = [Packet([octets[:actual]], wrong) for actual in (255, 256, 513, 600) for wrong in (1, 88, 255)]
    sent += [Packet([octets[:513]], 513), Packet([octets[:300], octets[:5]]), Packet([b"short"])]
    taken, _ = run(dut, sent)
    told = [beat["mismatch"] for beat in taken if beat["last"]]
    assert told == [packet.claimed < 256 and packet.claimed != len(packet.octets) for packet in sent]


@pytest.mark.parametrize("lanes", [8, 32])
@pytest.mark.parametrize("seed", range(3))
def test_a_receiver_may_stop_for_long_at_any_time(lanes, seed):
    """What is under way then, a beat every cycle or with gaps, has a place to go."""
    rng = random.Random(f"{lanes} {seed}")
    dut = Gather(lanes)
    sent = [Packet([bytes([n])]) for n in range(150)]
    taken = []

    async def order(ctx):
        await feed(ctx, dut.orders, [{"length": 1, "buffers": 1}] * len(sent), rng=rng, hold=dut.full)

    async def send(ctx):
        bursts = (beat for packet in sent for beat in beats(packet.octets, lanes))
        await feed(ctx, dut.buffers, bursts, rng=rng, idle=seed / 10)

    async def receive(ctx):
        while len(taken) < len(sent):
            await ctx.tick().repeat(rng.choice([1, 2, 40]))
            await drain(ctx, dut.packets, taken, min(len(sent), len(taken) + rng.randint(1, 20)), rng=rng)

    simulate(dut, order, send, receive)
    check(dut, sent, taken)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("stall", [0, 0.5])
def test_a_packet_without_buffers_is_one_beat_and_takes_none(lanes, stall):
    rng = random.Random(lanes)
    dut = Gather(lanes)
    sent = []
    for packet in shuffled(rng, lanes, 12):
        sent += [packet, *[Packet([], rng.choice([0, 5, 1 << 20]))] * rng.choice([0, 1, 3])]
    taken, _ = run(dut, sent, stall=stall, idle=stall)
    check(dut, sent, taken)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_the_end_of_the_first_buffer_is_told_up_to_byte_255(lanes):
    rng = random.Random(lanes)
    dut = Gather(lanes)
    sent = [
        cut(rng.randbytes(end + rest), end)
        for end in (1, lanes - 1, lanes, lanes + 1, 254, 255, 256, 257, 300, 511, 512, 513)
        for rest in (1, lanes)
    ]
    taken, _ = run(dut, sent)
    check(dut, sent, taken)


def test_many_buffers_are_counted():
    """More than eight bits of them, and a packet of one buffer right behind."""
    dut = Gather(8)
    sent = [Packet([bytes([n & 0xFF]) for n in range(600)]), Packet([b"x"]), Packet([b"y", b"z"])]
    taken, _ = run(dut, sent)
    check(dut, sent, taken)


def test_buffers_wait_for_their_order_and_no_longer():
    dut = Gather(8)

    async def bench(ctx):
        ctx.set(dut.buffers.payload, next(beats(b"early", 8)))
        ctx.set(dut.buffers.valid, 1)
        for _ in range(8):
            await ctx.tick()
            assert not ctx.get(dut.buffers.ready)
        await feed(ctx, dut.orders, [{"length": 5, "buffers": 1}], rng=random.Random(), hold=dut.full)
        assert ctx.get(dut.buffers.ready)

    simulate(dut, bench)


def test_a_partial_beat_inside_a_buffer_is_refused():
    dut = Gather(8)

    async def bench(ctx):
        ctx.set(dut.buffers.payload, {"data": [0] * 8, "count": 3, "last": 0})
        ctx.set(dut.buffers.valid, 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match="only the last beat may be partial"):
        simulate(dut, bench)


@pytest.mark.parametrize("lanes", [0, 1, 12])
def test_widths_that_are_no_power_of_two_are_refused(lanes):
    with pytest.raises(ValueError, match=f"{lanes}"):
        Gather(lanes)


def test_orders_wait_for_their_packets():
    """A few of them, and a few more that are under way when it is time to stop."""
    rng = random.Random(0)
    dut = Gather(8)
    sent = shuffled(rng, 8, 60)
    taken, accepted = [], []

    async def order(ctx):
        for packet in sent:
            payload = {"length": packet.claimed, "buffers": len(packet.buffers)}
            await feed(ctx, dut.orders, [payload], rng=rng, hold=dut.full)
            accepted.append(packet)

    async def send(ctx):
        await ctx.tick().repeat(100)
        assert 8 < len(accepted) < len(sent)
        bursts = [beat for packet in sent for buffer in packet.buffers for beat in beats(buffer, 8)]
        await feed(ctx, dut.buffers, bursts, rng=rng)

    async def receive(ctx):
        await drain(ctx, dut.packets, taken, sum(packet.beats(8) for packet in sent), rng=rng)

    simulate(dut, order, send, receive)
    check(dut, sent, taken)
