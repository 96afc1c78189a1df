"""`offramp soak`: random requests and random frames without end, the core against the reference model."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import Progress

from offramp_sim import compare, options
from offramp_sim.core import Arrival, CoreError, Job, open_core, open_receiver
from offramp_sim.core.build import ToolError
from offramp_sim.stimulus import arrivals, requests

CHUNK = 500
"""Requests or frames that one seed stands for."""

PATHS = {"send": "requests", "receive": "frames"}
"""What can be soaked, and in what."""

CONFIG_EVERY = 40
"""Mean number of frames from one change of configuration to the next."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one seed stands for: :data:`CHUNK` requests or frames, a width and a stall probability."""

    seed: int
    path: str
    lanes: int
    stall: float
    simulator: str

    @classmethod
    def of(cls, seed: int, path: str, simulator: str, lanes: int | None, stall: float | None) -> "Chunk":
        """Return the chunk of ``seed``; what is not given follows from the seed."""
        dice = random.Random(f"chunk {seed}")
        drawn_lanes = int(dice.choice(options.WIDTHS))
        drawn_stall = dice.choice([0.0, 0.1, 0.4, 0.8])
        return cls(
            seed,
            [*PATHS][seed % 2] if path == "both" else path,
            drawn_lanes if lanes is None else lanes,
            drawn_stall if stall is None else stall,
            simulator,
        )

    @property
    def again(self) -> str:
        """The command that repeats just this chunk."""
        return (
            f"offramp soak {CHUNK} --path {self.path} --seed {self.seed} --lanes {self.lanes} "
            f"--stall {self.stall} --simulator {self.simulator}"
        )

    def run(self) -> Counter[str]:
        """Play the chunk and return how often each status or reason came.

        Raises :class:`CoreError` at a difference.
        """
        return self._send() if self.path == "send" else self._receive()

    def _send(self) -> Counter[str]:
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

    def _receive(self) -> Counter[str]:
        given = list(random_arrivals(random.Random(self.seed), CHUNK))
        right = compare.expected_receptions(given)
        with open_receiver(self.simulator, lanes=self.lanes, seed=self.seed, stall=self.stall) as core:
            received = core.play(given)
            counters = core.counters()
        for number, each in enumerate(zip(given, received, right, strict=True)):
            if found := compare.reception_difference(*each):
                raise CoreError(f"frame {number} {found}")
        if wrong := compare.wrong_receive_counters(counters, given, right):
            raise CoreError(", ".join(wrong))
        return Counter(reception.reason or "checked" for reception in right)


def random_arrivals(rng: random.Random, count: int) -> Iterator[Arrival]:
    """Yield ``count`` random frames, each with the configuration under which it arrives."""
    config = arrivals.config(rng)
    for _ in range(count):
        if rng.random() < 1 / CONFIG_EVERY:
            config = arrivals.config(rng)
        drawn = arrivals.arrival(rng)
        yield Arrival(drawn.frame, config, drawn.marked_bad)


def _run(chunk: Chunk) -> Counter[str]:
    return chunk.run()


@click.command(short_help="Compare the core with the reference model on random input.")
@click.argument("count", type=click.IntRange(1), metavar="N")
@click.option(
    "--path",
    type=click.Choice([*PATHS, "both"]),
    default="both",
    show_default=True,
    help="Which path; both takes turns.",
)
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
def command(
    count: int, path: str, seed: int, jobs: int, lanes: str | None, stall: float | None, simulator: str
) -> None:
    """Play N random requests and frames on simulated cores and compare everything with the reference model.

    A seed stands for 500 requests to the send path or for 500 frames to the receive path, a width and a stall
    probability, so any part can be run again or later: N more from where the last run ended is `--seed` with
    the number it printed. A difference prints the command that repeats it, and ends with exit status 1.

    \b
    Examples:
      offramp soak 20000 --jobs 2
      offramp soak 500 --path receive --seed 1234 --lanes 8 --stall 0.4
    """
    width = None if lanes is None else int(lanes)
    chunks = [Chunk.of(seed + n, path, simulator, width, stall) for n in range(-(-count // CHUNK))]
    results: dict[str, Counter[str]] = {chunk.path: Counter() for chunk in chunks}
    failures = 0
    console = Console(stderr=True)
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
        ProcessPoolExecutor(jobs) as pool,
    ):
        task = progress.add_task("requests and frames", total=CHUNK * len(chunks))
        pending = {pool.submit(_run, chunk): chunk for chunk in chunks}
        for future in as_completed(pending):
            chunk = pending[future]
            progress.advance(task, CHUNK)
            try:
                results[chunk.path] += future.result()
            except CoreError as error:
                failures += 1
                click.echo(f"seed {chunk.seed}: {error}\n  again: {chunk.again}", err=True)
            except ToolError as error:
                pool.shutdown(cancel_futures=True)
                raise click.ClickException(str(error)) from error
    click.echo(f"seeds {seed} to {seed + len(chunks) - 1}")
    for which, counts in results.items():
        told = ", ".join(f"{name} {number:,}" for name, number in counts.most_common())
        played = CHUNK * sum(chunk.path == which for chunk in chunks)
        click.echo(f"{which}: {played:,} {PATHS[which]}: {told or 'none as it should be'}")
    click.echo(f"next seed: {seed + len(chunks)}")
    if failures:
        raise click.ClickException(f"{failures} of {len(chunks)} seeds differ from the model")
