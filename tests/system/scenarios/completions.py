"""Scenarios of how requests end, and why."""

import dataclasses
from collections.abc import Iterator

from offramp_sim.model import Config, Request
from offramp_sim.model.words import UdpSegmentation

from tests.model.shapes import ON, S44, Shape, patched, ramp
from tests.system.cases import (
    BUILD,
    NVGRE_UDP,
    PLAIN,
    PLAIN6,
    PLAIN_UDP,
    V6V6,
    VERSIONS,
    VXLAN,
    Case,
    P,
    cut,
    refused,
    scenario,
    stretched,
    summed,
)


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
