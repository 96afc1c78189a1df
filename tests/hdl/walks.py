"""What tests of the walk share: packets as they go in, all that comes out, chains of extension headers."""

import random
from dataclasses import dataclass, field

from offramp.walk.chain import ADDRESS_CYCLES
from offramp_sim.model.headers import Headers, Protocol, find

from tests.hdl.streams import plain, simulate
from tests.model.shapes import Shape

WIDTHS = [8, 16, 32, 64]
WINDOW = 256
TRANSPORTS = frozenset({Protocol.TCP, Protocol.UDP})
ETHERNET = bytes(range(12))
PAUSE = 25
"""Cycles after which nothing of earlier packets is on its way."""


@dataclass
class Packet:
    """A packet to walk through, and what the request says about it."""

    octets: bytes
    tunnels: bool = False
    vxlan_port: int = 4789
    first_buffer: int | None = None
    mismatch: bool = False

    @property
    def look(self):
        return {"nvgre": self.tunnels, "vxlan": self.tunnels, "strict": 1, "vxlan_port": self.vxlan_port}

    def beats(self, lanes):
        for start in range(0, len(self.octets), lanes):
            part = self.octets[start : start + lanes]
            last = start + lanes >= len(self.octets)
            ended = self.first_buffer is not None and self.first_buffer <= start + len(part)
            yield {
                "data": list(part.ljust(lanes, b"\xaa")),
                "count": len(part) % lanes,
                "last": last,
                "mismatch": last and self.mismatch,
                "buffer": {"ended": ended, "bytes": self.first_buffer if ended else 0x55},
                "look": self.look,
            }

    def headers(self) -> Headers:
        return find(
            self.octets, encapsulated=self.tunnels, vxlan_port=self.vxlan_port, transports=TRANSPORTS
        )


@dataclass
class Walked:
    """What came of packets: layouts and when they came, sums of headers; when their beats were accepted.

    Where addresses are collected, also what was known with the last beat of each packet: ``ends``, and the
    inner ``addresses``.
    """

    layouts: list = field(default_factory=list)
    cycles: list = field(default_factory=list)
    sums: list = field(default_factory=list)
    accepted: list = field(default_factory=list)
    ends: list = field(default_factory=list)
    addresses: list = field(default_factory=list)


def garbage(rng, lanes):
    """What may be on the wires while there is no beat."""
    return {
        "data": list(rng.randbytes(lanes)),
        "count": rng.randrange(lanes),
        "last": rng.getrandbits(1),
        "mismatch": rng.getrandbits(1),
        "buffer": {"ended": rng.getrandbits(1), "bytes": rng.getrandbits(8)},
        "carried": rng.getrandbits(8),
        "look": {
            "nvgre": rng.getrandbits(1),
            "vxlan": rng.getrandbits(1),
            "strict": rng.getrandbits(1),
            "vxlan_port": rng.choice([4789, rng.getrandbits(16)]),
        },
    }


def walk(dut, sent, *, seed=0, idle=0.0, hold=0.0, pauses=()):
    """Send packets, with a pause in front of those numbered in ``pauses``; return all that came of them."""
    lanes = dut.lanes
    walked = Walked()
    rng = random.Random(seed)

    async def send(ctx):
        cycle = 0

        async def wait():
            nonlocal cycle
            ctx.set(dut.beats.payload, garbage(rng, lanes))
            await ctx.tick()
            cycle += 1

        for number, packet in enumerate(sent):
            for _ in range(PAUSE if number in pauses else 0):
                await wait()
            walked.accepted.append([])
            for beat in packet.beats(lanes):
                while rng.random() < idle:
                    await wait()
                ctx.set(dut.beats.payload, beat)
                ctx.set(dut.beats.valid, 1)
                ready = 0
                while not ready:
                    _, _, ready = await ctx.tick().sample(dut.beats.ready)
                    cycle += 1
                walked.accepted[-1].append(cycle)
                ctx.set(dut.beats.valid, 0)

    async def receive(ctx):
        cycle = still = 0
        while still < 30:
            if rng.random() < hold:
                ctx.set(dut.hold, not ctx.get(dut.hold))
            ports = (dut.layout.valid, dut.layout.layout, dut.sums)
            _, _, valid, layout, sums = await ctx.tick().sample(*ports)
            cycle += 1
            still += len(walked.layouts) == len(sent)
            if sums.valid:
                walked.sums.append(plain(sums.sums))
            if valid:
                walked.layouts.append(plain(layout))
                walked.cycles.append(cycle)

    async def collect(ctx):
        late = [False] * ADDRESS_CYCLES
        while len(walked.addresses) < len(sent):
            beat = dut.passed
            ports = (beat.valid, beat.beyond, beat.layout, dut.addresses)
            _, _, valid, beyond, layout, addresses = await ctx.tick().sample(*ports)
            late.append(bool((valid or beyond) and layout.last))
            if late[-1]:
                walked.ends.append(plain(layout))
            if late[-1 - ADDRESS_CYCLES]:
                walked.addresses.append(plain(addresses))

    simulate(dut, send, receive, *([collect] if dut.collect else []))
    assert len(walked.layouts) == len(sent), "one layout for each packet"
    assert len(walked.sums) == len(sent), "and one set of sums"
    return walked


