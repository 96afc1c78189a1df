"""`offramp send`: exact requests in, frames and completions out."""

import json
from pathlib import Path

import click

from offramp_sim import jobs, options, session
from offramp_sim.capture import Writer
from offramp_sim.output import replacing
from offramp_sim.report import Summary


@click.command(short_help="Send exact requests through the simulated core.")
@click.argument("requests", metavar="JOBS.jsonl", type=options.file_in)
@click.option(
    "--pcap", "frames", metavar="OUT.pcap", type=options.file_out, required=True, help="Frames, in order."
)
@click.option(
    "--completions",
    metavar="DONE.jsonl",
    type=options.file_out,
    required=True,
    help="One completion a line, in the order of the requests.",
)
@options.simulation
@options.as_json
def command(
    requests: Path,
    frames: Path,
    completions: Path,
    lanes: int,
    simulator: str,
    seed: int,
    stall: float,
    waves: Path | None,
    as_json: bool,
) -> None:
    """Send the requests in JOBS.jsonl through the simulated core.

    One request a line:

    \b
      {"frame": "<hex>", "buffers": [42, 14, 300], "supplemental": 0,
       "checksum": 0, "lso": 0, "uso": 0, "vlan": 0, "config": {...}}

    Only the frame is needed. The words are the out-of-band words of NDIS as unsigned 32-bit integers; the
    buffers are the lengths of scatter-gather elements, one for the whole frame by default. A configuration
    takes effect when everything before it has completed, and stays: encapsulation (list of "nvgre", "vxlan";
    empty at first), vxlan_port, lso_ipv4, lso_ipv6, uso_ipv4, uso_ipv6, tx_ipv4_checksum,
    tx_tcp_ipv4_checksum, tx_udp_ipv4_checksum, tx_tcp_ipv6_checksum, tx_udp_ipv6_checksum (true at first),
    max_offload_bytes, id_wrap ("15" at first, or "16").

    A refused request is no error: its completion says why. Exit status 2 means that JOBS.jsonl is wrong.

    \b
    Examples:
      offramp send jobs.jsonl --pcap wire.pcap --completions done.jsonl
      offramp send jobs.jsonl --pcap a.pcap --completions a.jsonl --lanes 8 --stall 0.3 --seed 7
      offramp send jobs.jsonl --pcap b.pcap --completions b.jsonl --simulator model
    """
    work = jobs.read(requests)
    summary = Summary()
    with (
        options.Simulation(lanes, simulator, seed, stall, waves).open() as core,
        replacing(frames, completions, read=[requests]) as (pcap, done),
    ):
        writer = Writer(pcap)
        for job, outcome in session.play(core, work, total=len(work), what="requests"):
            for frame in outcome.frames:
                writer.write(
                    frame.data, 1000 * summary.frames_out
                )  # a microsecond apart, to keep tools' order
                summary.sent(frame)
            completion = outcome.completion
            line = {
                "status": completion.status,
                "segments": completion.segments,
                "payload_bytes": completion.payload_bytes,
                "lso_completion": completion.lso_completion,
            }
            done.write(json.dumps(line).encode() + b"\n")
            summary.taken(job, outcome)
        summary.cycles = core.cycles
    summary.show(as_json=as_json)
