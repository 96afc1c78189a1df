"""The send path as one component."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import Beat, check_lanes
from offramp.records import Completion, Configuration, Request
from offramp.send.cut import Cut
from offramp.send.emit import Emit
from offramp.send.fit import Fit
from offramp.send.gather import Gather
from offramp.send.hold import Hold
from offramp.send.intake import Intake
from offramp.send.judge import Judge
from offramp.send.plan import Plan
from offramp.send.slicer import Slicer
from offramp.send.store import Store
from offramp.send.template import Template
from offramp.send.train import Limits
from offramp.walk.chain import HeaderWalk, check_header_bytes


class SendPath(wiring.Component):
    """Large send, checksum insertion and plain sending, through NVGRE and VXLAN tunnels.

    Every request becomes a train of frames: many for a large send, one for a packet that stays whole, none
    for one that is refused. One path serves them all, so they keep their order.

    A beat in and a beat out every cycle, frames and trains back to back; 64-byte packets at 64 lanes in a
    cycle each. A frame leaves when its last byte has come, because checksums stand in front of what they
    cover.

    Parameters
    ----------
    lanes : int
        Bytes per beat: 8, 16, 32 or 64.
    max_mss : int
        Most payload bytes of one segment; sets the size of the store.
    max_header_bytes : int
        Longest header block, as the host counts it: a multiple of ``lanes`` from 64 to 256.

    Members
    -------
    config : In(Configuration)
        Sampled when a request is accepted.
    requests : In(stream.Signature(Request))
        Request records, in the order of their packets.
    buffers : In(stream.Signature(Beat(lanes)))
        The packets' scatter-gather buffers, each a packet that begins in lane 0.
    frames : Out(stream.Signature(Beat(lanes, keep=lanes, tag=16)))
        Wire frames without FCS and padding, with the tag of their request.
    completions : Out(stream.Signature(Completion))
        One for each request, in order.
    accepted : Out(1)
        A request was taken in this cycle.
    hints : Out(StructLayout({"split": 1, "version": 1, "options": 1}))
        Strobes for counters; see :class:`~offramp.send.judge.Judge`.
    """

    requests: stream.Interface
    buffers: stream.Interface
    frames: stream.Interface
    completions: stream.Interface

    def __init__(self, *, lanes: int, max_mss: int = 9600, max_header_bytes: int = 256) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = Limits(max_mss=max_mss, max_header_bytes=max_header_bytes)
        self.max_mss = max_mss
        self.max_header_bytes = check_header_bytes(max_header_bytes, lanes)
        super().__init__({
            "config": In(Configuration),
            "requests": In(stream.Signature(Request)),
            "buffers": In(stream.Signature(Beat(lanes))),
            "frames": Out(stream.Signature(Beat(lanes, keep=lanes, tag=16))),
            "completions": Out(stream.Signature(Completion)),
            "accepted": Out(1),
            "hints": Out(data.StructLayout({"split": 1, "version": 1, "options": 1})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, limits = self.lanes, self.limits

        m.submodules.intake = intake = Intake(lanes)
        m.submodules.gather = gather = Gather(lanes)
        m.submodules.walk = walk = HeaderWalk(lanes, max_header_bytes=limits.max_header_bytes)
        m.submodules.fit = fit = Fit(lanes, limits, gather.packets.p.shape())
        m.submodules.judge = judge = Judge(limits)
        m.submodules.hold = hold = Hold(lanes, limits)
        m.submodules.template = template = Template(lanes, limits)
        m.submodules.cut = cut = Cut(lanes, limits)
        m.submodules.slicer = slicer = Slicer(lanes, limits)
        m.submodules.store = store = Store(lanes, limits)
        m.submodules.plan = plan = Plan(limits)
        m.submodules.emit = emit = Emit(lanes, limits)

        # Packets arrive: every beat is kept, and those that can have headers are looked at.
        wiring.connect(m, wiring.flipped(self.requests), intake.requests)
        m.d.comb += [intake.config.eq(self.config), self.accepted.eq(intake.accepted)]
        wiring.connect(m, intake.orders, gather.orders)
        m.d.comb += intake.hold.eq(gather.full)
        wiring.connect(m, wiring.flipped(self.buffers), gather.buffers)
        wiring.connect(m, intake.briefs, fit.briefs)
        self._fork(m, gather, fit, walk)
        m.d.comb += [
            fit.room.eq(hold.room & template.room),
            hold.beat.valid.eq(fit.beat.valid),
            hold.beat.data.eq(fit.beat.data),
            hold.beat.last.eq(fit.beat.last),
            hold.beat.bad.eq(fit.beat.bad),
            hold.beat.spoilt.eq(fit.beat.last & fit.beat.bad),
            template.beat.valid.eq(fit.beat.window),
            template.beat.data.eq(fit.beat.data),
        ]

        # Packets are judged, when their headers are known, and become trains.
        wiring.connect(m, intake.cases, judge.cases)
        train: Any = judge.train
        m.d.comb += [
            judge.layout.eq(walk.layout),
            walk.hold.eq(cut.full | hold.full | plan.busy | emit.busy),
            self.hints.eq(judge.hints),
            hold.order.valid.eq(judge.judged),
            hold.order.refused.eq(~judge.passed),
            # A packet that is all header still has its last beat to end with.
            hold.order.skip.eq((train.header_bytes - train.bare) >> exact_log2(lanes)),
            cut.train.eq(train),
            cut.judged.eq(judge.judged),
            cut.passed.eq(judge.passed),
            plan.train.eq(train),
            plan.judged.eq(judge.judged),
            plan.passed.eq(judge.passed),
            plan.base.eq(walk.sums),
            plan.cut.eq(cut.cut),
            cut.hold.eq(plan.ahead),
            emit.train.eq(train),
            emit.judged.eq(judge.judged),
            emit.passed.eq(judge.passed),
            emit.status.eq(judge.status),
        ]

        # Payload is cut into slices.
        wiring.connect(m, hold.parts, slicer.parts)
        wiring.connect(m, cut.slices, slicer.slices)
        m.d.comb += [
            slicer.room.eq(store.room & ~plan.full & ~emit.full),
            cut.abort.eq(slicer.abort),
            store.beat.valid.eq(slicer.beat.valid),
            store.beat.data.eq(slicer.beat.data),
            plan.sum.eq(slicer.sum),
            emit.ended.eq(slicer.ended),
        ]

        # Slices become frames.
        m.d.comb += emit.promised.eq(plan.promised)
        wiring.connect(m, emit.template, template.reader)
        wiring.connect(m, emit.store, store.reader)
        wiring.connect(m, plan.values, emit.values)
        wiring.connect(m, emit.frames, wiring.flipped(self.frames))
        wiring.connect(m, emit.completions, wiring.flipped(self.completions))
        return m

    def _fork(self, m: Module, gather: Gather, fit: Fit, walk: HeaderWalk) -> None:
        """Give every beat to both."""
        packet: Any = gather.packets.p
        look = fit.briefs.p.look
        valid = gather.packets.valid
        m.d.comb += [
            gather.packets.ready.eq(walk.beats.ready & fit.packets.ready),
            fit.packets.valid.eq(valid & walk.beats.ready),
            fit.packets.p.eq(packet),
            walk.beats.valid.eq(valid & fit.packets.ready),
            walk.beats.p.data.eq(packet.data),
            walk.beats.p.count.eq(packet.count),
            walk.beats.p.last.eq(packet.last),
            walk.beats.p.mismatch.eq(packet.mismatch),
            walk.beats.p.buffer.eq(packet.split),
            walk.beats.p.look.nvgre.eq(look.nvgre),
            walk.beats.p.look.vxlan.eq(look.vxlan),
            walk.beats.p.look.vxlan_port.eq(look.vxlan_port),
            walk.beats.p.look.strict.eq(1),  # what the host says is checked against the packet
        ]
