"""Every reason to refuse a request (specification section 6): nothing is sent, the lowest is reported."""

import dataclasses
import itertools
from collections.abc import Callable

import pytest
from offramp_sim.model import Build, Config, Request, Status, send
from offramp_sim.model.words import Checksum, LargeSend, UdpSegmentation, Vlan

from .shapes import ON, S44, Shape, patched, ramp

PLAIN = Shape()
PLAIN6 = Shape(outer=6)
PLAIN_UDP = Shape(transport="udp")
V6V6 = Shape(tunnel="nvgre", outer=6, inner=6)
VXLAN = Shape(tunnel="vxlan")
NVGRE_UDP = Shape(tunnel="nvgre", transport="udp")
P = ramp(250)


def status(request: Request, config: Config = ON, build: Build | None = None) -> str:
    """Return how ``request`` ends; a refusal must be silent and complete."""
    outcome = send(request, config, build)
    if outcome.completion.status != "ok":
        assert outcome.frames == ()
        assert outcome.completion.segments == outcome.completion.payload_bytes == 0
        version2 = request.lso >> 30 & 1
        assert outcome.completion.lso_completion == version2 << 30
    return outcome.completion.status


def flip(request: Request, offset: int, bits: int) -> Request:
    """Return ``request`` with bits of one byte of its frame inverted."""
    return patched(request, (offset, bytes([request.frame[offset] ^ bits])))


def cut(request: Request, size: int) -> Request:
    """Return ``request`` with only the first ``size`` bytes of its frame."""
    return dataclasses.replace(request, frame=request.frame[:size])


def both(shape: Shape) -> list[Request]:
    """Return a request for segmentation and one for checksums."""
    return [shape.large_send(P, 100), shape.sum_up(P)]


def insert_extension(shape: Shape, request: Request, start: int, kind: int, body: bytes) -> Request:
    """Return ``request`` with an extension header put into the bare IPv6 header at ``start``."""
    frame = bytearray(request.frame)
    body = bytes([frame[start + 6]]) + body[1:]
    frame[start + 6] = kind
    frame[start + 40 : start + 40] = body
    changes: dict[str, int] = {"supplemental": request.supplemental & ~2}
    if not shape.tunnel:
        changes["lso"] = request.lso + (len(body) << 20)
    return dataclasses.replace(request, frame=bytes(frame), **changes)


# 1


@pytest.mark.parametrize("delta", [-1, 1, 300])
def test_buffers_must_add_up(delta: int) -> None:
    for request in (S44.sum_up(P, tcp=0), Request(S44.build(P)), PLAIN.large_send(ramp(20), 100)):
        wrong = dataclasses.replace(request, length=len(request.frame) + delta)
        assert status(wrong) == "buffer_mismatch"


def test_headers_that_did_not_come_are_missing_bytes() -> None:
    request = S44.large_send(P, 100)
    for size in range(S44.header_bytes):
        assert status(dataclasses.replace(cut(request, size), length=len(request.frame))) == "buffer_mismatch"


def test_headers_may_speak_before_it_is_seen_that_their_end_is_missing() -> None:
    """What has to be read of a TCP header is there, and its options are not."""
    shape = dataclasses.replace(S44, tcp_options=True)
    syn = flip(shape.large_send(P, 100), shape.transport_start + 13, 0x02)
    request = dataclasses.replace(syn, length=400)
    for missing, otherwise in ((shape.header_bytes - shape.transport_start - 17, None), (1, "tcp_flags")):
        outcome = send(cut(request, shape.header_bytes - missing), ON)
        right, other = outcome.completion, dataclasses.replace(outcome.completion, status="tcp_flags")
        assert (right.status, outcome.otherwise) == ("buffer_mismatch", otherwise)
        assert outcome.allows([], right)
        assert outcome.allows([], other) == (otherwise is not None)
    assert status(cut(request, shape.header_bytes)) == "tcp_flags"


def test_headers_that_the_stated_length_cuts_off_are_truncated() -> None:
    request = S44.large_send(P, 100)
    for size in range(S44.header_bytes):
        assert status(dataclasses.replace(request, length=size)) == "header_truncated"


