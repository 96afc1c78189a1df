# amaranth: UnusedElaboratable=no

import random
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from offramp.inserter import Inserter

from tests.hdl.streams import beats, drain, feed, packets, simulate


@dataclass(frozen=True)
class Job:
    packet: bytes
    start: int
    offset: int
    enable: bool = True

    @property
    def command(self) -> dict[str, int]:
        return {"start": self.start, "offset": self.offset, "enable": int(self.enable)}

    @property
    def finished(self) -> bytes:
        if not self.enable:
            return self.packet
        covered = self.packet[self.start :]
        covered += bytes(len(covered) % 2)
        total = sum(int.from_bytes(covered[n : n + 2], "big") for n in range(0, len(covered), 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        result = bytearray(self.packet)
        for place, octet in enumerate((total ^ 0xFFFF).to_bytes(2, "big"), self.offset):
            if place < len(result):
                result[place] = octet
        return bytes(result)


def run(
    dut: Inserter, jobs: list[Job], *, seed: int = 0, idle: float = 0.0, stall: float = 0.0
) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the beats that come out and their cycles."""
    offered = [beat for job in jobs for beat in beats(job.packet, dut.lanes)]
    out: list[dict[str, Any]] = []
    log: list[int] = []

    async def commands(ctx):
        await feed(ctx, dut.commands, [job.command for job in jobs], rng=random.Random(seed), idle=idle)

    async def give(ctx):
        await feed(ctx, dut.packets, offered, rng=random.Random(seed + 1), idle=idle)

    async def take(ctx):
        await drain(ctx, dut.finished, out, len(offered), rng=random.Random(seed + 2), stall=stall, log=log)

    simulate(dut, commands, give, take)
    return out, log


def check(dut: Inserter, jobs: list[Job], **options: Any) -> None:
    out, _ = run(dut, jobs, **options)
    assert packets(out, dut.lanes) == [job.finished for job in jobs]
    assert not any(beat["overlong"] for beat in out)


def random_job(rng: random.Random, longest: int, *, limit: int) -> Job:
    length = rng.choice((rng.randint(1, 8), rng.randint(1, longest)))
    packet = rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length))
    # Mostly inside, sometimes across or behind the packet's end.
    start, offset = (rng.randrange(min(length + 4, limit)) for _ in range(2))
    return Job(packet, start, offset, enable=rng.random() < 0.9)


@pytest.mark.parametrize("lanes", [2, 8, 32])
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.3, 0), (0.3, 0.3), (0, 0.7)])
def test_checksums_are_inserted(lanes, idle, stall):
    seed = f"{lanes} {idle} {stall}"
    rng = random.Random(seed)
    jobs = [random_job(rng, 12 * lanes, limit=16 * lanes) for _ in range(25 if lanes < 32 else 6)]
    check(Inserter(lanes, max_bytes=16 * lanes), jobs, seed=rng.getrandbits(32), idle=idle, stall=stall)


def test_every_parity_and_lane():
    packet = bytes(range(1, 41))
    jobs = [Job(packet, start, offset) for start in range(9) for offset in range(12, 22)]
    check(Inserter(8, max_bytes=128), jobs)


def test_every_end_within_a_beat():
    packet = bytes(range(0xC0, 0xE0))
    check(Inserter(8, max_bytes=128), [Job(packet[:length], 3, 6) for length in range(1, 30)])


def test_tcp_checksum_completes_the_seed():
    """The host's part of a TCP checksum is the pseudo-header's sum, written where the checksum goes."""
    seed = bytes.fromhex("c0a8") + bytes(2)  # any, at the place of the checksum
    segment = bytearray(bytes(16) + seed + b"payload")
    job = Job(bytes(34) + bytes(segment), 34, 34 + 16)
    check(Inserter(8, max_bytes=256), [job])


@pytest.mark.parametrize(("octets", "checksum"), [(b"\xff\xff", b"\x00\x00"), (b"\x00\x00", b"\xff\xff")])
def test_sums_of_zero(octets, checksum):
    out, _ = run(Inserter(8, max_bytes=128), [Job(octets * 12, 0, 4)])
    assert packets(out, 8)[0][4:6] == checksum


@pytest.mark.parametrize("lanes", [8, 32])
def test_first_beat_comes_after_the_declared_latency(lanes):
    for number in (1, 2, 5):
        dut = Inserter(lanes, max_bytes=16 * lanes)
        _, log = run(dut, [Job(bytes(number * lanes), 0, 0)])
        # The command is accepted in cycle 0, the last beat in cycle `number`.
        assert log[0] == number + dut.latency


@pytest.mark.parametrize("lanes", [8, 32])
@pytest.mark.parametrize("length", [1, 60, 65, 250])
def test_packets_follow_each_other_without_a_gap(lanes, length):
    dut = Inserter(lanes, max_bytes=1024)
    _, log = run(dut, [Job(bytes(length), 0, 0)] * 8)
    assert all(after == before + 1 for before, after in pairwise(log))


def test_longest_packets_follow_each_other_without_a_gap():
    dut = Inserter(8, max_bytes=256)
    _, log = run(dut, [Job(bytes(256), 0, 0)] * 4)
    assert all(after == before + 1 for before, after in pairwise(log))


@pytest.mark.parametrize("beats_more", [1, 2, 40, 100])
@pytest.mark.parametrize("stall", [0, 0.5])
def test_overlong_packets_pass_as_they_are(beats_more, stall):
    rng = random.Random(beats_more)
    dut = Inserter(8, max_bytes=128)
    short = [Job(rng.randbytes(length), 2, 8) for length in (128, 64, 127, 9)]
    long = Job(rng.randbytes(128 + 8 * beats_more - 3), 2, 8)
    jobs = [short[0], long, short[1], long, long, short[2], short[3]]
    out, _ = run(dut, jobs, stall=stall)
    assert packets(out, 8) == [(replace(job, enable=job is not long)).finished for job in jobs]
    flags = iter(beat["overlong"] for beat in out)
    for job in jobs:
        assert {next(flags) for _ in beats(job.packet, 8)} == {int(job is long)}


def test_a_packet_waits_for_its_command():
    dut = Inserter(8, max_bytes=128)
    jobs = [Job(bytes(range(30)), 4, 10), Job(bytes(range(9)), 1, 3)]
    out: list[dict[str, Any]] = []

    async def commands(ctx):
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.packets.ready)
        await feed(ctx, dut.commands, [job.command for job in jobs], rng=random.Random(0), idle=0.9)

    async def give(ctx):
        offered = [beat for job in jobs for beat in beats(job.packet, 8)]
        await feed(ctx, dut.packets, offered, rng=random.Random(0))

    async def take(ctx):
        await drain(ctx, dut.finished, out, 6, rng=random.Random(0))

    simulate(dut, commands, give, take)
    assert packets(out, 8) == [job.finished for job in jobs]


@pytest.mark.parametrize("lanes", [0, 1, 3, 12])
def test_lanes_are_a_power_of_two(lanes):
    with pytest.raises(ValueError, match=f"not {lanes}"):
        Inserter(lanes)


@pytest.mark.parametrize("max_bytes", [0, 120, 1001])
def test_longest_packet_is_some_whole_beats(max_bytes):
    with pytest.raises(ValueError, match=f"not {max_bytes}"):
        Inserter(8, max_bytes=max_bytes)
