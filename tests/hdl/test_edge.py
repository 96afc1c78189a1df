import random
from functools import partial

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.sim import Simulator
from offramp.edge import PacketInput, PacketOutput, RecordInput, RecordOutput
from offramp.packet import WIDTHS, count, keep

from tests.hdl.streams import beats, drain, feed, packets, simulate

RECORD = data.StructLayout({"tag": 16, "status": 8, "more": 40})


def some(rng, lanes):
    """Packets of lengths about a beat and of any length."""
    edges = [1, lanes - 1, lanes, lanes + 1]
    return [rng.randbytes(rng.choice([*edges, rng.randint(1, 99)])) for _ in range(25)]


def transfers(packet: bytes, lanes: int):
    for beat in beats(packet, lanes):
        kept = beat["count"] or lanes
        yield {
            "tdata": int.from_bytes(bytes(beat["data"]), "little"),
            "tkeep": (1 << kept) - 1,
            "tlast": beat["last"],
        }


async def offer(ctx, axis, transfers, *, rng, idle=0.0):
    for transfer in transfers:
        while rng.random() < idle:
            await ctx.tick()
        for name, value in transfer.items():
            ctx.set(getattr(axis, name), value)
        ctx.set(axis.tvalid, 1)
        await ctx.tick().until(axis.tready)
        ctx.set(axis.tvalid, 0)


async def accept(ctx, axis, sink, number, *, rng, stall=0.0, log=None):
    names = [name for name in ("tdata", "tkeep", "tlast", "tid") if hasattr(axis, name)]
    offered = None
    cycle = 0
    while len(sink) < number:
        ready = rng.random() >= stall
        ctx.set(axis.tready, ready)
        _, _, valid, *values = await ctx.tick().sample(axis.tvalid, *(getattr(axis, name) for name in names))
        assert offered is None or (valid and values == offered), "an offer was changed or withdrawn"
        offered = values if valid and not ready else None
        if valid and ready:
            sink.append(dict(zip(names, values, strict=True)))
            if log is not None:
                log.append(cycle)
        cycle += 1


@pytest.mark.parametrize("lanes", WIDTHS)
def test_counts_and_lanes_kept_convert_both_ways(lanes):
    m = Module()
    kept = Signal(lanes)
    counted = Signal(range(lanes))
    again = Signal(lanes)
    m.d.comb += [counted.eq(count(kept)), again.eq(keep(counted))]

    async def bench(ctx):
        for number in range(1, lanes + 1):
            ctx.set(kept, (1 << number) - 1)
            assert ctx.get(counted) == number % lanes
            assert ctx.get(again) == (1 << number) - 1

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.4, 0.4), (0, 0.7)])
def test_packets_come_in_whole_and_in_order(lanes, idle, stall):
    rng = random.Random(f"{lanes} {idle} {stall}")
    dut = PacketInput(lanes)
    sent = some(rng, lanes)
    bursts = [transfer for packet in sent for transfer in transfers(packet, lanes)]
    taken, log = [], []

    async def source(ctx):
        await offer(ctx, dut.axis, bursts, rng=random.Random(1), idle=idle)

    async def sink(ctx):
        await drain(ctx, dut.packets, taken, len(bursts), rng=random.Random(2), stall=stall, log=log)

    simulate(dut, source, sink)
    assert packets(taken, lanes) == sent
    assert all(beat["count"] == 0 for beat in taken if not beat["last"])
    if not idle and not stall:
        assert log == list(range(log[0], log[0] + len(bursts)))


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.4, 0.4), (0, 0.7)])
def test_packets_go_out_whole_and_in_order(lanes, idle, stall):
    rng = random.Random(f"{lanes} {idle} {stall}")
    dut = PacketOutput(lanes, tag=16)
    sent = some(rng, lanes)
    bursts = [
        {**beat, "keep": (1 << (beat["count"] or lanes)) - 1}
        for n, packet in enumerate(sent)
        for beat in beats(packet, lanes, tag=1000 + n)
    ]
    expected = [
        {**transfer, "tid": 1000 + n}
        for n, packet in enumerate(sent)
        for transfer in transfers(packet, lanes)
    ]
    taken, log = [], []

    async def source(ctx):
        await feed(ctx, dut.packets, bursts, rng=random.Random(1), idle=idle)

    async def sink(ctx):
        await accept(ctx, dut.axis, taken, len(bursts), rng=random.Random(2), stall=stall, log=log)

    simulate(dut, source, sink)
    assert taken == expected
    if not idle and not stall:
        assert log == list(range(log[0], log[0] + len(bursts)))


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_neighbour_that_breaks_the_rules_of_tkeep_stops_nothing(lanes):
    rng = random.Random(lanes)
    dut = PacketInput(lanes)
    broken = [
        {"tdata": 0, "tkeep": 0, "tlast": 1},
        {"tdata": 0, "tkeep": 0, "tlast": 0},
        {"tdata": 0, "tkeep": 0b11, "tlast": 0},
        {"tdata": 0, "tkeep": 0, "tlast": 1},
        *({"tdata": 0, "tkeep": rng.getrandbits(lanes), "tlast": 1} for _ in range(20)),
    ]
    sound = list(transfers(bytes(range(lanes + 3)), lanes))
    taken = []

    async def source(ctx):
        await offer(ctx, dut.axis, [*broken, *sound], rng=rng)

    async def sink(ctx):
        await drain(ctx, dut.packets, taken, len(broken) + len(sound), rng=rng)

    simulate(dut, source, sink)
    assert [beat["last"] for beat in taken] == [transfer["tlast"] for transfer in [*broken, *sound]]
    assert all(beat["count"] == 0 for beat in taken if not beat["last"])
    whole = packets(taken, lanes)
    assert whole[0] == bytes(lanes)
    assert whole[1] == bytes(3 * lanes)
    assert whole[-1] == bytes(range(lanes + 3))


