"""The receive path under Verilator and Icarus, driven by cocotb and cocotbext-axi: one simulation a width.

The narrowest and the widest core; those between are played in the fast bench. OFFRAMP_SEED, OFFRAMP_ONLY and
OFFRAMP_WAVES are as for test_send.py.
"""

import os

import pytest
from offramp_sim.core import source
from offramp_sim.cosim import runner

from tests.installed import needs_icarus

from .conftest import WIDTHS
from .receptions import RECEPTIONS

MODULE = "tests.system.arrival_properties"
ONLY = os.environ.get("OFFRAMP_ONLY")
ESSENCE = "random_frames|held_up|reset_in_the_middle"
"""What Icarus has time for."""

RUNS = [
    *(pytest.param("verilator", lanes, id=f"verilator-{lanes}") for lanes in (WIDTHS[0], WIDTHS[-1])),
    pytest.param("icarus", 8, id="icarus-8", marks=needs_icarus),
]


@pytest.mark.parametrize(("simulator", "lanes"), RUNS)
def test_receive_path(simulator, lanes, seed, tmp_path, subtests):
    only = ONLY or (ESSENCE if simulator == "icarus" else None)
    results = runner.run(
        simulator,
        source.verilog(lanes, "receive"),
        MODULE,
        tmp_path,
        seed=seed,
        top="offramp_receive",
        only=only,
        waves=bool(os.environ.get("OFFRAMP_WAVES")),
    )
    assert only or len(results) > len(RECEPTIONS)
    for result in results:
        with subtests.test(result.name):
            if result.failure:
                again = f"OFFRAMP_SEED={seed} OFFRAMP_ONLY='{result.name}'"
                node = f"tests/system/test_receive.py::test_receive_path[{simulator}-{lanes}]"
                pytest.fail(
                    f"{result.failure}\nlog: {tmp_path / 'log.txt'}\nagain: {again} pytest '{node}'",
                    pytrace=False,
                )
