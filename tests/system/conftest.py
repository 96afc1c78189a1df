"""What the system tests share: one seed for everything, and how to repeat what has failed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from offramp_sim.core import Core, open_core, open_receiver

SEED = int(os.environ.get("OFFRAMP_SEED", "0"))
"""Every random choice of the system tests follows from it."""

HERE = Path(__file__).parent
WIDTHS = (8, 16, 32, 64)


def pytest_report_header() -> str:
    return f"system tests: OFFRAMP_SEED={SEED}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Tell how to repeat a test that failed."""
    report = yield
    if report.failed and HERE in item.path.parents:
        report.sections.append(("again", f"OFFRAMP_SEED={SEED} pytest '{item.nodeid}'"))
    return report


@pytest.fixture
def seed() -> int:
    """The seed of all random choices."""
    return SEED


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of one width on one worker, where workers go by groups; others would wait for its build."""
    for item in items:
        lanes = getattr(item, "callspec", None) and item.callspec.params.get("lanes")
        if lanes and HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(f"lanes{lanes}"))


@pytest.fixture(params=WIDTHS)
def lanes(request: pytest.FixtureRequest) -> int:
    """Each width."""
    return request.param


@pytest.fixture
def core(lanes: int, seed: int) -> Iterator[Callable[[float], Core]]:
    """Open a core of this width, by stall probability, under Verilator; all are closed in the end."""
    opened = []

    def open_one(stall: float) -> Core:
        opened.append(open_core("verilator", lanes=lanes, seed=seed, stall=stall))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def receiver(lanes: int, seed: int) -> Iterator[Callable[[float], Core]]:
    """Open a receive path of this width, by stall probability, under Verilator; all are closed in the end."""
    opened = []

    def open_one(stall: float) -> Core:
        opened.append(open_receiver("verilator", lanes=lanes, seed=seed, stall=stall))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
