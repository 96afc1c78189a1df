"""Headers of a packet, and finding those of one that is to be sent."""

import dataclasses
import enum

from offramp_sim.model.records import Status

IPV4 = 0x0800
IPV6 = 0x86DD
TAGS = (0x8100, 0x88A8)
"""EtherTypes of 802.1Q and 802.1ad VLAN tags."""

TRANSPARENT_ETHERNET = 0x6558
NVGRE_FLAGS = 0x2000
"""First 16 bits of an NVGRE header: a key and nothing else, version 0 (WIRE-4)."""


class Protocol(enum.IntEnum):
    """What an IP header, or an IPv6 extension header, says comes next."""

    HOP_BY_HOP = 0
    TCP = 6
    UDP = 17
    ROUTING = 43
    FRAGMENT = 44
    GRE = 47
    ESP = 50
    AH = 51
    DESTINATION = 60


EXTENSIONS = {Protocol.HOP_BY_HOP, Protocol.ROUTING, Protocol.FRAGMENT, Protocol.AH, Protocol.DESTINATION}
"""IPv6 extension headers that are read in search of what is behind them."""


@dataclasses.dataclass(frozen=True)
class Link:
    """An Ethernet header with its VLAN tags, from byte ``start`` of the packet up to byte ``end``."""

    start: int
    end: int
    ethertype: int

    @property
    def version(self) -> int | None:
        """IP version that the EtherType announces."""
        return {IPV4: 4, IPV6: 6}.get(self.ethertype)


@dataclasses.dataclass(frozen=True)
class Ip:
    """An IPv4 header with its options, or an IPv6 header with its extension headers.

    Parameters
    ----------
    version : int
    start, end : int
        First byte, and first byte behind options and extension headers: where the next layer begins.
    protocol : int
        What that next layer is.
    fragment : bool
        The datagram is one of several fragments, or says so: what follows cannot be told.
    secured : bool
        An AH or ESP header covers what follows.
    rerouted : bool
        A routing header has segments left, so that the destination address is not the final one.
    """

    version: int
    start: int
    end: int
    protocol: int
    fragment: bool = False
    secured: bool = False
    rerouted: bool = False

    @property
    def payload_start(self) -> int:
        """First byte that the header's length field counts."""
        return self.start if self.version == 4 else self.start + 40


@dataclasses.dataclass(frozen=True)
class Tunnel:
    """What stands between the outer IP header and the inner frame: ``"nvgre"`` or ``"vxlan"``."""

    kind: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Transport:
    """A TCP or UDP header with its options.

    ``data_offset`` (32-bit words) and ``flags`` (the low eight) are TCP's.
    """

    protocol: int
    start: int
    end: int
    data_offset: int = 0
    flags: int = 0


@dataclasses.dataclass
class Headers:
    """The headers of a packet, as far as they were found.

    ``fault`` is the reason why the search had to stop early, ``None`` if it did not.
    """

    link: Link | None = None
    outer: Ip | None = None
    tunnel: Tunnel | None = None
    inner_link: Link | None = None
    inner: Ip | None = None
    transport: Transport | None = None
    fault: Status | None = None

    @property
    def innermost(self) -> Ip | None:
        """The IP header that the transport header belongs to."""
        return self.inner if self.tunnel else self.outer

    @property
    def ips(self) -> list[Ip]:
        """All IP headers, outer first."""
        return [ip for ip in (self.outer, self.inner) if ip]

    @property
    def end(self) -> int:
        """Length of the header block: first byte behind the last header found."""
        parts = (self.link, self.outer, self.tunnel, self.inner_link, self.inner, self.transport)
        return max((part.end for part in parts if part), default=0)


