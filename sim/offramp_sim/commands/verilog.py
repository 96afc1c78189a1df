"""`offramp verilog`: the hardware as Verilog, for other people's tools."""

from pathlib import Path

import click

from offramp_sim import options
from offramp_sim.core import source
from offramp_sim.output import replacing


@click.command(short_help="Write a block as Verilog.")
@click.argument("block", type=click.Choice([*source.BLOCKS]))
@options.lanes
@click.option(
    "--max-mss",
    type=click.IntRange(1, 16_000),
    metavar="N",
    help=f"Most payload bytes of one segment; sets the size of the store. [default: {source.MAX_MSS}]",
)
@click.option(
    "--max-header-bytes",
    type=click.IntRange(64, source.MAX_HEADER_BYTES),
    default=source.MAX_HEADER_BYTES,
    show_default=True,
    metavar="N",
    help="Longest header block that is looked at, a multiple of the lanes.",
)
@click.option(
    "-o", "--output", metavar="FILE.sv", type=options.file_out, required=True, help="File to write."
)
def command(block: str, lanes: int, max_mss: int | None, max_header_bytes: int, output: Path) -> None:
    """Write BLOCK as Verilog: one self-contained file, the same from run to run, AXI names at the edge.

    \b
    BLOCK is one of
      send     the send path, module offramp_send
      receive  the receive path, module offramp_receive
      nic      both, with one configuration and all counters, module offramp_nic

    \b
    Examples:
      offramp verilog send --lanes 64 -o send.sv
      offramp verilog send --lanes 8 --max-mss 1460 -o small.sv
      offramp verilog nic --lanes 8 -o nic.sv
    """
    if max_mss is not None and "max_mss" not in source.BLOCKS[block].parameters:
        raise click.UsageError(f"{block} has no store: --max-mss is not for it")
    if max_header_bytes % lanes:
        raise click.UsageError(f"--max-header-bytes must be a multiple of {lanes}")
    text = source.verilog(lanes, block, max_mss=max_mss or source.MAX_MSS, max_header_bytes=max_header_bytes)
    with replacing(output) as (file,):
        file.write(text.encode())
