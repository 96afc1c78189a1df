import random

import pytest
from amaranth.hdl import Module, Signal
from offramp.send.template import PATCHES, SLACK, Patch, Template, places
from offramp.send.train import Train

from tests.hdl.streams import plain, simulate
from tests.hdl.trains import LIMITS, WIDTHS


def patches(lanes, index, where):
    """Patches of a beat, of those whose place (a word of the frame) is given."""
    words = range(index * lanes // 2, (index + 1) * lanes // 2)
    by_word = {word: patch.value for patch, word in where.items()}
    return [by_word.get(word, Patch.NONE.value) for word in words]


@pytest.mark.parametrize("lanes", WIDTHS)
def test_beats_are_read_with_the_patches_of_their_train_after_the_declared_latency(lanes):
    """A train's places apply to the beats that are read for it, from one cycle to the next."""
    dut = Template(lanes, LIMITS)
    rng = random.Random(lanes)
    rows = [rng.randbytes(lanes) for _ in range(24)]
    most = LIMITS.header_beats(lanes)

    async def bench(ctx):
        for row in rows:
            ctx.set(dut.beat, {"valid": 1, "data": list(row)})
            await ctx.tick()
        ctx.set(dut.beat, {"valid": 0, "data": [0xEE] * lanes})
        pending = [None] * dut.read_latency
        for cycle in range(50):
            address, index = rng.randrange(len(rows)), rng.randrange(most)
            # Half of them in this beat; two patches never share a word.
            own = range(index * lanes // 2, (index + 1) * lanes // 2)
            words = rng.sample(range(most * lanes // 2), len(PATCHES))
            words[: lanes // 4] = rng.sample(own, len(words[: lanes // 4]))
            where = {
                patch: word
                for n, (patch, word) in enumerate(zip(rng.sample(PATCHES, len(PATCHES)), words, strict=True))
                if word not in words[:n] and rng.random() < 0.8
            }
            ctx.set(dut.address, address)
            ctx.set(dut.index, index)
            ctx.set(
                dut.places,
                [{"present": patch in where, "word": where.get(patch, own[0])} for patch in PATCHES],
            )
            pending.append((rows[address], patches(lanes, index, where)))
            await ctx.tick()
            wanted = pending[cycle + 1]
            if wanted is not None:
                assert ctx.get(dut.data.as_value()) == int.from_bytes(wanted[0], "little")
                assert [dut_patch.value for dut_patch in plain(ctx.get(dut.patches))] == wanted[1]

    simulate(dut, bench)
    assert dut.read_latency == 2


@pytest.mark.parametrize("lanes", [8, 64])
def test_rows_are_used_again_when_they_are_free(lanes):
    dut = Template(lanes, LIMITS, depth=64)

    async def bench(ctx):
        def row(number):
            return list(number.to_bytes(4, "big") * (lanes // 4))

        await ctx.tick().repeat(2)
        for number in range(200):
            assert ctx.get(dut.room)
            ctx.set(dut.beat, {"valid": 1, "data": row(number)})
            ctx.set(dut.free, 1 if number >= 10 else 0)
            ctx.set(dut.address, (number - 10) % dut.depth)
            await ctx.tick()
            if number >= 12:
                assert plain(ctx.get(dut.data)) == row(number - 11)

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", [8, 64])
def test_room_is_told_while_the_slack_still_fits_in(lanes):
    dut = Template(lanes, LIMITS, depth=64)

    async def bench(ctx):
        await ctx.tick().repeat(2)
        used = 0
        ctx.set(dut.beat.valid, 1)
        while ctx.get(dut.room):
            await ctx.tick()
            used += 1
        assert dut.depth - 3 * SLACK <= used <= dut.depth - SLACK
        ctx.set(dut.beat.valid, 0)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.room)
        ctx.set(dut.free, min(8, LIMITS.header_beats(lanes)))
        await ctx.tick().repeat(3)
        ctx.set(dut.free, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.room)

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", [8, 64])
def test_rows_may_be_given_up_before_they_have_come(lanes):
    """A packet is refused as soon as its headers are known."""
    dut = Template(lanes, LIMITS, depth=64)
    most = LIMITS.header_beats(lanes)

    async def bench(ctx):
        ctx.set(dut.free, most)
        await ctx.tick()
        ctx.set(dut.free, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.room)
        ctx.set(dut.beat.valid, 1)
        await ctx.tick().repeat(most)
        ctx.set(dut.beat.valid, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.room)
        used = 0
        ctx.set(dut.beat.valid, 1)
        while ctx.get(dut.room):
            await ctx.tick()
            used += 1
        assert dut.depth - 3 * SLACK <= used <= dut.depth - SLACK

    simulate(dut, bench)


EVERY_FIELD = dict.fromkeys((
    "outer_network",
    "inner_network",
    "outer_checksum",
    "inner_checksum",
    "tunnel_length",
    "tunnel_checksum",
    "sequence",
    "transport_checksum",
), 1)
OFFSETS = {"outer_start": 18, "outer_end": 38, "inner_start": 68, "transport_start": 108}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (
            {"field": EVERY_FIELD, "outer_ipv4": 1, "inner_ipv4": 1},
            {
                Patch.OUTER_LENGTH: 20,
                Patch.OUTER_ID: 22,
                Patch.OUTER_CHECKSUM: 28,
                Patch.TUNNEL_LENGTH: 42,
                Patch.TUNNEL_CHECKSUM: 44,
                Patch.INNER_LENGTH: 70,
                Patch.INNER_ID: 72,
                Patch.INNER_CHECKSUM: 78,
                Patch.SEQUENCE_HIGH: 112,
                Patch.SEQUENCE_LOW: 114,
                Patch.CONTROL: 120,
                Patch.TRANSPORT_CHECKSUM: 124,
            },
        ),
        (
            {"field": {"outer_network": 1, "inner_network": 1, "tunnel_zero": 1, "datagram_length": 1}},
            {
                Patch.OUTER_LENGTH: 22,
                Patch.TUNNEL_CHECKSUM: 44,
                Patch.INNER_LENGTH: 72,
                Patch.DATAGRAM_LENGTH: 112,
            },
        ),
        ({"field": {"transport_checksum": 1}, "udp": 1}, {Patch.TRANSPORT_CHECKSUM: 114}),
        ({"outer_ipv4": 1, "inner_ipv4": 1}, {}),
    ],
)
def test_every_field_is_replaced_where_its_header_has_it(train, expected):
    """The master table, HDR-2 to HDR-21, VX-4, VX-5, USO-5; an IPv6 header has no identification (HDR-9)."""
    given = Signal(Train(LIMITS))
    found = {}
    top = Module()
    where = {}
    for patch, (present, byte) in places(given).items():
        where[patch] = (Signal(), Signal(9))
        top.d.comb += [where[patch][0].eq(present), where[patch][1].eq(byte)]

    async def bench(ctx):
        ctx.set(given, OFFSETS | train)
        for patch, (present, byte) in where.items():
            if ctx.get(present):
                found[patch] = ctx.get(byte)

    simulate(top, bench)
    assert found == expected


def test_every_patch_has_a_place():
    assert set(places(Signal(Train(LIMITS)))) == set(PATCHES) == set(Patch) - {Patch.NONE}
