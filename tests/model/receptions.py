"""Received frames with what must be said of each: the receive table, and what belongs to it."""

import dataclasses
import itertools
from collections.abc import Iterator

from offramp_sim.model import ReceiveConfig
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrRouting
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import ARP, GRE
from scapy.layers.vxlan import VXLAN

from .frames import (
    EVEN,
    ODD,
    Built,
    authenticated,
    build,
    destination,
    frame_of,
    ip,
    l4,
    link,
    nvgre_with,
    tunnel_layer,
    with_extras,
    with_tcp_checksum,
)

ON = ReceiveConfig(active=True, encapsulation=frozenset({"nvgre", "vxlan"}))
"""Everything that checks something switched on."""

PADDED = bytes.fromhex(
    "02000000000202000000000108004500005800094000402f266c0a0000010a000002"
    "200065581234565a02aa0000000202aa00000001080045000028000740008006"
    "7775c0a80101c0a8010203e807d000000001000000025010200000c60000a5a5a5a5a5a5"
)
"""The specification's frame with padding inside the tunnel (T-19)."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A frame and what must be said of it: the flag word, and why the transport checksum is not checked."""

    name: str
    frame: bytes
    checksum: int
    reason: str | None = None
    config: ReceiveConfig = ON
    marked_bad: bool = False

    def __str__(self) -> str:
        return self.name


# The receive table (section 10) --------------------------------------------------------------------------

PLAIN_ROWS = [
    # rule, IP header, transport, flag word, reason
    ("RXT-1", "4", "tcp", 0x028, None),
    ("RXT-1", "4", "udp", 0x030, None),
    ("RXT-2", "4x", "tcp", 0x00C, None),
    ("RXT-2", "4x", "udp", 0x014, None),
    ("RXT-3", "4", "udp x", 0x022, None),
    ("RXT-3", "4", "tcp x", 0x021, None),
    ("RXT-3", "4x", "udp x", 0x006, None),
    ("RXT-3", "4x", "tcp x", 0x005, None),
    ("RXT-4", "6", "tcp", 0x008, None),
    ("RXT-4", "6", "udp", 0x010, None),
    ("RXT-4", "6", "tcp x", 0x001, None),
    ("RXT-4", "6", "udp x", 0x002, None),
    ("RXT-14", "4", "udp zero", 0x020, "udp_zero"),
    ("RXT-14", "4x", "udp zero", 0x004, "udp_zero"),
    ("RXT-14", "6", "udp zero", 0x000, "udp_zero"),
    ("RXT-15", "4", "icmp", 0x020, "protocol"),
    ("RXT-15", "4x", "icmp", 0x004, "protocol"),
    ("RXT-15", "6", "icmp", 0x000, "protocol"),
    ("RXT-17", "4f", "udp", 0x020, "fragment"),
    ("RXT-17", "4fx", "tcp", 0x004, "fragment"),
    ("RXT-17", "6f", "udp", 0x000, "fragment"),
]

