"""Lets packets in: joins each with its train, drops the refused, inserts the VLAN tag."""

from typing import Any

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import Beat, check_lanes
from offramp.queue import ShallowQueue
from offramp.records import Status
from offramp.send.train import HEADER_BITS, LENGTH_BITS, TAG_BYTES, Limits, Train

ADDRESS_BYTES = 12
"""Bytes in front of an inserted VLAN tag (SG-8)."""

TAG_PROTOCOL = 0x8100


class Part(data.StructLayout):
    """One beat of a packet's payload, or its join with the header block.

    ``last`` is set on the packet's last beat, and with it ``bad`` if the packet is not as long as it should be.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({"data": data.ArrayLayout(8, lanes), "last": 1, "bad": 1})


class Admit(wiring.Component):
    """Sends a packet's header block to the template and its payload onwards.

    The template always gets a whole header block, filled up if the packet ends inside it. Where packet and
    length disagree, the last beat is marked ``bad``: the one in which the packet ended early, or in which it
    should have ended; what follows is dropped. All of a refused packet is dropped.

    A beat a cycle and a packet a cycle; a dropped beat costs a cycle as well.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.

    Members
    -------
    trains : In(stream.Signature(Train(limits)))
        What becomes of each packet.
    packets : In(stream.Signature(Beat(lanes, mismatch=1)))
        The packets.
    room : In(1)
        Another train, and another header block, can be taken in. May be late by two trains.
    started : Out(1)
        A packet enters in this cycle; its train is at ``trains.p``.
    header : Out(StructLayout({"valid": 1, "index": ..., "first": 1, "last": 1, "data": ...}))
        The beats of the header block, numbered, with the train at ``trains.p``.
    parts : Out(stream.Signature(Part(lanes)))
        The beats from the one on in which the payload starts, at least one for each packet.
    """

    trains: stream.Interface
    packets: stream.Interface
    parts: stream.Interface

    def __init__(self, lanes: int, limits: Limits) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        depth = exact_log2(lanes)
        super().__init__({
            "trains": In(stream.Signature(Train(limits))),
            "packets": In(stream.Signature(Beat(lanes, mismatch=1))),
            "room": In(1),
            "started": Out(1),
            "header": Out(data.StructLayout({
                "valid": 1,
                "index": HEADER_BITS - depth,
                "first": 1,
                "last": 1,
                "data": data.ArrayLayout(8, lanes),
            })),
            "parts": Out(stream.Signature(Part(lanes))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = exact_log2(self.lanes)
        train: Any = self.trains.p
        packet: Any = self.packets.p

        m.submodules.parts = parts = ShallowQueue(Part(self.lanes), 16, reserve=4)
        wiring.connect(m, parts.output, wiring.flipped(self.parts))
        part: Any = parts.input.p

        clear = Signal()  # of queues in front of us, as far as a beat matters
        m.d.sync += clear.eq(~parts.almost_full)

        index = Signal(LENGTH_BITS - depth)
        under_way = Signal()  # the packet's first beat has passed
        exhausted = Signal()  # its bytes have ended
        bad = Signal()
        excess = Signal()  # there are more bytes than the packet is long

        whole = train.header_bytes[depth:]
        final, over, wrong, ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            final.eq(index == train.last_byte[depth:]),
            over.eq(final & ~exhausted & ~packet.last),
            wrong.eq(bad | over | (~exhausted & packet.last & packet.mismatch)),
            ends.eq(final | (wrong & (index >= whole))),
            part.bad.eq(wrong),
            part.last.eq(ends),
        ]

        def begin() -> None:
            m.d.comb += self.started.eq(~under_way)
            m.d.sync += under_way.eq(1)

        def finish() -> None:
            m.d.comb += self.trains.ready.eq(1)
            m.d.sync += [
                under_way.eq(0),
                index.eq(0),
                exhausted.eq(0),
                bad.eq(0),
                excess.eq(0),
            ]

        def drop() -> None:
            m.d.comb += self.packets.ready.eq(1)
            with m.If(packet.last):
                finish()

        def forward() -> None:
            m.d.comb += self.packets.ready.eq(~exhausted)
            m.d.sync += [
                index.eq(index + 1),
                exhausted.eq(exhausted | packet.last),
                bad.eq(wrong),
            ]
            self._split(m, index, ends, parts)
            with m.If(over):
                m.d.sync += excess.eq(1)
            with m.Elif(ends):
                finish()

        may_begin = under_way | self.room
        with m.If(self.trains.valid & (self.packets.valid | exhausted) & may_begin):
            with m.If((train.status != Status.OK) | excess):
                begin()
                drop()
            with m.Elif(clear):
                begin()
                forward()

        self._tag(m, index, part)
        m.d.comb += [
            self.header.data.eq(part.data),
            self.header.index.eq(index),
            self.header.first.eq(index == 0),
        ]

        if platform is None:
            with m.If(parts.input.valid):
                m.d.sync += Assert(parts.input.ready, "the queue's reserve holds what is under way")
        return m

    def _split(self, m: Module, index: Signal, ends: Signal, parts: ShallowQueue) -> None:
        """Tell the header block's beats from the payload's; the beat in which they meet is both."""
        depth = exact_log2(self.lanes)
        header_bytes = self.trains.p.header_bytes
        whole, rest = header_bytes[depth:], header_bytes[:depth]
        m.d.comb += [
            self.header.valid.eq((index < whole) | ((index == whole) & rest.any())),
            self.header.last.eq(Mux(rest.any(), index == whole, index + 1 == whole)),
            parts.input.valid.eq((index >= whole) | ends),
        ]

    def _tag(self, m: Module, index: Signal, part: Any) -> None:
        """Put the VLAN tag behind the addresses and everything else four lanes further."""
        train, packet = self.trains.p, self.packets.p
        kept = Signal(data.ArrayLayout(8, TAG_BYTES), reset_less=True)
        with m.If(self.packets.ready):
            m.d.sync += kept.eq(Cat(packet.data[n] for n in range(self.lanes - TAG_BYTES, self.lanes)))

        tag = Signal(data.ArrayLayout(8, TAG_BYTES))
        control = train.tag_control
        m.d.comb += [
            tag[0].eq(TAG_PROTOCOL >> 8),
            tag[1].eq(TAG_PROTOCOL & 0xFF),
            tag[2].eq(control[8:]),
            tag[3].eq(control[:8]),
        ]

        place, lane = divmod(ADDRESS_BYTES, self.lanes)  # of the tag
        m.d.comb += part.data.eq(packet.data)
        with m.If(train.has_tag & (index >= place)):
            for n in range(self.lanes):
                behind = kept[n] if n < TAG_BYTES else packet.data[n - TAG_BYTES]
                if n < lane:
                    m.d.comb += part.data[n].eq(Mux(index == place, packet.data[n], behind))
                elif n < lane + TAG_BYTES:
                    m.d.comb += part.data[n].eq(Mux(index == place, tag[n - lane], behind))
                else:
                    m.d.comb += part.data[n].eq(behind)
