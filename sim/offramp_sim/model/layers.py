"""Finding the layers of a received frame, as far as they can be understood (section 9)."""

import dataclasses

from offramp_sim.model.headers import (
    TAGS,
    TRANSPARENT_ETHERNET,
    Ip,
    Link,
    Protocol,
    Transport,
    Tunnel,
    ip_header,
    link_header,
    word,
)
from offramp_sim.model.reception import Reason, ReceiveConfig

GRE_CHECKSUM, GRE_ROUTING, GRE_KEY, GRE_SEQUENCE = 0x8000, 0x4000, 0x2000, 0x1000
GRE_VERSION = 0x0007
"""Bits of the first word of a GRE header; the rest of it does not matter."""


class StopError(Exception):
    """The search for layers has to stop."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def take(window: bytes, start: int, end: int) -> bytes:
    """Return a header from byte ``start`` up to byte ``end``; all of it must be there."""
    if end > len(window):
        raise StopError(Reason.TRUNCATED)
    return window[start:end]


@dataclasses.dataclass
class Layer:
    """An Ethernet header and the IP header behind it, as far as they are there.

    Parameters
    ----------
    mac : bytes, optional
        Destination address; known if the 14 bytes without tags are there.
    tags : list of int
        Control information of the VLAN tags that are whole.
    link : Link, optional
        The Ethernet header, if it is whole.
    ip : Ip, optional
        The IP header with options or extension headers, if all that is whole and well formed.
    addresses : bytes
        Source and destination address; known if the IP header is whole and well formed, whatever becomes
        of IPv6 extension headers.
    """

    mac: bytes | None = None
    tags: list[int] = dataclasses.field(default_factory=list)
    link: Link | None = None
    ip: Ip | None = None
    addresses: bytes = b""

    @property
    def version(self) -> int | None:
        """IP version that the EtherType announces."""
        return self.link.version if self.link else None

    def read(self, window: bytes, start: int, *, most_tags: int) -> None:
        """Find the headers from byte ``start`` of ``window``; what was found before an error stays found."""
        self.mac = take(window, start, start + 14)[:6]
        field = start + 12
        while len(self.tags) < most_tags and field + 6 <= len(window) and word(window, field) in TAGS:
            self.tags.append(word(window, field + 2))
            field += 4
        link = link_header(window, start, tags=most_tags)
        take(window, start, link.end)
        self.link = link
        if ip := ip_header(window, link):
            fixed = take(window, ip.start, ip.fixed_end)
            if ip.malformed:
                raise StopError(Reason.MALFORMED)
            if ip.version == 6:
                self.addresses = fixed[8:]
            take(window, ip.start, ip.end)
            if ip.version == 4:
                self.addresses = fixed[12:]
            self.ip = ip


@dataclasses.dataclass
class Layers:
    """The layers of a received frame.

    Parameters
    ----------
    outer, inner : Layer
        What is in front of the tunnel, or all there is; what is inside. ``inner`` is empty if no tunnel was
        looked into.
    tunnel : Tunnel, optional
        A tunnel that was looked into: its header is whole and understood.
    announced : bool
        A tunnel header is to be expected behind the outer IP header, whether or not it was looked into.
    transport : Transport, optional
        The innermost TCP or UDP header, if as much as is needed of it is there: TCP's options are not.
    fault : Reason, optional
        Why the search had to stop early.
    """

    outer: Layer = dataclasses.field(default_factory=Layer)
    inner: Layer = dataclasses.field(default_factory=Layer)
    tunnel: Tunnel | None = None
    announced: bool = False
    transport: Transport | None = None
    fault: Reason | None = None

    @property
    def innermost(self) -> Layer:
        """The layer that the transport header belongs to."""
        return self.inner if self.tunnel else self.outer

    @property
    def ips(self) -> list[Ip]:
        """All IP headers that are whole and well formed, outer first."""
        return [layer.ip for layer in (self.outer, self.inner) if layer.ip]

    @property
    def fragment(self) -> bool:
        """One of the IP headers is that of a fragment."""
        return any(ip.fragment for ip in self.ips)

    @property
    def tunnel_name(self) -> str | None:
        """``"nvgre"`` or ``"vxlan"`` if looked into, ``"gre"`` for any other GRE."""
        if self.tunnel:
            return self.tunnel.kind
        is_gre = self.outer.ip and self.outer.ip.protocol == Protocol.GRE and not self.outer.ip.fragment
        return "gre" if is_gre else None

    @property
    def all_ipv4_seen(self) -> bool:
        """No IPv4 header can be hidden behind the place where the search ended.

        One can where a tunnel is announced that is not looked into, or where what is inside ends too early.
        A tunnel of an unknown kind is not announced to hold anything (RXT-19), and a malformed IPv6 header is
        no IPv4 header.
        """
        if not self.announced or self.fault is Reason.TUNNEL_UNKNOWN:
            return True
        if self.inner.link is None:
            return False
        if self.inner.version == 6 and self.fault is Reason.MALFORMED:
            return True
        return self.inner.version is None or self.inner.ip is not None


def find_layers(frame: bytes, config: ReceiveConfig, max_header_bytes: int) -> Layers:
    """Return the layers of ``frame``, looking at its first ``max_header_bytes`` only."""
    layers = Layers()
    try:
        search(layers, frame[:max_header_bytes], config)
    except StopError as stop:
        layers.fault = stop.reason
        if stop.reason is Reason.TRUNCATED and len(frame) > max_header_bytes:
            layers.fault = Reason.HEADER_LIMIT
    return layers


def search(layers: Layers, window: bytes, config: ReceiveConfig) -> None:
    """Find ``layers`` in ``window``, from the outside in (RXP-1..4); stops where it must by an exception."""
    layers.outer.read(window, 0, most_tags=2)
    match layers.outer.ip:
        case Ip(protocol=Protocol.GRE) as outer:
            layers.announced = True
            if not outer.fragment:
                layers.tunnel = nvgre(window, outer.end, config)
        case Ip(protocol=Protocol.UDP, fragment=False) as outer:
            layers.announced = announces_vxlan(window, outer.end, config)
            if layers.announced:
                layers.tunnel = vxlan(window, outer.end)
    if layers.tunnel:
        layers.inner.read(window, layers.tunnel.end, most_tags=1)  # WIRE-7
    # There is no second tunnel: GRE inside is just another protocol, and UDP inside is UDP.
    ip = layers.innermost.ip
    if ip and not ip.fragment and ip.protocol in (Protocol.TCP, Protocol.UDP):
        size = 20 if ip.protocol == Protocol.TCP else 8
        take(window, ip.end, ip.end + size)
        layers.transport = Transport(ip.protocol, ip.end, ip.end + size)


def nvgre(window: bytes, start: int, config: ReceiveConfig) -> Tunnel:
    """Return the GRE header at ``start`` with its optional fields (RXP-2, WIRE-4, WIRE-10)."""
    if "nvgre" not in config.encapsulation:
        raise StopError(Reason.TUNNEL_OFF)
    header = take(window, start, start + 4)
    flags, payload = word(header, 0), word(header, 2)
    if flags & (GRE_VERSION | GRE_ROUTING) or payload != TRANSPARENT_ETHERNET:
        raise StopError(Reason.TUNNEL_UNKNOWN)
    size = 4 + 4 * sum(bool(flags & option) for option in (GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE))
    take(window, start, start + size)
    return Tunnel("nvgre", start, start + size)


def announces_vxlan(window: bytes, start: int, config: ReceiveConfig) -> bool:
    """Return whether the UDP header at ``start``, which must be whole to tell, is VXLAN's (VX-2)."""
    return word(take(window, start, start + 8), 2) == config.vxlan_port and "vxlan" in config.encapsulation


def vxlan(window: bytes, start: int) -> Tunnel:
    """Return the UDP header at ``start`` together with the VXLAN header behind it (VX-7)."""
    header = take(window, start, start + 16)
    if not header[8] & 0x08:
        raise StopError(Reason.TUNNEL_UNKNOWN)
    return Tunnel("vxlan", start, start + 16)