TUNNEL_ROWS = [
    # rule, outer, inner, transport, flag word, reason; the same in NVGRE and VXLAN
    ("RXT-5", "4", "4", "tcp", 0x028, None),
    ("RXT-5", "4", "4", "udp", 0x030, None),
    ("RXT-6", "4x", "4", "tcp", 0x00C, None),
    ("RXT-6", "4x", "4", "udp", 0x014, None),
    ("RXT-7", "4", "4x", "tcp", 0x00C, None),
    ("RXT-7", "4", "4x", "udp", 0x014, None),
    ("RXT-7", "4x", "4x", "tcp", 0x00C, None),
    ("RXT-8", "4", "4", "tcp x", 0x021, None),
    ("RXT-8", "4", "4", "udp x", 0x022, None),
    ("RXT-8", "4x", "4", "tcp x", 0x005, None),
    ("RXT-8", "4", "4x", "udp x", 0x006, None),
    ("RXT-8", "4", "6", "tcp x", 0x021, None),
    ("RXT-8", "4", "6", "udp x", 0x022, None),
    ("RXT-8", "6", "4", "tcp x", 0x021, None),
    ("RXT-8", "6", "4", "udp x", 0x022, None),
    ("RXT-8", "6", "6", "tcp x", 0x001, None),
    ("RXT-8", "6", "6", "udp x", 0x002, None),
    ("RXT-9", "4", "6", "tcp", 0x028, None),
    ("RXT-9", "4", "6", "udp", 0x030, None),
    ("RXT-10", "4x", "6", "tcp", 0x00C, None),
    ("RXT-10", "4x", "6", "udp", 0x014, None),
    ("RXT-11", "6", "4", "udp", 0x030, None),
    ("RXT-11", "6", "4", "tcp", 0x028, None),
    ("RXT-12", "6", "4x", "udp", 0x014, None),
    ("RXT-12", "6", "4x", "tcp", 0x00C, None),
    ("RXT-13", "6", "6", "tcp", 0x008, None),
    ("RXT-13", "6", "6", "udp", 0x010, None),
    ("RXT-14", "4", "4", "udp zero", 0x020, "udp_zero"),
    ("RXT-14", "4x", "4", "udp zero", 0x004, "udp_zero"),
    ("RXT-14", "4", "6", "udp zero", 0x020, "udp_zero"),
    ("RXT-14", "6", "4", "udp zero", 0x020, "udp_zero"),
    ("RXT-14", "6", "6", "udp zero", 0x000, "udp_zero"),
    ("RXT-15", "4", "4", "icmp", 0x020, "protocol"),
    ("RXT-15", "4", "4x", "icmp", 0x004, "protocol"),
    ("RXT-15", "4", "6", "icmp", 0x020, "protocol"),
    ("RXT-15", "6", "4", "icmp", 0x020, "protocol"),
    ("RXT-15", "6", "6", "icmp", 0x000, "protocol"),
    ("RXT-16", "4", "", "", 0x020, "not_ip"),
    ("RXT-16", "4x", "", "", 0x004, "not_ip"),
    ("RXT-16", "6", "", "", 0x000, "not_ip"),
    ("RXT-17", "4", "4f", "udp", 0x020, "fragment"),
    ("RXT-17", "4", "4fx", "udp", 0x004, "fragment"),
    ("RXT-17", "4x", "4f", "udp", 0x004, "fragment"),
    ("RXT-17", "4", "6f", "udp", 0x020, "fragment"),
    ("RXT-17", "6", "4f", "udp", 0x020, "fragment"),
    ("RXT-17", "6", "6f", "udp", 0x000, "fragment"),
]

MIXES = [("4", "4"), ("4", "6"), ("6", "4"), ("6", "6")]

# What an outer header alone comes to, by its kind.
FIRST_ONLY = {"4": 0x020, "4x": 0x004, "6": 0x000}
NO_SUCCESS = {"4": 0x000, "4x": 0x004, "6": 0x000}


def table() -> Iterator[Case]:
    """Yield RXT-1 to RXT-23, in all mixes of versions that each applies to."""
    for payload, (rule, version, transport, word, reason) in itertools.product((ODD, EVEN), PLAIN_ROWS):
        name = f"{rule} {version} {transport} {len(payload)}"
        yield Case(name, frame_of(version, "", "", transport, payload=payload), word, reason)
    for tunnel, row in itertools.product(("nvgre", "vxlan"), TUNNEL_ROWS):
        rule, outer, inner, transport, word, reason = row
        name = f"{rule} {tunnel} {outer} {inner or 'arp'} {transport}"
        yield Case(name, frame_of(outer, tunnel, inner, transport), word, reason)

    gre_off = dataclasses.replace(ON, encapsulation=frozenset({"vxlan"}))
    for outer in ("4", "4x", "6"):
        for inner in ("4", "6"):
            cut = frame_of(outer + "f", "nvgre", inner, "tcp")
            yield Case(f"RXT-18 {outer} {inner}", cut, NO_SUCCESS[outer], "fragment")
            for what, fields in (
                ("payload", {"proto": 0x0800}),
                ("version", {"version": 1}),
                ("version 4", {"version": 4}),
                ("routing", {"routing_present": 1}),
            ):
                strange = frame_of(outer, "nvgre", inner, "tcp", **fields)
                yield Case(f"RXT-19 {what} {outer} {inner}", strange, FIRST_ONLY[outer], "tunnel_unknown")
            strange = frame_of(outer, "vxlan", inner, "tcp", flags=0xF7)
            yield Case(f"RXT-19 vxlan {outer} {inner}", strange, FIRST_ONLY[outer], "tunnel_unknown")
            for bad in ("", "x"):
                frame = frame_of(outer, "nvgre", inner + bad * (inner == "4"), f"tcp {bad}")
                name = f"RXT-20 {outer} {inner}{bad}"
                yield Case(name, frame, NO_SUCCESS[outer], "tunnel_off", gre_off)

    for (outer, inner), transport in itertools.product(MIXES, ("tcp", "udp")):
        four = 0x020 if "4" in outer + inner else 0
        good = four | (0x008 if transport == "tcp" else 0x010)
        for checksum in (0, None):
            frame = frame_of(outer, "vxlan", inner, transport, chksum=checksum)
            yield Case(f"RXT-21 {outer} {inner} {transport} {checksum}", frame, good)
        frame = frame_of(outer, "nvgre", inner, transport, chksum_present=1, seqnum_present=1)
        yield Case(f"RXT-21 gre {outer} {inner} {transport}", frame, good)
        frame = frame_of(outer, "vxlan", inner, transport, chksum=0x1234)
        yield Case(f"RXT-22 {outer} {inner} {transport}", frame, four, "tunnel_checksum")
        frame = frame_of(outer, "nvgre", inner, transport, chksum_present=1, chksum=0x1234)
        yield Case(f"RXT-22 gre {outer} {inner} {transport}", frame, four, "tunnel_checksum")
        bad = frame_of(outer + "x" * (outer == "4"), "vxlan", inner, transport, chksum=0x1234)
        yield Case(
            f"RXT-22 {outer}x {inner} {transport}", bad, 0x004 if outer == "4" else four, "tunnel_checksum"
        )
        resting = dataclasses.replace(ON, active=False)
        for tunnel in ("", "nvgre", "vxlan"):
            frame = frame_of(outer, tunnel, inner, transport)
            yield Case(f"RXT-23 {tunnel} {outer} {inner} {transport}", frame, 0, "inactive", resting)


