"""Scenarios of packets that stay whole."""

import dataclasses
import itertools
from collections.abc import Iterator

from offramp_sim.model import Request, send

from tests.model.shapes import NO_ORDERS, ON, S44, Shape, get, patched, put, ramp
from tests.system.cases import (
    KINDS,
    NVGRE_UDP,
    PLAIN,
    PLAIN6,
    PLAIN_UDP,
    TUNNELS,
    VERSIONS,
    Case,
    P,
    changed,
    cut,
    refused,
    scenario,
    summed,
)


@scenario
def icmp_inside_a_tunnel_gets_ip_checksums_only() -> Iterator[Case]:
    """T-17, REQ-10."""
    for tunnel, (outer, inner) in itertools.product(TUNNELS, VERSIONS):
        yield summed(Shape(tunnel=tunnel, outer=outer, inner=inner, transport="icmp"), ramp(56))


@scenario
def tunnels_that_are_not_announced_pass_unchanged() -> Iterator[Case]:
    """T-20, OOB-1: announced ones that are none of ours are refused (INV-16)."""
    gre = S44.offsets()[2]
    for header in ("20000800", "00006558", "20010000", "3000880b", "30006558"):
        frame = patched(Request(S44.build(P)), (gre, bytes.fromhex(header))).frame
        yield Case(Request(frame), frames=(frame,))
        asked = S44.checksum(tcp=1, udp=1)
        yield Case(Request(frame, checksum=asked), frames=(frame,))
        yield refused(
            Request(frame, supplemental=S44.supplemental(), checksum=asked),
            "gre_options" if header == "30006558" else "tunnel_unsupported",
        )


@scenario
def udp_checksum_of_zero_is_sent_as_all_ones_and_tcp_checksum_as_zero() -> Iterator[Case]:
    """T-21, TXC-9, CS-4, USO-10."""
    for tunnel, transport in itertools.product(("", *TUNNELS), ("tcp", "udp")):
        shape = Shape(tunnel=tunnel, transport=transport)
        blank = bytes(2) + ramp(50)
        field = shape.checksum_offset
        (frame,) = send(shape.sum_up(blank), ON).frames
        payload = frame[field : field + 2] + ramp(50)
        expected = bytearray(shape.build(payload))
        put(expected, field, 0xFFFF if transport == "udp" else 0)
        for case in (summed(shape, payload), cut(shape, payload, 100)):
            assert case.frames is not None
            assert get(case.frames[0], field) in (0, 0xFFFF)  # scapy does not always know which
            yield dataclasses.replace(case, frames=(bytes(expected),))


@scenario
def udp_seed_of_zero_means_no_checksum() -> Iterator[Case]:
    """TXC-10, T-25, USO-9: without segmentation the length field is not looked at either."""
    for tunnel, outer in itertools.product(("", *TUNNELS), (4, 6)):
        shape = Shape(transport="udp", tunnel=tunnel, outer=outer, inner=outer)
        yield Case(patched(shape.sum_up(ramp(31), seed=0), (shape.transport_start + 4, b"\xff\xff")))
        yield Case(shape.large_send(P, 100, seed=0))


@scenario
def sums_carry_as_often_as_they_must() -> Iterator[Case]:
    """Section 16, arithmetic traps: every carry count, addresses of all ones, sums of 0x0000 and 0xFFFF."""
    for octet in (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF):
        request = patched(S44.large_send(bytes([octet]) * 250, 100), (S44.outer_ip + 12, bytes([octet] * 8)))
        yield Case(patched(request, (S44.inner_ip + 12, bytes([octet] * 8))))
        for seed in (0x0000, 0x0001, 0xFFFE, 0xFFFF):
            yield Case(S44.large_send(bytes([octet]) * 250, 99, seed=seed))
            yield Case(NVGRE_UDP.sum_up(bytes([octet]) * 251, seed=seed))


@scenario
def checksums_cover_what_the_lengths_say_and_not_the_trailer() -> Iterator[Case]:
    """T-19, TXC-14."""
    for shape in KINDS:
        done = summed(shape, ramp(31))
        for trailer in (b"\xa5", b"\xa5" * 7, b"\xff" * 64):
            yield dataclasses.replace(
                changed(done, frame=done.request.frame + trailer), frames=(shape.build(ramp(31)) + trailer,)
            )


@scenario
def each_flag_asks_for_its_own_checksum() -> Iterator[Case]:
    """TXC-1, TXC-6, TXC-7, INV-15."""
    for shape in (PLAIN, PLAIN_UDP, PLAIN6, S44, NVGRE_UDP):
        for tcp, udp, ip_header in itertools.product((0, 1), repeat=3):
            yield Case(shape.sum_up(ramp(31), tcp=tcp, udp=udp, ip_header=ip_header))


@scenario
def packet_without_orders_is_not_changed() -> Iterator[Case]:
    """T-30, REQ-5, OOB-10: whatever it looks like."""
    broken = S44.sum_up(ramp(31)).frame
    for words in NO_ORDERS:
        for frame in (broken, b"x", bytes(13), broken[:40]):
            yield Case(Request(frame, **words), frames=(frame,))
