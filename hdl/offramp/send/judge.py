"""Decides what becomes of a request: which frames, or why not."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from offramp.records import PAYLOAD_BITS, Status
from offramp.send.train import TAG_BYTES, Case, Counted, Limits, Train
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
    length_from: OFFSET_BITS  # where the innermost IP header's length counts from
    ip_limit: 17  # most bytes that the outer IP header's length allows a frame to have
    max_offload_bytes: PAYLOAD_BITS


def exceeds(left: Sequence[ValueLike], right: Sequence[ValueLike]) -> Value:
    """Whether the sum of ``left`` is more than that of ``right``, all of them unsigned.

    It is if the difference is negative. Adding the complement of a number takes off that number and one more.
    Three numbers become two without a carry that runs, so there is one carry chain in the end, whose highest
    bit is the sign.
    """
    less, more = ([Value.cast(value) for value in side] for side in (left, right))
    width = bits_for(sum((1 << len(value)) - 1 for value in more + less)) + 1
    terms = [extended(value, width) for value in more] + [~extended(value, width) for value in less]
    missing = len(less)  # ones, which find room at the free end of carries
    while len(terms) > 2:
        a, b, c, *rest = terms
        terms = [*rest, a ^ b ^ c, Cat(Const(missing > 0, 1), (a & b) | (c & (a | b)))[:width]]
        missing -= missing > 0
    carry = Const(missing, 1)
    return (Cat(carry, terms[0]) + Cat(carry, terms[1]))[width]


def differences(a: ValueLike, b: ValueLike, total: ValueLike) -> Value:
    """Bits of which none is set if ``a`` and ``b``, unsigned, add up to ``total``.

    They do if adding its complement gives nothing but ones, and two numbers give that only if they are each
    other's complement: no carry has to run.
    """
    terms = [Value.cast(value) for value in (a, b, total)]
    width = max(map(len, terms)) + 1
    a, b, c = (extended(value, width) for value in terms)
    c = ~c
    return ~((a ^ b ^ c) ^ Cat(Const(0, 1), (a & b) | (c & (a | b)))[:width])


def extended(value: Value, width: int) -> Value:
    """Return ``value`` with zeros up to ``width`` bits."""
    return Cat(value, Const(0, width - len(value)))


def first(flags: Sequence[tuple[Status, Value]]) -> Value:
    """Return the status of the first of ``flags`` that is set, :attr:`Status.OK` if none is.

    Halves are joined, so that the depth is the logarithm of their number.
    """
    if len(flags) == 1:
        ((status, flag),) = flags
        return Mux(flag, status, Status.OK)
    lower, upper = flags[: len(flags) // 2], flags[len(flags) // 2 :]
    return Mux(Cat(flag for _, flag in lower).any(), first(lower), first(upper))


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
        With ``judged``: it is not refused. Not registered.
    train : Out(Train(limits))
        With ``judged``: what becomes of it, if it is not refused.
    status : Out(Status)
        A cycle after ``judged``: why it is refused, or that it is not.
    hints : Out(StructLayout)
        Strobes, once a request, for counters: ``split`` (the second buffer begins in front of the inner
        frame, SG-3), ``version`` (INV-13) and ``options`` (INV-14) disagree with the packet.
    """

    cases: stream.Interface
    latency = 3

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__({
            "cases": In(stream.Signature(Case)),
            "layout": In(data.StructLayout({"valid": 1, "layout": Layout})),
            "judged": Out(1),
            "passed": Out(1),
            "train": Out(Train(limits)),
            "status": Out(Status),
            "hints": Out(data.StructLayout({"split": 1, "version": 1, "options": 1})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.cases.ready.eq(self.layout.valid)
        found = self._find(m)
        computed = self._enabled(found) & found.transport
        self._plan(m, found, computed)
        objections: Any = self._weigh(m, found, computed)
        self._hint(m, found, Cat(objections[Status.BUFFER_MISMATCH]).any())

        # Whether there is any objection is needed at once: most of them meet before the register.
        parts = [part for several in objections.values() for part in several]
        refusals = Signal(4, reset_less=True)
        m.d.sync += refusals.eq(Cat(Cat(parts[n::4]).any() for n in range(4)))

        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.layout.valid, valid))
        m.d.comb += [
            self.judged.eq(valid[-1]),
            self.passed.eq(~refusals.any()),
        ]
        self._report(m, objections)

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
            found.length_from.eq(network.start + Mux(network.ipv6, IPV6_BYTES, 0)),
            found.ip_limit.eq(outer.start + Mux(outer.ipv6, MAX_IP_BYTES + IPV6_BYTES, MAX_IP_BYTES)),
            found.max_offload_bytes.eq(
                Mux(network.ipv6, case.config.max_offload_ipv6_bytes, case.config.max_offload_ipv4_bytes)
            ),
            found.header_bytes.eq(Mux(passed_by, network.end, layout.end)),
        ]
        with m.If(~case.work):
            m.d.sync += found.header_bytes.eq(0)
        return found

    @staticmethod
    def _enabled(found: Any) -> Value:
        """Second cycle: the innermost IP version's transport checksums are switched on (REQ-16)."""
        config, ipv6 = found.case.config, found.network.ipv6
        return Mux(
            found.layout.transport.udp,
            Mux(ipv6, config.tx_udp_ipv6_checksum, config.tx_udp_ipv4_checksum),
            Mux(ipv6, config.tx_tcp_ipv6_checksum, config.tx_tcp_ipv4_checksum),
        )

    def _weigh(self, m: Module, found: Any, computed: Value) -> dict[Status, list[Value]]:
        """Second and third cycle: objections, each in one or more parts.

        A comparison has the second cycle for itself, and meets its condition in the third. ``computed`` says
        that a packet that stays whole gets a transport checksum.
        """
        limits = self.limits
        case, layout, network = found.case, found.layout, found.network
        outer, inner, tunnel, transport = layout.outer, layout.inner, layout.tunnel, layout.transport
        config, checksum, supplemental = case.config, case.checksum, case.supplemental
        segment, work = found.segment, case.work
        header = found.header_bytes
        complete = ~found.cut
        control = transport.control
        plain = ~case.encapsulated

        def either(condition_ipv4: Value, condition_ipv6: Value) -> Value:
            return Mux(network.ipv6, condition_ipv6, condition_ipv4)

        claimed = Mux(case.is_ipv6, outer.ipv6, outer.ipv4)
        beyond_ip = exceeds([case.length], [found.ip_limit])
        # The IP length bounds what a transport checksum covers (TXC-14), UDP's own length even more so.
        bounds = [found.length_from, network.length]
        datagram = transport.sequence[16:]
        fragment = outer.fragment | (found.tunnel & inner.fragment)
        secured = outer.secured | (found.tunnel & inner.secured)
        unknown = (
            case.encapsulated & ~found.tunnel & complete & ~outer.fragment & ~outer.malformed
        )
        misplaced = {  # where the inner headers are not; halves meet later than bits
            "ip": differences(supplemental.ip_relative_offset, tunnel.inner_frame, inner.start),
            "tcp": differences(supplemental.tcp_relative_offset, inner.start, inner.end),
        }
        placed = complete & case.encapsulated & supplemental.offsets_valid & found.tunnel
        placed_ip = placed & (inner.ipv4 | inner.ipv6)

        dry = (  # the packet ends too early, and before its headers do
            work & layout.last,
            exceeds([header], [layout.octets]),
            exceeds([case.length], [layout.octets]),
        )

        objections: dict[Status, list[tuple[ValueLike, ...]]] = {
            Status.BUFFER_MISMATCH: [(case.no_buffers,), dry],
            Status.VERSION_CONFLICT: [
                (case.both_versions,),
                (
                    (checksum.is_ipv4 & ~outer.ipv4)
                    | (checksum.is_ipv6 & ~outer.ipv6)
                    | (segment & plain & ~claimed),
                    work & ~exceeds([outer.start], [case.length]),  # there is an EtherType
                ),
            ],
            Status.LSO_V1_ENCAPSULATED: [(case.lso_v1 & case.encapsulated,)],
            Status.HEADER_TRUNCATED: [
                (work, exceeds([header], [case.length])),
                (~work & (case.length == 0),),
                (~work & case.has_tag & (case.length < 14),),
            ],
            Status.IP_HEADER: [(work & (outer.malformed | (found.tunnel & inner.malformed)),)],
            Status.TUNNEL_UNSUPPORTED: [(unknown & ~tunnel.gre_options,)],
            Status.GRE_OPTIONS: [(unknown & tunnel.gre_options,)],
            Status.TUNNEL_DISABLED: [
                (case.encapsulated & tunnel.nvgre & ~config.encapsulation.nvgre,),
                (case.encapsulated & tunnel.vxlan & ~config.encapsulation.vxlan,),
            ],
            Status.FRAGMENT: [(segment & fragment,)],
            Status.EXTENSION_UNSUPPORTED: [(segment & secured,)],
            Status.PROTOCOL_MISMATCH: [
                (complete & case.lso & ~transport.tcp,),
                (complete & case.uso & ~transport.udp,),
            ],
            Status.TCP_DATA_OFFSET: [
                (complete & transport.tcp & (case.lso | found.transport) & (control[12:16] < 5),)
            ],
            Status.TCP_FLAGS: [
                (complete & case.lso & transport.tcp & (control[SYN] | control[RST] | control[URG]),)
            ],
            Status.OFFSETS_DISAGREE: [
                (placed, supplemental.inner_frame_offset != tunnel.inner_frame),
                (placed_ip, misplaced["ip"][:6]),
                (placed_ip, misplaced["ip"][6:]),
                (placed_ip & ~inner.fragment, misplaced["tcp"][:6]),
                (placed_ip & ~inner.fragment, misplaced["tcp"][6:]),
                (work & complete & plain & segment, case.header_offset != outer.end),
                (
                    work & complete & plain & ~segment & case.checksum_valid & checksum.tcp & transport.tcp,
                    checksum.tcp_header_offset.any(),
                    checksum.tcp_header_offset != outer.end,
                ),
            ],
            Status.HEADER_TOO_LONG: [
                (work & found.cut,),
                (work, header > limits.max_header_bytes),
            ],
            Status.LSO_DISABLED: [(case.lso & ~either(config.lso_ipv4, config.lso_ipv6),)],
            Status.USO_DISABLED: [(case.uso & ~either(config.uso_ipv4, config.uso_ipv6),)],
            Status.MSS_ZERO: [(segment & ~case.mss.any(),)],
            # What is configured has too few bits to be more than 262,143 (LIM-1).
            Status.PAYLOAD_TOO_LONG: [
                (segment, exceeds([case.length], [header, found.max_offload_bytes])),
                (case.lso_v1, beyond_ip),
            ],
            Status.SEGMENT_TOO_LONG: [
                (
                    segment,
                    beyond_ip,
                    exceeds([case.mss, header], [found.ip_limit]),
                )
            ],
            Status.MSS_OVER_STORE: [(segment, case.mss > limits.max_mss)],
            Status.LENGTH_INCONSISTENT: [
                (computed, exceeds(bounds, [case.length])),
                (computed, exceeds([header], bounds)),
                (computed & transport.udp, exceeds([network.end, datagram], bounds)),
                (computed & transport.udp, datagram < 8),
            ],
            Status.FRAME_TOO_LONG: [(~segment, case.length > limits.max_frame_bytes)],
        }
        weighed: dict[Status, list[Value]] = {}
        for status, parts in objections.items():
            weighed[status] = []
            for n, factors in enumerate(parts):
                name = f"{status.name.lower()}{n}"
                known = Signal(len(factors), name=name, reset_less=True)
                m.d.sync += known.eq(Cat(Value.cast(factor).any() for factor in factors))
                weighed[status].append(known.all())
        return weighed

    def _report(self, m: Module, objections: dict[Status, list[Value]]) -> None:
        """Fourth cycle: objections in the order of their numbers."""
        raised = []
        for status in sorted(objections, key=lambda status: status.value):
            objects = Signal(name=f"objects_{status.name.lower()}", reset_less=True)
            m.d.sync += objects.eq(Cat(objections[status]).any())
            raised.append((status, objects))
        m.d.sync += self.status.eq(first(raised))

    def _hint(self, m: Module, found: Any, missing: Value) -> None:
        """Compare with what the host says without being asked; counted, whatever becomes of the request.

        Unless header bytes are ``missing``, which is known in the third cycle.
        """
        case, layout = found.case, found.layout
        inner, tunnel, transport = layout.inner, layout.tunnel, layout.transport
        supplemental = case.supplemental
        complete = ~layout.cut

        # Second cycle: what disagrees, and whether the packet is long enough for it to count.
        seen = Signal()
        m.d.sync += seen.eq(self.layout.valid)
        valid = Signal()
        disagrees, reaches = (Signal(self.hints.shape(), name=name) for name in ("disagrees", "reaches"))
        m.d.sync += [
            valid.eq(seen & found.tunnel),
            disagrees.split.eq(layout.split),
            reaches.split.eq(~exceeds([tunnel.inner_frame], [case.length])),
            disagrees.version.eq(
                (complete | transport.tcp | transport.udp)
                & (inner.ipv4 | inner.ipv6)
                & ~inner.malformed
                & (supplemental.is_inner_ipv6 != inner.ipv6)
            ),
            reaches.version.eq(~exceeds([inner.end], [case.length])),
            disagrees.options.eq(
                complete
                & found.visited
                & transport.tcp
                & ~supplemental.tcp_options_present
                & (transport.control[12:16] > 5)
            ),
            reaches.options.eq(~exceeds([layout.end], [case.length])),
        ]
        m.d.sync += [
            hint.eq(valid & ~missing & disagree & reach)
            for hint, disagree, reach in zip(
                self.hints.as_value(), disagrees.as_value(), reaches.as_value(), strict=True
            )
        ]

    def _plan(self, m: Module, found: Any, computed: Value) -> None:
        """Second and third cycle: the train, should there be no objection."""
        case, layout, network = found.case, found.layout, found.network
        outer, inner, tunnel, transport = layout.outer, layout.inner, layout.tunnel, layout.transport
        config, checksum = case.config, case.checksum
        segment, header = found.segment, found.header_bytes

        shift = Mux(case.has_tag, TAG_BYTES, 0)

        wanted = case.encapsulated | (case.checksum_valid & checksum.ip_header)
        headers = case.work & (segment | (wanted & config.tx_ipv4_checksum))
        covered_from = Mux(transport.udp, network.end, found.length_from)
        inside = found.tunnel & (inner.ipv4 | inner.ipv6)
        rewrite_tunnel = segment & tunnel.vxlan & tunnel.checksum

        train: Any = Signal(Train(self.limits), reset_less=True)
        field = train.field
        added = Signal(range(TAG_BYTES + 1), reset_less=True)  # to a payload that has the tag in it
        divides = Signal(reset_less=True)
        covered = Signal(16, reset_less=True)
        uncounted: Any = Signal(Counted, reset_less=True)  # header bytes in front of what lengths count
        m.d.sync += [
            *(
                uncounted[layer].eq(
                    ip.start + Mux(ip.ipv6, Mux(case.has_tag, IPV6_BYTES + TAG_BYTES, IPV6_BYTES), shift)
                )
                for layer, ip in (("outer", outer), ("inner", inner))
            ),
            added.eq(Mux(case.work, 0, shift)),
            divides.eq(exceeds([case.length], [header, case.mss])),
            covered.eq(Mux(transport.udp, transport.sequence[16:], network.length)),
            train.tag.eq(case.tag),
            train.lso_v1.eq(case.lso_v1),
            train.lso_v2.eq(case.lso & ~case.lso_v1),
            train.segmented.eq(segment),
            train.bare.eq(case.work & ~exceeds([case.length], [header])),
            # A packet that nothing is done to has no header block, and no place for a tag in it either.
            train.header_bytes.eq(Mux(case.work, header + shift, 0)),
            train.last_byte.eq(case.last_byte),
            train.payload_bytes.eq(case.length - header),
            train.slice_bytes.eq(case.mss),
            train.sum_bytes.eq(covered_from - header),
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
                Mux(segment, case.lso | transport.checksum.any(), computed)
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

        complete: Any = Signal(Train(self.limits), name="complete", reset_less=True)
        m.d.sync += [
            complete.eq(train),
            complete.single.eq(~train.segmented | ~divides),
            complete.payload_bytes.eq(train.payload_bytes + added),
            complete.sum_bytes.eq(train.sum_bytes + covered),
            *(
                complete.counted[layer].eq(train.header_bytes - start)
                for layer, start in (
                    ("outer", uncounted.outer),
                    ("tunnel", train.outer_end),
                    ("inner", uncounted.inner),
                    ("transport", train.transport_start),
                )
            ),
        ]
        m.d.comb += self.train.eq(complete)
