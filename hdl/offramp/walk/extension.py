"""A stage of the walk: the IPv6 extension headers of one layer."""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.queue import ShallowQueue
from offramp.walk.layout import OFFSET_BITS, Passage, Protocol

WALKED = (Protocol.HOP_BY_HOP, Protocol.ROUTING, Protocol.FRAGMENT, Protocol.AH, Protocol.DESTINATION)
"""Headers that are walked over; a fragment header is the last one (TXC-11, RXC-8)."""


def _is_walked(protocol: Value) -> Value:
    return Cat(protocol == number for number in WALKED).any()


class Extensions(wiring.Component):
    """Walks over IPv6 extension headers.

    Beats without an extension header pass at one a cycle; each extension header holds the stream for
    two cycles, and the first one a third. Meanwhile beats queue up, and ``full`` asks whoever feeds the
    free-running stages in front to stop.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    layer : str
        ``"outer"`` or ``"inner"``.
    reserve : int
        Beats that may still arrive after ``full`` is set.

    Members
    -------
    i : In(passage)
        Beats with a pointer behind the IP header.
    full : Out(1)
        The queue is about to be full.
    hold : In(1)
        Nothing may leave in this cycle.
    o : Out(passage)
        The same beats, at least a cycle later, with a pointer behind the extension headers. Not registered.
    """

    latency = 1

    def __init__(self, passage: Passage, layer: str, *, reserve: int) -> None:
        self.passage = passage
        self.layer = layer
        self.reserve = reserve
        super().__init__({
            "i": In(passage),
            "full": Out(1),
            "hold": In(1),
            "o": Out(passage),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.passage.beat_shift

        shape = data.StructLayout({"beat": self.passage, "chained": 1})
        m.submodules.queue = queue = ShallowQueue(shape, 16, reserve=self.reserve)
        arriving: Any = queue.input.p
        found, pointer = self.i.layout[self.layer], self.i.pointer
        m.d.comb += [
            arriving.beat.eq(self.i),
            arriving.chained.eq(
                pointer.known & ~pointer.ended & found.ipv6 & _is_walked(pointer.protocol)
            ),
            queue.input.valid.eq(self.i.valid),
            self.full.eq(queue.almost_full),
        ]
        if self.layer == "inner":
            tunnel = self.i.layout.tunnel
            with m.If(~(tunnel.nvgre | tunnel.vxlan)):
                m.d.comb += arriving.chained.eq(0)

        head: Any = queue.output.p.beat
        chained = queue.output.p.chained

        mine = Signal()  # the pointer of the packet at the head is ours, not the beat's
        more = Signal()  # there is an extension header at ``start``
        start = Signal(OFFSET_BITS, reset_less=True)
        protocol = Signal(8, reset_less=True)
        fragment, secured, routed = Signal(), Signal(), Signal()

        # A routing header's Segments Left is in its second word, which may be the first of the next beat.
        straddles, due = Signal(), Signal()
        still_routed = Signal()
        m.d.comb += still_routed.eq(routed | (due & head.data[1].any()))

        release = Signal()
        m.d.comb += [
            queue.output.ready.eq(release),
            self.o.eq(head),
            self.o.valid.eq(release),
        ]
        with m.If(mine):
            layer: Any = self.o.layout[self.layer]
            m.d.comb += [
                self.o.pointer.known.eq(~more),
                self.o.pointer.ended.eq(fragment),
                self.o.pointer.protocol.eq(protocol),
                self.o.pointer.start.eq(start),
                layer.end.eq(start),
                layer.fragment.eq(fragment),
                layer.secured.eq(secured),
                layer.routed.eq(still_routed),
                self.o.layout.end.eq(Mux(more, start + 8, start)),
            ]
        with m.If(release):
            m.d.sync += [
                mine.eq(mine & ~head.final),
                routed.eq(still_routed),
                due.eq(straddles),
                straddles.eq(0),
            ]

        place = start[1:depth]
        here = Array(Cat(head.data[2 * n + 1], head.data[2 * n]) for n in range(self.passage.lanes // 2))
        word = Signal(16, reset_less=True)
        second = Signal(16, reset_less=True)

        def begin() -> None:
            m.d.sync += [
                mine.eq(1),
                more.eq(1),
                start.eq(head.pointer.start),
                protocol.eq(head.pointer.protocol),
                fragment.eq(0),
                secured.eq(head.pointer.protocol == Protocol.AH),
                routed.eq(0),
                straddles.eq(0),
                due.eq(0),
            ]

        def step() -> None:
            following, length = word[8:], word[:8]
            m.d.sync += [
                protocol.eq(following),
                more.eq(_is_walked(following) & (protocol != Protocol.FRAGMENT)),
                secured.eq(secured | (following == Protocol.AH) | (following == Protocol.ESP)),
            ]
            with m.Switch(protocol):
                with m.Case(Protocol.AH):
                    m.d.sync += start.eq(start + (length << 2) + 8)
                with m.Case(Protocol.FRAGMENT):
                    m.d.sync += [start.eq(start + 8), fragment.eq(1)]
                with m.Default():
                    m.d.sync += start.eq(start + (length << 3) + 8)
            with m.If(protocol == Protocol.ROUTING):
                with m.If(place.all()):
                    m.d.sync += straddles.eq(1)
                with m.Else():
                    m.d.sync += routed.eq(routed | second[:8].any())

        with m.FSM():
            with m.State("check"):
                with m.If(queue.output.valid & ~self.hold):
                    with m.If(chained & ~mine):
                        begin()
                    with m.Elif(mine & more & ((start >> depth) == head.index)):
                        m.d.sync += [word.eq(here[place]), second.eq(here[place + 1])]
                        m.next = "step"
                    with m.Else():
                        m.d.comb += release.eq(1)
            with m.State("step"):
                step()
                m.next = "check"
        return m
