"""Hash, indirection table and filters (section 14.5)."""

import dataclasses
import ipaddress

import pytest
from offramp_sim.model import ReceiveConfig, VmqFilter, receive
from offramp_sim.model.reception import HASH_TYPES, MICROSOFT_KEY
from offramp_sim.model.rss import toeplitz
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrRouting
from scapy.packet import Packet

from .frames import build, destination, frame_of, ip, l4, link, nvgre_with, tunnel_layer, with_extras
from .receptions import ON
from .rss_vectors import VECTORS

ALL = dataclasses.replace(ON, rss_types=frozenset(HASH_TYPES))
"""Every kind of hash switched on."""


def hashed(frame: bytes, config: ReceiveConfig = ALL) -> tuple[int, int]:
    """Return hash type and value."""
    reception = receive(frame, config)
    return reception.hash_type, reception.hash_value


def tuple_hash(*layers: Packet, ports: bytes = b"") -> int:
    """Return the hash of the addresses in the last of these IP headers, with the ``ports``."""
    header = bytes(layers[-1])
    addresses = header[12:20] if header[0] >> 4 == 4 else header[8:40]
    return toeplitz(MICROSOFT_KEY, addresses + ports)


PORTS = bytes.fromhex("03e807d0")
"""1000 and 2000, as in all frames here."""


@pytest.mark.parametrize(("source", "sport", "target", "dport", "two", "four"), VECTORS)
def test_published_vectors(source: str, sport: int, target: str, dport: int, two: int, four: int) -> None:
    """RSS-7, of the function and of whole frames."""
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    assert toeplitz(MICROSOFT_KEY, addresses) == two
    ports = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
    assert toeplitz(MICROSOFT_KEY, addresses + ports) == four
    ip_type = IPv6 if ":" in source else IP
    version = 6 if ":" in source else 4
    for kind in (TCP, UDP):
        header = ip_type(src=source, dst=target)
        frame = build(link(), header, kind(sport=sport, dport=dport)).frame
        with_ports = HASH_TYPES[f"{kind.__name__.lower()}_ipv{version}"]
        assert hashed(frame) == (with_ports, four)
        two_only = dataclasses.replace(ALL, rss_types=frozenset({f"ipv{version}"}))
        assert hashed(frame, two_only) == (HASH_TYPES[f"ipv{version}"], two)
        inside = build(link(), *nvgre_with(header), kind(sport=sport, dport=dport))
        assert hashed(inside.frame) == (with_ports, four)


def test_hash_of_zeros_is_zero_and_of_a_single_bit_is_a_window_of_the_key() -> None:
    key = int.from_bytes(MICROSOFT_KEY, "big")
    assert toeplitz(MICROSOFT_KEY, bytes(36)) == 0
    for place in range(288):
        octets = (1 << 287 - place).to_bytes(36, "big")
        assert toeplitz(MICROSOFT_KEY, octets) == key >> 288 - place & 0xFFFF_FFFF


def test_hash_is_linear_in_the_key() -> None:
    octets = bytes(range(36))
    keys = bytes(range(40)), MICROSOFT_KEY
    both = bytes(one ^ other for one, other in zip(*keys, strict=True))
    assert toeplitz(both, octets) == toeplitz(keys[0], octets) ^ toeplitz(keys[1], octets)


