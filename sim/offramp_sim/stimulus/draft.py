"""A request in the making: a packet, the out-of-band words beside it, and the buffers that it comes in."""

import dataclasses
import itertools
import random

from offramp_sim.model import Request
from offramp_sim.model.headers import Protocol
from offramp_sim.model.words import Checksum, LargeSend, Supplemental, UdpSegmentation, Vlan
from offramp_sim.stimulus.shape import Limits, Shape


@dataclasses.dataclass
class Draft:
    """A request in the making, and what a spoiler has to know about it."""

    rng: random.Random
    limits: Limits
    packet: bytearray
    headers: Shape | None = None
    supplemental: Supplemental = dataclasses.field(default_factory=Supplemental)
    checksum: Checksum = dataclasses.field(default_factory=Checksum)
    lso: LargeSend = dataclasses.field(default_factory=LargeSend)
    uso: UdpSegmentation = dataclasses.field(default_factory=UdpSegmentation)
    length: int | None = None
    spoilt: bool = False

    @property
    def shape(self) -> Shape:
        """The headers, of a draft that is known to have some."""
        assert self.headers
        return self.headers

    @property
    def segment(self) -> bool:
        """The request is to be segmented."""
        return bool(self.lso.pack() or self.uso.pack())

    def request(self, tag: int) -> Request:
        """Return the finished request, in random buffers."""
        rng = self.rng
        vlan = 0
        if rng.random() < 0.2:
            vlan = Vlan(priority=rng.randrange(8), identifier=rng.randrange(1 << 12)).pack()
            vlan |= rng.choice([0, 0, 1 << 3, rng.getrandbits(16) << 16])
        return Request(
            bytes(self.packet),
            buffers=random_buffers(rng, len(self.packet), self.headers),
            length=self.length,
            supplemental=self.supplemental.pack() | rng.choice([0, 0, rng.getrandbits(4)]) << 28,
            checksum=self.checksum.pack() | rng.choice([0, 0, rng.getrandbits(11)]) << 5,
            lso=self.lso.pack(),
            uso=self.uso.pack() | (rng.choice([0, 1 << 30]) if self.uso.pack() else 0),
            vlan=vlan,
            tag=tag,
        )


def random_buffers(rng: random.Random, size: int, shape: Shape | None) -> tuple[int, ...] | None:
    """Return scatter-gather lengths: one piece, cut at the inner frame, or cut anywhere and often."""
    inner_frame = min(shape.inner_frame, size) if shape else 0
    cuts: set[int] = set()
    match rng.randrange(6):
        case 0 | 1:
            return None
        case 2:
            cuts = {inner_frame}
        case 3:
            cuts = {inner_frame, *(rng.randint(inner_frame, size) for _ in range(4))}
        case 4:
            cuts = {rng.randint(0, size) for _ in range(rng.randint(1, 9))}
        case 5:
            start = rng.randint(0, min(size, 200))
            cuts = set(range(start, start + rng.randint(2, 40)))
    bounds = [0, *sorted(cut for cut in cuts if 0 < cut < size), size]
    return tuple(end - start for start, end in itertools.pairwise(bounds)) if size else None


def announce(draft: Draft) -> None:
    """Say in the out-of-band words of ``draft`` what its headers are."""
    rng, shape = draft.rng, draft.shape
    four = int(shape.outer.version == 4)
    if not draft.segment or rng.random() < 0.7:
        draft.checksum = dataclasses.replace(draft.checksum, ipv4=four, ipv6=1 - four)
    if shape.tunnel:
        hints = rng.choice([0, 0, 0, 0, 1])
        draft.supplemental = Supplemental(
            encapsulated=1,
            inner_ipv6=int(shape.inner.version == 6) ^ hints,
            tcp_options=int(shape.protocol == Protocol.TCP and len(shape.transport_header) > 20) ^ hints,
        )
        offsets = {
            "inner_frame_offset": shape.inner_frame,
            "inner_ip_offset": shape.inner_ip - shape.inner_frame,
            "inner_transport_offset": shape.transport - shape.inner_ip,
        }
        match rng.randrange(3):
            case 0 if shape.inner_frame < 256:
                draft.supplemental = dataclasses.replace(draft.supplemental, offsets_valid=1, **offsets)
            case 1:  # offsets that are not valid carry nothing (INV-1)
                rest = Supplemental.unpack(rng.getrandbits(32))
                garbage = {name: getattr(rest, name) for name in offsets}
                draft.supplemental = dataclasses.replace(draft.supplemental, **garbage)
        # OOB-27: invalid when encapsulated
        draft.checksum = dataclasses.replace(draft.checksum, tcp_header_offset=rng.getrandbits(10))
    elif shape.protocol == Protocol.TCP:
        offset = rng.choice([0, shape.transport, shape.transport])
        draft.checksum = dataclasses.replace(draft.checksum, tcp_header_offset=offset)
