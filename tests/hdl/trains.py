"""What unit tests of the send path share: trains, and the slices that they are cut into, in plain Python."""

from dataclasses import asdict, dataclass

from offramp.send.train import Limits

WIDTHS = [8, 16, 32, 64]
LIMITS = Limits()


@dataclass(frozen=True)
class Cargo:
    """The part of a train that says where its payload goes.

    ``mss`` is zero for a packet that is sent as it is; then ``sum_bytes`` of the payload are summed, by
    default all of it.
    """

    header_bytes: int
    payload_bytes: int
    mss: int = 0
    sum_bytes: int | None = None

    @property
    def sizes(self) -> list[int]:
        """Payload bytes of each frame (LSO-10, LSO-11, INV-7)."""
        if not self.mss:
            return [self.payload_bytes]
        full, rest = divmod(self.payload_bytes, self.mss)
        return [self.mss] * full + [rest] * (rest > 0 or full == 0)

    def fields(self) -> dict[str, int]:
        """Return the fields of :class:`offramp.send.train.Train`."""
        return {
            "segmented": int(self.mss > 0),
            "single": int(len(self.sizes) == 1),
            "header_bytes": self.header_bytes,
            "payload_bytes": self.payload_bytes,
            "last_byte": self.header_bytes + self.payload_bytes - 1,
            "slice_bytes": self.mss,
            "bare": int(self.payload_bytes == 0),
            "sum_bytes": self.payload_bytes if self.sum_bytes is None else self.sum_bytes,
        }


@dataclass(frozen=True)
class Piece:
    """One frame's payload as :class:`offramp.send.cut.Slice` describes it, and the lane it starts in."""

    bytes: int
    first: int
    last: int
    head: int
    turn: int
    beats: int
    tail: int
    short: int
    empty: int
    wraps: int
    back: int
    same: int
    ahead: int
    sum_beats: int
    sum_short: int
    sum_empty: int
    start: int
    stop: int

    def fields(self) -> dict[str, int]:
        """Return the fields of :class:`offramp.send.cut.Slice`."""
        return {name: value for name, value in asdict(self).items() if name not in ("head", "first")}


def pieces(cargo: Cargo, lanes: int) -> list[Piece]:
    """Return what a train is cut into.

    Payload starts in lane ``head`` of each of its frames. Lane 0 of the beat that it starts in is byte
    ``origin`` of the packet, or would be; from there on, packet and frame have the same bytes.
    """
    head = cargo.header_bytes % lanes
    cut = []
    start = 0
    for number, size in enumerate(cargo.sizes):
        origin = cargo.header_bytes - head + start
        beats = max(0, -(-(head + size) // lanes) - 1)
        tail = (head + size) % lanes
        turn = start % lanes
        summed = size if cargo.mss or cargo.sum_bytes is None else cargo.sum_bytes
        start += size
        ended = origin // lanes + beats  # the packet's beat in which this slice's last one starts
        advance = (cargo.header_bytes - head + start) // lanes - ended
        sum_beats = max(0, -(-(head + summed) // lanes) - 1)
        cut.append(
            Piece(
                bytes=size,
                first=int(number == 0),
                last=int(number == len(cargo.sizes) - 1),
                head=head,
                turn=turn,
                beats=beats,
                tail=tail,
                short=int(beats == 0),
                empty=int(head + size == 0),
                wraps=int((tail or lanes) + turn > lanes),
                back=int(advance == -1),
                same=int(advance == 0),
                ahead=int(advance == 1),
                sum_beats=sum_beats,
                sum_short=int(sum_beats == 0),
                sum_empty=int(summed == 0),
                start=(head + turn) % lanes,
                stop=(head + summed + turn) % lanes,
            )
        )
    return cut
