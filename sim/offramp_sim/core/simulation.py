"""What goes into a simulated core and what is seen of it, whatever core and simulator it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from offramp_sim.core.ports import Port
from offramp_sim.core.records import Frame, Progress

PATIENCE_CYCLES = 20_000
"""Cycles without a transfer on any stream after which a core is taken to hang; several times what the largest
segment and the longest refused packet can need."""

SETTLE_CYCLES = 64
"""Cycles after everything has come out in which nothing more may come."""


@dataclass(frozen=True, slots=True)
class Item:
    """What one record comes out for.

    Attributes
    ----------
    octets : bytes
        Its packets, one behind the other.
    lengths : tuple of int
        Bytes of each packet.
    request : bytes
        Record that goes in ahead, lowest byte first; empty for a core that wants none.
    mark : bool
        The packets are marked as bad.
    """

    octets: bytes
    lengths: tuple[int, ...]
    request: bytes = b""
    mark: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was seen at the ports of a core, each kind in its order.

    Attributes
    ----------
    frames : sequence of Frame
    records : sequence of (bytes, int)
        Records, lowest byte first, and the cycles in which they were transferred.
    request_cycles, packet_cycles, frame_cycles : sequence of int
        When each request, each beat of the packets, and each beat of the frames was transferred.
    """

    frames: Sequence[Frame]
    records: Sequence[tuple[bytes, int]]
    request_cycles: Sequence[int]
    packet_cycles: Sequence[int]
    frame_cycles: Sequence[int]


class Simulation(Protocol):
    """A simulated core.

    Attributes
    ----------
    lanes : int
        Bytes per beat.
    cycles : int
        Clock cycles in which items were played, without resets.
    configuration : tuple of Port
        Configuration inputs.
    """

    lanes: int
    cycles: int
    configuration: tuple[Port, ...]

    def run(self, items: Sequence[Item], values: Sequence[int], progress: Progress | None) -> Seen:
        """Play ``items`` with ``values`` on the configuration inputs, until everything has come out."""

    def counters(self) -> dict[str, int]:
        """Return the core's counters, by port name without ``stat_``."""

    def reset(self) -> None:
        """Reset the core; what it had not completed is lost."""

    def close(self) -> None:
        """Let go of the simulator and complete the wave file, if one is written."""
