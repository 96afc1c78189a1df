"""Properties that hold for any request, however random or broken."""

import dataclasses
import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offramp_sim.model import Build, Config, Outcome, Request, Status, send
from offramp_sim.model.headers import Protocol, find
from offramp_sim.stimulus import random_config, requests

from .shapes import ON, Shape, get, ramp

SMALL = Build(max_mss=64, max_header_bytes=128, max_payload_bytes=500)
STATUSES = {status.name.lower() for status in Status}

seeds = st.integers(0, 2**32 - 1)
words = st.one_of(st.just(0), st.integers(0, 0xFFFF_FFFF))
slots = dict.fromkeys(("supplemental", "checksum", "lso", "uso", "vlan"), words)


def random_request(seed: int) -> tuple[Request, Config]:
    """Return a request of any kind."""
    ((request, config),) = requests(random.Random(seed), 1, max_payload=1500)
    return request, config


def check(request: Request, outcome: Outcome, build: Build) -> None:
    """Check what must be true of any outcome."""
    completion = outcome.completion
    assert completion.status in STATUSES
    assert completion.tag == request.tag
    assert completion.segments == len(outcome.frames)
    if completion.status not in ("ok", "buffer_mismatch"):
        assert outcome.frames == ()
    if completion.status == "ok":
        assert len(outcome.frames) >= 1
    if not (request.lso or request.uso):
        assert completion.segments == (completion.status == "ok")
        assert completion.payload_bytes == 0
    else:
        assert completion.payload_bytes <= build.max_payload_bytes
        mss = (request.lso or request.uso) & 0xFFFFF
        longest = build.max_header_bytes + min(mss, build.max_mss) + 4
        assert all(len(frame) <= longest for frame in outcome.frames)
    match request.lso >> 30 & 1, request.lso:
        case _, 0:
            assert completion.lso_completion == 0
        case 1, _:
            assert completion.lso_completion == 0x4000_0000
        case _:
            assert completion.lso_completion == completion.payload_bytes


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_any_request_has_a_sane_outcome(seed: int) -> None:
    request, config = random_request(seed)
    for build in (Build(), SMALL):
        check(request, send(request, config, build), build)


@settings(max_examples=300, deadline=None)
@given(seeds, st.binary(max_size=120), st.fixed_dictionaries(slots), st.integers(0, 200) | st.none())
def test_garbage_has_a_sane_outcome(
    seed: int, frame: bytes, words: dict[str, int], length: int | None
) -> None:
    request = Request(frame, length=length, **words)
    check(request, send(request, random_config(random.Random(seed))), Build())


@settings(max_examples=200, deadline=None)
@given(seeds, st.data())
def test_broken_headers_have_a_sane_outcome(seed: int, data: st.DataObject) -> None:
    request, config = random_request(seed)
    frame = bytearray(request.frame[: data.draw(st.integers(0, len(request.frame)))])
    if frame:
        for _ in range(data.draw(st.integers(0, 4))):
            frame[data.draw(st.integers(0, min(len(frame), 140) - 1))] = data.draw(st.integers(0, 255))
    broken = dataclasses.replace(request, frame=bytes(frame), buffers=None)
    check(broken, send(broken, config), Build())