SHAPES = [
    Shape(),
    Shape(tags=(0x8100,), transport="udp"),
    Shape(tags=(0x88A8, 0x8100), outer_extras=("options",), tcp_options=True),
    Shape(outer=6),
    Shape(outer=6, outer_extras=("hop", "routing", "destination"), transport="udp"),
    Shape(transport="icmp"),
    Shape(tunnel="nvgre"),
    Shape(tunnel="nvgre", inner=6, inner_tag=True, tags=(0x8100,), transport="icmp"),
    Shape(tunnel="nvgre", outer=6, inner=6, inner_extras=("hop", "destination"), tcp_options=True),
    Shape(tunnel="vxlan", outer_extras=("options",), inner_extras=("options",), vxlan_checksum=0x1234),
    Shape(tunnel="vxlan", outer=6, outer_extras=("routing",), transport="udp"),
    Shape(tunnel="nvgre", outer=6, inner=6, outer_extras=("hop",), inner_extras=("destination",)),
    Shape(tunnel="vxlan", inner=6, inner_tag=True, vxlan_checksum=1),
]


def packet_of(shape, payload=b"payload"):
    return Packet(shape.build(payload), tunnels=bool(shape.tunnel), vxlan_port=shape.vxlan_port)


def chain(*headers, protocol=Protocol.UDP, tail=bytes(20), tags=2):
    """An IPv6 packet with extension headers given by number and body from the length byte on."""
    octets = b""
    following = protocol
    for number, body in reversed(headers):
        octets = bytes([following]) + body + octets
        following = number
    fixed = b"\x60\0\0\0" + len(octets + tail).to_bytes(2, "big") + bytes([following, 64]) + bytes(32)
    return Packet(ETHERNET + b"\x81\0\0\7" * tags + b"\x86\xdd" + fixed + octets + tail)


def routing(left, hops=0):
    return Protocol.ROUTING, bytes([2 * hops, 4, left]) + bytes(4 + 16 * hops)


def options(units, kind=Protocol.DESTINATION):
    return kind, bytes([units]) + bytes([0xC0]) * (6 + 8 * units)


HOP = options(0, Protocol.HOP_BY_HOP)
FRAGMENT = (Protocol.FRAGMENT, b"\0\0\x01" + bytes(4))
AUTHENTICATION = (Protocol.AH, b"\4" + bytes(22))
NVGRE, VXLAN = packet_of(Shape(tunnel="nvgre")), packet_of(Shape(tunnel="vxlan"))


def random_chains(rng):
    """Extension headers of all kinds and lengths, most of them short, AH ones of impossible lengths too."""
    for _ in range(60):
        headers = []
        for _ in range(rng.randint(1, rng.choice([3, 6, 20]))):
            kind = rng.choice([0, 43, 60, 51, 43, 60])
            units = rng.choice([0, 0, 0, 0, 1, 1, 2, 3, 5, 9, 17])
            if kind == Protocol.AH:
                units = 2 * units + (rng.random() < 0.05)
                size = 4 * units + 8
            else:
                size = 8 * units + 8
            body = bytes([units, 4, rng.choice([0, 0, 0, 0, 0, 1, 255])]) + bytes(size - 4)
            headers.append((kind, body))
        if rng.random() < 0.2:
            headers.append(FRAGMENT)
        packet = chain(*headers, protocol=rng.choice([6, 17, 50, 58]), tags=rng.randint(0, 2))
        if rng.random() < 0.3:
            packet.octets = packet.octets[: rng.randint(1, len(packet.octets))]
        yield packet
