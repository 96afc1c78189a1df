"""The header walk as one component."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import check_lanes
from offramp.walk import transport, tunnel
from offramp.walk.extension import Extensions
from offramp.walk.layout import Layout, Passage
from offramp.walk.link import Link
from offramp.walk.network import IpHeader
from offramp.walk.sums import BaseSums, HeaderSums
from offramp.walk.transport import TransportHeader
from offramp.walk.tunnel import TunnelHeader
from offramp.walk.window import Window


def check_header_bytes(size: int, lanes: int) -> int:
    """Return ``size`` if headers can be looked for in so many bytes, else raise :class:`ValueError`."""
    if size % lanes or not 64 <= size <= 256:
        raise ValueError(f"max_header_bytes must be a multiple of {lanes} from 64 to 256, not {size!r}")
    return size


class HeaderWalk(wiring.Component):
    """Finds every header of a packet as it streams past: outer and inner Ethernet, IP, tunnel, TCP or UDP.

    A chain of stages, one for each layer. Each is told where its header starts, reads its fields when they
    pass and tells the next stage where to look; a stage that does not apply passes the pointer on.

    One beat a cycle and one packet a cycle, whatever the packets; an IPv6 extension header behind the first
    of its layer holds what follows it for a few cycles. Only the first ``max_header_bytes`` of a packet are
    looked at: beats behind them are ignored.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    max_header_bytes : int
        Longest header block to look for, a multiple of ``lanes``.

    Members
    -------
    beats : In(stream.Signature(StructLayout))
        Beats of packets: ``data``, ``last``, ``mismatch`` (taken over into the layout where the packet ends
        inside the window), ``buffer`` (whether and after how many bytes the first buffer has ended), and
        ``look`` (which tunnels to look into, and the VXLAN port; the same for all beats of a packet).
    hold : In(1)
        Stop: up to :attr:`reserve` more layouts follow, and the sums of all packets that have theirs.
    layout : Out(StructLayout({"valid": 1, "layout": Layout}))
        One layout for each packet, in order, :attr:`latency` cycles after the beat that completes it if
        no layer has two extension headers.
    sums : Out(StructLayout({"valid": 1, "sums": BaseSums}))
        One set of sums for each packet, in order.
    """

    beats: stream.Interface

    def __init__(self, lanes: int, *, max_header_bytes: int = 256) -> None:
        self.lanes = check_lanes(lanes)
        self.max_header_bytes = check_header_bytes(max_header_bytes, lanes)
        self.passage = passage = Passage(lanes, max_header_bytes)

        self._tunnel_window = Window(passage, tunnel.WORDS, phase=2)
        self._transport_window = Window(passage, transport.WORDS)
        self._stages = (
            Link(passage),
            IpHeader(passage, "outer"),
            Extensions(passage, "outer", phase=2, reserve=9),
            self._tunnel_window,
            TunnelHeader(passage),
            IpHeader(passage, "inner"),
            Extensions(passage, "inner", phase=0, reserve=9),
            self._transport_window,
            TransportHeader(passage),
        )
        super().__init__({
            "beats": In(stream.Signature(data.StructLayout({
                "data": passage["data"].shape,
                "last": 1,
                "mismatch": 1,
                "buffer": passage["buffer"].shape,
                "look": passage["look"].shape,
            }))),
            "hold": In(1),
            "layout": Out(data.StructLayout({"valid": 1, "layout": Layout})),
            "sums": Out(data.StructLayout({"valid": 1, "sums": BaseSums})),
        })

    @property
    def latency(self) -> int:
        """Cycles from accepting a packet's last header beat to its layout."""
        return sum(stage.latency for stage in self._stages)

    @property
    def reserve(self) -> int:
        """Layouts that may still come while ``hold`` is set."""
        return self._transport_window.latency + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (
            m.submodules.link,
            m.submodules.outer,
            m.submodules.outer_extensions,
            m.submodules.tunnel_window,
            m.submodules.tunnel,
            m.submodules.inner,
            m.submodules.inner_extensions,
            m.submodules.transport_window,
            m.submodules.transport,
        ) = self._stages
        parts = m.submodules

        # Stops are registers: what is still under way fits into the queues.
        stop = Signal()
        m.d.sync += stop.eq(parts.outer_extensions.full)
        m.d.comb += [
            self.beats.ready.eq(~stop),
            parts.outer_extensions.hold.eq(parts.inner_extensions.full),
            parts.inner_extensions.hold.eq(self.hold),
        ]
        self._enter(m, parts.link.i)

        for stage, following in zip(self._stages, self._stages[1:], strict=False):
            m.d.comb += following.i.eq(stage.o)
        for window, reader in (
            (parts.tunnel_window, parts.tunnel),
            (parts.transport_window, parts.transport),
        ):
            m.d.comb += [reader.words.eq(window.words), reader.have.eq(window.have)]
        for finder, reader in ((parts.link, parts.outer), (parts.tunnel, parts.inner)):
            m.d.comb += reader.header.eq(finder.header)
        m.d.comb += [
            self.layout.valid.eq(parts.transport.leaves),
            self.layout.layout.eq(parts.transport.o.layout),
        ]

        m.submodules.sums = sums = HeaderSums(self.passage)
        m.d.comb += [
            sums.i.eq(parts.transport.o),
            self.sums.eq(sums.o),
        ]
        return m

    def _enter(self, m: Module, passage: Any) -> None:
        """Number the beats of the window."""
        beat: Any = self.beats.p
        window = self.max_header_bytes // self.lanes
        number = Signal(range(window))
        behind = Signal()  # the window
        accept = self.beats.valid & self.beats.ready
        ends = number == window - 1
        with m.If(accept):
            m.d.sync += [number.eq(number + 1), behind.eq(behind | ends)]
            with m.If(beat.last):
                m.d.sync += [number.eq(0), behind.eq(0)]

        m.d.comb += [
            passage.valid.eq(accept & ~behind),
            passage.first.eq(number == 0),
            passage.final.eq(beat.last | ends),
            passage.index.eq(number),
            passage.data.eq(beat.data),
            passage.look.eq(beat.look),
            passage.buffer.eq(beat.buffer),
            passage.layout.last.eq(beat.last),
            passage.layout.mismatch.eq(beat.last & beat.mismatch),
        ]