@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.4, 0.4)])
def test_records_come_in_and_go_out_bit_for_bit(idle, stall):
    inward, outward = RecordInput(RECORD), RecordOutput(RECORD)
    m = Module()
    m.submodules.inward = inward
    m.submodules.outward = outward
    wiring.connect(m, inward.records, outward.records)
    sent = [random.Random(n).getrandbits(64) for n in range(50)]
    taken, log = [], []

    async def source(ctx):
        words = [{"tdata": word} for word in sent]
        await offer(ctx, inward.axis, words, rng=random.Random(1), idle=idle)

    async def sink(ctx):
        await accept(ctx, outward.axis, taken, len(sent), rng=random.Random(2), stall=stall, log=log)

    simulate(m, source, sink)
    assert [transfer["tdata"] for transfer in taken] == sent
    if not idle and not stall:
        assert log == list(range(log[0], log[0] + len(sent)))


EDGES = {
    "packet input": (partial(PacketInput, 8), "axis.tvalid", "packets.valid"),
    "packet output": (partial(PacketOutput, 8, tag=4), "packets.valid", "axis.tvalid"),
    "record input": (partial(RecordInput, RECORD), "axis.tvalid", "records.valid"),
    "record output": (partial(RecordOutput, RECORD), "records.valid", "axis.tvalid"),
}


@pytest.mark.parametrize(("make", "entry", "leaving"), EDGES.values(), ids=EDGES)
def test_an_edge_costs_the_declared_latency(make, entry, leaving):
    dut = make()

    def port(path):
        side, name = path.split(".")
        return getattr(getattr(dut, side), name)

    async def bench(ctx):
        await ctx.tick()
        ctx.set(port(entry), 1)
        cycles = 0
        while not ctx.get(port(leaving)):
            await ctx.tick()
            ctx.set(port(entry), 0)
            cycles += 1
        assert cycles == dut.latency

    simulate(dut, bench)


PASSING = ("packet output", "record input")
"""Edges whose registers are those of the neighbour inside: its queue, or the stage that takes the record."""


@pytest.mark.parametrize("edge", [edge for edge in EDGES if edge not in PASSING])
def test_no_path_leads_from_port_to_port(edge):
    """But for packets that go out, whose registers are those of the queue in front."""
    dut = EDGES[edge][0]()
    ports = [(member.flow, value) for _, member, value in dut.signature.flatten(dut)]
    rng = random.Random(1)

    def outputs(ctx):
        values = [ctx.get(value) for flow, value in ports if flow is wiring.Out]
        return [value.as_bits() if isinstance(value, data.Const) else value for value in values]

    async def bench(ctx):
        for _ in range(100):
            before = outputs(ctx)
            for flow, value in ports:
                if flow is wiring.In:
                    plain = value.as_value() if isinstance(value, data.View) else value
                    ctx.set(plain, rng.getrandbits(len(plain)))
            assert outputs(ctx) == before
            await ctx.tick()

    simulate(dut, bench)
