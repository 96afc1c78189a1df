"""Holds packets until they are judged, then lets their payload go."""

from typing import Any

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from offramp.packet import check_lanes
from offramp.queue import ShallowQueue
from offramp.send.train import Limits, Part

SLACK = 8
"""Beats that may still come when there is no more room."""


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
    beat : In(StructLayout({"valid": 1, "data": ..., "last": 1, "bad": 1}))
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
    """Cycles from an order to the first beat."""

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
        pointer = range(self.depth)

        m.submodules.ram = ram = Memory(shape=self.row.size, depth=self.depth, init=[])
        write, read = ram.write_port(), ram.read_port()
        row: Any = Signal(self.row)
        m.d.comb += [row[name].eq(self.beat[name]) for name, _ in self.row]
        m.d.comb += [write.en.eq(self.beat.valid), write.data.eq(row)]
        with m.If(self.beat.valid):
            m.d.sync += write.addr.eq(write.addr + 1)

        m.submodules.orders = orders = ShallowQueue(
            data.StructLayout({"skip": self.order.skip.shape(), "refused": 1}), 32, reserve=8
        )
        m.d.comb += [
            orders.input.valid.eq(self.order.valid),
            orders.input.p.skip.eq(self.order.skip),
            orders.input.p.refused.eq(self.order.refused),
            self.full.eq(orders.almost_full),
        ]
        order: Any = orders.output.p

        # Where packets end, as soon as they have: what has been written of one that has not is all its own.
        m.submodules.ends = ends = ShallowQueue(len(write.addr), self.depth // 4, reserve=SLACK)
        m.d.comb += [
            ends.input.valid.eq(self.beat.valid & self.beat.last),
            ends.input.p.eq(write.addr + 1),
        ]

        m.submodules.parts = parts = ShallowQueue(self.row, 16, reserve=6)
        wiring.connect(m, parts.output, wiring.flipped(self.parts))
        clear = Signal()
        m.d.sync += clear.eq(~parts.almost_full)

        position = Signal(pointer)  # next beat to read, or to skip
        first = Signal(init=1)
        # Beats in the RAM from ``position`` on. Those of this cycle do not count yet.
        level = Signal(range(self.depth + 1))
        passed = Signal(range(self.depth + 1))

        skip = Signal.like(order.skip)
        there, fetch, ended = Signal(), Signal(), Signal()
        m.d.comb += [
            skip.eq(Mux(first, order.skip, 0)),
            read.addr.eq(position + skip),
            there.eq(level > skip),
            ended.eq(ends.output.valid & (ends.output.p == (position + skip + 1)[: len(position)])),
        ]

        def finish() -> None:
            m.d.comb += [orders.output.ready.eq(1), ends.output.ready.eq(1)]
            m.d.sync += first.eq(1)

        with m.If(orders.output.valid):
            with m.If(order.refused):
                with m.If(ends.output.valid):
                    m.d.comb += passed.eq((ends.output.p - position)[: len(position)])
                    finish()
                with m.Else():
                    m.d.comb += passed.eq(level)
            with m.Elif(there & clear):
                m.d.comb += [fetch.eq(1), passed.eq(skip + 1)]
                m.d.sync += first.eq(0)
                with m.If(ended):
                    finish()
        m.d.sync += [
            position.eq(position + passed),
            level.eq(level + self.beat.valid - passed),
            self.room.eq((level < self.depth - 2 * SLACK) & ~ends.almost_full),
        ]

        fetched = Signal(2)
        held = Signal(self.row, reset_less=True)
        m.d.sync += [fetched.eq(Cat(fetch, fetched)), held.eq(read.data)]
        m.d.comb += [parts.input.valid.eq(fetched[-1]), parts.input.p.eq(held)]

        if platform is None:
            with m.If(parts.input.valid):
                m.d.sync += Assert(parts.input.ready, "the queue's reserve holds what is under way")
        return m
