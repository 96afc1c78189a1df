"""Collects a header's 16-bit words from the beats that they arrive in, wherever the header starts."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import REACH_BYTES, Passage

Words = dict[int, Any]


def _merged(beat: Any, lanes: int) -> Words:
    """The beat's big-endian words, by position."""
    return {n: Cat(beat.data[2 * n + 1], beat.data[2 * n]) for n in range(lanes // 2)}


class Window(wiring.Component):
    """Fixed words of the header that ``i.pointer`` points to, kept until the next packet.

    Every header starts at an even byte, so a word never straddles beats: each beat is rotated until the
    header's first byte is in front, and every word is taken from the beat that carries it. Only what leads
    to a wanted word is built, so a few neighbouring words cost little more than one.

    Free-running, one beat a cycle; ``o`` is ``i`` delayed by :attr:`latency` cycles.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    words : Sequence[int]
        Wanted words, counted from the header's first byte.
    phase : int or None
        Remainder of the header's start by four, where it is always the same.

    Members
    -------
    i : In(passage)
        Beats with a pointer to the header; where none is valid, the last one again.
    o : Out(passage)
        The same beats.
    words : Out(ArrayLayout(16, len(words)))
        The wanted words, in the order wanted, as far as they have passed with ``o``.
    have : Out(len(words))
        Which of them have.
    """

    def __init__(
        self,
        passage: Passage,
        words: Sequence[int],
        *,
        phase: int | None = None,
    ) -> None:
        if phase not in (None, 0, 2):
            raise ValueError(f"phase must be 0, 2 or None, not {phase!r}")
        if 2 * max(words) + 2 > REACH_BYTES:
            raise ValueError(f"words must be within {REACH_BYTES} bytes, not {max(words)!r}")
        self.passage = passage
        self.wanted = tuple(words)
        self.phase = phase
        super().__init__({
            "i": In(passage),
            "o": Out(passage),
            "words": Out(data.ArrayLayout(16, len(self.wanted))),
            "have": Out(len(self.wanted)),
        })

    @property
    def _levels(self) -> range:
        """Bits of the start that the rotator turns by; a start's lowest one or two are always the same."""
        return range(0 if self.phase is None else 1, self.passage.beat_shift - 1)

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``: rotators of many levels get a register half way."""
        return 1 if len(self._levels) < 4 else 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, words, hits = self._rotate(m)

        kept = Signal(self.words.shape(), reset_less=True)
        have = Signal(len(self.have), reset_less=True)
        for n, hit in enumerate(hits):
            with m.If(hit):
                m.d.sync += kept[n].eq(words[n])
        with m.If(beat.valid):
            m.d.sync += have.eq(Cat(hits) | Mux(beat.first, 0, have))
        m.d.comb += [
            self.o.eq(self.passage.later(m, beat, name="out")),
            self.words.eq(kept),
            self.have.eq(have),
        ]
        return m

    def _rotate(self, m: Module) -> tuple[Any, list[Value], list[Value]]:
        """Rotate by the start and take each word when its beat passes."""
        passage, pointer = self.passage, self.i.pointer
        depth, per_beat = passage.beat_shift, passage.lanes // 2

        shift = pointer.start[1:depth]
        apart = self.i.apart
        hits = []
        for wanted in self.wanted:
            beat, place = divmod(wanted, per_beat)
            in_next = (shift >= per_beat - place) if place else Const(0)
            hits.append(Mux(in_next, apart[beat + 1], apart[beat]))

        words = _merged(self.i, passage.lanes)
        if self.phase == 2:
            words = {place: words[(place + 1) % per_beat] for place in words}
        needs = {self._levels[0]: {wanted % per_beat for wanted in self.wanted}}
        for level in self._levels:
            turned = {place + (1 << level) for place in needs[level]}
            needs[level + 1] = needs[level] | {place % per_beat for place in turned}

        levels = list(reversed(self._levels))  # the widest turn first, where most words are still wanted
        beat, pause = self.i, levels[len(levels) // 2] if self.latency > 1 else None
        for level in levels:
            if level == pause:
                words, shift, hits, beat = self._pause(m, words, shift, hits)
            words = {
                place: Mux(shift[level], words[(place + (1 << level)) % per_beat], words[place])
                for place in needs[level]
            }
        return beat, [words[wanted % per_beat] for wanted in self.wanted], hits

    def _pause(
        self, m: Module, words: Words, shift: Value, hits: list[Value]
    ) -> tuple[Words, Value, list[Value], Any]:
        """Put a register half way through the rotation."""
        beat = self.passage.later(m, self.i, name="paused")
        held = {place: Signal(16, name=f"turned{place}", reset_less=True) for place in words}
        rest = Signal(len(shift), name="rest", reset_less=True)
        taken = Signal(len(hits), name="taken", reset_less=True)
        m.d.sync += [rest.eq(shift), taken.eq(Cat(hits))]
        m.d.sync += [held[place].eq(word) for place, word in words.items()]
        return held, rest, list(taken), beat
