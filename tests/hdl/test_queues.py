import random
from dataclasses import dataclass, replace

import pytest
from amaranth.hdl import Module
from offramp.receive.queues import Queues
from offramp.receive.toeplitz import Toeplitz

from tests.hdl.streams import simulate

MAC, OTHER = 0x0202_0304_0506, 0x0202_0304_0507


@dataclass(frozen=True)
class Frame:
    """A frame as the walk and the hash tell of it; None where there is nothing."""

    mac: int | None = MAC
    vlan: int | None = None
    hash: int | None = None


@dataclass(frozen=True)
class Filter:
    """A receive filter, enabled."""

    mac: int = MAC
    queue: int = 5
    vlan: int | None = None
    spread: bool = False

    def record(self, enable=True):
        return {
            "enable": int(enable),
            "vlan_enable": int(self.vlan is not None),
            "spread": int(self.spread),
            "vlan": self.vlan or 0,
            "mac": self.mac,
            "queue": self.queue,
        }


@dataclass(frozen=True)
class Rules:
    """Configuration: filters by number, all others disabled."""

    filters: dict[int, Filter]
    table: tuple[int, ...]
    default: int = 9

    def queue(self, frame):
        """The rules, in their own words."""
        entry = None if frame.hash is None else self.table[frame.hash % 128]
        if not self.filters:
            return self.default if entry is None else entry
        for _, candidate in sorted(self.filters.items()):
            if candidate.mac == frame.mac and candidate.vlan in (None, frame.vlan):
                return (candidate.queue + (entry or 0 if candidate.spread else 0)) % 16
        return self.default

    def apply(self, ctx, dut, *, disabled=None):
        """Put it on the ports; what is not enabled looks like ``disabled``."""
        for n in range(16):
            record = self.filters[n].record() if n in self.filters else (disabled or Filter()).record(False)
            ctx.set(dut.filters[n], record)
        ctx.set(dut.table, list(self.table))
        ctx.set(dut.default_queue, self.default)


def shuffled(seed=0):
    rng = random.Random(seed)
    return tuple(rng.randrange(16) for _ in range(128))


def queues(rules, frames, *, hash_cycles=3):
    """Queues of frames, one in every cycle but for None; each exactly ``latency`` cycles later.

    Where there is no frame, no address, no tag or no hash, the wires have any value.
    """
    dut = Queues(hash_cycles=hash_cycles)
    assert dut.latency == hash_cycles + 3
    rng = random.Random(hash_cycles)
    found = {}

    def number(value, bits):
        return rng.getrandbits(bits) if value is None else value

    async def bench(ctx):
        rules.apply(ctx, dut)
        for now in range(len(frames) + dut.latency + 2):
            frame = frames[now] if now < len(frames) else None
            shown = frame or Frame(MAC, rng.getrandbits(12))
            ctx.set(
                dut.frame,
                {
                    "valid": frame is not None,
                    "mac": MAC if shown.mac is None else shown.mac,
                    "mac_valid": shown.mac is not None,
                    "vlan": number(shown.vlan, 12),
                    "vlan_valid": shown.vlan is not None,
                },
            )
            then = now - hash_cycles
            hashed = frames[then] if 0 <= then < len(frames) else None
            value = hashed.hash if hashed else rng.getrandbits(32)
            ctx.set(dut.hash, {"valid": value is not None, "value": number(value, 32)})
            _, _, valid, queue = await ctx.tick().sample(dut.queue.valid, dut.queue.value)
            if valid:
                found[now - dut.latency] = queue

    simulate(dut, bench)
    assert list(found) == [n for n, frame in enumerate(frames) if frame is not None]
    return list(found.values())


def check(rules, frames, **options):
    assert queues(rules, frames, **options) == [rules.queue(frame) for frame in frames if frame is not None]


def test_every_hash_finds_its_entry_of_the_table():
    """RSS-1: with no filter enabled, the table alone decides."""
    rng = random.Random(2)
    frames = [Frame(hash=rng.getrandbits(25) << 7 | n) for n in range(128)]
    assert queues(Rules({}, shuffled()), frames) == list(shuffled())


def test_without_filters_a_frame_without_a_hash_is_for_the_default_queue():
    frames = [Frame(), Frame(hash=3), Frame(vlan=7), Frame(mac=None)]
    assert queues(Rules({}, (4,) * 128), frames) == [9, 4, 9, 9]


def test_every_filter_compares_every_bit_of_the_address():
    """RSS-5."""
    rng = random.Random(3)
    macs = [rng.getrandbits(48) for _ in range(16)]
    rules = Rules({n: Filter(mac, queue=n % 15) for n, mac in enumerate(macs)}, (4,) * 128, 15)
    frames = [Frame(mac ^ change, hash=1) for mac in macs for change in (0, *(1 << n for n in range(48)))]
    assert queues(rules, frames) == [queue for n in range(16) for queue in [n % 15] + 48 * [15]]


@pytest.mark.parametrize("number", [0, 15])
def test_every_bit_of_the_tag_is_compared_if_the_filter_has_one(number):
    frames = [Frame(vlan=0xA5A), Frame(), *(Frame(vlan=0xA5A ^ 1 << bit) for bit in range(12))]
    table = shuffled()
    assert queues(Rules({number: Filter(vlan=0xA5A)}, table), frames) == [5] + 13 * [9]
    assert queues(Rules({number: Filter()}, table), frames) == 14 * [5]


