"""Collects the addresses of the outer frame."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import select
from offramp.receive.survey import Surveyed
from offramp.walk.addresses import ADDRESS_WORDS, IPV6_PLACE, MAC_WORDS, Addresses, arranged, joined
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
    shape : Surveyed
        Layout of the beats.

    Members
    -------
    surveyed : In(shape)
        Beats.
    addresses : Out(Addresses)
        What has passed, :attr:`latency` cycles later.
    tag : Out(16)
        Control information of the first VLAN tag, likewise.
    """

    latency = 1

    def __init__(self, shape: Surveyed) -> None:
        self.lanes = shape.lanes
        super().__init__({
            "surveyed": In(shape),
            "addresses": Out(Addresses),
            "tag": Out(16),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat: Any = self.surveyed
        wanted = (*range(MAC_WORDS), TAG_PLACE, *range(FIRST_PLACES[0], FIRST_PLACES[-1] + ADDRESS_WORDS))

        # Beats are told apart by a bit each. It is the one that passes or, where there is none, the next:
        # what is taken for it then is replaced by what it has.
        here = Signal(2 * max(wanted) // self.lanes + 1, init=1)
        with m.If(beat.valid):
            m.d.sync += here.eq(Mux(beat.last, 1, here << 1))
        words: dict[int, Signal] = {}
        for place in wanted:
            number, lane = divmod(2 * place, self.lanes)
            words[place] = Signal(16, name=f"word{place}", reset_less=True)
            with m.If(here[number]):
                m.d.sync += words[place].eq(Cat(beat.data[lane + 1], beat.data[lane]))

        ipv4 = Signal(reset_less=True)
        tagged = Signal(len(STARTS), reset_less=True)  # never, once, twice
        tags = beat.layout.tags
        m.d.sync += [ipv4.eq(beat.layout.outer.ipv4), tagged.eq(Cat(tags == 0, tags))]
        ip: list[Value] = [
            select([(bit, words[place + n]) for bit, place in zip(tagged, FIRST_PLACES, strict=True)])
            for n in range(ADDRESS_WORDS)
        ]
        m.d.comb += [
            self.addresses.mac.eq(joined([words[n] for n in range(MAC_WORDS)])),
            self.addresses.ip.eq(arranged(ip, ipv4)),
            self.tag.eq(words[TAG_PLACE]),
        ]
        return m
