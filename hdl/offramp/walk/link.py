"""The first stage of the walk: the outer Ethernet header."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk import network
from offramp.walk.layout import EtherType, Passage

STARTS = (14, 18, 22)
"""Bytes at which the outer IP header can start: behind none, one or two VLAN tags."""


class Link(wiring.Component):
    """Finds the outer EtherType behind up to two VLAN tags (802.1Q, 802.1ad; TXC-16).

    The outer IP header has only three places to start at, so what is wanted of it is collected here for
    each of them.

    Free-running, one beat a cycle; ``o`` is ``i`` delayed by :attr:`latency` cycles. Fills
    ``layout.outer`` (start and version) and the pointer.

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
    network_words, network_have : Out
        Words of the outer IP header, for :class:`offramp.walk.network.IpHeader`.
    """

    latency = 1

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        super().__init__({
            "i": In(passage),
            "o": Out(passage),
            "network_words": Out(data.ArrayLayout(16, len(network.WORDS))),
            "network_have": Out(len(network.WORDS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.passage.lanes

        # What the EtherType would be if it stood in front of each possible start, as far as it has passed.
        passed, tag, ipv4, ipv6 = (Signal(3, name=name) for name in ("passed", "tag", "ipv4", "ipv6"))
        for n, start in enumerate(STARTS):
            beat, lane = divmod(start - 2, lanes)
            kind = Cat(self.i.data[lane + 1], self.i.data[lane])
            with m.If(self.i.valid & (self.i.index == beat)):
                m.d.sync += [
                    passed[n].eq(1),
                    tag[n].eq((kind == EtherType.CUSTOMER_TAG) | (kind == EtherType.SERVICE_TAG)),
                    ipv4[n].eq(kind == EtherType.IPV4),
                    ipv6[n].eq(kind == EtherType.IPV6),
                ]
            with m.Elif(self.i.valid & self.i.first):
                m.d.sync += passed[n].eq(0)

        # Likewise the words of the IP header, by their place in the packet.
        places = sorted({start + 2 * word for start in STARTS for word in network.WORDS})
        words = {place: Signal(16, name=f"word{place}", reset_less=True) for place in places}
        have = {place: Signal(name=f"have{place}") for place in places}
        for place in places:
            beat, lane = divmod(place, lanes)
            with m.If(self.i.valid & (self.i.index == beat)):
                m.d.sync += [
                    words[place].eq(Cat(self.i.data[lane + 1], self.i.data[lane])),
                    have[place].eq(1),
                ]
            with m.Elif(self.i.valid & self.i.first):
                m.d.sync += have[place].eq(0)

        held = Signal(self.passage)
        m.d.sync += held.eq(self.i)
        m.d.comb += self.o.eq(held)

        outer, pointer = self.o.layout.outer, self.o.pointer

        def behind(n: int, known: Signal) -> None:
            m.d.comb += [
                pointer.known.eq(known),
                pointer.start.eq(STARTS[n]),
                outer.start.eq(STARTS[n]),
                outer.ipv4.eq(ipv4[n]),
                outer.ipv6.eq(ipv6[n]),
                self.o.layout.end.eq(STARTS[n]),
                self.network_have.eq(Cat(have[STARTS[n] + 2 * word] for word in network.WORDS)),
            ]
            m.d.comb += [
                self.network_words[k].eq(words[STARTS[n] + 2 * word]) for k, word in enumerate(network.WORDS)
            ]

        with m.If(~(passed[0] & tag[0])):
            behind(0, passed[0])
        with m.Elif(~(passed[1] & tag[1])):
            behind(1, passed[1])
        with m.Else():
            behind(2, passed[2])
        return m
