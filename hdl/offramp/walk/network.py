"""A stage of the walk: one IP header, outer or inner, and its first IPv6 extension header."""

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import select
from offramp.walk.layout import (
    OFFSET_BITS,
    EtherType,
    Network,
    Passage,
    Pointer,
    Protocol,
    is_present,
    is_secured,
    is_walked,
)

WORDS = (0, 1, 2, 3, 4, 20, 21)
"""Words that are read, of an IP header and of the extension header behind an IPv6 header."""

IPV4_WORDS = 5  # of 32 bits, without options
IPV6_BYTES = 40
EXTENSION_BYTES = 8  # of the shortest


class Facts(data.Struct):
    """What the EtherType and the words of an IP header say, as far as they have passed.

    ``length`` and ``identification`` are words 1 and 2, whatever they mean. What the IPv6 header and an
    extension header behind it say together is IPv6's: ``walked`` that there is one, ``stepped`` that it has
    told which header is ``following``, ``chained`` that this is another one, and, if it ``stretches``,
    ``more_bytes`` how much longer than the shortest it is.
    """

    ipv4: 1
    ipv6: 1
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
    next_header: 8
    walked: 1
    stepped: 1
    following: 8
    chained: 1
    routed: 1
    stretches: 1
    more_bytes: 11


def read(kind: Value, words: Mapping[int, Any], have: Mapping[int, Value]) -> dict[str, Value]:
    """Return :class:`Facts` of an EtherType and the words :data:`WORDS`, as far as they have passed."""
    version, ihl = words[0][12:16], words[0][8:12]
    protocol, first = words[4][:8], words[3][8:]
    following, units, segments_left = words[20][8:], words[20][:8], words[21][:8]
    stepped = have[3] & have[20] & is_walked(first)  # over the extension header
    fragment = first == Protocol.FRAGMENT
    return {
        "ipv4": kind == EtherType.IPV4,
        "ipv6": kind == EtherType.IPV6,
        "length": words[1],
        "identification": words[2],
        "ipv4_known": have[4],
        "ipv4_malformed": have[0] & ((version != 4) | (ihl < IPV4_WORDS)),
        "ipv4_words": Mux(have[0] & (version == 4) & (ihl > IPV4_WORDS), ihl, IPV4_WORDS),
        "ipv4_fragment": have[3] & words[3][:14].any(),  # more fragments, or an offset
        "ipv4_secured": have[4] & is_secured(protocol),
        "ipv4_protocol": protocol,
        "ipv6_known": have[3] & (have[20] | ~is_walked(first)),
        "ipv6_malformed": have[0] & (version != 6),
        "ipv6_fragment": stepped & fragment,
        "ipv6_secured": (have[3] & is_secured(first)) | (stepped & is_secured(following)),
        "next_header": first,
        "walked": have[3] & is_walked(first),
        "stepped": stepped,
        "following": following,
        "chained": stepped & ~fragment & is_walked(following),
        "routed": have[21] & (first == Protocol.ROUTING) & segments_left.any(),
        "stretches": stepped & ~fragment,
        "more_bytes": Mux(first == Protocol.AH, units << 2, units << 3),
    }


class Header(data.Struct):
    """What one IP header comes to.

    It is ``bytes`` long, the shortest extension header included, and ``more_bytes``.
    """

    ipv4: 1
    ipv6: 1
    known: 1
    chained: 1  # there is a second extension header
    malformed: 1
    fragment: 1
    secured: 1
    routed: 1
    protocol: 8
    length: 16
    identification: 16
    bytes: 6
    more_bytes: 11


