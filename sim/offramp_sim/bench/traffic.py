"""What the bench sends: large sends and short packets, under four kinds of headers."""

import functools
import random
from dataclasses import dataclass

from offramp_sim.core import Job
from offramp_sim.model import Config, Request
from offramp_sim.model.headers import Protocol
from offramp_sim.model.words import Checksum, LargeSend, Supplemental
from offramp_sim.stimulus.shape import Ip, Shape, put_seed
from offramp_sim.tunnel import VXLAN_PORT

KINDS = ("plain-v4", "nvgre-v4-v4", "nvgre-v6-v6-options", "vxlan-v4-v4")
"""Headers by tunnel, outer and inner IP version. With options there is a destination options header outside
(RFC 2473's tunnel encapsulation limit), a hop-by-hop header inside, and TCP timestamps."""

SIZES = (64, 256, 536, 1460, 8960)
"""Values of the MSS, in bytes, that are tried unless others are asked for."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How much is sent.

    Attributes
    ----------
    name, title : str
        What it is called, and what it is.
    count : int
        Requests, back to back.
    size_bytes : int
        Payload of each; for packets that are not segmented, the whole packet as it is at the ports of a core,
        where there is no frame check sequence.
    segmented : bool
        Large sends, else packets that only get their checksums.
    """

    name: str
    title: str
    count: int
    size_bytes: int
    segmented: bool = True

    def fits(self, kind: str) -> bool:
        """Return whether the headers of ``kind`` leave room for payload."""
        return self.segmented or headers(kind).size < self.size_bytes


SCENARIOS = (
    Scenario("single", "one send of 64 KiB", 1, 1 << 16),
    Scenario("train", "64 sends of 4 KiB, back to back", 64, 1 << 12),
    Scenario(
        "short",
        "1,000 packets of 64 bytes, back to back, with checksum offload",
        1000,
        64,
        segmented=False,
    ),
)
"""What is tried unless something else is asked for."""

_ENCAPSULATION_LIMIT = bytes([0, 0, 4, 1, 4, 1, 0, 0])
_HOP_BY_HOP = bytes([0, 0, 1, 4, 0, 0, 0, 0])
_TIMESTAMPS = bytes([1, 1, 8, 10])


@dataclass(frozen=True, slots=True)
class Traffic:
    """One thing to measure.

    Attributes
    ----------
    scenario : Scenario
    kind : str
        One of :data:`KINDS`.
    mss : int, bytes
        Of large sends; 0 for packets that are not segmented.
    """

    scenario: Scenario
    kind: str
    mss: int = 0

    def __post_init__(self) -> None:
        if not self.scenario.fits(self.kind):
            raise ValueError(f"{self.kind} does not fit into {self.scenario.size_bytes} bytes")
        if self.scenario.segmented != (self.mss > 0):
            raise ValueError(f"mss must be 0 exactly where nothing is segmented, not {self.mss!r}")

    def __str__(self) -> str:
        """Name what is measured."""
        return f"{self.scenario.name} {self.kind}" + (f" {self.mss}" if self.mss else "")

    @property
    def first_frame_bytes(self) -> int:
        """How much of a request must be known before its first frame can be sent."""
        if self.mss:
            return headers(self.kind).size + min(self.mss, self.scenario.size_bytes)
        return self.scenario.size_bytes

    def jobs(self) -> list[Job]:
        """Return what is to be sent, each request in a single buffer."""
        rng = random.Random(str(self))
        config = Config(encapsulation=frozenset({headers(self.kind).tunnel} - {""}))
        return [Job(self._request(rng, tag), config) for tag in range(self.scenario.count)]

    def _request(self, rng: random.Random, tag: int) -> Request:
        shape = headers(self.kind)
        payload_bytes = self.scenario.size_bytes - (0 if self.mss else shape.size)
        outer_ipv6 = int(shape.outer.version == 6)
        packet = shape.write(rng, rng.randbytes(payload_bytes))
        put_seed(rng, packet, shape, 0 if self.mss else len(packet) - shape.transport)
        supplemental = Supplemental()
        if shape.tunnel:
            supplemental = Supplemental(
                encapsulated=1,
                offsets_valid=1,
                inner_frame_offset=shape.inner_frame,
                inner_ip_offset=shape.inner_ip - shape.inner_frame,
                inner_transport_offset=shape.transport - shape.inner_ip,
                inner_ipv6=int(shape.inner.version == 6),
                tcp_options=int(len(shape.transport_header) > 20),
            )
        offset = 0 if shape.tunnel else shape.transport
        lso = LargeSend(mss=self.mss, tcp_header_offset=offset, version2=1, ipv6=outer_ipv6)
        checksum = Checksum(ipv4=1 - outer_ipv6, ipv6=outer_ipv6, tcp=1, ip_header=1 - outer_ipv6)
        return Request(
            frame=bytes(packet),
            supplemental=supplemental.pack(),
            checksum=checksum.pack(),
            lso=lso.pack() if self.mss else 0,
            tag=tag,
        )


@functools.cache
def headers(kind: str) -> Shape:
    """Return the headers of ``kind``, which are not to be changed."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    tunnel, *versions = kind.removesuffix("-options").split("-")
    outer, inner = int(versions[0][1:]), int(versions[-1][1:])
    rng = random.Random(kind)
    options = kind.endswith("-options")
    match tunnel:
        case "nvgre":
            tunnel_header = b"\x20\x00\x65\x58" + rng.randbytes(4)
        case "vxlan":
            udp = rng.randbytes(2) + VXLAN_PORT.to_bytes(2, "big") + bytes(4)
            tunnel_header = udp + b"\x08\x00\x00\x00" + rng.randbytes(3) + b"\x00"
        case _:
            tunnel, tunnel_header = "", b""
    timestamps = _TIMESTAMPS + rng.randbytes(8) if options else b""
    words = 5 + len(timestamps) // 4
    return Shape(
        tags=b"",
        outer=_ip(rng, outer, [(Protocol.DESTINATION, _ENCAPSULATION_LIMIT)] if options else []),
        tunnel=tunnel,
        tunnel_header=tunnel_header,
        inner_tags=b"",
        inner=_ip(rng, inner, [(Protocol.HOP_BY_HOP, _HOP_BY_HOP)] if options else []),
        protocol=Protocol.TCP,
        # An acknowledgement that pushes, window 8,192, checksum and urgent pointer 0.
        transport_header=rng.randbytes(12) + bytes([words << 4, 0x18, 0x20, 0, 0, 0, 0, 0]) + timestamps,
    )


def _ip(rng: random.Random, version: int, extensions: list[tuple[int, bytes]]) -> Ip:
    source, destination = (rng.randbytes(4 if version == 4 else 16) for _ in range(2))
    fixed = bytes(1) + rng.randbytes(2) + bytes([64, 64])
    return Ip(version, source, destination, destination, fixed, fragment=0x4000, extensions=extensions)
