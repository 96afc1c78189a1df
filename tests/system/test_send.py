"""The send path under Verilator and Icarus, driven by cocotb and cocotbext-axi: one simulation a width.

A failure names the cocotb test and the command that repeats it alone. Environment variables: OFFRAMP_SEED for
other random choices, OFFRAMP_ONLY for a regular expression of the cocotb tests to run, OFFRAMP_WAVES=1 for
waves beside the log.
"""

import os

import pytest
from offramp_sim.core import source
from offramp_sim.cosim import runner

from tests.installed import needs_icarus

from .conftest import WIDTHS
from .scenarios import SCENARIOS

MODULE = "tests.system.properties"
ONLY = os.environ.get("OFFRAMP_ONLY")
ESSENCE = "random_requests|nothing_leaks|reset_in_the_middle"
"""What wide cores under Icarus have time for, at some ten cycles a second."""

RUNS = [
    *(pytest.param("verilator", lanes, id=f"verilator-{lanes}") for lanes in WIDTHS),
    *(pytest.param("icarus", lanes, id=f"icarus-{lanes}", marks=needs_icarus) for lanes in WIDTHS),
]


@pytest.mark.parametrize(("simulator", "lanes"), RUNS)
def test_send_path(simulator, lanes, seed, tmp_path, subtests):
    only = ONLY or (ESSENCE if simulator == "icarus" and lanes > 8 else None)
    results = runner.run(
        simulator,
        source.verilog(lanes),
        MODULE,
        tmp_path,
        seed=seed,
        only=only,
        waves=bool(os.environ.get("OFFRAMP_WAVES")),
    )
    assert only or len(results) > len(SCENARIOS)
    for result in results:
        with subtests.test(result.name):
            if result.failure:
                again = f"OFFRAMP_SEED={seed} OFFRAMP_ONLY='{result.name}'"
                node = f"tests/system/test_send.py::test_send_path[{simulator}-{lanes}]"
                pytest.fail(
                    f"{result.failure}\nlog: {tmp_path / 'log.txt'}\nagain: {again} pytest '{node}'",
                    pytrace=False,
                )
