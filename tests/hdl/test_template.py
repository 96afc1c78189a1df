import random

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data
from offramp.send.plan import Values
from offramp.send.template import ODD, SLACK, Slot, Template, candidates, contents, places
from offramp.send.train import Train

from tests.hdl.streams import plain, simulate
from tests.hdl.trains import LIMITS, WIDTHS


def slots(lanes, index, where):
    """The bits of a beat's words, of the slots whose place (a word of the frame) is given."""
    first = index * lanes // 2
    return {
        f"word{n}": sum(
            (where.get(slot) == first + n) << bit for bit, slot in enumerate(candidates(n, lanes))
        )
        for n in range(lanes // 2)
    }


@pytest.mark.parametrize("lanes", WIDTHS)
def test_beats_are_read_with_the_slots_of_their_train_after_the_declared_latency(lanes):
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
        ctx.set(dut.reader.read, 1)
        pending = [None] * dut.read_latency
        found = 0
        for cycle in range(60):
            address, index = rng.randrange(len(rows)), rng.randrange(most)
            where = {}
            for slot in rng.sample(list(Slot), len(Slot)):
                # Half of them in this beat; two never share a word.
                beat = rng.choice([index, rng.randrange(most)])
                words = [n for n in range(lanes // 2) if slot in candidates(n, lanes)]
                word = beat * lanes // 2 + rng.choice(words)
                if word not in where.values() and rng.random() < 0.8:
                    where[slot] = word
            ctx.set(dut.reader.address, address)
            ctx.set(dut.reader.index, index)
            elsewhere = index * lanes // 2
            ctx.set(
                dut.reader.places,
                [{"present": slot in where, "word": where.get(slot, elsewhere)} for slot in Slot],
            )
            pending.append((rows[address], slots(lanes, index, where)))
            await ctx.tick()
            wanted = pending[cycle + 1]
            if wanted is not None:
                assert ctx.get(dut.reader.data.as_value()) == int.from_bytes(wanted[0], "little")
                assert plain(ctx.get(dut.reader.slots)) == wanted[1]
                kept = sum((not bits) << n for n, bits in enumerate(wanted[1].values()))
                assert ctx.get(dut.reader.kept) == kept
                found += any(wanted[1].values())
        assert found > 20

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
            ctx.set(dut.reader.free, 1 if number >= 10 else 0)
            ctx.set(dut.reader.address, (number - 10) % dut.depth)
            ctx.set(dut.reader.read, number >= 10)
            await ctx.tick()
            if number >= 12:
                assert plain(ctx.get(dut.reader.data)) == row(number - 11)

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
        ctx.set(dut.reader.free, min(8, LIMITS.header_beats(lanes)))
        await ctx.tick().repeat(3)
        ctx.set(dut.reader.free, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.room)

    simulate(dut, bench)


@pytest.mark.parametrize("lanes", [8, 64])
def test_rows_may_be_given_up_before_they_have_come(lanes):
    """A packet is refused as soon as its headers are known."""
    dut = Template(lanes, LIMITS, depth=64)
    most = LIMITS.header_beats(lanes)

    async def bench(ctx):
        ctx.set(dut.reader.free, most)
        await ctx.tick()
        ctx.set(dut.reader.free, 0)
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


TUNNEL = dict.fromkeys(("outer_network", "inner_network", "outer_checksum", "inner_checksum"), 1)
PLAIN = dict.fromkeys(("outer_network", "outer_checksum"), 1)
TCP = dict.fromkeys(("sequence", "transport_checksum"), 1)
UDP = dict.fromkeys(("datagram_length", "transport_checksum"), 1)
INSIDE = {"outer_start": 18, "outer_end": 38, "inner": 1, "inner_start": 60, "transport_start": 100}
OUTSIDE = {"outer_start": 14, "outer_end": 34, "transport_start": 34}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (
            INSIDE
            | {"field": TUNNEL | TCP | {"tunnel_length": 1, "tunnel_checksum": 1}}
            | {"outer_ipv4": 1, "inner_ipv4": 1},
            {
                20: "outer_length",
                22: "outer_id",
                28: "outer_checksum",
                42: "tunnel_length",
                44: "tunnel_checksum",
                62: "inner_length",
                64: "inner_id",
                70: "inner_checksum",
                104: "sequence_high",
                106: "sequence_low",
                112: "control",
                116: "transport_checksum",
            },
        ),
        (
            INSIDE | {"field": {"outer_network": 1, "inner_network": 1, "tunnel_zero": 1} | UDP, "udp": 1},
            {
                22: "outer_length",
                44: "tunnel_checksum",
                64: "inner_length",
                104: "transport_length",
                106: "transport_checksum",
            },
        ),
        (
            OUTSIDE | {"field": PLAIN | TCP, "outer_ipv4": 1},
            {
                16: "outer_length",
                18: "outer_id",
                24: "outer_checksum",
                38: "sequence_high",
                40: "sequence_low",
                46: "control",
                50: "transport_checksum",
            },
        ),
        (
            OUTSIDE | {"field": {"outer_network": 1} | UDP, "udp": 1},
            {18: "outer_length", 38: "transport_length", 40: "transport_checksum"},
        ),
        (OUTSIDE | {"field": {"transport_checksum": 1}, "udp": 1}, {40: "transport_checksum"}),
        (OUTSIDE | {"field": {"transport_checksum": 1}}, {50: "transport_checksum"}),
        (INSIDE | {"field": {"transport_checksum": 1}}, {116: "transport_checksum"}),
        (OUTSIDE | {"outer_ipv4": 1, "inner_ipv4": 1}, {}),
    ],
)
def test_every_field_is_replaced_where_its_header_has_it(train, expected):
    """The master table, HDR-2 to HDR-21, VX-4, VX-5, USO-5; an IPv6 header has no identification (HDR-9)."""
    words = {}
    for n, (name, field) in enumerate(data.Layout.cast(Values)):
        words |= {f"{name}_low": n, f"{name}_high": n + 100} if field.width == 32 else {name: n}
    given, values = Signal(Train(LIMITS)), Signal(Values)
    top = Module()
    where, what = places(given), contents(values, given)
    ports = {slot: (Signal(), Signal(9), Signal(16)) for slot in Slot}
    for slot, port in ports.items():
        top.d.comb += Cat(port).eq(Cat(where[slot][0], (where[slot][1])[:9], what[slot]))
    found = {}

    async def bench(ctx):
        ctx.set(given, train)
        ctx.set(values, {
            name: (words[f"{name}_high"] << 16) | words[f"{name}_low"] if field.width == 32 else words[name]
            for name, field in data.Layout.cast(Values)
        })
        for slot, (present, byte, value) in ports.items():
            if ctx.get(present):
                word = ctx.get(byte) // 2
                assert (slot in ODD) == word % 2
                for lanes in WIDTHS:
                    assert slot in candidates(word % (lanes // 2), lanes)
                found[ctx.get(byte)] = next(name for name, n in words.items() if n == ctx.get(value))

    simulate(top, bench)
    assert found == expected
