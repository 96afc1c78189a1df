"""A stage of the walk: the tunnel header and the inner Ethernet header."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk import network
from offramp.walk.layout import OFFSET_BITS, EtherType, Passage, Protocol

GRE_BYTES = 8  # with a key and nothing else (WIRE-4)
VXLAN_BYTES = 16  # with the UDP header in front (VX-3)
ETHERNET_BYTES = 14
TAG_BYTES = 4

STARTS = tuple(
    tunnel + ETHERNET_BYTES + tag for tunnel in (GRE_BYTES, VXLAN_BYTES) for tag in (0, TAG_BYTES)
)
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
    network_words, network_have : Out
        Words of the inner IP header, for :class:`offramp.walk.network.IpHeader`.
    """

    latency = 1

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        super().__init__({
            "i": In(passage),
            "words": In(data.ArrayLayout(16, len(WORDS))),
            "have": In(len(WORDS)),
            "o": Out(passage),
            "network_words": Out(data.ArrayLayout(16, len(network.WORDS))),
            "network_have": Out(len(network.WORDS)),
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
        alive = pointer.known & ~pointer.ended & (look.nvgre | look.vxlan)
        m.d.comb += [
            gre.eq(alive & (pointer.protocol == Protocol.GRE)),
            udp.eq(alive & (pointer.protocol == Protocol.UDP)),
            nvgre.eq(gre & have[1] & look.nvgre & bridging & (words[0] == 0x2000)),
            options.eq(gre & have[1] & bridging & (words[0][12:] & 0b1101).any() & ~words[0][:3].any()),
            vxlan.eq(udp & have[4] & look.vxlan & (words[1] == look.vxlan_port) & words[4][11]),
            other.eq(Mux(gre, have[1] & ~nvgre, Mux(udp, have[4] & ~vxlan, alive))),
        ]

        middle = Signal(self.passage, reset_less=True)
        tunnel: Any = middle.layout.tunnel
        inside = Signal()
        starts = [Signal(OFFSET_BITS, name=f"start{n}", reset_less=True) for n in range(2)]  # by tag
        m.d.sync += [
            middle.eq(self.i),
            inside.eq(alive & ~other),
            tunnel.nvgre.eq(nvgre),
            tunnel.vxlan.eq(vxlan),
            tunnel.gre_options.eq(options),
            tunnel.checksum.eq(words[3].any()),
            tunnel.inner_frame.eq(pointer.start + Mux(gre, GRE_BYTES, VXLAN_BYTES)),
            starts[0].eq(pointer.start + Mux(gre, STARTS[0], STARTS[2])),
            starts[1].eq(pointer.start + Mux(gre, STARTS[1], STARTS[3])),
        ]
        with m.If(gre | udp):
            m.d.sync += middle.layout.end.eq(pointer.start + Mux(gre, GRE_BYTES, VXLAN_BYTES))
        with m.If(other):
            m.d.sync += middle.pointer.ended.eq(1)

        passed, tag, ipv4, ipv6 = (
            Signal(len(TYPE_WORDS), name=name, reset_less=True) for name in ("passed", "tag", "ipv4", "ipv6")
        )
        for n, number in enumerate(TYPE_WORDS):
            kind = words[number]
            m.d.sync += [
                passed[n].eq(have[number]),
                tag[n].eq((kind == EtherType.CUSTOMER_TAG) | (kind == EtherType.SERVICE_TAG)),
                ipv4[n].eq(kind == EtherType.IPV4),
                ipv6[n].eq(kind == EtherType.IPV6),
            ]
        kept_words = {number: Signal(16, name=f"kept{number}", reset_less=True) for number in NETWORK_WORDS}
        kept_have = {number: Signal(name=f"has{number}", reset_less=True) for number in NETWORK_WORDS}
        for number in NETWORK_WORDS:
            m.d.sync += [kept_words[number].eq(words[number]), kept_have[number].eq(have[number])]

        # Second cycle, which the reader of the inner IP header shares: which place it is.
        m.d.comb += self.o.eq(middle)
        with m.If(inside):
            m.d.comb += self.o.pointer.known.eq(0)
        inner: Any = self.o.layout.inner
        for n, start in enumerate(STARTS):
            here = tunnel.nvgre if n < 2 else tunnel.vxlan
            untagged = n - n % 2
            tagged = passed[untagged] & tag[untagged]
            with m.If(here & (tagged if n % 2 else ~tagged)):
                m.d.comb += [
                    self.o.pointer.known.eq(passed[n]),
                    self.o.pointer.start.eq(starts[n % 2]),
                    inner.start.eq(starts[n % 2]),
                    inner.ipv4.eq(ipv4[n]),
                    inner.ipv6.eq(ipv6[n]),
                    self.o.layout.end.eq(starts[n % 2]),
                    self.network_have.eq(Cat(kept_have[start // 2 + word] for word in network.WORDS)),
                ]
                chosen = [kept_words[start // 2 + word] for word in network.WORDS]
                m.d.comb += Cat(self.network_words).eq(Cat(chosen))
        return m
