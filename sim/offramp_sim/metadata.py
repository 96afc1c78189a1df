"""What a kernel said about each captured frame: the virtio_net_hdr beside it, one JSON object a line."""

from dataclasses import dataclass
from pathlib import Path

from offramp_sim.errors import BadInput
from offramp_sim.jobs import integer, objects

NEEDS_CHECKSUM = 1
KINDS = {"NONE": 0, "TCPV4": 6, "TCPV6": 6, "UDP_L4": 17}
"""Kinds of segmentation, and the protocol that each is for."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What is to be done to a frame.

    Attributes
    ----------
    needs_checksum : bool
        The checksum field at ``checksum_start + checksum_offset`` holds the sum of the pseudo-header.
    protocol, mss : int
        Segment this protocol's payload into so many bytes each; both 0 for no segmentation.
    """

    needs_checksum: bool
    protocol: int
    mss: int
    checksum_start: int
    checksum_offset: int


def read(path: Path) -> dict[int, tuple[int, Hint]]:
    """Return, by the number of the frame counted from 0, the line that describes it and what that says."""
    hints: dict[int, tuple[int, Hint]] = {}
    for line, value in objects(path):
        try:
            if "frame" not in value:
                raise ValueError("frame is missing")
            frame = integer("frame", value["frame"], 0, 1 << 32)
            if frame in hints:
                raise ValueError(f"frame {frame} has been described before, in line {hints[frame][0]}")
            kind = value.get("gso", "NONE")
            if kind not in KINDS:
                raise ValueError(f"gso must be one of {', '.join(KINDS)}, not {kind!r}")
            segmented = kind != "NONE"
            hints[frame] = (
                line,
                Hint(
                    bool(integer("flags", value.get("flags", 0), 0, 0xFF) & NEEDS_CHECKSUM),
                    KINDS[kind],
                    integer("gso_size", value.get("gso_size", 0), 1, 0xFFFF) if segmented else 0,
                    integer("csum_start", value.get("csum_start", 0), 0, 0xFFFF),
                    integer("csum_offset", value.get("csum_offset", 0), 0, 0xFFFF),
                ),
            )
        except ValueError as error:
            raise BadInput(path, f"line {line}", str(error)) from error
    return hints
