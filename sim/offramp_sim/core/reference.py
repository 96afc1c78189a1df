"""The reference model as cores."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from offramp_sim.core.arrivals import Arrival, Received
from offramp_sim.core.records import Frame, Job, Outcome, Progress
from offramp_sim.model import receive, send

In = TypeVar("In")
Out = TypeVar("Out")


class _Reference(ABC, Generic[In, Out]):
    """Gives the right answer, without beats or cycles."""

    def __init__(self, *, lanes: int = 64) -> None:
        self.lanes = lanes
        self.cycles = 0

    def play(self, things: Sequence[In], progress: Progress | None = None) -> list[Out]:
        """Return what comes of ``things``, in order."""
        results = []
        for done, thing in enumerate(things, start=1):
            results.append(self._result(thing))
            if progress is not None:
                progress(done)
        return results

    @abstractmethod
    def _result(self, thing: In) -> Out:
        """Return what comes of ``thing``."""

    def counters(self) -> dict[str, int]:
        """Return nothing: the model does not count."""
        return {}

    def reset(self) -> None:
        """Do nothing: the model keeps no state."""

    def close(self) -> None:
        """Do nothing: the model holds nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ReferenceSender(_Reference[Job, Outcome]):
    """Plays jobs through :func:`offramp_sim.model.send`."""

    def _result(self, thing: Job) -> Outcome:
        request = thing.request
        right = send(request, thing.config)
        frames = tuple(Frame(data, request.tag, beats=-(-len(data) // self.lanes)) for data in right.frames)
        return Outcome(frames, right.completion, elements=request.elements)


class ReferenceReceiver(_Reference[Arrival, Received]):
    """Plays arrivals through :func:`offramp_sim.model.receive`."""

    def _result(self, thing: Arrival) -> Received:
        frame = Frame(thing.frame, int(thing.marked_bad), beats=-(-len(thing.frame) // self.lanes))
        return Received(frame, receive(thing.frame, thing.config, marked_bad=thing.marked_bad))
