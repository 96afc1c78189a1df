"""Compares what a core did with what the reference model says."""

from collections import Counter
from collections.abc import Mapping, Sequence

from offramp_sim.core import Job, Outcome
from offramp_sim.model import Build, send
from offramp_sim.model import Outcome as Expected


def expected(jobs: Sequence[Job], build: Build | None = None) -> list[Expected]:
    """Return what the reference model makes of ``jobs``."""
    return [send(job.request, job.config, build) for job in jobs]


def difference(outcome: Outcome, right: Expected) -> str | None:
    """Return in a line how ``outcome`` differs from what is ``right``, ``None`` if the model allows it."""
    if right.allows([frame.data for frame in outcome.frames], outcome.completion):
        return None
    if outcome.completion != right.completion:
        return f"completion {outcome.completion}, not {right.completion}"
    if len(outcome.frames) != len(right.frames):
        return f"{len(outcome.frames)} frames, not {len(right.frames)}"
    for number, (frame, data) in enumerate(zip(outcome.frames, right.frames, strict=True)):
        if len(frame.data) != len(data):
            return f"frame {number} has {len(frame.data)} bytes, not {len(data)}"
        for at, (seen, byte) in enumerate(zip(frame.data, data, strict=True)):
            if seen != byte:
                wanted, found = data[at : at + 4].hex(), frame.data[at : at + 4].hex()
                return f"frame {number} of {len(right.frames)} has {found} at byte {at}, not {wanted}"
    raise AssertionError("the model allows what it says itself")


def wrong_counters(
    counters: Mapping[str, int], outcomes: Sequence[Outcome], results: Sequence[Expected]
) -> list[str]:
    """Return in a line each how a core's counters differ from what it did; those left out are 0.

    Hints are the model's. Of headers beyond the longest block that a core looks at it need not count any.
    """
    least: Counter[str] = Counter()
    unseen: Counter[str] = Counter()
    for outcome, result in zip(outcomes, results, strict=True):
        least["requests"] += 1
        least["frames"] += len(outcome.frames)
        least["bytes"] += sum(len(frame.data) for frame in outcome.frames)
        if outcome.completion.status != "ok":
            least[f"refused_{outcome.completion.status}"] += 1
        hints = unseen if "header_too_long" in result.reasons else least
        for hint in ("inner_version_hint", "tcp_options_hint", "split_encapsulation"):
            hints[hint] += getattr(result, hint)
    return [
        f"counter {name} is {counters.get(name, 0)}, not {least[name]}"
        for name in sorted(counters.keys() | least)
        if not least[name] <= counters.get(name, 0) <= least[name] + unseen[name]
    ]
