"""What every receive path must do, at any width, in any simulator and however its ports stall.

A scenario yields frames, back to back, and says of each what must be said of it, as the specification has it
or scapy; what it leaves open the reference model decides. Names tell the property, docstrings the rules; the
traps of specification section 16 are named T-nn. Nothing here knows how the core is driven.
"""

import dataclasses
import functools
import ipaddress
import itertools
from collections.abc import Callable, Iterator

from offramp_sim.core import Arrival
from offramp_sim.model import ReceiveConfig, VmqFilter
from offramp_sim.model.reception import HASH_TYPES
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from tests.model.frames import EVEN, build, frame_of, ip, l4, link, nvgre_with, tunnel_layer
from tests.model.receptions import CASES, ON, TABLE
from tests.model.rss_vectors import VECTORS
from tests.model.shapes import ramp

from .carries import LAYERS, sums

ALL = dataclasses.replace(ON, rss_types=frozenset(HASH_TYPES), rss_table=tuple(n % 16 for n in range(128)))
"""Everything switched on, and a table in which every queue has its turn."""

INNER_MAC, OUTER_MAC = (bytes.fromhex(f"02{place}00000002") for place in ("aa", "00"))


@dataclasses.dataclass(frozen=True)
class Case:
    """A frame that arrives, and what must be said of it.

    ``said`` has names of what is known of a frame, each with its value; a verdict is ``"verdicts.tunnel"``.
    """

    name: str
    arrival: Arrival
    said: tuple[tuple[str, object], ...] = ()


RECEPTIONS: dict[str, Callable[[], tuple[Case, ...]]] = {}
"""All scenarios, by name."""


def reception(make: Callable[[], Iterator[Case]]) -> Callable[[], tuple[Case, ...]]:
    """Register a scenario; its frames are made when they are first needed."""

    @functools.cache
    @functools.wraps(make)
    def cases() -> tuple[Case, ...]:
        return tuple(make())

    RECEPTIONS[make.__name__] = cases
    return cases


def case(name: str, frame: bytes, config: ReceiveConfig = ON, **said: object) -> Case:
    """Return a case; ``verdicts`` are given as a dictionary."""
    told = {f"verdicts.{layer}": verdict for layer, verdict in said.pop("verdicts", {}).items()}
    return Case(name, Arrival(frame, config), tuple((said | told).items()))


def known(name: str) -> Iterator[Case]:
    """Yield those of the model's cases whose name begins with ``name``, back to back by configuration."""
    chosen = [each for each in CASES if each.name.startswith(name)]
    assert chosen, name
    for each in sorted(chosen, key=lambda one: str(one.config)):
        said = (("checksum", each.checksum), ("reason", each.reason))
        yield Case(each.name, Arrival(each.frame, each.config, each.marked_bad), said)


# Checksums -----------------------------------------------------------------------------------------------


@reception
def receive_table_holds_in_every_mix_of_versions() -> Iterator[Case]:
    """T-18: RXT-1 to RXT-23."""
    yield from known("RXT-")
    assert len({each.name.split()[0] for each in TABLE}) == 23


@reception
def every_reason_not_to_check_is_told() -> Iterator[Case]:
    """RXC-5 to RXC-8: cut, malformed, inconsistent, unread, switched off; and what is next to each."""
    yield from known("")


@reception
def padding_inside_the_tunnel_is_not_summed_up() -> Iterator[Case]:
    """T-19, RXC-6."""
    yield from known("T-19")
    for outer, tunnel, inner in itertools.product("46", ("nvgre", "vxlan"), "46"):
        word = 0x028 if "4" in outer + inner else 0x008
        for size in (1, 6, 18):
            layers = [ip("outer", outer), tunnel_layer(tunnel), link("inner"), ip("inner", inner)]
            short = build(*layers[2:], l4("tcp", inner), payload=b"").frame
            frame = build(link(), *layers[:2], payload=short + b"\xa5" * size).frame
            yield case(f"{outer} {tunnel} {inner} {size}", frame, checksum=word, reason=None)


@reception
def unknown_tunnels_are_left_alone() -> Iterator[Case]:
    """T-20, RXP-3, RXT-19."""
    yield from known("T-20")
    yield from known("RXT-19")


@reception
def udp_checksum_of_zero_is_none_and_tcp_checksum_of_zero_is_one() -> Iterator[Case]:
    """T-21: what computes to zero has come as 0xFFFF with UDP, and as 0x0000 with TCP."""
    yield from known("RXT-14")
    for version, kind in itertools.product("46", ("tcp", "udp")):
        field = 16 if kind == "tcp" else 6
        bare = build(link(), ip("inner", version), l4(kind, version), payload=b"\0\0" + EVEN)
        start = bare.starts[-2] + field
        word = bare.frame[start : start + 2]
        built = build(link(), ip("inner", version), l4(kind, version), payload=word + EVEN)
        for stated in (b"\0\0", b"\xff\xff"):
            reason = "udp_zero" if kind == "udp" and stated == b"\0\0" else None
            # Of both zeros either is right, wherever one is looked at.
            verdicts = {"transport": "not_checked" if reason else "good"}
            frame = built.changed(start, stated)
            yield case(f"{version} {kind} {stated.hex()}", frame, reason=reason, verdicts=verdicts)


@reception
def sums_carry_as_often_as_they_can() -> Iterator[Case]:
    """Section 16, arithmetic traps: in every layer every carry count, and sums of 0x0000 and 0xFFFF."""
    for layer in LAYERS:
        for summed in sums(layer):
            verdict = "good" if summed.total % 0xFFFF == 0 else "bad"
            yield case(f"{layer} {summed.total:#x}", summed.frame, verdicts={layer.verdict: verdict})


