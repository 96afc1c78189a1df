"""What unit tests of the receive path share: configuration on its ports, frames through it, and when."""

import random
from dataclasses import dataclass, field

from amaranth.hdl import Value
from offramp.top.receive import SETTINGS
from offramp_sim.core.arrivals import decode_metadata, receive_values
from offramp_sim.core.ports import Port

from tests.hdl.streams import beats, drain, packets, simulate

STEERING = {"rss_types", "rss_key", "rss_table", "vmq_filters", "default_queue"}
"""What is not sampled."""


def configure(ctx, ports, config, *, names=frozenset(SETTINGS)):
    """Put some of a configuration on the members of :class:`offramp.records.ReceiveConfiguration`."""
    chosen = [Port(f"cfg_{name}", width, output=False) for name, width in SETTINGS.items() if name in names]
    for port, value in zip(chosen, receive_values(config, chosen), strict=True):
        ctx.set(Value.cast(ports[port.name.removeprefix("cfg_")]), value)


@dataclass
class Receipts:
    """What came of frames: beats as they left, and what was said of each frame.

    In which cycle: beats were ``accepted`` and first ``offered`` again, last ones were accepted (``ended``),
    records were first offered (``reported``).
    """

    beats: list = field(default_factory=list)
    records: list = field(default_factory=list)
    accepted: list = field(default_factory=list)
    offered: list = field(default_factory=list)
    ended: list = field(default_factory=list)
    reported: list = field(default_factory=list)

    def frames(self, lanes):
        return packets(self.beats, lanes)


async def take_records(ctx, source, sink, count, *, rng, stall):
    """Take records as the bytes that they have at the edge, and see that no more than ``count`` come."""
    size = Value.cast(source.p).shape().width // 8
    idle = 0
    while idle < 10:
        ready = rng.random() >= stall
        ctx.set(source.ready, ready)
        _, _, valid, record = await ctx.tick().sample(source.valid, Value.cast(source.p))
        if valid and ready:
            sink.append(decode_metadata(record.to_bytes(size, "little")))
        assert len(sink) <= count, "one record for each frame"
        idle += len(sink) == count


def receive(dut, arrivals, *, seed=0, idle=0.0, stall=0.0, lazy=0.0, closed=0):
    """Send arrivals, and take frames and records with back-pressure ``stall`` and ``lazy``.

    No record is taken in the first ``closed`` cycles. What concerns checksums is as a frame wants it with its
    first beat only, and someone else's before and behind it. The rest is always that of the first frame.
    """
    receipts = Receipts()
    rng = random.Random(seed)
    total = sum(-(-arrival.size // dut.lanes) for arrival in arrivals)
    others = rng.sample([arrival.config for arrival in arrivals], len(arrivals))

    async def send(ctx):
        configure(ctx, dut.config, arrivals[0].config)
        for arrival, other in zip(arrivals, others, strict=True):
            for number, beat in enumerate(beats(arrival.frame, dut.lanes)):
                while rng.random() < idle:
                    garbage = {"data": list(rng.randbytes(dut.lanes)), "last": rng.getrandbits(1), "bad": 1}
                    ctx.set(dut.frames.payload, garbage)
                    await ctx.tick()
                if number < 2:
                    config = other if number else arrival.config
                    configure(ctx, dut.config, config, names=SETTINGS.keys() - STEERING)
                # Only the last beat's mark counts.
                mark = arrival.marked_bad if beat["last"] else rng.getrandbits(1)
                ctx.set(dut.frames.payload, beat | {"bad": mark})
                ctx.set(dut.frames.valid, 1)
                await ctx.tick().until(dut.frames.ready)
                ctx.set(dut.frames.valid, 0)

    async def take(ctx):
        await drain(ctx, dut.passed, receipts.beats, total, rng=random.Random(seed + 1), stall=stall)

    async def report(ctx):
        for _ in range(closed):
            await ctx.tick()
        count = len(arrivals)
        records = random.Random(seed + 2)
        await take_records(ctx, dut.reports, receipts.records, count, rng=records, stall=lazy)

    async def watch(ctx):
        cycle = 0
        waits = [False, False]
        streams = (dut.frames, dut.passed, dut.reports)
        signals = [port for stream in streams for port in (stream.valid, stream.ready)]
        while len(receipts.records) < len(arrivals):
            _, _, *seen, last = await ctx.tick().sample(*signals, dut.frames.p.last)
            if seen[0] and seen[1]:
                receipts.accepted.append(cycle)
                if last:
                    receipts.ended.append(cycle)
            for n, log in enumerate((receipts.offered, receipts.reported)):
                valid, ready = seen[2 * n + 2 : 2 * n + 4]
                if valid and not waits[n]:
                    log.append(cycle)
                waits[n] = valid and not ready
            cycle += 1

    simulate(dut, send, take, report, watch)
    return receipts
