"""`offramp receive`: captured frames in, what is known of each out."""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from offramp_sim import capture, compare, options, session, settings
from offramp_sim.core import Arrival, Received
from offramp_sim.errors import BadInput
from offramp_sim.model import ReceiveConfig, Reception
from offramp_sim.output import replacing
from offramp_sim.report import ReceiveSummary


def described(number: int, reception: Reception) -> dict[str, object]:
    """Return all that is known of frame ``number``, as the report has it."""
    fields = dataclasses.asdict(reception)
    verdicts = fields.pop("verdicts")
    return {"frame": number, **fields, "l4": reception.l4, "verdicts": verdicts}


def arrivals_of(source: Path, config: ReceiveConfig) -> Iterator[Arrival]:
    """Return the frames of the capture ``source``, of which at once is seen whether it is one."""
    frames = capture.read(source)
    first = list(itertools.islice(frames, 1))

    def rest() -> Iterator[Arrival]:
        for number, frame in enumerate(itertools.chain(first, frames)):
            if not frame.data:
                raise BadInput(source, f"frame {number}", "has no bytes")
            yield Arrival(frame.data, config)

    return rest()


def receive(
    arrivals: Iterable[Arrival], simulation: options.Simulation, summary: ReceiveSummary, *, what: str
) -> Iterator[Received]:
    """Yield what comes out for each of ``arrivals``, and count it in ``summary``.

    ``what`` is where they come from. A frame that leaves otherwise than it arrived is an error.
    """
    with simulation.open_receiver() as core:
        for arrival, received in session.play(core, arrivals, total=None, what="frames"):
            if found := compare.changed(arrival, received):
                raise click.ClickException(f"{what}: frame {summary.frames} {found}")
            summary.took(received)
            yield received
        summary.cycles = core.cycles


@click.command(short_help="Check captured frames as a receiver does.")
@click.argument("source", metavar="IN.pcap", type=options.file_in)
@click.option(
    "--report",
    metavar="OUT.jsonl",
    type=options.file_out,
    help="What is known of each frame, one JSON object a line.",
)
@click.option(
    "--config",
    "configuration",
    metavar="CONFIG.json",
    type=options.file_in,
    help="Configuration of the receive path; by default it is active and looks into no tunnel.",
)
@options.simulation
@options.as_json
def command(
    source: Path,
    report: Path | None,
    configuration: Path | None,
    lanes: int,
    simulator: str,
    seed: int,
    stall: float,
    waves: Path | None,
    as_json: bool,
) -> None:
    """Send the frames of IN.pcap through the simulated receive path and say what it finds.

    IN.pcap (pcap or pcapng) has frames as they are on a wire, without frame check sequence. They come out as
    they went in; any difference is an error. A wrong checksum is none: it is what the path is there to find.

    OUT.jsonl has one JSON object a frame: checksum (the word for the host, with a bit for each checksum that
    is right or wrong), hash_value, hash_type, queue, outer and inner ("ipv4", "ipv6" or null), tunnel
    ("nvgre", "vxlan", "gre" or null), l4 ("tcp", "udp", the number of another protocol, or null), reason (why
    the TCP or UDP checksum was not checked, null if it was), and what else the metadata says.

    CONFIG.json is one JSON object: active, ipv4_checksum, tcp_ipv4_checksum, udp_ipv4_checksum,
    tcp_ipv6_checksum, udp_ipv6_checksum (true unless given), encapsulation (list of "nvgre", "vxlan"; empty
    unless given), vxlan_port, rss_key (hexadecimal), rss_types (list of "ipv4", "tcp_ipv4", "udp_ipv4",
    "ipv6", "tcp_ipv6", "udp_ipv6"; empty unless given), rss_table (list of 128 queues, or of a smaller power
    of two that is repeated), vmq_filters (list of objects with mac, vlan, queue, spread) and default_queue.

    Exit status 1 means that the simulated core is wrong, 2 that the input is.

    \b
    Examples:
      offramp receive capture.pcap --report frames.jsonl
      offramp receive capture.pcap --config receive.json --lanes 8 --stall 0.3 --seed 7
      offramp receive capture.pcap --report frames.jsonl --simulator model
    """
    config = ReceiveConfig(active=True) if configuration is None else settings.read(configuration)
    arrivals = arrivals_of(source, config)
    simulation = options.Simulation(lanes, simulator, seed, stall, waves)
    summary = ReceiveSummary()
    read = [source] if configuration is None else [source, configuration]
    with contextlib.ExitStack() as stack:
        outputs = [] if report is None else stack.enter_context(replacing(report, read=read))
        for number, received in enumerate(receive(arrivals, simulation, summary, what=str(source))):
            for file in outputs:
                file.write(json.dumps(described(number, received.reception)).encode() + b"\n")
    summary.show(as_json=as_json)
