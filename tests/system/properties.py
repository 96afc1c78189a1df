"""Tests that cocotb runs inside a simulator: see test_send.py, which starts them."""

import dataclasses
import random
from collections.abc import Sequence

import cocotb
from cocotb.triggers import ClockCycles
from offramp_sim.core import Job
from offramp_sim.cosim.host import PORTS, Host
from offramp_sim.model import Config, Request
from offramp_sim.stimulus import requests

from tests.model.shapes import ON, S44, Shape, ramp
from tests.system.cases import (
    NVGRE_UDP,
    PLAIN,
    VXLAN,
    Case,
    P,
    cut,
    numbered,
    refused,
    summed,
)
from tests.system.scenarios import SCENARIOS, back_to_back
from tests.system.verdict import check, check_case

SLOW = not cocotb.SIM_NAME.startswith("Verilator")
"""This simulator is for short runs, the shorter the wider the core."""

OFF = Config(
    lso_ipv4=False,
    lso_ipv6=False,
    uso_ipv4=False,
    uso_ipv6=False,
    tx_ipv4_checksum=False,
    tx_tcp_ipv4_checksum=False,
    tx_udp_ipv4_checksum=False,
    vxlan_port=1,
    max_offload_ipv4_bytes=1,
    max_offload_ipv6_bytes=1,
    id_wrap=16,
)
"""As different from :data:`ON` as can be."""


async def start(core, *, stall: float | None = None) -> tuple[Host, random.Random]:
    """Return a host at a core that has just been reset, and the test's randomness.

    Everything is switched on. Unless ``stall`` says otherwise, ports stall with random probabilities.
    """
    rng = random.Random(cocotb.RANDOM_SEED)
    host = Host(core, rng=rng)
    host.configure(ON)
    await host.reset()
    stalls = {port: rng.choice([0.0, 0.1, 0.3, 0.6]) if stall is None else stall for port in PORTS}
    core._log.info("stalls: %s", stalls)
    host.set_stall(**stalls)
    return host, rng


