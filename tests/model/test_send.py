"""What becomes of a send, one property a test; the traps of specification section 16 are named T-nn."""

import dataclasses
import itertools
import zlib

import pytest
from offramp_sim.model import Build, Config, Outcome, Request, send
from offramp_sim.model.checksum import ones_sum
from offramp_sim.model.words import Checksum, LargeSend, Supplemental, Vlan

from .shapes import ON, S44, Shape, get, patched, put, ramp

MIXED = [Shape(tunnel="nvgre", outer=outer, inner=inner) for outer in (4, 6) for inner in (4, 6)]
EVERY_KIND = [
    Shape(tunnel=tunnel, transport=transport, outer=outer, inner=inner)
    for tunnel, transport in itertools.product(["nvgre", "vxlan"], ["tcp", "udp"])
    for outer, inner in ((4, 4), (6, 6))
] + [Shape(transport=transport, outer=outer) for transport in ("tcp", "udp") for outer in (4, 6)]


def frames(outcome: Outcome) -> list[bytes]:
    """Return the frames of a request that was served."""
    assert outcome.completion.status == "ok"
    assert outcome.completion.segments == len(outcome.frames)
    return list(outcome.frames)


def large_send(shape: Shape, payload: bytes, mss: int, config: Config = ON, **changes: int) -> list[bytes]:
    """Return the frames of a large send."""
    return frames(send(shape.large_send(payload, mss, **changes), config))


# Published numbers ---------------------------------------------------------------------------------------


def columns(shape: Shape, frame: bytes) -> str:
    """Return what the table of T-01 shows of a frame."""
    outer, inner, tcp = shape.outer_ip, shape.inner_ip, shape.transport_start
    return " ".join(
        [
            f"{len(frame)} {get(frame, outer + 2)} {get(frame, outer + 4):04x} {get(frame, outer + 10):04x}",
            f"{get(frame, inner + 2)} {get(frame, inner + 4):04x} {get(frame, inner + 10):04x}",
            f"{frame[tcp + 4 : tcp + 8].hex()} {get(frame, tcp + 12) & 0xFFF:03x} {get(frame, tcp + 16):04x}",
            f"{zlib.crc32(frame):08x}",
        ]
    )


def test_published_large_send_matches_byte_for_byte() -> None:
    """T-01."""
    shape = dataclasses.replace(S44, flags=0xD9)
    assert [columns(shape, frame) for frame in large_send(shape, ramp(250), 100, seed=0x835A)] == [
        "196 182 7ffe a618 140 1234 64e4 ffffff80 0d0 1ff0 604835e9",
        "196 182 7fff a617 140 1235 64e3 ffffffe4 050 8470 a6b89154",
        "146 132 0000 2649 90 1236 6514 00000048 059 c590 63d4a605",
    ]


def test_published_seeds_are_sums_of_the_pseudo_header_without_length() -> None:
    """LSO-5, section 16: the shapes that judge the model agree with the specification about seeds."""
    assert Shape(tunnel="nvgre", inner=4).seed(0) == 0x835A
    assert Shape(tunnel="nvgre", inner=6).seed(0) == 0xFA0A


def test_payload_of_whole_segments_has_no_empty_tail() -> None:
    """T-04, LSO-11."""
    checksums = [get(frame, S44.checksum_offset) for frame in large_send(S44, ramp(200), 100)]
    assert checksums == [0x20B0, 0x84A7]


def test_tail_of_one_byte_is_a_segment_of_its_own() -> None:
    """T-05, LSO-10, HDR-2."""
    sent = large_send(S44, ramp(201), 100)
    assert [len(frame) - S44.header_bytes for frame in sent] == [100, 100, 1]
    assert [get(frame, S44.outer_ip + 2) for frame in sent] == [182, 182, 83]
    assert [get(frame, S44.inner_ip + 2) for frame in sent] == [140, 140, 41]


# What the template says and does not say -----------------------------------------------------------------


@pytest.mark.parametrize("shape", EVERY_KIND, ids=str)
def test_length_fields_and_ip_checksums_of_a_template_do_not_matter(shape: Shape) -> None:
    """T-02, LSO-2, TXC-4."""
    clean = shape.large_send(ramp(250), 100)
    dirty = shape.template(ramp(250), seed=shape.seed(0), length_field=0xBEEF, ip_checksum=0xDEAD)
    assert send(dataclasses.replace(clean, frame=dirty), ON) == send(clean, ON)


@pytest.mark.parametrize("shape", [shape for shape in EVERY_KIND if shape.tunnel], ids=str)
def test_absolute_offsets_of_an_encapsulated_packet_do_not_matter(shape: Shape) -> None:
    """T-03, REQ-7."""
    word = "uso" if shape.transport == "udp" else "lso"
    request = shape.large_send(ramp(250), 100)
    garbage = dataclasses.replace(
        request,
        checksum=request.checksum | 0x03FF_0000,
        **{word: getattr(request, word) ^ 0x1550_0000},
    )
    assert send(garbage, ON) == send(request, ON)
    summed = shape.sum_up(ramp(250))
    assert send(dataclasses.replace(summed, checksum=summed.checksum | 0x0155_0000), ON) == send(summed, ON)


