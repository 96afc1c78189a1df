"""`offramp segment`: captured super-packets in, wire frames out."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from offramp_sim import capture, metadata, options, session
from offramp_sim.core import Job
from offramp_sim.driver import Driver
from offramp_sim.errors import BadInput
from offramp_sim.output import replacing
from offramp_sim.report import Summary
from offramp_sim.tunnel import VXLAN_PORT, Address, Encapsulation, mac_address


class _Text(click.ParamType[Any]):
    """A parameter that a function makes of its text."""

    def __init__(self, name: str, parse: Any) -> None:
        self.name = name
        self.parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what the text means."""
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


ADDRESS = _Text("address", ipaddress.ip_address)
MAC = _Text("mac", mac_address)


def jobs_of(path: Path, driver: Driver, hints: Path | None, times: list[int]) -> Iterator[Job]:
    """Yield a job for every frame of the capture ``path`` and append its time to ``times``.

    Parameters
    ----------
    path : Path
    driver : Driver
    hints : Path, optional
        What the kernel said about the frames.
    times : list of int
        Nanoseconds since 1970.
    """
    known = metadata.read(hints) if hints is not None else {}
    number = -1
    for number, frame in enumerate(capture.read(path)):
        line, hint = known.get(number, (0, None))
        if hint is None and driver.mss is None:
            raise BadInput(path, f"frame {number}", f"not described in {hints}, and there is no --mss")
        try:
            request = driver.request(frame.data, hint, tag=number & 0xFFFF)
        except ValueError as error:
            raise BadInput(
                hints or path, f"line {line}" if line else f"frame {number}", str(error)
            ) from error
        times.append(frame.time)
        yield Job(request, driver.config)
    if hints is not None and (beyond := [frame for frame in known if frame > number]):
        line, _ = known[min(beyond)]
        raise BadInput(hints, f"line {line}", f"{path} has no frame {min(beyond)}, only {number + 1} frames")


def segment(
    source: Path, target: Path, driver: Driver, simulation: options.Simulation, hints: Path | None = None
) -> Summary:
    """Send the frames of the capture ``source`` through a core, write ``target`` and return the summary."""
    summary = Summary()
    times: list[int] = []
    sources = [source] if hints is None else [source, hints]
    with simulation.open() as core, replacing(target, read=sources) as (file,):
        writer = capture.Writer(file)
        played = session.play(core, jobs_of(source, driver, hints, times), total=None, what="frames")
        for number, (job, outcome) in enumerate(played):
            for frame in outcome.frames:
                writer.write(frame.data, times[number])
                summary.sent(frame)
            summary.taken(job, outcome)
            if (status := outcome.completion.status) != "ok":
                click.echo(f"{source}: frame {number}: refused: {status}", err=True)
        summary.cycles = core.cycles
    return summary


@click.command(short_help="Turn captured super-packets into wire frames.")
@click.argument("source", metavar="IN.pcap", type=options.file_in)
@click.argument("target", metavar="OUT.pcap", type=options.file_out)
@click.option(
    "--mss", type=click.IntRange(1, (1 << 20) - 1), metavar="N", help="Payload bytes in each segment."
)
@click.option("--meta", "hints", type=options.file_in, metavar="META.jsonl", help="What to do to each frame.")
@click.option(
    "--encapsulate", "kind", type=click.Choice(["nvgre", "vxlan"]), help="Put frames into a tunnel first."
)
@click.option(
    "--vsid",
    "--vni",
    "network",
    type=click.IntRange(0, 0xFFFFFF),
    default=5001,
    show_default=True,
    help="Virtual network of the tunnel.",
)
@click.option(
    "--outer-source",
    type=ADDRESS,
    default="192.0.2.1",
    show_default=True,
    help="Of the outer IP header, IPv4 or IPv6.",
)
@click.option(
    "--outer-destination",
    type=ADDRESS,
    default="192.0.2.2",
    show_default=True,
    help="Of the outer IP header, IPv4 or IPv6.",
)
@click.option(
    "--outer-source-mac",
    type=MAC,
    default="02:00:00:00:00:01",
    show_default=True,
    help="Of the outer Ethernet header.",
)
@click.option(
    "--outer-destination-mac",
    type=MAC,
    default="02:00:00:00:00:02",
    show_default=True,
    help="Of the outer Ethernet header.",
)
@click.option(
    "--vxlan-port",
    type=click.IntRange(1, 0xFFFF),
    default=VXLAN_PORT,
    show_default=True,
    help="UDP port that means VXLAN.",
)
@options.simulation
@options.as_json
def command(
    source: Path,
    target: Path,
    mss: int | None,
    hints: Path | None,
    kind: str | None,
    network: int,
    outer_source: Address,
    outer_destination: Address,
    outer_source_mac: bytes,
    outer_destination_mac: bytes,
    vxlan_port: int,
    lanes: int,
    simulator: str,
    seed: int,
    stall: float,
    waves: Path | None,
    as_json: bool,
) -> None:
    """Send the frames of IN.pcap through the simulated core and write what comes out to OUT.pcap.

    IN.pcap (pcap or pcapng) is a capture from a sending host: packets as the network device got them, up to
    64 KiB long, with checksums that are partial or final. Plain TCP and UDP and packets already in NVGRE or
    VXLAN are understood, over IPv4 and IPv6, with VLAN tags, options and extension headers. Payloads longer
    than --mss are segmented, wrong or partial checksums are inserted, and all other frames pass unchanged.

    META.jsonl describes frames one a line as their virtio_net_hdr did: frame (from 0), flags (bit 0: needs
    its checksum), gso (NONE, TCPV4, TCPV6 or UDP_L4), gso_size, csum_start and csum_offset. It is obeyed
    instead of --mss, which then only serves frames that it leaves out.

    --encapsulate wraps every frame that is in no tunnel yet, as a virtual switch would. The MSS is taken as
    it is: reducing it by what the tunnel adds is the host's business.

    Exit status 1 means that frames were refused; standard error says which and why. 2 means wrong input.

    \b
    Examples:
      offramp segment capture.pcap wire.pcap --mss 1460
      offramp segment capture.pcap wire.pcap --meta capture.jsonl --lanes 8
      offramp segment capture.pcap wire.pcap --mss 1400 --encapsulate vxlan --vni 77 \\
          --outer-source 2001:db8::1 --outer-destination 2001:db8::2
    """
    if mss is None and hints is None:
        raise click.UsageError("--mss or --meta is needed")
    encapsulation = None
    if kind is not None:
        try:
            encapsulation = Encapsulation(
                kind=kind,
                network=network,
                source=outer_source,
                destination=outer_destination,
                source_mac=outer_source_mac,
                destination_mac=outer_destination_mac,
                port=vxlan_port,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    driver = Driver(mss=mss, vxlan_port=vxlan_port, encapsulation=encapsulation)
    summary = segment(source, target, driver, options.Simulation(lanes, simulator, seed, stall, waves), hints)
    summary.show(as_json=as_json)
    if summary.refused:
        raise click.exceptions.Exit(1)
