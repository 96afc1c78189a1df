"""What becomes of a large send, one property a test; the traps of specification section 16 are named T-nn."""

import dataclasses
import zlib

import pytest
from offramp_sim.model import Request, send
from offramp_sim.model.checksum import ones_sum
from offramp_sim.model.words import LargeSend

from .sends import EVERY_KIND, MIXED, frames, large_send
from .shapes import ON, S44, Shape, get, ramp

# Published numbers -------------------------------------------------------------------------------------


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


# What the template says and does not say ---------------------------------------------------------------


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


# Splitting ---------------------------------------------------------------------------------------------


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


# Completions -------------------------------------------------------------------------------------------


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


# Buffers that do not add up ----------------------------------------------------------------------------


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
