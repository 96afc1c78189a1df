import dataclasses
import random
from dataclasses import dataclass

import pytest
from offramp.receive.steer import Steer
from offramp.records import IpVersion
from offramp_sim.model import ReceiveConfig, VmqFilter
from offramp_sim.model.reception import HASH_TYPES
from offramp_sim.model.rss import toeplitz

from tests.hdl.receipts import configure
from tests.hdl.streams import plain, simulate

MACS = [bytes.fromhex(f"02000000000{n}") for n in range(3)]
VLANS = (0, 7, 4095)


@dataclass(frozen=True)
class Found:
    """A frame: what is there, and the bytes of it. ``transport`` is what a hash may use, or ``""``."""

    outer: int  # IP version, 0 for none
    inner: int
    transport: str
    complete: bool  # the outer addresses are there
    mac: bytes | None
    inner_mac: bytes | None
    tag: int | None
    addresses: tuple[bytes, bytes]  # of both layers
    ports: bytes

    @property
    def tunnel(self):
        return self.inner_mac is not None

    def findings(self):
        """As :class:`offramp.receive.inspect.Findings` has it."""
        version = self.inner if self.tunnel else self.outer
        return {
            "layers": {
                "outer": {0: IpVersion.NONE, 4: IpVersion.IPV4, 6: IpVersion.IPV6}[self.outer],
                "vlan_tags": self.tag is not None,
            },
            "outer_mac": self.mac is not None,
            "inner_mac": self.tunnel,
            "tunnel": self.tunnel,
            "addresses": self.complete,
            "ports": bool(self.transport),
            "tcp": self.transport == "tcp",
            "udp": self.transport == "udp",
            "ipv6": version == 6,
            "port_numbers": int.from_bytes(self.ports, "big"),
        }

    def hashed(self, config):
        """The rules RSS-2 to RSS-4, in their own words: type and bytes of what is hashed."""
        version = self.inner if self.tunnel else self.outer
        if self.transport and (kind := f"{self.transport}_ipv{version}") in config.rss_types:
            return kind, self.addresses[self.tunnel] + self.ports
        if self.complete and (kind := f"ipv{self.outer}") in config.rss_types:
            return kind, self.addresses[0]
        return None

    def queue(self, config, value):
        entry = None if value is None else config.rss_table[value % 128]
        if not config.vmq_filters:
            return config.default_queue if entry is None else entry
        for wanted in config.vmq_filters:
            mac = self.inner_mac or self.mac
            tagged = wanted.vlan is None or (self.tag is not None and self.tag & 0xFFF == wanted.vlan)
            if self.mac is not None and mac == wanted.mac and tagged:
                return (wanted.queue + (entry or 0 if wanted.spread else 0)) % 16
        return config.default_queue


def random_found(rng):
    outer, inner = rng.choice([4, 4, 6, 6, 0]), rng.choice([4, 6])
    tunnel = outer != 0 and rng.random() < 0.5
    version = inner if tunnel else outer
    return Found(
        outer=outer,
        inner=inner,
        transport=rng.choice(["tcp", "udp", ""]) if version else "",
        complete=bool(outer) and rng.random() < 0.9,
        mac=rng.choice(MACS) if tunnel or rng.random() < 0.9 else None,
        inner_mac=rng.choice(MACS) if tunnel else None,
        tag=rng.choice([None, *VLANS, 0x7007]),
        addresses=tuple(rng.randbytes(8 if version == 4 else 32) for version in (outer, inner)),
        ports=rng.randbytes(4),
    )


def random_config(rng):
    """Table and filters."""
    filters = [
        VmqFilter(
            mac=rng.choice(MACS),
            vlan=rng.choice([None, *VLANS]),
            queue=rng.randrange(16),
            spread=rng.random() < 0.5,
        )
        for _ in range(rng.choice([0, 2, 4]))
    ]
    table = tuple(rng.randrange(16) for _ in range(128))
    return ReceiveConfig(rss_table=table, vmq_filters=tuple(filters), default_queue=rng.randrange(16))


def rehashed(rng, config):
    """Return a configuration with another key, and often with kinds of hashes switched off."""
    kinds = frozenset(rng.sample(sorted(HASH_TYPES), rng.choice([0, 3, 5, 5, 6, 6])))
    return dataclasses.replace(config, rss_types=kinds, rss_key=rng.randbytes(40))


@pytest.mark.parametrize(("lanes", "spacing", "seed"), [(8, 5, 0), (8, 6, 1), (32, 2, 2), (64, 1, 3)])
def test_every_frame_is_hashed_and_queued_by_the_rules(lanes, spacing, seed):
    """So many cycles apart, and each as long after its findings as is declared; key and kinds may change."""
    dut = Steer(lanes)
    rng = random.Random(seed)
    common = random_config(rng)
    frames = [(random_found(rng), rehashed(rng, common)) for _ in range(80)]
    steerings = {}

    def addresses(mac, octets):
        ip = int.from_bytes(octets.ljust(32, b"\0"), "big")
        return {"mac": int.from_bytes(mac or rng.randbytes(6), "big"), "ip": ip}

    async def bench(ctx):
        configure(ctx, dut.config, common)
        for cycle in range(len(frames) * spacing + dut.latency + 1):
            number, rest = divmod(cycle, spacing)
            comes = rest == 0 and number < len(frames)
            frame, config = frames[number] if comes else (random_found(rng), rehashed(rng, common))
            configure(ctx, dut.config, config, names={"rss_types", "rss_key"})
            ctx.set(dut.found, {"valid": comes, "findings": frame.findings()})
            ctx.set(dut.outer, addresses(frame.mac, frame.addresses[0]))
            ctx.set(dut.inner, addresses(frame.inner_mac, frame.addresses[1]))
            ctx.set(dut.tag, rng.getrandbits(16) if frame.tag is None else frame.tag)
            _, _, valid, steering = await ctx.tick().sample(dut.steering.valid, dut.steering.steering)
            if valid:
                steerings[cycle - dut.latency] = plain(steering)

    simulate(dut, bench)
    assert list(steerings) == [n * spacing for n in range(len(frames))]
    for (frame, config), steering in zip(frames, steerings.values(), strict=True):
        hashed = frame.hashed(config)
        value = toeplitz(config.rss_key, hashed[1]) if hashed else None
        assert steering["hash_value"] == (value or 0)
        kinds = [name for name, bit in steering["hash_type"].items() if bit]
        assert kinds == ([hashed[0]] if hashed else [])
        assert steering["queue"] == frame.queue(config, value)