def test_what_the_headers_say_comes_before_missing_bytes() -> None:
    request = S44.large_send(P, 0)
    assert status(dataclasses.replace(request, length=len(request.frame) + 1)) == "mss_zero"


# 2


def test_a_packet_cannot_be_of_both_versions() -> None:
    """INV-12: not even one without work."""
    words = Checksum(ipv4=1, ipv6=1).pack()
    for request in (*both(S44), *both(PLAIN), Request(bytes(60))):
        assert status(dataclasses.replace(request, checksum=words)) == "version_conflict"


@pytest.mark.parametrize("shape", [PLAIN, PLAIN6, S44, V6V6], ids=str)
def test_checksum_word_must_name_the_outer_version(shape: Shape) -> None:
    """INV-12."""
    for request in both(shape):
        assert status(dataclasses.replace(request, checksum=request.checksum ^ 3)) == "version_conflict"


@pytest.mark.parametrize("shape", [PLAIN, PLAIN6, PLAIN_UDP], ids=str)
def test_segmentation_word_must_name_the_version_of_a_plain_packet(shape: Shape) -> None:
    """OOB-16, OOB-40."""
    request = dataclasses.replace(shape.large_send(P, 100), checksum=0)
    assert status(request) == "ok"
    word = "uso" if shape.transport == "udp" else "lso"
    wrong = dataclasses.replace(request, **{word: getattr(request, word) ^ 1 << 31})
    assert status(wrong) == "version_conflict"


@pytest.mark.parametrize("shape", [PLAIN, PLAIN6, PLAIN_UDP], ids=str)
def test_words_that_contradict_each_other_need_no_packet(shape: Shape) -> None:
    """INV-12."""
    request = shape.large_send(P, 100)
    for size in (1, 13):
        runt = dataclasses.replace(request, frame=request.frame[:size])
        assert status(runt) == "header_truncated"
        assert status(dataclasses.replace(runt, checksum=runt.checksum ^ 3)) == "version_conflict"


def test_segmentation_word_of_an_encapsulated_packet_names_no_version() -> None:
    """OOB-16."""
    request = dataclasses.replace(S44.large_send(P, 100), checksum=0)
    for ipv6 in (0, 1):
        assert status(dataclasses.replace(request, lso=request.lso & ~(1 << 31) | ipv6 << 31)) == "ok"


def test_version_1_is_for_ipv4() -> None:
    """OOB-17, X-1: its bit 31 is reserved."""
    request = dataclasses.replace(PLAIN6.large_send(P, 100, version2=0), checksum=0)
    assert status(request) == "version_conflict"
    assert status(PLAIN.large_send(P, 100, version2=0, ipv6=1)) == "ok"


# 3


def test_version_1_is_not_for_tunnels() -> None:
    """INV-10, REQ-6."""
    assert status(S44.large_send(P, 100, version2=0)) == "lso_v1_encapsulated"


# 4


@pytest.mark.parametrize(
    "shape",
    [
        PLAIN,
        PLAIN6,
        PLAIN_UDP,
        S44,
        VXLAN,
        NVGRE_UDP,
        V6V6,
        Shape(outer_extras=("options",), tags=(0x8100, 0x8100), tcp_options=True),
        Shape(tunnel="nvgre", outer=6, outer_extras=("hop",), inner=6, inner_extras=("routing",)),
    ],
    ids=str,
)
def test_no_header_may_run_past_the_packets_end(shape: Shape) -> None:
    request = dataclasses.replace(shape.large_send(b"", 100), checksum=0)
    assert status(request) == "ok"
    for size in range(shape.header_bytes):
        assert status(cut(request, size)) == "header_truncated"


def test_transport_header_may_be_missing_where_it_is_not_needed() -> None:
    """TXC-1."""
    request = cut(PLAIN.sum_up(P, tcp=0), PLAIN.transport_start)
    assert status(request) == "ok"
    assert status(dataclasses.replace(request, checksum=PLAIN.checksum(tcp=1))) == "header_truncated"
    assert status(dataclasses.replace(request, checksum=PLAIN.checksum(udp=1, ip_header=1))) == "ok"