def affordable(host: Host, count: int) -> int:
    """Return ``count``, or less of it for a slow simulator."""
    return max(1, count // host.lanes) if SLOW else count


def shortened(host: Host, cases: Sequence[Case], rng: random.Random) -> list[Case]:
    """Return all cases, or for a slow simulator a few that are not too long, in their order."""
    if not SLOW:
        return list(cases)
    short = [number for number, case in enumerate(cases) if len(case.request.frame) <= 2_000]
    return [cases[number] for number in sorted(rng.sample(short, min(len(short), affordable(host, 8))))]


async def play(host: Host, cases: Sequence[Case], *, spread_cycles: int = 0) -> None:
    """Send ``cases`` and check everything that comes of them."""
    before = host.counters()
    jobs = numbered(cases)
    outcomes = await host.play(jobs, spread_cycles=spread_cycles)
    await host.settle()
    counted = {name: value - before[name] for name, value in host.counters().items()}
    check(jobs, outcomes, cases=cases, counted=counted)


@cocotb.test()
@cocotb.parametrize(scenario=[cocotb.Param(name, name=name) for name in SCENARIOS])
async def scenario_holds(core, scenario: str) -> None:
    """Each property of the scenarios, on ports that stall at random."""
    host, rng = await start(core)
    await play(host, shortened(host, SCENARIOS[scenario](), rng), spread_cycles=rng.choice([0, 20]))


@cocotb.test()
async def random_requests_do_as_the_model_says(core) -> None:
    host, rng = await start(core)
    count, longest = affordable(host, 160), 1_000 if SLOW else 4_000
    jobs = [
        Job(request, config) for request, config in requests(rng, count, max_payload=longest, max_segments=12)
    ]
    outcomes = await host.play(jobs, spread_cycles=40)
    await host.settle()
    check(jobs, outcomes, counted=host.counters())


@cocotb.test()
async def nothing_leaks_from_one_kind_of_request_into_the_next(core) -> None:
    """T-36."""
    host, rng = await start(core)
    count = affordable(host, 160) if SLOW else 300
    await play(host, back_to_back(rng, count, most_bytes=400 if SLOW else 2_000))


@cocotb.test()
async def buffers_may_come_before_with_or_after_their_record(core) -> None:
    host, rng = await start(core, stall=0)
    cases = []
    for wait in (0, 2, 20) if SLOW else (0, 1, 2, 3, 5, 8, 20, 60):
        for record_after, buffers_after in ((wait, 0), (0, wait), (wait, wait)):
            case = rng.choice([cut(S44, P, 100), summed(NVGRE_UDP, P), Case(Request(P), frames=(P,))])
            size = len(case.request.frame)
            first = rng.randrange(1, size)
            buffers = rng.choice([None, (first, size - first)])
            request = dataclasses.replace(case.request, tag=len(cases), buffers=buffers)
            cases.append(dataclasses.replace(case, request=request))
            host.post(request, record_after=record_after, buffers_after=buffers_after)
    for case in cases:
        check_case(case, await host.outcome())
    await host.settle()


@cocotb.test()
@cocotb.parametrize(port=PORTS)
async def port_may_stand_still_for_long(core, port: str) -> None:
    """Nothing is lost, doubled or reordered, and what is behind goes on afterwards."""
    host, rng = await start(core, stall=0)
    cases = back_to_back(rng, max(8, affordable(host, 80)), most_bytes=400)
    jobs = numbered(cases)
    for job in jobs:
        host.post(job.request)
    outcomes = []
    for share in (1, 2, 3, 4):
        host.set_stall(**{port: 1})
        await ClockCycles(core.clk, 200 if SLOW else 600)
        host.set_stall(**{port: 0})
        while len(outcomes) < len(cases) * share // 4:
            outcomes.append(await host.outcome())
    await host.settle()
    check(jobs, outcomes, cases=cases, counted=host.counters())


@cocotb.test()
async def reset_in_the_middle_of_a_train_leaves_nothing_behind(core) -> None:
    host, rng = await start(core)
    for number in range(affordable(host, 25)):
        host.set_stall(**{port: rng.choice([0.0, 0.3]) for port in PORTS})
        host.configure(ON)
        shape = rng.choice([S44, NVGRE_UDP, Shape(outer=6)])
        for _ in range(3):
            host.post(shape.large_send(ramp(2_000), rng.choice([33, 100, 900])))
        if number % 2:
            await host.until_frames(rng.randint(1, 2))
        await ClockCycles(core.clk, rng.randint(1, 400))
        await host.reset(rng.choice([1, 2, 7]))
        await host.settle()
        assert not any(host.counters().values()), "reset leaves a counter as it was"
        await play(host, [cut(S44, P, 100), summed(NVGRE_UDP, P), refused(S44.large_send(P, 0), "mss_zero")])


@cocotb.test()
async def limit_that_shrinks_is_for_the_requests_to_come(core) -> None:
    """T-35, INV-4: a send in flight goes on as it was accepted, to its last segment."""
    host, _ = await start(core)
    size = 800 if SLOW else 2_000
    case, smaller = (cut(S44, ramp(octets), 100) for octets in (size, size - 1))
    host.post(case.request)
    await host.until_frames(1)
    host.configure(dataclasses.replace(ON, max_offload_ipv4_bytes=size - 1))
    check_case(case, await host.outcome())
    check_case(refused(case.request, "payload_too_long"), await host.send(case.request))
    check_case(smaller, await host.send(smaller.request))
    await host.settle()


@cocotb.test()
@cocotb.parametrize(held_up=[False, True])
async def configuration_is_the_one_when_the_request_is_accepted(core, held_up: bool) -> None:
    """It may change in any cycle, also while requests wait in front of a core that is held up."""
    host, rng = await start(core, stall=0)
    jobs: list[Job] = []
    config = ON
    host.set_stall(frame=float(held_up))
    for number in range(max(12, affordable(host, 60))):
        shape = rng.choice([S44, NVGRE_UDP, VXLAN, PLAIN, Shape(outer=6, transport="udp")])
        request = rng.choice([shape.large_send(P, 100), shape.sum_up(P)])
        jobs.append(Job(dataclasses.replace(request, tag=number), config))
        host.post(jobs[-1].request)
        if held_up and number == 10:
            await ClockCycles(core.clk, 300)  # by now the core has taken in as much as it can
            host.set_stall(frame=0.5)
        await host.until_accepted(number + 1)
        config = rng.choice([ON, OFF])
        host.configure(config)
        await ClockCycles(core.clk, rng.choice([1, 1, 2, 30]))
    outcomes = [await host.outcome() for _ in jobs]
    await host.settle()
    check(jobs, outcomes, counted=host.counters())
