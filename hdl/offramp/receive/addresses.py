"""Collects the addresses of the outer frame."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import select
from offramp.walk.addresses import ADDRESS_WORDS, IPV6_PLACE, MAC_WORDS, Addresses, arranged, joined
from offramp.walk.layout import Passage
from offramp.walk.link import STARTS

TAG_PLACE = 7
"""Word with the control information of the first VLAN tag."""

FIRST_PLACES = [start // 2 + IPV6_PLACE for start in STARTS]
"""Words with the first IP address, by the number of tags."""


class OuterAddresses(wiring.Component):
    """Collects the addresses of the outer frame, which have few places to be at.

    Free-running, one beat a cycle and one frame a cycle. Whether an address is there at all is for others to
    tell: where not, there is something else.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.

    Members
    -------
    passed : In(passage)
        Beats that have passed the walk.
    addresses : Out(Addresses)
        What has passed, :attr:`latency` cycles later.
    tag : Out(16)
        Control information of the first VLAN tag, likewise.
    """

    latency = 2

    def __init__(self, passage: Passage) -> None:
        self.lanes = passage.lanes
        super().__init__({
            "passed": In(passage),
            "addresses": Out(Addresses),
            "tag": Out(16),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat: Any = self.passed
        layout = beat.layout
        wanted = (*range(MAC_WORDS), TAG_PLACE, *range(FIRST_PLACES[0], FIRST_PLACES[-1] + ADDRESS_WORDS))

        # Beats are told apart by a bit each. It is the one that passes or, where there is none, the next:
        # what is taken for it then is replaced by what it has.
        here = Signal(2 * max(wanted) // self.lanes + 1, init=1)
        with m.If(beat.valid | beat.beyond):
            m.d.sync += here.eq(Mux(layout.last, 1, here << 1))
        words: dict[int, Signal] = {}
        for place in wanted:
            number, lane = divmod(2 * place, self.lanes)
            words[place] = Signal(16, name=f"word{place}", reset_less=True)
            with m.If(here[number]):
                m.d.sync += words[place].eq(Cat(beat.data[lane + 1], beat.data[lane]))

        ipv4 = Signal(reset_less=True)
        tagged = Signal(len(STARTS), reset_less=True)  # never, once, twice
        m.d.sync += [ipv4.eq(layout.outer.ipv4), tagged.eq(Cat(layout.tags == 0, layout.tags))]
        ip: list[Value] = [
            select([(bit, words[place + n]) for bit, place in zip(tagged, FIRST_PLACES, strict=True)])
            for n in range(ADDRESS_WORDS)
        ]

        # Whoever hashes addresses of either layer has no time left to look for them.
        addresses: Any = Signal(Addresses, reset_less=True)
        tag = Signal(16, reset_less=True)
        m.d.sync += [
            addresses.mac.eq(joined([words[n] for n in range(MAC_WORDS)])),
            addresses.ip.eq(arranged(ip, ipv4)),
            tag.eq(words[TAG_PLACE]),
        ]
        m.d.comb += [self.addresses.eq(addresses), self.tag.eq(tag)]
        return m