# Configuration -------------------------------------------------------------------------------------------


@reception
def vxlan_port_may_change_between_frames() -> Iterator[Case]:
    """T-24, VX-2, CFG-5: one frame to each of some ports, under each of them, there and back."""
    yield from known("T-24")
    ports = (4789, 8472, 1, 0xFFFF)
    frames = {port: frame_of("4", "vxlan", "4", "tcp", dport=port) for port in ports}
    for port in (*ports, *reversed(ports)):
        config = dataclasses.replace(ON, vxlan_port=port)
        for to, frame in frames.items():
            if to == port:
                yield case(f"VXLAN to {to}", frame, config, tunnel="vxlan", checksum=0x028, reason=None)
            else:
                yield case(f"UDP to {to}", frame, config, tunnel=None, checksum=0x020, reason="udp_zero")


@reception
def nothing_is_looked_into_until_it_is_switched_on() -> Iterator[Case]:
    """T-28, CFG-6, RXC-1, RXT-23."""
    yield from known("T-28")
    yield from known("RXT-23")


# Hash and queue ------------------------------------------------------------------------------------------


@reception
def published_hashes_are_computed_on_the_inner_headers() -> Iterator[Case]:
    """T-26, RSS-2, RSS-7: the vectors of the Windows RSS hash, plain and in VXLAN."""
    for source, sport, target, dport, two, four in VECTORS:
        version = 6 if ipaddress.ip_address(source).version == 6 else 4
        header = (IPv6 if version == 6 else IP)(src=source, dst=target)
        for kind in (TCP, UDP):
            said = {"hash_type": HASH_TYPES[f"{kind.__name__.lower()}_ipv{version}"], "hash_value": four}
            name = f"{kind.__name__} {source}"
            transport = kind(sport=sport, dport=dport)
            yield case(name, build(link(), header, transport).frame, ALL, queue=four % 16, **said)
            inside = [tunnel_layer("vxlan"), link("inner"), header, transport]
            for outer in "46":
                frame = build(link(), ip("outer", outer), *inside).frame
                yield case(f"{name} in VXLAN", frame, ALL, queue=four % 16, **said)
        said = {"hash_type": HASH_TYPES[f"ipv{version}"], "hash_value": two, "queue": two % 16}
        yield case(source, build(link(), header, payload=bytes(40)).frame, ALL, **said)


@reception
def outer_addresses_are_hashed_where_there_are_no_inner_ports() -> Iterator[Case]:
    """T-26, T-27, RSS-3, RSS-4: no transport, a fragment, an extension header, an unknown tunnel."""
    for source, _, target, _, two, _ in VECTORS:
        version = 6 if ipaddress.ip_address(source).version == 6 else 4
        outer = (IPv6 if version == 6 else IP)(src=source, dst=target)
        said = {"hash_type": HASH_TYPES[f"ipv{version}"], "hash_value": two, "queue": two % 16}
        inner = [link("inner"), ip("inner", "4")]
        for name, layers in (
            ("ICMP", [tunnel_layer("nvgre"), *inner, ICMP()]),
            ("fragment", [tunnel_layer("nvgre"), link("inner"), ip("inner", "4f"), TCP()]),
            ("version", [tunnel_layer("nvgre", version=1), *inner, TCP()]),
        ):
            yield case(f"{name} {source}", build(link(), outer, *layers).frame, ALL, **said)


@reception
def queues_follow_the_inner_address() -> Iterator[Case]:
    """T-26, T-27, RSS-5: the outer address counts where there is no inner frame; spreading adds the table."""
    config = dataclasses.replace(
        ALL,
        default_queue=9,
        vmq_filters=(
            VmqFilter(mac=OUTER_MAC, queue=5),
            VmqFilter(mac=INNER_MAC, vlan=7, queue=12, spread=True),
            VmqFilter(mac=INNER_MAC, queue=3),
        ),
    )
    nvgre = build(link(), *nvgre_with(ip("inner", "4")), TCP()).frame
    tagged = build(link("outer", 7), *nvgre_with(ip("inner", "4")), TCP()).frame
    hashed = dataclasses.replace(config, rss_table=(7,) * 128)
    yield case("inner", nvgre, config, queue=3)
    yield case("tagged", tagged, hashed, queue=(12 + 7) % 16)
    yield case("plain", frame_of("4", "", "", "tcp"), config, queue=5)
    yield case("unknown", frame_of("4", "nvgre", "4", "tcp", version=1), config, queue=5)
    yield case("no address", bytes(13), config, queue=9)
    yield case("nobody's", bytes(60), config, queue=9)
    inactive = dataclasses.replace(config, active=False)
    yield case("inactive", nvgre, inactive, queue=3, checksum=0)
    yield Case("marked", Arrival(nvgre, config, marked_bad=True), (("queue", 3), ("checksum", 0)))


# Lengths -------------------------------------------------------------------------------------------------


@reception
def frames_of_any_length_pass() -> Iterator[Case]:
    """Around every beat, and beyond what the length fields of IP can span; 131,072 bytes are counted."""
    for size in (*range(1, 140), 255, 256, 257, 1_514, 9_600, 65_535, 65_536, 65_600, 131_072):
        yield case(f"{size} bytes", (ramp(256) * (size // 256 + 1))[:size], length=size & 0xFFFF)
    longest = build(link(), ip("inner", "4"), l4("tcp", "4"), payload=b"\xff" * (65_535 - 40)).frame
    yield case("longest datagram", longest, checksum=0x028, reason=None)
    yield case("longest datagram, padded", longest + bytes(60_000), checksum=0x028, reason=None)
    yield case("longest datagram, cut", longest[:-1], checksum=0x020, reason="length")
