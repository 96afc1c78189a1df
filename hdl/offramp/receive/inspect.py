"""Draws conclusions from a received frame's headers and lengths."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.receive.survey import Surveyed
from offramp.records import HashTypes, IpVersion, Layers, Reason, TunnelType
from offramp.walk.layout import Protocol

TAGGED_BYTES = 18
"""Bytes of an Ethernet header with one VLAN tag."""

ETHERNET_BYTES = 14

SECURITY = (Protocol.ESP, Protocol.AH)
IPV6_EXTENSIONS = (135, 139, 140)
"""Headers with a transport header behind or inside, maybe, that are not walked over: mobility,
HIP and Shim6 in IPv6."""


class Checks(data.Struct):
    """Which checksums are to be checked, as it was switched when the frame came (CFG-1, RXC-1)."""

    active: 1
    ipv4: 1
    tcp_ipv4: 1
    udp_ipv4: 1
    tcp_ipv6: 1
    udp_ipv6: 1


class Hashing(data.Struct):
    """What is hashed of a frame.

    ``ports`` says that it is the innermost addresses and ports, which are those of an ``inner`` header, or
    of ``ipv6``; ``outer`` that the outer addresses are otherwise, which may be of ``outer_ipv6``.
    """

    ports: 1
    inner: 1
    ipv6: 1
    outer: 1
    outer_ipv6: 1


class Findings(data.Struct):
    """What a frame has, as far as its bytes are really there.

    ``outer_mac`` and ``inner_mac`` say that there is an Ethernet header, ``outer_ip`` and ``inner_ip`` that
    an IPv4 header is whole, and ``hidden`` that there may be another one where nobody could look.
    ``tunnel_checksum`` says that the tunnel has one that can be checked.
    """

    layers: Layers
    length: 16
    protocol: 8
    outer_mac: 1
    inner_mac: 1
    hash: Hashing
    tunnel: 1  # one that was looked into
    tcp: 1  # the innermost transport header
    udp: 1
    ipv6: 1  # the IP header that it belongs to
    outer_ip: 1
    inner_ip: 1
    hidden: 1
    tunnel_checksum: 1
    port_numbers: 32


class Inspect(wiring.Component):
    """Tells what of the headers that were found is there, and why not to check the transport checksum.

    The walk reads whole beats, so what it says of bytes behind the frame's end means nothing. One frame a
    cycle.

    Parameters
    ----------
    shape : Surveyed
        Layout of the beats.

    Members
    -------
    types : In(HashTypes)
        Kinds of hashes that are wanted, looked at with the frame.
    surveyed : In(shape)
        Beats. A frame is looked at with its last one.
    found : Out({"valid": 1, "findings": Findings, "checks": Checks})
        Once a frame, :attr:`latency` cycles after that.
    reason : Out(Reason)
        Two cycles after ``found``: the first reason not to check, but for the tunnel's checksum.
    """

    latency = 1

    def __init__(self, shape: Surveyed) -> None:
        self.shape = shape
        super().__init__({
            "types": In(HashTypes),
            "surveyed": In(shape),
            "found": Out(data.StructLayout({"valid": 1, "findings": Findings, "checks": Checks})),
            "reason": Out(Reason),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now: Any = self.surveyed
        valid = Signal()
        beat: Any = Signal(self.shape, name="beat", reset_less=True)
        m.d.sync += [valid.eq(now.valid & now.last), beat.eq(now)]
        there, outer_fits, inner_fits = self._compare(m, now)

        layout = beat.layout
        outer, inner, tunnel, transport = layout.outer, layout.inner, layout.tunnel, layout.transport
        missing = layout.cut | ~there.headers
        looked_into = (tunnel.nvgre | tunnel.vxlan) & there.tunnel
        outer_whole = outer.whole & there.outer
        inner_whole = inner.whole & there.inner & looked_into
        inner_link = looked_into & there.inner_link
        gre = outer_whole & there.is_gre
        present = transport.tcp | transport.udp
        checks: Any = Signal(Checks)
        m.d.comb += checks.eq(beat.carried)

        # A tunnel announces an inner frame, whose IP header counts like any other (RXC-2): unless it is of an
        # unknown kind (RXT-19), or there is none, or a malformed one of IPv6, it must have been seen.
        announced = gre | (tunnel.vxlan_port & there.datagram)
        no_ipv4 = ~(inner.ipv4 | inner.ipv6) | inner_whole | (inner.ipv6 & inner.malformed & ~missing)
        hidden = announced & ~(tunnel.unknown & ~missing) & ~(inner_link & no_ipv4)

        summable = Signal()
        found: Any = self.found.findings
        layers = found.layers
        with m.If(there.link):
            m.d.comb += layers.outer.eq(version(outer))
        with m.If(inner_link):
            m.d.comb += [layers.inner.eq(version(inner)), layers.inner_vlan.eq(tunnel.inner_tag)]
        with m.If(looked_into):
            m.d.comb += layers.tunnel.eq(Mux(tunnel.vxlan, TunnelType.VXLAN, TunnelType.NVGRE))
        with m.Elif(gre & ~outer.fragment):
            m.d.comb += layers.tunnel.eq(TunnelType.GRE)
        tagged, twice = layout.tags.any() & there.tag, layout.tags[1] & there.link
        known = Mux(looked_into, inner_whole, outer_whole)
        protocol = Mux(looked_into, inner.protocol, outer.protocol)
        m.d.comb += [
            self.found.valid.eq(valid),
            self.found.checks.eq(checks),
            layers.vlan_tags.eq(tagged + twice),
            layers.fragment.eq((outer_whole & outer.fragment) | (inner_whole & inner.fragment)),
            layers.protocol_valid.eq(known),
            layers.marked_bad.eq(layout.mismatch),
            found.length.eq(beat.bytes),
            found.protocol.eq(protocol & known.replicate(8)),
            found.outer_mac.eq(there.mac),
            found.inner_mac.eq(there.inner_mac),
            found.hash.eq(self._hash(m, now)),
            found.tunnel.eq(looked_into),
            found.tcp.eq(transport.tcp),
            found.udp.eq(transport.udp),
            found.ipv6.eq(Mux(looked_into, inner.ipv6, outer.ipv6)),
            found.outer_ip.eq(outer_whole & outer.ipv4),
            found.inner_ip.eq(inner_whole & inner.ipv4),
            found.hidden.eq(hidden),
            found.tunnel_checksum.eq(looked_into & tunnel.checksum & summable & outer_fits),
            found.port_numbers.eq(transport.ports),
        ]

        # UDP's pseudo-header has the final destination, which a routing header with segments left hides. GRE
        # has none, but the sum behind extension headers has begun before it was known to be GRE's.
        m.d.comb += summable.eq(Mux(tunnel.vxlan, ~outer.routed, there.outer_direct))

        enabled = Mux(
            found.ipv6,
            Mux(transport.udp, checks.udp_ipv6, checks.tcp_ipv6),
            Mux(transport.udp, checks.udp_ipv4, checks.tcp_ipv4),
        )
        unread = Cat(protocol == number for number in SECURITY).any() | (
            Cat(protocol == number for number in IPV6_EXTENSIONS).any() & found.ipv6
        )
        self._reason(m, {
            Reason.INACTIVE: ~checks.active,
            Reason.MARKED_BAD: layout.mismatch,
            Reason.TRUNCATED: missing & ~beat.over,
            Reason.HEADER_LIMIT: missing,
            Reason.MALFORMED: outer.malformed | (looked_into & inner.malformed),
            Reason.TUNNEL_OFF: gre & ~outer.fragment & ~beat.look.nvgre,
            Reason.TUNNEL_UNKNOWN: tunnel.unknown,
            Reason.FRAGMENT: outer.fragment | (looked_into & inner.fragment),
            Reason.NOT_IP: ~Mux(looked_into, inner.ipv4 | inner.ipv6, outer.ipv4 | outer.ipv6),
            Reason.EXTENSION: unread | Mux(looked_into, inner.routed, outer.routed),
            Reason.PROTOCOL: ~present,
            Reason.LENGTH: ~(outer_fits & inner_fits),
            Reason.UDP_ZERO: transport.udp & (transport.checksum == 0),
            Reason.DISABLED: ~enabled,
        })
        return m

    def _compare(self, m: Module, beat: Any) -> tuple[Any, Value, Value]:
        """Compare, in a cycle of its own.

        Return what is there, and whether the lengths fit in each other, out to in: those up to the tunnel's
        header, or of all that there is without one, and those inside.
        """
        layout, ends = beat.layout, beat.ends
        outer, inner, tunnel = layout.outer, layout.inner, layout.tunnel
        found = tunnel.nvgre | tunnel.vxlan
        limit = beat.limit
        comparisons = {
            "mac": limit >= ETHERNET_BYTES,
            "tag": limit >= TAGGED_BYTES,
            "link": outer.start <= limit,
            "outer": outer.end <= limit,
            "outer_fixed": outer.length_from <= limit,
            "datagram": ends.datagram <= limit,
            "tunnel": tunnel.inner_frame <= limit,
            "inner_mac": found & (ends.frame <= limit),
            "inner_link": inner.start <= limit,
            "inner": inner.end <= limit,
            "headers": ends.headers <= limit,
            "is_gre": outer.protocol == Protocol.GRE,
            "outer_direct": outer.ipv4 | (outer.end == outer.length_from),
        }
        there: Any = Signal(data.StructLayout(dict.fromkeys(comparisons, 1)), name="there", reset_less=True)
        m.d.sync += [there[name].eq(value) for name, value in comparisons.items()]

        outside = [
            outer.end <= ends.outer_ip,
            ends.outer_ip <= beat.bytes,
            ends.outer <= ends.outer_ip,
            ~found | (tunnel.inner_frame <= ends.outer),
        ]
        inside = [
            ~found | (inner.end <= ends.inner_ip),
            ~found | (ends.inner_ip <= ends.outer),
            ~found | (ends.inner <= ends.inner_ip),
            Mux(found, ends.headers <= ends.inner, ends.headers <= ends.outer),
        ]
        outer_fits = Signal(len(outside), name="outer_fits", reset_less=True)
        inner_fits = Signal(len(inside), name="inner_fits", reset_less=True)
        m.d.sync += [outer_fits.eq(Cat(outside)), inner_fits.eq(Cat(inside))]
        return there, outer_fits.all(), inner_fits.all()

    def _hash(self, m: Module, beat: Any) -> Any:
        """Decide, in a cycle, what is hashed (RSS-2 to RSS-4, RSS-8)."""
        layout, ends = beat.layout, beat.ends
        outer, inner, tunnel, transport = layout.outer, layout.inner, layout.tunnel, layout.transport
        found = tunnel.nvgre | tunnel.vxlan
        types = self.types
        ipv6 = Mux(found, inner.ipv6, outer.ipv6)
        wanted = Mux(
            ipv6,
            (transport.tcp & types.tcp_ipv6) | (transport.udp & types.udp_ipv6),
            (transport.tcp & types.tcp_ipv4) | (transport.udp & types.udp_ipv4),
        )
        # TCP or UDP must be whole, and inside a tunnel directly behind the IP header.
        direct = ~found | inner.ipv4 | (inner.end == inner.length_from)
        limit = beat.limit_again
        ipv4_there = outer.whole & (outer.end <= limit)
        ipv6_there = ~outer.malformed & (outer.length_from <= limit)

        hashing: Any = Signal(Hashing)
        ports = Signal(2, reset_less=True)  # apart, as each takes all of the cycle to tell
        m.d.sync += ports.eq(Cat(direct, wanted & ~layout.cut & (ends.headers <= limit)))
        m.d.comb += hashing.ports.eq(ports.all())
        others = {
            "inner": found,
            "ipv6": ipv6,
            "outer": (types.ipv4 & outer.ipv4 & ipv4_there) | (types.ipv6 & outer.ipv6 & ipv6_there),
            "outer_ipv6": outer.ipv6,
        }
        for name, value in others.items():
            register = Signal(name=name, reset_less=True)
            m.d.sync += register.eq(value)
            m.d.comb += hashing[name].eq(register)
        return hashing

    def _reason(self, m: Module, flags: dict[Reason, Value]) -> None:
        """Report the first reason that applies, two cycles later."""
        apply = Signal(len(flags), name="apply", reset_less=True)
        reason = Signal(Reason, reset_less=True)
        m.d.sync += [
            apply.eq(Cat(flags.values())),
            reason.eq(first(list(zip(flags, apply, strict=True)))),
        ]
        m.d.comb += self.reason.eq(reason)


def version(network: Any) -> Value:
    """Return the :class:`IpVersion` of a layer."""
    return Mux(network.ipv4, IpVersion.IPV4, Mux(network.ipv6, IpVersion.IPV6, IpVersion.NONE))


def first(flags: list[tuple[Reason, Value]]) -> Value:
    """Return the first reason whose flag is set; halves are joined, so that the depth is a logarithm."""
    if len(flags) == 1:
        ((reason, flag),) = flags
        return Mux(flag, reason, Reason.CHECKED)
    lower, upper = flags[: len(flags) // 2], flags[len(flags) // 2 :]
    return Mux(Cat(flag for _, flag in lower).any(), first(lower), first(upper))
