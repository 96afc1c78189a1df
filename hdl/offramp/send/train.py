"""What the stages of the send path tell each other about a request.

A *train* is the sequence of frames that one request becomes: many for a large send, one for a checksum
offload or a packet that needs nothing, none for a request that is refused.
"""

from amaranth.lib import data
from amaranth.utils import bits_for, exact_log2

from offramp.records import (
    PAYLOAD_BITS,
    ChecksumRequest,
    Configuration,
    Supplemental,
)

TAG_BYTES = 4
"""Bytes that an out-of-band VLAN tag adds to a frame (SG-8)."""

LENGTH_BITS = PAYLOAD_BITS + 2
"""Longer packets are told apart by one saturated value only: they are refused."""

HEADER_BITS = 9
"""Width of offsets inside a header block, VLAN tag included."""


class Limits:
    """What a build can hold.

    Parameters
    ----------
    max_mss : int
        Most payload bytes of one segment.
    max_header_bytes : int
        Longest header block, as the host counts it.
    """

    def __init__(self, *, max_mss: int = 9600, max_header_bytes: int = 256) -> None:
        if not 1 <= max_mss <= 16_000:
            raise ValueError(f"max_mss must be 1 to 16000, not {max_mss!r}")
        self.max_mss = max_mss
        self.max_header_bytes = max_header_bytes

    @property
    def max_frame_bytes(self) -> int:
        """Longest frame of a request that is not segmented."""
        return self.max_mss + self.max_header_bytes

    def header_beats(self, lanes: int) -> int:
        """Beats of the longest header block, with a VLAN tag."""
        return -(-(self.max_header_bytes + TAG_BYTES) // lanes)

    @property
    def slice_bits(self) -> int:
        """Width of a count of bytes in one slice, a VLAN tag included."""
        return bits_for(self.max_frame_bytes + TAG_BYTES)


class Order(data.StructLayout):
    """What a packet is made of: ``length`` in bytes, in ``buffers`` scatter-gather buffers."""

    def __init__(self) -> None:
        super().__init__({"length": 32, "buffers": 16})


class Brief(data.StructLayout):
    """What is to be known of a packet while it arrives.

    ``last_beat`` is the number of its last beat, VLAN tag included, but for an ``endless`` one, which is
    longer than can be counted; ``look`` says which tunnels to look into.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({
            "last_beat": LENGTH_BITS - exact_log2(lanes),
            "endless": 1,
            "has_tag": 1,
            "tag_control": 16,
            "look": data.StructLayout({"nvgre": 1, "vxlan": 1, "vxlan_port": 16}),
        })


class Part(data.StructLayout):
    """One beat of a packet's payload, or its join with the header block.

    ``last`` is set on the packet's last beat, ``bad`` from the one on in which it and its length part, and
    ``spoilt`` if both are.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({"data": data.ArrayLayout(8, lanes), "last": 1, "bad": 1, "spoilt": 1})


class Stored(data.StructLayout):
    """A slice as it lies in the store.

    ``beats`` is their number less one, ``tail`` the lanes of the last one, all of them if zero; an ``empty``
    slice has none. ``last`` ends a train, and what is ``bad`` must not go out.
    """

    def __init__(self, lanes: int, limits: Limits) -> None:
        depth = exact_log2(lanes)
        super().__init__({
            "bytes": limits.slice_bits,
            "beats": limits.slice_bits + 1 - depth,
            "tail": depth,
            "empty": 1,
            "last": 1,
            "bad": 1,
        })


class Case(data.Struct):
    """A request as far as its record tells, before its packet is looked at.

    ``lso``, ``uso`` and ``encapsulated`` are the request's after REQ-4 and OOB-10, ``work`` says that the
    packet's headers matter at all; without it the packet passes as it is. With ``both_versions`` the words
    contradict each other about the IP version in front (INV-12), whatever the packet is; with ``no_buffers``
    there is none, though it should have a length.
    """

    tag: 16
    length: LENGTH_BITS
    last_byte: LENGTH_BITS  # number of the last one, VLAN tag included
    has_tag: 1
    lso: 1
    lso_v1: 1
    uso: 1
    encapsulated: 1
    work: 1
    checksum_valid: 1
    both_versions: 1
    no_buffers: 1
    checksum: ChecksumRequest
    supplemental: Supplemental
    mss: 20
    header_offset: 10
    is_ipv6: 1
    config: Configuration


class Field(data.Struct):
    """Which fields of the header block differ from the template."""

    outer_network: 1  # length and, for IPv4, identification
    inner_network: 1
    outer_checksum: 1  # of the IPv4 header
    inner_checksum: 1
    tunnel_length: 1  # UDP below VXLAN
    tunnel_zero: 1  # checksum of UDP below VXLAN: none
    tunnel_checksum: 1  # the same, computed
    sequence: 1  # and control word, of TCP
    datagram_length: 1  # of UDP
    transport_checksum: 1


class Counted(data.Struct):
    """A number of bytes for each length field: of IP headers, of UDP below VXLAN, and of the transport."""

    outer: HEADER_BITS
    tunnel: HEADER_BITS
    inner: HEADER_BITS
    transport: HEADER_BITS


class Train(data.StructLayout):
    """A request as it is to be sent.

    Offsets count from the first byte of the frame, an inserted VLAN tag included. ``slice_bytes`` is the
    payload of every frame but the last, ``sum_bytes`` how much of a lone frame's payload its transport
    checksum covers. A ``single`` train has one frame, a ``bare`` one no payload at all. ``counted`` are the
    bytes of the header block that each length field counts, besides the payload.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__({
            "tag": 16,
            "lso_v1": 1,
            "lso_v2": 1,
            "segmented": 1,
            "single": 1,
            "bare": 1,
            "header_bytes": HEADER_BITS,
            "last_byte": LENGTH_BITS,  # number of the whole packet's last byte, VLAN tag included
            "payload_bytes": PAYLOAD_BITS,
            "slice_bytes": limits.slice_bits,
            "sum_bytes": limits.slice_bits,
            "outer_ipv4": 1,
            "inner_ipv4": 1,
            "inner": 1,
            "outer_start": HEADER_BITS,
            "outer_end": HEADER_BITS,
            "inner_start": HEADER_BITS,
            "transport_start": HEADER_BITS,
            "counted": Counted,
            "udp": 1,
            "field": Field,
            "outer_id": 16,
            "inner_id": 16,
            "id_wrap_16": 1,
            "outer_length": 16,
            "inner_length": 16,
            "sequence": 32,
            "control": 16,
            "seed": 16,
        })