def test_ipv4_options_must_be_there() -> None:
    """HDR-10: they are part of what is summed."""
    shape = Shape(outer_extras=("options",))
    request = shape.sum_up(P, tcp=0)
    for size in range(shape.outer_ip + 20, shape.transport_start):
        assert status(cut(request, size)) == "header_truncated"
    assert status(cut(request, shape.transport_start)) == "ok"


def test_a_packet_of_no_bytes_is_no_packet() -> None:
    assert status(Request(b"")) == "header_truncated"


def test_a_tag_needs_an_ethernet_header_to_go_in() -> None:
    """SG-8."""
    vlan = Vlan(identifier=1).pack()
    assert status(Request(bytes(14), vlan=vlan)) == "ok"
    assert status(Request(bytes(13), vlan=vlan)) == "header_truncated"
    assert status(Request(bytes(13), vlan=0xFFFF_0000)) == "ok"


# 5


@pytest.mark.parametrize("shape", [PLAIN, PLAIN6, S44, V6V6], ids=str)
def test_ip_version_must_be_the_ethertypes(shape: Shape) -> None:
    for request, start in itertools.product(both(shape), {shape.outer_ip, shape.inner_ip}):
        for bit in range(4):
            assert status(flip(request, start, 0x10 << bit)) == "ip_header"


@pytest.mark.parametrize("words", range(5))
def test_ipv4_header_has_twenty_bytes_at_least(words: int) -> None:
    for request, start in itertools.product(both(S44), (S44.outer_ip, S44.inner_ip)):
        assert status(patched(request, (start, bytes([0x40 | words])))) == "ip_header"


# 6 to 8


@pytest.mark.parametrize(
    "edit",
    [
        (0, "0000"),  # no key
        (0, "2001"),  # enhanced GRE
        (0, "2800"),  # reserved bits
        (0, "b001"),  # options, but of an unknown version
        (2, "0800"),  # IPv4 right inside
        (2, "880b"),
    ],
)
def test_gre_must_be_nvgre(edit: tuple[int, str]) -> None:
    """INV-16, WIRE-4."""
    offset, octets = edit
    for shape in (S44, V6V6):
        for request in both(shape):
            wrong = patched(request, (shape.offsets()[2] + offset, bytes.fromhex(octets)))
            assert status(wrong) == "tunnel_unsupported"


def test_vxlan_must_be_on_its_port_and_have_an_identifier() -> None:
    """INV-16, VX-2, VX-7."""
    udp = VXLAN.offsets()[2]
    for request in both(VXLAN):
        assert status(flip(request, udp + 3, 1)) == "tunnel_unsupported"
        assert status(flip(request, udp + 8, 0x08)) == "tunnel_unsupported"
        assert status(flip(request, udp + 8, 0xF7)) == "ok"


def test_encapsulated_packet_must_have_a_tunnel() -> None:
    """INV-16."""
    word = S44.supplemental(offsets_valid=0)
    for request in (*both(PLAIN), *both(PLAIN6)):
        assert status(dataclasses.replace(request, supplemental=word)) == "tunnel_unsupported"
    arp = patched(S44.large_send(P, 100), (12, b"\x08\x06"), checksum=0)
    assert status(arp) == "tunnel_unsupported"


@pytest.mark.parametrize("flags", [0xA0, 0x60, 0x30, 0x80, 0x10, 0xF0])
def test_gre_with_options_is_refused(flags: int) -> None:
    """Issue: checksum, routing or sequence number present."""
    for request in both(S44):
        assert status(patched(request, (S44.offsets()[2], bytes([flags])))) == "gre_options"


@pytest.mark.parametrize("shape", [S44, VXLAN], ids=str)
def test_tunnel_must_be_switched_on(shape: Shape) -> None:
    """CFG-4, CFG-6."""
    other = frozenset({"nvgre", "vxlan"} - {shape.tunnel})
    for request, config in itertools.product(both(shape), (Config(), Config(encapsulation=other))):
        assert status(request, config) == "tunnel_disabled"


def test_tunnel_that_is_not_announced_is_no_tunnel() -> None:
    """T-20, OOB-1: the packet is then whatever its outer headers say."""
    for shape in (S44, VXLAN):
        request = dataclasses.replace(shape.large_send(P, 100), supplemental=0)
        assert status(request) == "protocol_mismatch"
        assert status(dataclasses.replace(shape.sum_up(P, udp=0), supplemental=0)) == "ok"


