"""What becomes of a packet that stays whole, one property a test; traps are named T-nn."""

import dataclasses
import itertools

import pytest
from offramp_sim.model import Request, send
from offramp_sim.model.checksum import ones_sum

from .sends import EVERY_KIND, frames, large_send
from .shapes import ON, S44, Shape, get, patched, put, ramp


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
