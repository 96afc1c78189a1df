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
    """An Ethernet header with its VLAN tags, from byte ``start`` of the packet up to byte ``end``.

    ``ethertype`` is ``None`` if that could not be read.
    """

    start: int
    end: int
    ethertype: int | None

    @property
    def version(self) -> int | None:
        """IP version that the EtherType announces."""
        return {IPV4: 4, IPV6: 6}.get(self.ethertype or 0)


@dataclasses.dataclass
class Ip:
    """An IPv4 header with its options, or an IPv6 header with its extension headers, as far as it was read.

    Parameters
    ----------
    version : int
    start, end : int
        First byte, and first byte behind options and extension headers, by what these say themselves: where
        the next layer begins.
    protocol : int, optional
        What that next layer is, ``None`` if that could not be read.
    malformed : bool
        IHL is below 5, or the version nibble is not the EtherType's: what follows cannot be told.
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
    protocol: int | None = None
    malformed: bool = False
    fragment: bool = False
    secured: bool = False
    rerouted: bool = False

    @property
    def fixed_end(self) -> int:
        """First byte behind the header proper, that is without options and extension headers."""
        return self.start + (20 if self.version == 4 else 40)

    @property
    def payload_start(self) -> int:
        """First byte that the header's length field counts."""
        return self.start if self.version == 4 else self.fixed_end


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

    Parameters
    ----------
    link, outer, tunnel, inner_link, inner, transport : optional
        The headers. The last IP header may be known in part only.
    end : int
        Length of the header block: first byte behind the last header, by what that says itself. One that
        could not be read counts with the least that it must have.
    cut : bool
        The search had to stop because what it needed to read was not there.
    fault : Status, optional
        The reason why it had to stop early, or :attr:`Status.HEADER_TRUNCATED` if the header block is longer
        than the packet.
    """

    link: Link | None = None
    outer: Ip | None = None
    tunnel: Tunnel | None = None
    inner_link: Link | None = None
    inner: Ip | None = None
    transport: Transport | None = None
    end: int = 0
    cut: bool = False
    fault: Status | None = None

    @property
    def innermost(self) -> Ip | None:
        """The IP header that the transport header belongs to."""
        return self.inner if self.tunnel else self.outer

    @property
    def ips(self) -> list[Ip]:
        """All IP headers, outer first."""
        return [ip for ip in (self.outer, self.inner) if ip]


def find(
    packet: bytes,
    *,
    encapsulated: bool,
    vxlan_port: int,
    transports: frozenset[int],
    length: int | None = None,
    limit: int | None = None,
) -> Headers:
    """Return the headers of ``packet``.

    Only what decides on what comes next has to be read. Whether there is room for all that the headers claim
    to have is a question of ``length``.

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
    length : int, optional
        Bytes that the packet should have. Default: those that it has.
    limit : int, optional
        Bytes that are looked at. Default: all.
    """
    found = Headers()
    _search(found, packet[:limit], encapsulated, vxlan_port, transports)
    if found.end > (len(packet) if length is None else length):
        found.fault = Status.HEADER_TRUNCATED
    return found


def _search(
    found: Headers, window: bytes, encapsulated: bool, vxlan_port: int, transports: frozenset[int]
) -> None:
    """Find headers from the outside in, as far as that goes."""
    found.link = link_header(window, 0, tags=2)
    found.outer = ip_header(window, found.link)
    if not _passed(found, found.link, found.outer):
        return
    if encapsulated:
        found.tunnel = _tunnel(found, window, vxlan_port)
        if found.tunnel is None:
            return
        found.inner_link = link_header(window, found.tunnel.end, tags=1)
        found.inner = ip_header(window, found.inner_link)
        if not _passed(found, found.inner_link, found.inner):
            return
    ip = found.innermost
    if ip and ip.protocol in transports:
        found.transport = _tcp(found, window) if ip.protocol == Protocol.TCP else _udp(found, window)


def _passed(found: Headers, link: Link, ip: Ip | None) -> bool:
    """Take note of a frame's first headers; return whether what is behind them can be told."""
    found.end = ip.end if ip else link.end
    found.cut = link.ethertype is None or (ip is not None and ip.protocol is None)
    if ip and ip.malformed:
        found.fault = Status.IP_HEADER
    return not (found.cut or (ip and (ip.malformed or ip.fragment)))


def _reach(found: Headers, window: bytes, *, needed: int, size: int) -> bytes:
    """Return the first bytes of a header of ``size`` bytes at least, none if not all ``needed`` are there."""
    start = found.end
    found.end += size
    found.cut = start + needed > len(window)
    return b"" if found.cut else window[start : start + needed]


