"""What every core must do, at any width, in any simulator and however its ports stall: a property a function.

A scenario yields requests, back to back, and says of each what scapy, or the specification, makes of it.
Where it says nothing, the reference model decides alone. Names tell the property, docstrings the rules; the
traps of specification section 16 are named T-nn. Nothing here knows how the core is driven.
"""

import dataclasses
import functools
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

from offramp_sim.core import Job
from offramp_sim.model import Build, Config, Request, send
from offramp_sim.model.words import Checksum, UdpSegmentation, Vlan

from tests.model.shapes import ON, S44, Shape, get, patched, put, ramp

BUILD = Build()
P = ramp(250)

PLAIN = Shape()
PLAIN6 = Shape(outer=6)
PLAIN_UDP = Shape(transport="udp")
V6V6 = Shape(tunnel="nvgre", outer=6, inner=6)
VXLAN = Shape(tunnel="vxlan")
NVGRE_UDP = Shape(tunnel="nvgre", transport="udp")

EXTRAS = {4: ("options",), 6: ("hop", "routing", "destination")}
VERSIONS = list(itertools.product((4, 6), repeat=2))
TUNNELS = ("nvgre", "vxlan")
KINDS = [
    *(
        Shape(tunnel=tunnel, transport=transport, outer=outer, inner=inner)
        for tunnel, transport in itertools.product(TUNNELS, ("tcp", "udp"))
        for outer, inner in VERSIONS
    ),
    *(Shape(transport=transport, outer=outer) for transport in ("tcp", "udp") for outer in (4, 6)),
]


@dataclasses.dataclass(frozen=True)
class Case:
    """A request and what is known of its end.

    Parameters
    ----------
    request : Request
    config : Config
    status : str
        How it must end.
    frames : tuple of bytes, optional
        The frames that must come out, if somebody else than the model knows them.
    """

    request: Request
    config: Config = ON
    status: str = "ok"
    frames: tuple[bytes, ...] | None = None


SCENARIOS: dict[str, Callable[[], tuple[Case, ...]]] = {}
"""All scenarios, by name."""


def scenario(make: Callable[[], Iterator[Case]]) -> Callable[[], tuple[Case, ...]]:
    """Register a scenario; its requests are made when they are first needed."""

    @functools.cache
    @functools.wraps(make)
    def cases() -> tuple[Case, ...]:
        return tuple(make())

    SCENARIOS[make.__name__] = cases
    return cases


def numbered(cases: "tuple[Case, ...] | list[Case]", first: int = 0) -> list[Job]:
    """Return ``cases`` as jobs with tags that count."""
    return [
        Job(dataclasses.replace(case.request, tag=(first + number) & 0xFFFF), case.config)
        for number, case in enumerate(cases)
    ]


def cut(shape: Shape, payload: bytes, mss: int, config: Config = ON, **changes: int) -> Case:
    """Return a large send, with the frames that scapy builds."""
    bits = config.id_wrap if shape.transport == "tcp" else 16
    frames = shape.segments(payload, mss, id_bits=bits)
    return Case(shape.large_send(payload, mss, **changes), config, frames=tuple(frames))


def summed(shape: Shape, payload: bytes, config: Config = ON, **changes: int) -> Case:
    """Return a request for all checksums, with the frame that scapy builds."""
    return Case(shape.sum_up(payload, **changes), config, frames=(shape.build(payload),))


def changed(case: Case, **changes: Any) -> Case:
    """Return ``case`` with another request that must have the same frames."""
    return dataclasses.replace(case, request=dataclasses.replace(case.request, **changes))


def refused(request: Request, status: str, config: Config = ON) -> Case:
    """Return a request that nothing comes of."""
    return Case(request, config, status, frames=())


