"""AXI4-Stream at the edge of a design: flat port names outside, streams of this library inside.

No combinational path leads from any port to another. Where packets come in and records go out there is a
skid buffer, so that those ports begin and end at registers. Where records come in and packets go out, the
edge adds nothing, and no cycle: it leans on its neighbour's registers, into which a record is accepted and in
which a packet waits.
"""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import Beat, count
from offramp.queue import Skid


class PacketSignature(wiring.Signature):
    """AXI4-Stream of packets, byte 0 in ``tdata[7:0]``.

    Parameters
    ----------
    lanes : int
        Bytes per transfer.
    tag : int
        Bits of ``tid``, none if zero.
    mark : bool
        Packets have a mark.

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
    tuser : Out(1)
        Mark of the packet, in its last transfer: it is bad.
    tvalid, tready : Out(1), In(1)
        Handshake.
    """

    def __init__(self, lanes: int, *, tag: int = 0, mark: bool = False) -> None:
        exact_log2(lanes)
        self.lanes = lanes
        self.tag = tag
        self.mark = mark
        super().__init__({
            "tdata": Out(8 * lanes),
            "tkeep": Out(lanes),
            "tlast": Out(1),
            **({"tid": Out(tag)} if tag else {}),
            **({"tuser": Out(1)} if mark else {}),
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
    mark : bool
        Packets have a mark, which comes as ``bad``.

    Members
    -------
    axis : In(PacketSignature(lanes, mark=mark))
        Edge.
    packets : Out(stream.Signature(Beat(lanes) or Beat(lanes, bad=1)))
        The same packets, :attr:`latency` cycles later, from registers.
    """

    packets: stream.Interface

    latency = Skid.latency

    def __init__(self, lanes: int, *, mark: bool = False) -> None:
        self.lanes = lanes
        self.mark = mark
        super().__init__({
            "axis": In(PacketSignature(lanes, mark=mark)),
            "packets": Out(stream.Signature(Beat(lanes, **({"bad": 1} if mark else {})))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        m.submodules.skid = skid = Skid(self.packets.p.shape())
        wiring.connect(m, skid.output, wiring.flipped(self.packets))
        m.d.comb += [
            skid.input.p.data.eq(self.axis.tdata),
            skid.input.p.count.eq(Mux(self.axis.tlast, count(self.axis.tkeep), 0)),
            skid.input.p.last.eq(self.axis.tlast),
            skid.input.valid.eq(self.axis.tvalid),
            self.axis.tready.eq(skid.input.ready),
        ]
        if self.mark:
            m.d.comb += skid.input.p.bad.eq(self.axis.tuser)
        return m


class PacketOutput(wiring.Component):
    """Takes packets out, straight from the registers of the queue in front, which is the edge's buffer.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    tag : int
        Bits of ``tid``, none if zero.
    mark : bool
        Packets have a mark, ``bad``.

    Members
    -------
    packets : In(stream.Signature(Beat(lanes, keep=lanes, tag=tag, bad=1)))
        Packets, from registers; ``keep`` has a bit for every lane that belongs to the packet. ``tag`` and
        ``bad`` only if packets have them.
    axis : Out(PacketSignature(lanes, tag=tag, mark=mark))
        Edge. Lanes behind the end of a packet are undefined.
    """

    packets: stream.Interface

    latency = 0

    def __init__(self, lanes: int, *, tag: int = 0, mark: bool = False) -> None:
        self.lanes = lanes
        self.tag = tag
        self.mark = mark
        extra = {**({"tag": tag} if tag else {}), **({"bad": 1} if mark else {})}
        super().__init__({
            "packets": In(stream.Signature(Beat(lanes, keep=lanes, **extra))),
            "axis": Out(PacketSignature(lanes, tag=tag, mark=mark)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.packets.p
        m.d.comb += [
            self.axis.tdata.eq(beat.data),
            self.axis.tkeep.eq(beat.keep),
            self.axis.tlast.eq(beat.last),
            self.axis.tvalid.eq(self.packets.valid),
            self.packets.ready.eq(self.axis.tready),
        ]
        if self.tag:
            m.d.comb += self.axis.tid.eq(beat.tag)
        if self.mark:
            m.d.comb += self.axis.tuser.eq(beat.bad)
        return m


class RecordInput(wiring.Component):
    """Brings records in, in order, one a cycle.

    Whoever takes them registers them, and offers ``ready`` from registers: a record is taken in the very
    cycle in which it is accepted at the edge.

    Parameters
    ----------
    shape : ShapeLike
        Layout of a record.

    Members
    -------
    axis : In(RecordSignature(shape))
        Edge.
    records : Out(stream.Signature(shape))
        The same records.
    """

    records: stream.Interface

    latency = 0

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({
            "axis": In(RecordSignature(shape)),
            "records": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            Value.cast(self.records.p).eq(self.axis.tdata),
            self.records.valid.eq(self.axis.tvalid),
            self.axis.tready.eq(self.records.ready),
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
