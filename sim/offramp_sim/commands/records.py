"""`offramp records`: ports and records, for people and for compilers."""

from pathlib import Path

import click

from offramp_sim import options
from offramp_sim.output import replacing


@click.command(short_help="Print the layout of ports and records.")
@click.option("--c/--markdown", "as_c", help="As a C header, or as documentation; the latter by default.")
@click.option(
    "-o", "--output", metavar="FILE", type=options.file_out, help="Write to FILE instead of standard output."
)
def command(as_c: bool, output: Path | None) -> None:
    """Print the layout of the records at the edges of the hardware, made of the hardware's own sources.

    \b
    Examples:
      offramp records --c -o offramp_records.h
      offramp records --markdown -o docs/records.md
    """
    if as_c:
        from offramp_sim.document.header import header as text
    else:
        from offramp_sim.document.markdown import markdown as text
    if output is None:
        click.echo(text(), nl=False)
        return
    with replacing(output) as (file,):
        file.write(text().encode())
