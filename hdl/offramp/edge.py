"""AXI4-Stream at the edge of a design: flat port names outside, streams of this library inside.

Every edge has a skid buffer, so ``tready`` of an input and everything but ``tready`` of an output come from
registers, and no combinational path leads from any port to another.
"""

from amaranth.hdl import Cat, Module, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import Beat
from offramp.queue import Skid


class PacketSignature(wiring.Signature):
    """AXI4-Stream of packets, byte 0 in ``tdata[7:0]``.

    Parameters
    ----------
    lanes : int
        Bytes per transfer.
    tag : int
        Bits of ``tid``, none if zero.

    Members
    -------
    tdata : Out(8 * lanes)
        Bytes.
    tkeep : Out(lanes)
        Lanes that hold bytes of the packet: all of them in every transfer but the last, and there the
        lowest ones, at least one.
    tlast : Out(1)
        Last transfer of the packet.
    tid : Out(tag)
        Tag of the packet, the same in all of its transfers.
    tvalid, tready : Out(1), In(1)
        Handshake.
    """

    def __init__(self, lanes: int, *, tag: int = 0) -> None:
        exact_log2(lanes)
        self.lanes = lanes
        self.tag = tag
        super().__init__({
            "tdata": Out(8 * lanes),
            "tkeep": Out(lanes),
            "tlast": Out(1),
            **({"tid": Out(tag)} if tag else {}),
            "tvalid": Out(1),
            "tready": In(1),
        })


class RecordSignature(wiring.Signature):
    """AXI4-Stream of records, each a single transfer, bit 0 in ``tdata[0]``.

    Parameters
    ----------
    shape : ShapeLike
        Layout of a record.

    Members
    -------
    tdata : Out(width of the shape)
        Record.
    tvalid, tready : Out(1), In(1)
        Handshake.
    """

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({
            "tdata": Out(Shape.cast(shape).width),
            "tvalid": Out(1),
            "tready": In(1),
        })


