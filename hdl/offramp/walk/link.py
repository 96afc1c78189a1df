"""The first stage of the walk: the outer Ethernet header."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import select
from offramp.walk import network
from offramp.walk.layout import Passage, is_tag

STARTS = (14, 18, 22)
"""Bytes at which the outer IP header can start: behind none, one or two VLAN tags."""


class Link(wiring.Component):
    """Finds the outer EtherType behind up to two VLAN tags (802.1Q, 802.1ad; TXC-16).

    The outer IP header has only three places to start at, so what is wanted of it is collected here for
    each of them.

    Free-running, one beat a cycle; ``o`` is ``i`` delayed by :attr:`latency` cycles. Fills
    ``layout.outer.start`` and the pointer.

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
        What is known of that header. Not registered.
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

        # Beats are told apart by a bit each, which costs less to look at than a number.
        furthest = STARTS[-1] + 2 * network.WORDS[-1]
        here = Signal(furthest // lanes + 1, init=1)
        with m.If(self.i.valid):
            m.d.sync += here.eq(Mux(self.i.final, 1, here << 1))
        at = here & self.i.valid.replicate(len(here))

        # First cycle: what the EtherType would be if it stood in front of each possible start, as far as it
        # has passed.
        passed = Signal(3)
        kinds = [Signal(16, name=f"kind{start}", reset_less=True) for start in STARTS]
        for n, start in enumerate(STARTS):
            beat, lane = divmod(start - 2, lanes)
            with m.If(at[beat]):
                m.d.sync += [passed[n].eq(1), kinds[n].eq(Cat(self.i.data[lane + 1], self.i.data[lane]))]
            with m.Elif(at[0]):
                m.d.sync += passed[n].eq(0)

        # Likewise the words of the IP header, by their place in the packet.
        places = sorted({start + 2 * word for start in STARTS for word in network.WORDS})
        words = {place: Signal(16, name=f"word{place}", reset_less=True) for place in places}
        have = {place: Signal(name=f"have{place}") for place in places}
        for place in places:
            beat, lane = divmod(place, lanes)
            with m.If(at[beat]):
                m.d.sync += [
                    words[place].eq(Cat(self.i.data[lane + 1], self.i.data[lane])),
                    have[place].eq(1),
                ]
            with m.Elif(at[0]):
                m.d.sync += have[place].eq(0)

        # Second cycle: what those words say.
        facts = []
        found: Any = Signal(data.StructLayout({"tagged": 3, "passed": 3}), reset_less=True)
        m.d.sync += found.passed.eq(passed)
        for n, (start, kind) in enumerate(zip(STARTS, kinds, strict=True)):
            facts.append(Signal(network.Facts, name=f"facts{start}", reset_less=True))
            said = network.read(
                kind,
                {word: words[start + 2 * word] for word in network.WORDS},
                {word: have[start + 2 * word] for word in network.WORDS},
            )
            m.d.sync += [facts[-1][name].eq(value) for name, value in said.items()]
            m.d.sync += found.tagged[n].eq(passed[n] & is_tag(kind))
        early, late = Signal(self.passage), Signal(self.passage)
        m.d.sync += [early.eq(self.i), late.eq(early)]

        # Third cycle, which the reader of the IP header shares: which place it is.
        outer, pointer = self.o.layout.outer, self.o.pointer
        chosen = Cat(~found.tagged[0], found.tagged[0] & ~found.tagged[1], found.tagged[0] & found.tagged[1])
        start = select([(bit, Const(place, 5)) for bit, place in zip(chosen, STARTS, strict=True)])
        m.d.comb += [
            self.o.eq(late),
            pointer.known.eq((chosen & found.passed).any()),
            pointer.start.eq(start),
            outer.start.eq(start),
            self.o.layout.end.eq(start),
            self.header.eq(network.choose(list(zip(chosen, facts, strict=True)))),
        ]
        return m
