"""What unit tests of streams share: feeding and draining with random idle cycles, packets cut in beats."""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal
from amaranth.lib import data, stream
from amaranth.sim import Simulator, SimulatorContext


def beats(packet: bytes, lanes: int, *, filler: int = 0xAA, **extra: object) -> Iterator[dict[str, Any]]:
    """Cut a packet of at least one byte in beats, with ``filler`` in the lanes behind its end."""
    for start in range(0, len(packet), lanes):
        part = packet[start : start + lanes]
        yield {
            "data": list(part.ljust(lanes, bytes([filler]))),
            "count": len(part) % lanes,
            "last": int(start + lanes >= len(packet)),
            **extra,
        }


def packets(beats: Iterable[Mapping[str, Any]], lanes: int) -> list[bytes]:
    """Join beats into packets again; a packet that has not ended is left out."""
    whole = []
    octets = b""
    for beat in beats:
        octets += bytes(beat["data"][: (beat["count"] if beat["last"] else 0) or lanes])
        if beat["last"]:
            whole.append(octets)
            octets = b""
    return whole


def plain(value: Any) -> Any:
    """Turn a sampled payload into integers, dictionaries and lists."""
    if not isinstance(value, data.Const):
        return value
    layout = value.shape()
    if isinstance(layout, data.ArrayLayout):
        return [plain(value[index]) for index in range(layout.length)]
    return {key: plain(value[key]) for key, _ in layout}


async def feed(
    ctx: SimulatorContext,
    target: stream.Interface,
    payloads: Iterable[Any],
    *,
    rng: random.Random,
    idle: float = 0.0,
    hold: Signal | None = None,
) -> None:
    """Offer payloads, each after idle cycles with probability ``idle``, and none while ``hold`` is set."""
    for payload in payloads:
        while rng.random() < idle or (hold is not None and ctx.get(hold)):
            await ctx.tick()
        ctx.set(target.payload, payload)
        ctx.set(target.valid, 1)
        await ctx.tick().until(target.ready)
        ctx.set(target.valid, 0)


async def drain(
    ctx: SimulatorContext,
    source: stream.Interface,
    sink: list[Any],
    count: int,
    *,
    rng: random.Random,
    stall: float = 0.0,
    log: list[int] | None = None,
) -> None:
    """Take ``count`` payloads into ``sink``, not ready with probability ``stall`` in each cycle.

    ``log`` gets the number of the cycle of each, counted from the first. A payload that changes or goes
    away before it is taken fails the test.
    """
    cycle = 0
    offered = None
    while len(sink) < count:
        ready = source.signature.always_ready or rng.random() >= stall
        if not source.signature.always_ready:
            ctx.set(source.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(source.valid, source.payload)
        if offered is not None:
            assert valid, "an offer was withdrawn"
            assert payload == offered, "an offer was changed"
        offered = payload if valid and not ready else None
        if valid and ready:
            sink.append(plain(payload))
            if log is not None:
                log.append(cycle)
        cycle += 1
    if not source.signature.always_ready:
        ctx.set(source.ready, 0)


def simulate(dut: Elaboratable, *benches: Any, cycles: int = 100_000) -> None:
    """Run benches until all are done; a design that hangs fails after ``cycles``."""
    top = Module()
    top.domains.sync = ClockDomain()  # even for a design without registers, which has none of its own
    top.submodules.dut = dut
    sim = Simulator(top)
    sim.add_clock(1e-6)
    running = len(benches)

    def counted(bench: Any) -> Any:
        async def run(ctx: SimulatorContext) -> None:
            nonlocal running
            await bench(ctx)
            running -= 1

        return run

    for bench in benches:
        sim.add_testbench(counted(bench))

    async def watch(ctx: SimulatorContext) -> None:
        for _ in range(cycles):
            if not running:
                return
            await ctx.tick()
        raise AssertionError(f"not done after {cycles} cycles")

    sim.add_testbench(watch, background=True)
    sim.run()
