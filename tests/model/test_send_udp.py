"""UDP around what is sent and UDP that is segmented, one property a test; traps are named T-nn."""

import dataclasses

import pytest
from offramp_sim.model import send
from offramp_sim.model.checksum import ones_sum

from .sends import frames, large_send
from .shapes import ON, Shape, get, patched, ramp

# VXLAN -------------------------------------------------------------------------------------------------


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


# UDP segmentation --------------------------------------------------------------------------------------


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
