"""Records at the edges of the send path: requests, completions, configuration.

The out-of-band words are the host's (NDIS) own, bit for bit, as numbered in section 1 of the offload
rules; ``Request`` and ``Completion`` travel as AXI4-Stream transfers, bit 0 in ``tdata[0]``.

The text below each field also stands in docs/records.md, which ``offramp records`` makes of this file.
"""

from amaranth.lib import data, enum

MAX_PAYLOAD_BYTES = 262_143
"""Largest payload of one large send. Payload counters are :data:`PAYLOAD_BITS` wide for it."""

PAYLOAD_BITS = 18


class Supplemental(data.Struct):
    """Supplemental word: where the inner headers are (OOB-1 to OOB-8)."""

    is_encapsulated: 1
    """An inner Ethernet frame in NVGRE or VXLAN; only heeded if there is checksum or segmentation work."""

    offsets_valid: 1
    """The three offsets below are valid; they must then agree with the packet (INV-2)."""

    inner_frame_offset: 8
    """From the packet's first byte to the inner Ethernet header, in bytes."""

    ip_relative_offset: 6
    """From the inner Ethernet header to the inner IP header, in bytes."""

    tcp_relative_offset: 10
    """From the inner IP header to the inner TCP or UDP header, in bytes."""

    is_inner_ipv6: 1
    """A hint: the packet's own version decides, and differences are counted (INV-13)."""

    tcp_options_present: 1
    """A hint: the TCP data offset decides, and differences are counted (INV-14)."""

    reserved: 4
    """Ignored."""


class ChecksumRequest(data.Struct):
    """Checksum word: which checksums to insert (OOB-21 to OOB-27)."""

    is_ipv4: 1
    """The outer, or only, IP header is IPv4. Without a version, only segments get checksums (REQ-5)."""

    is_ipv6: 1
    """The outer, or only, IP header is IPv6."""

    tcp: 1
    """Insert the TCP checksum; the field holds the sum of the pseudo-header with the length (TXC-2)."""

    udp: 1
    """Insert the UDP checksum, likewise; a field of zero is left alone (TXC-10)."""

    ip_header: 1
    """Insert the IPv4 header checksum. Encapsulated packets get those of both layers anyway (TXC-6)."""

    reserved: 11
    """Ignored."""

    tcp_header_offset: 10
    """From the packet's first byte to the TCP header, 0 if not given; ignored if encapsulated (OOB-27)."""

    reserved2: 6
    """Ignored."""


class SegmentRequest(data.Struct):
    """Segmentation word: of large send (OOB-13 to OOB-17), and of UDP segmentation (OOB-37 to OOB-40)."""

    mss: 20
    """Payload bytes of each segment but the last."""

    header_offset: 10
    """From the packet's first byte to the TCP or UDP header; ignored if encapsulated (REQ-7)."""

    is_v2: 1
    """Large send, type: 0 is LSOv1, 1 is LSOv2. Reserved for UDP."""

    is_ipv6: 1
    """LSOv2 and UDP: the IP header is IPv6; not heeded if encapsulated. Reserved for LSOv1."""


class TagRequest(data.Struct):
    """802.1Q word: the tag for every frame, behind its MAC addresses; none if bits 15 to 0 are 0 (OOB-41)."""

    priority: 3
    """Priority code point."""

    canonical_format: 1
    """Canonical format (drop eligible) indicator."""

    vlan: 12
    """VLAN identifier."""

    reserved: 16
    """Ignored."""


class Request(data.Struct):
    """One packet to send, ahead of its bytes."""

    tag: 16
    """Returned in ``tid`` of the frames and in the completion."""

    buffers: 16
    """Number of scatter-gather buffers that hold the packet."""

    length: 32
    """Bytes of the packet, in all of its buffers."""

    supplemental: Supplemental
    """Where the inner headers are."""

    checksum: ChecksumRequest
    """Which checksums to insert."""

    lso: SegmentRequest
    """TCP segmentation (large send), none if 0."""

    uso: SegmentRequest
    """UDP segmentation, none if 0."""

    vlan: TagRequest
    """Tag to insert."""


