"""A stage of the walk: the tunnel header and the inner Ethernet header."""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import select
from offramp.walk import network
from offramp.walk.layout import OFFSET_BITS, Passage
from offramp.walk.word import Wanted, Words, merged

GRE_BYTES = tuple(4 + 4 * fields for fields in range(4))  # by the number of optional fields (WIRE-10)
VXLAN_BYTES = 16  # with the UDP header in front (VX-3)
ETHERNET_BYTES = 14
TAG_BYTES = 4

TUNNELS = sorted({*GRE_BYTES, VXLAN_BYTES})
"""Lengths of tunnel headers."""

STARTS = sorted({tunnel + ETHERNET_BYTES + tag for tunnel in TUNNELS for tag in (0, TAG_BYTES)})
"""Where the inner IP header can start, in bytes behind the outer IP header."""

_WORDS: Wanted = {
    0: ("key_only", "gre_options", "gre_plain", "gre_checksum", "gre_odd", "gre_more"),
    1: ("bridging",),
    2: (),
    3: ("any",),
    4: (),
}
WORDS = merged(_WORDS, network.wanted(STARTS))
"""Words behind the outer IP header that :class:`TunnelHeader` looks at."""


class TunnelHeader(wiring.Component):
    """Recognises NVGRE (WIRE-3, WIRE-4) and VXLAN (VX-2, VX-7) and finds the inner EtherType.

    The inner Ethernet header may have one VLAN tag (WIRE-7). Only the tunnels that ``i.look`` names are
    looked into; without any, the pointer is handed on. If it is ``strict``, a packet without a tunnel ends
    the walk. Otherwise GRE may have all its optional fields (RXP-2), a tunnel that is not understood ends it
    as ``unknown``, and the pointer to any other header is handed on, to that of UDP as soon as it is known,
    even if it is replaced when the datagram turns out to be VXLAN.

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
        strict = look.strict
        gre, udp = Signal(), Signal()
        m.d.comb += [gre.eq(pointer.gre & look.nvgre), udp.eq(pointer.udp & look.vxlan)]
        told_gre, told_udp = words[1].passed, words[4].passed
        fields = Cat(words[0].gre_odd, words[0].gre_more)  # their number
        is_nvgre = words[1].bridging & Mux(strict, words[0].key_only, words[0].gre_plain)
        is_port = words[1].value == look.vxlan_port
        is_vxlan = is_port & words[4].value[11]
        nvgre, vxlan, unknown, other = (Signal(name=name) for name in ("nvgre", "vxlan", "unknown", "other"))
        alive = pointer.known & ~pointer.ended & (look.nvgre | look.vxlan)
        m.d.comb += [
            nvgre.eq(gre & told_gre & is_nvgre),
            vxlan.eq(udp & told_udp & is_vxlan),
            unknown.eq((gre & told_gre & ~is_nvgre) | (udp & told_udp & is_port & ~words[4].value[11])),
            other.eq(Mux(gre, told_gre & ~is_nvgre, Mux(udp, told_udp & ~is_vxlan, alive))),
        ]

        def behind(more: int) -> Value:
            """The byte so many bytes behind the tunnel header."""
            sizes = Array(GRE_BYTES[number] + more for number in range(len(GRE_BYTES)))
            return pointer.start + Mux(pointer.udp, VXLAN_BYTES + more, sizes[fields])

        known: Any = Signal(self.passage)
        tunnel = known.layout.tunnel
        m.d.comb += [
            known.eq(self.i),
            tunnel.nvgre.eq(nvgre),
            tunnel.vxlan.eq(vxlan),
            tunnel.unknown.eq(unknown),
            tunnel.vxlan_port.eq(udp & words[1].passed & is_port),
            tunnel.gre_options.eq(gre & told_gre & words[1].bridging & words[0].gre_options),
            tunnel.checksum.eq(Mux(gre, words[0].gre_checksum, words[3].any)),
            tunnel.inner_frame.eq(behind(0)),
            tunnel.told.eq(words[2].passed),
            tunnel.length.eq(words[2].value),
            known.pointer.tentative.eq(udp & ~strict & (~words[1].passed | is_port) & ~told_udp),
        ]
        with m.If(Mux(strict, other, unknown)):
            m.d.comb += known.pointer.ended.eq(1)
        middle = self.passage.later(m, known, name="middle")

        needed = Signal(OFFSET_BITS, reset_less=True)  # for this much of a header it is told what it is
        needs, needs_vxlan = Signal(), Signal()
        shortest = Mux(pointer.udp, VXLAN_BYTES, Mux(strict, GRE_BYTES[1], GRE_BYTES[0]))
        m.d.sync += [needed.eq(pointer.start + shortest), needs.eq(gre | (udp & strict)), needs_vxlan.eq(udp)]
        inside = Signal()  # the pointer leads into a tunnel, or nowhere before that is known
        starts, ends = (
            [Signal(OFFSET_BITS, name=f"{name}{tag}", reset_less=True) for tag in (0, TAG_BYTES)]
            for name in ("start", "end")
        )
        m.d.sync += inside.eq((gre & (~told_gre | is_nvgre)) | (udp & Mux(told_udp, is_vxlan, strict)))
        within = Signal(2, reset_less=True)
        for n, (tag, start, end) in enumerate(zip((0, TAG_BYTES), starts, ends, strict=True)):
            after = behind(ETHERNET_BYTES + tag + network.IPV6_BYTES)[:OFFSET_BITS]
            m.d.sync += [
                start.eq(behind(ETHERNET_BYTES + tag)),
                end.eq(after),
                within[n].eq(~after[self.passage.beat_shift + len(self.i.index) :].any()),
            ]

        # A tag moves what is behind it from one of a tunnel's two places to the other.
        heres: dict[int, list[Value]] = {start: [] for start in STARTS}
        passes, moves, firsts = [], [], []
        tunnels = {size: nvgre & (fields == number) & ~strict for number, size in enumerate(GRE_BYTES)}
        tunnels[GRE_BYTES[1]] = nvgre & (fields == 1)
        tunnels[VXLAN_BYTES] |= vxlan
        for size, is_it in tunnels.items():
            place = size + ETHERNET_BYTES
            plain, further = (words[start // 2 - 1] for start in (place, place + TAG_BYTES))
            tagged = plain.passed & plain.tag
            heres[place].append(is_it & ~tagged)
            heres[place + TAG_BYTES].append(is_it & tagged)
            passes += [is_it & ~tagged & plain.passed, is_it & tagged & further.passed]
            moves.append(is_it & tagged)
            without_tag, behind_tag = (
                network.first_extension(start, words) for start in (place, place + TAG_BYTES)
            )
            firsts.append((is_it, Mux(tagged, behind_tag, without_tag)))
        reached, moved = Signal(reset_less=True), Signal(reset_less=True)
        first = Signal(network.First, reset_less=True)
        m.d.sync += [
            reached.eq(Cat(passes).any()),
            moved.eq(Cat(moves).any()),
            first.eq(select(firsts)),
        ]
        readings = [network.read(m, start, Cat(here).any(), words) for start, here in heres.items()]

        # Second cycle, which the reader of the inner IP header shares.
        found = middle.layout.tunnel.nvgre | middle.layout.tunnel.vxlan
        found_before = Signal()
        with m.If(middle.valid):
            m.d.sync += found_before.eq(found)
        start = Mux(moved, starts[1], starts[0])
        m.d.comb += [
            self.o.eq(middle),
            self.o.anew.eq(middle.anew | (found & ~found_before)),
            self.header.behind.eq(Mux(moved, ends[1], ends[0])),
            self.header.within.eq(Mux(moved, within[1], within[0])),
            # A tag is as long as a slot. Whichever of these neighbours is even, its place is the later one's.
            self.header.parity.eq(ends[0][2] ^ moved),
            self.header.even.eq(ends[1][3:]),
            self.header.odd.eq(ends[0][3:]),
            self.header.first.eq(first),
        ]
        m.d.comb += [self.header[name].eq(value) for name, value in network.choose(readings).items()]
        with m.If(inside):
            m.d.comb += self.o.pointer.known.eq(reached)
        with m.If(needs | (needs_vxlan & middle.layout.tunnel.vxlan_port)):
            m.d.comb += self.o.layout.end.eq(needed)
        with m.If(found):
            m.d.comb += [
                self.o.pointer.start.eq(start),
                self.o.layout.inner.start.eq(start),
                self.o.layout.tunnel.inner_tag.eq(moved),
                self.o.layout.end.eq(start),
            ]
        return m
