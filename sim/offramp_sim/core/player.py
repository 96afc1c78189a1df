"""What simulated cores have in common: one group of the same configuration after another goes through."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from offramp_sim.core.arrivals import Arrival, Received, assemble_received, receive_values
from offramp_sim.core.ports import Port
from offramp_sim.core.records import Job, Outcome, Progress, assemble, encode_request, port_values
from offramp_sim.core.simulation import Item, Seen, Simulation


class Playable(Protocol):
    """What can be put into a core: it has a configuration, and a size in bytes."""

    @property
    def config(self) -> Any:
        """The configuration under which it is served."""

    @property
    def size(self) -> int:
        """Bytes that go in."""


In = TypeVar("In", bound=Playable)
Out = TypeVar("Out")


class Player(ABC, Generic[In, Out]):
    """Plays things through a simulated core.

    Parameters
    ----------
    simulation : Simulation
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.lanes = simulation.lanes

    @property
    def cycles(self) -> int:
        """Clock cycles in which something was played, without resets."""
        return self._simulation.cycles

    def play(self, things: Sequence[In], progress: Progress | None = None) -> list[Out]:
        """Put ``things`` in as fast as the core takes them and return what comes of each, in order."""
        results: list[Out] = []
        for config, same in itertools.groupby(things, key=lambda thing: thing.config):
            group, before = list(same), len(results)
            values = self._values(config, self._simulation.configuration)
            items = [self._item(thing) for thing in group]
            advance = None if progress is None else _after(before, progress)
            results += self._results(group, self._simulation.run(items, values, advance))
        return results

    @abstractmethod
    def _values(self, config: Any, ports: Sequence[Port]) -> list[int]:
        """Return what ``config`` puts on each of the configuration inputs ``ports``."""

    @abstractmethod
    def _item(self, thing: In) -> Item:
        """Return ``thing`` as it goes in."""

    @abstractmethod
    def _results(self, things: Sequence[In], seen: Seen) -> list[Out]:
        """Return what came of ``things``."""

    def counters(self) -> dict[str, int]:
        """Return the core's counters, by port name without ``stat_``."""
        return self._simulation.counters()

    def reset(self) -> None:
        """Reset the core; what it had not completed is lost."""
        self._simulation.reset()

    def close(self) -> None:
        """Let go of the simulation and complete the wave file, if one is written."""
        self._simulation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _after(before: int, progress: Progress) -> Progress:
    """Return a function that tells ``progress`` what it is told itself, and what was done before."""
    return lambda done: progress(before + done)


class Sender(Player[Job, Outcome]):
    """The send path in a simulation."""

    def _values(self, config: Any, ports: Sequence[Port]) -> list[int]:
        return port_values(config, ports)

    def _item(self, thing: Job) -> Item:
        request = thing.request
        return Item(request.frame, request.elements, encode_request(request))

    def _results(self, things: Sequence[Job], seen: Seen) -> list[Outcome]:
        return assemble(
            things, self.lanes, seen.frames, seen.records, seen.request_cycles, seen.packet_cycles
        )


class Receiver(Player[Arrival, Received]):
    """The receive path in a simulation."""

    def _values(self, config: Any, ports: Sequence[Port]) -> list[int]:
        return receive_values(config, ports)

    def _item(self, thing: Arrival) -> Item:
        return Item(thing.frame, (len(thing.frame),), mark=thing.marked_bad)

    def _results(self, things: Sequence[Arrival], seen: Seen) -> list[Received]:
        return assemble_received(things, self.lanes, seen)
