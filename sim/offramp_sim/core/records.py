"""Jobs into the send path and what comes out, and the byte forms they have at its ports."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from offramp_sim.core.ports import Port
from offramp_sim.model import Completion, Config, Request, Status

_REQUEST = struct.Struct("<HHIIIIII")
_COMPLETION = struct.Struct("<HBxIII")
REQUEST_BITS = 8 * _REQUEST.size
COMPLETION_BITS = 8 * _COMPLETION.size


Progress = Callable[[int], None]
"""Called now and then with how much of what is played has come out so far."""


class CoreError(Exception):
    """A core hangs, breaks a rule of AXI4-Stream, or its frames and records do not fit together."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request, and the configuration under which it is served."""

    request: Request
    config: Config = field(default_factory=Config)

    @property
    def size(self) -> int:
        """Bytes that go in."""
        return len(self.request.frame)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it left a core: its bytes, and when its beats were transferred.

    ``tag`` is what stands beside it: its request's tag or, on the receive path, the mark of a bad frame.
    """

    data: bytes
    tag: int
    first_cycle: int = 0
    last_cycle: int = 0
    beats: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one job led to.

    Attributes
    ----------
    frames : tuple of Frame
        In the order in which they left.
    completion : Completion
    request_cycle, completion_cycle : int
        When the request record and the completion record were transferred.
    buffer_cycles : sequence of int
        When each beat of the request's buffers was transferred.
    elements : tuple of int
        Length of each buffer, in bytes.
    """

    frames: tuple[Frame, ...]
    completion: Completion
    request_cycle: int = 0
    completion_cycle: int = 0
    buffer_cycles: Sequence[int] = ()
    elements: tuple[int, ...] = ()

    def byte_cycle(self, offset: int, lanes: int) -> int:
        """Return the cycle in which byte ``offset`` of the packet was taken in by a core of ``lanes``."""
        beats = 0
        for length in self.elements:
            if offset < length:
                return self.buffer_cycles[beats + offset // lanes]
            offset -= length
            beats += -(-length // lanes)
        raise IndexError("the packet has no such byte")


def encode_request(request: Request) -> bytes:
    """Return the request record as the bytes of ``s_axis_request_tdata``, lowest first."""
    return _REQUEST.pack(
        request.tag,
        len(request.elements),
        request.stated_length,
        request.supplemental,
        request.checksum,
        request.lso,
        request.uso,
        request.vlan,
    )


def decode_completion(record: bytes) -> Completion:
    """Return the completion whose record has the bytes of ``m_axis_completion_tdata``, lowest first."""
    tag, status, segments, payload_bytes, lso_completion = _COMPLETION.unpack(record)
    try:
        name = Status(status).name.lower()
    except ValueError as error:
        raise CoreError(f"the completion of tag {tag} has the undocumented status {status}") from error
    return Completion(
        tag=tag, status=name, segments=segments, payload_bytes=payload_bytes, lso_completion=lso_completion
    )


def port_values(config: Config, ports: Sequence[Port]) -> list[int]:
    """Return what ``config`` puts on each of the configuration inputs ``ports``."""
    values = []
    for port in ports:
        match port.name.removeprefix("cfg_"):
            case "encapsulation":
                values.append(("nvgre" in config.encapsulation) | ("vxlan" in config.encapsulation) << 1)
            case "id_wrap_16":
                values.append(int(config.id_wrap == 16))
            case name:
                values.append(int(getattr(config, name)))
    return values


def assemble(
    jobs: Sequence[Job],
    lanes: int,
    frames: Sequence[Frame],
    completions: Sequence[tuple[bytes, int]],
    request_cycles: Sequence[int],
    buffer_cycles: Sequence[int],
) -> list[Outcome]:
    """Return the outcomes of ``jobs`` from all that was seen at the ports of a core, each kind in its order.

    Parameters
    ----------
    jobs : sequence of Job
    lanes : int
    frames : sequence of Frame
    completions : sequence of (bytes, int)
        Records and the cycles in which they were transferred.
    request_cycles, buffer_cycles : sequence of int
        When each request record and each buffer beat was transferred.
    """
    outcomes = []
    beat = taken = 0
    for job, request_cycle, (record, cycle) in zip(jobs, request_cycles, completions, strict=True):
        completion = decode_completion(record)
        mine = tuple(frames[taken : taken + completion.segments])
        for what, seen in (("completion", completion.tag), *(("frame", frame.tag) for frame in mine)):
            if seen != job.request.tag:
                raise CoreError(f"a {what} of request {job.request.tag} carries tag {seen}")
        taken += len(mine)
        elements = job.request.elements
        count = sum(-(-size // lanes) for size in elements)
        cycles = buffer_cycles[beat : beat + count]
        outcomes.append(Outcome(mine, completion, request_cycle, cycle, cycles, elements))
        beat += count
    if taken != len(frames):
        raise CoreError(f"{len(frames)} frames came out, the completions account for {taken}")
    return outcomes
