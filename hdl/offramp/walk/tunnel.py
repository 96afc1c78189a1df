"""A stage of the walk: the tunnel header and the inner Ethernet header."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from offramp.walk import network
from offramp.walk.layout import OFFSET_BITS, Passage
from offramp.walk.word import Wanted, Words, merged

GRE_BYTES = 8  # with a key and nothing else (WIRE-4)
VXLAN_BYTES = 16  # with the UDP header in front (VX-3)
ETHERNET_BYTES = 14
TAG_BYTES = 4

STARTS = tuple(tunnel + ETHERNET_BYTES + tag for tunnel in (GRE_BYTES, VXLAN_BYTES) for tag in (0, TAG_BYTES))
"""Where the inner IP header can start, in bytes behind the outer IP header."""

_WORDS: Wanted = {
    0: ("key_only", "gre_options"),
    1: ("bridging",),
    3: ("any",),
    4: (),
}
WORDS = merged(_WORDS, network.wanted(STARTS))
"""Words behind the outer IP header that :class:`TunnelHeader` looks at."""


class TunnelHeader(wiring.Component):
    """Recognises NVGRE (WIRE-3, WIRE-4) and VXLAN (VX-2, VX-7) and finds the inner EtherType.

    The inner Ethernet header may have one VLAN tag (WIRE-7). Only the tunnels that ``i.look`` names are
    looked into; without any, the pointer is handed on. A packet that should have a tunnel and has none
    ends the walk.

    Free-running, one beat a cycle; ``o`` is ``i`` delayed by :attr:`latency` cycles.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.

    Members
    -------
    i : In(passage)
        Beats with a pointer behind the outer IP header.
    words : In(Words(WORDS))
        The words :data:`WORDS` behind that pointer, as far as they have passed with ``i``.
    o : Out(passage)
        The same beats, with a pointer to the inner IP header. Not registered.
    header : Out(Header)
        What that header is, as far as it has passed. Not registered.
    """

    latency = 1

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        super().__init__({
            "i": In(passage),
            "words": In(Words(WORDS)),
            "o": Out(passage),
            "header": Out(network.Header),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words: Any = {place: self.words[f"word{place}"] for place in WORDS}
        pointer = self.i.pointer
        look = self.i.look

        # First cycle: what every place would mean, were it the right one.
        gre, udp, nvgre, vxlan, options, other = (
            Signal(name=name) for name in ("gre", "udp", "nvgre", "vxlan", "options", "other")
        )
        looking = look.nvgre | look.vxlan
        alive = pointer.known & ~pointer.ended & looking
        is_nvgre = look.nvgre & words[1].bridging & words[0].key_only
        is_vxlan = look.vxlan & (words[1].value == look.vxlan_port) & words[4].value[11]
        m.d.comb += [
            gre.eq(pointer.gre & looking),
            udp.eq(pointer.udp & looking),
            nvgre.eq(gre & words[1].passed & is_nvgre),
            options.eq(gre & words[1].passed & words[1].bridging & words[0].gre_options),
            vxlan.eq(udp & words[4].passed & is_vxlan),
            other.eq(Mux(gre, words[1].passed & ~is_nvgre, Mux(udp, words[4].passed & ~is_vxlan, alive))),
        ]

        known: Any = Signal(self.passage)
        middle = self.passage.later(m, known, name="middle")
        tunnel = known.layout.tunnel
        inside = Signal()
        starts = [Signal(OFFSET_BITS, name=f"start{n}", reset_less=True) for n in range(2)]  # by tag
        m.d.comb += [
            known.eq(self.i),
            tunnel.nvgre.eq(nvgre),
            tunnel.vxlan.eq(vxlan),
            tunnel.gre_options.eq(options),
            tunnel.checksum.eq(words[3].any),
            tunnel.inner_frame.eq(pointer.start + Mux(gre, GRE_BYTES, VXLAN_BYTES)),
        ]
        m.d.sync += [
            inside.eq((gre & (~words[1].passed | is_nvgre)) | (udp & (~words[4].passed | is_vxlan))),
            starts[0].eq(pointer.start + Mux(gre, STARTS[0], STARTS[2])),
            starts[1].eq(pointer.start + Mux(gre, STARTS[1], STARTS[3])),
        ]
        with m.If(gre | udp):
            m.d.comb += known.layout.end.eq(pointer.start + Mux(gre, GRE_BYTES, VXLAN_BYTES))
        with m.If(other):
            m.d.comb += known.pointer.ended.eq(1)

        # A tag moves what is behind it from the first of a tunnel's two places to the second.
        heres, passes = [], []
        for is_it, pair in ((nvgre, STARTS[:2]), (vxlan, STARTS[2:])):
            plain, behind = (words[start // 2 - 1] for start in pair)
            tagged = plain.passed & plain.tag
            heres += [is_it & ~tagged, is_it & tagged]
            passes += [is_it & ~tagged & plain.passed, is_it & tagged & behind.passed]
        reached, moved = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [reached.eq(Cat(passes).any()), moved.eq(Cat(heres[1::2]).any())]
        readings = [network.read(m, start, here, words) for start, here in zip(STARTS, heres, strict=True)]

        # Second cycle, which the reader of the inner IP header shares.
        tunnel = middle.layout.tunnel
        start = Mux(moved, *reversed(starts))
        inner: Any = self.o.layout.inner
        m.d.comb += self.o.eq(middle)
        m.d.comb += [self.header[name].eq(value) for name, value in network.choose(readings).items()]
        with m.If(inside):
            m.d.comb += self.o.pointer.known.eq(reached)
        with m.If(tunnel.nvgre | tunnel.vxlan):
            m.d.comb += [
                self.o.pointer.start.eq(start),
                inner.start.eq(start),
                self.o.layout.end.eq(start),
            ]
        return m