class PacketInput(wiring.Component):
    """Brings packets in.

    Keeps order, drops nothing and accepts a transfer every cycle.

    A neighbour that breaks the rules of ``tkeep`` gets a packet of another length, never a standstill:
    ``tkeep`` of a transfer other than the last is not looked at, a last transfer with ``tkeep`` zero counts
    as a full one, and one with holes or a gap below counts as some number of bytes from 1 to ``lanes``.

    Parameters
    ----------
    lanes : int
        Bytes per beat.

    Members
    -------
    axis : In(PacketSignature(lanes))
        Edge.
    packets : Out(stream.Signature(Beat(lanes)))
        The same packets, :attr:`latency` cycles later, from registers.
    """

    packets: stream.Interface

    latency = 2

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__({
            "axis": In(PacketSignature(lanes)),
            "packets": Out(stream.Signature(Beat(lanes))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        transfer = data.StructLayout({"data": 8 * self.lanes, "keep": self.lanes, "last": 1})
        m.submodules.skid = skid = Skid(transfer)
        m.d.comb += [
            skid.input.p.data.eq(self.axis.tdata),
            skid.input.p.keep.eq(self.axis.tkeep),
            skid.input.p.last.eq(self.axis.tlast),
            skid.input.valid.eq(self.axis.tvalid),
            self.axis.tready.eq(skid.input.ready),
        ]

        beat = Signal(Beat(self.lanes), reset_less=True)
        valid = Signal()
        m.d.comb += [
            skid.output.ready.eq(self.packets.ready | ~valid),
            self.packets.p.eq(beat),
            self.packets.valid.eq(valid),
        ]
        with m.If(skid.output.ready):
            m.d.sync += [
                valid.eq(skid.output.valid),
                beat.data.eq(skid.output.p.data),
                beat.last.eq(skid.output.p.last),
                beat.count.eq(count(skid.output.p.keep) & skid.output.p.last.replicate(len(beat.count))),
            ]
        return m


class PacketOutput(wiring.Component):
    """Takes packets out.

    Keeps order, drops nothing and passes a beat every cycle.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    tag : int
        Bits of ``tid``, none if zero.

    Members
    -------
    packets : In(stream.Signature(Beat(lanes, tag=tag)))
        Packets; without the field ``tag`` if it has no bits.
    axis : Out(PacketSignature(lanes, tag=tag))
        Edge: the same packets, :attr:`latency` cycles later. Lanes behind the end of a packet are undefined.
    """

    packets: stream.Interface

    latency = 1

    def __init__(self, lanes: int, *, tag: int = 0) -> None:
        self.lanes = lanes
        self.tag = tag
        super().__init__({
            "packets": In(stream.Signature(Beat(lanes, **({"tag": tag} if tag else {})))),
            "axis": Out(PacketSignature(lanes, tag=tag)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.packets.p

        tag = {"tag": self.tag} if self.tag else {}
        transfer = data.StructLayout({"data": 8 * self.lanes, "keep": self.lanes, "last": 1, **tag})
        m.submodules.skid = skid = Skid(transfer)
        m.d.comb += [
            skid.input.p.data.eq(beat.data),
            skid.input.p.keep.eq(keep(beat.count)),
            skid.input.p.last.eq(beat.last),
            skid.input.valid.eq(self.packets.valid),
            self.packets.ready.eq(skid.input.ready),
            self.axis.tdata.eq(skid.output.p.data),
            self.axis.tkeep.eq(skid.output.p.keep),
            self.axis.tlast.eq(skid.output.p.last),
            self.axis.tvalid.eq(skid.output.valid),
            skid.output.ready.eq(self.axis.tready),
        ]
        if self.tag:
            m.d.comb += [skid.input.p.tag.eq(beat.tag), self.axis.tid.eq(skid.output.p.tag)]
        return m


class RecordInput(wiring.Component):
    """Brings records in, in order, one a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Layout of a record.

    Members
    -------
    axis : In(RecordSignature(shape))
        Edge.
    records : Out(stream.Signature(shape))
        The same records, :attr:`latency` cycles later, from registers.
    """

    records: stream.Interface

    latency = Skid.latency

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({
            "axis": In(RecordSignature(shape)),
            "records": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.skid = skid = Skid(self.shape)
        wiring.connect(m, skid.output, wiring.flipped(self.records))
        m.d.comb += [
            Value.cast(skid.input.p).eq(self.axis.tdata),
            skid.input.valid.eq(self.axis.tvalid),
            self.axis.tready.eq(skid.input.ready),
        ]
        return m


class RecordOutput(wiring.Component):
    """Takes records out, in order, one a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Layout of a record.

    Members
    -------
    records : In(stream.Signature(shape))
        Records.
    axis : Out(RecordSignature(shape))
        Edge: the same records, :attr:`latency` cycles later.
    """

    records: stream.Interface

    latency = Skid.latency

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({
            "records": In(stream.Signature(shape)),
            "axis": Out(RecordSignature(shape)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.skid = skid = Skid(self.shape)
        wiring.connect(m, wiring.flipped(self.records), skid.input)
        m.d.comb += [
            self.axis.tdata.eq(skid.output.p),
            self.axis.tvalid.eq(skid.output.valid),
            skid.output.ready.eq(self.axis.tready),
        ]
        return m


def count(lanes_kept: Value) -> Value:
    """Number of lanes kept, modulo their number, where the lanes kept are the lowest ones.

    The number of multiples of ``2**bit`` up to ``n`` is odd exactly if that bit of ``n`` is set: a few
    parities, with neither an adder nor a priority chain.
    """
    bits = exact_log2(len(lanes_kept))
    return Cat(lanes_kept[(1 << bit) - 1 :: 1 << bit].xor() for bit in range(bits))


def keep(count: Value) -> Value:
    """Lanes kept when ``count`` bytes, all of them if zero, begin in lane 0."""
    return Cat((count == 0) | (count > lane) for lane in range(1 << len(count)))
