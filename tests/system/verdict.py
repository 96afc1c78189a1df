"""Whether a core did what it had to do."""

import operator
from collections.abc import Sequence

from offramp_sim import compare
from offramp_sim.core import Arrival, Job, Outcome, Received
from offramp_sim.model import Build

from .cases import Case
from .receptions import Case as Reception


def check_case(case: Case, outcome: Outcome) -> None:
    """Check that ``case`` ended as was known before."""
    status, count = outcome.completion.status, len(outcome.frames)
    assert status == case.status, f"it ended as {status}, not as {case.status}"
    if case.frames is not None:
        assert count == len(case.frames), f"{count} frames came out, not {len(case.frames)}"
        for number, (frame, data) in enumerate(zip(outcome.frames, case.frames, strict=True)):
            assert frame.data == data, f"frame {number} is {frame.data.hex()}, not {data.hex()}"


def check(
    jobs: Sequence[Job],
    outcomes: Sequence[Outcome],
    *,
    cases: Sequence[Case] = (),
    counted: dict[str, int] | None = None,
    build: Build | None = None,
) -> None:
    """Check everything that became of ``jobs``.

    Parameters
    ----------
    jobs : sequence of Job
    outcomes : sequence of Outcome
    cases : sequence of Case, optional
        What the jobs were made of.
    counted : dict, optional
        By how much each counter of the core has gone up meanwhile.
    build : Build, optional
        The limits of the core.
    """
    results = compare.expected(jobs, build)
    for number, (job, outcome, right) in enumerate(zip(jobs, outcomes, results, strict=True)):
        try:
            found = compare.difference(outcome, right)
            assert not found, found
            if cases:
                check_case(cases[number], outcome)
        except AssertionError as error:
            raise AssertionError(f"request {number} of {len(jobs)}: {error}\n{job}") from error
    if counted is not None:
        wrong = compare.wrong_counters(counted, outcomes, results)
        assert not wrong, f"after {len(jobs)} requests {', '.join(wrong)}"


def check_said(case: Reception, received: Received) -> None:
    """Check that of ``case`` was said what was known before."""
    for name, right in case.said:
        found = operator.attrgetter(name)(received.reception)
        assert found == right, f"{case.name}: {name} is {found}, not {right}"


def check_received(
    arrivals: Sequence[Arrival],
    received: Sequence[Received],
    *,
    cases: Sequence[Reception] = (),
    counted: dict[str, int] | None = None,
) -> None:
    """Check everything that came out for ``arrivals``.

    Parameters
    ----------
    arrivals : sequence of Arrival
    received : sequence of Received
    cases : sequence of Case, optional
        What the arrivals were made of.
    counted : dict, optional
        By how much each counter of the core has gone up meanwhile.
    """
    results = compare.expected_receptions(arrivals)
    for number, (arrival, each, right) in enumerate(zip(arrivals, received, results, strict=True)):
        try:
            found = compare.reception_difference(arrival, each, right)
            assert not found, f"it {found}"
            if cases:
                check_said(cases[number], each)
        except AssertionError as error:
            octets = f"{arrival.frame[:256].hex()}{'...' * (len(arrival.frame) > 256)}"
            told = f"{octets}\nmarked bad: {arrival.marked_bad}, {arrival.config}"
            raise AssertionError(f"frame {number} of {len(arrivals)}: {error}\n{told}") from error
    if counted is not None:
        wrong = compare.wrong_receive_counters(counted, arrivals, results)
        assert not wrong, f"after {len(arrivals)} frames {', '.join(wrong)}"