def test_no_tag_is_not_a_tag_of_zero():
    assert queues(Rules({3: Filter(vlan=0)}, shuffled()), [Frame(vlan=0), Frame()]) == [5, 9]


@pytest.mark.parametrize("distance", [1, 2, 4, 8])
def test_of_two_filters_that_match_the_first_decides(distance):
    filters = {n: Filter(MAC + min(n, n ^ distance), queue=n) for n in range(16)}
    firsts = [n for n in range(16) if n < n ^ distance]
    assert queues(Rules(filters, shuffled()), [Frame(MAC + n) for n in firsts]) == firsts


def test_an_entry_is_added_modulo_sixteen_if_filter_and_frame_allow():
    """RSS-6."""
    spreads = Rules({2: Filter(queue=13, spread=True)}, (7,) * 128)
    fixed = Rules({2: Filter(queue=13)}, (7,) * 128)
    frames = [Frame(hash=1), Frame(), Frame(OTHER, hash=1)]
    assert queues(spreads, frames) == [(13 + 7) % 16, 13, 9]
    assert queues(fixed, frames) == [13, 13, 9]


def test_a_frame_without_an_address_matches_no_filter():
    assert queues(Rules({0: Filter(mac=MAC)}, shuffled()), [Frame(mac=None), Frame()]) == [9, 5]


def random_frames(rng, rules, count):
    macs = [MAC, OTHER, None, *(candidate.mac for candidate in rules.filters.values())]
    vlans = [None, 0, *(candidate.vlan for candidate in rules.filters.values())]
    for _ in range(count):
        if rng.random() < 0.2:
            yield None
        else:
            yield Frame(rng.choice(macs), rng.choice(vlans), rng.choice([None, rng.getrandbits(32)]))


@pytest.mark.parametrize("hash_cycles", [3, *(Toeplitz(lanes).latency for lanes in (8, 16, 32))])
@pytest.mark.parametrize("seed", range(4))
def test_frames_in_every_cycle_go_where_the_rules_say(hash_cycles, seed):
    rng = random.Random(seed)
    macs = [rng.getrandbits(48) for _ in range(3)]
    filters = {
        n: Filter(rng.choice(macs), rng.randrange(16), rng.choice([None, 1, 2]), rng.random() < 0.5)
        for n in rng.sample(range(16), rng.choice([0, 2, 6, 16]))
    }
    rules = Rules(filters, shuffled(seed), rng.randrange(16))
    check(rules, list(random_frames(rng, rules, 300)), hash_cycles=hash_cycles)


def test_a_configuration_may_follow_another_when_it_is_no_longer_looked_at():
    """Filters three cycles after a frame, the table two cycles after its hash."""
    old = Rules({1: Filter(queue=3, spread=True)}, (2,) * 128, 8)
    new = replace(old, filters={0: Filter(queue=6)}, table=(4,) * 128, default=1)
    dut = Queues(hash_cycles=5)
    found = []

    async def bench(ctx):
        old.apply(ctx, dut)
        for now in range(dut.latency + 2):
            if now == 3:
                (replace(new, table=old.table)).apply(ctx, dut)
            if now == dut.hash_cycles + 2:
                new.apply(ctx, dut)
            ctx.set(dut.frame, {"valid": now == 0, "mac": MAC, "mac_valid": 1})
            ctx.set(dut.hash, {"valid": now == dut.hash_cycles, "value": 77})
            _, _, valid, queue = await ctx.tick().sample(dut.queue.valid, dut.queue.value)
            if valid:
                found.append(queue)

    simulate(dut, bench)
    assert found == [5]


@pytest.mark.parametrize("lanes", [8, 32])
def test_a_hash_is_there_when_it_is_looked_for(lanes):
    """Address and input of the hash in the same cycle, of frames with a hash and frames without one."""
    toeplitz = Toeplitz(lanes)
    dut = Queues(hash_cycles=toeplitz.latency)
    m = Module()
    m.submodules += toeplitz, dut
    m.d.comb += dut.hash.eq(toeplitz.hash)
    rules = Rules({}, shuffled())
    frames = [Frame(hash=None if n % 3 == 1 else 1 << n % 8) for n in range(40)]
    found = []

    async def bench(ctx):
        rules.apply(ctx, dut)
        ctx.set(toeplitz.key, 1 << 319 - 31)  # the first bit of the input alone is the hash's lowest bit
        for now in range(len(frames) * toeplitz.spacing + dut.latency + 1):
            number, rest = divmod(now, toeplitz.spacing)
            frame = frames[number] if number < len(frames) and rest == 0 else None
            octets = [] if frame is None or frame.hash is None else reversed_bits(frame.hash)
            ctx.set(dut.frame, {"valid": frame is not None, "mac": MAC, "mac_valid": 1})
            ctx.set(toeplitz.source, {"valid": bool(octets), "octets": octets})
            _, _, valid, queue = await ctx.tick().sample(dut.queue.valid, dut.queue.value)
            if valid:
                found.append(queue)

    simulate(m, bench)
    assert found == [rules.queue(frame) for frame in frames]


def reversed_bits(value):
    """Four octets whose first bit is the lowest of ``value``."""
    return list(int(f"{value:032b}"[::-1], 2).to_bytes(4, "big")) + [0] * 32


def test_a_hash_that_comes_before_the_filters_have_decided_is_refused():
    with pytest.raises(ValueError, match="hash_cycles must be at least 3, not 2"):
        Queues(hash_cycles=2)
