"""`offramp soak`: random requests without end, the core against the reference model."""

import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import Progress

from offramp_sim import compare, options
from offramp_sim.core import CoreError, Job, open_core
from offramp_sim.core.build import ToolError
from offramp_sim.stimulus import requests

CHUNK = 500
"""Requests that one seed stands for."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one seed stands for: :data:`CHUNK` requests, a width and a stall probability."""

    seed: int
    lanes: int
    stall: float
    simulator: str

    @classmethod
    def of(cls, seed: int, simulator: str, lanes: int | None, stall: float | None) -> "Chunk":
        """Return the chunk of ``seed``; what is not given follows from the seed."""
        dice = random.Random(f"chunk {seed}")
        drawn_lanes = int(dice.choice(options.WIDTHS))
        drawn_stall = dice.choice([0.0, 0.1, 0.4, 0.8])
        return cls(
            seed, drawn_lanes if lanes is None else lanes, drawn_stall if stall is None else stall, simulator
        )

    @property
    def again(self) -> str:
        """The command that repeats just this chunk."""
        return (
            f"offramp soak {CHUNK} --seed {self.seed} --lanes {self.lanes} --stall {self.stall} "
            f"--simulator {self.simulator}"
        )

    def run(self) -> Counter[str]:
        """Play the chunk and return how often each status came; raise :class:`CoreError` at a difference."""
        jobs = [Job(request, config) for request, config in requests(random.Random(self.seed), CHUNK)]
        right = compare.expected(jobs)
        with open_core(self.simulator, lanes=self.lanes, seed=self.seed, stall=self.stall) as core:
            outcomes = core.play(jobs)
            counters = core.counters()
        for number, (outcome, result) in enumerate(zip(outcomes, right, strict=True)):
            if found := compare.difference(outcome, result):
                raise CoreError(f"request {number}: {found}")
        if wrong := compare.wrong_counters(counters, outcomes, right):
            raise CoreError(", ".join(wrong))
        return Counter(outcome.completion.status for outcome in outcomes)


def _run(chunk: Chunk) -> Counter[str]:
    return chunk.run()


@click.command(short_help="Compare the core with the reference model on random requests.")
@click.argument("count", type=click.IntRange(1), metavar="N")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes at once.")
@click.option("--lanes", type=click.Choice(options.WIDTHS), help="Only this width; otherwise all.")
@click.option(
    "--stall", type=click.FloatRange(0, 1, max_open=True), metavar="P", help="Only this; otherwise several."
)
@click.option(
    "--simulator",
    type=click.Choice(["verilator", "icarus"]),
    default="verilator",
    show_default=True,
    help="What plays the core.",
)
def command(count: int, seed: int, jobs: int, lanes: str | None, stall: float | None, simulator: str) -> None:
    """Send N random requests through the simulated core and compare everything with the reference model.

    A seed stands for 500 requests, a width and a stall probability, so any part can be run again or later: N
    more from where the last run ended is `--seed` with the number it printed. A difference prints the command
    that repeats it, and ends with exit status 1.

    \b
    Examples:
      offramp soak 20000 --jobs 2
      offramp soak 500 --seed 1234 --lanes 8 --stall 0.4
    """
    width = None if lanes is None else int(lanes)
    chunks = [Chunk.of(seed + n, simulator, width, stall) for n in range(-(-count // CHUNK))]
    statuses: Counter[str] = Counter()
    failures = 0
    console = Console(stderr=True)
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
        ProcessPoolExecutor(jobs) as pool,
    ):
        task = progress.add_task("requests", total=CHUNK * len(chunks))
        pending = {pool.submit(_run, chunk): chunk for chunk in chunks}
        for future in as_completed(pending):
            progress.advance(task, CHUNK)
            try:
                statuses += future.result()
            except CoreError as error:
                failures += 1
                click.echo(
                    f"seed {pending[future].seed}: {error}\n  again: {pending[future].again}", err=True
                )
            except ToolError as error:
                pool.shutdown(cancel_futures=True)
                raise click.ClickException(str(error)) from error
    told = ", ".join(
        f"{name} {number:,}" for name, number in sorted(statuses.items(), key=lambda item: -item[1])
    )
    click.echo(f"{CHUNK * len(chunks):,} requests, seeds {seed} to {seed + len(chunks) - 1}: {told}")
    click.echo(f"next seed: {seed + len(chunks)}")
    if failures:
        raise click.ClickException(f"{failures} of {len(chunks)} seeds differ from the model")
