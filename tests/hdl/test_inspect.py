"""What follows from a received frame's layout and lengths, one fact at a time."""

import itertools
import random

from amaranth.lib import data
from offramp.receive.inspect import Checks, Inspect
from offramp.receive.report import REASON_CYCLES
from offramp.receive.survey import Surveyed
from offramp.records import HashTypes, Reason

from tests.hdl.streams import plain, simulate

LANES, MAX_BYTES, MAX_HEADER_BYTES = 8, 1 << 17, 256

GOOD = {
    # UDP in IPv4 in NVGRE in IPv4, followed by Ethernet's padding.
    **dict.fromkeys(("valid", "last", "look.nvgre", "carried.active"), 1),
    **{f"carried.{name}": 1 for name in ("ipv4", "tcp_ipv4", "udp_ipv4", "tcp_ipv6", "udp_ipv6")},
    "bytes": 110, "limit": 110, "limit_again": 110,
    "outer.ipv4": 1, "outer.whole": 1, "outer.protocol": 47,
    "outer.start": 14, "outer.length_from": 14, "outer.end": 34,
    "tunnel.nvgre": 1, "tunnel.inner_frame": 42,
    "inner.ipv4": 1, "inner.whole": 1, "inner.protocol": 17,
    "inner.start": 56, "inner.length_from": 56, "inner.end": 76,
    "transport.udp": 1, "transport.checksum": 0x1234, "transport.ports": 0x01020304,
    "ends.outer_ip": 100, "ends.outer": 100, "ends.inner_ip": 100, "ends.inner": 100,
    "ends.headers": 84, "ends.datagram": 42, "ends.frame": 56,
}
"""A frame to whose checksums nothing is in the way."""

OBSTACLES = {
    Reason.INACTIVE: {"carried.active": 0},
    Reason.MARKED_BAD: {"mismatch": 1},
    Reason.TRUNCATED: {"cut": 1},
    Reason.HEADER_LIMIT: {"cut": 1, "over": 1},
    Reason.MALFORMED: {"inner.malformed": 1},
    Reason.TUNNEL_OFF: {"look.nvgre": 0},
    Reason.TUNNEL_UNKNOWN: {"tunnel.unknown": 1},
    Reason.FRAGMENT: {"inner.fragment": 1},
    Reason.NOT_IP: {"inner.ipv4": 0},
    Reason.EXTENSION: {"inner.protocol": 50},
    Reason.PROTOCOL: {"transport.udp": 0},
    Reason.LENGTH: {"ends.inner": 101},
    Reason.UDP_ZERO: {"transport.checksum": 0},
    Reason.DISABLED: {"carried.udp_ipv4": 0},
}

MISFITS = {
    # Lengths that span more than there is around them, or less than there is inside (RXC-8).
    "outer IP behind the frame": {"ends.outer_ip": 111},
    "outer IP in front of its header's end": {"outer.end": 43, "ends.outer_ip": 42, "ends.outer": 42},
    "outer datagram behind outer IP": {"ends.outer": 101},
    "outer datagram in front of the tunnel's end": {"tunnel.inner_frame": 101},
    "inner IP behind the outer datagram": {"ends.outer": 99},
    "inner IP in front of its header's end": {"ends.inner_ip": 75, "ends.inner": 75, "ends.headers": 75},
    "inner datagram behind inner IP": {"ends.inner": 101},
    "inner datagram shorter than UDP": {"ends.inner": 83},
}

FITTING = {
    "no padding": {"bytes": 100, "limit": 100, "limit_again": 100},
    "padding inside": {"ends.inner_ip": 90, "ends.inner": 90},
    "nothing but headers": {"ends.inner_ip": 84, "ends.inner": 84, "ends.outer": 84, "ends.outer_ip": 84},
    "headers up to the limit": {"limit": 84, "limit_again": 84},
}

NO_LAYER = {"transport.udp": 0, "transport.tcp": 0}
HASHED = {
    # RSS-2 to RSS-4: what is hashed, ports first.
    "inner UDP": ({}, "inner ports"),
    "inner TCP": ({"transport.udp": 0, "transport.tcp": 1}, "inner ports"),
    "UDP switched off": ({"types.udp_ipv4": 0}, "outer"),
    "UDP and addresses switched off": ({"types.udp_ipv4": 0, "types.ipv4": 0}, None),
    "TCP switched off": ({"types.tcp_ipv4": 0}, "inner ports"),
    "nothing known inside": (NO_LAYER, "outer"),
    "a byte of the header missing": ({"limit_again": 83}, "outer"),
    "cut": ({"cut": 1}, "outer"),
    "inner IPv6": ({"inner.ipv4": 0, "inner.ipv6": 1, "inner.length_from": 76}, "inner ports ipv6"),
    "behind an extension header": ({"inner.ipv4": 0, "inner.ipv6": 1, "inner.length_from": 68}, "outer"),
    "no tunnel": ({"tunnel.nvgre": 0}, "outer ports"),
    "no tunnel, and a fragment": ({"tunnel.nvgre": 0, **NO_LAYER}, "outer"),
    "outer IPv4 not whole": (NO_LAYER | {"limit_again": 33}, None),
    "outer IPv6": (NO_LAYER | {"outer.ipv4": 0, "outer.ipv6": 1, "outer.length_from": 54}, "outer ipv6"),
    "outer IPv6 not whole": (
        NO_LAYER | {"outer.ipv4": 0, "outer.ipv6": 1, "outer.length_from": 54, "limit_again": 53}, None,
    ),
    "outer IPv6 malformed": (
        NO_LAYER | {"outer.ipv4": 0, "outer.ipv6": 1, "outer.length_from": 54, "outer.malformed": 1}, None,
    ),
}  # fmt: skip