# 9 and 10


@pytest.mark.parametrize("field", [0x2000, 0x0001, 0x1FFF, 0x3FFF, 0x6000])
@pytest.mark.parametrize("shape", [PLAIN, PLAIN_UDP, S44, NVGRE_UDP, VXLAN], ids=str)
def test_fragments_are_not_segmented(shape: Shape, field: int) -> None:
    """INV-6, LSO-3, USO-1; DF and the reserved bit make no fragment."""
    request = shape.large_send(P, 100)
    for start in {shape.outer_ip, shape.inner_ip}:
        assert status(patched(request, (start + 6, field.to_bytes(2, "big")))) == "fragment"
        assert status(patched(request, (start + 6, b"\xc0\x00"))) == "ok"


@pytest.mark.parametrize("shape", [PLAIN6, V6V6], ids=str)
def test_fragment_headers_are_not_segmented(shape: Shape) -> None:
    """INV-6, X6-4."""
    for start in {shape.outer_ip, shape.inner_ip}:
        request = insert_extension(shape, shape.large_send(P, 100), start, 44, bytes(8))
        assert status(request) == "fragment"


@pytest.mark.parametrize("shape", [PLAIN6, V6V6], ids=str)
def test_authenticated_packets_are_not_segmented(shape: Shape) -> None:
    """X6-4."""
    for start in {shape.outer_ip, shape.inner_ip}:
        header = bytes([0, 4]) + bytes(22)
        assert (
            status(insert_extension(shape, shape.large_send(P, 100), start, 51, header))
            == "extension_unsupported"
        )


def test_encrypted_packets_are_not_segmented() -> None:
    """X6-4."""
    for shape in (PLAIN, S44):
        for protocol in (50, 51):
            request = patched(shape.large_send(P, 100), (shape.inner_ip + 9, bytes([protocol])))
            assert status(request) == "extension_unsupported"
    for shape in (PLAIN6, V6V6):
        assert (
            status(patched(shape.large_send(P, 100), (shape.inner_ip + 6, b"\x32")))
            == "extension_unsupported"
        )


# 11 to 14


def test_segmentation_is_for_the_right_protocol() -> None:
    """INV-17."""
    for shape in (PLAIN, PLAIN_UDP, S44, NVGRE_UDP):
        request = shape.large_send(P, 100)
        swapped = dataclasses.replace(
            request, lso=request.uso and request.uso | 1 << 30, uso=request.lso & ~(1 << 30)
        )
        assert status(swapped) == "protocol_mismatch"
        assert status(
            dataclasses.replace(swapped, lso=swapped.lso or request.lso, uso=swapped.uso or request.uso)
        ) == ("protocol_mismatch")
        for protocol in (1, 47, 59, 135, 255):
            assert status(patched(request, (shape.inner_ip + 9, bytes([protocol])))) == "protocol_mismatch"


def test_segmentation_needs_an_ip_header_inside() -> None:
    """INV-17."""
    request = S44.large_send(P, 100, offsets_valid=0)
    assert status(patched(request, (S44.inner_ip - 2, b"\x08\x06"))) == "protocol_mismatch"


def test_more_tags_than_are_read_hide_the_ip_header() -> None:
    """WIRE-7, TXC-16: two outside, one inside."""
    three = Shape(tags=(0x88A8, 0x8100, 0x8100))
    assert status(three.large_send(P, 100)) == "version_conflict"
    tag = bytes.fromhex("81000001")
    tagged = Shape(tunnel="nvgre", inner_tag=True)
    request = tagged.large_send(P, 100, offsets_valid=0)
    twice = request.frame[: tagged.inner_frame + 12] + tag + request.frame[tagged.inner_frame + 12 :]
    assert status(request) == "ok"
    assert status(dataclasses.replace(request, frame=twice)) == "protocol_mismatch"


@pytest.mark.parametrize("words", range(5))
def test_tcp_header_has_twenty_bytes_at_least(words: int) -> None:
    """INV-14."""
    for shape in (PLAIN, S44):
        for request in both(shape):
            assert (
                status(patched(request, (shape.transport_start + 12, bytes([words << 4]))))
                == "tcp_data_offset"
            )
        unread = patched(shape.sum_up(P, tcp=0), (shape.transport_start + 12, bytes([words << 4])))
        assert status(unread) == "ok"


