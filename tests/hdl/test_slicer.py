import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from offramp.send.slicer import Slicer
from offramp_sim.model.checksum import fold, ones_sum

from tests.hdl.streams import feed, plain, simulate
from tests.hdl.trains import LIMITS, WIDTHS, Cargo, pieces


@dataclass
class Load:
    """A packet with its train.

    It is bad from its beat ``spoilt`` on, counted from the one with payload, and then has ``filled`` more.
    """

    cargo: Cargo
    octets: bytes
    spoilt: int | None = None
    filled: int = 0

    def parts(self, lanes):
        """Yield the beats from the one in which the payload starts; whatever is on the lanes behind it."""
        whole = self.cargo.header_bytes // lanes * lanes
        starts = range(min(whole, (len(self.octets) - 1) // lanes * lanes), len(self.octets), lanes)
        for number, start in enumerate(starts):
            bad = self.spoilt is not None and number >= self.spoilt
            last = start == starts[-1] or (bad and number == self.spoilt + self.filled)
            part = self.octets[start : start + lanes].ljust(lanes, b"\xa5")
            yield {"data": list(part), "last": last, "bad": bad, "spoilt": last and bad}
            if last:
                return

    def payloads(self):
        """Yield the payload of each frame."""
        start = self.cargo.header_bytes
        for size in self.cargo.sizes:
            yield self.octets[start : start + size]
            start += size


@dataclass
class Moved:
    """What came out of a slicer: slices as lists of beats, and when."""

    slices: list = field(default_factory=list)
    ended: list = field(default_factory=list)
    sums: list = field(default_factory=list)
    taken: list = field(default_factory=list)
    cycles: list = field(default_factory=list)

    def is_over(self, loads):
        """Whether every train has ended."""
        return sum(what["last"] for what in self.ended) == len(loads) and len(self.sums) == len(self.ended)


def move(dut, loads, *, seed=0, idle=0.0, stall=0.0):
    """Send packets with their slices; return all that came out."""
    lanes = dut.lanes
    moved = Moved()
    rng = random.Random(seed)

    async def plan(ctx):
        """Offer slices as Cut does: a train that is aborted is cut short, but not at once."""
        idler = random.Random(seed + 1)
        for load in loads:
            cut = pieces(load.cargo, lanes)
            left = None  # slices that still come of an aborted train
            for number, piece in enumerate(cut):
                ending = piece.last or left == 0
                taken = abort = 0
                while not taken:
                    valid = idler.random() >= idle
                    ctx.set(dut.slices.payload, piece.fields() | {"last": ending})
                    ctx.set(dut.slices.valid, valid)
                    _, _, ready, abort = await ctx.tick().sample(dut.slices.ready, dut.abort)
                    assert not (abort and number == 0), "of the train before, which has no more slices"
                    taken = valid and ready
                    if abort and left is None and not ending:
                        left = idler.randint(0, 3) + 1
                if ending:
                    break
                left = left and left - 1
        ctx.set(dut.slices.valid, 0)
        while not moved.is_over(loads):
            _, _, abort = await ctx.tick().sample(dut.abort)
            assert not abort, "there is nothing to abort"

    async def send(ctx):
        parts = [part for load in loads for part in load.parts(lanes)]
        await feed(ctx, dut.parts, parts, rng=random.Random(seed + 2), idle=idle)

    async def receive(ctx):
        ctx.set(dut.room, 1)
        cycle = quiet = 0
        beats = []
        announced = deque([None] * dut.turn_stages)
        while quiet < 8:
            if stall:
                ctx.set(dut.room, rng.random() >= stall)
            quiet += moved.is_over(loads)
            ports = (dut.beat, dut.ended, dut.sum, dut.parts.valid, dut.parts.ready)
            _, _, beat, ended, total, valid, ready = await ctx.tick().sample(*ports)
            cycle += 1
            if valid and ready:
                moved.taken.append(cycle)
            if beat.valid:
                beats.append(bytes(plain(beat.data)))
            announced.append(plain(ended.slice) if ended.valid else None)
            over = announced.popleft()
            if beat.valid or over:
                moved.cycles.append(cycle)
            if over:
                moved.slices.append(beats)
                moved.ended.append(over)
                beats = []
            if total.valid:
                moved.sums.append(fold(sum(plain(total.halves))))
        assert moved.is_over(loads)
        assert not beats

    simulate(dut, plan, send, receive)
    return moved


def check_slice(beats, ended, piece, payload, lanes):
    """A slice has its bytes, and they are in the lanes in which they go out."""
    assert (ended["bytes"], ended["last"], ended["empty"]) == (piece.bytes, piece.last, piece.empty)
    assert len(beats) == (0 if piece.empty else piece.beats + 1)
    assert b"".join(beats)[piece.head : piece.head + piece.bytes] == payload
    if beats:
        assert ended["beats"] == piece.beats
        assert ended["tail"] == piece.tail


def check(moved, loads, lanes):
    slices, ended, sums = map(iter, (moved.slices, moved.ended, moved.sums))
    for load in loads:
        for piece, payload in zip(pieces(load.cargo, lanes), load.payloads(), strict=True):
            what = next(ended)
            assert not what["bad"]
            check_slice(next(slices), what, piece, payload, lanes)
            summed = payload if load.cargo.sum_bytes is None else payload[: load.cargo.sum_bytes]
            assert next(sums) == ones_sum(summed), "CS-1"


def corners(rng, size):
    """Bytes that lean to the ends of the range, where carries are dense."""
    match rng.randrange(4):
        case 0:
            return bytes(rng.choice([0x00, 0xFF]) for _ in range(size))
        case 1:
            return rng.choice([b"\0", b"\xff"]) * size
        case _:
            return rng.randbytes(size)


def load(rng, cargo):
    return Load(cargo, rng.randbytes(cargo.header_bytes) + corners(rng, cargo.payload_bytes))


def random_load(rng, lanes, beats):
    """A packet whose frames have about so many beats in all."""
    header = rng.choice([42, 54, 96, 64, 256, rng.randrange(14, 260, 2)])
    size = rng.randint(1, beats * lanes)
    if rng.random() < 0.2:
        header = rng.choice([0, header])
        return load(rng, Cargo(header, size, sum_bytes=rng.choice([None, 0, rng.randint(0, size)])))
    mss = rng.choice([lanes - 1, lanes, lanes + 1, rng.randint(1, lanes), rng.randint(lanes, 4 * lanes)])
    size = min(size, mss * beats // 2)
    return load(rng, Cargo(header, rng.choice([size, size // mss * mss]), mss))


HANDSHAKES = [(0, 0), (0.4, 0), (0, 0.4), (0.3, 0.3)]


@pytest.mark.parametrize(
    ("lanes", "idle", "stall"),
    [*((8, *pair) for pair in HANDSHAKES), *((lanes, 0.3, 0.3) for lanes in WIDTHS if lanes > 8)],
)
def test_payload_moves_to_the_lanes_of_its_frames_whatever_the_handshakes(lanes, idle, stall):
    rng = random.Random(f"{lanes} {idle} {stall}")
    loads = [random_load(rng, lanes, 12) for _ in range(1000 // (lanes + 24))]
    check(move(Slicer(lanes, LIMITS), loads, seed=lanes, idle=idle, stall=stall), loads, lanes)


@pytest.mark.parametrize("lanes", [8, 16])
def test_every_slice_length_at_every_lane_is_moved_and_summed(lanes):
    """T-12: an odd MSS changes the lanes from slice to slice, and high bytes become low ones."""
    rng = random.Random(lanes)
    loads = [
        load(rng, Cargo(2 * n, rng.randint(4 * mss, 5 * mss), mss))
        for n, mss in enumerate(range(1, 2 * lanes + 2))
    ]
    check(move(Slicer(lanes, LIMITS), loads), loads, lanes)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_beat_leaves_every_cycle_from_slice_to_slice_and_packet_to_packet(lanes):
    rng = random.Random(lanes)
    loads = [random_load(rng, lanes, 8) for _ in range(16)]
    loads += [load(rng, Cargo(header, 5, 1)) for header in (0, 14, 64)]
    moved = move(Slicer(lanes, LIMITS), loads)
    check(moved, loads, lanes)
    cycles = sum(piece.beats + 1 for load in loads for piece in pieces(load.cargo, lanes))
    assert moved.cycles == list(range(moved.cycles[0], moved.cycles[0] + cycles))


@pytest.mark.parametrize("lanes", WIDTHS)
def test_packets_of_one_beat_pass_every_cycle(lanes):
    rng = random.Random(lanes)
    loads = [load(rng, Cargo(0, rng.randint(1, lanes))) for _ in range(20)]
    moved = move(Slicer(lanes, LIMITS), loads)
    check(moved, loads, lanes)
    assert moved.taken == list(range(moved.taken[0], moved.taken[0] + len(loads)))


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_packet_without_payload_has_one_empty_slice(lanes):
    """INV-7; an empty slice where the header block ends with a beat has no beat at all."""
    rng = random.Random(lanes)
    loads = [load(rng, Cargo(header, 0, 100)) for header in (64, 54, 128, 64)] + [load(rng, Cargo(64, 3, 2))]
    moved = move(Slicer(lanes, LIMITS), loads)
    check(moved, loads, lanes)
    assert [len(beats) for beats in moved.slices] == [0, 1, 0, 0, 1, 1]


@pytest.mark.parametrize("lanes", WIDTHS)
def test_the_beat_to_store_comes_after_the_declared_latency(lanes):
    rng = random.Random(lanes)
    dut = Slicer(lanes, LIMITS)
    moved = move(dut, [load(rng, Cargo(0, lanes))])
    assert moved.cycles[0] == moved.taken[0] + dut.latency
    assert dut.latency <= 3


@pytest.mark.parametrize("lanes", WIDTHS)
def test_no_more_beats_than_the_latency_and_one_follow_when_room_is_gone(lanes):
    dut = Slicer(lanes, LIMITS)
    cargo = Cargo(54, 90 * lanes, 5 * lanes + 1)
    some = load(random.Random(lanes), cargo)
    late = []

    async def plan(ctx):
        await feed(ctx, dut.slices, [piece.fields() for piece in pieces(cargo, lanes)], rng=random.Random())

    async def send(ctx):
        await feed(ctx, dut.parts, some.parts(lanes), rng=random.Random())

    async def receive(ctx):
        ctx.set(dut.room, 1)
        await ctx.tick().repeat(20)
        ctx.set(dut.room, 0)
        for _ in range(20):
            _, _, valid = await ctx.tick().sample(dut.beat.valid)
            late.append(valid)
        ctx.set(dut.room, 1)

    simulate(dut, plan, send, receive)
    assert sum(late) == sum(late[: dut.latency + 1]) == dut.latency + 1


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("octet", [b"\0", b"\xff"])
def test_a_sum_is_zero_for_zeros_only(lanes, octet):
    loads = [Load(Cargo(54, 3 * lanes, lanes + 1), octet * (54 + 3 * lanes))]
    moved = move(Slicer(lanes, LIMITS), loads)
    check(moved, loads, lanes)
    assert (moved.sums[0] == 0) == (octet == b"\0")


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_packet_that_ends_early_ends_its_train(lanes):
    """Slices that were whole have gone, the others are bad, and the next packet is none the worse."""
    rng = random.Random(lanes)
    loads = []
    for mss in (1, lanes // 2, lanes, 3 * lanes - 1):
        for spoilt, filled in ((0, 0), (1, 0), (2, 2), (4, 1), (0, 3), (3, 9)):
            loads.append(load(rng, Cargo(rng.choice([54, 64]), max(6 * lanes, 2 * mss), mss)))
            loads[-1].spoilt, loads[-1].filled = spoilt, filled
        loads.append(load(rng, Cargo(34, 2 * lanes + 1, lanes)))
    for idle in (0, 0.3):
        check_spoilt(move(Slicer(lanes, LIMITS), loads, seed=lanes, idle=idle), loads, lanes)


def check_spoilt(moved, loads, lanes):
    assert len(moved.ended) == len(moved.sums)
    slices, ended, sums = map(iter, (moved.slices, moved.ended, moved.sums))
    for load in loads:
        good = 0
        bad = last = False
        cut = list(zip(pieces(load.cargo, lanes), load.payloads(), strict=True))
        while not last:
            what, beats, total = next(ended), next(slices), next(sums)
            last = what["last"]
            assert len(beats) == (0 if what["empty"] else what["beats"] + 1)
            assert what["bad"] or not bad, "nothing behind a bad slice is good"
            bad = bad or what["bad"]
            if not bad:
                piece, payload = cut[good]
                check_slice(beats, what, piece, payload, lanes)
                assert total == ones_sum(payload)
                good += 1
        if load.spoilt is None:
            assert good == len(cut)
        else:
            assert bad
            # Bytes of payload in front of the beat that is bad, and of those the ones that are surely gone.
            arrived = load.spoilt * lanes - load.cargo.header_bytes % lanes
            assert good * load.cargo.mss <= max(0, arrived)
            assert (good + 1) * load.cargo.mss > arrived - 2 * lanes


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("mss", [0, 7, 1000])
def test_a_packet_that_is_bad_only_at_its_end_has_a_bad_last_slice(lanes, mss):
    rng = random.Random(lanes)
    loads = [load(rng, Cargo(54, 3 * lanes, mss)) for _ in range(2)]
    loads[0].spoilt = len(list(loads[0].parts(lanes))) - 1
    moved = move(Slicer(lanes, LIMITS), loads)
    verdicts = [what["bad"] for what in moved.ended]
    first = verdicts[: [what["last"] for what in moved.ended].index(1) + 1]
    assert first[-1] and not any(verdicts[len(first) :])
