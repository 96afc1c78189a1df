"""`offramp demo`: a kernel's super-packets through the send path, plain and in a tunnel, and judged."""

import ipaddress
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from offramp_sim import capture, options
from offramp_sim.commands.segment import segment
from offramp_sim.driver import Driver
from offramp_sim.judge import Verdict, Wrong, dissect, judge
from offramp_sim.report import Summary
from offramp_sim.tunnel import Encapsulation

TUNNEL_BYTES = 42
"""Ethernet, IPv4 and NVGRE headers in front of a wrapped frame."""


def _tunnel() -> Encapsulation:
    return Encapsulation(
        kind="nvgre",
        network=5001,
        source=ipaddress.ip_address("192.0.2.1"),
        destination=ipaddress.ip_address("192.0.2.2"),
        source_mac=bytes.fromhex("020000000001"),
        destination_mac=bytes.fromhex("020000000002"),
    )


@click.command(short_help="Send recorded super-packets, plain and in NVGRE, and judge the result.")
@click.argument(
    "source", metavar="[IN.pcap]", type=options.file_in, default=Path("examples/linux-offload.pcap")
)
@click.option(
    "--meta",
    "hints",
    type=options.file_in,
    metavar="META.jsonl",
    help="What to do to each frame; by default IN.jsonl beside IN.pcap.",
)
@click.option(
    "--output",
    "folder",
    type=options.file_out,
    default=Path("build/demo"),
    show_default=True,
    metavar="DIR",
    help="Where the wire frames go.",
)
@options.simulation
def command(
    source: Path,
    hints: Path | None,
    folder: Path,
    lanes: int,
    simulator: str,
    seed: int,
    stall: float,
    waves: Path | None,
) -> None:
    """Send the packets of a capture through the send path, as they are and wrapped in NVGRE.

    The wire frames are checked by code that shares nothing with model or hardware: payloads, lengths,
    checksums, numbering, and that nothing else has changed. The capture is one from a Linux kernel by
    default.

    \b
    Examples:
      offramp demo
      offramp demo --lanes 8 --simulator icarus
    """
    hints = hints or source.with_suffix(".jsonl")
    folder.mkdir(parents=True, exist_ok=True)
    simulation = options.Simulation(lanes, simulator, seed, stall, waves)
    packets = [frame.data for frame in capture.read(source)]
    wrapped = [0 if len(dissect(packet).ips) > 1 else TUNNEL_BYTES for packet in packets]
    rows: list[tuple[str, Summary, Verdict, Path]] = []
    for title, tunnel, outside in (("plain", None, None), ("in NVGRE", _tunnel(), wrapped)):
        target = folder / f"{source.stem}-{'nvgre' if tunnel else 'plain'}.pcap"
        click.echo(f"{title}: {source} -> {target}", err=True)
        summary = segment(source, target, Driver(mss=None, encapsulation=tunnel), simulation, hints)
        try:
            verdict = judge(packets, (frame.data for frame in capture.read(target)), outside=outside)
        except Wrong as error:
            raise click.ClickException(f"{target}: {error}") from error
        rows.append((title, summary, verdict, target))
    _show(rows, simulator, lanes)


def _show(rows: list[tuple[str, Summary, Verdict, Path]], simulator: str, lanes: int) -> None:
    """Print what was sent and what was found right, side by side."""
    table = Table(title=f"{simulator}, {lanes} bytes per cycle", header_style="bold")
    table.add_column("")
    for title, *_ in rows:
        table.add_column(title, justify="right")
    for name in _facts(*rows[0][1:3]):
        table.add_row(name, *(_facts(summary, verdict)[name] for _, summary, verdict, _ in rows))
    Console().print(table)
    for _, _, _, target in rows:
        click.echo(f"wire frames: {target}")


def _facts(summary: Summary, verdict: Verdict) -> dict[str, str]:
    """Return the rows of the table, one column of it."""
    cycles = summary.cycles
    return {
        "packets in": f"{summary.requests:,}",
        "bytes in": f"{summary.bytes_in:,}",
        "segmented": f"{summary.segmented:,}",
        "frames out": f"{summary.frames_out:,}",
        "bytes out": f"{summary.bytes_out:,}",
        "output beats": f"{summary.beats_out:,}",
        "cycles": f"{cycles:,}" if cycles else "-",
        "beats per cycle": f"{summary.beats_out / cycles:.3f}" if cycles else "-",
        "payload bytes found right": f"{verdict.payload_bytes:,}",
        "checksums found right": f"{verdict.checksums:,}",
    }
