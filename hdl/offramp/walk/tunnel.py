"""A stage of the walk: the tunnel header and the inner Ethernet header."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk import network
from offramp.walk.layout import OFFSET_BITS, EtherType, Passage, is_tag

GRE_BYTES = 8  # with a key and nothing else (WIRE-4)
VXLAN_BYTES = 16  # with the UDP header in front (VX-3)
ETHERNET_BYTES = 14
TAG_BYTES = 4

STARTS = tuple(tunnel + ETHERNET_BYTES + tag for tunnel in (GRE_BYTES, VXLAN_BYTES) for tag in (0, TAG_BYTES))
"""Where the inner IP header can start, in bytes behind the outer IP header."""

HEADER_WORDS = (0, 1, 3, 4)
TYPE_WORDS = tuple(start // 2 - 1 for start in STARTS)
NETWORK_WORDS = tuple(sorted({start // 2 + word for start in STARTS for word in network.WORDS}))
WORDS = tuple(sorted({*HEADER_WORDS, *TYPE_WORDS, *NETWORK_WORDS}))
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
    words : In(ArrayLayout(16, len(WORDS)))
        The words :data:`WORDS` behind that pointer, as far as they have passed with ``i``.
    have : In(len(WORDS))
        Which of them have.
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
            "words": In(data.ArrayLayout(16, len(WORDS))),
            "have": In(len(WORDS)),
            "o": Out(passage),
            "header": Out(network.Header),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = {number: self.words[n] for n, number in enumerate(WORDS)}
        have = {number: self.have[n] for n, number in enumerate(WORDS)}
        pointer = self.i.pointer
        look = self.i.look

        # First cycle: what every place would mean, were it the right one.
        gre, udp, nvgre, vxlan, options, other = (
            Signal(name=name) for name in ("gre", "udp", "nvgre", "vxlan", "options", "other")
        )
        bridging = words[1] == EtherType.TRANSPARENT_BRIDGING
        looking = look.nvgre | look.vxlan
        alive = pointer.known & ~pointer.ended & looking
        is_nvgre = look.nvgre & bridging & (words[0] == 0x2000)
        is_vxlan = look.vxlan & (words[1] == look.vxlan_port) & words[4][11]
        m.d.comb += [
            gre.eq(pointer.gre & looking),
            udp.eq(pointer.udp & looking),
            nvgre.eq(gre & have[1] & is_nvgre),
            options.eq(gre & have[1] & bridging & (words[0][12:] & 0b1101).any() & ~words[0][:3].any()),
            vxlan.eq(udp & have[4] & is_vxlan),
            other.eq(Mux(gre, have[1] & ~is_nvgre, Mux(udp, have[4] & ~is_vxlan, alive))),
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
            tunnel.checksum.eq(words[3].any()),
            tunnel.inner_frame.eq(pointer.start + Mux(gre, GRE_BYTES, VXLAN_BYTES)),
        ]
        m.d.sync += [
            inside.eq((gre & (~have[1] | is_nvgre)) | (udp & (~have[4] | is_vxlan))),
            starts[0].eq(pointer.start + Mux(gre, STARTS[0], STARTS[2])),
            starts[1].eq(pointer.start + Mux(gre, STARTS[1], STARTS[3])),
        ]
        with m.If(gre | udp):
            m.d.comb += known.layout.end.eq(pointer.start + Mux(gre, GRE_BYTES, VXLAN_BYTES))
        with m.If(other):
            m.d.comb += known.pointer.ended.eq(1)

        # A tag moves what is behind it from the first of a tunnel's two places to the second. Which tunnel it
        # is takes longest to tell: it is asked in the second cycle, if the reader of the inner IP header has
        # one more for what it reads.
        waits = network.reads_late(self.passage)
        kinds = ((nvgre, middle.layout.tunnel.nvgre), (vxlan, middle.layout.tunnel.vxlan))
        places, kept = [], []
        for (is_it, was_it), pair in zip(kinds, ((0, 1), (2, 3)), strict=True):
            plain, behind = (TYPE_WORDS[n] for n in pair)
            tagged = have[plain] & is_tag(words[plain])
            if waits:
                kept += [was_it, was_it]
                is_it = Const(1)
            places += [(is_it & ~tagged, have[plain]), (is_it & tagged, have[behind])]
        reached, moved = Signal(), Signal(reset_less=True)
        if not waits:
            m.d.sync += [
                reached.eq(Cat(here & passed for here, passed in places).any()),
                moved.eq(Cat(here for here, _ in places[1::2]).any()),
            ]
        readings = [
            network.read(
                m,
                f"at{start}",
                here,
                words[number],
                {word: words[start // 2 + word] for word in network.WORDS},
                {word: have[start // 2 + word] for word in network.WORDS},
            )
            for (here, _), start, number in zip(places, STARTS, TYPE_WORDS, strict=True)
        ]
        if waits:
            heres, passes = (
                Signal(len(STARTS), name=name, reset_less=True) for name in ("heres", "passes")
            )
            m.d.sync += [
                heres.eq(Cat(here for here, _ in places)),
                passes.eq(Cat(here & passed for here, passed in places)),
            ]
            m.d.comb += [
                reached.eq((passes & Cat(kept)).any()),
                moved.eq((heres & Cat(kept) & 0b1010).any()),
            ]
            readings = [
                [(is_it & kind, reading) for is_it, reading in pair]
                for pair, kind in zip(readings, kept, strict=True)
            ]

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
