"""Scenarios of what headers have in them, and how long they may be."""

import dataclasses
import itertools
from collections.abc import Iterator

from offramp_sim.model import Build, Request
from offramp_sim.model.words import Vlan

from tests.model.shapes import ON, S44, Shape, ramp
from tests.system.cases import (
    BUILD,
    KINDS,
    NVGRE_UDP,
    PLAIN,
    PLAIN6,
    PLAIN_UDP,
    TUNNELS,
    V6V6,
    VERSIONS,
    VXLAN,
    Case,
    P,
    changed,
    cut,
    refused,
    scenario,
    stretched,
    summed,
)


@scenario
def seed_is_trusted_under_a_routing_header() -> Iterator[Case]:
    """T-22, LSO-5: the destination field is only the next waypoint."""
    for shape in (
        Shape(outer=6, outer_extras=("routing",)),
        Shape(outer=6, tunnel="nvgre", inner=6, inner_extras=("routing",)),
        Shape(outer=6, transport="udp", outer_extras=("routing",)),
    ):
        yield cut(shape, P, 100)
        yield summed(shape, P)
        yield Case(shape.large_send(P, 100, seed=0x1234))


@scenario
def extension_headers_are_copied_and_counted() -> Iterator[Case]:
    """T-23, X6-2, HDR-3, HDR-5."""
    for place, tunnel in itertools.product(("outer_extras", "inner_extras"), TUNNELS):
        for extras in (("hop",), ("routing",), ("destination",), ("hop", "destination")):
            bare = Shape(tunnel=tunnel, outer=6, inner=6)
            shape = dataclasses.replace(bare, **{place: extras})
            yield cut(shape, P, 100)
            yield summed(shape, P)


@scenario
def vxlan_port_changes_at_run_time() -> Iterator[Case]:
    """T-24, CFG-5, VX-4."""
    for port in (4789, 8472, 1, 0xFFFF):
        shape = Shape(tunnel="vxlan", vxlan_port=port)
        yield cut(shape, P, 100, dataclasses.replace(ON, vxlan_port=port))
        yield refused(
            shape.large_send(P, 100), "tunnel_unsupported", dataclasses.replace(ON, vxlan_port=port ^ 0x100)
        )


@scenario
def outer_udp_checksum_is_sent_only_where_it_was_wanted() -> Iterator[Case]:
    """T-24, VX-5."""
    for inner, extras in itertools.product((4, 6), ((), ("hop", "destination"), ("routing",))):
        shape = Shape(tunnel="vxlan", outer=6, inner=inner, outer_extras=extras)
        for size in (50, 250):
            yield cut(shape, ramp(size), 100)
            wanted = dataclasses.replace(shape, vxlan_checksum=0xBEEF)
            if "routing" in extras:  # only by the model: the sum would be over the wrong address
                yield Case(wanted.large_send(ramp(size), 100))
            else:
                right = dataclasses.replace(shape, vxlan_checksum=None)
                frames = tuple(right.segments(ramp(size), 100))
                yield Case(wanted.large_send(ramp(size), 100), frames=frames)
    for inner in (4, 6):
        dropped = Shape(tunnel="vxlan", outer=4, inner=inner, vxlan_checksum=0xBEEF)
        plain = dataclasses.replace(dropped, vxlan_checksum=0)
        yield Case(dropped.large_send(P, 100), frames=tuple(plain.segments(P, 100)))
        yield summed(dropped, P)


@scenario
def udp_segmentation_differs_from_large_send() -> Iterator[Case]:
    """T-25, USO-5, USO-6, USO-9: lengths of their own, 16-bit identifications, zero checksums respected."""
    for tunnel, (outer, inner) in itertools.product(("", *TUNNELS), VERSIONS):
        shape = Shape(
            tunnel=tunnel, outer=outer, inner=inner, transport="udp", outer_id=0xFFFE, inner_id=0x7FFF
        )
        yield cut(shape, ramp(401), 100)
        yield Case(shape.large_send(P, 100, seed=0))


@scenario
def out_of_band_tag_is_on_every_frame() -> Iterator[Case]:
    """T-29, SG-8: in front of the tags that are there."""
    vlan = Vlan(priority=5, canonical=1, identifier=0x123).pack()
    for kind in KINDS:
        shape = dataclasses.replace(kind, tags=(0x8100,))
        plain = Case(Request(shape.build(b"")), frames=(shape.build(b""),))
        for case in (cut(shape, P, 100), summed(shape, ramp(31)), plain):
            assert case.frames is not None
            frames = tuple(frame[:12] + bytes.fromhex("8100b123") + frame[12:] for frame in case.frames)
            yield dataclasses.replace(changed(case, vlan=vlan), frames=frames)


@scenario
def tags_are_parsed_and_copied() -> Iterator[Case]:
    """T-31, WIRE-7, TXC-16: up to two outside and one inside."""
    for kind, inner_tag in itertools.product(KINDS, (False, True)):
        for tags in ((), (0x8100,), (0x88A8,), (0x88A8, 0x8100)):
            shape = dataclasses.replace(kind, tags=tags, inner_tag=inner_tag and bool(kind.tunnel))
            yield cut(shape, ramp(150), 100)