def test_seed_includes_the_length_only_without_segmentation() -> None:
    """T-06, TXC-2, LSO-5, USO-7: one frame, asked for both ways, comes out the same."""
    for transport in ("tcp", "udp"):
        shape = Shape(tunnel="nvgre", transport=transport)
        payload = ramp(77)
        length = shape.header_bytes - shape.transport_start + len(payload)
        assert shape.seed(length) != shape.seed(0)
        cut = send(shape.large_send(payload, 100, seed=shape.seed(0)), ON)
        summed = send(shape.sum_up(payload, seed=shape.seed(length)), ON)
        assert frames(cut) == frames(summed)


@pytest.mark.parametrize("shape", MIXED, ids=str)
def test_outer_and_inner_version_are_independent(shape: Shape) -> None:
    """T-07, REQ-8, REQ-9."""
    assert large_send(shape, ramp(250), 100) == shape.segments(ramp(250), 100)


@pytest.mark.parametrize("shape", MIXED, ids=str)
def test_wrong_inner_version_hint_is_only_counted(shape: Shape) -> None:
    """T-08, INV-13."""
    right = send(shape.large_send(ramp(250), 100), ON)
    wrong = send(shape.large_send(ramp(250), 100, inner_ipv6=int(shape.inner == 4)), ON)
    assert not right.inner_version_hint
    assert wrong.inner_version_hint
    assert wrong.frames == right.frames


def test_missing_tcp_options_hint_is_only_counted() -> None:
    """INV-14."""
    shape = dataclasses.replace(S44, tcp_options=True)
    right = send(shape.large_send(ramp(250), 100), ON)
    wrong = send(shape.large_send(ramp(250), 100, tcp_options=0), ON)
    assert not right.tcp_options_hint
    assert wrong.tcp_options_hint
    assert wrong.frames == right.frames
    assert not send(S44.large_send(ramp(250), 100, tcp_options=1), ON).tcp_options_hint


def test_timestamp_is_copied_and_options_do_not_reduce_the_mss() -> None:
    """T-09, HDR-20, LSO-13."""
    shape = dataclasses.replace(S44, tcp_options=True)
    sent = large_send(shape, ramp(250), 100)
    assert [len(frame) - shape.header_bytes for frame in sent] == [100, 100, 50]
    options = slice(shape.transport_start + 20, shape.header_bytes)
    assert {frame[options] for frame in sent} == {shape.build(b"")[options]}


@pytest.mark.parametrize("tunnel", ["nvgre", "vxlan"])
def test_ipv4_options_in_both_headers_are_copied_and_summed(tunnel: str) -> None:
    """T-10, HDR-10, HDR-11, LIM-7."""
    shape = Shape(tunnel=tunnel, outer_extras=("options",), inner_extras=("options",))
    sent = large_send(shape, ramp(250), 100)
    assert sent == shape.segments(ramp(250), 100)
    for frame in sent:
        assert ones_sum(frame[shape.outer_ip : shape.outer_ip + 28]) == 0xFFFF
        assert ones_sum(frame[shape.inner_ip : shape.inner_ip + 28]) == 0xFFFF


def test_buffer_boundaries_do_not_matter() -> None:
    """T-11, SG-2, SG-4: cut anywhere, once or byte by byte."""
    request = S44.large_send(ramp(130), 100)
    size = len(request.frame)
    expected = frames(send(request, ON))
    for cut in range(1, size):
        assert list(send(dataclasses.replace(request, buffers=(cut, size - cut)), ON).frames) == expected
    scattered = (S44.inner_frame, *(1 for _ in range(size - S44.inner_frame)))
    assert list(send(dataclasses.replace(request, buffers=scattered), ON).frames) == expected


@pytest.mark.parametrize("tunnel", ["nvgre", "vxlan"])
def test_encapsulation_headers_outside_the_first_buffer_are_only_counted(tunnel: str) -> None:
    """SG-3."""
    shape = Shape(tunnel=tunnel)
    request = shape.large_send(ramp(130), 100)
    size, promised = len(request.frame), shape.inner_frame
    kept = send(dataclasses.replace(request, buffers=(promised, size - promised)), ON)
    broken = send(dataclasses.replace(request, buffers=(promised - 1, size - promised + 1)), ON)
    assert not kept.split_encapsulation
    assert broken.split_encapsulation
    assert broken.frames == kept.frames


