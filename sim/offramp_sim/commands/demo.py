"""`offramp demo`: a kernel's super-packets through the send path, judged, and through the receive path."""

import dataclasses
import ipaddress
import itertools
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from offramp_sim import capture, options
from offramp_sim.commands.receive import receive
from offramp_sim.commands.segment import segment
from offramp_sim.core import Arrival
from offramp_sim.damage import damages
from offramp_sim.driver import Driver
from offramp_sim.judge import Verdict, Wrong, dissect, judge
from offramp_sim.model import ReceiveConfig
from offramp_sim.report import ReceiveSummary, Summary
from offramp_sim.tunnel import Encapsulation

TUNNEL_BYTES = 42
"""Ethernet, IPv4 and NVGRE headers in front of a wrapped frame."""


RECEIVER = ReceiveConfig(active=True, encapsulation=frozenset({"nvgre", "vxlan"}))


def _tunnel() -> Encapsulation:
    return Encapsulation(
        kind="nvgre",
        network=5001,
        source=ipaddress.ip_address("192.0.2.1"),
        destination=ipaddress.ip_address("192.0.2.2"),
        source_mac=bytes.fromhex("020000000001"),
        destination_mac=bytes.fromhex("020000000002"),
    )


@click.command(short_help="Send recorded super-packets, judge the frames, and receive them.")
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
@click.option(
    "--receive-lanes",
    type=click.Choice(options.WIDTHS),
    default="16",
    show_default=True,
    callback=lambda _c, _p, value: int(value),
    help="Bytes per clock cycle of the receive path.",
)
def command(
    source: Path,
    hints: Path | None,
    folder: Path,
    lanes: int,
    simulator: str,
    seed: int,
    stall: float,
    waves: Path | None,
    receive_lanes: int,
) -> None:
    """Send the packets of a capture through the send path, as they are and in NVGRE, and receive them.

    The wire frames are checked by code that shares nothing with model or hardware: payloads, lengths,
    checksums, numbering, and that nothing else has changed. Then they go through the receive path, which must
    find nothing wrong with them, and with them a copy of each that is damaged in one place, for which it says
    what it finds. The capture is one from a Linux kernel by default.

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
    receiver = dataclasses.replace(simulation, lanes=receive_lanes, waves=None)
    rows: list[tuple[str, Summary, Verdict, Path]] = []
    received: list[tuple[str, ReceiveSummary]] = []
    for title, tunnel, outside in (("plain", None, None), ("in NVGRE", _tunnel(), wrapped)):
        target = folder / f"{source.stem}-{'nvgre' if tunnel else 'plain'}.pcap"
        click.echo(f"{title}: {source} -> {target}", err=True)
        summary = segment(source, target, Driver(mss=None, encapsulation=tunnel), simulation, hints)
        try:
            verdict = judge(packets, (frame.data for frame in capture.read(target)), outside=outside)
        except Wrong as error:
            raise click.ClickException(f"{target}: {error}") from error
        rows.append((title, summary, verdict, target))
        as_sent, damaged = _receive(target, receiver)
        received += [(title, as_sent), ("damaged", damaged)]
    _show(rows, simulator, lanes)
    _show_received(received, simulator, receive_lanes)


def _receive(target: Path, simulation: options.Simulation) -> tuple[ReceiveSummary, ReceiveSummary]:
    """Receive the frames of ``target`` and a damaged copy of each; return what is said of both."""
    sent = [Arrival(frame.data, RECEIVER) for frame in capture.read(target)]
    spoilt = []
    for number, arrival in enumerate(sent):
        # Frame after frame something else is wrong, as far as the frame has such a place.
        if ways := list(damages(arrival.frame, RECEIVER)):
            spoilt.append(Arrival(ways[number % len(ways)].frame, RECEIVER))
    results = receive([*sent, *spoilt], simulation, ReceiveSummary(), what=str(target))
    as_sent, damaged = ReceiveSummary(), ReceiveSummary()
    for number, result in enumerate(itertools.islice(results, len(sent))):
        as_sent.took(result)
        if as_sent.bad:
            raise click.ClickException(f"{target}: frame {number} is found wrong: {result.reception}")
    for result in results:
        damaged.took(result)
    return as_sent, damaged


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


def _show_received(columns: list[tuple[str, ReceiveSummary]], simulator: str, lanes: int) -> None:
    """Print what the receive path has said, side by side."""
    table = Table(title=f"received: {simulator}, {lanes} bytes per cycle", header_style="bold")
    table.add_column("")
    for title, _ in columns:
        table.add_column(title, justify="right")
    summaries = [summary for _, summary in columns]
    table.add_row("frames", *(f"{summary.frames:,}" for summary in summaries))
    for name, layers in (("IPv4 headers", ("outer_ip", "inner_ip")), ("TCP and UDP", ("tcp", "udp"))):
        for verdict in ("good", "bad"):
            counts = (sum(getattr(summary, verdict)[layer] for layer in layers) for summary in summaries)
            table.add_row(f"{name} found {verdict}", *(f"{count:,}" for count in counts))
    for reason in sorted(set().union(*(summary.unchecked for summary in summaries))):
        counts = (summary.unchecked[reason] for summary in summaries)
        table.add_row(f"not checked: {reason}", *(f"{count:,}" for count in counts))
    Console().print(table)


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
