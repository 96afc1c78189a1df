import random
from dataclasses import dataclass

import pytest
from offramp.receive.steer import Steer
from offramp_sim.model import ReceiveConfig, VmqFilter
from offramp_sim.model.reception import HASH_TYPES
from offramp_sim.model.rss import toeplitz

from tests.hdl.receipts import configure
from tests.hdl.streams import plain, simulate

MACS = [bytes.fromhex(f"02000000000{n}") for n in range(3)]
VLANS = (0, 7, 4095)


@dataclass(frozen=True)
class Found:
    """A frame: what of it is hashed, one of the :data:`HASH_TYPES` or ``""``, and its addresses."""

    kind: str
    inside: bool  # it is the inner addresses
    transport: str
    mac: bytes | None
    inner_mac: bytes | None
    tag: int | None
    addresses: tuple[bytes, bytes]  # of both layers, outer first
    ports: bytes

    def findings(self):
        """As :class:`offramp.receive.inspect.Findings` has it; what does not matter is anything."""
        with_ports, ipv6 = "_" in self.kind, self.kind.endswith("ipv6")
        return {
            "layers": {"vlan_tags": self.tag is not None},
            "outer_mac": self.mac is not None,
            "inner_mac": self.inner_mac is not None,
            "hash": {
                "ports": with_ports,
                "inner": self.inside if with_ports else self.ports[0] & 1,
                "ipv6": ipv6 if with_ports else self.ports[0] & 1,
                "outer": self.ports[0] & 1 if with_ports else bool(self.kind),  # ports go first
                "outer_ipv6": self.ports[1] & 1 if with_ports else ipv6,
            },
            "tcp": self.transport == "tcp",
            "udp": self.transport == "udp",
            "port_numbers": int.from_bytes(self.ports, "big"),
        }

    @property
    def hashed(self):
        """The bytes that are hashed, as in the packet (RSS-2, RSS-3)."""
        return self.addresses[self.inside] + (self.ports if "_" in self.kind else b"")

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
    kind = rng.choice(["", *sorted(HASH_TYPES)])
    transport = kind.split("_")[0] if "_" in kind else rng.choice(["tcp", "udp", ""])
    inside = "_" in kind and rng.random() < 0.5
    tunnel = inside or rng.random() < 0.3
    sizes = [rng.choice([8, 32]), rng.choice([8, 32])]
    sizes[inside] = 32 if kind.endswith("ipv6") else 8
    return Found(
        kind=kind,
        inside=inside,
        transport=transport,
        mac=rng.choice(MACS) if tunnel or rng.random() < 0.9 else None,
        inner_mac=rng.choice(MACS) if tunnel else None,
        tag=rng.choice([None, *VLANS, 0x7007]),
        addresses=tuple(rng.randbytes(size) for size in sizes),
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


@pytest.mark.parametrize(("lanes", "spacing", "seed"), [(8, 5, 0), (8, 6, 1), (32, 2, 2), (64, 1, 3)])
def test_every_frame_is_hashed_and_queued_by_the_rules(lanes, spacing, seed):
    """So many cycles apart, each as long after its findings as is declared; every frame has its own key."""
    dut = Steer(lanes)
    rng = random.Random(seed)
    common = random_config(rng)
    frames = [(random_found(rng), rng.randbytes(40)) for _ in range(80)]
    steerings = {}

    def addresses(mac, octets):
        ip = int.from_bytes(octets.ljust(32, b"\0"), "big")
        return {"mac": int.from_bytes(mac or rng.randbytes(6), "big"), "ip": ip}

    async def bench(ctx):
        configure(ctx, dut.config, common)
        for cycle in range(len(frames) * spacing + dut.latency + 1):
            number, rest = divmod(cycle, spacing)
            comes = rest == 0 and number < len(frames)
            frame, key = frames[number] if comes else (random_found(rng), rng.randbytes(40))
            ctx.set(dut.config.rss_key, int.from_bytes(key, "big"))
            ctx.set(dut.found, {"valid": comes, "findings": frame.findings()})
            ctx.set(dut.outer, addresses(frame.mac, frame.addresses[0]))
            ctx.set(dut.inner, addresses(frame.inner_mac, frame.addresses[1]))
            ctx.set(dut.tag, rng.getrandbits(16) if frame.tag is None else frame.tag)
            _, _, valid, steering = await ctx.tick().sample(dut.steering.valid, dut.steering.steering)
            if valid:
                steerings[cycle - dut.latency] = plain(steering)

    simulate(dut, bench)
    assert list(steerings) == [n * spacing for n in range(len(frames))]
    for (frame, key), steering in zip(frames, steerings.values(), strict=True):
        value = toeplitz(key, frame.hashed) if frame.kind else None
        assert steering["hash_value"] == (value or 0)
        assert [name for name, bit in steering["hash_type"].items() if bit] == [frame.kind] * bool(frame.kind)
        assert steering["queue"] == frame.queue(common, value)
