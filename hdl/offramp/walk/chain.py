"""The header walk as one component."""

from typing import Any

from amaranth.hdl import EnableInserter, Module, Signal
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

        self._stages = (
            Link(passage),
            IpHeader(passage, "outer"),
            Extensions(passage, "outer", phase=2),
            Window(passage, tunnel.WORDS, phase=2),
            TunnelHeader(passage),
            IpHeader(passage, "inner"),
            Extensions(passage, "inner", phase=0),
            Window(passage, transport.WORDS),
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
        return 1 + self._stages[-1].latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        link, outer, outer_extensions, tunnel_window, tunnel = self._stages[:5]
        inner, inner_extensions, transport_window, transport = self._stages[5:]

        # What is in front of extension headers stands still while those take time, and so does everything
        # but the last stage on a stop from outside. Registers tell what moves, a cycle ahead. Those that
        # enable hundreds of flip-flops do nothing else; that they begin with a one keeps them apart.
        stop = Signal()
        outer_moves, inner_moves = Signal(), Signal()
        outer_enable, inner_enable = Signal(init=1), Signal(init=1)
        outer_stops = outer_extensions.busy | inner_extensions.busy | self.hold
        inner_stops = inner_extensions.busy | self.hold
        m.d.sync += [
            stop.eq(outer_stops),
            *(moves.eq(~outer_stops) for moves in (outer_moves, outer_enable)),
            *(moves.eq(~inner_stops) for moves in (inner_moves, inner_enable)),
        ]
        m.d.comb += [
            self.beats.ready.eq(~stop),
            outer_extensions.moves.eq(outer_moves),
            outer_extensions.enable.eq(outer_enable),
            inner_extensions.moves.eq(inner_moves),
            inner_extensions.enable.eq(inner_enable),
        ]
        m.submodules.link = EnableInserter(outer_enable)(link)
        m.submodules.outer = EnableInserter(outer_enable)(outer)
        m.submodules.outer_extensions = outer_extensions
        m.submodules.tunnel_window = EnableInserter(inner_enable)(tunnel_window)
        m.submodules.tunnel = EnableInserter(inner_enable)(tunnel)
        m.submodules.inner = EnableInserter(inner_enable)(inner)
        m.submodules.inner_extensions = inner_extensions
        m.submodules.transport_window = EnableInserter(inner_enable)(transport_window)
        m.submodules.transport = transport

        self._enter(m, link.i)
        for stage, following in zip(self._stages, self._stages[1:], strict=False):
            m.d.comb += following.i.eq(stage.o)
        m.d.comb += transport.i.valid.eq(transport_window.o.valid & inner_moves)
        for window, reader in ((tunnel_window, tunnel), (transport_window, transport)):
            m.d.comb += reader.words.eq(window.words)
        for finder, reader in ((link, outer), (tunnel, inner)):
            m.d.comb += reader.header.eq(finder.header)

        m.submodules.sums = sums = HeaderSums(self.passage)
        m.d.comb += [
            sums.i.eq(transport.o),
            self.layout.valid.eq(transport.leaves),
            self.layout.layout.eq(transport.o.layout),
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
            passage.next_index.eq(number + 1),
            passage.data.eq(beat.data),
            passage.look.eq(beat.look),
            passage.buffer.eq(beat.buffer),
            passage.layout.last.eq(beat.last),
            passage.layout.mismatch.eq(beat.last & beat.mismatch),
        ]
