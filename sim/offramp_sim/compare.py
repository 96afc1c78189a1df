"""Compares what a core did with what the reference model says."""

from collections import Counter
from collections.abc import Sequence

from offramp_sim.core import Job, Outcome
from offramp_sim.model import Outcome as Expected
from offramp_sim.model import send


def expected(jobs: Sequence[Job]) -> list[Expected]:
    """Return what the reference model makes of ``jobs``."""
    return [send(job.request, job.config) for job in jobs]


def difference(outcome: Outcome, right: Expected) -> str | None:
    """Return in a line how ``outcome`` differs from what is ``right``, ``None`` if it does not."""
    if outcome.completion != right.completion:
        return f"completion {outcome.completion}, not {right.completion}"
    for number, (frame, data) in enumerate(zip(outcome.frames, right.frames, strict=True)):
        if len(frame.data) != len(data):
            return f"frame {number} has {len(frame.data)} bytes, not {len(data)}"
        for at, (seen, byte) in enumerate(zip(frame.data, data, strict=True)):
            if seen != byte:
                wanted, found = data[at : at + 4].hex(), frame.data[at : at + 4].hex()
                return f"frame {number} of {len(right.frames)} has {found} at byte {at}, not {wanted}"
    return None


def expected_counters(results: Sequence[Expected]) -> Counter[str]:
    """Return what a core's counters show after ``results``; counters that are 0 are left out."""
    counters: Counter[str] = Counter()
    for result in results:
        counters["requests"] += 1
        counters["frames"] += len(result.frames)
        counters["bytes"] += sum(map(len, result.frames))
        if result.completion.status != "ok":
            counters[f"refused_{result.completion.status}"] += 1
        for hint in ("inner_version_hint", "tcp_options_hint", "split_encapsulation"):
            counters[hint] += getattr(result, hint)
    return +counters
