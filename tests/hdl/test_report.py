import random

import pytest
from offramp.receive.report import REASON_CYCLES, Report
from offramp.records import Reason, Verdict

from tests.hdl.streams import plain, simulate

IP_FAILED, IP_SUCCEEDED = "ip_failed", "ip_succeeded"
CYCLES = [(9, 6), (5, 9), (7, 7)]
"""Cycles from findings to sums and to steering: either may be the later one."""


def random_case(rng):
    """Findings, checks, the first reason, what is right, and a steering; as they may come together."""
    tunnel = rng.random() < 0.6
    transport = rng.choice(["tcp", "udp"])
    reason = rng.choice([Reason.CHECKED, Reason.CHECKED, *Reason])
    if reason is Reason.TUNNEL_CHECKSUM:
        reason = Reason.CHECKED
    return {
        "findings": {
            "length": rng.getrandbits(16),
            "protocol": rng.getrandbits(8),
            "tunnel": tunnel,
            "tcp": transport == "tcp",
            "udp": transport == "udp",
            "outer_ip": rng.getrandbits(1),
            "inner_ip": tunnel and rng.getrandbits(1),
            "hidden": rng.random() < 0.2,
            "tunnel_checksum": tunnel and rng.getrandbits(1),
        },
        "checks": {"active": reason is not Reason.INACTIVE, "ipv4": rng.random() < 0.8},
        "reason": reason,
        "right": {name: rng.random() < 0.7 for name in ("outer_ip", "outer", "inner_ip", "inner")},
        "steering": {
            "hash_value": rng.getrandbits(32),
            "hash_type": {"tcp_ipv4": 1},
            "queue": rng.randrange(16),
        },
    }


def expected(case):
    """The rules RXC-1 to RXC-8, in their own words: flags, verdicts, reason."""
    found, right, reason = case["findings"], case["right"], case["reason"]

    def verdict(checked, name):
        return (Verdict.GOOD if right[name] else Verdict.BAD) if checked else Verdict.NOT_CHECKED

    trusted = reason not in (Reason.INACTIVE, Reason.MARKED_BAD)
    tunnel = verdict(trusted and found["tunnel_checksum"], "outer")
    if tunnel is Verdict.BAD and reason in (Reason.CHECKED, Reason.UDP_ZERO, Reason.DISABLED):
        reason = Reason.TUNNEL_CHECKSUM
    networks = case["checks"]["ipv4"] and trusted
    verdicts = {
        "outer_ip": verdict(networks and found["outer_ip"], "outer_ip"),
        "tunnel": tunnel,
        "inner_ip": verdict(networks and found["inner_ip"], "inner_ip"),
        "transport": verdict(reason is Reason.CHECKED, "inner" if found["tunnel"] else "outer"),
    }
    name = "tcp" if found["tcp"] else "udp"
    flags = set()
    if verdicts["transport"] is not Verdict.NOT_CHECKED:
        flags.add(f"{name}_{'succeeded' if verdicts['transport'] is Verdict.GOOD else 'failed'}")
    headers = {verdicts["outer_ip"], verdicts["inner_ip"]} - {Verdict.NOT_CHECKED}
    if Verdict.BAD in headers:
        flags.add(IP_FAILED)
    elif headers and not found["hidden"]:
        flags.add(IP_SUCCEEDED)
    return flags, verdicts, reason


@pytest.mark.parametrize(("sums_cycles", "steering_cycles"), CYCLES)
def test_what_is_said_follows_from_what_was_found(sums_cycles, steering_cycles):
    """Frames in most cycles; what comes first waits for what comes last."""
    dut = Report(sums_cycles=sums_cycles, steering_cycles=steering_cycles)
    assert dut.latency == max(sums_cycles, steering_cycles)
    rng = random.Random(sums_cycles)
    cases = [random_case(rng) if rng.random() < 0.8 else None for _ in range(300)]
    seen = {}

    def at(cycle):
        """The frame of that cycle, or anything."""
        case = cases[cycle] if 0 <= cycle < len(cases) else None
        return case or random_case(rng)

    async def bench(ctx):
        for cycle in range(len(cases) + dut.latency + 1):
            now = at(cycle)
            valid = cycle < len(cases) and cases[cycle] is not None
            ctx.set(dut.found, {"valid": valid, "findings": now["findings"], "checks": now["checks"]})
            ctx.set(dut.reason, at(cycle - REASON_CYCLES)["reason"])
            ctx.set(dut.right, at(cycle - sums_cycles)["right"])
            ctx.set(dut.steering, at(cycle - steering_cycles)["steering"])
            _, _, valid, metadata = await ctx.tick().sample(dut.reported.valid, dut.reported.metadata)
            if valid:
                seen[cycle - dut.latency] = plain(metadata)

    simulate(dut, bench)
    assert list(seen) == [n for n, case in enumerate(cases) if case]
    for number, metadata in seen.items():
        case = cases[number]
        flags, verdicts, reason = expected(case)
        assert {name for name, bit in metadata["checksum"].items() if bit} == flags
        assert metadata["verdicts"] == verdicts
        assert metadata["reason"] == reason
        assert metadata["hash_value"] == case["steering"]["hash_value"]
        assert metadata["hash_type"] == 0x200
        for name in ("length", "protocol"):
            assert metadata[name] == case["findings"][name]
        assert metadata["queue"] == case["steering"]["queue"]
