"""Collects a header's 16-bit words from the beats that they arrive in, wherever the header starts."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import REACH_BYTES, Passage
from offramp.walk.word import Wanted, Word, Words


class Window(wiring.Component):
    """Fixed words of the header that ``i.pointer`` points to, kept until the next packet or pointer.

    Every header starts at an even byte, so a word never straddles beats: each beat is rotated until the
    header's first byte is in front, and every word is taken from the beat that carries it. Only what leads
    to a wanted word is built, so a few neighbouring words cost little more than one.

    Free-running, one beat a cycle; ``o`` is ``i`` delayed by :attr:`latency` cycles.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    wanted : Wanted
        Words, counted from the header's first byte, and their marks.
    phase : int or None
        Remainder of the header's start by four, where it is always the same.

    Members
    -------
    i : In(passage)
        Beats with a pointer to the header.
    o : Out(passage)
        The same beats.
    words : Out(Words(wanted))
        The wanted words, as far as they have passed with ``o``.
    """

    def __init__(
        self,
        passage: Passage,
        wanted: Wanted,
        *,
        phase: int | None = None,
    ) -> None:
        if phase not in (None, 0, 2):
            raise ValueError(f"phase must be 0, 2 or None, not {phase!r}")
        if 2 * max(wanted) + 2 > REACH_BYTES:
            raise ValueError(f"words must be within {REACH_BYTES} bytes, not {max(wanted)!r}")
        self.passage = passage
        self.wanted = wanted
        self.phase = phase
        super().__init__({
            "i": In(passage),
            "o": Out(passage),
            "words": Out(Words(wanted)),
        })

    @property
    def _levels(self) -> range:
        """Bits of the start that the rotator turns by; a start's lowest one or two are always the same."""
        return range(0 if self.phase is None else 1, self.passage.beat_shift - 1)

    @property
    def _pause(self) -> int | None:
        """Levels of the rotator in front of a register half way, which marks or many levels ask for.

        Marks count as another level behind the last one.
        """
        levels, marked = len(self._levels), any(self.wanted.values())
        return (levels + marked + 1) // 2 if marked or levels > 3 else None

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return 2 if self._pause else 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, words, hits = self._rotate(m)

        have = Signal(len(hits), reset_less=True)
        with m.If(beat.valid):
            m.d.sync += have.eq(Cat(hits) | Mux(beat.anew, 0, have))
        wanted = self.wanted.items()
        for (place, marks), value, hit, passed in zip(wanted, words, hits, have, strict=True):
            kept: Any = Signal(Word(marks), name=f"kept{place}", reset_less=True)
            with m.If(hit):
                m.d.sync += [kept[name].eq(said) for name, said in kept.shape().told(value).items()]
            word = self.words[f"word{place}"]
            m.d.comb += [word.eq(kept), word.passed.eq(passed)]
        m.d.comb += self.o.eq(self.passage.later(m, beat, name="out"))
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
            hits.append(self.i.valid & Mux(in_next, apart[beat + 1], apart[beat]))

        octets = self.i.data
        words = {n: Cat(octets[2 * n + 1], octets[2 * n]) for n in range(per_beat)}
        if self.phase == 2:
            words = {place: words[(place + 1) % per_beat] for place in words}
        needs = {self._levels[0]: {wanted % per_beat for wanted in self.wanted}}
        for level in self._levels:
            turned = {place + (1 << level) for place in needs[level]}
            needs[level + 1] = needs[level] | {place % per_beat for place in turned}

        passing: Any = self.i
        # The widest turn first, where most words are still wanted.
        for n, level in enumerate(reversed(self._levels), 1):
            words = {
                place: Mux(shift[level], words[(place + (1 << level)) % per_beat], words[place])
                for place in needs[level]
            }
            if n == self._pause:
                words, shift, hits, passing = self._wait(m, words, shift, hits)
        return passing, [words[wanted % per_beat] for wanted in self.wanted], hits

    def _wait(
        self, m: Module, words: dict[int, Value], shift: Value, hits: list[Value]
    ) -> tuple[dict[int, Value], Value, list[Value], Any]:
        """Put a register half way through the rotation."""
        beat = self.passage.later(m, self.i, name="paused")
        held: dict[int, Value] = {
            place: Signal(16, name=f"turned{place}", reset_less=True) for place in words
        }
        rest = Signal(len(shift), name="rest", reset_less=True)
        taken = Signal(len(hits), name="taken", reset_less=True)
        m.d.sync += [rest.eq(shift), taken.eq(Cat(hits))]
        m.d.sync += [held[place].eq(word) for place, word in words.items()]
        return held, rest, list(taken), beat
