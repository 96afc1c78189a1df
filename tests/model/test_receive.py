"""What is said of received frames: the receive table, the traps, and what the flag word does not tell."""

import dataclasses

import pytest
from offramp_sim.model import Reason, ReceiveConfig, Verdicts, VmqFilter, receive
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrRouting
from scapy.layers.l2 import ARP

from .frames import ODD, Built, build, frame_of, ip, l4, link, nvgre_with, tunnel_layer
from .receptions import CASES, ON, PADDED, TABLE, Case

L4_SUCCEEDED = 0x018


def checked(frame: bytes, **options: int) -> tuple[int, str | None]:
    """Return flag word and reason with everything switched on."""
    reception = receive(frame, ON, **options)
    return reception.checksum, reception.reason


@pytest.mark.parametrize("case", CASES, ids=str)
def test_flags_and_reason_are_as_they_must_be(case: Case) -> None:
    reception = receive(case.frame, case.config, marked_bad=case.marked_bad)
    assert (hex(reception.checksum), reception.reason) == (hex(case.checksum), case.reason)


def test_table_is_complete() -> None:
    assert {case.name.split()[0] for case in TABLE} == {f"RXT-{number}" for number in range(1, 24)}
    assert {case.reason for case in CASES} == {None, *(reason.name.lower() for reason in Reason)}


def test_default_is_the_state_after_reset() -> None:
    """T-28, RXT-23, CFG-6."""
    reception = receive(PADDED)
    assert (reception.checksum, reception.reason, reception.tunnel) == (0, "inactive", "gre")
    assert (reception.hash_type, reception.queue) == (0, 0)


# Layers --------------------------------------------------------------------------------------------------


def layers_of(frame: bytes, config: ReceiveConfig = ON) -> tuple[object, ...]:
    """Return outer version, tunnel, inner version, transport and fragment."""
    found = receive(frame, config)
    return found.outer, found.tunnel, found.inner, found.l4, found.fragment


@pytest.mark.parametrize(
    ("frame", "layers"),
    [
        (frame_of("4", "", "", "tcp"), ("ipv4", None, None, "tcp", False)),
        (frame_of("6", "", "", "icmp"), ("ipv6", None, None, 58, False)),
        (frame_of("4", "nvgre", "6", "udp"), ("ipv4", "nvgre", "ipv6", "udp", False)),
        (frame_of("6", "vxlan", "4", "icmp"), ("ipv6", "vxlan", "ipv4", 1, False)),
        (frame_of("4", "nvgre", "", ""), ("ipv4", "nvgre", None, None, False)),
        (frame_of("4", "nvgre", "4", "tcp", version=1), ("ipv4", "gre", None, 47, False)),
        (frame_of("4", "vxlan", "4", "tcp", flags=0), ("ipv4", None, None, "udp", False)),
        (frame_of("4f", "nvgre", "4", "tcp"), ("ipv4", None, None, 47, True)),
        (frame_of("6f", "", "", "tcp"), ("ipv6", None, None, "tcp", True)),
        (frame_of("6", "nvgre", "6f", "udp"), ("ipv6", "nvgre", "ipv6", "udp", True)),
        (build(link(), ARP()).frame, (None, None, None, None, False)),
        (build(link(), *nvgre_with(IP(proto=47))).frame, ("ipv4", "nvgre", "ipv4", 47, False)),
    ],
)
def test_layers_are_named(frame: bytes, layers: tuple[object, ...]) -> None:
    assert layers_of(frame) == layers


