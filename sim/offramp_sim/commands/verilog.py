"""`offramp verilog`: the hardware as Verilog, for other people's tools."""

from pathlib import Path

import click

from offramp_sim import options
from offramp_sim.output import replacing

BLOCKS = ("send",)


@click.command(short_help="Write a block as Verilog.")
@click.argument("block", type=click.Choice(BLOCKS))
@options.lanes
@click.option(
    "-o", "--output", metavar="FILE.sv", type=options.file_out, required=True, help="File to write."
)
def command(block: str, lanes: int, output: Path) -> None:
    """Write BLOCK as Verilog: one self-contained file, the same from run to run, AXI names at the edge.

    BLOCK is `send`, the send path, module `offramp_send`.

    \b
    Example:
      offramp verilog send --lanes 64 -o send.sv
    """
    from offramp_sim.core import source

    text = {"send": source.generate}[block](lanes)
    with replacing(output) as (file,):
        file.write(text.encode())
