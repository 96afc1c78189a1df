"""Counts cycles at the ports of a core."""

import functools
from dataclasses import dataclass

from offramp_sim import compare
from offramp_sim.bench.traffic import Traffic
from offramp_sim.core import Core, CoreError, Job, Progress
from offramp_sim.core import Outcome as Seen
from offramp_sim.model import Outcome

SHORT_FRAME_BEATS = 4
"""Only between frames longer than this must there be no idle cycle."""

MOST_LATENCY_CYCLES = 32
"""From the last byte that the first frame needs to its first beat, at every width."""

MOST_CYCLES_PER_FRAME = 1.6
"""For short packets that fit into one beat: 100 Gb/s at 250 MHz."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came out of a core for one :class:`Traffic`, all streams ready and all inputs available always.

    Attributes
    ----------
    traffic : Traffic
    lanes : int
        Bytes per beat.
    beats : tuple of int
        Least number of beats that each frame can have.
    output_beats : int
        Beats that came out.
    cycles : int
        From the first output beat to the last one, both included.
    latency_cycles : int
        From the transfer of the last byte that the first frame needs (its checksums stand in front of all it
        carries) to the transfer of the frame's first beat.
    """

    traffic: Traffic
    lanes: int
    beats: tuple[int, ...]
    output_beats: int
    cycles: int
    latency_cycles: int

    @property
    def ideal_beats(self) -> int:
        """Beats that the frames need at least."""
        return sum(self.beats)

    @property
    def ratio(self) -> float:
        """Ideal beats over cycles; exactly 1 where no cycle was idle."""
        return self.ideal_beats / self.cycles

    @property
    def cycles_per_frame(self) -> float:
        """Cycles over frames."""
        return self.cycles / len(self.beats)

    @property
    def gapless(self) -> bool:
        """Whether there must be no idle cycle: all frames are long, save the last, which nothing follows."""
        return all(beats > SHORT_FRAME_BEATS for beats in self.beats[:-1])

    @property
    def tight(self) -> bool:
        """Whether there is a limit to the cycles that a frame may take: all are short packets of one beat."""
        return not self.traffic.mss and max(self.beats) == 1

    @property
    def missed(self) -> tuple[str, ...]:
        """Names of the values that miss their targets."""
        targets = {
            "ratio": not self.gapless or self.cycles == self.ideal_beats,
            "latency_cycles": self.latency_cycles <= MOST_LATENCY_CYCLES,
            "cycles_per_frame": not self.tight or self.cycles_per_frame <= MOST_CYCLES_PER_FRAME,
        }
        return tuple(name for name, met in targets.items() if not met)

    def fields(self) -> dict[str, object]:
        """Return the values by name, as ``--json`` prints them."""
        values: dict[str, object] = {
            "lanes": self.lanes,
            "kind": self.traffic.kind,
            "mss": self.traffic.mss,
            "scenario": self.traffic.scenario.name,
            "frames": len(self.beats),
            "output_beats": self.output_beats,
            "ideal_beats": self.ideal_beats,
            "cycles": self.cycles,
            "ratio": self.ratio,
            "latency_cycles": self.latency_cycles,
        }
        if not self.traffic.mss:
            values["cycles_per_frame"] = self.cycles_per_frame
        return values | {"missed": list(self.missed)}

    def __str__(self) -> str:
        """Return the values in a line."""
        return ", ".join(f"{name} {value}" for name, value in self.fields().items())


@functools.cache
def _expected(traffic: Traffic) -> list[Outcome]:
    return compare.expected(traffic.jobs())


def measure(core: Core[Job, Seen], traffic: Traffic, progress: Progress | None = None) -> Measurement:
    """Reset ``core``, send ``traffic`` through it and return what was measured.

    Raises :class:`CoreError` if anything but the right frames and completions comes out: the speed of those
    would be of no interest.
    """
    jobs = traffic.jobs()
    core.reset()
    outcomes = core.play(jobs, progress)
    for number, (outcome, right) in enumerate(zip(outcomes, _expected(traffic), strict=True)):
        if found := compare.difference(outcome, right):
            raise CoreError(f"request {number}: {found}")
    first = outcomes[0]
    needed = first.byte_cycle(traffic.first_frame_bytes - 1, core.lanes)
    frames = [frame for outcome in outcomes for frame in outcome.frames]
    return Measurement(
        traffic=traffic,
        lanes=core.lanes,
        beats=tuple(-(-len(frame.data) // core.lanes) for frame in frames),
        output_beats=sum(frame.beats for frame in frames),
        cycles=frames[-1].last_cycle - frames[0].first_cycle + 1,
        latency_cycles=first.frames[0].first_cycle - needed,
    )
