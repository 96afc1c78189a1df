"""What goes into the send path and what comes out: requests, configuration, status codes, completions."""

import dataclasses
import enum
from collections.abc import Sequence


class Status(enum.IntEnum):
    """How a request ended. When several reasons to refuse it apply, the lowest is reported."""

    OK = 0
    BUFFER_MISMATCH = 1
    """The buffers do not add up to the packet's length."""
    VERSION_CONFLICT = 2
    """The out-of-band words contradict each other or the outer EtherType about the IP version (INV-12)."""
    LSO_V1_ENCAPSULATED = 3
    """LSOv1 on an encapsulated packet (INV-10)."""
    HEADER_TRUNCATED = 4
    """A header that the work needs runs past the packet's end."""
    IP_HEADER = 5
    """An IPv4 header shorter than 20 bytes, or a version nibble that contradicts the EtherType."""
    TUNNEL_UNSUPPORTED = 6
    """Encapsulated, but neither NVGRE nor VXLAN (INV-16)."""
    GRE_OPTIONS = 7
    """A GRE header with checksum, routing or sequence number present."""
    TUNNEL_DISABLED = 8
    """A tunnel type that is switched off."""
    FRAGMENT = 9
    """Segmentation of an IP fragment (INV-6)."""
    EXTENSION_UNSUPPORTED = 10
    """Segmentation under an AH or ESP header."""
    PROTOCOL_MISMATCH = 11
    """LSO of something that is not TCP, USO of something that is not UDP, or both at once (INV-17)."""
    TCP_DATA_OFFSET = 12
    """A TCP header shorter than 20 bytes (INV-14)."""
    TCP_FLAGS = 13
    """SYN, RST or URG in a large-send template (INV-6)."""
    OFFSETS_DISAGREE = 14
    """The host's header offsets are not where the headers are (INV-2)."""
    HEADER_TOO_LONG = 15
    """More header bytes than the build can hold (INV-11)."""
    LSO_DISABLED = 16
    """LSO is off for this IP version (INV-9)."""
    USO_DISABLED = 17
    """USO is off for this IP version."""
    MSS_ZERO = 18
    """Segments of no bytes (INV-3)."""
    PAYLOAD_TOO_LONG = 19
    """More payload than the configured or built limit (INV-4)."""
    SEGMENT_TOO_LONG = 20
    """A segment whose length does not fit a 16-bit length field (INV-8)."""
    MSS_OVER_STORE = 21
    """Segments larger than the build can store."""
    LENGTH_INCONSISTENT = 22
    """A checksum to insert whose range the packet's own length fields do not give."""
    FRAME_TOO_LONG = 23
    """A packet that is not to be segmented and does not fit the build."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The run-time configuration of the send side, with its defaults: all on but encapsulation.

    Parameters
    ----------
    encapsulation : frozenset of str
        Tunnel types to look into: ``"nvgre"``, ``"vxlan"``.
    vxlan_port : int
        UDP destination port that means VXLAN.
    lso_ipv4, lso_ipv6, uso_ipv4, uso_ipv6 : bool
        Segmentation, by innermost IP version (REQ-16).
    tx_ipv4_checksum : bool
        Insertion of IPv4 header checksums without segmentation; segmentation always inserts (TXC-12).
    tx_tcp_ipv4_checksum, tx_udp_ipv4_checksum, tx_tcp_ipv6_checksum, tx_udp_ipv6_checksum : bool
        The same for transport checksums, by innermost IP version.
    max_offload_ipv4_bytes, max_offload_ipv6_bytes : int
        Most payload of a request to be segmented, by innermost IP version (LIM-1).
    id_wrap : int
        Bits of the IPv4 identification that large sends count in, 15 or 16 (HDR-8).
    """

    encapsulation: frozenset[str] = frozenset()
    vxlan_port: int = 4789
    lso_ipv4: bool = True
    lso_ipv6: bool = True
    uso_ipv4: bool = True
    uso_ipv6: bool = True
    tx_ipv4_checksum: bool = True
    tx_tcp_ipv4_checksum: bool = True
    tx_udp_ipv4_checksum: bool = True
    tx_tcp_ipv6_checksum: bool = True
    tx_udp_ipv6_checksum: bool = True
    max_offload_ipv4_bytes: int = 262_143
    max_offload_ipv6_bytes: int = 262_143
    id_wrap: int = 15

    def __post_init__(self) -> None:
        if unknown := self.encapsulation - {"nvgre", "vxlan"}:
            raise ValueError(f"encapsulation can be nvgre and vxlan, not {', '.join(sorted(unknown))}")
        if not 0 <= self.vxlan_port <= 0xFFFF:
            raise ValueError(f"vxlan_port has 16 bits, {self.vxlan_port!r} does not fit")
        for name in ("max_offload_ipv4_bytes", "max_offload_ipv6_bytes"):
            if not 0 <= getattr(self, name) < 1 << 18:
                raise ValueError(f"{name} has 18 bits, {getattr(self, name)!r} does not fit")
        if self.id_wrap not in (15, 16):
            raise ValueError(f"id_wrap must be 15 or 16, not {self.id_wrap!r}")

    def lso(self, version: int) -> bool:
        """Return whether TCP over IP ``version`` may be segmented."""
        return self.lso_ipv4 if version == 4 else self.lso_ipv6

    def uso(self, version: int) -> bool:
        """Return whether UDP over IP ``version`` may be segmented."""
        return self.uso_ipv4 if version == 4 else self.uso_ipv6

    def tx_tcp_checksum(self, version: int) -> bool:
        """Return whether checksums of TCP over IP ``version`` are inserted."""
        return self.tx_tcp_ipv4_checksum if version == 4 else self.tx_tcp_ipv6_checksum

    def tx_udp_checksum(self, version: int) -> bool:
        """Return whether checksums of UDP over IP ``version`` are inserted."""
        return self.tx_udp_ipv4_checksum if version == 4 else self.tx_udp_ipv6_checksum

    def max_offload_bytes(self, version: int) -> int:
        """Return the most payload bytes of a request to be segmented over IP ``version``."""
        return self.max_offload_ipv4_bytes if version == 4 else self.max_offload_ipv6_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """The limits that a build of the hardware has."""

    max_mss: int = 9_600
    max_header_bytes: int = 256
    max_payload_bytes: int = 262_143


