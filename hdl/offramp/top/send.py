"""The send path between AXI4-Stream edges."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.edge import (
    PacketInput,
    PacketOutput,
    PacketSignature,
    RecordInput,
    RecordOutput,
    RecordSignature,
)
from offramp.records import Completion, Configuration, Request, Status
from offramp.send.path import SendPath
from offramp.top.counters import BYTE_COUNTER_BITS, COUNTER_BITS, count_bytes, count_events

TAG_BITS = 16


def counters() -> dict[str, int]:
    """The counters of the send path and their widths, in the order of their ports."""
    refused = {f"refused_{status.name.lower()}": COUNTER_BITS for status in Status if status != Status.OK}
    return {
        "requests": COUNTER_BITS,
        "frames": COUNTER_BITS,
        "bytes": BYTE_COUNTER_BITS,
        "inner_version_hint": COUNTER_BITS,
        "tcp_options_hint": COUNTER_BITS,
        "split_encapsulation": COUNTER_BITS,
        **refused,
    }


SETTINGS = {name: field.width for name, field in data.Layout.cast(Configuration)}
"""The configuration ports of the send path and their widths."""


class SendTop(wiring.Component):
    """:class:`~offramp.send.path.SendPath` with AXI4-Stream edges, configuration ports and counters.

    Members
    -------
    s_axis_request : In(RecordSignature(Request))
        Request records, in the order of their packets.
    s_axis_buffer : In(PacketSignature(lanes))
        The packets' scatter-gather buffers, each an AXI4-Stream packet that starts in lane 0.
    m_axis_frame : Out(PacketSignature(lanes, tag=16))
        Wire frames without FCS and without padding; ``tid`` is the request's tag.
    m_axis_completion : Out(RecordSignature(Completion))
        One completion for each request, in order.
    cfg_... : In
        The members of :class:`~offramp.records.Configuration`, sampled when a request is accepted.
    stat_... : Out
        Counters (:func:`counters`), which wrap around.

    Parameters
    ----------
    lanes : int
        Bytes per beat: 8, 16, 32 or 64.
    max_mss : int
        Most payload bytes of one segment; sets the size of the store.
    max_header_bytes : int
        Longest header block.
    """

    def __init__(self, *, lanes: int, max_mss: int = 9600, max_header_bytes: int = 256) -> None:
        self.lanes = lanes
        self.max_mss = max_mss
        self.max_header_bytes = max_header_bytes
        self.path = SendPath(lanes=lanes, max_mss=max_mss, max_header_bytes=max_header_bytes)
        super().__init__({
            "s_axis_request": In(RecordSignature(Request)),
            "s_axis_buffer": In(PacketSignature(lanes)),
            "m_axis_frame": Out(PacketSignature(lanes, tag=TAG_BITS)),
            "m_axis_completion": Out(RecordSignature(Completion)),
            **{f"cfg_{name}": In(width) for name, width in SETTINGS.items()},
            **{f"stat_{name}": Out(width) for name, width in counters().items()},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.path = path = self.path
        m.submodules.request_edge = request = RecordInput(Request)
        m.submodules.buffer_edge = buffer = PacketInput(self.lanes)
        m.submodules.frame_edge = frame = PacketOutput(self.lanes, tag=TAG_BITS)
        m.submodules.completion_edge = completion = RecordOutput(Completion)

        wiring.connect(m, wiring.flipped(self.s_axis_request), request.axis)
        wiring.connect(m, wiring.flipped(self.s_axis_buffer), buffer.axis)
        wiring.connect(m, request.records, path.requests)
        wiring.connect(m, buffer.packets, path.buffers)
        wiring.connect(m, path.frames, frame.packets)
        wiring.connect(m, path.completions, completion.records)
        wiring.connect(m, frame.axis, wiring.flipped(self.m_axis_frame))
        wiring.connect(m, completion.axis, wiring.flipped(self.m_axis_completion))

        for name in SETTINGS:
            m.d.comb += path.config[name].eq(getattr(self, f"cfg_{name}"))
        self._count(m, path)
        return m

    def _count(self, m: Module, path: SendPath) -> None:
        """Count what happens; refusals are told a cycle late."""
        done = Signal(Status, reset_less=True)
        finished = Signal()
        m.d.sync += [
            done.eq(path.completions.p.status),
            finished.eq(path.completions.valid & path.completions.ready),
        ]
        beat: Any = path.frames.p
        moved = path.frames.valid & path.frames.ready
        events: dict[str, Any] = {
            "requests": path.accepted,
            "frames": moved & beat.last,
            "inner_version_hint": path.hints.version,
            "tcp_options_hint": path.hints.options,
            "split_encapsulation": path.hints.split,
        }
        for status in Status:
            if status != Status.OK:
                events[f"refused_{status.name.lower()}"] = finished & (done == status)
        stats = {name: getattr(self, f"stat_{name}") for name in counters()}
        count_events(m, stats, events)
        count_bytes(m, stats["bytes"], moved, beat)