@scenario
def segment_that_no_length_field_can_tell_is_refused() -> Iterator[Case]:
    """T-32, INV-8: before the MSS is held against the store (the lowest reason is reported)."""
    for shape in (S44, V6V6, PLAIN, PLAIN_UDP):
        most = 0xFFFF - (shape.header_bytes - shape.outer_ip) + (40 if shape.outer == 6 else 0)
        yield refused(shape.large_send(bytes(most + 1), 0xFFFFF), "segment_too_long")
        yield refused(shape.large_send(bytes(most), 0xFFFFF), "mss_over_store")
        yield refused(shape.large_send(P, 0xFFFFF), "mss_over_store")
        yield cut(shape, P, 100)


@scenario
def offsets_that_disagree_are_refused() -> Iterator[Case]:
    """T-33, INV-1, INV-2: but only if they are valid."""
    for shape in (S44, V6V6, VXLAN, NVGRE_UDP):
        for name, right in (
            ("inner_frame_offset", shape.inner_frame),
            ("inner_ip_offset", shape.inner_ip - shape.inner_frame),
            ("inner_transport_offset", shape.transport_start - shape.inner_ip),
        ):
            for wrong in (0, right - 2, right + 2):
                yield refused(shape.large_send(P, 100, **{name: wrong}), "offsets_disagree")
            yield cut(shape, P, 100, offsets_valid=0, **{name: 0})
    for shape in (PLAIN, PLAIN6, PLAIN_UDP):
        name = "udp_header_offset" if shape.transport == "udp" else "tcp_header_offset"
        for wrong in (0, shape.transport_start - 1, 0x3FF):
            yield refused(shape.large_send(P, 100, **{name: wrong}), "offsets_disagree")
        yield cut(shape, P, 100)
    for shape in (S44, V6V6):  # what is behind the inner header is not asked for, and is cut off
        right = shape.transport_start - shape.inner_ip
        for offset, status in ((right, "ok"), (right + 2, "offsets_disagree")):
            request = shape.sum_up(P, tcp=0, udp=1)
            word = shape.supplemental(inner_transport_offset=offset)
            part = request.frame[: shape.transport_start + 5]
            yield Case(dataclasses.replace(request, frame=part, supplemental=word), status=status)


@scenario
def header_block_of_exactly_the_limit_works() -> Iterator[Case]:
    """T-34, LIM-8, INV-11: 256 bytes, and not the next that headers can have."""
    for shape in (V6V6, Shape(tunnel="vxlan", outer=6, inner=6)):
        yield Case(stretched(shape, BUILD.max_header_bytes))
        yield refused(stretched(shape, BUILD.max_header_bytes + 8), "header_too_long")
    tagged = dataclasses.replace(V6V6, tcp_options=True, tags=(0x8100,))
    yield Case(stretched(tagged, BUILD.max_header_bytes))
    yield refused(stretched(tagged, BUILD.max_header_bytes + 8), "header_too_long")
    yield Case(stretched(PLAIN6, 250))
    yield refused(stretched(PLAIN6, 258), "header_too_long")


@scenario
def payload_limit_is_of_the_innermost_version() -> Iterator[Case]:
    """T-35, INV-4, CFG-11."""
    for shape in (Shape(tunnel="nvgre", outer=6, inner=4), PLAIN):
        for limit in (250, 249):
            config = dataclasses.replace(ON, max_offload_ipv4_bytes=limit, max_offload_ipv6_bytes=1)
            if limit == len(P):
                yield cut(shape, P, 100, config)
            else:
                yield refused(shape.large_send(P, 100), "payload_too_long", config)


@scenario
def store_holds_its_longest_segment_and_no_more() -> Iterator[Case]:
    """Issue: MSS up to the store's depth; a packet in one piece up to that and a header block."""
    yield from store_boundary(BUILD)


def store_boundary(build: Build) -> Iterator[Case]:
    """Yield requests about as long as the store of ``build`` holds."""
    longest, packet = build.max_mss, build.max_mss + build.max_header_bytes
    for mss in (longest - 1, longest):
        for size in (mss - 1, mss, mss + 1, 2 * mss, 3 * mss + 1):
            yield cut(S44, ramp(size), mss)
    yield refused(S44.large_send(P, longest + 1), "mss_over_store")
    yield cut(PLAIN6, ramp(longest), longest)
    for size in (packet - 65, packet - 64, packet - 9, packet - 8, packet - 1, packet):
        yield Case(Request(ramp(size)), frames=(ramp(size),))
        yield summed(S44, ramp(size - S44.header_bytes))
    yield refused(Request(ramp(packet + 1)), "frame_too_long")
    yield refused(S44.sum_up(ramp(packet + 1 - S44.header_bytes)), "frame_too_long")
