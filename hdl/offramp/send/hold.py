"""Holds packets until they are judged, then lets their payload go."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from offramp.packet import check_lanes
from offramp.queue import ShallowQueue
from offramp.ram import BlockRam
from offramp.send.train import Limits, Part

SLACK = 8
"""Beats that may still come when there is no more room."""


PACKETS = 64
"""Packets that may wait whole."""


class Hold(wiring.Component):
    """Block RAM of packets that wait to be judged.

    The beats in front of the payload are skipped at once, a refused packet as fast as it arrives. The rest
    leaves at a beat a cycle, packets back to back.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.
    depth : int
        Beats that the RAM holds, a power of two.

    Members
    -------
    beat : In(StructLayout({"valid": 1, "data": ..., "last": 1, "bad": 1, "spoilt": 1}))
        Beats of packets.
    room : Out(1)
        At least :data:`SLACK` more fit in.
    order : In(StructLayout({"valid": 1, "skip": ..., "refused": 1}))
        A packet is judged; in order. ``skip`` is the number of beats in front of its payload, of which
        it has more.
    full : Out(1)
        Stop: a few more orders fit in.
    parts : Out(stream.Signature(Part(lanes)))
        The packets that are not refused, from the beat on in which the payload starts.
    """

    parts: stream.Interface

    latency = 4
    """Cycles from an order to the first beat.

    One more where the packet is not whole yet and so short of beats that not every ``skip`` would do.
    """

    def __init__(self, lanes: int, limits: Limits, *, depth: int = 512) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        self.depth = 1 << ceil_log2(depth)
        self.row = Part(lanes)
        super().__init__({
            "beat": In(data.StructLayout({"valid": 1, **{name: field.shape for name, field in self.row}})),
            "room": Out(1),
            "order": In(data.StructLayout({
                "valid": 1, "skip": range(limits.header_beats(lanes) + 1), "refused": 1
            })),
            "full": Out(1),
            "parts": Out(stream.Signature(self.row)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = BlockRam(self.row, self.depth)
        ends, begun, many = self._write(m, ram)

        m.submodules.orders = orders = ShallowQueue(
            data.StructLayout({"skip": self.order.skip.shape(), "refused": 1}), 32, reserve=8, late=True
        )
        m.d.comb += [
            orders.input.valid.eq(self.order.valid),
            orders.input.p.skip.eq(self.order.skip),
            orders.input.p.refused.eq(self.order.refused),
            self.full.eq(orders.almost_full),
        ]

        m.submodules.parts = parts = ShallowQueue(self.row, 16, reserve=6, late=True)
        wiring.connect(m, parts.output, wiring.flipped(self.parts))
        clear = Signal()
        m.d.sync += clear.eq(~parts.almost_full)

        position = self._read(m, ram, orders.output, ends.output, clear, begun, many)
        level = Signal(range(self.depth))
        m.d.sync += [
            level.eq(ram.write.addr - position),
            self.room.eq((level < self.depth - 2 * SLACK) & ~ends.almost_full),
        ]

        fetched = Signal(2)
        held = Signal(self.row, reset_less=True)
        m.d.sync += [fetched.eq(Cat(ram.read.en, fetched)), held.eq(ram.read.data)]
        m.d.comb += [parts.input.valid.eq(fetched[-1]), parts.input.p.eq(held)]
        return m

    def _write(self, m: Module, ram: BlockRam) -> tuple[ShallowQueue, Signal, Signal]:
        """Return where packets end, and how many beats that packet has which has not yet ended."""
        beat: Any = self.beat
        most = self.limits.header_beats(self.lanes)
        begun = Signal(range(most + 2))  # no further than anything can be skipped
        many = Signal()  # so far
        m.d.comb += [ram.write.data[name].eq(beat[name]) for name, _ in self.row]
        m.d.comb += ram.write.en.eq(beat.valid)
        with m.If(beat.valid):
            m.d.sync += [
                ram.write.addr.eq(ram.write.addr + 1),
                begun.eq(Mux(beat.last, 0, begun + ~many)),
                many.eq(~beat.last & (many | (begun == most))),
            ]

        # The row of the last beat, the one behind it, and its number in its packet.
        end = data.StructLayout({
            "row": range(self.depth), "behind": range(self.depth), "beat": begun.shape()
        })
        # `room` is late, hence the one more.
        m.submodules.ends = ends = ShallowQueue(end, PACKETS, reserve=SLACK + 1, late=True)
        m.d.comb += [
            ends.input.valid.eq(beat.valid & beat.last),
            ends.input.p.row.eq(ram.write.addr),
            ends.input.p.behind.eq(ram.write.addr + 1),
            ends.input.p.beat.eq(begun),
        ]
        return ends, begun, many

    def _read(
        self, m: Module, ram: BlockRam, orders: Any, ends: Any, clear: Value, begun: Value, many: Value
    ) -> Signal:
        """Return the row in front of which nothing is needed any more.

        An order leaves its queue with the first row that is read, and the packet's end leaves its own then or
        as soon as it is there: which row is the last one is known too late in its cycle to decide that.
        """
        order, end, whole = orders.p, ends.p, ends.valid
        position = Signal(range(self.depth))  # next row to read, or to skip
        inside = Signal()  # a packet, behind the first row that is read of it
        known = Signal(reset_less=True)  # its end has left the queue: it is at
        final = Signal(range(self.depth), reset_less=True)
        enough = Signal()  # the packet that waits has more beats than are skipped
        more = Signal()  # the next row of the one that is being read is there

        start, follow, closes = (Signal(name=name) for name in ("start", "follow", "closes"))
        refused = ~inside & order.refused
        step = Signal.like(position)
        m.d.comb += step.eq(Mux(inside, 0, order.skip))
        m.d.comb += [
            start.eq(~inside & orders.valid & ~order.refused & clear & (whole | enough)),
            follow.eq(inside & clear & (whole | more)),
            orders.ready.eq(~inside & Mux(order.refused, whole, clear & (whole | enough))),
            ends.ready.eq(Mux(inside, ~known, orders.valid & (order.refused | clear))),
            ram.read.en.eq(start | follow),
            ram.read.addr.eq(position + step),
        ]
        # The row behind the one that is read. Taking off the complement adds one more, in one carry chain.
        behind = position - ~step
        with m.If(start | follow | (refused & orders.valid)):
            m.d.sync += position.eq(Mux(refused, Mux(whole, end.behind, ram.write.addr), behind))
        with m.If(inside):
            m.d.comb += closes.eq((known | whole) & (position == Mux(known, final, end.row)))
        with m.Else():
            m.d.comb += closes.eq(whole & (order.skip == end.beat))
        with m.If(start | follow):
            m.d.sync += inside.eq(~closes)
        with m.If(~inside | ~known):
            m.d.sync += [known.eq(whole), final.eq(end.row)]

        # A row of a packet that is not whole will be there if it is written in this cycle, or was before and
        # is not read now. (Behind the first one that is read, nothing but the former is seen at once.)
        newest = Signal(range(self.depth))
        with m.If(ram.write.en):
            m.d.sync += newest.eq(ram.write.addr)
        left = Mux(follow, position != newest, ~start & (position != ram.write.addr))
        m.d.sync += [
            more.eq((inside & known) | whole | ram.write.en | left),
            enough.eq(many | (orders.valid & ~orders.ready & (begun > order.skip))),
        ]
        return position