# Beyond the table ----------------------------------------------------------------------------------------


def traps() -> Iterator[Case]:
    """Yield the traps of section 16 that are about a single frame, and what link headers may be like."""
    yield Case("T-19", PADDED, 0x028)
    yield Case("T-20 IPv4 in IPv4", build(link(), IP(proto=4), IP(), TCP()).frame, 0x020, "protocol")
    yield Case("T-20 IPv6 in IPv4", build(link(), IP(proto=41), IPv6(), TCP()).frame, 0x020, "protocol")
    yield Case("T-28", frame_of("4", "nvgre", "4", "tcp"), 0, "inactive", ReceiveConfig())
    active = ReceiveConfig(active=True)
    yield Case("T-28 active", frame_of("4", "nvgre", "4", "tcp"), 0, "tunnel_off", active)
    frame = frame_of("4", "vxlan", "4", "udp zero", chksum=None)
    yield Case("T-28 VXLAN is UDP", frame, 0x030, None, active)
    other_port = dataclasses.replace(ON, vxlan_port=4790)
    yield Case("T-24 another port is UDP", frame, 0x030, None, other_port)
    frame = frame_of("4", "vxlan", "4", "udp zero", chksum=None, dport=4790)
    yield Case("T-24 port changed", frame, 0x020, "udp_zero", other_port)

    for (outer, inner), tags in itertools.product(MIXES, ((5,), (5, 6))):
        word = 0x028 if "4" in outer + inner else 0x008
        for tunnel in ("nvgre", "vxlan"):
            parts = [ip("outer", outer), tunnel_layer(tunnel), link("inner", 7), ip("inner", inner)]
            frame = build(link("outer", *tags), *parts, l4("tcp", inner)).frame
            yield Case(f"tags {tags} {tunnel} {outer} {inner}", frame, word)
    parts = [ip("outer", "4"), tunnel_layer("nvgre"), link("inner", 7, 8), ip("inner", "4"), l4("tcp", "4")]
    yield Case("a second inner tag", build(link(), *parts).frame, 0x020, "not_ip")
    yield Case("a third tag", build(link("outer", 5, 6, 7), *parts[:1], l4("tcp", "4")).frame, 0, "not_ip")

    for (outer, inner), tunnel in itertools.product(MIXES, ("nvgre", "vxlan")):
        word = 0x028 if "4" in outer + inner else 0x008
        frame = build(
            link(),
            with_extras("outer", outer),
            tunnel_layer(tunnel),
            link("inner"),
            with_extras("inner", inner),
            l4("tcp", inner),
            payload=b"",
        ).frame
        yield Case(f"options {tunnel} {outer} {inner}", frame, word)
    for version, word in (("4", 0x028), ("6", 0x008)):
        for size in range(1, 7):
            short = frame_of(version, "", "", "tcp", payload=bytes(size))
            yield Case(f"padding {version} {size}", short + b"\xa5" * max(0, 60 - len(short)), word)
        for size in (1, 2, 3, 64):
            yield Case(f"trailer {version} {size}", frame_of(version, "", "", "tcp") + b"\xa5" * size, word)
    for options in itertools.product((0, 1), repeat=3):
        fields = dict(zip(("chksum_present", "key_present", "seqnum_present"), options, strict=True))
        yield Case(f"GRE {options}", frame_of("4", "nvgre", "6", "udp", **fields), 0x030)


