"""The first stage of the walk: the outer Ethernet header."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import select
from offramp.walk import network
from offramp.walk.layout import Passage
from offramp.walk.word import Word

STARTS = (14, 18, 22)
"""Bytes at which the outer IP header can start: behind none, one or two VLAN tags."""


class Link(wiring.Component):
    """Finds the outer EtherType behind up to two VLAN tags (802.1Q, 802.1ad; TXC-16).

    The outer IP header has only three places to start at, so what is wanted of it is collected here for
    each of them.

    Free-running, one beat a cycle; ``o`` is ``i`` delayed by :attr:`latency` cycles. Fills
    ``layout.tags``, ``layout.outer.start`` and the pointer.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.

    Members
    -------
    i : In(passage)
        Beats of the window.
    o : Out(passage)
        The same beats, with a pointer to the outer IP header. Not registered.
    header : Out(Header)
        What that header is, as far as it has passed. Not registered.
    """

    latency = 2

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        super().__init__({
            "i": In(passage),
            "o": Out(passage),
            "header": Out(network.Header),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.passage.lanes

        # Beats are told apart by a bit each, which costs less to look at than a number. It is the one that
        # passes or, where there is none, the next: what is taken for it then is replaced by what it has.
        wanted = network.wanted(STARTS)
        here = Signal(2 * max(wanted) // lanes + 1, init=1)
        with m.If(self.i.valid | self.i.beyond):
            m.d.sync += here.eq(Mux(self.i.layout.last, 1, here << 1))

        # First cycle: keep words, and tell whether they have passed.
        words: dict[int, Any] = {}
        for place, marks in wanted.items():
            beat, lane = divmod(2 * place, lanes)
            words[place] = word = Signal(Word(marks), name=f"word{place}", reset_less=True)
            with m.If(here[beat]):
                told = word.shape().told(Cat(self.i.data[lane + 1], self.i.data[lane]))
                m.d.sync += [word[name].eq(value) for name, value in told.items()]
            m.d.sync += word.passed.eq(~here[:beat].any())

        # Second cycle: what those words say, and which place it is.
        untagged, once, twice = (words[start // 2 - 1] for start in STARTS)
        tagged = untagged.passed & untagged.tag
        tagged_twice = tagged & once.passed & once.tag
        chosen = Signal(len(STARTS), reset_less=True)
        known = Signal(reset_less=True)
        m.d.sync += [
            chosen.eq(Cat(~tagged, tagged & ~tagged_twice, tagged_twice)),
            known.eq(Mux(tagged_twice, twice.passed, Mux(tagged, once.passed, untagged.passed))),
        ]
        heres = (Const(1), tagged, tagged_twice)
        readings = [network.read(m, start, here, words) for start, here in zip(STARTS, heres, strict=True)]
        first = Signal(network.First, reset_less=True)
        firsts = (network.first_extension(start, words) for start in STARTS)
        m.d.sync += first.eq(select(list(zip(heres, firsts, strict=True))))
        early = self.passage.later(m, self.i, name="early")
        late = self.passage.later(m, early, name="late")

        # Third cycle, which the reader of the IP header shares.
        outer, pointer = self.o.layout.outer, self.o.pointer
        start, behind = (
            select([(bit, Const(place + more, 6)) for bit, place in zip(chosen, STARTS, strict=True)])
            for more in (0, network.IPV6_BYTES)
        )
        m.d.comb += [
            self.o.eq(late),
            pointer.known.eq(known),
            pointer.start.eq(start),
            outer.start.eq(start),
            self.o.layout.end.eq(start),
            self.o.layout.tags.eq(chosen[1:]),
            self.header.behind.eq(behind),
            self.header.within.eq(1),  # 62 bytes at most, and windows have 64 or more
            # Without a tag or with two of them the extension headers begin in an odd slot.
            self.header.parity.eq(~chosen[1]),
            self.header.even.eq((STARTS[1] + network.IPV6_BYTES) // 8),
            self.header.odd.eq(
                Mux(chosen[2], (STARTS[2] + network.IPV6_BYTES) // 8, (STARTS[0] + network.IPV6_BYTES) // 8)
            ),
            self.header.first.eq(first),
        ]
        m.d.comb += [self.header[name].eq(value) for name, value in network.choose(readings).items()]
        return m