@pytest.mark.parametrize("bit", range(8))
def test_syn_rst_and_urg_are_not_segmented(bit: int) -> None:
    """INV-6, LSO-4."""
    flags = S44.transport_start + 13
    expected = "tcp_flags" if bit in (1, 2, 5) else "ok"
    assert status(flip(S44.large_send(P, 100), flags, 1 << bit)) == expected
    assert status(flip(S44.sum_up(P), flags, 1 << bit)) == "ok"


@pytest.mark.parametrize("name", ["inner_frame_offset", "inner_ip_offset", "inner_transport_offset"])
@pytest.mark.parametrize("shape", [S44, VXLAN, V6V6], ids=str)
def test_valid_offsets_must_agree_with_the_packet(shape: Shape, name: str) -> None:
    """INV-2, T-33."""
    right = {
        "inner_frame_offset": shape.inner_frame,
        "inner_ip_offset": shape.inner_ip - shape.inner_frame,
        "inner_transport_offset": shape.transport_start - shape.inner_ip,
    }[name]
    for request in both(shape):
        for wrong in (0, right - 2, right + 2):
            word = shape.supplemental(**{name: wrong})
            assert status(dataclasses.replace(request, supplemental=word)) == "offsets_disagree"


def test_inner_frame_behind_the_reach_of_its_offset_needs_no_offset() -> None:
    """LIM-10."""
    shape = Shape(tunnel="nvgre", outer=6)
    header = bytes([0, 24]) + bytes(198)
    request = insert_extension(shape, shape.large_send(P, 100), shape.outer_ip, 60, header)
    build = Build(max_header_bytes=400)
    assert status(request, ON, build) == "ok"
    assert (
        status(dataclasses.replace(request, supplemental=request.supplemental | 2), ON, build)
        == "offsets_disagree"
    )


@pytest.mark.parametrize("shape", [PLAIN, PLAIN6, PLAIN_UDP], ids=str)
def test_segmentation_offset_of_a_plain_packet_must_agree(shape: Shape) -> None:
    """INV-2, T-33."""
    for wrong in (0, shape.transport_start - 1, shape.transport_start + 4, 0x3FF):
        offset = "udp_header_offset" if shape.transport == "udp" else "tcp_header_offset"
        request = dataclasses.replace(shape.large_send(P, 100), **shape.segment_word(100, **{offset: wrong}))
        assert status(request) == "offsets_disagree"


def test_checksum_offset_of_a_plain_tcp_packet_must_agree_if_given() -> None:
    """INV-2, OOB-27: it is never given for UDP, and nothing is if no TCP checksum is wanted."""
    right = PLAIN.transport_start
    for given, expected in (
        (right, "ok"),
        (0, "ok"),
        (right + 4, "offsets_disagree"),
        (1, "offsets_disagree"),
    ):
        assert status(PLAIN.sum_up(P, tcp_header_offset=given)) == expected
        assert status(PLAIN.sum_up(P, tcp_header_offset=given, tcp=0)) == "ok"
        assert status(PLAIN_UDP.sum_up(P, tcp_header_offset=given)) == "ok"


# 15 to 21


def test_header_block_must_fit_the_build() -> None:
    """INV-11, T-34."""
    for request in both(S44):
        assert status(request, ON, Build(max_header_bytes=S44.header_bytes)) == "ok"
        assert status(request, ON, Build(max_header_bytes=S44.header_bytes - 1)) == "header_too_long"


@pytest.mark.parametrize("version", [4, 6])
def test_large_sends_are_switched_off_by_innermost_version(version: int) -> None:
    """T-16, INV-9, REQ-16."""
    off = dataclasses.replace(ON, **{f"lso_ipv{version}": False})
    other = dataclasses.replace(ON, **{f"lso_ipv{10 - version}": False, "uso_ipv4": False, "uso_ipv6": False})
    for shape in (Shape(outer=version), Shape(tunnel="nvgre", outer=10 - version, inner=version)):
        request = shape.large_send(P, 100)
        assert status(request, off) == "lso_disabled"
        assert status(request, other) == "ok"
        assert status(shape.sum_up(P), off) == "ok"


