"""`offramp bench receive`: throughput and delay of the receive path."""

import math
from collections.abc import Sequence

import click
from rich import box
from rich.console import Console
from rich.table import Table

from offramp_sim import options
from offramp_sim.bench.arrivals import STREAMS, Stream
from offramp_sim.bench.reception import MOST_METADATA_CYCLES, Measurement, measure
from offramp_sim.commands.bench import common
from offramp_sim.commands.bench.common import Values, cell


def table(measurements: Sequence[Measurement]) -> Table:
    """Return what was measured at one width."""
    result = Table(box=box.SIMPLE_HEAD, padding=0, header_style="bold")
    result.add_column("stream", no_wrap=True)
    for column in ("frames", "beats", "cycles", "ratio ", "a frame", "delay ", "metadata "):
        result.add_column(column, justify="right", no_wrap=True)
    for item in measurements:
        least, most = item.delays
        ratio = math.floor(1000 * item.ratio) / 1000  # 1.000 is exactly that
        result.add_row(
            item.stream.name,
            f"{item.stream.count:,}",
            f"{item.beats:,}",
            f"{item.cycles:,}",
            cell(f"{ratio:.3f}", missed="ratio" in item.missed),
            f"{item.cycles_per_frame:.3f}",
            cell(f"{least}" if least == most else f"{least}..{most}", missed="delays" in item.missed),
            cell(f"{item.metadata_cycles}", missed="metadata_cycles" in item.missed),
        )
    return result


@click.command(short_help="Measure the receive path.")
@common.lanes
@click.option(
    "--stream",
    "streams",
    type=Values(click.Choice([stream.name for stream in STREAMS])),
    multiple=True,
    default=[",".join(stream.name for stream in STREAMS)],
    callback=lambda c, p, value: [item for item in STREAMS if item.name in common.joined(c, p, value)],
    help="What arrives. [default: all]",
)
@options.as_json
def command(lanes: list[int], streams: list[Stream], as_json: bool) -> None:
    """Simulate the receive path, without idle inputs or back-pressure, and count clock cycles at its ports.

    Frames arrive back to back, with everything switched on: both tunnels, all checksums, all hashes, and all
    filters. Streams are frames of 60 and of 64 bytes, of 1,500 and of 9,000; nvgre, the shortest Ethernet
    frame in NVGRE; extensions, 128 bytes full of IPv6 extension headers; mixed, all lengths, plain and in
    tunnels; and garbage, random bytes. Frames and metadata are compared with the reference model.

    \b
    beats     frame length over lanes, rounded up, summed over all frames
    cycles    from the first beat to the last, both included, in or out, whichever
              is more
    ratio     beats over cycles
    a frame   cycles over frames
    delay     cycles that a beat spends inside
    metadata  most cycles from a frame's last beat, as it is taken in, to its
              metadata

    A value that misses its target is red, with an exclamation mark, and the exit status is then 1. Targets:
    no idle cycle at all, the same delay for every beat, and metadata within 24 cycles.

    Options can be given more than once, or several values with commas. A width that has not been simulated
    before is built first, which takes a minute or two.

    \b
    Examples:
      offramp bench receive
      offramp bench receive --lanes 64 --stream 64,nvgre
      offramp bench receive --json > speed.json
    """
    console = Console()
    everything: list[Measurement] = []
    widths = common.run(lanes, options.Simulation.open_receiver, streams, measure)
    for width, done in zip(lanes, widths, strict=True):
        everything += done
        if not as_json:
            console.print(f"[bold]{width} lanes[/]", table(done), highlight=False, sep="\n")
    targets = f"ratio 1.000, one delay for all beats, metadata within {MOST_METADATA_CYCLES} cycles"
    common.finish(everything, targets, as_json=as_json)
