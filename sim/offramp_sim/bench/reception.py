"""Counts cycles at the ports of a receive path."""

import functools
from dataclasses import dataclass

from offramp_sim import compare
from offramp_sim.bench.arrivals import Stream, arrivals_of
from offramp_sim.core import Arrival, Core, CoreError, Received
from offramp_sim.model import Reception

MOST_METADATA_CYCLES = 24
"""From the last beat of a frame, as it is taken in, to its metadata."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a receive path did with one :class:`Stream`, all outputs ready and a beat on offer always.

    Attributes
    ----------
    stream : Stream
    lanes : int
        Bytes per beat.
    beats : int
        Least number of beats that the frames can have.
    cycles : int
        From the first beat to the last one, both included: on the way in or on the way out, whatever took
        longer.
    delays : (int, int)
        Fewest and most cycles that a beat has spent inside.
    metadata_cycles : int
        Most cycles from the last beat of a frame, as it was taken in, to its metadata.
    """

    stream: Stream
    lanes: int
    beats: int
    cycles: int
    delays: tuple[int, int]
    metadata_cycles: int

    @property
    def ratio(self) -> float:
        """Beats over cycles; exactly 1 where no cycle was idle."""
        return self.beats / self.cycles

    @property
    def cycles_per_frame(self) -> float:
        """Cycles over frames."""
        return self.cycles / self.stream.count

    @property
    def missed(self) -> tuple[str, ...]:
        """Names of the values that miss their targets."""
        targets = {
            "ratio": self.cycles == self.beats,
            "delays": self.delays[0] == self.delays[1],
            "metadata_cycles": self.metadata_cycles <= MOST_METADATA_CYCLES,
        }
        return tuple(name for name, met in targets.items() if not met)

    def fields(self) -> dict[str, object]:
        """Return the values by name, as ``--json`` prints them."""
        return {
            "lanes": self.lanes,
            "stream": self.stream.name,
            "frames": self.stream.count,
            "beats": self.beats,
            "cycles": self.cycles,
            "ratio": self.ratio,
            "cycles_per_frame": self.cycles_per_frame,
            "least_delay_cycles": self.delays[0],
            "most_delay_cycles": self.delays[1],
            "metadata_cycles": self.metadata_cycles,
            "missed": list(self.missed),
        }

    def __str__(self) -> str:
        """Return the values in a line."""
        return ", ".join(f"{name} {value}" for name, value in self.fields().items())


@functools.cache
def _expected(stream: Stream) -> list[Reception]:
    return compare.expected_receptions(arrivals_of(stream))


def measure(core: Core[Arrival, Received], stream: Stream) -> Measurement:
    """Reset ``core``, let ``stream`` arrive and return what was measured.

    Raises :class:`CoreError` if anything but the right frames and metadata comes out: the speed of those
    would be of no interest.
    """
    arrivals = arrivals_of(stream)
    core.reset()
    received = core.play(arrivals)
    for number, each in enumerate(zip(arrivals, received, _expected(stream), strict=True)):
        if found := compare.reception_difference(*each):
            raise CoreError(f"frame {number} {found}")
    first, last = received[0], received[-1]
    delays = [
        out - into
        for result in received
        for into, out in zip(result.input_cycles, result.output_cycles, strict=True)
    ]
    return Measurement(
        stream=stream,
        lanes=core.lanes,
        beats=sum(-(-len(arrival.frame) // core.lanes) for arrival in arrivals),
        cycles=1
        + max(
            last.input_cycles[-1] - first.input_cycles[0],
            last.output_cycles[-1] - first.output_cycles[0],
        ),
        delays=(min(delays), max(delays)),
        metadata_cycles=max(result.metadata_cycle - result.input_cycles[-1] for result in received),
    )
