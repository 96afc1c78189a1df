"""The receive path between AXI4-Stream edges."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.edge import PacketInput, PacketOutput, PacketSignature, RecordSignature
from offramp.receive.path import ReceivePath
from offramp.records import QUEUE_BITS, Metadata, Reason, ReceiveConfiguration, Verdict
from offramp.top.counters import BYTE_COUNTER_BITS, COUNTER_BITS, count_bytes, count_events

FLAGS = [
    name
    for name, _ in data.Layout.cast(data.Layout.cast(Metadata)["checksum"].shape)
    if name != "reserved"
]
"""Flags of the checksum word, of which each has a counter."""


def counters() -> dict[str, int]:
    """The counters of the receive path and their widths, in the order of their ports."""
    return {
        "frames": COUNTER_BITS,
        "bytes": BYTE_COUNTER_BITS,
        **dict.fromkeys(FLAGS, COUNTER_BITS),
        "tunnel_failed": COUNTER_BITS,
        "tunnel_succeeded": COUNTER_BITS,
        **{f"reason_{reason.name.lower()}": COUNTER_BITS for reason in Reason},
        **{f"queue_{number}": COUNTER_BITS for number in range(1 << QUEUE_BITS)},
    }


SETTINGS = {name: field.width for name, field in data.Layout.cast(ReceiveConfiguration)}
"""The configuration ports of the receive path and their widths."""


class ReceiveTop(wiring.Component):
    """:class:`~offramp.receive.path.ReceivePath` with AXI4-Stream edges, configuration ports and counters.

    Parameters
    ----------
    lanes : int
        Bytes per beat: 8, 16, 32 or 64.
    max_header_bytes : int
        Bytes of a frame that are looked at for headers.

    Attributes
    ----------
    delay : int
        Cycles from accepting a transfer of a frame to offering it again.
    latency : int
        Cycles from accepting a frame's last transfer to offering its metadata.

    Members
    -------
    s_axis_frame : In(PacketSignature(lanes, mark=True))
        Received frames without FCS; ``tuser`` in the last transfer is the MAC's mark of a bad one.
    m_axis_frame : Out(PacketSignature(lanes, mark=True))
        The same frames.
    m_axis_metadata : Out(RecordSignature(Metadata))
        One record for each frame, in order.
    cfg_... : In
        The members of :class:`~offramp.records.ReceiveConfiguration`.
    stat_... : Out
        Counters (:func:`counters`), which wrap around.
    """

    def __init__(self, *, lanes: int, max_header_bytes: int = 256) -> None:
        self.lanes = lanes
        self.max_header_bytes = max_header_bytes
        self.path = ReceivePath(lanes=lanes, max_header_bytes=max_header_bytes)
        self.delay = PacketInput.latency + self.path.delay + PacketOutput.latency
        self.latency = PacketInput.latency + self.path.latency
        super().__init__({
            "s_axis_frame": In(PacketSignature(lanes, mark=True)),
            "m_axis_frame": Out(PacketSignature(lanes, mark=True)),
            "m_axis_metadata": Out(RecordSignature(Metadata)),
            **{f"cfg_{name}": In(width) for name, width in SETTINGS.items()},
            **{f"stat_{name}": Out(width) for name, width in counters().items()},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.path = path = self.path
        m.submodules.frame_edge = frame = PacketInput(self.lanes, mark=True)
        m.submodules.passed_edge = passed = PacketOutput(self.lanes, mark=True)

        wiring.connect(m, wiring.flipped(self.s_axis_frame), frame.axis)
        wiring.connect(m, frame.packets, path.frames)
        wiring.connect(m, path.passed, passed.packets)
        wiring.connect(m, passed.axis, wiring.flipped(self.m_axis_frame))
        # Records wait in the queue's output register, which is the edge's buffer.
        m.d.comb += [
            self.m_axis_metadata.tdata.eq(path.reports.p),
            self.m_axis_metadata.tvalid.eq(path.reports.valid),
            path.reports.ready.eq(self.m_axis_metadata.tready),
        ]
        for name in SETTINGS:
            m.d.comb += path.config[name].eq(getattr(self, f"cfg_{name}"))
        self._count(m, path)
        return m

    def _count(self, m: Module, path: ReceivePath) -> None:
        """Count frames as they leave, and what is said of them as it leaves."""
        reported = Signal()
        report: Any = Signal(Metadata, reset_less=True)
        m.d.sync += [reported.eq(path.reports.valid & path.reports.ready), report.eq(path.reports.p)]
        beat: Any = path.passed.p
        moved = path.passed.valid & path.passed.ready
        events = {
            "frames": moved & beat.last,
            "tunnel_failed": reported & (report.verdicts.tunnel == Verdict.BAD),
            "tunnel_succeeded": reported & (report.verdicts.tunnel == Verdict.GOOD),
        }
        for flag in FLAGS:
            events[flag] = reported & report.checksum[flag]
        for reason in Reason:
            events[f"reason_{reason.name.lower()}"] = reported & (report.reason == reason)
        for number in range(1 << QUEUE_BITS):
            events[f"queue_{number}"] = reported & (report.queue == number)
        stats = {name: getattr(self, f"stat_{name}") for name in counters()}
        count_events(m, stats, events)
        count_bytes(m, stats["bytes"], moved, beat)