def resolve(facts: Any) -> dict[str, Value]:
    """Return :class:`Header`: the EtherType decides which of the facts count (RXP-4, REQ-8)."""
    ipv4, ipv6 = facts.ipv4, facts.ipv6
    regular = ipv6 & ~facts.ipv6_malformed
    return {
        "ipv4": ipv4,
        "ipv6": ipv6,
        "known": (ipv4 & facts.ipv4_known) | (ipv6 & facts.ipv6_known),
        "chained": regular & facts.chained,
        "malformed": (ipv4 & facts.ipv4_malformed) | (ipv6 & facts.ipv6_malformed),
        "fragment": (ipv4 & ~facts.ipv4_malformed & facts.ipv4_fragment) | (regular & facts.ipv6_fragment),
        "secured": (ipv4 & facts.ipv4_secured) | (ipv6 & facts.ipv6_secured),
        "routed": regular & facts.routed,
        "protocol": Mux(ipv6, Mux(facts.stepped, facts.following, facts.next_header), facts.ipv4_protocol),
        "length": Mux(ipv6, facts.identification, facts.length),  # words 2 and 1
        "identification": facts.identification,
        "bytes": Mux(
            ipv6,
            Mux(regular & facts.walked, IPV6_BYTES + EXTENSION_BYTES, IPV6_BYTES),
            (facts.ipv4_words << 2) & ipv4.replicate(6),
        ),
        "more_bytes": facts.more_bytes & (regular & facts.stretches).replicate(len(facts.more_bytes)),
    }


def choose(candidates: Sequence[tuple[Value, Any]]) -> Value:
    """Return the :class:`Header` of those facts whose condition holds; more than one may not."""
    headers = []
    for condition, facts in candidates:
        said = resolve(facts)
        header = Cat(
            Cat(said[name], Const(0, field.width))[: field.width]
            for name, field in data.Layout.cast(Header)
        )
        headers.append((condition, header))
    return select(headers)


class IpHeader(wiring.Component):
    """Reads an IPv4 header, options included, or an IPv6 header with its first extension header.

    A version nibble that is not the EtherType's, or an IHL below 5, makes the header malformed and ends the
    walk, and so does a fragment. Where there is no IP header the walk ends as well.

    Free-running, one beat a cycle; ``o`` is ``i`` delayed by :attr:`latency` cycles.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    layer : str
        ``"outer"`` or ``"inner"``: the part of the layout that has the start and is filled.

    Members
    -------
    i : In(passage)
        Beats with a pointer to the header.
    header : In(Header)
        What is known of it, as far as it has passed with ``i``.
    o : Out(passage)
        The same beats, with a pointer behind the header.
    """

    def __init__(self, passage: Passage, layer: str) -> None:
        self.passage = passage
        self.layer = layer
        super().__init__({
            "i": In(passage),
            "header": In(Header),
            "o": Out(passage),
        })

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``: narrow datapaths, which are to be faster, take two."""
        return 2 if self.passage.lanes < 32 else 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat: Any = self.i
        header: Any = self.header
        if self.latency > 1:
            beat = self.passage.later(m, self.i, name="beat")
            header = Signal(Header, name="kept", reset_less=True)
            m.d.sync += header.eq(self.header)

        found: Any = beat.layout[self.layer]
        exists = header.ipv4 | header.ipv6
        network = Signal(Network)
        pointer = Signal(Pointer)
        m.d.comb += [
            network.eq(found),
            network.ipv4.eq(header.ipv4),
            network.ipv6.eq(header.ipv6),
            network.length.eq(header.length),
            network.identification.eq(header.identification),
            network.malformed.eq(header.malformed),
            network.fragment.eq(header.fragment),
            network.secured.eq(header.secured),
            network.routed.eq(header.routed),
            pointer.protocol.eq(header.protocol),
            pointer.known.eq(Mux(exists, header.known, beat.pointer.known)),
            pointer.chained.eq(header.chained),
            pointer.ended.eq(~exists | header.malformed | header.fragment),
        ]

        # There is an inner header only inside a tunnel; elsewhere the pointer is handed on, and as the header
        # has no bytes then, its start as well.
        read: Any = Signal(self.passage)
        m.d.comb += read.eq(beat)
        with m.If(is_present(beat, self.layer)):
            m.d.comb += [read.layout[self.layer].eq(network), read.pointer.eq(pointer)]
        end = (beat.pointer.start + header.more_bytes + header.bytes)[:OFFSET_BITS]
        m.d.comb += [read.pointer.start.eq(end), read.layout[self.layer].end.eq(end)]
        m.d.comb += self.o.eq(self.passage.later(m, read, name="out"))
        return m