class HeaderError(Exception):
    """The search for headers cannot go on."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


def find(packet: bytes, *, encapsulated: bool, vxlan_port: int, transports: frozenset[int]) -> Headers:
    """Return the headers of ``packet``.

    Parameters
    ----------
    packet : bytes
        From the first byte of the outer Ethernet header.
    encapsulated : bool
        Look for a tunnel and an inner frame behind the outer IP header. Otherwise what is behind it is the
        transport header, even if it looks like a tunnel.
    vxlan_port : int
        UDP destination port that means VXLAN.
    transports : frozenset of int
        Transport protocols whose header is needed. Others are left unread, so it does not matter what is
        in them and whether they are there at all.
    """
    found = Headers()
    try:
        found.link = link_header(packet, 0, tags=2)
        found.outer = ip_header(packet, found.link)
        if encapsulated and not (found.outer and found.outer.fragment):
            found.tunnel = _tunnel(packet, found.outer, vxlan_port)
            found.inner_link = link_header(packet, found.tunnel.end, tags=1)
            found.inner = ip_header(packet, found.inner_link)
        ip = found.innermost
        if ip and not ip.fragment and ip.protocol in transports:
            found.transport = _tcp(packet, ip.end) if ip.protocol == Protocol.TCP else _udp(packet, ip.end)
    except HeaderError as error:
        found.fault = error.status
    return found


def take(packet: bytes, start: int, size: int) -> bytes:
    """Return ``size`` bytes of a header that begins at byte ``start``; all of them must be there."""
    if start + size > len(packet):
        raise HeaderError(Status.HEADER_TRUNCATED)
    return packet[start : start + size]


def word(octets: bytes, offset: int) -> int:
    """Return the big-endian 16-bit word at ``offset``."""
    return int.from_bytes(octets[offset : offset + 2], "big")


def link_header(packet: bytes, start: int, *, tags: int) -> Link:
    """Return the Ethernet header at ``start``, with at most so many VLAN ``tags`` (WIRE-7, TXC-16)."""
    size = 14
    ethertype = word(take(packet, start, size), 12)
    while tags and ethertype in TAGS:
        size += 4
        tags -= 1
        ethertype = word(take(packet, start, size), size - 2)
    return Link(start, start + size, ethertype)


def ip_header(packet: bytes, link: Link) -> Ip | None:
    """Return the IP header that ``link`` announces, ``None`` if it announces something else."""
    match link.version:
        case 4:
            return _ipv4(packet, link.end)
        case 6:
            return _ipv6(packet, link.end)
        case _:
            return None


def _ipv4(packet: bytes, start: int) -> Ip:
    fixed = take(packet, start, 20)
    version, words = fixed[0] >> 4, fixed[0] & 0xF
    if version != 4 or words < 5:
        raise HeaderError(Status.IP_HEADER)
    take(packet, start, 4 * words)
    more_or_offset = word(fixed, 6) & 0x3FFF
    protocol = fixed[9]
    return Ip(
        version=4,
        start=start,
        end=start + 4 * words,
        protocol=protocol,
        fragment=more_or_offset != 0,
        secured=protocol in (Protocol.AH, Protocol.ESP),
    )


def _ipv6(packet: bytes, start: int) -> Ip:
    fixed = take(packet, start, 40)
    if fixed[0] >> 4 != 6:
        raise HeaderError(Status.IP_HEADER)
    end = start + 40
    protocol = fixed[6]
    fragment = secured = rerouted = False
    while not fragment and protocol in EXTENSIONS:
        extension = take(packet, end, 8)
        match protocol:
            case Protocol.FRAGMENT:
                size = 8
                fragment = True
            case Protocol.AH:
                size = 4 * (extension[1] + 2)
                secured = True
            case _:
                size = 8 * (extension[1] + 1)
                rerouted |= protocol == Protocol.ROUTING and extension[3] != 0
        take(packet, end, size - size % 8)
        end += size - size % 8
        if size % 8:
            break  # an AH header of a length that IPv6 does not allow (RFC 4302 2.2): it ends the chain
        protocol = extension[0]
    return Ip(
        version=6,
        start=start,
        end=end,
        protocol=protocol,
        fragment=fragment,
        secured=secured or (protocol == Protocol.ESP and not fragment),
        rerouted=rerouted,
    )


def _tunnel(packet: bytes, outer: Ip | None, vxlan_port: int) -> Tunnel:
    """Return the tunnel header behind the ``outer`` IP header; there has to be one (INV-16)."""
    match outer:
        case Ip(protocol=Protocol.GRE):
            return _nvgre(packet, outer.end)
        case Ip(protocol=Protocol.UDP):
            return _vxlan(packet, outer.end, vxlan_port)
        case _:
            raise HeaderError(Status.TUNNEL_UNSUPPORTED)


def _nvgre(packet: bytes, start: int) -> Tunnel:
    header = take(packet, start, 8)
    flags, protocol = word(header, 0), word(header, 2)
    if protocol == TRANSPARENT_ETHERNET and flags & 0x7 == 0 and flags & 0xD000:
        raise HeaderError(Status.GRE_OPTIONS)
    if (flags, protocol) != (NVGRE_FLAGS, TRANSPARENT_ETHERNET):
        raise HeaderError(Status.TUNNEL_UNSUPPORTED)
    return Tunnel("nvgre", start, start + 8)


def _vxlan(packet: bytes, start: int, port: int) -> Tunnel:
    header = take(packet, start, 16)
    if word(header, 2) != port or not header[8] & 0x08:
        raise HeaderError(Status.TUNNEL_UNSUPPORTED)
    return Tunnel("vxlan", start, start + 16)


def _tcp(packet: bytes, start: int) -> Transport:
    fixed = take(packet, start, 20)
    words = fixed[12] >> 4
    size = max(20, 4 * words)
    take(packet, start, size)
    return Transport(Protocol.TCP, start, start + size, data_offset=words, flags=fixed[13])


def _udp(packet: bytes, start: int) -> Transport:
    take(packet, start, 8)
    return Transport(Protocol.UDP, start, start + 8)
