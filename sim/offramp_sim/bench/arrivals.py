"""What the bench lets arrive: frames back to back, from the shortest to the longest, and what is none."""

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from offramp_sim import compare
from offramp_sim.bench.traffic import Scenario, Traffic, headers
from offramp_sim.core import Arrival
from offramp_sim.model import ReceiveConfig, VmqFilter
from offramp_sim.model.checksum import fold, ones_sum
from offramp_sim.model.reception import FILTERS, HASH_TYPES, TABLE_ENTRIES

EXTENSION_FRAME_BYTES = 128

CONFIG = ReceiveConfig(
    encapsulation=frozenset({"nvgre", "vxlan"}),
    active=True,
    rss_types=frozenset(HASH_TYPES),
    rss_table=tuple(n % 16 for n in range(TABLE_ENTRIES)),
    vmq_filters=tuple(
        VmqFilter(mac=bytes([2, 0, 0, 0, 0, n]), queue=n, spread=n % 2 == 1) for n in range(FILTERS)
    ),
)
"""Everything that can be switched on is."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A number of frames, back to back.

    Attributes
    ----------
    name, title : str
        What it is called, and what it is.
    count : int
        Frames.
    make : function
        Returns the frames; the same every time.
    """

    name: str
    title: str
    count: int
    make: Callable[[random.Random, int], list[bytes]] = field(compare=False)

    def __str__(self) -> str:
        """Name what is measured."""
        return self.name

    def arrivals(self) -> list[Arrival]:
        """Return the frames, each to be looked at in every way that there is."""
        return [Arrival(frame, CONFIG) for frame in self.make(random.Random(self.name), self.count)]


def _sent(kind: str, size_bytes: int, count: int) -> list[bytes]:
    """Return frames of TCP under the headers of ``kind``, as the send path makes them."""
    scenario = Scenario("stream", "", count, size_bytes, segmented=False)
    results = compare.expected(Traffic(scenario, kind).jobs())
    return [frame for result in results for frame in result.frames]


def _plain(size_bytes: int) -> Callable[[random.Random, int], list[bytes]]:
    return lambda _, count: _sent("plain-v4", size_bytes, count)


def _nvgre(_: random.Random, count: int) -> list[bytes]:
    """Return frames around an inner frame of 60 bytes, which is the shortest."""
    return _sent("nvgre-v4-v4", headers("nvgre-v4-v4").inner_frame + 60, count)


def _extensions(rng: random.Random, count: int) -> list[bytes]:
    """Return frames in which as many IPv6 extension headers as fit stand in front of a UDP header."""
    return [_extension_frame(rng) for _ in range(count)]


def _extension_frame(rng: random.Random) -> bytes:
    extensions = (EXTENSION_FRAME_BYTES - 14 - 40 - 8) // 8
    chain = b"".join(
        bytes([60 if n < extensions - 1 else 17, 0, 1, 4, 0, 0, 0, 0]) for n in range(extensions)
    )
    payload = rng.randbytes(EXTENSION_FRAME_BYTES - 14 - 40 - 8 - len(chain))
    size = 8 + len(payload)
    addresses = rng.randbytes(32)
    datagram = rng.randbytes(4) + size.to_bytes(2, "big") + bytes(2) + payload
    total = fold(ones_sum(addresses) + 17 + size + ones_sum(datagram))
    checksum = ((total ^ 0xFFFF) or 0xFFFF).to_bytes(2, "big")
    ip = b"\x60\0\0\0" + (len(chain) + size).to_bytes(2, "big") + bytes([60, 64]) + addresses
    link = bytes([2, 0, 0, 0, 0, rng.randrange(16)]) + b"\2\0\0\0\0\x20\x86\xdd"
    return link + ip + chain + datagram[:6] + checksum + payload


def _mixed(rng: random.Random, count: int) -> list[bytes]:
    """Return frames of all lengths under all headers, shuffled."""
    frames = []
    for kind in ("plain-v4", "nvgre-v4-v4", "nvgre-v6-v6-options", "vxlan-v4-v4"):
        least = headers(kind).size + 1
        for _ in range(count // 4):
            frames += _sent(kind, rng.choice([least, rng.randint(least, 300), rng.randint(300, 1514)]), 1)
    rng.shuffle(frames)
    return frames


def _garbage(rng: random.Random, count: int) -> list[bytes]:
    """Return random bytes, some of which begin like a frame of IP."""
    types = (b"", b"\x08\x00\x45", b"\x86\xdd\x60", b"\x81\x00\x00\x01\x08\x00\x46")
    frames = []
    for _ in range(count):
        octets = rng.randbytes(12) + rng.choice(types) + rng.randbytes(rng.randint(0, 200))
        frames.append(octets[: rng.choice([len(octets), rng.randint(1, len(octets))])])
    return frames


STREAMS = (
    Stream("60", "60 bytes, the shortest that Ethernet has, without frame check sequence", 1000, _plain(60)),
    Stream("64", "64 bytes", 1000, _plain(64)),
    Stream("nvgre", "the shortest Ethernet frame in NVGRE, 102 bytes", 1000, _nvgre),
    Stream("extensions", "128 bytes full of IPv6 extension headers", 1000, _extensions),
    Stream("mixed", "all lengths to 1514 bytes, plain and in tunnels", 1000, _mixed),
    Stream("1500", "1,500 bytes", 200, _plain(1500)),
    Stream("9000", "9,000 bytes", 40, _plain(9000)),
    Stream("garbage", "random bytes, from 1 to about 200", 1000, _garbage),
)
"""What is tried unless something else is asked for."""


@functools.cache
def arrivals_of(stream: Stream) -> tuple[Arrival, ...]:
    """Return the frames of ``stream``, made once."""
    return tuple(stream.arrivals())
