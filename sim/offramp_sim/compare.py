"""Compares what a core did with what the reference model says."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from offramp_sim.core import Arrival, Job, Outcome, Received
from offramp_sim.model import Build, Reception, receive, send
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
        if found := _other_bytes(frame.data, data):
            return f"frame {number} of {len(right.frames)} {found}"
    raise AssertionError("the model allows what it says itself")


def _other_bytes(found: bytes, right: bytes) -> str | None:
    """Return what a frame "has" that is not ``right``, ``None`` if nothing."""
    if len(found) != len(right):
        return f"has {len(found)} bytes, not {len(right)}"
    for at, (seen, byte) in enumerate(zip(found, right, strict=True)):
        if seen != byte:
            return f"has {found[at : at + 4].hex()} at byte {at}, not {right[at : at + 4].hex()}"
    return None


def changed(arrival: Arrival, received: Received) -> str | None:
    """Return in a line how a frame left otherwise than it arrived, ``None`` if it did not."""
    if other := _other_bytes(received.data, arrival.frame):
        return other
    if received.marked_bad != arrival.marked_bad:
        return "has been marked bad on its way" if received.marked_bad else "has lost its mark"
    return None


def expected_receptions(arrivals: Sequence[Arrival]) -> list[Reception]:
    """Return what the reference model says of ``arrivals``."""
    return [receive(each.frame, each.config, marked_bad=each.marked_bad) for each in arrivals]


def reception_difference(arrival: Arrival, received: Received, right: Reception) -> str | None:
    """Return in a line how ``received`` differs from what is ``right``, ``None`` if it does not."""
    if other := changed(arrival, received):
        return other
    seen, wanted = _flat(received.reception), _flat(right)
    wrong = [
        f"{name} {_shown(seen[name])}, not {_shown(good)}"
        for name, good in wanted.items()
        if seen[name] != good
    ]
    return f"has {'; '.join(wrong)}" if wrong else None


def _flat(reception: Reception) -> dict[str, object]:
    """Return what is known of a frame by name, each layer's verdict by itself."""
    fields = {field.name: getattr(reception, field.name) for field in dataclasses.fields(reception)}
    verdicts = dataclasses.asdict(fields.pop("verdicts"))
    return fields | {f"verdict of {layer}": verdict for layer, verdict in verdicts.items()}


def _shown(value: object) -> str:
    """Return a value as it is read best: numbers as hexadecimal, too."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value} (0x{value:x})"
    return str(value)


CHECKSUM_FLAGS = ("tcp_failed", "udp_failed", "ip_failed", "tcp_succeeded", "udp_succeeded", "ip_succeeded")
"""Bits of the checksum word, lowest first; each is counted."""


def wrong_receive_counters(
    counters: Mapping[str, int], arrivals: Sequence[Arrival], receptions: Sequence[Reception]
) -> list[str]:
    """Return in a line each how a core's counters differ from what is right; those left out are 0."""
    right: Counter[str] = Counter()
    for arrival, reception in zip(arrivals, receptions, strict=True):
        right["frames"] += 1
        right["bytes"] += len(arrival.frame)
        right[f"reason_{reception.reason or 'checked'}"] += 1
        right[f"queue_{reception.queue}"] += 1
        for bit, flag in enumerate(CHECKSUM_FLAGS):
            right[flag] += reception.checksum >> bit & 1
        right["tunnel_succeeded"] += reception.verdicts.tunnel == "good"
        right["tunnel_failed"] += reception.verdicts.tunnel == "bad"
    return [
        f"counter {name} is {counters.get(name, 0)}, not {right[name]}"
        for name in sorted(counters.keys() | right)
        if counters.get(name, 0) != right[name]
    ]


def wrong_counters(
    counters: Mapping[str, int], outcomes: Sequence[Outcome], results: Sequence[Expected]
) -> list[str]:
    """Return in a line each how a core's counters differ from what it did; those left out are 0.

    Hints are the model's; some a core may have counted or not.
    """
    least: Counter[str] = Counter()
    unsettled: Counter[str] = Counter()
    for outcome, result in zip(outcomes, results, strict=True):
        least["requests"] += 1
        least["frames"] += len(outcome.frames)
        least["bytes"] += sum(len(frame.data) for frame in outcome.frames)
        if outcome.completion.status != "ok":
            least[f"refused_{outcome.completion.status}"] += 1
        hints = unsettled if result.otherwise else least
        for hint in ("inner_version_hint", "tcp_options_hint", "split_encapsulation"):
            hints[hint] += getattr(result, hint)
    return [
        f"counter {name} is {counters.get(name, 0)}, not {least[name]}"
        for name in sorted(counters.keys() | least)
        if not least[name] <= counters.get(name, 0) <= least[name] + unsettled[name]
    ]
