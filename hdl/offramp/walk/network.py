"""A stage of the walk: one IP header, outer or inner."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import select
from offramp.walk.layout import OFFSET_BITS, Network, Passage, Pointer, is_present
from offramp.walk.lookahead import EXTENSION_BYTES, On, place_bits
from offramp.walk.word import IPV4_WORDS, Wanted, merged

_WORDS: Wanted = {
    -1: ("tag", "ipv4", "ipv6"),
    0: ("version4", "version6", "short", "long"),
    1: (),
    2: (),
    3: (
        "fragment",
        "next_walked",
        "next_secured",
        "next_fragment",
        "next_routing",
        "next_authentication",
    ),
    4: ("secured",),
}
"""Words that are read: the EtherType and the IP header."""


def wanted(starts: Iterable[int]) -> Wanted:
    """Return the words that :func:`read` looks at, if IP headers can start at the bytes ``starts``."""
    return merged(*(merged(_WORDS, by=start // 2) for start in starts))


IPV6_BYTES = 40


class Reading(data.Struct):
    """What an IP header of known version comes to, as far as it has passed."""

    known: 1
    chained: 1  # an extension header follows
    malformed: 1
    fragment: 1
    secured: 1
    protocol: 8
    length: 16
    identification: 16
    bytes: 6  # without extension headers


class First(data.Struct):
    """The extension header behind an IPv6 header, if one follows."""

    kind: 2  # of :class:`~offramp.walk.lookahead.Kind`
    on: 2  # the same, as it is followed: of :class:`~offramp.walk.lookahead.On`


class Header(data.Struct):
    """An IP header, if there is one; ``behind`` is the byte behind it if it is one of IPv6.

    ``even`` and ``odd`` are eighths of that byte, should its bit 2, ``parity``, be clear or set: these are
    told earlier, and so is what is ``first`` in a chain of extension headers, and that the byte is ``within``
    the beats that an index can count.
    """

    ipv4: 1
    ipv6: 1
    behind: OFFSET_BITS
    within: 1
    parity: 1
    even: OFFSET_BITS - 3
    odd: OFFSET_BITS - 3
    first: First
    reading: Reading


class Chain(data.StructLayout):
    """A beat, as whoever follows extension headers sees it.

    A chain ``begins`` with a header of ``kind``, which is followed as ``on`` says, either in this beat
    (``here``), in the next one (``near``) or in a later one. It is in an even or an odd slot (``parity``), at
    place ``even`` or ``odd``.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    """

    def __init__(self, passage: Passage) -> None:
        place = place_bits(passage.lanes)
        super().__init__({
            "valid": 1,
            "first": 1,
            "index": passage["index"].shape,
            "next_index": passage["next_index"].shape,
            "begins": 1,
            "here": 1,
            "near": 1,
            "parity": 1,
            "even": place,
            "odd": place,
            "kind": 2,
            "on": On.BITS,
            "data": passage["data"].shape,
        })


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
    first, header = words[0], words[3]
    malformed = first.passed & ~first.version6
    return {
        "known": header.passed,
        "chained": header.passed & header.next_walked & first.version6,
        "malformed": malformed,
        "secured": header.passed & header.next_secured,
        "protocol": header.value[8:],
        "length": words[2].value,
        "bytes": Const(IPV6_BYTES, 6),
    }


def first_extension(start: int, words: Words) -> Value:
    """Return a :class:`First`: what an IPv6 header leads to that starts at byte ``start``.

    It is zero unless the EtherType in front says that there is one.
    """
    ethertype, header = words[start // 2 - 1], words[start // 2 + 3]
    routing, fragment, authentication = (
        header.next_routing,
        header.next_fragment,
        header.next_authentication,
    )
    kind = Cat(routing | fragment, authentication | fragment)
    on = Cat(~authentication, authentication | fragment)
    return Cat(kind, on) & ethertype.ipv6.replicate(4)


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
        m.d.sync += is_it.eq(here & own[-1].passed & own[-1][version])
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
    """Reads an IPv4 header, options included, or an IPv6 header.

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
    chain : Out(Chain(passage))
        The beat, and the extension headers that begin behind the header. Not registered.
    o : Out(passage)
        The same beats, with a pointer behind the header, that is to its first extension header.
    """

    latency = 1

    def __init__(self, passage: Passage, layer: str) -> None:
        self.passage = passage
        self.layer = layer
        super().__init__({
            "i": In(passage),
            "header": In(Header),
            "chain": Out(Chain(passage)),
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
        end = (beat.pointer.start + reading.bytes)[:OFFSET_BITS]
        m.d.comb += [
            network.eq(beat.layout[self.layer]),
            network.ipv4.eq(header.ipv4),
            network.ipv6.eq(header.ipv6),
            network.length.eq(reading.length),
            network.length_from.eq(Mux(header.ipv6, header.behind, beat.pointer.start)),
            network.identification.eq(reading.identification),
            network.malformed.eq(reading.malformed),
            network.fragment.eq(reading.fragment),
            network.secured.eq(reading.secured),
            pointer.protocol.eq(reading.protocol),
            pointer.known.eq(Mux(exists, reading.known, beat.pointer.known)),
            pointer.chained.eq(reading.chained),
            pointer.ended.eq(~exists | reading.malformed | reading.fragment),
        ]

        # There is an inner header only inside a tunnel; elsewhere the pointer is handed on, and as the header
        # has no bytes then, its start as well.
        present = is_present(beat, self.layer)
        read: Any = Signal(self.passage)
        m.d.comb += read.eq(beat)
        with m.If(present):
            m.d.comb += [read.layout[self.layer].eq(network), read.pointer.eq(pointer)]
        m.d.comb += [read.pointer.start.eq(end), read.layout[self.layer].end.eq(end)]
        m.d.comb += self.o.eq(self.passage.later(m, read, name="out"))

        depth = self.passage.beat_shift
        places = depth - exact_log2(EXTENSION_BYTES)
        begins_in = header.behind[depth : depth + len(beat.index)]
        m.d.comb += [
            self.chain.valid.eq(beat.valid),
            self.chain.first.eq(beat.first),
            self.chain.index.eq(beat.index),
            self.chain.next_index.eq(beat.next_index),
            self.chain.begins.eq(present & reading.chained),
            self.chain.here.eq(header.within & (begins_in == beat.index)),
            self.chain.near.eq(header.within & (begins_in == beat.next_index)),
            self.chain.parity.eq(header.parity),
            self.chain.even.eq(header.even[:places]),
            self.chain.odd.eq(header.odd[:places]),
            self.chain.kind.eq(header.first.kind),
            self.chain.on.eq(header.first.on),
            self.chain.data.eq(beat.data),
        ]
        return m
