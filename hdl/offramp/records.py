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


class Reason(enum.Enum, shape=8):
    """Why the transport checksum of a received frame was not checked. The lowest number is reported."""

    CHECKED = 0
    """It was: the flags say how it is."""

    INACTIVE = 1
    """Receive offload is not active (RXC-1, RXT-23)."""

    MARKED_BAD = 2
    """The MAC has marked the frame as bad."""

    TRUNCATED = 3
    """The frame ends inside a header (RXC-8)."""

    HEADER_LIMIT = 4
    """A header is behind what the build looks at."""

    MALFORMED = 5
    """An IPv4 header shorter than 20 bytes, or a version that is not the EtherType's."""

    TUNNEL_OFF = 6
    """GRE, and NVGRE is switched off (RXT-20, CFG-6)."""

    TUNNEL_UNKNOWN = 7
    """GRE of another version, with routing or another payload; VXLAN without a network (RXT-19, VX-7)."""

    FRAGMENT = 8
    """A fragment, in either layer (RXT-17, RXT-18)."""

    NOT_IP = 9
    """The innermost EtherType is neither IPv4 nor IPv6 (RXT-16)."""

    EXTENSION = 10
    """Innermost: ESP, IPv4 with AH, an unknown extension header, or a routing header with segments left."""

    PROTOCOL = 11
    """Neither TCP nor UDP (RXT-15)."""

    LENGTH = 12
    """Lengths that contradict each other or run past the frame's end (RXC-6, RXC-8)."""

    TUNNEL_CHECKSUM = 13
    """The checksum of the outer UDP header or of GRE is wrong (RXT-22)."""

    UDP_ZERO = 14
    """UDP without a checksum (RXT-14)."""

    DISABLED = 15
    """This checksum is switched off (CFG-1)."""


class Verdict(enum.Enum, shape=2):
    """What a checksum comes to."""

    NOT_CHECKED = 0
    """There is none, or it was not looked at."""

    GOOD = 1
    """It is right."""

    BAD = 2
    """It is wrong."""


class IpVersion(enum.Enum, shape=2):
    """Which IP header a layer has, by its EtherType."""

    NONE = 0
    """None, or it was not reached."""

    IPV4 = 1
    """IPv4."""

    IPV6 = 2
    """IPv6."""


class TunnelType(enum.Enum, shape=2):
    """Which tunnel a frame has."""

    NONE = 0
    """None."""

    NVGRE = 1
    """Ethernet in GRE, looked into."""

    VXLAN = 2
    """VXLAN, looked into."""

    GRE = 3
    """GRE that was not looked into."""


class ReceiveChecksum(data.Struct):
    """Checksum word of a received frame, for the host as it is (OOB-28 to OOB-36)."""

    tcp_failed: 1
    """The innermost TCP checksum is wrong."""

    udp_failed: 1
    """The innermost UDP checksum is wrong."""

    ip_failed: 1
    """An IPv4 header checksum, of either layer, is wrong (RXC-2, RXC-3)."""

    tcp_succeeded: 1
    """The innermost TCP checksum is right."""

    udp_succeeded: 1
    """The innermost UDP checksum is right."""

    ip_succeeded: 1
    """There are IPv4 headers, and the checksums of all of them are right."""

    reserved: 26
    """Zero: loopback is the host's own, the rest is about coalescing (RXC-9)."""


class Layers(data.Struct):
    """Which layers a received frame has, as far as they were understood."""

    outer: IpVersion
    """The outer, or only, IP header."""

    inner: IpVersion
    """The IP header inside the tunnel."""

    tunnel: TunnelType
    """What is between them."""

    vlan_tags: 2
    """VLAN tags of the outer Ethernet header."""

    inner_vlan: 1
    """The inner Ethernet header has a VLAN tag."""

    fragment: 1
    """One of the IP headers is that of a fragment."""

    protocol_valid: 1
    """``protocol`` is known: the IP header is whole, the inner one if a tunnel was looked into."""

    marked_bad: 1
    """The MAC's mark."""

    reserved: 4
    """Zero."""