@pytest.mark.parametrize("version", [4, 6])
def test_udp_segmentation_is_switched_off_by_innermost_version(version: int) -> None:
    """USO-12, REQ-16."""
    off = dataclasses.replace(ON, **{f"uso_ipv{version}": False})
    other = dataclasses.replace(ON, **{f"uso_ipv{10 - version}": False, "lso_ipv4": False, "lso_ipv6": False})
    for shape in (
        Shape(outer=version, transport="udp"),
        Shape(tunnel="nvgre", outer=10 - version, inner=version, transport="udp"),
    ):
        request = shape.large_send(P, 100)
        assert status(request, off) == "uso_disabled"
        assert status(request, other) == "ok"
        assert status(shape.sum_up(P), off) == "ok"


@pytest.mark.parametrize("shape", [PLAIN, PLAIN_UDP, S44, NVGRE_UDP], ids=str)
def test_segments_of_no_bytes_are_refused(shape: Shape) -> None:
    """INV-3: also if there is no payload."""
    assert status(shape.large_send(P, 0)) == "mss_zero"
    assert status(shape.large_send(b"", 0)) == "mss_zero"


def test_payload_must_not_exceed_the_limits() -> None:
    """INV-4, LIM-1."""
    for shape in (S44, NVGRE_UDP):
        most = shape.large_send(bytes(262_143), 9600)
        assert status(most) == "ok"
        assert status(dataclasses.replace(most, frame=most.frame + b"\0")) == "payload_too_long"
        assert (
            status(shape.large_send(P, 100), dataclasses.replace(ON, max_offload_ipv4_bytes=249))
            == "payload_too_long"
        )
        assert status(shape.large_send(P, 100), dataclasses.replace(ON, max_offload_ipv6_bytes=249)) == "ok"


def test_segment_must_fit_its_length_fields() -> None:
    """T-32, INV-8."""
    request = S44.large_send(bytes(70_000), 65_536)
    assert status(request, ON, Build(max_mss=1 << 20)) == "segment_too_long"


def test_segment_must_fit_the_store() -> None:
    """Issue: MSS over the build's store, however little payload there is."""
    assert status(S44.large_send(P, 9600)) == "ok"
    assert status(S44.large_send(P, 9601)) == "mss_over_store"
    assert status(S44.large_send(P, 0xFFFFF)) == "mss_over_store"


# 22 and 23


@pytest.mark.parametrize("shape", [PLAIN, PLAIN6, PLAIN_UDP, S44, V6V6, NVGRE_UDP], ids=str)
def test_ip_length_must_span_the_transport_header_and_stay_in_the_packet(shape: Shape) -> None:
    """TXC-14."""
    request = shape.sum_up(P)
    counted_from = shape.inner_ip + (0 if shape.version == 4 else 40)
    field = shape.inner_ip + (2 if shape.version == 4 else 4)
    least, most = shape.header_bytes - counted_from, len(request.frame) - counted_from
    for length in (0, least - 1, most + 1, 0xFFFF):
        assert status(patched(request, (field, length.to_bytes(2, "big")))) == "length_inconsistent"
    assert status(patched(request, (field, most.to_bytes(2, "big")))) == "ok"
    if shape.transport == "tcp":
        assert status(patched(request, (field, least.to_bytes(2, "big")))) == "ok"


@pytest.mark.parametrize("shape", [PLAIN_UDP, NVGRE_UDP, Shape(outer=6, transport="udp")], ids=str)
def test_udp_length_must_span_its_header_and_stay_in_the_datagram(shape: Shape) -> None:
    """TXC-14."""
    request = shape.sum_up(P)
    field = shape.transport_start + 4
    for length in (0, 7, 259, 0xFFFF):
        assert status(patched(request, (field, length.to_bytes(2, "big")))) == "length_inconsistent"
    for length in (8, 258):
        assert status(patched(request, (field, length.to_bytes(2, "big")))) == "ok"


