"""Every scenario at every width, with and without stalls, in the fast bench."""

import pytest

from .cases import numbered
from .scenarios import SCENARIOS
from .verdict import check


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario_holds(core, scenario, stall):
    cases = SCENARIOS[scenario]()
    jobs = numbered(cases)
    bench = core(stall)
    outcomes = bench.play(jobs)
    check(jobs, outcomes, cases=cases, counted=bench.counters())
