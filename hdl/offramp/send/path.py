"""The send path as one component."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import Beat, check_lanes
from offramp.queue import Queue
from offramp.records import Completion, Configuration, Request
from offramp.send.admit import Admit
from offramp.send.cut import Cut
from offramp.send.emit import Emit
from offramp.send.gather import Gather
from offramp.send.intake import Intake
from offramp.send.judge import Judge
from offramp.send.plan import Plan
from offramp.send.slicer import Slicer
from offramp.send.store import Store
from offramp.send.template import Template
from offramp.send.train import Limits
from offramp.walk.chain import HeaderWalk


class SendPath(wiring.Component):
    """Large send, checksum insertion and plain sending, through NVGRE and VXLAN tunnels."""

    requests: stream.Interface
    buffers: stream.Interface
    frames: stream.Interface
    completions: stream.Interface

    def __init__(self, *, lanes: int, max_mss: int = 9600, max_header_bytes: int = 256) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = Limits(max_mss=max_mss, max_header_bytes=max_header_bytes)
        self.max_mss = max_mss
        self.max_header_bytes = max_header_bytes
        super().__init__({
            "config": In(Configuration),
            "requests": In(stream.Signature(Request)),
            "buffers": In(stream.Signature(Beat(lanes))),
            "frames": Out(stream.Signature(Beat(lanes, keep=lanes, tag=16))),
            "completions": Out(stream.Signature(Completion)),
            "accepted": Out(1),
            "judged": Out(data.StructLayout({"split": 1, "version_hint": 1, "options_hint": 1})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, limits = self.lanes, self.limits

        m.submodules.intake = intake = Intake(limits)
        m.submodules.gather = gather = Gather(lanes)
        m.submodules.walk = walk = HeaderWalk(lanes, max_header_bytes=limits.max_header_bytes)
        m.submodules.judge = judge = Judge(limits)
        m.submodules.waiting = waiting = Queue(Beat(lanes, mismatch=1), 512, registered=True)
        m.submodules.admit = admit = Admit(lanes, limits)
        m.submodules.template = template = Template(lanes, limits)
        m.submodules.cut = cut = Cut(lanes, limits)
        m.submodules.slicer = slicer = Slicer(lanes, limits)
        m.submodules.store = store = Store(lanes, limits)
        m.submodules.plan = plan = Plan(limits)
        m.submodules.emit = emit = Emit(
            lanes, limits, store=store, template=template, ended=slicer.ended.shape()
        )

        wiring.connect(m, wiring.flipped(self.requests), intake.requests)
        m.d.comb += [intake.config.eq(self.config), self.accepted.eq(intake.accepted)]
        wiring.connect(m, intake.orders, gather.orders)
        wiring.connect(m, wiring.flipped(self.buffers), gather.buffers)
        self._fork(m, gather, intake, walk, waiting)

        wiring.connect(m, intake.cases, judge.cases)
        m.d.comb += [judge.layout.eq(walk.layout), walk.hold.eq(judge.full | cut.full)]
        wiring.connect(m, judge.trains, admit.trains)
        wiring.connect(m, waiting.output, admit.packets)
        m.d.comb += self.judged.eq(judge.judged)

        # A train starts everywhere at once, if there is room everywhere.
        started = Signal()  # and is not refused
        m.d.comb += started.eq(admit.started & (admit.trains.p.status.as_value() == 0))
        m.d.sync += admit.room.eq(~(plan.full | emit.full | template.full))
        m.d.comb += [
            cut.train.eq(judge.train),
            cut.started.eq(judge.passed),
            plan.train.eq(admit.trains.p),
            plan.started.eq(started),
            emit.train.eq(admit.trains.p),
            emit.started.eq(admit.started),
            template.train.eq(admit.trains.p),
            template.header.eq(admit.header),
        ]
        wiring.connect(m, admit.parts, slicer.parts)
        wiring.connect(m, cut.slices, slicer.slices)
        m.d.comb += cut.abort.eq(slicer.abort)

        m.d.sync += slicer.room.eq(store.room & ~plan.full & ~emit.full)
        m.d.comb += [
            store.beat.valid.eq(slicer.beat.valid),
            store.beat.data.eq(slicer.beat.data),
            plan.begun.eq(slicer.begun),
            plan.sum.eq(slicer.sum),
            emit.promised.eq(plan.promised),
            plan.base.eq(template.base),
            emit.stored.eq(slicer.beat.end),
            emit.ended.eq(slicer.ended),
            template.address.eq(emit.template_address),
            template.free.eq(emit.template_free),
            emit.template_data.eq(template.data),
            emit.template_patches.eq(template.patches),
            store.address.eq(emit.store_address),
            store.free.eq(emit.store_free),
            emit.store_data.eq(store.data),
        ]
        wiring.connect(m, plan.values, emit.values)
        wiring.connect(m, emit.frames, wiring.flipped(self.frames))
        wiring.connect(m, emit.completions, wiring.flipped(self.completions))
        return m

    def _fork(self, m: Module, gather: Gather, intake: Intake, walk: HeaderWalk, waiting: Queue) -> None:
        """Every beat is looked at and kept until its packet is judged."""
        packet: Any = gather.packets.p
        both = Signal()
        m.d.comb += [
            both.eq(walk.beats.ready & waiting.input.ready & intake.looks.valid),
            gather.packets.ready.eq(both),
            walk.beats.valid.eq(gather.packets.valid & both),
            walk.beats.p.data.eq(packet.data),
            walk.beats.p.last.eq(packet.last),
            walk.beats.p.mismatch.eq(packet.mismatch),
            walk.beats.p.buffer.eq(packet.split),
            walk.beats.p.look.eq(intake.looks.p),
            intake.looks.ready.eq(gather.packets.valid & both & packet.last),
            waiting.input.valid.eq(gather.packets.valid & both),
            waiting.input.p.data.eq(packet.data),
            waiting.input.p.count.eq(packet.count),
            waiting.input.p.last.eq(packet.last),
            waiting.input.p.mismatch.eq(packet.mismatch),
        ]
