"""Random requests in volume, in the fast bench: the model judges all, scapy those that it can build."""

import random

import pytest
from offramp_sim.core import Job
from offramp_sim.stimulus import requests

from .cases import numbered, random_case
from .scenarios import back_to_back
from .verdict import check


@pytest.mark.parametrize("stall", [0.0, 0.15, 0.6])
def test_random_requests_do_as_the_model_says(core, lanes, seed, stall):
    rng = random.Random(f"{seed} {lanes} {stall}")
    jobs = [Job(request, config) for request, config in requests(rng, 400)]
    bench = core(stall)
    check(jobs, bench.play(jobs), counted=bench.counters())


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_random_requests_become_the_frames_that_scapy_builds(core, lanes, seed, stall):
    rng = random.Random(f"{seed} {lanes} {stall} scapy")
    cases = [random_case(rng) for _ in range(60)]
    jobs = numbered(cases)
    bench = core(stall)
    check(jobs, bench.play(jobs), cases=cases, counted=bench.counters())


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.7])
def test_nothing_leaks_from_one_kind_of_request_into_the_next(core, lanes, seed, stall):
    """T-36."""
    cases = back_to_back(random.Random(f"{seed} {lanes} {stall} mixed"), 500)
    jobs = numbered(cases)
    bench = core(stall)
    check(jobs, bench.play(jobs), cases=cases, counted=bench.counters())
