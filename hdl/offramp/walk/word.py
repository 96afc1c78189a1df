"""The 16-bit words that headers are made of, and what each of them says by itself."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from amaranth.hdl import Value
from amaranth.lib import data

from offramp.walk.layout import WALKED, EtherType, Protocol, is_among, is_secured, is_tag

IPV4_WORDS = 5  # of 32 bits, without options

MARKS: dict[str, Callable[[Any], Value]] = {
    # An EtherType.
    "ipv4": lambda word: word == EtherType.IPV4,
    "ipv6": lambda word: word == EtherType.IPV6,
    "tag": is_tag,
    "bridging": lambda word: word == EtherType.TRANSPARENT_BRIDGING,
    # The first word of an IP header, and of IPv4 the one of the fragment and the one of the protocol.
    "version4": lambda word: word[12:] == 4,
    "version6": lambda word: word[12:] == 6,
    "short": lambda word: word[8:12] < IPV4_WORDS,
    "long": lambda word: word[8:12] > IPV4_WORDS,
    "fragment": lambda word: word[:14].any(),  # more fragments, or an offset
    "secured": lambda word: is_secured(word[:8]),
    # A Next Header of IPv6.
    "next_walked": lambda word: is_among(word[8:], WALKED),
    "next_secured": lambda word: is_secured(word[8:]),
    "next_fragment": lambda word: word[8:] == Protocol.FRAGMENT,
    "next_routing": lambda word: word[8:] == Protocol.ROUTING,
    "next_authentication": lambda word: word[8:] == Protocol.AH,
    # The first word of GRE (WIRE-4), its checksum, key and sequence fields (WIRE-10), and any checksum.
    "key_only": lambda word: word == 0x2000,
    "gre_options": lambda word: (word[12:] & 0b1101).any() & ~word[:3].any(),
    "gre_plain": lambda word: ~word[14] & ~word[:3].any(),  # version 0, without routing
    "gre_checksum": lambda word: word[15],
    "gre_odd": lambda word: word[15] ^ word[13] ^ word[12],  # one optional field, or three
    "gre_more": lambda word: (word[15] & word[13]) | (word[12] & (word[15] | word[13])),  # two or three
    "any": lambda word: word.any(),
}
"""What a word says, should it be the one that is meant."""

Wanted = Mapping[int, Iterable[str]]
"""Places of words, with the names of the marks that are wanted of each."""


class Word(data.StructLayout):
    """A word of a header, if it has ``passed``: its ``value``, in host order, and some of its marks.

    Marks are told when a word is collected, in front of the register that keeps it, so whoever decides what
    the word is has one bit to look at.

    Parameters
    ----------
    marks : Iterable[str]
        Names out of :data:`MARKS`.
    """

    def __init__(self, marks: Iterable[str] = ()) -> None:
        self.marks = tuple(marks)
        super().__init__({"passed": 1, "value": 16, **dict.fromkeys(self.marks, 1)})

    def told(self, value: Any) -> dict[str, Value]:
        """Return what ``value`` says, by the names of the fields."""
        return {"value": value, **{mark: MARKS[mark](value) for mark in self.marks}}


class Words(data.StructLayout):
    """Words of a header, by their places.

    Parameters
    ----------
    wanted : Wanted
        The words, counted from the header's first byte.
    """

    def __init__(self, wanted: Wanted) -> None:
        super().__init__({f"word{place}": Word(marks) for place, marks in wanted.items()})


def merged(*parts: Wanted, by: int = 0) -> dict[int, tuple[str, ...]]:
    """Return all that is wanted in some ``parts``, ``by`` words further."""
    marks: dict[int, set[str]] = {}
    for part in parts:
        for place, wanted in part.items():
            marks.setdefault(place + by, set()).update(wanted)
    return {place: tuple(sorted(marks[place])) for place in sorted(marks)}