def test_layers_are_told_as_far_as_they_were_understood() -> None:
    """A version is told once its EtherType is there, a protocol once its IP header is."""
    built = build(link("outer", 5, 6), *nvgre_with(ip("inner", "6")), l4("tcp", "6"))
    steps = {
        0: (None, None, None, None, 0),
        17: (None, None, None, None, 0),
        18: (None, None, None, None, 1),
        22: ("ipv4", None, None, None, 2),
        41: ("ipv4", None, None, None, 2),
        42: ("ipv4", "gre", None, 47, 2),
        49: ("ipv4", "gre", None, 47, 2),
        50: ("ipv4", "nvgre", None, None, 2),
        63: ("ipv4", "nvgre", None, None, 2),
        64: ("ipv4", "nvgre", "ipv6", None, 2),
        103: ("ipv4", "nvgre", "ipv6", None, 2),
        104: ("ipv4", "nvgre", "ipv6", "tcp", 2),
    }
    for size, expected in steps.items():
        found = receive(built.frame[:size], ON)
        assert (found.outer, found.tunnel, found.inner, found.l4, found.vlan_tags) == expected, size
        assert found.reason == "truncated"


def test_vxlan_is_a_tunnel_once_its_header_is_whole() -> None:
    built = build(link(), ip("outer", "4"), tunnel_layer("vxlan"), link("inner"), ip("inner", "4"), TCP())
    start = built.starts[2]
    assert layers_of(built.frame[: start + 15]) == ("ipv4", None, None, "udp", False)
    assert layers_of(built.frame[: start + 16]) == ("ipv4", "vxlan", None, None, False)
    # Whether a UDP header is VXLAN's shows when it is whole: until then no further IP header is in sight.
    assert checked(built.frame[: start + 7]) == (0x020, "truncated")
    assert checked(built.frame[: start + 8]) == (0x000, "truncated")


def test_ignored_bits_of_tunnels_change_nothing() -> None:
    """WIRE-6, VX-7: only version, routing and the options count in GRE, only I in VXLAN."""
    gre = build(link(), *nvgre_with(ip("inner", "4")), l4("tcp", "4"))
    assert checked(gre.changed(gre.starts[2], b"\x2f\xf8")) == (0x028, None)
    vxlan = build(link(), ip("outer", "4"), tunnel_layer("vxlan"), *nvgre_with(ip("inner", "4"))[2:], TCP())
    assert checked(vxlan.changed(vxlan.starts[2] + 8, b"\xff" * 8)) == (0x028, None)


def test_tags_are_counted() -> None:
    for count in range(3):
        frame = build(link("outer", *range(count)), *nvgre_with(ip("inner", "4")), TCP()).frame
        assert (receive(frame, ON).vlan_tags, receive(frame, ON).inner_vlan) == (count, False)
    parts = [ip("outer", "4"), tunnel_layer("nvgre"), link("inner", 7), ip("inner", "4"), TCP()]
    assert receive(build(link(), *parts).frame, ON).inner_vlan


def test_protocol_of_a_fragment_is_behind_the_fragment_header() -> None:
    frame = build(link(), IPv6(), IPv6ExtHdrFragment(nh=17, m=1)).frame
    assert receive(frame, ON).protocol == 17
    assert receive(frame[:61], ON).protocol is None
    assert not receive(frame[:61], ON).fragment


def test_length_is_told_modulo_65536() -> None:
    assert receive(bytes(9_600)).length == 9_600
    assert receive(bytes(65_536 + 5)).length == 5


def test_mark_is_passed_on_and_layers_are_found_all_the_same() -> None:
    good, marked = receive(PADDED, ON), receive(PADDED, ON, marked_bad=True)
    assert marked == dataclasses.replace(
        good, checksum=0, reason="marked_bad", marked_bad=True, verdicts=Verdicts()
    )


# Verdicts ------------------------------------------------------------------------------------------------


def verdicts_of(frame: bytes, config: ReceiveConfig = ON) -> tuple[str, str, str, str]:
    """Return the verdicts on outer IP, tunnel, inner IP and transport."""
    found = receive(frame, config).verdicts
    return found.outer_ip, found.tunnel, found.inner_ip, found.transport


NONE = "not_checked"


