"""Records at the edges of the send path: requests, completions, configuration.

The out-of-band words are the host's (NDIS) own, bit for bit, as numbered in section 1 of the offload
rules; ``Request`` and ``Completion`` travel as AXI4-Stream transfers, bit 0 in ``tdata[0]``.
"""

from amaranth.lib import data, enum

MAX_PAYLOAD_BYTES = 262_143
"""Largest payload of one large send. Payload counters are :data:`PAYLOAD_BITS` wide for it."""

PAYLOAD_BITS = 18


class Supplemental(data.Struct):
    """Supplemental out-of-band word (OOB-1 to OOB-8)."""

    is_encapsulated: 1
    offsets_valid: 1
    inner_frame_offset: 8
    ip_relative_offset: 6
    tcp_relative_offset: 10
    is_inner_ipv6: 1
    tcp_options_present: 1
    reserved: 4


class ChecksumRequest(data.Struct):
    """Checksum out-of-band word, transmit view (OOB-21 to OOB-27)."""

    is_ipv4: 1
    is_ipv6: 1
    tcp: 1
    udp: 1
    ip_header: 1
    reserved: 11
    tcp_header_offset: 10
    reserved2: 6


class SegmentRequest(data.Struct):
    """Large-send out-of-band word (OOB-13 to OOB-17), and the UDP segmentation word (OOB-37 to OOB-40).

    ``is_v2`` is the large-send type; UDP segmentation has a reserved bit in its place.
    """

    mss: 20
    header_offset: 10
    is_v2: 1
    is_ipv6: 1


class TagRequest(data.Struct):
    """802.1Q out-of-band word (OOB-41): the tag to insert, none where all sixteen bits are zero."""

    priority: 3
    canonical_format: 1
    vlan: 12
    reserved: 16


class Request(data.Struct):
    """One packet to send, ahead of its bytes."""

    tag: 16
    buffers: 16
    length: 32
    supplemental: Supplemental
    checksum: ChecksumRequest
    lso: SegmentRequest
    uso: SegmentRequest
    vlan: TagRequest


class Status(enum.Enum, shape=8):
    """How a request ended. Of several reasons to refuse it, the lowest number is reported."""

    OK = 0
    BUFFER_MISMATCH = 1  # the buffers do not add up to the length
    VERSION_CONFLICT = 2  # INV-12, OOB-16
    LSO_V1_ENCAPSULATED = 3  # INV-10
    HEADER_TRUNCATED = 4  # a header claims to run past the packet's end
    IP_HEADER = 5  # version nibble against EtherType, or IHL below 5
    TUNNEL_UNSUPPORTED = 6  # INV-16
    GRE_OPTIONS = 7  # NVGRE has neither checksum nor sequence (WIRE-4)
    TUNNEL_DISABLED = 8  # CFG-3, CFG-6
    FRAGMENT = 9  # INV-6
    EXTENSION_UNSUPPORTED = 10  # X6-4
    PROTOCOL_MISMATCH = 11  # INV-17
    TCP_DATA_OFFSET = 12  # INV-14
    TCP_FLAGS = 13  # INV-6
    OFFSETS_DISAGREE = 14  # INV-2
    HEADER_TOO_LONG = 15  # INV-11
    LSO_DISABLED = 16  # INV-9
    USO_DISABLED = 17  # INV-9
    MSS_ZERO = 18  # INV-3
    PAYLOAD_TOO_LONG = 19  # INV-4
    SEGMENT_TOO_LONG = 20  # INV-8
    MSS_OVER_STORE = 21  # this build's store
    LENGTH_INCONSISTENT = 22  # TXC-14
    FRAME_TOO_LONG = 23  # this build's store


class Completion(data.Struct):
    """How one request ended, in request order (section 8 of the rules)."""

    tag: 16
    status: Status
    reserved: 8
    segments: 32
    payload_bytes: 32
    lso_completion: 32


class Configuration(data.Struct):
    """Run-time configuration of the send path; sampled when a request is accepted (CFG-1 to CFG-5)."""

    encapsulation: data.StructLayout({"nvgre": 1, "vxlan": 1})
    vxlan_port: 16
    lso_ipv4: 1
    lso_ipv6: 1
    uso_ipv4: 1
    uso_ipv6: 1
    tx_ipv4_checksum: 1
    tx_tcp_ipv4_checksum: 1
    tx_udp_ipv4_checksum: 1
    tx_tcp_ipv6_checksum: 1
    tx_udp_ipv6_checksum: 1
    max_offload_ipv4_bytes: PAYLOAD_BITS
    max_offload_ipv6_bytes: PAYLOAD_BITS
    id_wrap_16: 1