@dataclasses.dataclass(frozen=True)
class Request:
    """One packet as the host hands it over.

    Parameters
    ----------
    frame : bytes
        All bytes that come in the buffers.
    buffers : tuple of int, optional
        Length of each scatter-gather buffer; they add up to ``frame``. Default: all in one.
    length : int, optional
        The packet's length as the request record states it. Default: what comes in the buffers.
    supplemental, checksum, lso, uso, vlan : int
        The out-of-band words, 32 bits each (specification section 1).
    tag : int
        16 bits, returned with the frames and the completion.
    """

    frame: bytes
    _: dataclasses.KW_ONLY
    buffers: tuple[int, ...] | None = None
    length: int | None = None
    supplemental: int = 0
    checksum: int = 0
    lso: int = 0
    uso: int = 0
    vlan: int = 0
    tag: int = 0

    def __post_init__(self) -> None:
        if sum(self.elements) != len(self.frame) or any(size < 1 for size in self.elements):
            raise ValueError(f"buffers of {self.elements!r} bytes do not hold {len(self.frame)} bytes")
        for name in ("supplemental", "checksum", "lso", "uso", "vlan", "stated_length"):
            if not 0 <= getattr(self, name) < 1 << 32:
                raise ValueError(f"{name} has 32 bits, {getattr(self, name)!r} does not fit")
        for name, value in (("tag", self.tag), ("the number of buffers", len(self.elements))):
            if not 0 <= value < 1 << 16:
                raise ValueError(f"{name} has 16 bits, {value!r} does not fit")

    @property
    def elements(self) -> tuple[int, ...]:
        """Length of each buffer, in bytes."""
        if self.buffers is not None:
            return self.buffers
        return (len(self.frame),) if self.frame else ()

    @property
    def stated_length(self) -> int:
        """The packet's length as the request record states it, in bytes."""
        return len(self.frame) if self.length is None else self.length


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion:
    """What the host learns when a request is done.

    Parameters
    ----------
    tag : int
        The request's.
    status : str
        Name of a :class:`Status`, in lower case.
    segments : int
        Frames sent.
    payload_bytes : int
        Transport payload sent in segments; 0 for a request that is not to be segmented.
    lso_completion : int
        The large-send word as the host wants it back (CMP-1, CMP-2); 0 if it was 0.
    """

    tag: int
    status: str
    segments: int
    payload_bytes: int
    lso_completion: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that a request leads to.

    Parameters
    ----------
    frames : tuple of bytes
        Frames on the wire, in order, without frame check sequence.
    completion : Completion
        What is reported to the host.
    inner_version_hint : bool
        IsInnerIPv6 was wrong about the inner IP header that was found (INV-13).
    tcp_options_hint : bool
        TcpOptionsPresent was clear though the inner TCP header that was found has options (INV-14).
    split_encapsulation : bool
        The first buffer ended before the inner frame that was found (SG-3).
    otherwise : str, optional
        Status that may be reported instead of a mismatch of buffers that end inside the header block, but
        behind everything that has to be read of it: what that says may count before their end is seen. The
        hints may be counted then or not.
    """

    frames: tuple[bytes, ...]
    completion: Completion
    inner_version_hint: bool = False
    tcp_options_hint: bool = False
    split_encapsulation: bool = False
    otherwise: str | None = None

    def allows(self, frames: Sequence[bytes], completion: Completion) -> bool:
        """Return whether a core that sent ``frames`` and reported ``completion`` did as it should.

        That is to do exactly the same, but for what it may report ``otherwise``, and but for this: where the
        buffers end early, as many segments go out as the core has seen to be whole by then.
        """
        expected = self.completion
        if completion.status == self.otherwise:
            expected = dataclasses.replace(expected, status=completion.status)
        if expected.status == completion.status == "buffer_mismatch":
            count = completion.segments
            same_kind = dataclasses.replace(
                completion,
                segments=expected.segments,
                payload_bytes=expected.payload_bytes,
                lso_completion=expected.lso_completion,
            )
            return count == len(frames) and same_kind == expected and tuple(frames) == self.frames[:count]
        return completion == expected and tuple(frames) == self.frames
