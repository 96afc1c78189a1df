"""A request and what must become of it: what scenarios yield, and how they are registered."""

import dataclasses
import functools
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

from offramp_sim.core import Job
from offramp_sim.model import Build, Config, Request

from tests.model.shapes import ON, Shape, ramp

BUILD = Build()
P = ramp(250)

PLAIN = Shape()
PLAIN6 = Shape(outer=6)
PLAIN_UDP = Shape(transport="udp")
V6V6 = Shape(tunnel="nvgre", outer=6, inner=6)
VXLAN = Shape(tunnel="vxlan")
NVGRE_UDP = Shape(tunnel="nvgre", transport="udp")

EXTRAS = {4: ("options",), 6: ("hop", "routing", "destination")}
VERSIONS = list(itertools.product((4, 6), repeat=2))
TUNNELS = ("nvgre", "vxlan")
KINDS = [
    *(
        Shape(tunnel=tunnel, transport=transport, outer=outer, inner=inner)
        for tunnel, transport in itertools.product(TUNNELS, ("tcp", "udp"))
        for outer, inner in VERSIONS
    ),
    *(Shape(transport=transport, outer=outer) for transport in ("tcp", "udp") for outer in (4, 6)),
]


@dataclasses.dataclass(frozen=True)
class Case:
    """A request and what is known of its end.

    Parameters
    ----------
    request : Request
    config : Config
    status : str
        How it must end.
    frames : tuple of bytes, optional
        The frames that must come out, if somebody else than the model knows them.
    """

    request: Request
    config: Config = ON
    status: str = "ok"
    frames: tuple[bytes, ...] | None = None


SCENARIOS: dict[str, Callable[[], tuple[Case, ...]]] = {}
"""All scenarios, by name."""


def scenario(make: Callable[[], Iterator[Case]]) -> Callable[[], tuple[Case, ...]]:
    """Register a scenario; its requests are made when they are first needed."""

    @functools.cache
    @functools.wraps(make)
    def cases() -> tuple[Case, ...]:
        return tuple(make())

    SCENARIOS[make.__name__] = cases
    return cases


def numbered(cases: "tuple[Case, ...] | list[Case]", first: int = 0) -> list[Job]:
    """Return ``cases`` as jobs with tags that count."""
    return [
        Job(dataclasses.replace(case.request, tag=(first + number) & 0xFFFF), case.config)
        for number, case in enumerate(cases)
    ]


def cut(shape: Shape, payload: bytes, mss: int, config: Config = ON, **changes: int) -> Case:
    """Return a large send, with the frames that scapy builds."""
    bits = config.id_wrap if shape.transport == "tcp" else 16
    frames = shape.segments(payload, mss, id_bits=bits)
    return Case(shape.large_send(payload, mss, **changes), config, frames=tuple(frames))


def summed(shape: Shape, payload: bytes, config: Config = ON, **changes: int) -> Case:
    """Return a request for all checksums, with the frame that scapy builds."""
    return Case(shape.sum_up(payload, **changes), config, frames=(shape.build(payload),))


def changed(case: Case, **changes: Any) -> Case:
    """Return ``case`` with another request that must have the same frames."""
    return dataclasses.replace(case, request=dataclasses.replace(case.request, **changes))


def refused(request: Request, status: str, config: Config = ON) -> Case:
    """Return a request that nothing comes of."""
    return Case(request, config, status, frames=())


def stretched(shape: Shape, header_bytes: int, **words: int) -> Request:
    """Return a large send whose outer IPv6 header has destination options up to ``header_bytes`` in all."""
    size = header_bytes - shape.header_bytes
    request = shape.large_send(P, 100, **words)
    frame = bytearray(request.frame)
    start = shape.outer_ip
    body = bytes([frame[start + 6], size // 8 - 1, 1, size - 4]) + bytes(size - 4)
    frame[start + 6] = 60
    frame[start + 40 : start + 40] = body
    changes = {"supplemental": request.supplemental & ~2, "lso": request.lso}
    if not shape.tunnel:
        changes = {"lso": request.lso + (size << 20)}
    return dataclasses.replace(request, frame=bytes(frame), **changes)


# At random ----------------------------------------------------------------------------------------------


def random_extras(rng: random.Random, version: int) -> tuple[str, ...]:
    """Return options, or up to two extension headers."""
    if rng.random() < 0.5:
        return ()
    return tuple(rng.sample(EXTRAS[version], rng.randint(1, min(2, len(EXTRAS[version])))))


def random_case(rng: random.Random) -> Case:
    """Return a request whose frames scapy builds."""
    outer, inner = rng.choice([4, 6]), rng.choice([4, 6])
    tunnel = rng.choice(["", "nvgre", "vxlan"])
    shape = Shape(
        outer=outer,
        inner=inner,
        tunnel=tunnel,
        transport=rng.choice(["tcp", "tcp", "udp"]),
        tags=tuple(rng.choice([0x8100, 0x88A8]) for _ in range(rng.choice([0, 0, 1, 2]))),
        inner_tag=bool(tunnel) and rng.random() < 0.3,
        outer_extras=random_extras(rng, outer),
        inner_extras=random_extras(rng, inner) if tunnel else (),
        tcp_options=rng.random() < 0.5,
        flags=rng.choice([0x10, 0x18, 0x19, 0xD9, 0x40]),
        sequence=rng.getrandbits(32),
        outer_id=rng.getrandbits(16),
        inner_id=rng.getrandbits(16),
    )
    if shape.header_bytes > 256:
        return random_case(rng)
    if rng.random() < 0.3:
        return summed(shape, rng.randbytes(rng.randint(0, 1500)))
    mss = rng.choice([rng.randint(1, 100), 536, 1460, rng.randint(1, 4000)])
    config = dataclasses.replace(ON, id_wrap=rng.choice([15, 15, 16]))
    return cut(shape, rng.randbytes(rng.randint(0, 12 * mss)), mss, config)
