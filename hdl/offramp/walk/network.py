"""A stage of the walk: one IP header, outer or inner, and its first IPv6 extension header."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import select
from offramp.walk.layout import OFFSET_BITS, Network, Passage, Pointer, is_present
from offramp.walk.word import IPV4_WORDS, Wanted, merged

_WORDS: Wanted = {
    -1: ("tag", "ipv4", "ipv6"),
    0: ("version4", "version6", "short", "long"),
    1: (),
    2: (),
    3: (
        "fragment",
        "next_walked",
        "next_stretched",
        "next_secured",
        "next_fragment",
        "next_routing",
        "next_authentication",
    ),
    4: ("secured",),
    20: ("next_walked", "next_secured"),
    21: ("left",),
}
"""Words that are read: the EtherType, the IP header, and the extension header behind an IPv6 header."""


def wanted(starts: Iterable[int]) -> Wanted:
    """Return the words that :func:`read` looks at, if IP headers can start at the bytes ``starts``."""
    return merged(*(merged(_WORDS, by=start // 2) for start in starts))


IPV6_BYTES = 40
EXTENSION_BYTES = 8  # of the shortest


class Reading(data.Struct):
    """What an IP header of known version comes to, as far as it has passed.

    It is ``bytes`` long, an IPv6 header with the first extension header behind it.
    """

    known: 1
    chained: 1  # there is a second extension header
    malformed: 1
    fragment: 1
    secured: 1
    routed: 1
    protocol: 8
    length: 16
    identification: 16
    bytes: OFFSET_BITS


class Header(data.Struct):
    """An IP header, if there is one."""

    ipv4: 1
    ipv6: 1
    reading: Reading


Words = Mapping[int, Any]


def _ipv4(words: Words) -> dict[str, Value]:
    first, fourth, fifth = words[0], words[3], words[4]
    malformed = first.passed & (~first.version4 | first.short)
    return {
        "known": fifth.passed,
        "malformed": malformed,
        "fragment": fourth.passed & ~malformed & fourth.fragment,
        "secured": fifth.passed & fifth.secured,
        "protocol": fifth.value[:8],
        "length": words[1].value,
        "identification": words[2].value,
        "bytes": Mux(first.passed & first.version4 & first.long, first.value[8:12], IPV4_WORDS) << 2,
    }


def _ipv6(words: Words) -> dict[str, Value]:
    header, extension, routing = words[3], words[20], words[21]
    malformed = words[0].passed & ~words[0].version6
    walks = header.passed & header.next_walked  # over the extension header
    both = header.passed & extension.passed
    stretches = both & ~malformed & header.next_stretched
    shortest, units = IPV6_BYTES + EXTENSION_BYTES, extension.value[:8]
    return {
        "known": header.passed & (extension.passed | ~header.next_walked),
        "chained": stretches & extension.next_walked,
        "malformed": malformed,
        "fragment": both & ~malformed & header.next_fragment,
        "secured": (header.passed & header.next_secured) | (walks & both & extension.next_secured),
        "routed": routing.passed & ~malformed & header.next_routing & routing.left,
        "protocol": Mux(walks & both, extension.value[8:], header.value[8:]),
        "length": words[2].value,
        "bytes": select([
            (stretches, Mux(header.next_authentication, (units << 2) + shortest, (units << 3) + shortest)),
            (~stretches, Mux(walks & ~malformed, shortest, IPV6_BYTES)),
        ]),
    }


def read(m: Module, start: int, here: Value, words: Words) -> list[tuple[Value, Signal]]:
    """Read what starts at byte ``start`` of some ``words`` as an IPv4 header and as an IPv6 header.

    Returns, a cycle later, for both whether the EtherType in front says that it is one, ``here`` being set,
    and the :class:`Reading`.
    """
    own = {place: words[start // 2 + place] for place in _WORDS}
    readings: list[tuple[Value, Signal]] = []
    for version, said in (("ipv4", _ipv4(own)), ("ipv6", _ipv6(own))):
        is_it = Signal(name=f"at{start}_{version}", reset_less=True)
        reading: Any = Signal(Reading, name=f"at{start}_{version}_reading", reset_less=True)
        m.d.sync += is_it.eq(here & own[-1][version])
        m.d.sync += [reading[field].eq(value) for field, value in said.items()]
        readings.append((is_it, reading))
    return readings


def choose(places: Sequence[list[tuple[Value, Signal]]]) -> dict[str, Value]:
    """Return the :class:`Header` in that one place where :func:`read` has found one (RXP-4, REQ-8)."""
    ipv4, ipv6 = zip(*places, strict=True)
    return {
        "ipv4": Cat(is_it for is_it, _ in ipv4).any(),
        "ipv6": Cat(is_it for is_it, _ in ipv6).any(),
        "reading": select([(is_it, Value.cast(reading)) for is_it, reading in (*ipv4, *ipv6)]),
    }


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
        What it is, as far as it has passed with ``i``.
    o : Out(passage)
        The same beats, with a pointer behind the header.
    """

    latency = 1

    def __init__(self, passage: Passage, layer: str) -> None:
        self.passage = passage
        self.layer = layer
        super().__init__({
            "i": In(passage),
            "header": In(Header),
            "o": Out(passage),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat: Any = self.i
        header: Any = self.header
        reading = header.reading
        exists = header.ipv4 | header.ipv6
        network = Signal(Network)
        pointer = Signal(Pointer)
        m.d.comb += [
            network.eq(beat.layout[self.layer]),
            network.ipv4.eq(header.ipv4),
            network.ipv6.eq(header.ipv6),
            network.length.eq(reading.length),
            network.identification.eq(reading.identification),
            network.malformed.eq(reading.malformed),
            network.fragment.eq(reading.fragment),
            network.secured.eq(reading.secured),
            network.routed.eq(reading.routed),
            pointer.protocol.eq(reading.protocol),
            pointer.known.eq(Mux(exists, reading.known, beat.pointer.known)),
            pointer.chained.eq(reading.chained),
            pointer.ended.eq(~exists | reading.malformed | reading.fragment),
        ]

        # There is an inner header only inside a tunnel; elsewhere the pointer is handed on, and as the header
        # has no bytes then, its start as well.
        read: Any = Signal(self.passage)
        m.d.comb += read.eq(beat)
        with m.If(is_present(beat, self.layer)):
            m.d.comb += [read.layout[self.layer].eq(network), read.pointer.eq(pointer)]
        end = (beat.pointer.start + reading.bytes)[:OFFSET_BITS]
        m.d.comb += [read.pointer.start.eq(end), read.layout[self.layer].end.eq(end)]
        m.d.comb += self.o.eq(self.passage.later(m, read, name="out"))
        return m