def reasons() -> Iterator[Case]:
    """Yield frames for every reason not to check, and for what is next to it."""
    tcp = frame_of("4", "", "", "tcp")
    nvgre = build(link(), *nvgre_with(ip("inner", "4")), l4("tcp", "4"))
    _, _, gre, inner_link, inner_ip, inner_tcp, _ = nvgre.starts
    whole = len(nvgre.frame)

    yield Case("marked bad", tcp, 0, "marked_bad", marked_bad=True)
    yield Case("marked bad in a tunnel", nvgre.frame, 0, "marked_bad", marked_bad=True)
    resting = dataclasses.replace(ON, active=False)
    yield Case("marked bad while inactive", tcp, 0, "inactive", resting, marked_bad=True)

    for size in (1, 13, 14, 33):
        yield Case(f"cut to {size}", tcp[:size], 0, "truncated")
    for size, word in (
        (gre + 1, 0),
        (gre + 7, 0),
        (inner_link + 13, 0),
        (inner_ip + 19, 0),
        (inner_tcp, 0x020),
        (inner_tcp + 19, 0x020),
    ):
        yield Case(f"tunnel cut to {size}", nvgre.frame[:size], word, "truncated")
    yield Case("payload cut", nvgre.frame[: whole - 1], 0x020, "length")
    yield Case("payload cut, plain", tcp[:-1], 0x020, "length")

    for size, reason, word in ((250, None, 0x008), (258, "header_limit", 0)):
        filled = build(link(), ip("inner", "6"), destination(size - 74), TCP()).frame
        yield Case(f"headers of {size}", filled, word, reason)
    outer = ip("outer", "4")
    outer.options = [IPOption_NOP() for _ in range(4)]
    parts = [tunnel_layer("nvgre"), link("inner"), ip("inner", "6"), destination(136), TCP()]
    yield Case("headers of 256", build(link(), outer, *parts).frame, 0x028)
    frame = build(link(), ip("inner", "6"), destination(200), destination(200), TCP(), payload=b"").frame
    yield Case("cut at the window", frame[:256], 0, "truncated")
    yield Case("cut behind the window", frame[:257], 0, "header_limit")

    yield Case("version 5", nvgre.changed(14, b"\x55"), 0, "malformed")
    yield Case("short header", nvgre.changed(14, b"\x44"), 0, "malformed")
    yield Case("inner version 6 in IPv4", nvgre.changed(inner_ip, b"\x65"), 0, "malformed")
    yield Case("inner short header", nvgre.changed(inner_ip, b"\x40"), 0, "malformed")
    six = build(link(), *nvgre_with(ip("inner", "6")), l4("tcp", "6"))
    yield Case("inner version 4 in IPv6", six.changed(six.starts[4], b"\x45"), 0x020, "malformed")

    yield Case("ARP", build(link(), ARP()).frame, 0, "not_ip")
    yield Case("ESP", build(link(), ip("inner", "4"), ESP(spi=1, seq=2)).frame, 0x020, "extension")
    yield Case("ESP in IPv6", build(link(), ip("inner", "6"), ESP(spi=1, seq=2)).frame, 0, "extension")
    yield Case("AH in IPv4", build(link(), authenticated("4"), l4("tcp", "4")).frame, 0x020, "extension")
    yield Case("AH in IPv6", with_tcp_checksum(build(link(), authenticated("6"), l4("tcp", "6"))), 0x008)
    for protocol in (135, 139, 140):
        frame = build(link(), IPv6(nh=protocol), payload=bytes(40)).frame
        yield Case(f"extension {protocol}", frame, 0, "extension")
        frame = build(link(), IP(proto=protocol), payload=bytes(40)).frame
        yield Case(f"no extension in IPv4, {protocol}", frame, 0x020, "protocol")
    under_way = IPv6ExtHdrRouting(addresses=["fd00::77"], segleft=1)
    frame = build(link(), ip("inner", "6"), under_way, l4("tcp", "6")).frame
    yield Case("routing under way", frame, 0, "extension")
    frame = build(link(), ip("inner", "6"), under_way, destination(8), l4("tcp", "6")).frame
    yield Case("routing under way, and more", frame, 0, "extension")
    for inner, word in (("4", 0x028), ("6", 0x008)):
        for tunnel in ("nvgre", "vxlan"):
            parts = [tunnel_layer(tunnel), link("inner"), ip("inner", inner), l4("tcp", inner)]
            frame = build(link(), ip("outer", "6"), under_way, *parts).frame
            yield Case(f"outer routing under way, {tunnel} {inner}", frame, word)
    parts = [*nvgre_with(ip("inner", "6")), under_way, l4("tcp", "6")]
    yield Case("inner routing under way", build(link(), *parts).frame, 0x020, "extension")
    yield Case("GRE in GRE", build(link(), *nvgre_with(IP(proto=47)), GRE()).frame, 0x020, "protocol")
    frame = build(link(), *nvgre_with(ip("inner", "4")), tunnel_layer("vxlan", chksum=None)).frame
    yield Case("VXLAN in GRE is UDP", frame, 0x030)

    yield from length_cases(nvgre)
    frame = frame_of("4", "vxlan", "4", "udp zero", chksum=1)
    yield Case("tunnel wrong before UDP zero", frame, 0x020, "tunnel_checksum")
    for kind, version in itertools.product(("tcp", "udp"), ("4", "6")):
        off = dataclasses.replace(ON, **{f"{kind}_ipv{version}_checksum": False})
        word = 0x020 if version == "4" else 0
        yield Case(f"{kind} {version} off", frame_of(version, "", "", kind), word, "disabled", off)
        frame = frame_of("4", "vxlan", version, f"{kind} x")
        yield Case(f"{kind} {version} off in a tunnel", frame, 0x020, "disabled", off)
        other = "6" if version == "4" else "4"
        word = 0x028 if kind == "tcp" else 0x030
        yield Case(f"{kind} {version} off, not {other}", frame_of("4", "nvgre", other, kind), word, None, off)
    no_ip = dataclasses.replace(ON, ipv4_checksum=False)
    yield Case("IPv4 off", frame_of("4x", "nvgre", "4x", "tcp"), 0x008, None, no_ip)