@pytest.mark.parametrize(
    ("frame", "verdicts"),
    [
        (frame_of("4x", "", "", "tcp"), ("bad", NONE, NONE, "good")),
        (frame_of("6", "", "", "udp x"), (NONE, NONE, NONE, "bad")),
        (frame_of("4", "nvgre", "4x", "tcp x"), ("good", NONE, "bad", "bad")),
        (frame_of("4x", "vxlan", "4", "udp"), ("bad", NONE, "good", "good")),
        (frame_of("6", "vxlan", "4", "tcp", chksum=None), (NONE, "good", "good", "good")),
        (frame_of("6", "vxlan", "4", "tcp", chksum=1), (NONE, "bad", "good", NONE)),
        (frame_of("4", "vxlan", "4", "udp zero", chksum=None), ("good", "good", "good", NONE)),
        (frame_of("4", "nvgre", "6", "tcp", chksum_present=1), ("good", "good", NONE, "good")),
        (frame_of("4", "nvgre", "6", "tcp", chksum_present=1, chksum=1), ("good", "bad", NONE, NONE)),
        (frame_of("4", "nvgre", "6", "icmp", chksum_present=1), ("good", "good", NONE, NONE)),
        (frame_of("4", "vxlan", "4f", "udp", chksum=1), ("good", "bad", "good", NONE)),
        (frame_of("6", "vxlan", "", "", chksum=None), (NONE, "good", NONE, NONE)),
        (frame_of("4", "nvgre", "4", "tcp")[:70], ("good", NONE, NONE, NONE)),
        (frame_of("4", "vxlan", "4", "tcp", chksum=1)[:-1], ("good", NONE, "good", NONE)),
    ],
)
def test_each_layer_has_its_verdict(frame: bytes, verdicts: tuple[str, ...]) -> None:
    assert verdicts_of(frame) == verdicts


def test_outer_header_is_good_even_if_nothing_behind_it_can_be_read() -> None:
    built = build(link(), *nvgre_with(ip("inner", "4")), TCP())
    broken = built.changed(built.starts[4], b"\x44")
    assert verdicts_of(broken) == ("good", NONE, NONE, NONE)
    assert checked(broken) == (0x000, "malformed")
    bad = Built(broken, built.starts).changed(built.starts[1] + 11, 1)
    assert checked(bad) == (0x004, "malformed")


def test_tunnel_is_checked_whatever_is_switched_off() -> None:
    config = dataclasses.replace(ON, udp_ipv4_checksum=False, tcp_ipv4_checksum=False, ipv4_checksum=False)
    good = frame_of("4", "vxlan", "4", "tcp", chksum=None)
    assert verdicts_of(good, config) == (NONE, "good", NONE, NONE)
    assert receive(good, config).reason == "disabled"
    bad = frame_of("4", "vxlan", "4", "tcp", chksum=1)
    assert receive(bad, config).reason == "tunnel_checksum"


def test_zero_is_no_udp_checksum_but_a_tcp_checksum() -> None:
    """T-21, RXC-8: TCP's may come out as zero, UDP's is then sent as 0xFFFF."""
    for version, kind, expected in (("4", "tcp", b"\0\0"), ("6", "tcp", b"\0\0"), ("6", "udp", b"\xff\xff")):
        field = 16 if kind == "tcp" else 6
        bare = build(link(), ip("inner", version), l4(kind, version), payload=b"\0\0" + ODD)
        start = bare.starts[-2]
        word = bare.frame[start + field : start + field + 2]
        frame = build(link(), ip("inner", version), l4(kind, version), payload=word + ODD).frame
        assert frame[start + field : start + field + 2] == expected
        assert checked(frame)[0] & L4_SUCCEEDED


