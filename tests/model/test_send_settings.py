"""What is configured, tagged or limited on the send path, one property a test; traps are named T-nn."""

import dataclasses

import pytest
from offramp_sim.model import Build, Config, Request, send
from offramp_sim.model.words import Supplemental, Vlan

from .sends import EVERY_KIND, frames, large_send
from .shapes import NO_ORDERS, ON, S44, Shape, get, put, ramp


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
    for words in NO_ORDERS:
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
