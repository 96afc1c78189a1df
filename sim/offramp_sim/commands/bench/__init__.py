"""`offramp bench`: throughput and latency in clock cycles."""

import click

from offramp_sim.commands.bench import receive, send


@click.group(name="bench", short_help="Measure throughput and latency in clock cycles.")
def command() -> None:
    """Simulate a path, without idle inputs or back-pressure, and count clock cycles at its ports.

    \b
    Examples:
      offramp bench send --lanes 8,64
      offramp bench receive --json > speed.json
    """


command.add_command(send.command, "send")
command.add_command(receive.command, "receive")
