"""The header walk as one component."""

from typing import Any

from amaranth.hdl import EnableInserter, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import check_lanes
from offramp.walk import transport, tunnel
from offramp.walk.addresses import Addresses, InnerAddresses
from offramp.walk.extension import Extensions
from offramp.walk.layout import Layout, Passage
from offramp.walk.link import Link
from offramp.walk.lookahead import Lookahead
from offramp.walk.network import IpHeader
from offramp.walk.sums import BaseSums, HeaderSums
from offramp.walk.transport import TransportHeader
from offramp.walk.tunnel import TunnelHeader
from offramp.walk.window import Window

ADDRESS_CYCLES = 2
"""Cycles that the addresses of a packet are behind its beats."""


def check_header_bytes(size: int, lanes: int) -> int:
    """Return ``size`` if headers can be looked for in so many bytes, else raise :class:`ValueError`."""
    if size % lanes or not 64 <= size <= 256:
        raise ValueError(f"max_header_bytes must be a multiple of {lanes} from 64 to 256, not {size!r}")
    return size


class HeaderWalk(wiring.Component):
    """Finds every header of a packet as it streams past: outer and inner Ethernet, IP, tunnel, TCP or UDP.

    A chain of stages, one for each layer. Each is told where its header starts, reads its fields when they
    pass and tells the next stage where to look; a stage that does not apply passes the pointer on.

    One beat a cycle and one packet a cycle, whatever the packets. Only the first ``max_header_bytes`` of a
    packet are looked at: beats behind them only go along.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    max_header_bytes : int
        Longest header block to look for, a multiple of ``lanes``.
    collect : bool
        Collect the addresses of the inner frame.

    Members
    -------
    beats : In(stream.Signature(StructLayout))
        Beats of packets: ``data``, ``count``, ``last``, ``mismatch`` (taken over into the layout where the
        packet ends inside the window), ``buffer`` (whether and after how many bytes the first buffer has
        ended), ``look`` (which tunnels to look into; the same for all beats of a packet), and ``carried``
        (not looked at).
    hold : In(1)
        Stop: up to :attr:`reserve` more layouts follow, and the sums of all packets that have theirs.
    layout : Out(StructLayout({"valid": 1, "layout": Layout}))
        One layout for each packet, in order, :attr:`latency` cycles after the beat that completes it.
    passed : Out(Passage)
        All beats, :attr:`latency` cycles later, each with what is known by then.
    addresses : Out(Addresses)
        Of the inner frame, as far as they have passed, :data:`ADDRESS_CYCLES` after ``passed``. Only if they
        are collected; nothing may ``hold`` the walk then.
    sums : Out(StructLayout({"valid": 1, "sums": BaseSums}))
        One set of sums for each packet, in order.
    """

    beats: stream.Interface

    def __init__(self, lanes: int, *, max_header_bytes: int = 256, collect: bool = False) -> None:
        self.collect = collect
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
                "count": passage["count"].shape,
                "last": 1,
                "mismatch": 1,
                "buffer": passage["buffer"].shape,
                "carried": passage["carried"].shape,
                "look": passage["look"].shape,
            }))),
            "hold": In(1),
            "layout": Out(data.StructLayout({"valid": 1, "layout": Layout})),
            "passed": Out(passage),
            "sums": Out(data.StructLayout({"valid": 1, "sums": BaseSums})),
            **({"addresses": Out(Addresses)} if collect else {}),
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

        # Everything but the last stage stands still on a stop. What moves is told by registers, a cycle
        # ahead. The one that enables hundreds of flip-flops does nothing else; that it begins with a one
        # keeps them apart.
        stop, moves, enable = Signal(), Signal(), Signal(init=1)
        m.d.sync += [stop.eq(self.hold), moves.eq(~self.hold), enable.eq(~self.hold)]
        m.d.comb += self.beats.ready.eq(~stop)

        # Extension headers are looked for in time for the beat in which the IP header is read.
        outer_ahead = Lookahead(self.lanes, phase=2, latency=link.latency)
        inner_ahead = Lookahead(self.lanes, phase=0, latency=tunnel_window.latency + tunnel.latency)
        moving = {
            "link": link,
            "outer_ahead": outer_ahead,
            "outer": outer,
            "outer_extensions": outer_extensions,
            "tunnel_window": tunnel_window,
            "tunnel": tunnel,
            "inner_ahead": inner_ahead,
            "inner": inner,
            "inner_extensions": inner_extensions,
            "transport_window": transport_window,
        }
        for name, stage in moving.items():
            m.submodules[name] = EnableInserter(enable)(stage)
        m.submodules.transport = transport
        for ahead, seen, reader, extensions in (
            (outer_ahead, link.i, outer, outer_extensions),
            (inner_ahead, tunnel_window.i, inner, inner_extensions),
        ):
            m.d.comb += [
                ahead.octets.eq(seen.data),
                extensions.ways.eq(ahead.ways),
                extensions.left.eq(ahead.left),
                extensions.chain.eq(reader.chain),
            ]

        self._enter(m, link.i)
        for stage, following in zip(self._stages, self._stages[1:], strict=False):
            m.d.comb += following.i.eq(stage.o)
        m.d.comb += [
            transport.i.valid.eq(transport_window.o.valid & moves),
            transport.i.beyond.eq(transport_window.o.beyond & moves),
        ]
        for window, reader in ((tunnel_window, tunnel), (transport_window, transport)):
            m.d.comb += reader.words.eq(window.words)
        for finder, reader in ((link, outer), (tunnel, inner)):
            m.d.comb += reader.header.eq(finder.header)

        if self.collect:
            rest = transport_window.latency + transport.latency
            m.submodules.addresses = addresses = InnerAddresses(self.passage, latency=rest + ADDRESS_CYCLES)
            m.d.comb += [addresses.i.eq(inner_extensions.o), self.addresses.eq(addresses.addresses)]

        m.submodules.sums = sums = HeaderSums(self.passage)
        m.d.comb += [
            sums.i.eq(transport.o),
            self.layout.valid.eq(transport.leaves),
            self.layout.layout.eq(transport.o.layout),
            self.passed.eq(transport.o),
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
            passage.beyond.eq(accept & behind),
            passage.first.eq((number == 0) & ~behind),
            passage.anew.eq((number == 0) & ~behind),
            passage.final.eq(beat.last | ends),
            passage.index.eq(number),
            passage.next_index.eq(number + 1),
            passage.data.eq(beat.data),
            passage.count.eq(beat.count),
            passage.look.eq(beat.look),
            passage.buffer.eq(beat.buffer),
            passage.carried.eq(beat.carried),
            passage.layout.last.eq(beat.last),
            passage.layout.mismatch.eq(beat.last & beat.mismatch),
        ]
