"""A branch of the walk: the addresses of the inner frame."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import Passage
from offramp.walk.window import Window

ADDRESS_WORDS = 16
"""Words of 16 bits that two IPv6 addresses have; two of IPv4 have four."""

MAC_WORDS = 3
IPV4_PLACE, IPV6_PLACE = 6, 4
"""Words in front of the addresses of an IP header."""

FIRST_PLACE = 7 + IPV6_PLACE
"""Words in front of the first IP address of an untagged frame."""

TAG_WORDS = 2


class Addresses(data.Struct):
    """Addresses of one layer, each with its first byte in the highest bits.

    ``ip`` has the source and the destination address, those of IPv4 in the highest 64 bits and zeros behind.
    """

    mac: 48  # destination
    ip: 16 * ADDRESS_WORDS


def joined(words: list[Value]) -> Value:
    """Return words as one value, the first in the highest bits."""
    return Cat(reversed(words))


def arranged(words: list[Value], ipv4: Value) -> Value:
    """Return the addresses of an IP header, of which ``words`` are those where IPv6 has them."""
    shift = IPV4_PLACE - IPV6_PLACE
    first = [Mux(ipv4, words[n + shift], words[n]) for n in range(4)]
    return joined(first + [word & (~ipv4).replicate(16) for word in words[4:]])


class InnerAddresses(wiring.Component):
    """Collects the addresses of the inner frame, wherever it begins.

    Free-running, one beat a cycle and one packet a cycle. Whether there is an inner frame, and whether the
    addresses are there at all, is for others to tell: where not, there is something else.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    latency : int
        Cycles from a beat to what has passed with it, at least 3.

    Members
    -------
    i : In(passage)
        Beats that know where the inner frame and its IP header are.
    addresses : Out(Addresses)
        What has passed, :attr:`latency` cycles later.
    """

    def __init__(self, passage: Passage, *, latency: int) -> None:
        self.passage = passage
        self.latency = latency
        super().__init__({"i": In(passage), "addresses": Out(Addresses)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        passage = self.passage
        beat: Any = self.i
        tunnel = beat.layout.tunnel
        found = tunnel.nvgre | tunnel.vxlan

        # A cycle to tell which beat the frame begins in.
        apart = Signal.like(beat.apart, reset_less=True)
        with m.If(beat.valid):
            reached = found & (tunnel.inner_frame[passage.beat_shift :] == beat.index)
            m.d.sync += apart.eq(Cat(reached, apart & (~beat.first).replicate(len(apart))))
        seen: Any = passage.later(m, beat, name="seen")

        places = [FIRST_PLACE + n for n in range(ADDRESS_WORDS + TAG_WORDS)]
        wanted = (*range(MAC_WORDS), *places)
        m.submodules.window = window = Window(passage, dict.fromkeys(wanted, ()), phase=2)
        m.d.comb += [
            window.i.eq(seen),
            window.i.pointer.start.eq(seen.layout.tunnel.inner_frame),
            window.i.apart.eq(apart),
        ]
        words = {place: window.words[f"word{place}"].value for place in wanted}

        # A tag moves the IP addresses by two words.
        tagged, ipv4 = window.o.layout.tunnel.inner_tag, window.o.layout.inner.ipv4
        moved = [Mux(tagged, words[place + TAG_WORDS], words[place]) for place in places[:ADDRESS_WORDS]]
        found_addresses: Any = Signal(Addresses)
        m.d.comb += [
            found_addresses.mac.eq(joined([words[n] for n in range(MAC_WORDS)])),
            found_addresses.ip.eq(arranged(moved, ipv4)),
        ]
        for n in range(self.latency - window.latency - 1):
            later: Any = Signal(Addresses, name=f"addresses{n}", reset_less=True)
            m.d.sync += later.eq(found_addresses)
            found_addresses = later
        m.d.comb += self.addresses.eq(found_addresses)
        return m
