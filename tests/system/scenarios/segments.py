"""Scenarios of what is cut into segments."""

import dataclasses
import itertools
from collections.abc import Iterator

from offramp_sim.model import Request

from tests.model.shapes import ON, S44, Shape, ramp
from tests.system.cases import (
    KINDS,
    NVGRE_UDP,
    PLAIN,
    PLAIN6,
    TUNNELS,
    V6V6,
    VERSIONS,
    VXLAN,
    Case,
    P,
    changed,
    cut,
    scenario,
    summed,
)


@scenario
def published_large_send_matches_byte_for_byte() -> Iterator[Case]:
    """T-01."""
    yield cut(dataclasses.replace(S44, flags=0xD9), P, 100, seed=0x835A)


@scenario
def length_fields_and_ip_checksums_of_a_template_do_not_matter() -> Iterator[Case]:
    """T-02, LSO-2, TXC-4."""
    for shape in KINDS:
        dirty = shape.template(P, seed=shape.seed(0), length_field=0xBEEF, ip_checksum=0xDEAD)
        yield changed(cut(shape, P, 100), frame=dirty)


@scenario
def absolute_offsets_of_an_encapsulated_packet_do_not_matter() -> Iterator[Case]:
    """T-03, REQ-7."""
    for shape in KINDS:
        if shape.tunnel:
            whole, word = cut(shape, P, 100), "uso" if shape.transport == "udp" else "lso"
            garbage = {word: getattr(whole.request, word) ^ 0x1550_0000}
            yield changed(whole, checksum=whole.request.checksum | 0x03FF_0000, **garbage)
            done = summed(shape, P)
            yield changed(done, checksum=done.request.checksum | 0x0155_0000)


@scenario
def payload_of_whole_segments_has_no_empty_tail() -> Iterator[Case]:
    """T-04, LSO-11."""
    for count in (1, 2, 3, 8):
        yield cut(S44, ramp(100 * count), 100)


@scenario
def tail_of_one_byte_is_a_segment_of_its_own() -> Iterator[Case]:
    """T-05, LSO-10, HDR-2."""
    for shape in KINDS:
        yield cut(shape, ramp(201), 100)


@scenario
def seed_includes_the_length_only_without_segmentation() -> Iterator[Case]:
    """T-06, TXC-2, LSO-5, USO-7."""
    for shape in KINDS:
        length = shape.header_bytes - shape.transport_start + 77
        yield cut(shape, ramp(77), 100, seed=shape.seed(0))
        yield summed(shape, ramp(77), seed=shape.seed(length))


@scenario
def outer_and_inner_version_are_independent() -> Iterator[Case]:
    """T-07, REQ-8, REQ-9."""
    for tunnel, (outer, inner) in itertools.product(TUNNELS, VERSIONS):
        for transport in ("tcp", "udp"):
            shape = Shape(tunnel=tunnel, outer=outer, inner=inner, transport=transport)
            yield cut(shape, P, 100)
            yield summed(shape, P)


@scenario
def wrong_hints_are_only_counted() -> Iterator[Case]:
    """T-08, INV-13, INV-14, SG-3."""
    for outer, inner in VERSIONS:
        shape = Shape(tunnel="nvgre", outer=outer, inner=inner, tcp_options=True)
        yield cut(shape, P, 100)
        yield cut(shape, P, 100, inner_ipv6=int(inner == 4))
        yield cut(shape, P, 100, tcp_options=0)
        whole = cut(shape, P, 100)
        size = len(whole.request.frame)
        yield changed(whole, buffers=(shape.inner_frame, size - shape.inner_frame))
        yield changed(whole, buffers=(shape.inner_frame - 1, size - shape.inner_frame + 1))


@scenario
def timestamp_is_copied_and_options_do_not_reduce_the_mss() -> Iterator[Case]:
    """T-09, HDR-20, LSO-13."""
    for shape in (PLAIN, PLAIN6, S44, V6V6, VXLAN):
        yield cut(dataclasses.replace(shape, tcp_options=True), P, 100)


@scenario
def ipv4_options_in_both_headers_are_copied_and_summed() -> Iterator[Case]:
    """T-10, HDR-10, HDR-11, LIM-7."""
    for tunnel, transport in itertools.product(TUNNELS, ("tcp", "udp")):
        for outer, inner in ((("options",), ()), ((), ("options",)), (("options",), ("options",))):
            shape = Shape(tunnel=tunnel, transport=transport, outer_extras=outer, inner_extras=inner)
            yield cut(shape, P, 100)
            yield summed(shape, P)


@scenario
def buffer_boundaries_do_not_matter() -> Iterator[Case]:
    """T-11, SG-2, SG-4: one anywhere, also inside a field, or a buffer for every byte behind the headers."""
    for shape in (S44, dataclasses.replace(V6V6, tcp_options=True)):
        whole = cut(shape, ramp(130), 100)
        size = len(whole.request.frame)
        for first in range(1, size):
            yield changed(whole, buffers=(first, size - first))
        yield changed(whole, buffers=(shape.inner_frame, *(1 for _ in range(size - shape.inner_frame))))
        yield changed(whole, buffers=(1,) * size)
    done = summed(NVGRE_UDP, ramp(90))
    size = len(done.request.frame)
    for first in range(1, size):
        yield changed(done, buffers=(first, size - first))


@scenario
def odd_segments_do_not_shift_what_follows() -> Iterator[Case]:
    """T-12, CS-1."""
    for shape, mss in itertools.product(KINDS, (1, 7, 33, 99, 101)):
        yield cut(shape, ramp(5 * mss), mss)


@scenario
def single_segment_keeps_every_flag() -> Iterator[Case]:
    """T-13, HDR-22, INV-5, INV-7."""
    for shape in (PLAIN, S44, V6V6, VXLAN):
        for size in (0, 1, 99, 100):
            yield cut(dataclasses.replace(shape, flags=0xD9), ramp(size), 100)


@scenario
def flags_go_where_they_belong() -> Iterator[Case]:
    """HDR-15..18: CWR first, FIN and PSH last, ECE and ACK everywhere."""
    for flags in (0xD9, 0x80, 0x09, 0x11, 0x40, 0x00):
        yield cut(dataclasses.replace(S44, flags=flags), ramp(400), 100)


@scenario
def long_payloads_do_not_wrap_any_counter() -> Iterator[Case]:
    """T-14, LIM-1, HDR-13."""
    yield cut(dataclasses.replace(S44, inner=6), ramp(70_000), 1460)
    yield cut(dataclasses.replace(S44, sequence=0xFFFF_0000), ramp(70_000), 9_600)


@scenario
def identifications_wrap_where_they_should() -> Iterator[Case]:
    """HDR-6, HDR-7, HDR-8, T-25, USO-6."""
    for transport, wrap in itertools.product(("tcp", "udp"), (15, 16)):
        config = dataclasses.replace(ON, id_wrap=wrap)
        for outer, inner in ((0x7FFE, 0xFFFE), (0xFFFE, 0x7FFE), (0, 0x8000)):
            shape = dataclasses.replace(S44, transport=transport, outer_id=outer, inner_id=inner)
            yield cut(shape, ramp(400), 100, config)


@scenario
def lengths_around_every_beat_boundary_are_right() -> Iterator[Case]:
    """Section 16: frames, headers and packets that end in every lane."""
    for size in range(140):
        yield cut(S44, ramp(size), 1000)
    for mss in range(1, 134):
        yield cut(PLAIN, ramp(2 * mss + 1), mss)
    for size in range(1, 200):
        yield Case(Request(ramp(size)), frames=(ramp(size),))
