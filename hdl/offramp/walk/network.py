"""A stage of the walk: one IP header, outer or inner, and its first IPv6 extension header."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import (
    OFFSET_BITS,
    Network,
    Passage,
    Pointer,
    Protocol,
    is_secured,
    is_walked,
)

WORDS = (0, 1, 2, 3, 4, 20, 21)
"""Words that are read, of an IP header and of the extension header behind an IPv6 header."""

IPV4_WORDS = 5  # of 32 bits, without options
IPV6_BYTES = 40
EXTENSION_BYTES = 8  # of the shortest


class Facts(data.Struct):
    """What the words of an IP header say, as far as they have passed, whichever version it is.

    ``length`` and ``identification`` are words 1 and 2, whatever they mean.
    """

    length: 16
    identification: 16
    ipv4_known: 1
    ipv4_malformed: 1
    ipv4_words: 4  # of 32 bits
    ipv4_fragment: 1
    ipv4_secured: 1
    ipv4_protocol: 8
    ipv6_known: 1
    ipv6_malformed: 1
    ipv6_fragment: 1
    ipv6_secured: 1
    ipv6_routed: 1
    ipv6_protocol: 8
    extended: 1  # there is an IPv6 extension header
    more_bytes: 11  # of it, behind the shortest


def read(words: Mapping[int, Any], have: Mapping[int, Value]) -> dict[str, Value]:
    """Return :class:`Facts` of the words :data:`WORDS`, as far as ``have`` says that they have passed."""
    version, ihl = words[0][12:16], words[0][8:12]
    protocol, first = words[4][:8], words[3][8:]
    following, length, segments_left = words[20][8:], words[20][:8], words[21][:8]
    extended = have[3] & is_walked(first)
    stepped = extended & have[20]
    longer = Mux(first == Protocol.AH, length << 2, length << 3)
    counts = stepped & (first != Protocol.FRAGMENT)
    return {
        "length": words[1],
        "identification": words[2],
        "ipv4_known": have[4],
        "ipv4_malformed": have[0] & ((version != 4) | (ihl < IPV4_WORDS)),
        "ipv4_words": Mux(have[0] & (version == 4) & (ihl > IPV4_WORDS), ihl, IPV4_WORDS),
        "ipv4_fragment": have[3] & words[3][:14].any(),  # more fragments, or an offset
        "ipv4_secured": have[4] & is_secured(protocol),
        "ipv4_protocol": protocol,
        "ipv6_known": have[3] & (~extended | have[20]),
        "ipv6_malformed": have[0] & (version != 6),
        "ipv6_fragment": stepped & (first == Protocol.FRAGMENT),
        "ipv6_secured": have[3] & (is_secured(first) | (stepped & is_secured(following))),
        "ipv6_routed": stepped & have[21] & (first == Protocol.ROUTING) & segments_left.any(),
        "ipv6_protocol": Mux(stepped, following, first),
        "extended": extended,
        "more_bytes": longer & counts.replicate(len(longer)),
    }


class Header(data.Struct):
    """The facts of one IP header, of which the version is known.

    It is ``bytes`` long, the shortest extension header included, and ``more_bytes``.
    """

    known: 1
    malformed: 1
    fragment: 1
    secured: 1
    routed: 1
    protocol: 8
    length: 16
    identification: 16
    bytes: 6
    more_bytes: 11


class IpHeader(wiring.Component):
    """Reads an IPv4 header, options included, or an IPv6 header with its first extension header.

    The version is the EtherType's (RXP-4, REQ-8); a version nibble that says otherwise, or an IHL below 5,
    makes the header malformed and ends the walk, and so does a fragment. Where there is no IP header the
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
    facts : In(Facts)
        What the header's words say, as far as they have passed with ``i``.
    o : Out(passage)
        The same beats, with a pointer behind the header.
    """

    def __init__(self, passage: Passage, layer: str) -> None:
        self.passage = passage
        self.layer = layer
        super().__init__({
            "i": In(passage),
            "facts": In(Facts),
            "o": Out(passage),
        })

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``: narrow datapaths, which are to be faster, take two."""
        return 2 if self.passage.lanes < 32 else 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat: Any = self.i
        header: Any = Signal(Header, reset_less=True)
        self._resolve(m, header)
        if self.latency > 1:
            early = header
            beat = Signal(self.passage, name="beat")
            header = Signal(Header, name="header_before", reset_less=True)
            m.d.sync += [beat.eq(self.i), header.eq(early)]

        found: Any = beat.layout[self.layer]
        exists = found.ipv4 | found.ipv6
        network = Signal(Network)
        pointer = Signal(Pointer)
        end = Signal(OFFSET_BITS)
        m.d.comb += [
            end.eq(found.start + header.more_bytes + header.bytes),
            network.eq(found),
            network.length.eq(header.length),
            network.identification.eq(header.identification),
            network.malformed.eq(header.malformed),
            network.fragment.eq(header.fragment),
            network.secured.eq(header.secured),
            network.routed.eq(header.routed),
            network.end.eq(end),
            pointer.start.eq(end),
            pointer.protocol.eq(header.protocol),
            pointer.known.eq(Mux(exists, header.known, beat.pointer.known)),
            pointer.ended.eq(~exists | header.malformed | header.fragment),
        ]

        # There is an inner header only inside a tunnel; elsewhere the pointer is handed on.
        tunnel = beat.layout.tunnel
        m.d.sync += self.o.eq(beat)
        with m.If(Const(1) if self.layer == "outer" else tunnel.nvgre | tunnel.vxlan):
            m.d.sync += [
                self.o.layout[self.layer].eq(network),
                self.o.layout.end.eq(end),
                self.o.pointer.eq(pointer),
            ]
        return m

    def _resolve(self, m: Module, header: Any) -> None:
        """Decide by the EtherType which of the facts count; without an IP header, none do."""
        facts: Any = self.facts
        ipv4, ipv6 = self.i.layout[self.layer].ipv4, self.i.layout[self.layer].ipv6
        regular = ipv6 & ~facts.ipv6_malformed
        fixed = Mux(facts.extended & regular, IPV6_BYTES + EXTENSION_BYTES, IPV6_BYTES)

        def of_version(name: str) -> Value:
            return (facts[f"ipv4_{name}"] & ipv4) | (facts[f"ipv6_{name}"] & ipv6)

        m.d.comb += [
            header.known.eq(of_version("known")),
            header.malformed.eq(of_version("malformed")),
            header.fragment.eq(
                (facts.ipv4_fragment & ipv4 & ~facts.ipv4_malformed) | (facts.ipv6_fragment & regular)
            ),
            header.secured.eq(of_version("secured")),
            header.routed.eq(facts.ipv6_routed & regular),
            header.protocol.eq(Mux(ipv6, facts.ipv6_protocol, facts.ipv4_protocol)),
            header.length.eq(Mux(ipv6, facts.identification, facts.length)),  # words 2 and 1
            header.identification.eq(facts.identification),
            header.bytes.eq(Mux(ipv6, fixed, (facts.ipv4_words << 2) & ipv4.replicate(6))),
            header.more_bytes.eq(facts.more_bytes & regular.replicate(len(facts.more_bytes))),
        ]
