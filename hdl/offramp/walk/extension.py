"""A stage of the walk: the IPv6 extension headers of one layer, from the second one on."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.queue import ShallowQueue
from offramp.walk.layout import OFFSET_BITS, Passage, Protocol, is_secured, is_walked


class Extensions(wiring.Component):
    """Walks over the IPv6 extension headers that :class:`~offramp.walk.network.IpHeader` has left.

    Beats without such a header pass at one a cycle. Each header stops the stream for four cycles or more,
    because every beat up to the one that it is in is looked at first. Meanwhile beats queue up, and
    ``full`` asks whoever feeds the free-running stages in front to stop.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    layer : str
        ``"outer"`` or ``"inner"``.
    phase : int
        Remainder of the headers' starts by four.
    reserve : int
        Beats that may still arrive after ``full`` is set.

    Members
    -------
    i : In(passage)
        Beats with a pointer behind the IP header and its first extension header.
    full : Out(1)
        The queue is about to be full.
    hold : In(1)
        Nothing may leave in the next cycle.
    o : Out(passage)
        The same beats, at least a cycle later, with a pointer behind the extension headers, and measured
        from there. Not registered.
    """

    latency = 1

    def __init__(self, passage: Passage, layer: str, *, phase: int, reserve: int) -> None:
        self.passage = passage
        self.layer = layer
        self.phase = phase
        self.reserve = reserve
        super().__init__({
            "i": In(passage),
            "full": Out(1),
            "hold": In(1),
            "o": Out(passage),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        passage, depth = self.passage, self.passage.beat_shift

        shape = data.StructLayout({"beat": passage, "chained": 1})
        m.submodules.queue = queue = ShallowQueue(shape, 16, reserve=self.reserve)
        arriving: Any = queue.input.p
        found, pointer = self.i.layout[self.layer], self.i.pointer
        chained = pointer.known & ~pointer.ended & found.ipv6 & is_walked(pointer.protocol)
        if self.layer == "inner":
            tunnel = self.i.layout.tunnel
            chained &= tunnel.nvgre | tunnel.vxlan
        m.d.comb += [
            arriving.beat.eq(self.i),
            arriving.chained.eq(chained),
            queue.input.valid.eq(self.i.valid),
            self.full.eq(queue.almost_full),
        ]

        # A pointer is known by the beat that it points into.
        apart = Signal.like(self.i.apart)
        before = Signal.like(self.i.apart, reset_less=True)
        reached = pointer.known & (pointer.start[depth:] == self.i.index)
        m.d.comb += [
            apart.eq(Cat(reached, before & (~self.i.first).replicate(len(before)))),
            arriving.beat.apart.eq(apart),
        ]
        with m.If(self.i.valid):
            m.d.sync += before.eq(apart)

        self._walk(m, queue)
        return m

    def _walk(self, m: Module, queue: ShallowQueue) -> None:
        """Take over the packets that have such headers, step by step."""
        depth = self.passage.beat_shift
        head: Any = queue.output.p.beat
        chained = queue.output.p.chained

        mine = Signal()  # the pointer of the packet at the head is ours, not the beat's
        more = Signal()  # there is an extension header at ``start``
        start = Signal(OFFSET_BITS, reset_less=True)
        protocol = Signal(8, reset_less=True)
        apart = Signal.like(head.apart, reset_less=True)
        fragment, secured, routed = Signal(), Signal(), Signal()

        # A routing header's Segments Left is in its second word, which may be the first of the next beat.
        straddles, due = Signal(), Signal()
        still_routed = Signal()
        m.d.comb += still_routed.eq(routed | (due & head.data[1].any()))

        may_go = Signal()  # unless the head is the first beat with such a header
        ours: Any = Signal.like(self.o)
        m.d.comb += [
            queue.output.ready.eq(may_go & (mine | ~chained)),
            ours.eq(head),
            ours.pointer.known.eq(~more),
            ours.pointer.ended.eq(fragment),
            ours.pointer.protocol.eq(protocol),
            ours.pointer.start.eq(start),
            ours.apart.eq(apart),
            ours.layout[self.layer].end.eq(start),
            ours.layout[self.layer].fragment.eq(fragment),
            ours.layout[self.layer].secured.eq(head.layout[self.layer].secured | secured),
            ours.layout[self.layer].routed.eq(head.layout[self.layer].routed | still_routed),
            ours.layout.end.eq(Mux(more, start + 8, start)),
            self.o.eq(Mux(mine, ours, head)),
            self.o.valid.eq(queue.output.valid & queue.output.ready),
        ]
        with m.If(self.o.valid):
            m.d.sync += [
                mine.eq(mine & ~head.final),
                apart.eq(Cat(~more & (start[depth:] == head.index + 1), apart)),
                routed.eq(still_routed),
                due.eq(straddles),
                straddles.eq(0),
            ]

        # What is at ``start`` is fetched from any beat, and used if it is from the right one.
        place = start[2:depth]
        lanes = range(self.phase, self.passage.lanes, 4)
        octets = [*head.data, Const(0, 8), Const(0, 8)]
        arrived = Signal()
        following, length, left = (
            Signal(8, name=name, reset_less=True) for name in ("following", "length", "left")
        )
        m.d.sync += [
            arrived.eq(start[depth:] == head.index),
            following.eq(Array(octets[n] for n in lanes)[place]),
            length.eq(Array(octets[n + 1] for n in lanes)[place]),
            left.eq(Array(octets[n + 3] for n in lanes)[place]),
        ]

        pass_on = Signal()  # in the next cycle
        m.d.sync += may_go.eq(pass_on & ~self.hold)
        with m.FSM():
            with m.State("pass"):
                m.d.comb += pass_on.eq(1)
                with m.If(queue.output.valid & chained & ~mine):
                    m.d.comb += pass_on.eq(0)
                    m.d.sync += [
                        mine.eq(1),
                        more.eq(1),
                        start.eq(head.pointer.start),
                        protocol.eq(head.pointer.protocol),
                        apart.eq(0),
                        fragment.eq(0),
                        secured.eq(0),
                        routed.eq(0),
                        straddles.eq(0),
                        due.eq(0),
                    ]
                    m.next = "fetch"
            with m.State("fetch"):
                with m.If(queue.output.valid):
                    m.next = "step"
            with m.State("step"):
                with m.If(arrived):
                    self._step(m, start, protocol, more, fragment, secured, following, length)
                    with m.If(protocol == Protocol.ROUTING):
                        if self.phase + 3 >= 4:
                            m.d.sync += straddles.eq(place.all())
                        m.d.sync += routed.eq(routed | left.any())
                    m.next = "measure"
                with m.Else():
                    m.d.comb += pass_on.eq(1)
                    m.next = "release"
            with m.State("release"):
                with m.If(may_go):
                    m.next = "fetch"
                    with m.If(head.final):
                        m.next = "pass"
                with m.Else():
                    m.d.comb += pass_on.eq(1)
            with m.State("measure"):
                m.d.sync += apart.eq(~more & (start[depth:] == head.index))
                m.next = "fetch"
                with m.If(~more):
                    m.d.comb += pass_on.eq(1)
                    m.next = "pass"

    def _step(
        self,
        m: Module,
        start: Signal,
        protocol: Signal,
        more: Signal,
        fragment: Signal,
        secured: Signal,
        following: Signal,
        length: Signal,
    ) -> None:
        """Go on to the header behind the one at ``start``."""
        m.d.sync += [
            protocol.eq(following),
            more.eq(is_walked(following) & (protocol != Protocol.FRAGMENT)),
            secured.eq(secured | is_secured(following)),
        ]
        with m.Switch(protocol):
            with m.Case(Protocol.AH):
                m.d.sync += start.eq(start + (length << 2) + 8)
            with m.Case(Protocol.FRAGMENT):
                m.d.sync += [start.eq(start + 8), fragment.eq(1)]
            with m.Default():
                m.d.sync += start.eq(start + (length << 3) + 8)