def test_lengths_do_not_matter_to_a_checksum_that_is_switched_off() -> None:
    """REQ-16: nothing is inserted that they would bound."""
    request = patched(PLAIN.sum_up(P), (PLAIN.outer_ip + 2, b"\xff\xff"))
    assert status(request) == "length_inconsistent"
    assert status(request, dataclasses.replace(ON, tx_udp_ipv4_checksum=False)) == "length_inconsistent"
    assert status(request, dataclasses.replace(ON, tx_tcp_ipv4_checksum=False)) == "ok"


def test_a_version_1_send_has_a_total_length_that_is_true() -> None:
    """LIM-1, X-1: at most 64 KiB with its IP header; a version 2 send says nothing of lengths."""
    for payload, version_1 in ((65_495, "ok"), (65_496, "payload_too_long")):
        assert status(PLAIN.large_send(bytes(payload), 9000)) == "ok"
        assert status(PLAIN.large_send(bytes(payload), 9000, version2=0)) == version_1


def test_words_that_contradict_each_other_do_not_need_a_packet() -> None:
    """INV-12: two segmentation words of different versions, and no EtherType to compare them with."""
    request = Request(bytes(4), lso=1 << 30 | 100, uso=1 << 31 | 100)
    assert status(request) == "version_conflict"


def test_packet_in_one_piece_must_fit_the_build() -> None:
    """Issue: a packet is stored whole before it is sent."""
    for size, expected in ((9856, "ok"), (9857, "frame_too_long")):
        assert status(Request(bytes(size))) == expected
        assert status(PLAIN.sum_up(bytes(size - PLAIN.header_bytes))) == expected


# The lowest wins -----------------------------------------------------------------------------------------


def set_version_1(request: Request) -> Request:
    return dataclasses.replace(request, lso=request.lso & ~(1 << 30))


def set_mss(request: Request, mss: int) -> Request:
    return dataclasses.replace(request, lso=request.lso & ~0xFFFFF | mss)


TROUBLES: dict[Status, Callable[[Request], Request]] = {
    Status.VERSION_CONFLICT: lambda request: dataclasses.replace(request, checksum=request.checksum ^ 3),
    Status.LSO_V1_ENCAPSULATED: set_version_1,
    Status.FRAGMENT: lambda request: patched(request, (S44.inner_ip + 6, b"\x20\x00")),
    Status.PROTOCOL_MISMATCH: lambda request: dataclasses.replace(request, uso=UdpSegmentation(mss=1).pack()),
    Status.TCP_DATA_OFFSET: lambda request: patched(request, (S44.transport_start + 12, b"\x40")),
    Status.TCP_FLAGS: lambda request: patched(request, (S44.transport_start + 13, b"\x02")),
    Status.OFFSETS_DISAGREE: lambda request: dataclasses.replace(
        request, supplemental=request.supplemental ^ 4
    ),
    Status.MSS_ZERO: lambda request: set_mss(request, 0),
}


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(TROUBLES, 2)), ids=str)
def test_lowest_reason_is_reported(first: Status, second: Status) -> None:
    request = S44.large_send(P, 100)
    config = dataclasses.replace(ON, lso_ipv4=False)
    for trouble in (first, second):
        assert status(TROUBLES[trouble](request)) == trouble.name.lower()
    worse = TROUBLES[second](TROUBLES[first](request))
    assert status(worse) == first.name.lower()
    assert status(worse, config) == Status(min(first, Status.LSO_DISABLED)).name.lower()


def test_every_reason_has_its_published_number() -> None:
    names = """
        ok buffer_mismatch version_conflict lso_v1_encapsulated header_truncated ip_header tunnel_unsupported
        gre_options tunnel_disabled fragment extension_unsupported protocol_mismatch tcp_data_offset tcp_flags
        offsets_disagree header_too_long lso_disabled uso_disabled mss_zero payload_too_long segment_too_long
        mss_over_store length_inconsistent frame_too_long
    """
    assert [status.name.lower() for status in sorted(Status)] == names.split()
    assert [status.value for status in sorted(Status)] == list(range(len(Status)))


def test_large_send_word_alone_is_enough() -> None:
    """REQ-2, CON-4: the checksum slot may be empty."""
    for shape in (PLAIN, S44):
        request = shape.large_send(P, 100)
        assert send(dataclasses.replace(request, checksum=0), ON) == send(request, ON)
    assert LargeSend.unpack(request.lso).version2 == 1
