"""Decides what of a received frame is hashed, and to which queue it goes."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.receive.inspect import Findings
from offramp.receive.queues import Queues
from offramp.receive.toeplitz import Toeplitz
from offramp.records import QUEUE_BITS, HashTypes, IpVersion, ReceiveConfiguration
from offramp.walk.addresses import Addresses


class Steering(data.Struct):
    """Hash of a frame, what was hashed, and its queue."""

    hash_value: 32
    hash_type: HashTypes
    queue: QUEUE_BITS


class Steer(wiring.Component):
    """Hash and queue of received frames (RSS-1 to RSS-8).

    Addresses and ports of the innermost TCP or UDP header are hashed if that stands directly behind the inner
    IP header (RSS-2), or if there is no tunnel; else the outer addresses (RSS-3, RSS-4). A kind of hash that
    is switched off gives way to that of the outer addresses.

    Takes a frame whenever its last beat comes, and never waits.

    Parameters
    ----------
    lanes : int
        Bytes per beat.

    Attributes
    ----------
    latency : int
        Cycles from a frame's findings to its queue.

    Members
    -------
    config : In(ReceiveConfiguration)
        Key and kinds of hashes are looked at in the cycle of the frame, filters and table in the cycles after
        it: see :class:`~offramp.receive.queues.Queues`.
    found : In({"valid": 1, "findings": Findings})
        Once a frame.
    outer, inner : In(Addresses)
        Its addresses, with ``found``.
    tag : In(16)
        Control information of its first VLAN tag, with ``found``.
    steering : Out({"valid": 1, "steering": Steering})
        Once a frame, in order.
    """

    def __init__(self, lanes: int) -> None:
        self._toeplitz = Toeplitz(lanes)
        self._queues = Queues(hash_cycles=self._toeplitz.latency)
        self.latency = self._queues.latency
        super().__init__({
            "config": In(ReceiveConfiguration),
            "found": In(data.StructLayout({"valid": 1, "findings": Findings})),
            "outer": In(Addresses),
            "inner": In(Addresses),
            "tag": In(16),
            "steering": Out(data.StructLayout({"valid": 1, "steering": Steering})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.toeplitz = toeplitz = self._toeplitz
        m.submodules.queues = queues = self._queues
        found: Any = self.found.findings
        types = self.config.rss_types

        # With ports, or without.
        kinds: dict[str, Value] = {}
        for name, transport in (("tcp", found.tcp), ("udp", found.udp)):
            kinds[f"{name}_ipv4"] = found.ports & transport & ~found.ipv6 & types[f"{name}_ipv4"]
            kinds[f"{name}_ipv6"] = found.ports & transport & found.ipv6 & types[f"{name}_ipv6"]
        ports = Signal()
        m.d.comb += ports.eq(Cat(kinds.values()).any())
        outer_ipv6 = found.layers.outer == IpVersion.IPV6
        kinds["ipv4"] = ~ports & found.addresses & ~outer_ipv6 & types.ipv4
        kinds["ipv6"] = ~ports & found.addresses & outer_ipv6 & types.ipv6
        hash_type: Any = Signal(HashTypes)
        m.d.comb += [hash_type[name].eq(applies) for name, applies in kinds.items()]

        inner = ports & found.tunnel
        ip = Mux(inner, self.inner.ip, self.outer.ip)
        ipv6 = Mux(ports, found.ipv6, outer_ipv6)
        numbers = found.port_numbers & ports.replicate(32)
        # Ports stand behind the addresses: 8 bytes of IPv4, 32 of IPv6.
        highest = ip[-64:]
        rest = Mux(ipv6, Cat(numbers, ip[:-64]), Cat(Const(0, 192), numbers))
        source = Cat(rest, highest)
        octets = [source[8 * n : 8 * n + 8] for n in reversed(range(len(source) // 8))]
        m.d.comb += [
            toeplitz.source.valid.eq(self.found.valid & Value.cast(hash_type).any()),
            toeplitz.source.octets.eq(Cat(octets)),
            toeplitz.key.eq(self.config.rss_key),
            queues.frame.valid.eq(self.found.valid),
            queues.frame.mac.eq(Mux(found.inner_mac, self.inner.mac, self.outer.mac)),
            queues.frame.mac_valid.eq(found.outer_mac),
            queues.frame.vlan.eq(self.tag[:12]),
            queues.frame.vlan_valid.eq(found.layers.vlan_tags.any()),
            queues.hash.eq(toeplitz.hash),
            queues.filters.eq(self.config.vmq_filters),
            queues.default_queue.eq(self.config.default_queue),
            queues.table.eq(self.config.rss_table),
        ]

        # The kind waits for the queue, and so does the hash.
        for n in range(queues.latency):
            later: Any = Signal(HashTypes, name=f"hash_type{n}", reset_less=True)
            m.d.sync += later.eq(hash_type)
            hash_type = later
        value: Value = toeplitz.hash.value & toeplitz.hash.valid.replicate(32)
        for n in range(queues.latency - toeplitz.latency):
            kept = Signal(32, name=f"hash{n}", reset_less=True)
            m.d.sync += kept.eq(value)
            value = kept
        m.d.comb += [
            self.steering.valid.eq(queues.queue.valid),
            self.steering.steering.hash_value.eq(value),
            self.steering.steering.hash_type.eq(hash_type),
            self.steering.steering.queue.eq(queues.queue.value),
        ]
        return m