LAYOUT = ("outer", "tunnel", "inner", "transport", "cut", "mismatch")


def surveyed(facts):
    """Nest facts as :class:`Surveyed` does."""
    beat = {"layout": {}}
    for name, value in facts.items():
        first, _, second = name.partition(".")
        if first == "types":
            continue
        place = beat["layout"] if first in LAYOUT else beat
        if second:
            place.setdefault(first, {})[second] = value
        else:
            place[first] = value
    checks = beat.pop("carried")
    bits = (checks[name] << field.offset for name, field in data.Layout.cast(Checks))
    return beat | {"carried": sum(bits)}


def inspected(frames):
    """Findings and reason of each of some frames, one a cycle, with garbage before and behind."""
    dut = Inspect(Surveyed(LANES, MAX_BYTES, MAX_HEADER_BYTES))
    findings, reasons = [], []

    async def bench(ctx):
        for cycle in range(len(frames) + dut.latency + REASON_CYCLES):
            facts = frames[cycle] if cycle < len(frames) else GOOD | {"valid": 0, "cut": cycle % 2}
            ctx.set(dut.surveyed, surveyed(facts))
            types = {name: facts.get(f"types.{name}", 1) for name, _ in data.Layout.cast(HashTypes)}
            ctx.set(dut.types, types)
            _, _, found, reason = await ctx.tick().sample(dut.found, dut.reason)
            if found.valid:
                findings.append((cycle, plain(found.findings)))
            reasons.append(reason)

    simulate(dut, bench)
    assert [cycle for cycle, _ in findings] == [n + dut.latency for n in range(len(frames))]
    late = dut.latency + REASON_CYCLES
    return [found for _, found in findings], reasons[late : late + len(frames)]


def merged(*changes):
    return dict(itertools.chain(GOOD.items(), *(change.items() for change in changes)))


def test_the_first_reason_is_told():
    """Any two obstacles: the one with the lower number counts."""
    pairs = [
        pair for pair in itertools.combinations_with_replacement(OBSTACLES, 2)
        if pair != (Reason.TRUNCATED, Reason.HEADER_LIMIT)  # either the one or the other
    ]  # fmt: skip
    _, reasons = inspected([merged(*(OBSTACLES[reason] for reason in pair)) for pair in pairs])
    assert reasons == [min(pair, key=lambda reason: reason.value) for pair in pairs]
    assert set(reasons) == set(Reason) - {Reason.CHECKED, Reason.TUNNEL_CHECKSUM}


def test_lengths_must_fit_in_each_other():
    """RXC-8, at the byte."""
    frames = [merged(change) for change in (*FITTING.values(), *MISFITS.values())]
    _, reasons = inspected(frames)
    assert reasons == [Reason.CHECKED] * len(FITTING) + [Reason.LENGTH] * len(MISFITS)


def test_the_tunnel_is_checked_whatever_is_inside():
    """RXT-22: if the lengths outside fit, and the pseudo-header is known."""
    checksum = {"tunnel.checksum": 1}
    vxlan = checksum | {"tunnel.nvgre": 0, "tunnel.vxlan": 1}
    plain_ipv6 = {"outer.ipv4": 0, "outer.ipv6": 1, "outer.length_from": 34}
    behind_others = plain_ipv6 | {"outer.length_from": 30}
    cases = [
        ({}, False),
        (checksum, True),
        (vxlan, True),
        (checksum | plain_ipv6, True),
        (checksum | behind_others, False),
        (vxlan | behind_others, True),
        (vxlan | {"outer.routed": 1}, False),
        (vxlan | {"inner.routed": 1}, True),
        (checksum | {"tunnel.nvgre": 0}, False),
        (checksum | {"limit": 41}, False),
        *((checksum | misfit, name.startswith("inner")) for name, misfit in MISFITS.items()),
        *((checksum | obstacle, True) for obstacle in OBSTACLES.values()),
    ]
    found, _ = inspected([merged(change) for change, _ in cases])
    assert [bool(findings["tunnel_checksum"]) for findings in found] == [wanted for _, wanted in cases]


def test_what_is_hashed_is_there_and_wanted():
    frames = {name: merged(change) for name, (change, _) in HASHED.items()}
    found, _ = inspected(list(frames.values()))
    hashed = {}
    for name, findings in zip(frames, found, strict=True):
        hashing = findings["hash"]
        if hashing["ports"]:
            words = ["inner" if hashing["inner"] else "outer", "ports", "ipv6" if hashing["ipv6"] else ""]
        else:
            words = ["outer", "ipv6" if hashing["outer_ipv6"] else ""] if hashing["outer"] else []
        hashed[name] = " ".join(filter(None, words)) or None
    assert hashed == {name: expected for name, (_, expected) in HASHED.items()}


def test_every_header_counts_up_to_its_last_byte():
    """Whatever the limit, a header is there if its end is not behind it."""
    ends = {"outer_mac": 14, "inner_mac": 56, "outer_ip": 34, "inner_ip": 76, "tunnel": 42}
    limits = list(range(90))
    random.Random(1).shuffle(limits)
    found, _ = inspected([merged({"limit": limit, "limit_again": limit}) for limit in limits])
    for limit, findings in zip(limits, found, strict=True):
        assert {name: findings[name] for name in ends} == {name: limit >= end for name, end in ends.items()}
