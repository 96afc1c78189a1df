"""Cores to play with: the RTL under Verilator or Icarus, and the reference model, behind one interface.

>>> from offramp_sim.core import Job, open_core
>>> from offramp_sim.model import Request
>>> with open_core("model") as core:
...     (outcome,) = core.play([Job(Request(frame=bytes(60)))])
>>> outcome.completion.status, len(outcome.frames)
('ok', 1)

The receive path takes arrivals instead of jobs:

>>> from offramp_sim.core import Arrival, open_receiver
>>> with open_receiver("model") as core:
...     (received,) = core.play([Arrival(bytes(60))])
>>> received.reception.reason, len(received.data)
('inactive', 60)
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from offramp_sim.core.arrivals import Arrival, Received
from offramp_sim.core.ports import RECEIVE, SEND, Streams
from offramp_sim.core.records import CoreError, Frame, Job, Outcome, Progress
from offramp_sim.core.simulation import Simulation

__all__ = [
    "SIMULATORS",
    "Arrival",
    "Core",
    "CoreError",
    "Frame",
    "Job",
    "Outcome",
    "Progress",
    "Received",
    "open_core",
    "open_receiver",
]

SIMULATORS = ("verilator", "icarus", "model")
"""Names that :func:`open_core` and :func:`open_receiver` know."""

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out")


class Core(Protocol[In, Out]):
    """Something that jobs (of the send path) or arrivals (of the receive path) can be played through.

    Attributes
    ----------
    lanes : int
        Bytes per beat.
    cycles : int
        Clock cycles in which something was played, without resets; 0 for the model, which has no clock.
    """

    lanes: int

    @property
    def cycles(self) -> int:
        """See above."""

    def play(self, things: Sequence[In], progress: Progress | None = None) -> list[Out]:
        """Put ``things`` in as fast as the core takes them and return what comes of each, in order.

        Where the configuration changes from one to the next, everything before has come out before that.
        Raises :class:`CoreError` if the core misbehaves.
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
) -> Core[Job, Outcome]:
    """Return a send path that is ready to play.

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
        Play this text instead of generating the hardware.
    """
    # Imported here so that each works without what the others need.
    if simulator == "model":
        from offramp_sim.core.reference import ReferenceSender

        return ReferenceSender(lanes=lanes)
    from offramp_sim.core.player import Sender

    return Sender(_simulation(SEND, "send", simulator, lanes, seed, stall, waves, verilog))


def open_receiver(
    simulator: str = "verilator",
    *,
    lanes: int = 64,
    seed: int = 0,
    stall: float = 0.0,
    waves: Path | None = None,
    verilog: str | None = None,
) -> Core[Arrival, Received]:
    """Return a receive path that is ready to play; the parameters are those of :func:`open_core`."""
    if simulator == "model":
        from offramp_sim.core.reference import ReferenceReceiver

        return ReferenceReceiver(lanes=lanes)
    from offramp_sim.core.player import Receiver

    return Receiver(_simulation(RECEIVE, "receive", simulator, lanes, seed, stall, waves, verilog))


def _simulation(
    streams: Streams,
    block: str,
    simulator: str,
    lanes: int,
    seed: int,
    stall: float,
    waves: Path | None,
    verilog: str | None,
) -> Simulation:
    if not 0 <= stall < 1:
        raise ValueError(f"stall must be at least 0 and less than 1, not {stall!r}")
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    if verilog is None:
        from offramp_sim.core import source

        verilog = source.verilog(lanes, block)
    if simulator == "verilator":
        from offramp_sim.core.verilator import VerilatorSimulation

        return VerilatorSimulation(streams, verilog, seed=seed, stall=stall, waves=waves)
    from offramp_sim.core.icarus import IcarusSimulation

    return IcarusSimulation(streams, verilog, seed=seed, stall=stall, waves=waves)
