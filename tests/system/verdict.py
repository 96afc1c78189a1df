"""Whether a core did what it had to do."""

from collections.abc import Sequence

from offramp_sim import compare
from offramp_sim.core import Job, Outcome
from offramp_sim.model import Build

from .scenarios import Case


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
