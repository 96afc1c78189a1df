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

        # Beats are told apart by a bit each, which costs less to look at than a number. It is the one that
        # passes or, where there is none, the next: what is taken for it then is replaced by what it has.
        furthest = STARTS[-1] + 2 * network.WORDS[-1]
        here = Signal(furthest // lanes + 1, init=1)
        with m.If(self.i.valid):
            m.d.sync += here.eq(Mux(self.i.final, 1, here << 1))

        def collected(place: int, name: str) -> tuple[Signal, Signal]:
            """First cycle: keep the word at a place in the packet, and tell whether it has passed."""
            beat, lane = divmod(place, lanes)
            word = Signal(16, name=name, reset_less=True)
            have = Signal(name=f"{name}_passed", reset_less=True)
            with m.If(here[beat]):
                m.d.sync += word.eq(Cat(self.i.data[lane + 1], self.i.data[lane]))
            m.d.sync += have.eq(~here[:beat].any())
            return word, have

        kinds = [collected(start - 2, f"kind{start}") for start in STARTS]
        places = sorted({start + 2 * word for start in STARTS for word in network.WORDS})
        words = {place: collected(place, f"word{place}") for place in places}

        # Second cycle: what those words say.
        facts = []
        found: Any = Signal(data.StructLayout({"tagged": 3, "passed": 3}), reset_less=True)
        for n, (start, (kind, passed)) in enumerate(zip(STARTS, kinds, strict=True)):
            facts.append(Signal(network.Facts, name=f"facts{start}", reset_less=True))
            said = network.read(
                kind,
                {word: words[start + 2 * word][0] for word in network.WORDS},
                {word: words[start + 2 * word][1] for word in network.WORDS},
            )
            m.d.sync += [facts[-1][name].eq(value) for name, value in said.items()]
            m.d.sync += [found.passed[n].eq(passed), found.tagged[n].eq(passed & is_tag(kind))]
        early = self.passage.later(m, self.i, name="early")
        late = self.passage.later(m, early, name="late")

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
