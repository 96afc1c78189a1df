"""The reference model as a core."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from offramp_sim.core import Progress
from offramp_sim.core.records import Frame, Job, Outcome
from offramp_sim.model import send


class ReferenceCore:
    """Plays jobs through :func:`offramp_sim.model.send`: the right answer, without beats or cycles."""

    def __init__(self, *, lanes: int = 64) -> None:
        self.lanes = lanes
        self.cycles = 0

    def play(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        """Return the outcomes of ``jobs``, in order."""
        outcomes = []
        for done, job in enumerate(jobs, start=1):
            result = send(job.request, job.config)
            frames = tuple(
                Frame(data, job.request.tag, beats=-(-len(data) // self.lanes)) for data in result.frames
            )
            outcomes.append(Outcome(frames, result.completion, elements=job.request.elements))
            if progress is not None:
                progress(done)
        return outcomes

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