def word(octets: bytes, offset: int) -> int:
    """Return the big-endian 16-bit word at ``offset``."""
    return int.from_bytes(octets[offset : offset + 2], "big")


def link_header(window: bytes, start: int, *, tags: int) -> Link:
    """Return the Ethernet header at ``start``, with at most so many VLAN ``tags`` (WIRE-7, TXC-16)."""
    end = start + 14
    while tags and word(window, end - 2) in TAGS and end <= len(window):
        end += 4
        tags -= 1
    return Link(start, end, word(window, end - 2) if end <= len(window) else None)


def ip_header(window: bytes, link: Link) -> Ip | None:
    """Return the IP header that ``link`` announces, ``None`` if it announces something else."""
    match link.version:
        case 4:
            return _ipv4(window, link.end)
        case 6:
            return _ipv6(window, link.end)
        case _:
            return None


def _ipv4(window: bytes, start: int) -> Ip:
    ip = Ip(version=4, start=start, end=start + 20)
    head = window[start : start + 10]
    if len(head) >= 2:
        version, words = head[0] >> 4, head[0] & 0xF
        ip.malformed = version != 4 or words < 5
        if not ip.malformed:
            ip.end = start + 4 * words
    if len(head) >= 8:
        ip.fragment = word(head, 6) & 0x3FFF != 0  # more fragments, or an offset
    if len(head) >= 10:
        ip.protocol = head[9]
        ip.secured = ip.protocol in (Protocol.AH, Protocol.ESP)
    return ip


def _ipv6(window: bytes, start: int) -> Ip:
    ip = Ip(version=6, start=start, end=start + 40)
    head = window[start : start + 8]
    ip.malformed = len(head) >= 2 and head[0] >> 4 != 6
    if len(head) < 8:
        return ip
    ip.protocol = head[6]
    while not ip.malformed and ip.protocol in EXTENSIONS:
        kind, extension = ip.protocol, window[ip.end : ip.end + 4]
        ip.secured |= kind == Protocol.AH
        if len(extension) < 2:
            ip.protocol = None
            ip.end += 8
            break
        size = 8 * (extension[1] + 1)
        match kind:
            case Protocol.FRAGMENT:
                size = 8
                ip.fragment = True
            case Protocol.AH:
                size = 4 * (extension[1] + 2)
            case Protocol.ROUTING:
                ip.rerouted |= any(extension[3:])
        ip.end += size - size % 8
        if size % 8:
            break  # an AH header of a length that IPv6 does not allow (RFC 4302 2.2): it ends the chain
        ip.protocol = extension[0]
        if ip.fragment:
            break
    ip.secured |= ip.protocol == Protocol.ESP and not ip.fragment
    return ip


def _tunnel(found: Headers, window: bytes, vxlan_port: int) -> Tunnel | None:
    """Return the tunnel header behind the outer IP header; there has to be one (INV-16)."""
    protocol = found.outer.protocol if found.outer else None
    if protocol == Protocol.GRE:
        return _nvgre(found, window)
    if protocol == Protocol.UDP:
        return _vxlan(found, window, vxlan_port)
    found.fault = Status.TUNNEL_UNSUPPORTED
    return None


def _nvgre(found: Headers, window: bytes) -> Tunnel | None:
    start = found.end
    if header := _reach(found, window, needed=4, size=8):
        flags, protocol = word(header, 0), word(header, 2)
        if (flags, protocol) == (NVGRE_FLAGS, TRANSPARENT_ETHERNET):
            return Tunnel("nvgre", start, found.end)
        options = protocol == TRANSPARENT_ETHERNET and flags & 0x7 == 0 and flags & 0xD000
        found.fault = Status.GRE_OPTIONS if options else Status.TUNNEL_UNSUPPORTED
    return None


def _vxlan(found: Headers, window: bytes, port: int) -> Tunnel | None:
    start = found.end
    if header := _reach(found, window, needed=10, size=16):
        if word(header, 2) == port and header[8] & 0x08:
            return Tunnel("vxlan", start, found.end)
        found.fault = Status.TUNNEL_UNSUPPORTED
    return None


def _tcp(found: Headers, window: bytes) -> Transport | None:
    start = found.end
    words = window[start + 12] >> 4 if start + 14 <= len(window) else 0
    if header := _reach(found, window, needed=18, size=max(20, 4 * words)):
        return Transport(Protocol.TCP, start, found.end, data_offset=words, flags=header[13])
    return None


def _udp(found: Headers, window: bytes) -> Transport | None:
    start = found.end
    return Transport(Protocol.UDP, start, found.end) if _reach(found, window, needed=8, size=8) else None
