"""What goes into the receive path and what comes out: configuration, reasons, what is known of a frame."""

import dataclasses
import enum

MICROSOFT_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)
"""The key that the published verification vectors are for (RSS-7)."""

HASH_TYPES = {
    "ipv4": 0x100,
    "tcp_ipv4": 0x200,
    "ipv6": 0x400,
    "tcp_ipv6": 0x1000,
    "udp_ipv4": 0x4000,
    "udp_ipv6": 0x8000,
}
"""Kinds of hashes, and their NDIS numbers (RSS-7)."""

KEY_BYTES = 40
TABLE_ENTRIES = 128
FILTERS = 16
QUEUES = 16


class Reason(enum.IntEnum):
    """Why the transport checksum was not checked. When several apply, the lowest is reported."""

    INACTIVE = 1
    """Receive offload is not active (RXC-1, RXT-23)."""
    MARKED_BAD = 2
    """The MAC has marked the frame as bad."""
    TRUNCATED = 3
    """The frame ends inside a header (RXC-8)."""
    HEADER_LIMIT = 4
    """The frame goes on, but a header runs past what is looked at."""
    MALFORMED = 5
    """An IPv4 header shorter than 20 bytes, or a version nibble that contradicts the EtherType."""
    TUNNEL_OFF = 6
    """GRE, and NVGRE is switched off (RXT-20, CFG-6)."""
    TUNNEL_UNKNOWN = 7
    """GRE that is not understood, or VXLAN with its I flag clear (RXT-19, VX-7)."""
    FRAGMENT = 8
    """An IP fragment, in either layer (RXT-17, RXT-18)."""
    NOT_IP = 9
    """The innermost EtherType is neither IPv4 nor IPv6 (RXT-16)."""
    EXTENSION = 10
    """ESP, AH in IPv4, an extension header that is not read, or a routing header under way."""
    PROTOCOL = 11
    """Neither TCP nor UDP (RXT-15)."""
    LENGTH = 12
    """Lengths that contradict each other, or run past the frame's end (RXC-6, RXC-8)."""
    TUNNEL_CHECKSUM = 13
    """The tunnel's own checksum is wrong (RXT-22, VX-6)."""
    UDP_ZERO = 14
    """A UDP datagram without a checksum (RXT-14)."""
    DISABLED = 15
    """This transport checksum is switched off (CFG-1)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VmqFilter:
    """A receive filter (RSS-5).

    Parameters
    ----------
    mac : bytes
        Destination address: six bytes.
    vlan : int, optional
        VLAN identifier that the frame must have. Default: any, or no tag at all.
    queue : int
        Queue, or the first of several.
    spread : bool
        Add what the indirection table says to ``queue``.
    """

    mac: bytes
    vlan: int | None = None
    queue: int = 0
    spread: bool = False

    def __post_init__(self) -> None:
        if len(self.mac) != 6:
            raise ValueError(f"mac must have 6 bytes, not {len(self.mac)}")
        if self.vlan is not None and not 0 <= self.vlan < 1 << 12:
            raise ValueError(f"vlan has 12 bits, {self.vlan!r} does not fit")
        if not 0 <= self.queue < QUEUES:
            raise ValueError(f"queue must be below {QUEUES}, not {self.queue!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReceiveConfig:
    """The run-time configuration of the receive side, with the defaults of a reset: not active (T-28).

    Parameters
    ----------
    encapsulation : frozenset of str
        Tunnel types to look into: ``"nvgre"``, ``"vxlan"`` (CFG-4, CFG-6).
    vxlan_port : int
        UDP destination port that means VXLAN (CFG-5).
    active : bool
        Check checksums at all (RXC-1).
    ipv4_checksum : bool
        Check IPv4 header checksums, of every layer.
    tcp_ipv4_checksum, udp_ipv4_checksum, tcp_ipv6_checksum, udp_ipv6_checksum : bool
        Check transport checksums, by innermost IP version (REQ-16).
    rss_key : bytes
        Key of the hash: 40 bytes.
    rss_types : frozenset of str
        Hashes to compute: keys of :data:`HASH_TYPES`.
    rss_table : tuple of int
        Queue for each value of the hash's lowest seven bits.
    vmq_filters : tuple of VmqFilter
        At most 16; the first that matches decides.
    default_queue : int
        Queue of frames without a hash, and of those that no filter wants.
    """

    encapsulation: frozenset[str] = frozenset()
    vxlan_port: int = 4789
    active: bool = False
    ipv4_checksum: bool = True
    tcp_ipv4_checksum: bool = True
    udp_ipv4_checksum: bool = True
    tcp_ipv6_checksum: bool = True
    udp_ipv6_checksum: bool = True
    rss_key: bytes = MICROSOFT_KEY
    rss_types: frozenset[str] = frozenset()
    rss_table: tuple[int, ...] = (0,) * TABLE_ENTRIES
    vmq_filters: tuple[VmqFilter, ...] = ()
    default_queue: int = 0

    def __post_init__(self) -> None:
        if unknown := self.encapsulation - {"nvgre", "vxlan"}:
            raise ValueError(f"encapsulation can be nvgre and vxlan, not {', '.join(sorted(unknown))}")
        if not 0 <= self.vxlan_port <= 0xFFFF:
            raise ValueError(f"vxlan_port has 16 bits, {self.vxlan_port!r} does not fit")
        if len(self.rss_key) != KEY_BYTES:
            raise ValueError(f"rss_key must have {KEY_BYTES} bytes, not {len(self.rss_key)}")
        if unknown := self.rss_types - HASH_TYPES.keys():
            raise ValueError(f"rss_types can be {', '.join(HASH_TYPES)}, not {', '.join(sorted(unknown))}")
        if len(self.rss_table) != TABLE_ENTRIES:
            raise ValueError(f"rss_table must have {TABLE_ENTRIES} entries, not {len(self.rss_table)}")
        if wrong := [queue for queue in self.rss_table if not 0 <= queue < QUEUES]:
            raise ValueError(f"rss_table holds queues below {QUEUES}, not {wrong[0]!r}")
        if len(self.vmq_filters) > FILTERS:
            raise ValueError(f"there are {FILTERS} vmq_filters, {len(self.vmq_filters)} do not fit")
        if not 0 <= self.default_queue < QUEUES:
            raise ValueError(f"default_queue must be below {QUEUES}, not {self.default_queue!r}")

    def tcp_checksum(self, version: int) -> bool:
        """Return whether checksums of TCP over IP ``version`` are checked."""
        return self.tcp_ipv4_checksum if version == 4 else self.tcp_ipv6_checksum

    def udp_checksum(self, version: int) -> bool:
        """Return whether checksums of UDP over IP ``version`` are checked."""
        return self.udp_ipv4_checksum if version == 4 else self.udp_ipv6_checksum


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What the checksum of each layer comes to: ``"good"``, ``"bad"`` or ``"not_checked"``.

    Parameters
    ----------
    outer_ip, inner_ip : str
        IPv4 header checksums.
    tunnel : str
        The checksum of VXLAN's UDP header, or of GRE.
    transport : str
        The innermost TCP or UDP checksum.
    """

    outer_ip: str = "not_checked"
    tunnel: str = "not_checked"
    inner_ip: str = "not_checked"
    transport: str = "not_checked"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reception:
    """All that is known of a received frame; the frame itself is passed on as it came (RXP-6, RXC-10).

    Parameters
    ----------
    checksum : int
        The checksum word for the host (OOB-28..36).
    hash_value, hash_type : int
        Toeplitz hash, and what was hashed as NDIS numbers it; both 0 if nothing was.
    queue : int
        Where the frame is to go.
    outer, inner : str, optional
        ``"ipv4"`` or ``"ipv6"``, as soon as the EtherType has been seen.
    tunnel : str, optional
        ``"nvgre"`` or ``"vxlan"`` if looked into, ``"gre"`` if not.
    protocol : int, optional
        The innermost IP header's, behind extension headers; ``None`` if that header is not whole.
    reason : str, optional
        Name of the :class:`Reason`, in lower case, why the transport checksum was not checked.
    fragment : bool
        One of the IP headers is that of a fragment.
    vlan_tags : int
        Tags of the outer Ethernet header, at most two.
    inner_vlan : bool
        The inner Ethernet header has a tag.
    marked_bad : bool
        The MAC's mark.
    length : int
        Bytes of the frame, modulo 65,536.
    verdicts : Verdicts
    """

    checksum: int
    hash_value: int
    hash_type: int
    queue: int
    outer: str | None
    inner: str | None
    tunnel: str | None
    protocol: int | None
    reason: str | None
    fragment: bool
    vlan_tags: int
    inner_vlan: bool
    marked_bad: bool
    length: int
    verdicts: Verdicts

    @property
    def l4(self) -> str | int | None:
        """``"tcp"``, ``"udp"``, or the number of another ``protocol``."""
        return {6: "tcp", 17: "udp"}.get(self.protocol, self.protocol) if self.protocol is not None else None
