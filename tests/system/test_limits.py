"""Requests as large as they get, and a build whose limits are close at hand."""

import dataclasses
import functools
import random

import pytest
from offramp_sim.core import Job, open_core, source
from offramp_sim.model import Build
from offramp_sim.stimulus import requests

from tests.model.shapes import S44, Shape

from .cases import BUILD, Case, cut, numbered, refused
from .scenarios.headers import store_boundary
from .verdict import check

SMALL = Build(max_mss=256, max_header_bytes=128)


@pytest.mark.parametrize("lanes", [64], indirect=True)
def test_longest_payload_is_sent_and_no_byte_more(core):
    """LIM-1, INV-4, HDR-13: 262,143 bytes in long segments and in more than 4,000 short ones."""
    longest = BUILD.max_payload_bytes
    payload = random.Random(1).randbytes(longest)
    shape = Shape(tunnel="vxlan", outer=6, inner=6, transport="tcp", sequence=0xFFFF_0000)
    cases = [
        cut(S44, payload, BUILD.max_mss),
        Case(shape.large_send(payload, 60)),
        refused(S44.large_send(payload + b"\0", 1460), "payload_too_long"),
        cut(dataclasses.replace(S44, transport="udp"), payload, 1460),
    ]
    jobs = numbered(cases)
    bench = core(0.0)
    check(jobs, bench.play(jobs), cases=cases, counted=bench.counters())


@functools.cache
def small_core() -> str:
    """Return the Verilog of a send path that can hold little."""
    return source.generate(8, max_mss=SMALL.max_mss, max_header_bytes=SMALL.max_header_bytes)


@pytest.mark.xdist_group("small")
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_limits_are_those_of_the_build(seed, stall):
    """INV-11, T-34: header blocks, segments and packets at the limits of an unusual build."""
    fitting = dataclasses.replace(S44, tcp_options=True)
    wide = Shape(tunnel="nvgre", outer=6, inner=6)
    assert fitting.header_bytes <= SMALL.max_header_bytes < wide.header_bytes
    cases = [
        *store_boundary(SMALL),
        cut(fitting, bytes(700), SMALL.max_mss),
        refused(wide.large_send(bytes(100), 100), "header_too_long"),
        cut(S44, bytes(100), 100),
    ]
    jobs = numbered(cases)
    with open_core("verilator", verilog=small_core(), seed=seed, stall=stall) as bench:
        check(jobs, bench.play(jobs), cases=cases, counted=bench.counters(), build=SMALL)


@pytest.mark.xdist_group("small")
def test_random_requests_at_the_limits_of_a_small_build(seed):
    rng = random.Random(f"{seed} small")
    jobs = [
        Job(request, config)
        for request, config in requests(rng, 400, build=SMALL, max_payload=1200, max_segments=12)
    ]
    with open_core("verilator", verilog=small_core(), seed=seed, stall=0.2) as bench:
        check(jobs, bench.play(jobs), counted=bench.counters(), build=SMALL)
