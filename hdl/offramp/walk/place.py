"""Finds places of a packet in its beats."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.utils import exact_log2

from offramp.packet import at_most

_ALWAYS = Const(1)


class Places:
    """Tells of each 16-bit word of a beat whether it is at some byte of the packet, or behind it.

    A word is known by few bits, by its row and by its column: these are registered, and what the methods
    return, one bit a word, is a gate or two behind.

    Parameters
    ----------
    m : Module
        Module to add the logic to.
    index : Value
        Number of the beat in its packet, with the same timing as the byte numbers.
    lanes : int
        Bytes per beat.
    """

    def __init__(self, m: Module, index: Value, lanes: int) -> None:
        self._m = m
        self._index = index
        self._depth = exact_log2(lanes)
        self._half = (self._depth - 1) // 2

    def behind(self, name: str, number: Value, applies: Value = _ALWAYS) -> Value:
        """One bit a word of the beat, a cycle later, set from the word of byte ``number`` on."""
        columns, rows = self._split(number)
        before = applies & (number[self._depth :] < self._index)
        here = applies & (number[self._depth :] == self._index)
        most_columns, most_rows = at_most(columns), at_most(rows)
        column = self._kept(f"{name}_column", Cat(most_columns))
        row = self._kept(f"{name}_row", Cat(before | (here & most) for most in most_rows))
        lower = self._kept(
            f"{name}_lower", Cat(before | (here & most) for most in [Const(0), *most_rows[:-1]])
        )
        return Cat(low | (most & left) for low, most in zip(lower, row, strict=True) for left in column)

    def at(self, name: str, number: Value, applies: Value = _ALWAYS) -> Value:
        """One bit a word of the beat, a cycle later, set for the word of byte ``number``."""
        columns, rows = self._split(number)
        here = applies & (number[self._depth :] == self._index)
        column = self._kept(f"{name}_column", Cat(columns == n for n in range(1 << len(columns))))
        row = self._kept(f"{name}_row", Cat(here & (rows == n) for n in range(1 << len(rows))))
        return Cat(same & this for this in row for same in column)

    def _split(self, number: Value) -> tuple[Value, Value]:
        """Return the column and the row of the word at byte ``number`` of a packet, inside its beat."""
        return number[1 : 1 + self._half], number[1 + self._half : self._depth]

    def _kept(self, name: str, bits: Value) -> Signal:
        signal = Signal(len(bits), name=name, reset_less=True)
        self._m.d.sync += signal.eq(bits)
        return signal
