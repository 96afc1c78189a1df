"""`offramp synth`: area and clock rate, with free tools."""

import json
from collections.abc import Sequence

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from offramp_sim import options
from offramp_sim.core.build import ToolError
from offramp_sim.synthesis.blocks import BLOCKS, Block
from offramp_sim.synthesis.measure import Measurement, measure, steps


def _widths(context: click.Context, option: click.Parameter, given: Sequence[str]) -> list[int]:
    """Return all widths of an option that was given several times, each once, in the order given."""
    choice = click.Choice(options.WIDTHS)
    parts = [part.strip() for parts in given for part in parts.split(",")]
    return list(dict.fromkeys(int(choice.convert(part, option, context)) for part in parts))


def _cell(item: Measurement, name: str, text: str) -> str:
    """Return a value for the table, marked where it misses its target."""
    return f"[bold red]{text}![/]" if name in item.missed else f"{text} "


def table(measurements: Sequence[Measurement]) -> Table:
    """Return what was measured."""
    xilinx = any(item.xilinx for item in measurements)
    # Narrow enough for 80 columns, which is what there are where the output is no terminal.
    result = Table(box=box.SIMPLE_HEAD, padding=0, header_style="bold")
    result.add_column("block", no_wrap=True)
    columns = ["lanes", "LUT4 ", "carry", "FF ", "EBR", "Fmax ", "min..max", "Gb/s"]
    for column in (*columns, *(("LUT", "FF", "BRAM") if xilinx else ())):
        result.add_column(column, justify="right", no_wrap=True)
    before = ""
    for item in measurements:
        rates = [run.fmax_mhz for run in item.runs]
        cells = [
            item.block.name if item.block.name != before else "",
            str(item.lanes),
            _cell(item, "lut4", f"{item.lut4:,}"),
            f"{item.carry:,}",
            _cell(item, "ff", f"{item.ff:,}"),
            str(item.median.ebr),
            _cell(item, "fmax_mhz", f"{item.fmax_mhz:.0f}"),
            f"{min(rates):.0f}..{max(rates):.0f}",
            f"{item.gbps:.1f}",
        ]
        if item.xilinx:
            cells += [f"{item.xilinx.lut:,}", f"{item.xilinx.ff:,}", f"{item.xilinx.bram:g}"]
        result.add_row(*cells)
        before = item.block.name
    return result


def paths(measurements: Sequence[Measurement]) -> Table:
    """Return which path limits each block."""
    result = Table(box=box.SIMPLE_HEAD, padding=0, header_style="bold")
    result.add_column("block")
    for column in ("lanes", "ns", "routing", "levels "):
        result.add_column(column, justify="right")
    for column in ("from ", "to"):
        result.add_column(column)
    for item in measurements:
        path = item.median.critical
        result.add_row(
            item.block.name,
            str(item.lanes),
            f"{path.delay_ns:.2f}",
            f"{path.routing_ns:.2f}",
            f"{path.levels} ",
            f"{path.start} ",
            path.end,
        )
    return result


@click.command(short_help="Measure area and clock rate on an FPGA.")
@click.argument("block", type=click.Choice([block.name for block in BLOCKS]), required=False)
@click.option(
    "--lanes",
    multiple=True,
    metavar="[8|16|32|64]",
    default=("8,64",),
    callback=_widths,
    show_default=True,
    help="Bytes per clock cycle; several with commas, or given more than once.",
)
@click.option("--xilinx", is_flag=True, help="Add the area in a Xilinx UltraScale+ device.")
@click.option("--paths", "show_paths", is_flag=True, help="Add the slowest path of each block.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Runs of place and route at a time; each takes one core.",
)
@options.as_json
def command(
    block: str | None, lanes: list[int], xilinx: bool, show_paths: bool, jobs: int, as_json: bool
) -> None:
    """Synthesize BLOCK with Yosys, place and route it with nextpnr; by default all blocks.

    The device is an LFE5UM5G-85F of speed 8, the block alone in it, with a register behind each of its
    ports. These registers are timed but not counted. Fmax is the median of three runs.

    \b
    LUT4      occupied, carry chains and distributed RAM included
    carry     what of this is in carry chains
    FF        flip-flops
    EBR       block RAMs of 18 kilobits
    Fmax      MHz, and the slowest and fastest of the runs
    Gb/s      lanes x 8 x Fmax

    A value that misses its target is red, with an exclamation mark. Results are kept: only what has changed
    is built again. A first run of a path takes ten minutes at 8 lanes, and up to an hour at 64.

    \b
    Blocks:
      send           send path with AXI4-Stream edges and counters
      receive        receive path, likewise
      gather, walk, slicer, template, plan
                     larger parts; the walk is that of both paths
      range-sum      one's-complement sum of byte ranges
      range-verdict  whether checksums of byte ranges are right
      inserter       stand-alone insertion of one checksum

    \b
    Examples:
      offramp synth range-sum --lanes 8,64 --paths
      offramp synth send --lanes 8 --xilinx --json
    """
    chosen: list[Block] = [item for item in BLOCKS if block in (None, item.name)]
    console, errors = Console(), Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    done: list[Measurement] = []
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for item in chosen:
            for width in lanes:
                what = f"{item.name}, {width} lanes"
                task = progress.add_task(what, total=steps(xilinx=xilinx))

                def step(name: str, *, what: str = what, task: TaskID = task) -> None:
                    progress.update(task, description=f"{what}: {name}", advance=1)

                try:
                    done.append(measure(item, width, xilinx=xilinx, jobs=jobs, step=step))
                except ToolError as error:
                    raise click.ClickException(f"{what}: {error}") from error
                progress.remove_task(task)
    if as_json:
        click.echo(json.dumps([item.fields() for item in done], indent=2))
        return
    console.print(table(done))
    if show_paths:
        console.print(paths(done))
