"""`offramp bench send`: throughput and latency of the send path."""

import math
from collections.abc import Iterator, Sequence

import click
from rich import box
from rich.console import Console
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
from offramp_sim.commands.bench import common
from offramp_sim.commands.bench.common import Values, cell
from offramp_sim.core.source import MAX_MSS


def traffics(kinds: Sequence[str], sizes: Sequence[int], scenarios: Sequence[Scenario]) -> Iterator[Traffic]:
    """Yield everything to measure at one width."""
    for scenario in scenarios:
        for kind in filter(scenario.fits, kinds):
            yield from (Traffic(scenario, kind, mss) for mss in (sizes if scenario.segmented else [0]))


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
            cell(f"{ratio:.3f}", missed="ratio" in item.missed, applies=item.gapless),
            cell(f"{item.latency_cycles}", missed="latency_cycles" in item.missed),
        ]
        if short:
            missed = "cycles_per_frame" in item.missed
            cells.append(cell(f"{item.cycles_per_frame:.3f}", missed=missed, applies=item.tight))
        result.add_row(*cells)
        before = traffic.kind
    return result


@click.command(short_help="Measure the send path.")
@common.lanes
@click.option(
    "--kind",
    "kinds",
    type=Values(click.Choice(KINDS)),
    multiple=True,
    default=[",".join(KINDS)],
    callback=common.joined,
    help="Headers. [default: all]",
)
@click.option(
    "--mss",
    "sizes",
    type=Values(click.IntRange(1, MAX_MSS)),
    multiple=True,
    metavar="N",
    default=[",".join(map(str, SIZES))],
    callback=common.joined,
    show_default=True,
    help="Payload bytes in each segment.",
)
@click.option(
    "--scenario",
    "scenarios",
    type=Values(click.Choice([scenario.name for scenario in SCENARIOS])),
    multiple=True,
    default=[",".join(scenario.name for scenario in SCENARIOS)],
    callback=lambda c, p, value: [item for item in SCENARIOS if item.name in common.joined(c, p, value)],
    help="What is sent. [default: all]",
)
@options.as_json
def command(
    lanes: list[int], kinds: list[str], sizes: list[int], scenarios: list[Scenario], as_json: bool
) -> None:
    """Simulate the send path, without idle inputs or back-pressure, and count clock cycles at its ports.

    It is sent, in scenario single, 64 KiB of payload in one request; in train, 64 requests of 4 KiB, back to
    back; in short, 1,000 packets of 64 bytes that get their checksums inserted (plain-v4 only, as a tunnel
    leaves no room for them). Every request is a single buffer. All frames are compared with the reference
    model.

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
    of one beat. If any is missed, the exit status is 1.

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
    console = Console()
    everything: list[Measurement] = []
    for width, done in zip(lanes, common.run(lanes, options.Simulation.open, work, measure), strict=True):
        everything += done
        for scenario in scenarios if not as_json else ():
            if mine := [item for item in done if item.traffic.scenario is scenario]:
                heading = f"[bold]{width} lanes, {scenario.name}[/]: {scenario.title}"
                console.print(heading, table(mine), highlight=False, sep="\n")
    targets = (
        f"ratio 1.000 for frames of more than {SHORT_FRAME_BEATS} beats, latency at most "
        f"{MOST_LATENCY_CYCLES}, at most {MOST_CYCLES_PER_FRAME} cycles a frame of one beat"
    )
    common.finish(everything, targets, as_json=as_json)
