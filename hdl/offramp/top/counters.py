"""Counters of events at the edge of a design."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value

COUNTER_BITS = 32
BYTE_COUNTER_BITS = 48


def count_events(m: Module, counters: Mapping[str, Signal], events: Mapping[str, Value]) -> None:
    """Count each of ``events`` in the counter of its name, a cycle late.

    No counter's carry chain begins behind the logic that tells the event.
    """
    for name, event in events.items():
        seen = Signal(name=f"seen_{name}")
        m.d.sync += seen.eq(event)
        with m.If(seen):
            m.d.sync += counters[name].eq(counters[name] + 1)


def count_bytes(m: Module, counter: Signal, moved: Value, beat: Any) -> None:
    """Count the bytes of every ``beat`` that has ``moved``, a cycle late."""
    octets = Signal(len(beat.count) + 1)
    m.d.sync += octets.eq(Cat(beat.count, beat.count == 0) & moved.replicate(len(octets)))
    m.d.sync += counter.eq(counter + octets)
