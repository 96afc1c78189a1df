"""Decides what becomes of a request: which frames, or why not."""

from typing import Any

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.records import MAX_PAYLOAD_BYTES, Status
from offramp.send.train import TAG_BYTES, Case, Limits, Train
from offramp.walk.layout import OFFSET_BITS, Layout, Network

MAX_IP_BYTES = 65_535
IPV6_BYTES = 40

SYN, RST, URG = 1, 2, 5
"""Flag bits in TCP's control word."""


class Findings(data.Struct):
    """What the first cycle makes of a layout and a case."""

    case: Case
    layout: Layout
    network: Network  # the innermost
    tunnel: 1
    segment: 1
    transport: 1  # its checksum is to be computed
    cut: 1  # a header that counts is cut
    visited: 1  # the transport header counts, if there is one
    header_bytes: OFFSET_BITS  # behind the last header that counts


def exceeds(a: Value | int, *rest: Value | int) -> Value:
    """Whether ``a`` is more than the sum of ``rest``, with one carry chain."""
    total = Const(-1) + a
    for value in rest:
        total -= value
    return ~total[-1]


class Judge(wiring.Component):
    """Checks a request against its packet (section 6 of the rules) and plans its train.

    One request a cycle, in order. Of several reasons to refuse a request, the lowest
    :class:`~offramp.records.Status` is given.

    Parameters
    ----------
    limits : Limits
        What the build can hold.

    Members
    -------
    cases : In(stream.Signature(Case))
        What the request's record says.
    layout : In(StructLayout({"valid": 1, "layout": Layout}))
        What the walk found in its packet. Its case must be there before.
    judged : Out(1)
        A packet is judged, :attr:`latency` cycles after its layout came.
    passed : Out(1)
        With ``judged``: it is not refused.
    train : Out(Train(limits))
        With ``judged``: what becomes of it. Not registered.
    hints : Out(StructLayout)
        Strobes, once a request, for counters: ``split`` (the second buffer begins in front of the inner
        frame, SG-3), ``version`` (INV-13) and ``options`` (INV-14) disagree with the packet.
    """

    cases: stream.Interface
    latency = 2

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__({
            "cases": In(stream.Signature(Case)),
            "layout": In(data.StructLayout({"valid": 1, "layout": Layout})),
            "judged": Out(1),
            "passed": Out(1),
            "train": Out(Train(limits)),
            "hints": Out(data.StructLayout({"split": 1, "version": 1, "options": 1})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.cases.ready.eq(self.layout.valid)
        found = self._find(m)
        train, objections = self._weigh(m, found)

        valid = Signal(2)
        m.d.sync += valid.eq(Cat(self.layout.valid, valid))
        m.d.comb += [self.train.eq(train), self.judged.eq(valid[-1])]
        for status in sorted(objections, key=lambda status: status.value, reverse=True):
            with m.If(objections[status]):
                m.d.comb += self.train.status.eq(status)
        m.d.comb += self.passed.eq(valid[-1] & ~Cat(objections.values()).any())

        if platform is None:
            with m.If(self.layout.valid):
                m.d.sync += Assert(self.cases.valid, "a packet follows its request")
        return m

    def _find(self, m: Module) -> Any:
        """First cycle: which headers count."""
        case: Any = self.cases.p
        layout: Any = self.layout.layout
        outer, inner, transport = layout.outer, layout.inner, layout.transport

        tunnel = layout.tunnel.nvgre | layout.tunnel.vxlan  # looked for in encapsulated packets only
        network: Any = Signal(Network, name="innermost")
        m.d.comb += network.eq(Mux(tunnel, inner, outer))
        segment = case.lso | case.uso
        checksum = case.checksum
        asked = (
            case.checksum_valid & ~segment & ((transport.tcp & checksum.tcp) | (transport.udp & checksum.udp))
        )
        passed_by = (transport.tcp | transport.udp) & ~(segment | asked)  # the transport header is payload

        found: Any = Signal(Findings, reset_less=True)
        m.d.sync += [
            found.case.eq(case),
            found.layout.eq(layout),
            found.network.eq(network),
            found.tunnel.eq(tunnel),
            found.segment.eq(segment),
            found.transport.eq(asked & ~(transport.udp & (transport.checksum == 0))),  # TXC-10
            found.cut.eq(layout.cut & ~passed_by),
            found.visited.eq(~passed_by),
            found.header_bytes.eq(Mux(passed_by, network.end, layout.end)),
        ]
        with m.If(~case.work):
            m.d.sync += found.header_bytes.eq(0)
        return found

    def _weigh(self, m: Module, found: Any) -> tuple[Any, dict[Status, Value]]:
        """Second cycle: arithmetic and objections."""
        limits = self.limits
        case, layout, network = found.case, found.layout, found.network
        outer, inner, tunnel, transport = layout.outer, layout.inner, layout.tunnel, layout.transport
        config, checksum, supplemental = case.config, case.checksum, case.supplemental
        segment, work = found.segment, case.work
        header = found.header_bytes
        complete = ~layout.cut
        control = transport.control
        plain = ~case.encapsulated

        def either(condition_ipv4: Value, condition_ipv6: Value) -> Value:
            return Mux(network.ipv6, condition_ipv6, condition_ipv4)

        claimed = Mux(case.is_ipv6, outer.ipv6, outer.ipv4)
        version_conflict = case.both_versions | (
            work
            & ~exceeds(outer.start, case.length)  # there is an EtherType
            & (
                (checksum.is_ipv4 & ~outer.ipv4)
                | (checksum.is_ipv6 & ~outer.ipv6)
                | (segment & plain & ~claimed)
            )
        )

        # The IP length bounds what a transport checksum covers (TXC-14), UDP's own length even more so.
        fixed = Mux(network.ipv6, IPV6_BYTES, 0)
        datagram = transport.sequence[16:]
        inconsistent = (
            exceeds(network.start + network.length + fixed, case.length)
            | exceeds(header, network.start + network.length, fixed)
            | (transport.udp & exceeds(network.end + datagram, network.start + network.length, fixed))
            | (transport.udp & (datagram < 8))
        )

        inner_frame, relative = tunnel.inner_frame, inner.start - tunnel.inner_frame
        offsets_disagree = (
            case.encapsulated
            & supplemental.offsets_valid
            & found.tunnel
            & (
                (supplemental.inner_frame_offset != inner_frame)
                | (
                    (inner.ipv4 | inner.ipv6)
                    & (
                        (supplemental.ip_relative_offset != relative)
                        | (
                            ~inner.fragment
                            & ((supplemental.tcp_relative_offset + inner.start) != inner.end)
                        )
                    )
                )
            )
        ) | (
            plain
            & Mux(
                segment,
                case.header_offset != outer.end,
                case.checksum_valid
                & checksum.tcp
                & transport.tcp
                & checksum.tcp_header_offset.any()
                & (checksum.tcp_header_offset != outer.end),
            )
        )

        truncated = Mux(
            work,
            exceeds(header, case.length) | (found.cut & layout.last),
            (case.length == 0) | (case.has_tag & (case.length < 14)),
        )
        maximum = either(config.max_offload_ipv4_bytes, config.max_offload_ipv6_bytes)
        overhead = Mux(outer.ipv6, IPV6_BYTES, 0)
        fragment = outer.fragment | (found.tunnel & inner.fragment)
        secured = outer.secured | (found.tunnel & inner.secured)
        unknown = (
            case.encapsulated & ~found.tunnel & complete & ~outer.fragment & ~outer.malformed
        )

        objections: dict[Status, Value] = {
            Status.BUFFER_MISMATCH: work & found.cut & layout.last & layout.mismatch & case.length.any(),
            Status.VERSION_CONFLICT: version_conflict,
            Status.LSO_V1_ENCAPSULATED: case.lso_v1 & case.encapsulated,
            Status.HEADER_TRUNCATED: truncated,
            Status.IP_HEADER: work & (outer.malformed | (found.tunnel & inner.malformed)),
            Status.TUNNEL_UNSUPPORTED: unknown & ~tunnel.gre_options,
            Status.GRE_OPTIONS: unknown & tunnel.gre_options,
            Status.TUNNEL_DISABLED: case.encapsulated
            & ((tunnel.nvgre & ~config.encapsulation.nvgre) | (tunnel.vxlan & ~config.encapsulation.vxlan)),
            Status.FRAGMENT: segment & fragment,
            Status.EXTENSION_UNSUPPORTED: segment & secured,
            Status.PROTOCOL_MISMATCH: complete & ((case.lso & ~transport.tcp) | (case.uso & ~transport.udp)),
            Status.TCP_DATA_OFFSET: complete
            & transport.tcp
            & (case.lso | found.transport)
            & (control[12:16] < 5),
            Status.TCP_FLAGS: complete
            & case.lso
            & transport.tcp
            & (control[SYN] | control[RST] | control[URG]),
            Status.OFFSETS_DISAGREE: work & complete & offsets_disagree,
            Status.HEADER_TOO_LONG: work & (found.cut | (header > limits.max_header_bytes)),
            Status.LSO_DISABLED: case.lso & ~either(config.lso_ipv4, config.lso_ipv6),
            Status.USO_DISABLED: case.uso & ~either(config.uso_ipv4, config.uso_ipv6),
            Status.MSS_ZERO: segment & case.mss_zero,
            Status.PAYLOAD_TOO_LONG: segment
            & (exceeds(case.length, header, maximum) | exceeds(case.length, header, MAX_PAYLOAD_BYTES)),
            Status.SEGMENT_TOO_LONG: segment
            & exceeds(case.length, outer.start, overhead, MAX_IP_BYTES)
            & exceeds(case.mss + header, outer.start, overhead, MAX_IP_BYTES),
            Status.MSS_OVER_STORE: segment & case.mss_over_store,
            Status.LENGTH_INCONSISTENT: found.transport & inconsistent,
            Status.FRAME_TOO_LONG: ~segment & (case.length > limits.max_frame_bytes),
        }
        raised = {
            status: Signal(name=f"objects_{status.name.lower()}", reset_less=True) for status in objections
        }
        m.d.sync += [raised[status].eq(objection) for status, objection in objections.items()]

        # The hints are counted, whatever becomes of the request.
        second = Signal()
        m.d.sync += second.eq(self.layout.valid)
        seen = second & found.tunnel
        whole_inner = (complete | transport.tcp | transport.udp) & ~exceeds(inner.end, case.length)
        whole_tcp = transport.tcp & complete & found.visited & ~exceeds(layout.end, case.length)
        m.d.sync += [
            self.hints.split.eq(seen & layout.split & ~exceeds(inner_frame, case.length)),
            self.hints.version.eq(
                seen
                & whole_inner
                & (inner.ipv4 | inner.ipv6)
                & ~inner.malformed
                & (supplemental.is_inner_ipv6 != inner.ipv6)
            ),
            self.hints.options.eq(
                seen & whole_tcp & ~supplemental.tcp_options_present & (control[12:16] > 5)
            ),
        ]
        return self._plan(m, found), raised

    def _plan(self, m: Module, found: Any) -> Any:
        """Second cycle: the train, should there be no objection."""
        case, layout, network = found.case, found.layout, found.network
        outer, inner, tunnel, transport = layout.outer, layout.inner, layout.tunnel, layout.transport
        config, checksum = case.config, case.checksum
        segment, header = found.segment, found.header_bytes

        shift = Mux(case.has_tag, TAG_BYTES, 0)
        payload = case.length - header
        single = ~segment | ~exceeds(case.length, header, case.mss)

        # Of the innermost IP version (REQ-16), for packets that stay whole (TXC-12).
        enabled = Mux(
            transport.udp,
            Mux(network.ipv6, config.tx_udp_ipv6_checksum, config.tx_udp_ipv4_checksum),
            Mux(network.ipv6, config.tx_tcp_ipv6_checksum, config.tx_tcp_ipv4_checksum),
        )
        wanted = case.encapsulated | (case.checksum_valid & checksum.ip_header)
        headers = case.work & (segment | (wanted & config.tx_ipv4_checksum))
        bounded = Mux(
            transport.udp,
            network.end + transport.sequence[16:],
            network.start + network.length + Mux(network.ipv6, IPV6_BYTES, 0),
        )
        inside = found.tunnel & (inner.ipv4 | inner.ipv6)
        rewrite_tunnel = segment & tunnel.vxlan & tunnel.checksum

        train: Any = Signal(Train(self.limits), reset_less=True)
        field = train.field
        m.d.sync += [
            train.tag.eq(case.tag),
            train.status.eq(Status.OK),
            train.lso_v1.eq(case.lso_v1),
            train.lso_v2.eq(case.lso & ~case.lso_v1),
            train.segmented.eq(segment),
            train.single.eq(single),
            # A packet that nothing is done to has no header block, and no place for a tag in it either.
            train.header_bytes.eq(Mux(case.work, header + shift, 0)),
            train.last_byte.eq(case.last_byte),
            train.payload_bytes.eq(payload + Mux(case.work, 0, shift)),
            train.slice_bytes.eq(case.mss),
            train.first_bytes.eq(Mux(single, payload + Mux(case.work, 0, shift), case.mss)),
            train.sum_bytes.eq(bounded - header),
            train.outer_ipv4.eq(outer.ipv4),
            train.inner_ipv4.eq(inner.ipv4),
            train.inner.eq(inside),
            train.outer_start.eq(outer.start + shift),
            train.outer_end.eq(outer.end + shift),
            train.inner_start.eq(inner.start + shift),
            train.transport_start.eq(network.end + shift),
            train.udp.eq(transport.udp),
            field.outer_network.eq(segment),
            field.inner_network.eq(segment & inside),
            field.outer_checksum.eq(headers & outer.ipv4),
            field.inner_checksum.eq(headers & inside & inner.ipv4),
            field.tunnel_length.eq(segment & tunnel.vxlan),
            field.tunnel_zero.eq(rewrite_tunnel & (outer.ipv4 | outer.routed)),
            field.tunnel_checksum.eq(rewrite_tunnel & ~outer.ipv4 & ~outer.routed),
            field.sequence.eq(case.lso),
            field.datagram_length.eq(case.uso),
            field.transport_checksum.eq(
                Mux(segment, case.lso | transport.checksum.any(), found.transport & enabled)
            ),
            train.outer_id.eq(outer.identification),
            train.inner_id.eq(inner.identification),
            train.id_wrap_16.eq(config.id_wrap_16 | case.uso),
            train.outer_length.eq(outer.length),
            train.inner_length.eq(inner.length),
            train.sequence.eq(transport.sequence),
            train.control.eq(transport.control),
            train.seed.eq(transport.checksum),
        ]
        return train
