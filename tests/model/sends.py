"""What tests of the send path's model share."""

import itertools

from offramp_sim.model import Config, Outcome, send

from .shapes import ON, Shape

MIXED = [Shape(tunnel="nvgre", outer=outer, inner=inner) for outer in (4, 6) for inner in (4, 6)]
EVERY_KIND = [
    Shape(tunnel=tunnel, transport=transport, outer=outer, inner=inner)
    for tunnel, transport in itertools.product(["nvgre", "vxlan"], ["tcp", "udp"])
    for outer, inner in ((4, 4), (6, 6))
] + [Shape(transport=transport, outer=outer) for transport in ("tcp", "udp") for outer in (4, 6)]


def frames(outcome: Outcome) -> list[bytes]:
    """Return the frames of a request that was served."""
    assert outcome.completion.status == "ok"
    assert outcome.completion.segments == len(outcome.frames)
    return list(outcome.frames)


def large_send(shape: Shape, payload: bytes, mss: int, config: Config = ON, **changes: int) -> list[bytes]:
    """Return the frames of a large send."""
    return frames(send(shape.large_send(payload, mss, **changes), config))
