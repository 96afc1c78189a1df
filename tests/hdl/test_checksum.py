# amaranth: UnusedElaboratable=no

import random
from dataclasses import dataclass, field

import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator
from offramp.checksum import (
    RangeSum,
    RangeTotal,
    RangeVerdict,
    add,
    compress,
    fold,
    integer_sum,
    levels,
)


def ones_sum(octets: bytes) -> int:
    """The specification: add as wide integers, then fold until nothing is carried."""
    total = sum(int.from_bytes(octets[n : n + 2], "big") for n in range(0, len(octets), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def plain(words: list[int]) -> int:
    return ones_sum(b"".join(word.to_bytes(2, "big") for word in words))


@dataclass
class Group:
    """Beats of (bytes, enable bits), with idle cycles in front of each."""

    beats: list[tuple[bytes, int]]
    gaps: list[int] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)

    def sum(self, granularity: int) -> int:
        enabled = bytes(
            octet if enable >> lane // granularity & 1 else 0
            for octets, enable in self.beats
            for lane, octet in enumerate(octets)
        )
        return plain([ones_sum(enabled), *self.extra])


def run(dut: RangeSum | RangeTotal | RangeVerdict, groups: list[Group]) -> list[int]:
    """Return the sums or verdicts of ``groups``, each exactly ``dut.latency`` cycles after its last beat."""
    ended: list[int] = []
    results: list[int] = []

    async def feed(ctx):
        cycle = 0
        for group in groups:
            gaps = group.gaps or [0] * len(group.beats)
            for number, ((octets, enable), gap) in enumerate(zip(group.beats, gaps, strict=True)):
                last = number + 1 == len(group.beats)
                beat = {"valid": 1, "data": list(octets), "enable": enable, "last": last}
                # Whatever is on the other wires of an idle cycle must not count.
                idle = {**beat, "valid": 0, "enable": -1, "last": 1}
                if group.extra:
                    beat["extra"] = group.extra if last else [0xABCD] * len(group.extra)
                    idle["extra"] = [0xABCD] * len(group.extra)
                ctx.set(dut.beat, idle)
                for _ in range(gap):
                    await ctx.tick()
                ctx.set(dut.beat, beat)
                await ctx.tick()
                cycle += gap + 1
                if last:
                    ended.append(cycle)
        ctx.set(dut.beat.valid, 0)
        await ctx.tick().repeat(dut.latency + 2)

    async def watch(ctx):
        cycle = 0
        match dut:
            case RangeVerdict():
                valid, words = dut.verdict.valid, [dut.verdict.good]
            case RangeTotal():
                valid, words = dut.sum.valid, [dut.sum.value, dut.sum.carry]
            case _:
                valid = dut.sum.valid
                words = [dut.sum.value] if dut.folded else [dut.sum.halves[0], dut.sum.halves[1]]
        async for _, _, there, *values in ctx.tick().sample(valid, *words):
            if there:  # seen at the end of the cycle in which it is on the port
                assert cycle == ended[len(results)] + dut.latency - 1
                assert sum(values) <= 0xFFFF or not isinstance(dut, RangeTotal)
                results.append(plain(values))
            cycle += 1

    sim = Simulator(dut)
    sim.add_clock(4e-9)
    sim.add_testbench(feed)
    sim.add_testbench(watch, background=True)
    sim.run()
    return results


def check(dut: RangeSum | RangeTotal, groups: list[Group]) -> None:
    assert run(dut, groups) == [group.sum(dut.granularity) for group in groups]


def judge(dut: RangeVerdict, groups: list[Group]) -> None:
    assert run(dut, groups) == [group.sum(dut.unit.granularity) == 0xFFFF for group in groups]


def random_octets(rng: random.Random, lanes: int) -> bytes:
    """Bytes that lean to the ends of the range, where carries are dense and sums reach 0x0000 and 0xFFFF."""
    match rng.randrange(5):
        case 0:
            return bytes(rng.choice((0x00, 0xFF)) for _ in range(lanes))
        case 1:
            return bytes([rng.choice((0x00, 0xFF, 0x7F, 0x80, 0x01))] * lanes)
        case _:
            return rng.randbytes(lanes)


def random_enable(rng: random.Random, bits: int) -> int:
    return rng.choice((rng.getrandbits(bits), (1 << bits) - 1, 0, (1 << rng.randint(0, bits)) - 1))


@pytest.mark.parametrize("lanes", [2, 4, 6, 8, 16, 32, 64])
@pytest.mark.parametrize("granularity", [1, 2])
@pytest.mark.parametrize(("depth", "folded"), [(2, True), (3, True), (3, False), (4, True)])
def test_sums_match_the_plain_sum_after_the_declared_latency(lanes, granularity, depth, folded):
    rng = random.Random(f"{lanes} {granularity} {depth} {folded}")
    groups = []
    for _ in range(10 if lanes > 16 else 40):
        count = rng.choice((1, 1, 2, 3, rng.randint(1, 12)))
        groups.append(
            Group(
                [
                    (random_octets(rng, lanes), random_enable(rng, lanes // granularity))
                    for _ in range(count)
                ],
                [rng.choice((0, 0, 0, 1, 5)) for _ in range(count)],
            )
        )
    check(RangeSum(lanes, granularity=granularity, depth=depth, folded=folded), groups)


@pytest.mark.parametrize("lanes", [2, 8, 64])
def test_groups_of_one_beat_follow_each_other_in_every_cycle(lanes):
    rng = random.Random(lanes)
    check(
        RangeSum(lanes),
        [Group([(rng.randbytes(lanes), rng.getrandbits(lanes))]) for _ in range(40)],
    )


@pytest.mark.parametrize("lanes", [2, 8, 16])
def test_zero_comes_only_from_zeros(lanes):
    everything = (1 << lanes) - 1
    zeros, ones = bytes(lanes), b"\xff" * lanes
    cancelling = b"\x00\x01" + b"\xff\xfe" + bytes(lanes - 4) if lanes > 2 else ones
    groups = [
        Group([(zeros, everything)]),
        Group([(ones, 0)] * 3),
        Group([(ones, everything)]),
        Group([(ones, everything)] * 9),
        Group([(cancelling, everything)]),
        Group([(zeros, everything)] * 2),
    ]
    assert run(RangeSum(lanes), groups) == [0, 0, 0xFFFF, 0xFFFF, 0xFFFF, 0]


@pytest.mark.parametrize("carries", [0, 1, 2, 3])
def test_every_carry_count_comes_back_in(carries):
    """Four words whose plain sum has ``carries`` above bit 15, on both sides of the boundaries."""
    groups = []
    for total in (carries * 0x10000 - 1, carries * 0x10000, carries * 0x10000 + 0xFFFC, carries * 0xFFFF):
        if 0 <= total <= 4 * 0xFFFF:
            words = [total // 4 + (n < total % 4) for n in range(4)]
            assert sum(words) == total
            groups.append(Group([(b"".join(word.to_bytes(2, "big") for word in words), 0xFF)]))
            groups.append(Group([(word.to_bytes(2, "big") + b"\xff" * 6, 0x03) for word in words]))
    check(RangeSum(8), groups)


def test_a_long_group_never_overflows():
    check(RangeSum(4), [Group([(b"\xff\xfe\xff\xff", 0xF)] * 3000), Group([(b"\x12\x34\x00\x00", 0xF)])])


@pytest.mark.parametrize("unit", [RangeSum, RangeTotal])
def test_reset_forgets_the_groups_under_way(unit):
    dut = unit(8)
    reset = Signal()
    m = Module()
    m.submodules.dut = ResetInserter(reset)(dut)
    sums = []

    async def bench(ctx):
        ctx.set(dut.beat, {"valid": 1, "data": [0xAB] * 8, "enable": 0xFF, "last": 0})
        await ctx.tick().repeat(5)
        ctx.set(dut.beat.last, 1)
        await ctx.tick()
        ctx.set(dut.beat.valid, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.beat, {"valid": 1, "data": [0, 1] * 4, "enable": 0xFF, "last": 1})
        await ctx.tick()
        ctx.set(dut.beat.valid, 0)
        for _ in range(dut.latency + 4):
            _, _, valid, value = await ctx.tick().sample(dut.sum.valid, dut.sum.value)
            if valid:
                sums.append(value)

    sim = Simulator(m)
    sim.add_clock(4e-9)
    sim.add_testbench(bench)
    sim.run()
    assert sums == [4]


def evaluate(function, widths: list[int], cases: list[list[int]]) -> list[int]:
    inputs = [Signal(width) for width in widths]
    output = Signal(16)
    m = Module()
    m.d.comb += output.eq(function(*inputs))
    results = []

    async def bench(ctx):
        for case in cases:
            for signal, value in zip(inputs, case, strict=True):
                ctx.set(signal, value)
            results.append(ctx.get(output))

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
    return results


CORNERS = [0, 1, 2, 0x7FFF, 0x8000, 0xFFFD, 0xFFFE, 0xFFFF]


def test_add_of_two_words():
    cases = [[a, b] for a in CORNERS for b in CORNERS]
    assert evaluate(add, [16, 16], cases) == [plain(case) for case in cases]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_add_of_many_words(count):
    rng = random.Random(count)
    cases = [[rng.choice([*CORNERS, rng.getrandbits(16)]) for _ in range(count)] for _ in range(200)]
    assert evaluate(add, [16] * count, cases) == [plain(case) for case in cases]


def test_add_of_narrow_words():
    cases = [[a, b, c] for a in (0, 1) for b in (0, 0x1FF) for c in CORNERS]
    assert evaluate(add, [1, 9, 16], cases) == [plain(case) for case in cases]


@pytest.mark.parametrize("width", [1, 16, 17, 20, 32, 33, 48])
def test_fold(width):
    rng = random.Random(width)
    mask = (1 << width) - 1
    cases = [[value & mask] for value in (0, 0xFFFF, 0x10000, 0x1FFFE, 0x1FFFF, 0xFFFF0000, mask, mask - 1)]
    cases += [[rng.getrandbits(width)] for _ in range(100)]
    expected = [ones_sum(value.to_bytes(6, "big")) for (value,) in cases]
    assert evaluate(fold, [width], cases) == expected


@pytest.mark.parametrize("words", range(1, 35))
def test_compress_leaves_two_words_after_the_declared_levels(words):
    signals = [Signal(16) for _ in range(words)]
    assert len(compress(signals)) == min(words, 2)
    assert len(compress(signals, levels(words))) == min(words, 2)
    if words > 2:
        assert len(compress(signals, levels(words) - 1)) > 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"lanes": 0},
        {"lanes": 7},
        {"lanes": 8, "granularity": 3},
        {"lanes": 8, "granularity": 0},
        {"lanes": 12, "granularity": 8},
        {"lanes": 8, "depth": 1},
    ],
)
def test_impossible_parameters_are_refused_by_value(arguments):
    (*_, value) = arguments.values()
    with pytest.raises(ValueError, match=str(value)):
        RangeSum(**arguments)


def test_extra_words_are_not_negative():
    with pytest.raises(ValueError, match="-1"):
        RangeVerdict(8, extra=-1)


def test_add_refuses_wide_and_signed_words():
    with pytest.raises(ValueError, match="17"):
        add(Signal(17), Signal(16))
    with pytest.raises(ValueError, match="signed"):
        add(Signal(16), -1)
    with pytest.raises(ValueError, match="at least one"):
        add()


@pytest.mark.parametrize(("lanes", "latency"), [(8, 3), (16, 3), (32, 4), (64, 5)])
def test_latency_stays_short(lanes, latency):
    assert RangeSum(lanes).latency == latency


def with_checksum(rng: random.Random, group: Group, granularity: int) -> Group:
    """Return ``group`` with one enabled word, or an extra one, such that it adds up to 0xFFFF or nearly."""
    missing = (0xFFFF ^ group.sum(granularity)) + rng.choice((0, 0, 0, 1, -1, 0x100, 0x8000)) & 0xFFFF
    if group.extra and rng.random() < 0.5:
        # What is there already stays in the sum: this replaces a word that is 0.
        return Group(group.beats, group.gaps, [missing, *group.extra[1:]])
    octets, enable = group.beats[-1]
    beats = [*group.beats[:-1], (missing.to_bytes(2, "big") + octets[2:], enable | 3 // granularity)]
    return Group(beats, group.gaps, group.extra)


def group_to_complete(rng: random.Random, lanes: int, granularity: int, extra: int) -> Group:
    """A group whose last beat begins with a word of 0, and whose first extra word is 0."""
    count = rng.choice((1, 1, 2, 3, rng.randint(1, 12)))
    beats = [(random_octets(rng, lanes), random_enable(rng, lanes // granularity)) for _ in range(count)]
    octets, enable = beats[-1]
    beats[-1] = (bytes(2) + octets[2:], enable)
    gaps = [rng.choice((0, 0, 0, 1, 5)) for _ in range(count)]
    return Group(beats, gaps, [0, *rng.choices(CORNERS, k=extra - 1)] if extra else [])


@pytest.mark.parametrize("lanes", [2, 4, 6, 8, 16, 32, 64])
@pytest.mark.parametrize(("granularity", "extra"), [(1, 0), (2, 0), (2, 1), (1, 3)])
def test_verdicts_and_totals_match_the_plain_sum_after_the_declared_latency(lanes, granularity, extra):
    rng = random.Random(f"{lanes} {granularity} {extra}")
    groups = [
        with_checksum(rng, group_to_complete(rng, lanes, granularity, extra), granularity)
        for _ in range(20 if lanes > 16 else 80)
    ]
    good = sum(group.sum(granularity) == 0xFFFF for group in groups)
    assert 0 < good < len(groups)
    judge(RangeVerdict(lanes, granularity=granularity, extra=extra), groups)
    check(RangeTotal(lanes, granularity=granularity, extra=extra), groups)


@pytest.mark.parametrize("lanes", [2, 8, 64])
def test_verdicts_on_groups_of_one_beat_come_in_every_cycle(lanes):
    rng = random.Random(lanes)
    groups = [group_to_complete(rng, lanes, 1, 0) for _ in range(60)]
    groups = [with_checksum(rng, Group(group.beats[-1:]), 1) for group in groups]
    judge(RangeVerdict(lanes), groups)


@pytest.mark.parametrize("lanes", [2, 8, 64])
def test_only_ones_are_good_and_zeros_are_not(lanes):
    everything = (1 << lanes) - 1
    zeros, ones = bytes(lanes), b"\xff" * lanes
    groups = [
        Group([(zeros, everything)]),
        Group([(ones, 0)] * 3),
        Group([(ones, everything)]),
        Group([(ones, everything)] * 9),
        Group([(zeros, everything)] * 2),
        Group([(zeros, everything), (b"\xff\xff" + zeros[2:], 3)]),
        Group([(b"\xff\xfe" + zeros[2:], everything)]),
    ]
    assert run(RangeVerdict(lanes), groups) == [0, 0, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("lanes", [8, 64])
def test_a_verdict_counts_every_carry(lanes):
    """As many words of 0xFFFF as a beat can hold, less one that shows whether a carry is lost."""
    groups = []
    for carries in range(lanes // 2):
        for last in (0xFFFF, 0xFFFE, 1, 0):
            words = [0xFFFF] * carries + [last]
            octets = b"".join(word.to_bytes(2, "big") for word in words)
            groups.append(Group([(octets.ljust(lanes, b"\0"), (1 << lanes) - 1)]))
            groups.append(Group([(word.to_bytes(2, "big").ljust(lanes, b"\xff"), 3) for word in words]))
    judge(RangeVerdict(lanes), groups)


def test_a_long_group_keeps_its_carries():
    beats = [(b"\xff\xfe\xff\xff", 0xF)] * 3000
    missing = (0xFFFF ^ Group(beats).sum(1)).to_bytes(2, "big")
    judge(RangeVerdict(4), [Group([*beats, (missing + bytes(2), 3)]), Group([(b"\x12\x34\xed\xcb", 0xF)])])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_integer_sums_lose_no_carry(count):
    rng = random.Random(count)
    cases = [[rng.choice([*CORNERS, rng.getrandbits(16)]) for _ in range(count)] for _ in range(100)]
    cases.append([0xFFFF] * count)
    assert evaluate(lambda *words: fold(integer_sum(words)), [16] * count, cases) == [
        plain(case) for case in cases
    ]


@pytest.mark.parametrize(
    ("lanes", "extra", "latency"), [(8, 0, 3), (8, 1, 4), (16, 0, 5), (32, 0, 5), (64, 0, 6)]
)
def test_latency_of_a_verdict(lanes, extra, latency):
    assert RangeVerdict(lanes, extra=extra).latency == latency
