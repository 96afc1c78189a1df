"""The packet stream: every stage of the datapath speaks this one layout."""

import functools
import operator
from collections.abc import Sequence
from itertools import pairwise

from amaranth.hdl import Cat, Const, Value
from amaranth.lib import data
from amaranth.utils import exact_log2

WIDTHS = (8, 16, 32, 64)
"""Supported bus widths, in lanes (bytes a beat)."""

GROUP_LANES = 16
"""Lanes that share a control register: one that controls hundreds of flip-flops is slow to reach them."""


def check_lanes(lanes: int) -> int:
    """Return ``lanes`` if a datapath can be built that wide, else raise :class:`ValueError`."""
    if lanes not in WIDTHS:
        raise ValueError(f"lanes must be one of {', '.join(map(str, WIDTHS))}, not {lanes!r}")
    return lanes


class Beat(data.StructLayout):
    """One transfer of a packet.

    Byte 0 of the packet travels in ``data[0]`` of the first beat. Only the last beat may have lanes
    without data: its first ``count`` lanes are the packet's, and a count of zero means all of them.
    Where ``last`` is clear, ``count`` is zero.

    Parameters
    ----------
    lanes : int
        Bytes per beat, a power of two.
    **extra : ShapeCastable
        Further fields that travel beside the bytes.
    """

    def __init__(self, lanes: int, **extra: object) -> None:
        self.lanes = lanes
        super().__init__({
            "data": data.ArrayLayout(8, lanes),
            "count": exact_log2(lanes),
            "last": 1,
            **extra,
        })


def count(lanes_kept: Value) -> Value:
    """Number of lanes kept, modulo their number, where the lanes kept are the lowest ones.

    The number of multiples of ``2**bit`` up to ``n`` is odd exactly if that bit of ``n`` is set: a few
    parities, with neither an adder nor a priority chain.
    """
    bits = exact_log2(len(lanes_kept))
    return Cat(lanes_kept[(1 << bit) - 1 :: 1 << bit].xor() for bit in range(bits))


def at_most(value: Value) -> list[Value]:
    """For each value that ``value`` may have, whether it is at most that.

    Comparisons with constants, but without the carry chain that synthesis makes of each: either the upper
    half of the bits is less, or it is not more and the lower half is at most what it may be.
    """
    if len(value) == 1:
        return [~value, Const(1)]
    half = len(value) // 2
    lower, upper = at_most(value[:half]), at_most(value[half:])
    return [less | (most & low) for less, most in pairwise([Const(0), *upper]) for low in lower]


def keep(count: Value) -> Value:
    """Lanes kept when ``count`` bytes, all of them if zero, begin in lane 0."""
    return Cat((count == 0) | ~most for most in at_most(count))


def select(sources: Sequence[tuple[Value, Value]]) -> Value:
    """Return the value of the one source whose condition holds, zero if none does; more than one may not.

    Two of them fit into a look-up table a bit.
    """
    parts = [value & condition.replicate(len(value)) for condition, value in sources]
    return functools.reduce(operator.or_, parts)
