"""`offramp bench`: throughput and latency in clock cycles."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from offramp_sim import options
from offramp_sim.bench.measure import (
    MOST_CYCLES_PER_FRAME,
    MOST_LATENCY_CYCLES,
    SHORT_FRAME_BEATS,
    Measurement,
    measure,
)
from offramp_sim.bench.traffic import KINDS, SCENARIOS, SIZES, Scenario, Traffic
from offramp_sim.core import CoreError
from offramp_sim.core.source import MAX_MSS

BLOCKS = ("send",)


class _List(click.ParamType[tuple[str, ...]]):
    """Several values of ``kind`` in one, with commas between them."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.kind = kind
        self.name = kind.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return what the help text shows for a value."""
        return self.kind.get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the values."""
        if not isinstance(value, str):
            return value
        return tuple(self.kind.convert(part.strip(), param, ctx) for part in value.split(","))


def _join(_context: click.Context, _option: click.Parameter, given: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return all values of an option that was given several times, each once, in the order given."""
    return list(dict.fromkeys(item for items in given for item in items))


def traffics(kinds: Sequence[str], sizes: Sequence[int], scenarios: Sequence[Scenario]) -> Iterator[Traffic]:
    """Yield everything to measure at one width."""
    for scenario in scenarios:
        for kind in filter(scenario.fits, kinds):
            yield from (Traffic(scenario, kind, mss) for mss in (sizes if scenario.segmented else [0]))


def run(lanes: int, work: Sequence[Traffic], progress: Progress) -> list[Measurement]:
    """Measure ``work`` on the core of ``lanes`` and return the results."""
    task = progress.add_task(f"{lanes} lanes: building the core", total=None)
    done = []
    with options.Simulation(lanes, "verilator", seed=0, stall=0.0, waves=None).open() as core:
        for number, traffic in enumerate(work):
            what = f"{lanes} lanes: {traffic}"
            progress.update(task, description=what, completed=number, total=len(work))
            try:
                done.append(measure(core, traffic))
            except CoreError as error:
                raise click.ClickException(f"{what}: the core misbehaves: {error}") from error
    progress.remove_task(task)
    return done


def _cell(text: str, *, missed: bool, applies: bool = True) -> str:
    """Return a value for the table: marked where it misses its target, dimmed where it has none."""
    if missed:
        return f"[bold red]{text}![/]"
    return f"{text} " if applies else f"[dim]{text}[/] "


def table(measurements: Sequence[Measurement]) -> Table:
    """Return what was measured in one scenario at one width."""
    short = not measurements[0].traffic.mss
    # Narrow enough for 80 columns, which is what there are where the output is no terminal.
    result = Table(box=box.SIMPLE_HEAD, padding=0, header_style="bold")
    result.add_column("kind", no_wrap=True)
    for column in ("" if short else "MSS", "frames", "beats", "ideal", "cycles", "ratio ", "latency "):
        result.add_column(column, justify="right", no_wrap=True)
    if short:
        result.add_column("a frame ", justify="right", no_wrap=True)
    before = ""
    for item in measurements:
        traffic = item.traffic
        ratio = math.floor(1000 * item.ratio) / 1000  # 1.000 is exactly that
        cells = [
            traffic.kind if traffic.kind != before else "",
            f"{traffic.mss:,}" if traffic.mss else "",
            f"{len(item.beats):,}",
            f"{item.output_beats:,}",
            f"{item.ideal_beats:,}",
            f"{item.cycles:,}",
            _cell(f"{ratio:.3f}", missed="ratio" in item.missed, applies=item.gapless),
            _cell(f"{item.latency_cycles}", missed="latency_cycles" in item.missed),
        ]
        if short:
            missed = "cycles_per_frame" in item.missed
            cells.append(_cell(f"{item.cycles_per_frame:.3f}", missed=missed, applies=item.tight))
        result.add_row(*cells)
        before = traffic.kind
    return result


@click.command(short_help="Measure throughput and latency in clock cycles.")
@click.argument("block", type=click.Choice(BLOCKS), expose_value=False)
@click.option(
    "--lanes",
    type=_List(click.Choice(options.WIDTHS)),
    multiple=True,
    default=[",".join(options.WIDTHS)],
    callback=lambda c, p, value: [int(width) for width in _join(c, p, value)],
    show_default=True,
    help="Bytes per clock cycle.",
)
@click.option(
    "--kind",
    "kinds",
    type=_List(click.Choice(KINDS)),
    multiple=True,
    default=[",".join(KINDS)],
    callback=_join,
    help="Headers. [default: all]",
)
@click.option(
    "--mss",
    "sizes",
    type=_List(click.IntRange(1, MAX_MSS)),
    multiple=True,
    metavar="N",
    default=[",".join(map(str, SIZES))],
    callback=_join,
    show_default=True,
    help="Payload bytes in each segment.",
)
@click.option(
    "--scenario",
    "scenarios",
    type=_List(click.Choice([scenario.name for scenario in SCENARIOS])),
    multiple=True,
    default=[",".join(scenario.name for scenario in SCENARIOS)],
    callback=lambda c, p, value: [item for item in SCENARIOS if item.name in _join(c, p, value)],
    help="What is sent. [default: all]",
)
@options.as_json
def command(
    lanes: list[int], kinds: list[str], sizes: list[int], scenarios: list[Scenario], as_json: bool
) -> None:
    """Simulate BLOCK, without idle inputs or back-pressure, and count clock cycles at its ports.

    BLOCK is `send`, the send path. It is sent, in scenario single, 64 KiB of payload in one request; in
    train, 64 requests of 4 KiB, back to back; in short, 1,000 packets of 64 bytes that get their checksums
    inserted (plain-v4 only, as a tunnel leaves no room for them). Every request is a single buffer. All
    frames are compared with the reference model.

    \b
    beats     beats of m_axis_frame
    ideal     frame length over lanes, rounded up, summed over all frames
    cycles    from the first output beat to the last, both included
    ratio     ideal over cycles
    latency   cycles from the last byte that the first frame needs, which is the
              last of its payload, to the frame's first beat
    a frame   cycles over frames

    A value that misses its target is red, with an exclamation mark; one that has no target is dim. Targets:
    no idle cycle between frames of more than four beats, 32 cycles of latency, and 1.6 cycles for a packet
    of one beat.

    Options can be given more than once, or several values with commas. A width that has not been simulated
    before is built first, which takes a minute or two.

    \b
    Examples:
      offramp bench send
      offramp bench send --lanes 8,64 --scenario short
      offramp bench send --lanes 64 --kind vxlan-v4-v4 --mss 1460 --mss 1448
      offramp bench send --json > speed.json
    """
    work = list(traffics(kinds, sizes, scenarios))
    if not work:
        raise click.UsageError("packets this short have no room for these headers")
    console, errors = Console(), Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    everything: list[Measurement] = []
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for width in lanes:
            done = run(width, work, progress)
            everything += done
            for scenario in scenarios if not as_json else ():
                if mine := [item for item in done if item.traffic.scenario is scenario]:
                    heading = f"[bold]{width} lanes, {scenario.name}[/]: {scenario.title}"
                    console.print(heading, table(mine), highlight=False, sep="\n")
    if as_json:
        click.echo(json.dumps([item.fields() for item in everything], indent=2))
        return
    missing = sum(bool(item.missed) for item in everything)
    console.print(
        f"{missing or 'None'} of {len(everything)} measurements miss{'es' * (missing == 1)} a target: "
        f"ratio 1.000 for frames of more than {SHORT_FRAME_BEATS} beats, latency at most "
        f"{MOST_LATENCY_CYCLES}, at most {MOST_CYCLES_PER_FRAME} cycles a frame of one beat.",
        highlight=False,
    )
