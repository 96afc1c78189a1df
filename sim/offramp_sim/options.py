"""Options that several commands share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from offramp_sim.core import (
    SIMULATORS,
    Arrival,
    Core,
    Job,
    Outcome,
    Received,
    open_core,
    open_receiver,
)
from offramp_sim.core.build import ToolError
from offramp_sim.errors import BadInput

WIDTHS = ("8", "16", "32", "64")

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C")

lanes = click.option(
    "--lanes",
    type=click.Choice(WIDTHS),
    default="64",
    show_default=True,
    callback=lambda _c, _p, value: int(value),
    help="Bytes per clock cycle.",
)

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print the summary as JSON instead of a table."
)

file_in = click.Path(path_type=Path)
file_out = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Simulation:
    """How to simulate, as the user wants it."""

    lanes: int
    simulator: str
    seed: int
    stall: float
    waves: Path | None

    def open(self) -> Core[Job, Outcome]:
        """Return the send path, built and out of reset."""
        return self._open(open_core)

    def open_receiver(self) -> Core[Arrival, Received]:
        """Return the receive path, built and out of reset."""
        return self._open(open_receiver)

    def _open(self, opened: Callable[..., C]) -> C:
        if self.waves is not None:
            if self.simulator == "model":
                raise click.UsageError("the model has no waves: --waves needs a simulator")
            if self.waves.suffix == ".fst":
                raise click.UsageError("waves are written as VCD, not FST: name the file .vcd")
            if not self.waves.parent.is_dir():
                raise BadInput(self.waves, "", "cannot be written: no such folder")
        try:
            return opened(
                self.simulator, lanes=self.lanes, seed=self.seed, stall=self.stall, waves=self.waves
            )
        except ToolError as error:
            raise click.ClickException(str(error)) from error


def _probability(_context: click.Context, _option: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("nan is no probability.")
    return value


def simulation(command: F) -> F:
    """Add ``--lanes``, ``--simulator``, ``--seed``, ``--stall`` and ``--waves`` to ``command``."""
    for option in (
        click.option("--waves", type=file_out, help="Write waves (VCD) to this file; slow and large."),
        click.option(
            "--stall",
            type=click.FloatRange(0, 1, max_open=True),
            default=0.0,
            show_default=True,
            metavar="P",
            callback=_probability,
            help="Probability of an idle cycle on every input and of back-pressure on every output.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0, (1 << 64) - 1),
            default=0,
            show_default=True,
            help="Seed of all random choices.",
        ),
        click.option(
            "--simulator",
            type=click.Choice(SIMULATORS),
            default="verilator",
            show_default=True,
            help="What plays the core; `model` is the reference model, without a clock.",
        ),
        lanes,
    ):
        command = option(command)
    return command