def length_cases(nvgre: Built) -> Iterator[Case]:
    """Yield frames whose lengths do not fit; scapy has made the checksums, so that only lengths are wrong."""
    for delta in (-1, 1):
        layers = nvgre_with(ip("inner", "4"))
        layers[0].len = len(nvgre.frame) - 14 + delta
        frame = build(link(), *layers, l4("tcp", "4")).frame
        yield Case(f"outer length {delta:+}", frame, 0x020, "length")
        layers = nvgre_with(ip("inner", "4"))
        layers[3].len = len(nvgre.frame) - nvgre.starts[4] + delta
        frame = build(link(), *layers, l4("tcp", "4")).frame
        # One byte less is another range, not a contradiction: then it is the checksum that is wrong.
        yield Case(f"inner length {delta:+}", frame, *((0x021, None) if delta < 0 else (0x020, "length")))
    for length in (0, 19, 20, 39):
        frame = build(link(), IP(len=length), TCP()).frame
        yield Case(f"IPv4 length {length}", frame, 0x020, "length")
    for length in (0, 19):
        frame = build(link(), IPv6(plen=length), TCP()).frame
        yield Case(f"IPv6 length {length}", frame, 0x000, "length")
    for length in (0, 7, 8 + len(ODD) + 1):
        frame = build(link(), ip("inner", "4"), UDP(len=length)).frame
        yield Case(f"UDP length {length}", frame, 0x020, "length")
        vxlan = UDP(sport=1, dport=4789, chksum=0, len=length) / VXLAN(flags=8)
        inside = link("inner") / ip("inner", "4") / UDP()
        frame = build(link(), ip("outer", "4"), vxlan, inside, payload=b"").frame
        yield Case(f"VXLAN length {length}", frame, 0x020, "length")
    frame = build(link(), ip("inner", "4"), UDP(len=8 + len(ODD)), payload=ODD + b"\x11").frame
    # Scapy sums up the extra byte, the receiver must not.
    yield Case("UDP shorter than IP", frame, 0x022)


TABLE = list(table())
"""RXT-1 to RXT-23."""

CASES = [*TABLE, *traps(), *reasons()]
"""All frames."""
