"""Cores to send through: the RTL under Verilator or Icarus, and the reference model, behind one interface.

>>> from offramp_sim.core import Job, open_core
>>> from offramp_sim.model import Request
>>> with open_core("model") as core:
...     (outcome,) = core.play([Job(Request(frame=bytes(60)))])
>>> outcome.completion.status, len(outcome.frames)
('ok', 1)
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from offramp_sim.core.records import CoreError, Frame, Job, Outcome

__all__ = ["SIMULATORS", "Core", "CoreError", "Frame", "Job", "Outcome", "Progress", "open_core"]

SIMULATORS = ("verilator", "icarus", "model")
"""Names that :func:`open_core` knows."""

Progress = Callable[[int], None]
"""Called now and then with the number of jobs completed so far in this :meth:`Core.play`."""


class Core(Protocol):
    """Something that requests can be sent through.

    Attributes
    ----------
    lanes : int
        Bytes per beat.
    cycles : int
        Clock cycles in which jobs were played, without resets; 0 for the model, which has no clock.
    """

    lanes: int
    cycles: int

    def play(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        """Send ``jobs`` as fast as the core takes them and return their outcomes, in order.

        Where the configuration changes from one job to the next, everything before has completed before the
        change. Raises :class:`CoreError` if the core misbehaves.
        """

    def counters(self) -> dict[str, int]:
        """Return the core's counters (``stat_*``), by name without the prefix; empty if it has none."""

    def reset(self) -> None:
        """Reset the core; what it had not completed is lost."""

    def close(self) -> None:
        """Let go of the simulator and complete the wave file, if one is written."""

    def __enter__(self) -> Self:
        """Return the core."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the core."""


def open_core(
    simulator: str = "verilator",
    *,
    lanes: int = 64,
    seed: int = 0,
    stall: float = 0.0,
    waves: Path | None = None,
    verilog: str | None = None,
) -> Core:
    """Return a core that is ready to play.

    Parameters
    ----------
    simulator : str
        One of :data:`SIMULATORS`.
    lanes : int
        Bytes per beat: 8, 16, 32 or 64.
    seed : int
        Of every random choice of the simulation.
    stall : float
        Probability, in every cycle and for every stream by itself, of an idle input and of back-pressure on
        an output.
    waves : Path, optional
        VCD file to write.
    verilog : str, optional
        Play this text instead of generating the send path.
    """
    # Imported here so that each works without what the others need.
    if not 0 <= stall < 1:
        raise ValueError(f"stall must be at least 0 and less than 1, not {stall!r}")
    match simulator:
        case "verilator":
            from offramp_sim.core.verilator import VerilatorCore

            return VerilatorCore(lanes=lanes, seed=seed, stall=stall, waves=waves, verilog=verilog)
        case "icarus":
            from offramp_sim.core.icarus import IcarusCore

            return IcarusCore(lanes=lanes, seed=seed, stall=stall, waves=waves, verilog=verilog)
        case "model":
            from offramp_sim.core.reference import ReferenceCore

            return ReferenceCore(lanes=lanes)
        case _:
            raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
