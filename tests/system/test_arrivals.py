"""Random frames in volume: valid, mutated and random bytes; the model judges all, scapy some by itself."""

import dataclasses
import itertools
import random
import subprocess

import pytest
from offramp_sim import capture
from offramp_sim.commands.soak import random_arrivals
from offramp_sim.core import Arrival, open_core, open_receiver
from offramp_sim.model import receive
from offramp_sim.stimulus.arrivals import random_frame

from tests.installed import needs_icarus, needs_tshark
from tests.model.receptions import ON
from tests.model.shapes import Shape

from .cases import KINDS, cut, numbered, summed
from .verdict import check_received

VERIFY = ("ip.check_checksum", "tcp.check_checksum", "udp.check_checksum")


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
def test_random_frames_are_judged_as_by_the_model(receiver, lanes, seed, stall):
    """The configuration changes every now and then."""
    arrivals = list(random_arrivals(random.Random(f"{seed} {lanes} {stall} arrivals"), 600))
    bench = receiver(stall)
    check_received(arrivals, bench.play(arrivals), counted=bench.counters())


def test_short_frames_leave_nothing_behind(receiver, lanes, seed):
    """T-36: runts, single bytes and cut headers between whole frames, as fast as they can come."""
    rng = random.Random(f"{seed} {lanes} runts")
    arrivals = []
    for drawn in random_arrivals(rng, 500):
        size = rng.choice([1, lanes, lanes + 1, rng.randint(1, 120), len(drawn.frame)])
        arrivals.append(Arrival(drawn.frame[: min(size, 300)], ON, drawn.marked_bad))
    bench = receiver(0.0)
    check_received(arrivals, bench.play(arrivals), counted=bench.counters())


def test_nothing_is_known_of_a_header_from_the_frame_before(receiver, seed):
    """Frames behind runts that have small numbers in every field of theirs that could be looked at early."""
    rng = random.Random(f"{seed} remains")
    arrivals = []
    for tags, outer, odd in itertools.product(((), (0x8100,), (0x88A8, 0x8100)), (4, 6), (0, 1)):
        whole = Shape(outer=outer, tags=tags).build(rng.randbytes(20 + odd))
        for value, size in itertools.product((0, 1, 2, 3, 7, 40), (26, 48, 64)):
            runt = rng.randbytes(12) + value.to_bytes(2, "big") * (size // 2 - 6)
            arrivals += [Arrival(runt, ON), Arrival(whole, ON)]
    bench = receiver(0.0)
    check_received(arrivals, bench.play(arrivals), counted=bench.counters())


@needs_icarus
def test_random_frames_under_icarus(seed):
    """It knows X: nothing that was never set may show."""
    rng = random.Random(f"{seed} icarus")
    arrivals = [
        Arrival(drawn.frame[:90], ON, drawn.marked_bad)
        for drawn in random_arrivals(rng, 60)
        if len(drawn.frame) < 200
    ]
    with open_receiver("icarus", lanes=8, seed=seed, stall=0.1) as bench:
        check_received(arrivals, bench.play(arrivals), counted=bench.counters())


def test_frames_that_were_sent_are_received(receiver, lanes, seed):
    """A send path's frames, of all kinds, come into a receive path that finds everything right."""
    extras = {4: ("options",), 6: ("hop", "destination")}
    with_extras = [
        dataclasses.replace(
            shape,
            tags=(0x88A8, 0x8100),
            inner_tag=bool(shape.tunnel),
            outer_extras=extras[shape.outer],
            inner_extras=extras[shape.inner],
            tcp_options=shape.transport == "tcp",
        )
        for shape in KINDS
    ]
    rng = random.Random(f"{seed} {lanes} loop")
    cases = [cut(shape, rng.randbytes(900), rng.randint(100, 500)) for shape in (*KINDS, *with_extras)]
    cases += [summed(shape, rng.randbytes(rng.randint(0, 99))) for shape in (*KINDS, *with_extras)]
    with open_core("verilator", lanes=lanes, seed=seed) as sender:
        outcomes = sender.play(numbered(cases))
    frames = [frame.data for outcome in outcomes for frame in outcome.frames]
    assert len(frames) > len(cases)
    arrivals = [Arrival(frame, ON) for frame in frames]
    bench = receiver(0.1)
    received = bench.play(arrivals)
    check_received(arrivals, received, counted=bench.counters())
    for each in received:
        word, verdicts = each.reception.checksum, each.reception.verdicts
        assert each.reception.reason is None, each
        assert (verdicts.transport, word & 0x07) == ("good", 0), each
        assert bool(word & 0x20) == ("ipv4" in (each.reception.outer, each.reception.inner)), each


@needs_tshark
@pytest.mark.parametrize("lanes", [64], indirect=True)
def test_tshark_finds_the_same_checksums_right_and_wrong(receiver, seed, tmp_path):
    """An outside judge, of untagged frames without a tunnel: no doubt what its fields are about."""
    rng = random.Random(f"{seed} tshark")
    frames = []
    while len(frames) < 150:
        octets = bytearray(random_frame(rng, 300).octets)
        if rng.random() < 0.5:
            octets[rng.randrange(14, len(octets))] ^= 1 << rng.randrange(8)
        said = receive(bytes(octets), ON)
        if said.reason is None and said.tunnel is None and not said.vlan_tags:
            frames.append(bytes(octets))
    path = tmp_path / "arrivals.pcap"
    with path.open("wb") as file:
        writer = capture.Writer(file)
        for number, frame in enumerate(frames):
            writer.write(frame, 1000 * number)
    options = [option for name in VERIFY for option in ("-o", f"{name}:TRUE")]
    fields = [option for name in ("tcp", "udp") for option in ("-e", f"{name}.checksum.status")]
    command = ["tshark", "-r", str(path), *options, "-T", "fields", *fields]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    received = receiver(0.1).play([Arrival(frame, ON) for frame in frames])
    for each, line in zip(received, told, strict=True):
        assert {"good": "1", "bad": "0"}[each.reception.verdicts.transport] in line.split(), each
