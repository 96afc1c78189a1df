"""Scapy as an outside judge: it builds every frame that should come out, byte by byte."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offramp_sim.model import Outcome, send

from .shapes import ON, Shape, ramp

VERSIONS = (4, 6)
EXTRAS = {4: ("options",), 6: ("hop", "routing", "destination")}


def some_shapes() -> list[Shape]:
    """Return every pair of versions in every tunnel, bare and with all that can be added."""
    shapes = []
    for tunnel, transport in itertools.product(["", "nvgre", "vxlan"], ["tcp", "udp"]):
        for outer, inner in itertools.product(VERSIONS, VERSIONS if tunnel else (4,)):
            bare = Shape(outer=outer, tunnel=tunnel, inner=inner, transport=transport, flags=0xD9)
            shapes.append(bare)
            shapes.append(
                Shape(
                    outer=outer,
                    tunnel=tunnel,
                    inner=inner,
                    transport=transport,
                    flags=0x18,
                    tags=(0x88A8, 0x8100),
                    inner_tag=bool(tunnel),
                    outer_extras=EXTRAS[outer] if not tunnel or outer == 4 else ("hop", "destination"),
                    inner_extras=EXTRAS[inner]
                    if tunnel and inner == 4
                    else ("destination",)
                    if tunnel
                    else (),
                    tcp_options=True,
                )
            )
    return shapes


def shape_strategy() -> st.SearchStrategy[Shape]:
    """Return shapes that fit a header block of 256 bytes."""

    def extras(version: int) -> st.SearchStrategy[tuple[str, ...]]:
        if version == 4:
            return st.sampled_from([(), ("options",)])
        return st.lists(st.sampled_from(EXTRAS[6]), unique=True, max_size=2).map(tuple)

    def shape(versions: tuple[int, int]) -> st.SearchStrategy[Shape]:
        outer, inner = versions
        return st.builds(
            Shape,
            outer=st.just(outer),
            inner=st.just(inner),
            tunnel=st.sampled_from(["", "nvgre", "vxlan"]),
            transport=st.sampled_from(["tcp", "udp"]),
            tags=st.lists(st.sampled_from([0x8100, 0x88A8]), max_size=2).map(tuple),
            inner_tag=st.booleans(),
            outer_extras=extras(outer),
            inner_extras=extras(inner),
            tcp_options=st.booleans(),
            flags=st.sampled_from([0x10, 0x18, 0x19, 0xD9, 0x40]),
            sequence=st.integers(0, 0xFFFF_FFFF),
            outer_id=st.integers(0, 0xFFFF),
            inner_id=st.integers(0, 0xFFFF),
        )

    versions = st.tuples(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))
    return versions.flatmap(shape).filter(lambda shape: shape.header_bytes <= 256)


def id_bits(shape: Shape) -> int:
    """Return in how many bits identifications count (HDR-8, USO-6)."""
    return 15 if shape.transport == "tcp" else 16


def ok(outcome: Outcome) -> list[bytes]:
    """Return the frames of a request that was served."""
    assert outcome.completion.status == "ok"
    assert outcome.completion.segments == len(outcome.frames)
    return list(outcome.frames)


@pytest.mark.parametrize("shape", some_shapes(), ids=str)
def test_large_send_becomes_the_frames_that_scapy_builds(shape: Shape) -> None:
    payload = random.Random(1).randbytes(2 * 107 + 30)
    outcome = send(shape.large_send(payload, 107), ON)
    assert ok(outcome) == shape.segments(payload, 107, id_bits=id_bits(shape))
    assert outcome.completion.payload_bytes == len(payload)


@pytest.mark.parametrize("shape", some_shapes(), ids=str)
def test_checksums_become_the_ones_that_scapy_computes(shape: Shape) -> None:
    payload = random.Random(2).randbytes(123)
    outcome = send(shape.sum_up(payload), ON)
    assert ok(outcome) == [shape.build(payload)]
    assert outcome.completion.payload_bytes == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_vxlan_over_ipv6_has_the_udp_checksum_that_scapy_computes(version: int) -> None:
    """VX-5."""
    template = Shape(outer=6, tunnel="vxlan", inner=version, outer_extras=("hop",), vxlan_checksum=0xBEEF)
    computed = Shape(outer=6, tunnel="vxlan", inner=version, outer_extras=("hop",), vxlan_checksum=None)
    payload = ramp(301)
    assert ok(send(template.large_send(payload, 100), ON)) == computed.segments(payload, 100)


@settings(max_examples=120, deadline=None)
@given(shape=shape_strategy(), payload=st.binary(max_size=400), mss=st.integers(1, 450))
def test_any_large_send_becomes_the_frames_that_scapy_builds(shape: Shape, payload: bytes, mss: int) -> None:
    mss = max(mss, len(payload) // 6)
    mss = max(mss, 1)
    expected = shape.segments(payload, mss, id_bits=id_bits(shape))
    assert ok(send(shape.large_send(payload, mss), ON)) == expected


@settings(max_examples=120, deadline=None)
@given(shape=shape_strategy(), payload=st.binary(max_size=200), padding=st.binary(max_size=20))
def test_any_checksums_become_the_ones_that_scapy_computes(
    shape: Shape, payload: bytes, padding: bytes
) -> None:
    request = shape.sum_up(payload)
    padded = type(request)(
        request.frame + padding, supplemental=request.supplemental, checksum=request.checksum
    )
    assert ok(send(padded, ON)) == [shape.build(payload) + padding]