@settings(max_examples=200, deadline=None)
@given(seeds, st.data())
def test_buffers_change_nothing(seed: int, data: st.DataObject) -> None:
    """SG-2, SG-4."""
    request, config = random_request(seed)
    size = len(request.frame)
    cuts = data.draw(st.sets(st.integers(1, max(size - 1, 1)), max_size=6))
    bounds = [0, *sorted(cut for cut in cuts if cut < size), size]
    buffers = tuple(end - start for start, end in itertools.pairwise(bounds)) if size else ()
    scattered = dataclasses.replace(request, buffers=buffers)
    one, other = send(request, config), send(scattered, config)
    assert (one.frames, one.completion) == (other.frames, other.completion)


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_payload_comes_out_in_order_and_whole(seed: int) -> None:
    """LSO-10, LSO-12: header blocks apart, the segments are the packet again."""
    request, config = random_request(seed)
    outcome = send(request, config)
    if outcome.completion.status == "ok" and (request.lso or request.uso):
        tag = 4 if request.vlan & 0xFFFF else 0
        payload = outcome.completion.payload_bytes
        headers = len(request.frame) - payload
        parts = [frame[headers + tag :] for frame in outcome.frames]
        assert b"".join(parts) == request.frame[headers:]
        mss = (request.lso or request.uso) & 0xFFFFF
        assert all(len(part) == mss for part in parts[:-1])
        assert 1 <= len(parts[-1]) <= mss or payload == 0
        for frame in outcome.frames:  # HDR-1
            assert frame[:12] == request.frame[:12]


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_only_checksums_change_without_segmentation(seed: int) -> None:
    """TXC-13."""
    request, config = random_request(seed)
    outcome = send(dataclasses.replace(request, vlan=0, lso=0, uso=0), config)
    if outcome.completion.status == "ok":
        (frame,) = outcome.frames
        assert len(frame) == len(request.frame)
        changed = [
            n // 2 for n, (old, new) in enumerate(zip(request.frame, frame, strict=True)) if old != new
        ]
        assert len(set(changed)) <= 3


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_finished_checksums_stay_right_when_only_ip_checksums_are_asked_for(seed: int) -> None:
    """TXC-6: to compute one again changes nothing."""
    request, config = random_request(seed)
    request = dataclasses.replace(
        request, vlan=0, lso=0, uso=0, checksum=request.checksum & ~0xC, length=None
    )
    once = send(request, config)
    if once.completion.status == "ok":
        (frame,) = once.frames
        again = send(dataclasses.replace(request, frame=frame), config)
        assert again.frames == once.frames


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([Shape(tunnel="nvgre"), Shape(tunnel="vxlan", transport="udp"), Shape(outer=6)]),
    st.binary(max_size=90),
    st.integers(1, 40),
)
def test_every_segment_is_what_it_would_be_alone(shape: Shape, payload: bytes, mss: int) -> None:
    """HDR-1..22: a segment cut out beforehand, with its own template fields, is sent the same."""
    outcome = send(shape.large_send(payload, mss), ON)
    for index, frame in enumerate(outcome.frames):
        part = payload[index * mss : (index + 1) * mss]
        alone = bytearray(shape.template(part, seed=shape.seed(0)))
        for start, version in {shape.outer_ip: shape.outer, shape.inner_ip: shape.version}.items():
            if version == 4:
                alone[start + 4 : start + 6] = frame[start + 4 : start + 6]
        if shape.transport == "tcp":
            start = shape.transport_start
            alone[start + 4 : start + 8] = frame[start + 4 : start + 8]
            alone[start + 13] = frame[start + 13]
        request = dataclasses.replace(shape.large_send(part, mss), frame=bytes(alone))
        assert send(request, ON).frames == (frame,)


def test_search_finds_headers_only_as_far_as_they_go() -> None:
    """RXP-4: nothing is found behind the place where the search had to stop."""
    shape = Shape(tunnel="vxlan", outer=6, outer_extras=("hop",), inner=4, tags=(0x8100,))
    frame = shape.build(ramp(10))
    every = frozenset({Protocol.TCP, Protocol.UDP})
    found = find(frame, encapsulated=True, vxlan_port=4789, transports=every)
    assert found.fault is None
    assert found.end == shape.header_bytes
    assert found.tunnel
    assert found.tunnel.end == shape.inner_frame
    assert found.innermost is found.inner
    for size in range(shape.header_bytes):
        part = find(frame[:size], encapsulated=True, vxlan_port=4789, transports=every)
        assert part.fault is Status.HEADER_TRUNCATED
        assert part.end > size
    outside = find(frame, encapsulated=False, vxlan_port=4789, transports=every)
    assert outside.transport
    assert outside.transport.protocol == Protocol.UDP
    assert get(frame, outside.transport.start + 2) == 4789


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("buffers", {"buffers": (30, 31)}),
        ("buffers", {"buffers": (60, 0)}),
        ("supplemental", {"supplemental": 1 << 32}),
        ("lso", {"lso": -1}),
        ("tag", {"tag": 1 << 16}),
        ("stated_length", {"length": 1 << 32}),
    ],
)
def test_words_that_do_not_fit_are_no_request(name: str, words: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=name):
        Request(bytes(60), **words)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("encapsulation", {"encapsulation": frozenset({"geneve"})}),
        ("vxlan_port", {"vxlan_port": 1 << 16}),
        ("max_offload_ipv4_bytes", {"max_offload_ipv4_bytes": 1 << 18}),
        ("id_wrap", {"id_wrap": 14}),
    ],
)
def test_settings_that_do_not_fit_are_no_configuration(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=name):
        Config(**settings)
