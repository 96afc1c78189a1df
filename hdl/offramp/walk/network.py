"""A stage of the walk: one IP header, outer or inner, without its IPv6 extension headers."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import Network, Passage, Pointer, Protocol

WORDS = (0, 1, 2, 3, 4)
"""Words of the IP header that :class:`IpHeader` looks at."""


class IpHeader(wiring.Component):
    """Reads an IPv4 header, options included, or an IPv6 header (RXP-4, REQ-8).

    The version is the EtherType's; a version nibble that says otherwise, or an IHL below 5, makes the
    header malformed and ends the walk, and so does an IPv4 fragment. Where there is no IP header the
    walk ends as well.

    Free-running, one beat a cycle; ``o`` is ``i`` delayed by :attr:`latency` cycles.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    layer : str
        ``"outer"`` or ``"inner"``: the part of the layout that has the version and start, and is filled.

    Members
    -------
    i : In(passage)
        Beats with a pointer to the header.
    words : In(ArrayLayout(16, 5))
        The header's words :data:`WORDS`, as far as they have passed with ``i``.
    have : In(5)
        Which of them have.
    o : Out(passage)
        The same beats, with a pointer behind the header.
    """

    latency = 1

    def __init__(self, passage: Passage, layer: str) -> None:
        self.passage = passage
        self.layer = layer
        super().__init__({
            "i": In(passage),
            "words": In(data.ArrayLayout(16, len(WORDS))),
            "have": In(len(WORDS)),
            "o": Out(passage),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        found: Any = self.i.layout[self.layer]
        version, ihl = self.words[0][12:16], self.words[0][8:12]

        network = Signal(Network)
        pointer = Signal(Pointer)
        m.d.comb += [
            network.eq(found),
            network.length.eq(Mux(found.ipv6, self.words[2], self.words[1])),
            network.identification.eq(self.words[2]),
            network.end.eq(found.start),
            pointer.start.eq(network.end),
        ]
        with m.If(found.ipv4):
            m.d.comb += [
                network.malformed.eq(self.have[0] & ((version != 4) | (ihl < 5))),
                network.fragment.eq(self.have[3] & self.words[3][:14].any()),  # more fragments, or an offset
                network.end.eq(found.start + Mux(self.have[0] & (version == 4) & (ihl > 5), ihl << 2, 20)),
                pointer.protocol.eq(self.words[4][:8]),
                pointer.known.eq(self.have[4]),
                pointer.ended.eq(network.malformed | network.fragment),
            ]
        with m.Elif(found.ipv6):
            m.d.comb += [
                network.malformed.eq(self.have[0] & (version != 6)),
                network.end.eq(found.start + 40),
                pointer.protocol.eq(self.words[3][8:]),
                pointer.known.eq(self.have[3]),
                pointer.ended.eq(network.malformed),
            ]
        with m.Else():
            m.d.comb += [pointer.known.eq(self.i.pointer.known), pointer.ended.eq(1)]

        with m.If(pointer.known & (found.ipv4 | found.ipv6)):
            secured = (pointer.protocol == Protocol.ESP) | (pointer.protocol == Protocol.AH)
            m.d.comb += network.secured.eq(secured)

        # There is an inner header only inside a tunnel; elsewhere the pointer is handed on.
        tunnel = self.i.layout.tunnel
        m.d.sync += self.o.eq(self.i)
        with m.If(Const(1) if self.layer == "outer" else tunnel.nvgre | tunnel.vxlan):
            m.d.sync += [
                self.o.layout[self.layer].eq(network),
                self.o.layout.end.eq(network.end),
                self.o.pointer.eq(pointer),
            ]
        return m
