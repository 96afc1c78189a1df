"""`offramp`: the command line of the project."""

import importlib
import importlib.metadata
import logging
import pkgutil
import sys
from collections.abc import Sequence
from typing import NoReturn

try:
    import click
except ModuleNotFoundError:
    sys.exit("offramp: the command line needs more packages: pip install 'offramp[sim]'")

from offramp_sim import commands


class Commands(click.Group):
    """Every module of :mod:`offramp_sim.commands` is a command of its name, the function ``command`` in it.

    A module is imported only when its command, or the list of all, is asked for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        found = importlib.import_module(f"{commands.__name__}.{cmd_name}").command
        return found if isinstance(found, click.Command) else None


@click.group(name="offramp", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(importlib.metadata.version("offramp"), message="%(prog)s %(version)s")
def offramp() -> None:
    """Play with the offramp datapath: send and receive packets with it, measure it, export it.

    \b
    Examples:
      offramp segment capture.pcap wire.pcap --mss 1460
      offramp send jobs.jsonl --pcap wire.pcap --completions done.jsonl
      offramp receive wire.pcap --report frames.jsonl
      offramp verilog send --lanes 64 -o send.sv
    """


class _Echo(logging.Handler):
    """Says on standard error what takes long, to whoever reads that at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        click.echo(record.getMessage(), err=True)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; whatever goes wrong is said in one line."""
    log = logging.getLogger("offramp")
    log.setLevel(logging.INFO)
    log.handlers = [_Echo()]
    try:
        status = offramp.main(arguments, prog_name="offramp", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context is not None else "offramp"
        click.echo(f"{name}: {error.format_message()}", err=True)
        status = error.exit_code
    except click.Abort:
        click.echo("offramp: interrupted", err=True)
        status = 130
    sys.exit(status if isinstance(status, int) else 0)