# Splitting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", EVERY_KIND, ids=str)
@pytest.mark.parametrize("mss", [1, 7, 33, 99, 101])
def test_odd_segments_do_not_shift_what_follows(shape: Shape, mss: int) -> None:
    """T-12, CS-1."""
    bits = 15 if shape.transport == "tcp" else 16
    assert large_send(shape, ramp(5 * mss), mss) == shape.segments(ramp(5 * mss), mss, id_bits=bits)


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_single_segment_keeps_every_flag(size: int) -> None:
    """T-13, HDR-22, INV-5, INV-7."""
    shape = dataclasses.replace(S44, flags=0xD9)
    (frame,) = large_send(shape, ramp(size), 100)
    assert frame == shape.build(ramp(size))
    assert frame[shape.transport_start + 13] == 0xD9


def test_flags_go_where_they_belong() -> None:
    """HDR-15..18: CWR first, FIN and PSH last, ECE and ACK everywhere."""
    shape = dataclasses.replace(S44, flags=0xD9)
    flags = [frame[shape.transport_start + 13] for frame in large_send(shape, ramp(400), 100)]
    assert flags == [0xD0, 0x50, 0x50, 0x59]


@pytest.mark.parametrize(("size", "mss"), [(70_000, 1460), (262_143, 9600), (262_143, 60), (3000, 1)])
def test_long_payloads_do_not_wrap_any_counter(size: int, mss: int) -> None:
    """T-14, LIM-1, HDR-13."""
    shape = dataclasses.replace(S44, inner=6)
    payload = ramp(size)
    outcome = send(shape.large_send(payload, mss), ON)
    assert b"".join(frame[shape.header_bytes :] for frame in frames(outcome)) == payload
    assert outcome.completion.payload_bytes == size
    assert outcome.completion.segments == -(-size // mss)
    last = outcome.frames[-1]
    sequence = int.from_bytes(last[shape.transport_start + 4 : shape.transport_start + 8], "big")
    assert sequence == (shape.sequence + (size - 1) // mss * mss) % (1 << 32)


def test_ids_of_a_large_send_wrap_at_fifteen_bits() -> None:
    """HDR-6, HDR-7, HDR-8."""
    shape = dataclasses.replace(S44, outer_id=0x7FFE, inner_id=0xFFFE)
    sent = large_send(shape, ramp(400), 100)
    assert [get(frame, shape.outer_ip + 4) for frame in sent] == [0x7FFE, 0x7FFF, 0x0000, 0x0001]
    assert [get(frame, shape.inner_ip + 4) for frame in sent] == [0xFFFE, 0xFFFF, 0x8000, 0x8001]


def test_ids_of_a_large_send_wrap_at_sixteen_bits_when_configured() -> None:
    """HDR-8."""
    shape = dataclasses.replace(S44, outer_id=0x7FFE, inner_id=0xFFFE)
    sent = large_send(shape, ramp(400), 100, dataclasses.replace(ON, id_wrap=16))
    assert [get(frame, shape.outer_ip + 4) for frame in sent] == [0x7FFE, 0x7FFF, 0x8000, 0x8001]
    assert [get(frame, shape.inner_ip + 4) for frame in sent] == [0xFFFE, 0xFFFF, 0x0000, 0x0001]


# Completions ---------------------------------------------------------------------------------------------


def test_completion_word_of_version_2_is_constant() -> None:
    """T-15, CMP-1: even when refused, and with the IPVersion bit cleared."""
    for shape in (S44, Shape(outer=6)):
        assert send(shape.large_send(ramp(250), 100), ON).completion.lso_completion == 0x4000_0000
        assert send(shape.large_send(ramp(250), 0), ON).completion.lso_completion == 0x4000_0000


def test_completion_word_of_version_1_counts_payload() -> None:
    """T-15, CMP-2, X-1."""
    outcome = send(Shape().large_send(ramp(250), 100, version2=0), ON)
    assert frames(outcome) == Shape().segments(ramp(250), 100)
    assert outcome.completion.lso_completion == 250
    refused = send(Shape().large_send(ramp(250), 0, version2=0), ON)
    assert refused.completion.status == "mss_zero"
    assert refused.completion.lso_completion == 0


def test_completion_word_without_large_send_is_zero() -> None:
    """CMP-1: USO and plain packets have no large-send word to give back."""
    for request in (Shape(transport="udp").large_send(ramp(250), 100), S44.sum_up(ramp(20))):
        outcome = send(request, ON)
        assert outcome.completion.status == "ok"
        assert outcome.completion.lso_completion == 0


def test_tag_comes_back() -> None:
    """CMP-4."""
    for request in (S44.large_send(ramp(250), 100), S44.large_send(ramp(250), 0), Request(bytes(60))):
        assert send(dataclasses.replace(request, tag=0xABCD), ON).completion.tag == 0xABCD


# Checksums without segmentation --------------------------------------------------------------------------


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("tunnel", ["nvgre", "vxlan"])
def test_icmp_inside_a_tunnel_gets_ip_checksums_only(outer: int, inner: int, tunnel: str) -> None:
    """T-17, REQ-10."""
    shape = Shape(outer=outer, inner=inner, tunnel=tunnel, transport="icmp")
    assert frames(send(shape.sum_up(ramp(56)), ON)) == [shape.build(ramp(56))]


def test_frame_that_is_no_ip_inside_a_tunnel_gets_the_outer_checksum_only() -> None:
    """RXT-16 by analogy."""
    whole = S44.build(ramp(20))
    arp = whole[: S44.inner_ip - 2] + b"\x08\x06" + bytes(28)
    request = Request(arp, supplemental=S44.supplemental(), checksum=S44.checksum(tcp=1))
    (frame,) = frames(send(request, ON))
    assert (
        frame[: S44.outer_ip + 10] + frame[S44.outer_ip + 12 :]
        == arp[: S44.outer_ip + 10] + arp[S44.outer_ip + 12 :]
    )
    assert ones_sum(frame[S44.outer_ip : S44.outer_ip + 20]) == 0xFFFF


@pytest.mark.parametrize("inner", [4, 6])
def test_inner_fragment_gets_ip_checksums_only(inner: int) -> None:
    """TXC-11: what is behind a fragment header is not read on, and has no offset that could be wrong."""
    shape = Shape(tunnel="nvgre", inner=inner, transport="udp")
    request = shape.sum_up(ramp(40))
    if inner == 4:
        request = patched(request, (shape.inner_ip + 6, b"\x20\x00"))
    else:
        more = b"\x3c\0\0\x01" + bytes(4) + b"\x11\xff"  # more extension headers than the packet is long
        request = patched(request, (shape.inner_ip + 6, b"\x2c"), (shape.transport_start, more))
    request = dataclasses.replace(request, supplemental=shape.supplemental(inner_transport_offset=99))
    (frame,) = frames(send(request, ON))
    assert frame[shape.transport_start :] == request.frame[shape.transport_start :]
    assert ones_sum(frame[shape.outer_ip : shape.outer_ip + 20]) == 0xFFFF
    if inner == 4:
        assert ones_sum(frame[shape.inner_ip : shape.inner_ip + 20]) == 0xFFFF


@pytest.mark.parametrize("shape", [S44, Shape(tunnel="vxlan", transport="udp")], ids=str)
def test_nothing_inside_an_outer_fragment_is_looked_at(shape: Shape) -> None:
    """TXC-11: what follows the first fragment's header cannot be trusted to be a tunnel."""
    request = shape.sum_up(ramp(40))
    request = patched(request, (shape.outer_ip + 6, b"\x20\x01"), (shape.outer_ip + 20, bytes(30)))
    (frame,) = frames(send(request, ON))
    assert frame[shape.outer_ip + 20 :] == request.frame[shape.outer_ip + 20 :]
    assert ones_sum(frame[shape.outer_ip : shape.outer_ip + 20]) == 0xFFFF


def test_each_flag_asks_for_its_own_checksum() -> None:
    """TXC-1, TXC-7."""
    shape = Shape(transport="udp")
    payload = ramp(31)
    done, asked = shape.build(payload), shape.sum_up(payload).frame
    ip, udp = shape.outer_ip + 10, shape.checksum_offset
    for tcp, udp_flag, ip_header in itertools.product((0, 1), repeat=3):
        (frame,) = frames(send(shape.sum_up(payload, tcp=tcp, udp=udp_flag, ip_header=ip_header), ON))
        expected = bytearray(asked)
        if ip_header:
            expected[ip : ip + 2] = done[ip : ip + 2]
        if udp_flag:  # INV-15: the TCP flag says nothing about UDP
            expected[udp : udp + 2] = done[udp : udp + 2]
        assert frame == expected


def test_encapsulated_ip_checksums_need_no_flag() -> None:
    """TXC-6: an inner one under an outer IPv6 header neither, but the transport checksum does."""
    for outer in (4, 6):
        shape = Shape(outer=outer, tunnel="nvgre")
        request = shape.sum_up(ramp(31), tcp=0, udp=0, ip_header=0)
        (frame,) = frames(send(request, ON))
        expected = bytearray(shape.build(ramp(31)))
        put(expected, shape.checksum_offset, get(request.frame, shape.checksum_offset))
        assert frame == expected


@pytest.mark.parametrize("shape", EVERY_KIND, ids=str)
def test_checksums_cover_what_the_lengths_say_and_not_the_trailer(shape: Shape) -> None:
    """T-19, TXC-14."""
    request = shape.sum_up(ramp(31))
    padded = dataclasses.replace(request, frame=request.frame + b"\xa5" * 7)
    assert frames(send(padded, ON)) == [shape.build(ramp(31)) + b"\xa5" * 7]


def test_udp_length_bounds_the_checksum_inside_the_ip_length() -> None:
    """TXC-14."""
    shape = Shape(transport="udp")
    payload = ramp(31)
    whole = shape.build(payload)
    request = shape.sum_up(payload)
    longer = bytearray(request.frame + b"\xa5\xa5\xa5")
    put(longer, shape.outer_ip + 2, len(longer) - shape.outer_ip)
    (frame,) = frames(send(dataclasses.replace(request, frame=bytes(longer)), ON))
    assert get(frame, shape.checksum_offset) == get(whole, shape.checksum_offset)


@pytest.mark.parametrize("tunnel", ["", "nvgre"])
def test_udp_seed_of_zero_means_no_checksum(tunnel: str) -> None:
    """TXC-10: then its length field is not looked at either."""
    shape = Shape(transport="udp", tunnel=tunnel)
    request = patched(shape.sum_up(ramp(31), seed=0), (shape.transport_start + 4, b"\xff\xff"))
    (frame,) = frames(send(request, ON))
    assert frame[shape.transport_start :] == request.frame[shape.transport_start :]


def zeroing(shape: Shape, payload: bytes, seed: int) -> bytes:
    """Return ``payload`` with its first word such that the sum is 0xFFFF."""
    payload = bytes(2) + payload[2:]
    (frame,) = frames(send(shape.sum_up(payload, seed=seed), ON))
    return frame[shape.checksum_offset : shape.checksum_offset + 2] + payload[2:]


@pytest.mark.parametrize(("transport", "sent"), [("tcp", 0x0000), ("udp", 0xFFFF)])
@pytest.mark.parametrize("tunnel", ["", "nvgre", "vxlan"])
def test_udp_checksum_of_zero_is_sent_as_all_ones_and_tcp_checksum_as_zero(
    tunnel: str, transport: str, sent: int
) -> None:
    """T-21, TXC-9, CS-4, USO-10."""
    shape = Shape(tunnel=tunnel, transport=transport)
    length = shape.header_bytes - shape.transport_start + 50
    payload = zeroing(shape, ramp(50), shape.seed(length))
    for request in (shape.sum_up(payload), shape.large_send(payload, 50)):
        (frame,) = frames(send(request, ON))
        assert get(frame, shape.checksum_offset) == sent
        assert frame[shape.header_bytes :] == payload


def test_addresses_of_all_ones_are_summed_right() -> None:
    """Section 16, arithmetic traps: every carry count."""
    for octet in (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF):
        request = patched(S44.large_send(ramp(250), 100), (S44.outer_ip + 12, bytes([octet] * 8)))
        for frame in frames(send(request, ON)):
            assert ones_sum(frame[S44.outer_ip : S44.outer_ip + 20]) == 0xFFFF


def test_seed_is_trusted_under_a_routing_header() -> None:
    """T-22, LSO-5: the destination field is only the next waypoint."""
    shape = Shape(outer=6, outer_extras=("routing",))
    sent = large_send(shape, ramp(250), 100)
    assert sent == shape.segments(ramp(250), 100)
    astray = large_send(shape, ramp(250), 100, seed=0x1234)
    assert get(astray[0], shape.checksum_offset) != get(sent[0], shape.checksum_offset)


@pytest.mark.parametrize("place", ["outer_extras", "inner_extras"])
@pytest.mark.parametrize("extra", ["hop", "routing", "destination"])
def test_extension_headers_are_copied_and_counted(place: str, extra: str) -> None:
    """T-23, X6-2, HDR-3, HDR-5."""
    shape = dataclasses.replace(Shape(tunnel="nvgre", outer=6, inner=6), **{place: (extra,)})
    bare = Shape(tunnel="nvgre", outer=6, inner=6)
    size = shape.header_bytes - bare.header_bytes
    assert size > 0
    for frame in large_send(shape, ramp(250), 100)[:2]:
        start = shape.outer_ip if place == "outer_extras" else shape.inner_ip
        assert get(frame, start + 4) == len(frame) - start - 40
        assert frame[start + 40 : start + 40 + size] == shape.build(b"")[start + 40 : start + 40 + size]


# VXLAN ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outer", [4, 6])
def test_outer_udp_length_is_each_segments_own(outer: int) -> None:
    """T-24, VX-4."""
    shape = Shape(tunnel="vxlan", outer=outer)
    udp = shape.offsets()[2]
    for frame, size in zip(large_send(shape, ramp(250), 100), (100, 100, 50), strict=True):
        assert get(frame, udp + 4) == shape.header_bytes - udp + size == len(frame) - udp


def test_vxlan_port_is_the_configured_one() -> None:
    """T-24, CFG-5."""
    for port in (4789, 8472, 1):
        shape = Shape(tunnel="vxlan", vxlan_port=port)
        request = shape.large_send(ramp(250), 100)
        config = dataclasses.replace(ON, vxlan_port=port)
        assert frames(send(request, config)) == shape.segments(ramp(250), 100)
        assert send(request, dataclasses.replace(ON, vxlan_port=2)).completion.status == "tunnel_unsupported"


@pytest.mark.parametrize(
    ("outer", "extras", "template", "kept"),
    [
        (4, (), 0x0000, False),
        (4, (), 0xBEEF, False),
        (6, (), 0x0000, False),
        (6, (), 0xBEEF, True),
        (6, ("hop", "destination"), 0xBEEF, True),
        (6, ("routing",), 0xBEEF, False),
    ],
)
def test_outer_udp_checksum_is_sent_only_where_it_was_wanted(
    outer: int, extras: tuple[str, ...], template: int, kept: bool
) -> None:
    """VX-5."""
    shape = Shape(tunnel="vxlan", outer=outer, outer_extras=extras, vxlan_checksum=template)
    for frame in large_send(shape, ramp(250), 100):
        udp = shape.offsets()[2]
        assert (get(frame, udp + 6) != 0) == kept
        if kept:
            pseudo = (
                frame[shape.outer_ip + 8 : shape.outer_ip + 40] + bytes([0, 17]) + frame[udp + 4 : udp + 6]
            )
            assert ones_sum(pseudo + frame[udp:] + bytes(len(frame[udp:]) % 2)) == 0xFFFF


def test_one_routing_header_with_segments_left_is_enough() -> None:
    """VX-5: whatever the ones behind it say."""
    shape = Shape(tunnel="vxlan", outer=6, outer_extras=("routing", "routing"), vxlan_checksum=0xBEEF)
    for edits, kept in (((0,), False), ((1,), False), ((0, 1), True)):
        finished = [(shape.outer_ip + 40 + 40 * number + 3, b"\0") for number in edits]
        (frame,) = frames(send(patched(shape.large_send(ramp(50), 100), *finished), ON))
        assert (get(frame, shape.offsets()[2] + 6) != 0) == kept


def test_finished_routing_header_does_not_hinder_the_outer_udp_checksum() -> None:
    """VX-5: without segments left the destination field is the final one."""
    shape = Shape(tunnel="vxlan", outer=6, outer_extras=("routing",), vxlan_checksum=0xBEEF)
    request = patched(shape.large_send(ramp(50), 100), (shape.outer_ip + 40 + 3, b"\0"))
    (frame,) = frames(send(request, ON))
    assert get(frame, shape.offsets()[2] + 6) != 0


def test_outer_udp_checksum_that_computes_to_zero_is_sent_as_all_ones() -> None:
    """VX-5, USO-10."""
    shape = Shape(tunnel="vxlan", outer=6, vxlan_checksum=0xBEEF)
    udp = shape.offsets()[2]
    request = patched(shape.large_send(ramp(50), 100), (udp, bytes(2)))
    (frame,) = frames(send(request, ON))
    (frame,) = frames(send(patched(request, (udp, frame[udp + 6 : udp + 8])), ON))
    assert get(frame, udp + 6) == 0xFFFF


def test_outer_udp_header_is_left_alone_without_segmentation() -> None:
    """VX-5."""
    shape = Shape(tunnel="vxlan", outer=6, vxlan_checksum=0xBEEF)
    (frame,) = frames(send(shape.sum_up(ramp(31)), ON))
    assert get(frame, shape.offsets()[2] + 6) == 0xBEEF


# UDP segmentation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tunnel", ["nvgre", "vxlan"])
def test_udp_segmentation_counts_ids_in_sixteen_bits(tunnel: str) -> None:
    """T-25, USO-6: whatever large sends are configured to do."""
    shape = Shape(tunnel=tunnel, transport="udp", outer_id=0xFFFE, inner_id=0x7FFF)
    sent = large_send(shape, ramp(400), 100)
    assert [get(frame, shape.outer_ip + 4) for frame in sent] == [0xFFFE, 0xFFFF, 0x0000, 0x0001]
    assert [get(frame, shape.inner_ip + 4) for frame in sent] == [0x7FFF, 0x8000, 0x8001, 0x8002]


def test_udp_length_is_each_datagrams_own() -> None:
    """T-25, USO-5."""
    shape = Shape(tunnel="nvgre", transport="udp")
    sent = large_send(shape, ramp(250), 100)
    assert [get(frame, shape.transport_start + 4) for frame in sent] == [108, 108, 58]


@pytest.mark.parametrize("inner", [4, 6])
def test_udp_template_without_checksum_makes_datagrams_without(inner: int) -> None:
    """T-25, USO-9: also over IPv6."""
    shape = Shape(tunnel="nvgre", inner=inner, transport="udp")
    assert {get(frame, shape.checksum_offset) for frame in large_send(shape, ramp(250), 100, seed=0)} == {0}


# Switches, tags, limits ----------------------------------------------------------------------------------


def test_encapsulation_is_off_by_default() -> None:
    """T-28, CFG-6."""
    assert send(S44.large_send(ramp(250), 100)).completion.status == "tunnel_disabled"
    assert send(S44.sum_up(ramp(250))).completion.status == "tunnel_disabled"


@pytest.mark.parametrize("kind", ["nvgre", "vxlan"])
def test_tunnel_types_are_switched_on_one_by_one(kind: str) -> None:
    """CFG-4."""
    config = Config(encapsulation=frozenset({kind}))
    for tunnel in ("nvgre", "vxlan"):
        status = "ok" if tunnel == kind else "tunnel_disabled"
        assert send(Shape(tunnel=tunnel).large_send(ramp(250), 100), config).completion.status == status


@pytest.mark.parametrize("shape", EVERY_KIND, ids=str)
def test_segments_have_checksums_whatever_checksum_offload_is_off(shape: Shape) -> None:
    """TXC-12."""
    off = {field.name: False for field in dataclasses.fields(Config) if field.name.startswith("tx_")}
    request = shape.large_send(ramp(250), 100)
    assert send(request, dataclasses.replace(ON, **off)) == send(request, ON)


@pytest.mark.parametrize("shape", EVERY_KIND, ids=str)
def test_checksum_that_is_switched_off_is_left_as_it_is(shape: Shape) -> None:
    """REQ-16: transport checksums by the innermost version, IPv4 header checksums all together."""
    request = shape.sum_up(ramp(31))
    done = bytearray(shape.build(ramp(31)))
    own = f"tx_{shape.transport}_ipv{shape.version}_checksum"
    for name in [field.name for field in dataclasses.fields(Config) if field.name.startswith("tx_")]:
        expected = bytearray(done)
        if name == own:
            put(expected, shape.checksum_offset, get(request.frame, shape.checksum_offset))
        if name == "tx_ipv4_checksum":
            for start, version in {shape.outer_ip: shape.outer, shape.inner_ip: shape.version}.items():
                if version == 4:
                    put(expected, start + 10, get(request.frame, start + 10))
        assert frames(send(request, dataclasses.replace(ON, **{name: False}))) == [expected]


@pytest.mark.parametrize("shape", EVERY_KIND, ids=str)
def test_out_of_band_tag_is_on_every_frame(shape: Shape) -> None:
    """T-29, SG-8: on the outer header, in front of the tags that are there, and counted in no limit."""
    shape = dataclasses.replace(shape, tags=(0x8100,))
    vlan = Vlan(priority=5, canonical=1, identifier=0x123).pack()
    for request in (shape.large_send(ramp(250), 100), shape.sum_up(ramp(31)), Request(shape.build(b""))):
        plain = send(request, ON)
        tagged = send(dataclasses.replace(request, vlan=vlan | 0xFFFF_0000), ON)
        expected = [frame[:12] + bytes.fromhex("8100b123") + frame[12:] for frame in frames(plain)]
        assert frames(tagged) == expected
        assert tagged.completion == plain.completion


def test_packet_without_orders_is_not_changed() -> None:
    """T-30, REQ-5, OOB-10: whatever it looks like."""
    broken = S44.sum_up(ramp(31)).frame
    for words in (
        {},
        {"supplemental": S44.supplemental()},
        {"checksum": Checksum(tcp=1, udp=1, ip_header=1).pack()},
        {"checksum": Checksum(ipv4=1).pack()},
        {"checksum": Checksum(ipv6=1, tcp_header_offset=99).pack()},
        {"supplemental": S44.supplemental(), "checksum": Checksum(tcp=1).pack()},
    ):
        for frame in (broken, b"x", bytes(13), broken[:40]):
            assert frames(send(Request(frame, **words), ON)) == [frame]


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
def test_inner_tag_is_parsed_and_copied(outer: int, inner: int) -> None:
    """T-31, WIRE-7."""
    shape = Shape(tunnel="nvgre", outer=outer, inner=inner, inner_tag=True)
    assert large_send(shape, ramp(250), 100) == shape.segments(ramp(250), 100)


@pytest.mark.parametrize("tags", [(), (0x8100,), (0x88A8,), (0x88A8, 0x8100)])
def test_outer_tags_are_parsed_and_copied(tags: tuple[int, ...]) -> None:
    """TXC-16."""
    shape = Shape(tunnel="nvgre", tags=tags)
    assert large_send(shape, ramp(250), 100) == shape.segments(ramp(250), 100)


@pytest.mark.parametrize("shape", EVERY_KIND, ids=str)
def test_longest_segment_that_its_length_field_can_tell_is_sent(shape: Shape) -> None:
    """T-32, INV-8: not a byte more."""
    counted_from = shape.outer_ip + (0 if shape.outer == 4 else 40)
    most = 0xFFFF - (shape.header_bytes - counted_from)
    build = Build(max_mss=1 << 20)
    assert len(frames(send(shape.large_send(bytes(most), most), ON, build))) == 1
    status = send(shape.large_send(bytes(most + 1), most + 1), ON, build).completion.status
    assert status == "segment_too_long"
    short = shape.large_send(bytes(100), (1 << 20) - 1)  # the MSS alone makes no long segment
    assert len(frames(send(short, ON, build))) == 1


def test_offsets_that_are_not_valid_carry_nothing() -> None:
    """INV-1, T-33."""
    request = S44.large_send(ramp(250), 100, offsets_valid=0, inner_frame_offset=1, inner_ip_offset=2)
    assert frames(send(request, ON)) == S44.segments(ramp(250), 100)


def test_valid_offset_of_something_that_is_not_tcp_is_used_too() -> None:
    """OOB-5."""
    shape = Shape(tunnel="nvgre", transport="icmp")
    request = shape.sum_up(ramp(20))
    wrong = Supplemental.unpack(request.supplemental)
    wrong = dataclasses.replace(wrong, inner_transport_offset=24)
    assert send(request, ON).completion.status == "ok"
    outcome = send(dataclasses.replace(request, supplemental=wrong.pack()), ON)
    assert outcome.completion.status == "offsets_disagree"


def test_header_block_of_exactly_the_limit_works() -> None:
    """T-34, LIM-8, INV-11."""
    shape = dataclasses.replace(S44, outer_extras=("options",), inner_extras=("options",), tcp_options=True)
    size = shape.header_bytes
    for build, status in (
        (Build(max_header_bytes=size), "ok"),
        (Build(max_header_bytes=size - 1), "header_too_long"),
    ):
        assert send(shape.large_send(ramp(250), 100), ON, build).completion.status == status
        assert send(shape.sum_up(ramp(31)), ON, build).completion.status == status
        # Without work on it the transport header is not visited, so it does not count.
        assert send(shape.sum_up(ramp(31), tcp=0), ON, build).completion.status == "ok"


def test_shrunken_limit_refuses_what_is_now_too_long() -> None:
    """T-35, INV-4, CFG-11: by the innermost version."""
    for shape in (Shape(tunnel="nvgre", outer=6, inner=4), Shape(outer=4)):
        request = shape.large_send(ramp(250), 100)
        for size, status in ((250, "ok"), (249, "payload_too_long")):
            config = dataclasses.replace(ON, max_offload_ipv4_bytes=size, max_offload_ipv6_bytes=1)
            assert send(request, config).completion.status == status


# Buffers that do not add up ------------------------------------------------------------------------------


def test_segments_in_front_of_missing_bytes_are_sent_and_counted() -> None:
    """A segment goes as soon as its payload is there; the last waits for the end of the request."""
    expected = S44.segments(ramp(350), 100)
    whole = S44.large_send(ramp(350), 100)
    headers = S44.header_bytes
    for present, sent in ((349, 3), (300, 3), (299, 2), (100, 1), (99, 0), (0, 0)):
        outcome = send(
            dataclasses.replace(whole, frame=whole.frame[: headers + present], length=len(whole.frame)), ON
        )
        assert outcome.completion.status == "buffer_mismatch"
        assert list(outcome.frames) == expected[:sent]
        assert outcome.completion.segments == sent
        assert outcome.completion.payload_bytes == 100 * sent


@pytest.mark.parametrize("size", [350, 400, 100, 0])
def test_segments_in_front_of_surplus_bytes_are_sent_and_counted(size: int) -> None:
    """The last segment never goes before the end of the request was seen to be right."""
    expected = S44.segments(ramp(size), 100)
    request = S44.large_send(ramp(size), 100)
    outcome = send(
        dataclasses.replace(request, frame=request.frame + bytes(200), length=len(request.frame)), ON
    )
    assert outcome.completion.status == "buffer_mismatch"
    assert list(outcome.frames) == expected[:-1]


def test_completion_word_of_version_1_counts_what_went_out_before_a_shortfall() -> None:
    """CMP-2."""
    request = Shape().large_send(ramp(350), 100, version2=0)
    outcome = send(dataclasses.replace(request, frame=request.frame[:-1], length=len(request.frame)), ON)
    assert outcome.completion.status == "buffer_mismatch"
    assert outcome.completion.lso_completion == 300


def test_large_send_word_of_a_single_bit_is_a_request() -> None:
    """OOB-20: any word but zero, even with an MSS of zero."""
    for word in (LargeSend(version2=1).pack(), LargeSend(mss=1).pack()):
        request = dataclasses.replace(Shape().sum_up(ramp(20)), lso=word)
        assert send(request, ON).completion.status == "offsets_disagree"
