"""`offramp verilog`: the hardware as Verilog, for other people's tools."""

from pathlib import Path

import click

from offramp_sim import options
from offramp_sim.core import source
from offramp_sim.output import replacing

BLOCKS = ("send",)


@click.command(short_help="Write a block as Verilog.")
@click.argument("block", type=click.Choice(BLOCKS), expose_value=False)
@options.lanes
@click.option(
    "--max-mss",
    type=click.IntRange(1, 16_000),
    default=source.MAX_MSS,
    show_default=True,
    metavar="N",
    help="Most payload bytes of one segment; sets the size of the store.",
)
@click.option(
    "-o", "--output", metavar="FILE.sv", type=options.file_out, required=True, help="File to write."
)
def command(lanes: int, max_mss: int, output: Path) -> None:
    """Write BLOCK as Verilog: one self-contained file, the same from run to run, AXI names at the edge.

    BLOCK is `send`, the send path, module `offramp_send`.

    \b
    Examples:
      offramp verilog send --lanes 64 -o send.sv
      offramp verilog send --lanes 8 --max-mss 1460 -o small.sv
    """
    text = source.verilog(lanes, max_mss=max_mss)
    with replacing(output) as (file,):
        file.write(text.encode())
