"""A stage of the walk: the IPv6 extension headers of one layer, from the second one on."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import OFFSET_BITS, WALKED, Passage, Protocol, is_among, is_present, is_secured

SHORTEST = 8
"""Bytes of the shortest extension header."""


def pick(options: Sequence[Value], number: Value) -> Value:
    """Return that one of ``options``, a power of two of them: a level of logic for each bit of ``number``."""
    if len(options) == 1:
        return options[0]
    pairs = zip(options[0::2], options[1::2], strict=True)
    return pick([Mux(number[0], odd, even) for even, odd in pairs], number[1:])


class Extensions(wiring.Component):
    """Walks over the IPv6 extension headers that :class:`~offramp.walk.network.IpHeader` has left.

    Beats without such a header pass at one a cycle. A beat with some stays for two cycles more for each of
    them and two in all; so does, for those two, the beat in which it turns out that there are any, unless
    beats are too short to have them in the same. Meanwhile ``busy`` stops what is in front.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    layer : str
        ``"outer"`` or ``"inner"``.
    phase : int
        Remainder of the headers' starts by four.

    Members
    -------
    i : In(passage)
        Beats with a pointer behind the IP header and its first extension header.
    moves, enable : In(1)
        ``i`` comes in, and ``o`` goes out. The same twice: once to decide with, once for wide registers.
    busy : Out(1)
        ``moves`` must be clear in the next cycle.
    o : Out(passage)
        The same beats, :attr:`latency` movements later, with a pointer behind the extension headers, and
        measured from there. Not registered. Without ``valid``, the last one or the next.
    """

    latency = 1

    def __init__(self, passage: Passage, layer: str, *, phase: int) -> None:
        self.passage = passage
        self.layer = layer
        self.phase = phase
        super().__init__({
            "i": In(passage),
            "moves": In(1),
            "enable": In(1),
            "busy": Out(1),
            "o": Out(passage),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.passage.beat_shift
        pointer = self.i.pointer
        arrives = self.moves & self.i.valid

        # What is known of a packet. From the beat on in which it is taken over, that is not the beat's word.
        # It all stays as it is behind a beat, so that whoever looks at it twice sees the same.
        beat: Any = Signal(self.passage, reset_less=True)
        valid, mine, keep = Signal(), Signal(), Signal()
        state = data.StructLayout({
            "known": 1,
            "ended": 1,
            "more": 1,  # there is an extension header at ``start``
            "start": OFFSET_BITS,
            "protocol": 8,
            "fragment": 1,
            "secured": 1,
            "routed": 1,
        })
        at: Any = Signal(state, reset_less=True)
        m.d.comb += keep.eq(mine & ~self.i.first)
        with m.If(self.moves):
            m.d.sync += valid.eq(self.i.valid)
        with m.If(self.enable & self.i.valid):
            m.d.sync += beat.eq(self.i)
        with m.If(arrives):
            m.d.sync += mine.eq(keep | pointer.chained)
        with m.If(arrives & ~keep):
            m.d.sync += [
                at.known.eq(pointer.known & ~pointer.chained),
                at.ended.eq(pointer.ended),
                at.more.eq(pointer.chained),
                at.start.eq(pointer.start),
                at.protocol.eq(pointer.protocol),
                at.fragment.eq(0),
                at.secured.eq(0),
                at.routed.eq(0),
            ]

        # A header's first words are fetched in one cycle and stepped over in the next; then it is looked
        # whether this beat has another one. What stops the stages in front is known from few registers, so
        # the first such beat waits in vain where the header is in a later one.
        fetches, steps = Signal(), Signal()
        wanted = Signal()
        near = Signal(reset_less=True)  # the next beat has what there is at ``start``
        inside = at.start[depth:] == beat.index  # so has this one
        pointed = pointer.start[depth:] == self.i.index
        at_next = at.start[depth:] == self.i.next_index
        pointed_next = pointer.start[depth:] == self.i.next_index
        at_following = at.start[depth:] == beat.next_index
        may_be_pointed = Const(self.passage.lanes > SHORTEST)
        m.d.comb += [
            wanted.eq(arrives & Mux(keep, at.more & near, pointer.chained & may_be_pointed)),
            self.busy.eq(wanted | fetches | steps),
        ]
        m.d.sync += [
            near.eq(Mux(arrives, Mux(keep, at_next, pointed_next), at_following)),
            fetches.eq(wanted | steps),
            steps.eq(fetches & at.more & inside),
        ]

        # A pointer is known by the beat that it points into.
        apart = Signal.like(self.i.apart, reset_less=True)
        reached = Mux(keep, at.known & near, pointer.known & ~pointer.chained & pointed)
        with m.If(arrives):
            m.d.sync += apart.eq(Cat(reached, apart & (~self.i.first).replicate(len(apart))))
        with m.Elif(fetches):
            m.d.sync += apart[0].eq(at.known & inside)

        self._step(m, beat, at, steps)
        if self.phase == 2:
            self._straddle(m, at, steps, arrives, keep)

        m.d.comb += [
            self.o.eq(beat),
            self.o.valid.eq(valid & self.moves),
            self.o.apart.eq(apart),
            self.o.pointer.known.eq(at.known),
            self.o.pointer.ended.eq(at.ended),
            self.o.pointer.start.eq(at.start),
            self.o.pointer.protocol.eq(at.protocol),
            self.o.pointer.chained.eq(0),
        ]
        for name in ("gre", "tcp", "udp"):
            is_it = at.protocol == getattr(Protocol, name.upper())
            m.d.comb += self.o.pointer[name].eq(at.known & ~at.ended & is_it)
        with m.If(mine):
            layer, before = self.o.layout[self.layer], beat.layout[self.layer]
            m.d.comb += [
                layer.end.eq(at.start),
                layer.fragment.eq(at.fragment),
                layer.secured.eq(before.secured | at.secured),
                layer.routed.eq(before.routed | at.routed),
            ]
        with m.If(is_present(beat, self.layer)):
            m.d.comb += self.o.layout.end.eq(at.start + Mux(at.more, SHORTEST, 0))
        return m

    def _step(self, m: Module, beat: Any, at: Any, steps: Signal) -> None:
        """Go on to the header behind the one that has been fetched."""
        place = at.start[2 : self.passage.beat_shift]
        lanes = range(self.phase, self.passage.lanes, 4)
        octets = [*beat.data, Const(0, 8), Const(0, 8)]
        following, units, left = (
            Signal(8, name=name, reset_less=True) for name in ("following", "units", "left")
        )
        shortest = Signal(OFFSET_BITS, reset_less=True)  # the byte behind the header if it is that short
        fragment, authentication, routing = (
            Signal(name=name, reset_less=True) for name in ("fragment", "authentication", "routing")
        )
        m.d.sync += [
            shortest.eq(at.start + SHORTEST),
            fragment.eq(at.protocol == Protocol.FRAGMENT),
            authentication.eq(at.protocol == Protocol.AH),
            routing.eq(at.protocol == Protocol.ROUTING),
            following.eq(pick([octets[n] for n in lanes], place)),
            units.eq(pick([octets[n + 1] for n in lanes], place)),
            left.eq(pick([octets[n + 3] for n in lanes], place)),
        ]

        fours = Mux(fragment, 0, Mux(authentication, units, units << 1))  # behind that
        more = is_among(following, WALKED) & ~fragment
        with m.If(steps):
            m.d.sync += [
                at.known.eq(~more),
                at.ended.eq(fragment),
                at.more.eq(more),
                at.start.eq(Cat(shortest[:2], shortest[2:] + fours)),
                at.protocol.eq(following),
                at.fragment.eq(fragment),
                at.secured.eq(at.secured | is_secured(following)),
                at.routed.eq(at.routed | (routing & left.any())),
            ]

    def _straddle(self, m: Module, at: Any, steps: Signal, arrives: Any, keep: Signal) -> None:
        """A routing header's Segments Left is in its second word, which may be the first of the next beat."""
        straddles = Signal()
        with m.If(arrives):
            m.d.sync += straddles.eq(0)
            with m.If(keep & straddles):
                m.d.sync += at.routed.eq(at.routed | self.i.data[1].any())
        with m.If(steps):
            last_place = at.start[2 : self.passage.beat_shift].all()
            m.d.sync += straddles.eq((at.protocol == Protocol.ROUTING) & last_place)