# What is hashed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tunnel", ["nvgre", "vxlan"])
@pytest.mark.parametrize("outer", ["4", "6"])
@pytest.mark.parametrize("inner", ["4", "6"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_inner_tuple_is_hashed(tunnel: str, outer: str, inner: str, kind: str) -> None:
    """RSS-2, T-26."""
    frame = frame_of(outer, tunnel, inner, kind)
    assert hashed(frame) == (HASH_TYPES[f"{kind}_ipv{inner}"], tuple_hash(ip("inner", inner), ports=PORTS))


@pytest.mark.parametrize("tunnel", ["nvgre", "vxlan"])
@pytest.mark.parametrize("outer", ["4", "6"])
def test_outer_addresses_are_the_fall_back(tunnel: str, outer: str) -> None:
    """RSS-3, RSS-4, T-27: no TCP or UDP directly behind the inner IP header."""
    expected = (HASH_TYPES[f"ipv{outer}"], tuple_hash(ip("outer", outer)))
    head = [link(), ip("outer", outer), tunnel_layer(tunnel), link("inner")]
    extended = build(*head, ip("inner", "6"), destination(8), l4("tcp", "6"))
    whole = build(*head, ip("inner", "4"), l4("tcp", "4"))
    frames = {
        "ICMP": frame_of(outer, tunnel, "4", "icmp"),
        "no IP": frame_of(outer, tunnel, "", ""),
        "IPv4 fragment": frame_of(outer, tunnel, "4f", "tcp"),
        "IPv6 fragment": frame_of(outer, tunnel, "6f", "udp"),
        "extension header": extended.frame,
        "cut transport": whole.frame[: whole.starts[-1] - 1],
        "cut inner link": whole.frame[: whole.starts[3] + 5],
        "cut tunnel": whole.frame[: whole.starts[3] - 1],
        "malformed": whole.changed(whole.starts[4], b"\x44"),
    }
    for name, frame in frames.items():
        assert hashed(frame) == expected, name
    tcp_off = dataclasses.replace(ALL, rss_types=frozenset(HASH_TYPES) - {"tcp_ipv4"})
    assert hashed(whole.frame, tcp_off) == expected
    outer_off = dataclasses.replace(ALL, rss_types=frozenset(HASH_TYPES) - {f"ipv{outer}"})
    assert hashed(frames["ICMP"], outer_off) == (0, 0)


def test_inner_options_are_skipped() -> None:
    frame = build(link(), *nvgre_with(with_extras("inner", "4")), l4("udp", "4")).frame
    assert hashed(frame) == (HASH_TYPES["udp_ipv4"], tuple_hash(ip("inner", "4"), ports=PORTS))


def test_extension_headers_are_skipped_without_a_tunnel() -> None:
    """RSS-8; the address of a routing header does not count, as no *_EX type is supported."""
    header = ip("inner", "6")
    extended = header / IPv6ExtHdrRouting(addresses=["fd00::77"], segleft=1) / destination(8)
    frame = build(link(), extended, l4("tcp", "6")).frame
    assert hashed(frame) == (HASH_TYPES["tcp_ipv6"], tuple_hash(header, ports=PORTS))
    # IPv6's addresses are there, whatever becomes of what is behind them.
    assert hashed(frame[:70]) == (HASH_TYPES["ipv6"], tuple_hash(header))
    assert hashed(frame[:53]) == (0, 0)
    assert hashed(frame[:14] + b"\x45" + frame[15:]) == (0, 0)


def test_fragments_are_hashed_by_address() -> None:
    """RSS-8."""
    for version in ("4", "6"):
        frame = frame_of(version + "f", "", "", "tcp")
        assert hashed(frame) == (HASH_TYPES[f"ipv{version}"], tuple_hash(ip("inner", version)))


def test_tunnels_that_are_not_looked_into_are_hashed_by_address() -> None:
    """RSS-3; but VXLAN that is switched off is UDP like any other."""
    two = (HASH_TYPES["ipv4"], tuple_hash(ip("outer", "4")))
    off = dataclasses.replace(ALL, encapsulation=frozenset())
    assert hashed(frame_of("4", "nvgre", "4", "tcp"), off) == two
    assert hashed(frame_of("4", "nvgre", "4", "tcp", version=1)) == two
    assert hashed(frame_of("4", "vxlan", "4", "tcp", flags=0)) == two
    four = tuple_hash(ip("outer", "4"), ports=(54321).to_bytes(2, "big") + (4789).to_bytes(2, "big"))
    assert hashed(frame_of("4", "vxlan", "4", "tcp"), off) == (HASH_TYPES["udp_ipv4"], four)


def test_each_type_is_enabled_on_its_own() -> None:
    for version in ("4", "6"):
        for kind in ("tcp", "udp"):
            frame = frame_of(version, "", "", kind)
            for name in HASH_TYPES:
                only = dataclasses.replace(ALL, rss_types=frozenset({name}))
                expected = HASH_TYPES[name] if name in (f"{kind}_ipv{version}", f"ipv{version}") else 0
                assert hashed(frame, only)[0] == expected


def test_hash_does_not_care_for_checksums() -> None:
    frame = frame_of("4x", "nvgre", "4x", "tcp x")
    expected = hashed(frame_of("4", "nvgre", "4", "tcp"))
    assert hashed(frame) == expected
    resting = dataclasses.replace(ALL, active=False)
    marked = receive(frame, resting, marked_bad=True)
    assert (marked.hash_type, marked.hash_value) == expected


# Where frames go -----------------------------------------------------------------------------------------

OUTER_MAC, INNER_MAC = bytes.fromhex("020000000002"), bytes.fromhex("02aa00000002")
SPREAD = dataclasses.replace(ALL, rss_table=tuple(n % 16 for n in range(128)), default_queue=9)


def queue(frame: bytes, *filters: VmqFilter, config: ReceiveConfig = SPREAD) -> int:
    """Return the queue that ``frame`` goes to."""
    return receive(frame, dataclasses.replace(config, vmq_filters=filters)).queue


TCP_FRAME = frame_of("4", "nvgre", "4", "tcp")
ENTRY = hashed(TCP_FRAME)[1] % 16


def test_table_is_indexed_by_the_lowest_seven_bits() -> None:
    reached = set()
    for port in range(100):
        frame = build(link(), ip("inner", "4"), UDP(sport=port)).frame
        entry = hashed(frame)[1] & 0x7F
        reached.add(entry)
        for other in (entry, entry ^ 0x40, entry ^ 0x01):
            table = tuple(0 if n == other else 2 for n in range(128))
            config = dataclasses.replace(SPREAD, rss_table=table)
            assert queue(frame, config=config) == (0 if entry == other else 2)
    assert len(reached) > 50


def test_frames_without_a_hash_go_to_the_default_queue() -> None:
    assert queue(frame_of("4", "nvgre", "", "")) != 9
    assert queue(TCP_FRAME, config=dataclasses.replace(SPREAD, rss_types=frozenset())) == 9
    assert queue(bytes(60)) == queue(b"") == 9


def test_inner_address_is_filtered_and_the_outer_one_only_without_it() -> None:
    """RSS-5, T-26, T-27."""
    inner, outer = VmqFilter(mac=INNER_MAC, queue=3), VmqFilter(mac=OUTER_MAC, queue=5)
    assert queue(TCP_FRAME, outer, inner) == 3
    assert queue(TCP_FRAME, outer) == 9
    for frame in (
        frame_of("4", "", "", "tcp"),
        frame_of("4", "nvgre", "4", "tcp", version=1),
        TCP_FRAME[: 14 + 20 + 8 + 13],
    ):
        assert queue(frame, outer, inner) == 5
    assert queue(TCP_FRAME[: 14 + 20 + 8 + 14], outer, inner) == 3
    off = dataclasses.replace(SPREAD, encapsulation=frozenset())
    assert queue(TCP_FRAME, outer, inner, config=off) == 5


def test_inner_address_counts_only_inside_the_window() -> None:
    config = dataclasses.replace(SPREAD, vmq_filters=(VmqFilter(mac=INNER_MAC, queue=3),))
    assert receive(TCP_FRAME, config, max_header_bytes=56).queue == 3
    assert receive(TCP_FRAME, config, max_header_bytes=55).queue == 9


def test_first_filter_that_matches_decides() -> None:
    filters = [VmqFilter(mac=INNER_MAC, queue=number) for number in (4, 7)]
    assert queue(TCP_FRAME, VmqFilter(mac=bytes(6), queue=1), *filters) == 4


def test_spreading_adds_the_table_entry_modulo_sixteen() -> None:
    for first in range(16):
        spread = VmqFilter(mac=INNER_MAC, queue=first, spread=True)
        assert queue(TCP_FRAME, spread) == (first + ENTRY) % 16
        assert queue(TCP_FRAME, dataclasses.replace(spread, spread=False)) == first
        no_hash = dataclasses.replace(SPREAD, rss_types=frozenset())
        assert queue(TCP_FRAME, spread, config=no_hash) == first


def test_filters_look_at_the_first_outer_tag() -> None:
    """GAP-10: a filter without a VLAN takes any frame, one with a VLAN needs that tag."""
    parts = [ip("outer", "4"), tunnel_layer("nvgre"), link("inner", 8), ip("inner", "4"), TCP()]
    frames = {tags: build(link("outer", *tags), *parts).frame for tags in ((), (5,), (5, 6), (0,))}
    for vlan, matched in ((5, {(5,), (5, 6)}), (6, set()), (8, set()), (0, {(0,)}), (None, set(frames))):
        wanted = VmqFilter(mac=INNER_MAC, vlan=vlan, queue=3)
        assert {tags for tags, frame in frames.items() if queue(frame, wanted) == 3} == matched
