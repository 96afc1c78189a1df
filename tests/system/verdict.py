"""Whether a core did what it had to do."""

from collections import Counter
from collections.abc import Sequence

from offramp_sim import compare
from offramp_sim.core import Job, Outcome
from offramp_sim.model import Build, send

from .scenarios import Case


def check_job(job: Job, outcome: Outcome, build: Build | None = None) -> None:
    """Check that the reference model allows what became of ``job``."""
    right = send(job.request, job.config, build)
    frames = [frame.data for frame in outcome.frames]
    if not right.allows(frames, outcome.completion):
        raise AssertionError(compare.difference(outcome, right) or "not what the model allows")


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
    for number, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True)):
        try:
            check_job(job, outcome, build)
            if cases:
                check_case(cases[number], outcome)
        except AssertionError as error:
            raise AssertionError(f"request {number} of {len(jobs)}: {error}\n{job}") from error
    if counted is not None:
        expected = expected_counters(jobs, outcomes, build)
        wrong = [
            f"{name} is {counted.get(name, 0)}, not {expected[name]}"
            for name in counted.keys() | expected
            if counted.get(name, 0) != expected[name]
        ]
        assert not wrong, f"after {len(jobs)} requests counter {', '.join(sorted(wrong))}"


def expected_counters(
    jobs: Sequence[Job], outcomes: Sequence[Outcome], build: Build | None = None
) -> Counter[str]:
    """Return by how much the counters go up, by name: hints by the model, the rest as seen."""
    counters: Counter[str] = Counter()
    for job, outcome in zip(jobs, outcomes, strict=True):
        right = send(job.request, job.config, build)
        counters["requests"] += 1
        counters["frames"] += len(outcome.frames)
        counters["bytes"] += sum(len(frame.data) for frame in outcome.frames)
        if outcome.completion.status != "ok":
            counters[f"refused_{outcome.completion.status}"] += 1
        for hint in ("inner_version_hint", "tcp_options_hint", "split_encapsulation"):
            counters[hint] += getattr(right, hint)
    return counters