def stretched(shape: Shape, header_bytes: int, **words: int) -> Request:
    """Return a large send whose outer IPv6 header has destination options up to ``header_bytes`` in all."""
    size = header_bytes - shape.header_bytes
    request = shape.large_send(P, 100, **words)
    frame = bytearray(request.frame)
    start = shape.outer_ip
    body = bytes([frame[start + 6], size // 8 - 1, 1, size - 4]) + bytes(size - 4)
    frame[start + 6] = 60
    frame[start + 40 : start + 40] = body
    changes = {"supplemental": request.supplemental & ~2, "lso": request.lso}
    if not shape.tunnel:
        changes = {"lso": request.lso + (size << 20)}
    return dataclasses.replace(request, frame=bytes(frame), **changes)


# Splitting -----------------------------------------------------------------------------------------------


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


# Completions ---------------------------------------------------------------------------------------------


@scenario
def request_after_a_refused_one_works() -> Iterator[Case]:
    """T-15, CMP-1, CMP-2: the completion words are the model's to check."""
    for shape in (S44, PLAIN, PLAIN6):
        yield cut(shape, P, 100)
        yield refused(shape.large_send(P, 0), "mss_zero")
        yield cut(shape, P, 100)
    yield cut(PLAIN, P, 100, version2=0)
    yield refused(PLAIN.large_send(P, 0, version2=0), "mss_zero")
    yield cut(PLAIN, P, 100, version2=0)


@scenario
def large_sends_are_switched_off_by_innermost_version() -> Iterator[Case]:
    """T-16, INV-9, REQ-16, USO-12."""
    for outer, version in VERSIONS:
        for transport in ("tcp", "udp"):
            word = "lso" if transport == "tcp" else "uso"
            config = dataclasses.replace(ON, **{f"{word}_ipv{version}": False})
            shape = Shape(tunnel="nvgre", outer=outer, inner=version, transport=transport)
            yield refused(shape.large_send(P, 100), f"{word}_disabled", config)
            yield summed(shape, P, config)
            other = dataclasses.replace(shape, inner=10 - version)
            yield cut(other, P, 100, config)


@scenario
def every_reason_to_refuse_is_told_and_nothing_is_sent() -> Iterator[Case]:
    """Section 6: each status once, and the next request works."""
    udp, ip, gre, tcp = PLAIN_UDP.sum_up(P), S44.inner_ip, S44.offsets()[2], S44.transport_start
    lso, sums, plain = S44.large_send(P, 100), S44.sum_up(P), PLAIN.large_send(P, 100)
    both = {"lso": lso.lso, "uso": UdpSegmentation(mss=1).pack()}
    lso_v1 = S44.large_send(P, 100, version2=0)
    long = dataclasses.replace(lso, length=S44.header_bytes + BUILD.max_payload_bytes + 1)
    encapsulated = dataclasses.replace(plain, supplemental=S44.supplemental(offsets_valid=0))
    no_lso = dataclasses.replace(ON, lso_ipv4=False)
    no_uso = dataclasses.replace(ON, uso_ipv4=False)
    for case in (
        refused(dataclasses.replace(sums, length=len(sums.frame) + 1), "buffer_mismatch"),
        refused(Request(sums.frame, length=len(sums.frame) - 1), "buffer_mismatch"),
        refused(dataclasses.replace(lso, checksum=lso.checksum ^ 3), "version_conflict"),
        refused(lso_v1, "lso_v1_encapsulated"),
        refused(dataclasses.replace(lso, frame=lso.frame[: S44.header_bytes - 1]), "header_truncated"),
        refused(Request(b""), "header_truncated"),
        refused(patched(lso, (ip, b"\x65")), "ip_header"),
        refused(encapsulated, "tunnel_unsupported"),
        refused(patched(lso, (gre, b"\x30")), "gre_options"),
        refused(lso, "tunnel_disabled", Config(encapsulation=frozenset({"vxlan"}))),
        refused(patched(lso, (ip + 6, b"\x20\x00")), "fragment"),
        refused(patched(lso, (ip + 9, b"\x32")), "extension_unsupported"),
        refused(dataclasses.replace(lso, **both), "protocol_mismatch"),
        refused(patched(lso, (tcp + 12, b"\x40")), "tcp_data_offset"),
        refused(patched(lso, (tcp + 13, b"\x02")), "tcp_flags"),
        refused(dataclasses.replace(lso, supplemental=lso.supplemental ^ 4), "offsets_disagree"),
        refused(stretched(PLAIN6, 258), "header_too_long"),
        refused(lso, "lso_disabled", no_lso),
        refused(NVGRE_UDP.large_send(P, 100), "uso_disabled", no_uso),
        refused(S44.large_send(P, 0), "mss_zero"),
        refused(long, "payload_too_long"),
        refused(S44.large_send(bytes(66_000), 66_000), "segment_too_long"),
        refused(S44.large_send(P, BUILD.max_mss + 1), "mss_over_store"),
        refused(patched(udp, (PLAIN_UDP.transport_start + 4, b"\0\7")), "length_inconsistent"),
        refused(Request(bytes(BUILD.max_mss + BUILD.max_header_bytes + 1)), "frame_too_long"),
    ):
        yield case
        yield cut(S44, P, 100)


@scenario
def header_that_runs_past_the_packets_end_is_refused() -> Iterator[Case]:
    """Section 6: wherever the packet ends, and only hints about headers that are whole are counted."""
    options = Shape(tunnel="nvgre", inner_extras=("options",), tcp_options=True)
    for shape in (options, VXLAN, dataclasses.replace(V6V6, inner_extras=("hop",)), PLAIN6, PLAIN_UDP):
        hints = {"inner_ipv6": int(shape.inner == 4), "tcp_options": 0} if shape.tunnel else {}
        whole = dataclasses.replace(shape.large_send(b"", 100, **hints), checksum=0)
        for size in range(1, shape.header_bytes):
            yield refused(dataclasses.replace(whole, frame=whole.frame[:size]), "header_truncated")
        yield Case(whole, frames=tuple(shape.segments(b"", 100)))


@scenario
def words_that_contradict_each_other_are_refused_whatever_the_packet() -> Iterator[Case]:
    """INV-12, OOB-16: also where the packet ends in front of the EtherType that would decide."""
    for shape in (PLAIN, PLAIN6, PLAIN_UDP, S44):
        right = shape.large_send(b"", 100)
        wrong = dataclasses.replace(right, checksum=right.checksum ^ 3)
        for size in (1, 13, 14, shape.header_bytes - 1):
            conflict = not shape.tunnel or size >= 14
            cut_off = dataclasses.replace(wrong, frame=wrong.frame[:size])
            yield refused(cut_off, "version_conflict" if conflict else "header_truncated")
            yield refused(dataclasses.replace(right, frame=right.frame[:size]), "header_truncated")


@scenario
def buffers_that_end_inside_the_headers_are_a_mismatch() -> Iterator[Case]:
    """Section 6: whatever is on the bus behind their last byte, or if there are none at all."""
    for shape in (S44, dataclasses.replace(V6V6, tcp_options=True), VXLAN):
        whole = shape.large_send(P, 100)
        for size in range(0, shape.header_bytes, 3):
            missing = dataclasses.replace(whole, frame=whole.frame[:size], length=len(whole.frame))
            yield refused(missing, "buffer_mismatch")
    yield refused(Request(b"", length=1), "buffer_mismatch")
    yield refused(Request(b"", length=1 << 31, checksum=3), "buffer_mismatch")
    yield cut(S44, P, 100)


@scenario
def segments_in_front_of_a_miscount_are_sent_and_counted() -> Iterator[Case]:
    """A segment goes as soon as its payload is there; the last waits for the end of the request."""
    whole = S44.large_send(ramp(350), 100)
    for present in (349, 300, 299, 100, 99, 0):
        short = whole.frame[: S44.header_bytes + present]
        yield Case(dataclasses.replace(whole, frame=short, length=len(whole.frame)), status="buffer_mismatch")
        yield cut(S44, P, 100)
    for size in (350, 400, 100, 0):
        exact = S44.large_send(ramp(size), 100)
        longer = dataclasses.replace(exact, frame=exact.frame + bytes(200), length=len(exact.frame))
        yield Case(longer, status="buffer_mismatch")
        yield cut(S44, P, 100)


# Checksums without segmentation --------------------------------------------------------------------------


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
    for words in (
        {},
        {"supplemental": S44.supplemental()},
        {"checksum": Checksum(tcp=1, udp=1, ip_header=1).pack()},
        {"checksum": Checksum(ipv4=1).pack()},
        {"checksum": Checksum(ipv6=1, tcp_header_offset=99).pack()},
        {"supplemental": S44.supplemental(), "checksum": Checksum(tcp=1).pack()},
    ):
        for frame in (broken, b"x", bytes(13), broken[:40]):
            yield Case(Request(frame, **words), frames=(frame,))


# Headers -------------------------------------------------------------------------------------------------


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


# At random ----------------------------------------------------------------------------------------------


def random_extras(rng: random.Random, version: int) -> tuple[str, ...]:
    """Return options, or up to two extension headers."""
    if rng.random() < 0.5:
        return ()
    return tuple(rng.sample(EXTRAS[version], rng.randint(1, min(2, len(EXTRAS[version])))))


def random_case(rng: random.Random) -> Case:
    """Return a request whose frames scapy builds."""
    outer, inner = rng.choice([4, 6]), rng.choice([4, 6])
    tunnel = rng.choice(["", "nvgre", "vxlan"])
    shape = Shape(
        outer=outer,
        inner=inner,
        tunnel=tunnel,
        transport=rng.choice(["tcp", "tcp", "udp"]),
        tags=tuple(rng.choice([0x8100, 0x88A8]) for _ in range(rng.choice([0, 0, 1, 2]))),
        inner_tag=bool(tunnel) and rng.random() < 0.3,
        outer_extras=random_extras(rng, outer),
        inner_extras=random_extras(rng, inner) if tunnel else (),
        tcp_options=rng.random() < 0.5,
        flags=rng.choice([0x10, 0x18, 0x19, 0xD9, 0x40]),
        sequence=rng.getrandbits(32),
        outer_id=rng.getrandbits(16),
        inner_id=rng.getrandbits(16),
    )
    if shape.header_bytes > 256:
        return random_case(rng)
    if rng.random() < 0.3:
        return summed(shape, rng.randbytes(rng.randint(0, 1500)))
    mss = rng.choice([rng.randint(1, 100), 536, 1460, rng.randint(1, 4000)])
    config = dataclasses.replace(ON, id_wrap=rng.choice([15, 15, 16]))
    return cut(shape, rng.randbytes(rng.randint(0, 12 * mss)), mss, config)


def back_to_back(rng: random.Random, count: int, most_bytes: int = 2_000) -> list[Case]:
    """T-36: return ``count`` cases of all scenarios under one configuration, in any order."""
    pool = [
        case
        for make in SCENARIOS.values()
        for case in make()
        if case.config == ON and len(case.request.frame) <= most_bytes
    ]
    return rng.sample(pool, count)