class Verdicts(data.Struct):
    """What the checksum of each layer comes to."""

    outer_ip: Verdict
    """The outer IPv4 header."""

    tunnel: Verdict
    """The outer UDP header of VXLAN, or GRE with a checksum."""

    inner_ip: Verdict
    """The inner IPv4 header."""

    transport: Verdict
    """The innermost TCP or UDP header and what follows it."""


class Metadata(data.Struct):
    """What is known of one received frame, in the order of the frames."""

    checksum: ReceiveChecksum
    """The checksum word for the host."""

    hash_value: 32
    """Toeplitz hash (RSS-7), 0 if there is none."""

    hash_type: 32
    """What was hashed, as NDIS numbers it: one bit of those in :class:`HashTypes`, 0 if nothing."""

    length: 16
    """Bytes of the frame, modulo 65,536."""

    layers: Layers
    """Which layers were found."""

    verdicts: Verdicts
    """What the checksum of each layer comes to."""

    protocol: 8
    """The innermost IP header's protocol, behind extension headers."""

    queue: 8
    """Where the frame is to go (RSS-5, RSS-8)."""

    reason: Reason
    """Why the transport checksum was not checked, or 0."""


class HashTypes(data.Struct):
    """Kinds of hashes, one bit each, where NDIS has them (RSS-7), shifted down by 8."""

    ipv4: 1
    """IPv4 addresses (0x100)."""

    tcp_ipv4: 1
    """IPv4 addresses and TCP ports (0x200)."""

    ipv6: 1
    """IPv6 addresses (0x400)."""

    ipv6_ex: 1
    """Not supported (0x800): ignored."""

    tcp_ipv6: 1
    """IPv6 addresses and TCP ports (0x1000)."""

    tcp_ipv6_ex: 1
    """Not supported (0x2000): ignored."""

    udp_ipv4: 1
    """IPv4 addresses and UDP ports (0x4000)."""

    udp_ipv6: 1
    """IPv6 addresses and UDP ports (0x8000)."""


QUEUE_BITS = 4
"""Receive queues are numbered in so many bits."""

RSS_KEY_BYTES = 40
RSS_TABLE_ENTRIES = 128
VMQ_FILTERS = 16


class Filter(data.Struct):
    """A receive filter: frames for one virtual machine (RSS-5)."""

    enable: 1
    """Look at this filter."""

    vlan_enable: 1
    """``vlan`` must be that of the frame's first outer tag."""

    spread: 1
    """Add the indirection table's entry to ``queue``, if the frame has a hash."""

    vlan: 12
    """VLAN identifier."""

    mac: 48
    """Destination address, first byte in the highest bits: of the inner frame if there is one."""

    queue: QUEUE_BITS
    """Queue, or the first of several."""


class ReceiveConfiguration(data.Struct):
    """Run-time configuration of the receive path; sampled with the first beat of a frame (CFG-1 to CFG-7)."""

    encapsulation: data.StructLayout({"nvgre": 1, "vxlan": 1})
    """Tunnels to look into: bit 0 NVGRE, bit 1 VXLAN. None after reset (CFG-6)."""

    vxlan_port: 16
    """UDP destination port that means VXLAN."""

    rx_active: 1
    """Check checksums at all (RXC-1)."""

    rx_ipv4_checksum: 1
    """Check IPv4 header checksums."""

    rx_tcp_ipv4_checksum: 1
    """Check TCP over IPv4 (the innermost version, as everywhere below: REQ-16)."""

    rx_udp_ipv4_checksum: 1
    """Check UDP over IPv4."""

    rx_tcp_ipv6_checksum: 1
    """Check TCP over IPv6."""

    rx_udp_ipv6_checksum: 1
    """Check UDP over IPv6."""

    rss_types: HashTypes
    """Hashes to compute."""

    rss_key: 8 * RSS_KEY_BYTES
    """Key of the hash, first byte in the highest bits."""

    rss_table: data.ArrayLayout(QUEUE_BITS, RSS_TABLE_ENTRIES)
    """Queue for each value of the hash's lowest seven bits."""

    vmq_filters: data.ArrayLayout(Filter, VMQ_FILTERS)
    """Filters, the first that matches decides. With none enabled, the table alone does."""

    default_queue: QUEUE_BITS
    """Queue of frames without a hash, and of those that no filter wants."""