class Status(enum.Enum, shape=8):
    """How a request ended. Of several reasons to refuse it, the lowest number is reported."""

    OK = 0
    """Everything was sent."""

    BUFFER_MISMATCH = 1
    """The buffers do not add up to the length."""

    VERSION_CONFLICT = 2
    """The words contradict each other, or the outer EtherType, about the IP version (INV-12, OOB-16)."""

    LSO_V1_ENCAPSULATED = 3
    """LSOv1 of an encapsulated packet (INV-10, REQ-6)."""

    HEADER_TRUNCATED = 4
    """A header that is needed for the work runs past the packet's end."""

    IP_HEADER = 5
    """An IPv4 header shorter than 20 bytes, or a version that is not the EtherType's (INV-12)."""

    TUNNEL_UNSUPPORTED = 6
    """Said to be encapsulated, but in neither NVGRE nor VXLAN (INV-16, WIRE-4, VX-7)."""

    GRE_OPTIONS = 7
    """GRE with a checksum, routing or sequence field, which NVGRE has not (WIRE-4)."""

    TUNNEL_DISABLED = 8
    """A tunnel of a type that is switched off (CFG-3, CFG-6)."""

    FRAGMENT = 9
    """Segmentation of an IP fragment, in either layer (INV-6, LSO-3, USO-1)."""

    EXTENSION_UNSUPPORTED = 10
    """Segmentation with an AH or ESP header, in either layer (X6-4)."""

    PROTOCOL_MISMATCH = 11
    """LSO of something that is not TCP, USO of something that is not UDP, or both at once (INV-17)."""

    TCP_DATA_OFFSET = 12
    """A TCP header shorter than 20 bytes (INV-14)."""

    TCP_FLAGS = 13
    """Large send with SYN, RST or URG set (INV-6, LSO-4)."""

    OFFSETS_DISAGREE = 14
    """Header offsets that are not where the headers are (INV-2)."""

    HEADER_TOO_LONG = 15
    """A header block longer than the build can hold; nothing behind that is looked at (INV-11, LIM-8)."""

    LSO_DISABLED = 16
    """LSO is switched off for the innermost IP version (INV-9, REQ-16)."""

    USO_DISABLED = 17
    """USO is switched off for the innermost IP version (INV-9, REQ-16)."""

    MSS_ZERO = 18
    """Segments of no bytes (INV-3)."""

    PAYLOAD_TOO_LONG = 19
    """More payload than configured, or than 262,143 bytes; LSOv1 over 65,535 IP bytes (INV-4, LIM-1)."""

    SEGMENT_TOO_LONG = 20
    """A segment whose IP or UDP length would not fit in 16 bits (INV-8)."""

    MSS_OVER_STORE = 21
    """An MSS longer than the build can store (LIM-11)."""

    LENGTH_INCONSISTENT = 22
    """A checksum to insert without segmentation, and length fields that leave no valid range (TXC-14)."""

    FRAME_TOO_LONG = 23
    """A packet that is not segmented and longer than the build can store (LIM-11)."""


class Completion(data.Struct):
    """How one request ended, in request order (section 8 of the rules)."""

    tag: 16
    """The request's."""

    status: Status
    """Why it was refused, or 0."""

    reserved: 8
    """Zero."""

    segments: 32
    """Frames sent."""

    payload_bytes: 32
    """TCP or UDP payload sent in segments; 0 if not segmented."""

    lso_completion: 32
    """The large-send word for the host (CMP-1, CMP-2): LSOv2 ``0x40000000``, LSOv1 payload bytes, else 0."""


class Configuration(data.Struct):
    """Run-time configuration of the send path; sampled when a request is accepted (CFG-1 to CFG-5)."""

    encapsulation: data.StructLayout({"nvgre": 1, "vxlan": 1})
    """Tunnels to look into: bit 0 NVGRE, bit 1 VXLAN."""

    vxlan_port: 16
    """UDP destination port that means VXLAN."""

    lso_ipv4: 1
    """Segment TCP over IPv4 (the innermost version, as everywhere below: REQ-16)."""

    lso_ipv6: 1
    """Segment TCP over IPv6."""

    uso_ipv4: 1
    """Segment UDP over IPv4."""

    uso_ipv6: 1
    """Segment UDP over IPv6."""

    tx_ipv4_checksum: 1
    """Insert IPv4 header checksums. Segments always get all of theirs (TXC-12)."""

    tx_tcp_ipv4_checksum: 1
    """Insert checksums of TCP over IPv4."""

    tx_udp_ipv4_checksum: 1
    """Insert checksums of UDP over IPv4."""

    tx_tcp_ipv6_checksum: 1
    """Insert checksums of TCP over IPv6."""

    tx_udp_ipv6_checksum: 1
    """Insert checksums of UDP over IPv6."""

    max_offload_ipv4_bytes: PAYLOAD_BITS
    """Most payload of a request to be segmented, over IPv4 (LIM-1)."""

    max_offload_ipv6_bytes: PAYLOAD_BITS
    """Most payload of a request to be segmented, over IPv6."""

    id_wrap_16: 1
    """Large sends count IPv4 identifications in 16 bits instead of 15 (HDR-8)."""