@pytest.mark.parametrize("size", range(9))
def test_sums_of_odd_and_even_ranges(size: int) -> None:
    payload = b"\xff\x80\x7f\x01\x02\xfe\0\x55\xaa"[:size]
    for outer, tunnel, inner in (("4", "", ""), ("6", "", ""), ("4", "vxlan", "6"), ("6", "nvgre", "4")):
        for kind in ("tcp", "udp"):
            fields = {"chksum": None} if tunnel == "vxlan" else {"chksum_present": 1} if tunnel else {}
            frame = frame_of(outer, tunnel, inner, kind, payload=payload, **fields)
            reception = receive(frame + b"\x99" * 3, ON)
            assert reception.reason is None
            assert reception.checksum & L4_SUCCEEDED
            assert reception.verdicts.tunnel == ("good" if tunnel else NONE)


# Where the search ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tunnel", ["nvgre", "vxlan"])
@pytest.mark.parametrize("inner", ["4", "6"])
def test_window_ends_as_a_frame_does_but_for_the_reason(tunnel: str, inner: str) -> None:
    """Header bytes beyond the window are as good as absent."""
    layers = [ip("outer", "4"), tunnel_layer(tunnel), link("inner"), ip("inner", inner), l4("tcp", inner)]
    built = build(link(), *layers)
    end = built.starts[-1]
    for size in range(end):
        narrow, cut = receive(built.frame, ON, max_header_bytes=size), receive(built.frame[:size], ON)
        assert narrow.reason == "header_limit"
        assert cut.reason == "truncated"
        assert dataclasses.replace(narrow, reason="truncated", length=size) == cut
    assert checked(built.frame, max_header_bytes=end) == (0x028, None)
    # If the frame ends with the window, it is the frame that ends.
    assert checked(built.frame[: end - 1], max_header_bytes=end - 1) == (0x020, "truncated")


def test_ip_succeeds_only_where_no_ipv4_header_can_be_hidden() -> None:
    """RXC-2, RXT-18: byte by byte, until the inner IP header with its extension headers is whole."""
    routed = IPv6ExtHdrRouting(addresses=["fd00::77"], segleft=0)
    for inner in (ip("inner", "4"), ip("inner", "6"), ip("inner", "6") / routed):
        built = build(link(), *nvgre_with(inner), TCP())
        outer_end, inner_end = built.starts[2], built.starts[5]
        for size in range(len(built.frame)):
            word = checked(built.frame[:size])[0]
            assert word & 0x20 == (0x20 if size >= inner_end else 0), size
            spoilt = built.changed(25, 1)[:size]
            assert checked(spoilt)[0] & 0x24 == (0x04 if size >= outer_end else 0), size


def test_tcp_options_and_offset_are_not_looked_at() -> None:
    built = build(link(), ip("inner", "4"), l4("tcp", "4"))
    assert checked(built.frame, max_header_bytes=54) == (0x028, None)
    offset = built.starts[2] + 12  # Swapped with the next word, the sum stays the same.
    word = int.from_bytes(built.frame[offset : offset + 4], "big")
    swapped = (word << 16 | word >> 16) & 0xFFFF_FFFF
    assert checked(built.changed(offset, swapped.to_bytes(4, "big"))) == (0x028, None)


@pytest.mark.parametrize("size", range(15))
def test_runts_are_truncated(size: int) -> None:
    reception = receive(bytes(size), dataclasses.replace(ON, default_queue=3))
    assert reception.reason == ("truncated" if size < 14 else "not_ip")
    assert (reception.checksum, reception.queue, reception.length) == (0, 3, size)


# Configuration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"encapsulation": frozenset({"geneve"})},
        {"vxlan_port": 0x10000},
        {"rss_key": bytes(39)},
        {"rss_types": frozenset({"ipv6_ex"})},
        {"rss_table": (0,) * 127},
        {"rss_table": (16,) + (0,) * 127},
        {"vmq_filters": (VmqFilter(mac=bytes(6)),) * 17},
        {"default_queue": 16},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_wrong_configurations_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ReceiveConfig(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"mac": bytes(5)}, {"mac": bytes(6), "vlan": 4096}, {"mac": bytes(6), "queue": 16}]
)
def test_wrong_filters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        VmqFilter(**wrong)
