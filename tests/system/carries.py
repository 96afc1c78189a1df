"""Frames in which the sum of one layer is any number that is wanted: words that mean nothing make it up.

A sum is taken over all that the layer's checksum covers, itself included, so it is right if it is a multiple
of 0xFFFF. Its upper bits are how often a single 16-bit adder would carry.
"""

import dataclasses
import struct
from collections.abc import Iterator

from tests.model.frames import Built, build, ip, l4, link, tunnel_layer

CARRIES = range(6)
EDGES = (0x0000, 0x0001, 0xFFFE, 0xFFFF)

IPV4_WORDS = (4, 10, 12, 14, 16, 18)
"""Where an IPv4 header has words that mean nothing here: identification, checksum, addresses."""

TCP_WORDS = (16, 0, 2, 4, 6, 8, 10, 14, 18)
UDP_WORDS = (6, 0, *range(8, 26, 2))
"""The checksum, source port and the payload; the destination port might be VXLAN's."""

VXLAN_WORDS = (6, 0, 12, 14, *range(16, 28, 2))
GRE_WORDS = (4, 8, 10, *range(12, 24, 2))
"""The checksum, the identifier of the network, and the addresses of the inner Ethernet header."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer to be summed up.

    Attributes
    ----------
    name : str
    verdict : str
        Which verdict tells of it.
    base : bytes
        A frame in which the free words are zero.
    free : tuple of int
        Where they are.
    total : int
        What the other words come to.
    """

    name: str
    verdict: str
    base: bytes
    free: tuple[int, ...]
    total: int

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True)
class Summed:
    """A frame in which the words of a layer come to ``total``."""

    frame: bytes
    total: int


def words(octets: bytes) -> int:
    """Return the sum of the words of ``octets``, with nothing carried around."""
    even = octets + bytes(len(octets) % 2)
    return sum(struct.unpack(f"!{len(even) // 2}H", even))


def cleared(frame: bytes, places: tuple[int, ...]) -> bytes:
    """Return ``frame`` with the words at ``places`` zero."""
    octets = bytearray(frame)
    for place in places:
        octets[place : place + 2] = bytes(2)
    return bytes(octets)


def addresses(version: str) -> range:
    """Return where the words of an IP header's addresses are."""
    return range(12, 20, 2) if version == "4" else range(8, 40, 2)


def network(name: str, verdict: str, built: Built, layer: int) -> Layer:
    """Return an IPv4 header."""
    start = built.starts[layer]
    free = tuple(start + place for place in IPV4_WORDS)
    base = cleared(built.frame, free)
    return Layer(name, verdict, base, free, words(base[start : start + 20]))


def datagram(name: str, verdict: str, built: Built, layer: int, version: str, free: tuple[int, ...]) -> Layer:
    """Return what stands above the IP header number ``layer``: TCP, UDP, or UDP with VXLAN."""
    ip_start, start = built.starts[layer], built.starts[layer + 1]
    places = tuple(start + place for place in free)
    base = cleared(built.frame, (*places, *(ip_start + place for place in addresses(version))))
    pseudo = (6 if free is TCP_WORDS else 17) + len(base) - start
    return Layer(name, verdict, base, places, words(base[start:]) + pseudo)


def plain(built: Built, start: int) -> Built:
    """Return the frame without any word in the inner IP and UDP headers that need not be there."""
    places = (*(start + place for place in (6, *IPV4_WORDS)), start + 20, start + 22, start + 26)
    return Built(cleared(built.frame, places), built.starts)


def layers() -> Iterator[Layer]:
    """Yield every layer, in different places."""
    yield network("plain IPv4", "outer_ip", build(link(), ip("outer", "4"), l4("tcp", "4")), 1)
    for tunnel in ("nvgre", "vxlan"):
        parts = [ip("outer", "4"), tunnel_layer(tunnel), link("inner"), ip("inner", "4"), l4("udp", "4")]
        built = build(link(), *parts)
        yield network(f"outer IPv4 of {tunnel}", "outer_ip", built, 1)
        yield network(f"inner IPv4 in {tunnel}", "inner_ip", built, 4)
    for kind, free in (("tcp", TCP_WORDS), ("udp", UDP_WORDS)):
        for version in "46":
            inside = [ip("inner", version), l4(kind, version)]
            built = build(link(), *inside, payload=bytes(25))
            yield datagram(f"{kind} over IPv{version}", "transport", built, 1, version, free)
            for tunnel in ("nvgre", "vxlan"):
                parts = [ip("outer", "4"), tunnel_layer(tunnel), link("inner"), *inside]
                built = build(link(), *parts, payload=bytes(25))
                name = f"{kind} over IPv{version} in {tunnel}"
                yield datagram(name, "transport", built, 4, version, free)
    inside = [link("inner"), ip("inner", "4"), l4("udp", "4")]
    for outer in "46":
        built = build(link(), ip("outer", outer), tunnel_layer("vxlan"), *inside, payload=bytes(25))
        built = plain(built, built.starts[4])
        yield datagram(f"VXLAN over IPv{outer}", "tunnel", built, 1, outer, VXLAN_WORDS)
        gre = tunnel_layer("nvgre", chksum_present=1)
        built = build(link(), ip("outer", outer), gre, *inside, payload=bytes(25))
        built = plain(built, built.starts[4])
        places = tuple(built.starts[2] + place for place in GRE_WORDS)
        base = cleared(built.frame, places)
        yield Layer(f"GRE over IPv{outer}", "tunnel", base, places, words(base[built.starts[2] :]))


LAYERS = tuple(layers())


def sums(layer: Layer) -> Iterator[Summed]:
    """Yield frames in which ``layer`` carries as often as it may, with sums at every edge in between.

    The words are filled from both ends, so that one of the carries comes from the first words and from the
    last. What the layer comes to by its fixed words alone cannot be undercut.
    """
    for carries in CARRIES:
        for low in sorted({*EDGES, 0xFFFF - carries}):
            total = carries << 16 | low
            # The first free word is the checksum, which must not be zero where that means something else.
            if not layer.total < total <= layer.total + 0xFFFF * len(layer.free):
                continue
            for free in (layer.free, (layer.free[0], *reversed(layer.free[1:]))):
                yield Summed(filled(layer.base, free, total - layer.total), total)


def filled(base: bytes, free: tuple[int, ...], missing: int) -> bytes:
    """Return ``base`` with words at ``free`` that come to ``missing``."""
    octets = bytearray(base)
    for place in free:
        word = min(missing, 0xFFFF)
        octets[place : place + 2] = word.to_bytes(2, "big")
        missing -= word
    assert missing == 0
    return bytes(octets)


def reached(layer: Layer) -> set[int]:
    """Return the carry counts that ``layer`` can come to."""
    return {summed.total >> 16 for summed in sums(layer)}
