"""Tests that cocotb runs inside a simulator: see test_receive.py, which starts them."""

import dataclasses
import random

import cocotb
from cocotb.triggers import ClockCycles
from offramp_sim.commands.soak import random_arrivals
from offramp_sim.core import Arrival
from offramp_sim.cosim.mac import PORTS, Mac
from offramp_sim.model import ReceiveConfig

from tests.model.frames import frame_of
from tests.model.receptions import ON
from tests.system.receptions import ALL, RECEPTIONS
from tests.system.verdict import check_received

SLOW = not cocotb.SIM_NAME.startswith("Verilator")
"""This simulator is for short runs, the shorter the wider the core."""

FRAMES = tuple(
    frame_of(outer, tunnel, inner, kind)
    for outer, tunnel, inner, kind in (
        ("4", "", "", "tcp"),
        ("6", "", "", "udp x"),
        ("4x", "nvgre", "4", "tcp"),
        ("6", "vxlan", "4", "udp"),
        ("4", "nvgre", "", ""),
    )
)


async def start(core, *, stall: float | None = None) -> tuple[Mac, random.Random]:
    """Return a MAC at a core that has just been reset, and the test's randomness.

    Unless ``stall`` says otherwise, ports stall with random probabilities.
    """
    rng = random.Random(cocotb.RANDOM_SEED)
    mac = Mac(core, rng=rng)
    await mac.reset()
    stalls = {port: rng.choice([0.0, 0.1, 0.3, 0.6]) if stall is None else stall for port in PORTS}
    core._log.info("stalls: %s", stalls)
    mac.set_stall(**stalls)
    return mac, rng


def affordable(count: int) -> int:
    """Return ``count``, or much less of it for a slow simulator."""
    return max(2, count // 20) if SLOW else count


def some(rng: random.Random, count: int, config: ReceiveConfig = ALL) -> list[Arrival]:
    """Return short frames of some kinds, some of them cut, some of them marked as bad."""
    arrivals = []
    for _ in range(count):
        frame = rng.choice(FRAMES)
        size = rng.choice([len(frame), len(frame), rng.randint(1, len(frame))])
        arrivals.append(Arrival(frame[:size], config, marked_bad=rng.random() < 0.2))
    return arrivals


@cocotb.test()
@cocotb.parametrize(scenario=[cocotb.Param(name, name=name) for name in RECEPTIONS])
async def reception_is_as_it_must_be(core, scenario: str) -> None:
    """Some frames of each scenario, in their order, on ports that stall at random."""
    mac, rng = await start(core)
    cases = RECEPTIONS[scenario]()
    short = [number for number, case in enumerate(cases) if len(case.arrival.frame) <= 2_000]
    chosen = [cases[number] for number in sorted(rng.sample(short, min(len(short), affordable(60))))]
    arrivals = [case.arrival for case in chosen]
    received = await mac.play(arrivals)
    await mac.settle()
    check_received(arrivals, received, cases=chosen, counted=mac.counters())


@cocotb.test()
async def random_frames_are_judged_as_by_the_model(core) -> None:
    mac, rng = await start(core)
    drawn = random_arrivals(rng, affordable(300))
    arrivals = [Arrival(each.frame[: 100 if SLOW else 1_600], each.config, each.marked_bad) for each in drawn]
    received = await mac.play(arrivals)
    await mac.settle()
    check_received(arrivals, received, counted=mac.counters())


@cocotb.test()
async def nothing_is_held_up_while_outputs_are_taken(core) -> None:
    """Whatever arrives, and with what gaps: towards the wire there is no flow control."""
    mac, rng = await start(core, stall=0)
    for idle in (0.0, 0.3):
        mac.set_stall(arrival=idle)
        arrivals = some(rng, affordable(150))
        check_received(arrivals, await mac.play(arrivals))
    assert mac.held_up == 0


@cocotb.test()
@cocotb.parametrize(port=["frame", "metadata"])
async def sink_may_stand_still_for_long(core, port: str) -> None:
    """Nothing is lost, doubled or reordered, marks stay, and what is behind goes on afterwards."""
    mac, rng = await start(core, stall=0)
    arrivals = some(rng, affordable(300))
    for arrival in arrivals:
        mac.post(arrival)
    mac.configure(ALL)
    received = []
    for share in (1, 2, 3, 4):
        mac.set_stall(**{port: 1})
        await ClockCycles(core.clk, 100 if SLOW else 1_500)
        if not SLOW and share == 1:
            assert mac.held_up, "the core takes frames without end"
        mac.set_stall(**{port: 0})
        while len(received) < len(arrivals) * share // 4:
            received.append(await mac.received())
    await mac.settle()
    check_received(arrivals, received, counted=mac.counters())


@cocotb.test()
async def metadata_may_be_taken_slowly(core) -> None:
    """Much more slowly than the shortest frames arrive."""
    mac, rng = await start(core, stall=0)
    mac.set_stall(metadata=0.95)
    drawn = some(rng, affordable(400))
    arrivals = [Arrival(each.frame[: rng.randint(1, 20)], ALL, each.marked_bad) for each in drawn]
    received = await mac.play(arrivals)
    await mac.settle()
    check_received(arrivals, received, counted=mac.counters())


@cocotb.test()
async def reset_in_the_middle_of_a_frame_leaves_nothing_behind(core) -> None:
    mac, rng = await start(core)
    for _ in range(affordable(25)):
        mac.set_stall(**{port: rng.choice([0.0, 0.3]) for port in PORTS})
        mac.configure(ALL)
        for arrival in some(rng, 5):
            mac.post(arrival)
        await ClockCycles(core.clk, rng.randint(1, 60))
        await mac.reset(rng.choice([1, 2, 7]))
        await mac.settle()
        assert not any(mac.counters().values()), "reset leaves a counter as it was"
        arrivals = some(rng, 4)
        received = await mac.play(arrivals)
        await mac.settle()
        check_received(arrivals, received, counted=mac.counters())


@cocotb.test()
async def configuration_counts_from_a_first_beat_on(core) -> None:
    """What concerns checksums may change between frames, while metadata of earlier ones is on its way."""
    mac, rng = await start(core, stall=0)
    configs = [
        ON,
        dataclasses.replace(ON, active=False),
        dataclasses.replace(ON, encapsulation=frozenset({"vxlan"})),
        dataclasses.replace(ON, ipv4_checksum=False, tcp_ipv4_checksum=False),
        dataclasses.replace(ON, vxlan_port=4790, udp_ipv6_checksum=False),
    ]
    arrivals = []
    for number in range(affordable(200)):
        config = rng.choice(configs)
        mac.configure(config)
        arrivals.append(Arrival(rng.choice(FRAMES), config))
        mac.post(arrivals[-1])
        await mac.until_accepted(number + 1)
        await ClockCycles(core.clk, 2)  # it is looked at behind the port's registers
    check_received(arrivals, await mac.rest())
