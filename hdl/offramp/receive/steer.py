"""Decides what of a received frame is hashed, and to which queue it goes."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.receive.inspect import Findings
from offramp.receive.queues import FILTERING_CYCLES, LOOKUP_CYCLES, Queues
from offramp.receive.toeplitz import Toeplitz
from offramp.records import QUEUE_BITS, HashTypes, ReceiveConfiguration
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
        The key is looked at in the cycle of the frame, filters and table in the cycles after it: see
        :class:`~offramp.receive.queues.Queues`. Kinds of hashes are not: the findings say what is hashed.
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
        # Filters begin a cycle later than the hash.
        self._queues = Queues(hash_cycles=max(self._toeplitz.latency - 1, FILTERING_CYCLES))
        self.latency = 1 + self._queues.latency
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
        hashing = found.hash
        outer = hashing.outer & ~hashing.ports
        kinds = {
            "tcp_ipv4": hashing.ports & found.tcp & ~hashing.ipv6,
            "tcp_ipv6": hashing.ports & found.tcp & hashing.ipv6,
            "udp_ipv4": hashing.ports & found.udp & ~hashing.ipv6,
            "udp_ipv6": hashing.ports & found.udp & hashing.ipv6,
            "ipv4": outer & ~hashing.outer_ipv6,
            "ipv6": outer & hashing.outer_ipv6,
        }
        hash_type: Any = Signal(HashTypes)
        m.d.comb += [hash_type[name].eq(is_it) for name, is_it in kinds.items()]

        # Ports stand behind the addresses: 8 bytes of IPv4, which nothing follows, or 32 of IPv6.
        ip = Mux(hashing.ports & hashing.inner, self.inner.ip, self.outer.ip)
        ports = found.port_numbers & hashing.ports.replicate(32)
        first, more = ip[-64:], ip[:-64]
        ipv6 = Mux(hashing.ports, hashing.ipv6, hashing.outer_ipv6)
        behind_ipv4, behind_ipv6 = ports & (~ipv6).replicate(32), ports & ipv6.replicate(32)
        source = Cat(behind_ipv6, more[:-32], more[-32:] | behind_ipv4, first)
        octets = [source.word_select(n, 8) for n in reversed(range(len(source) // 8))]
        m.d.comb += [
            toeplitz.source.valid.eq(self.found.valid & (hashing.ports | hashing.outer)),
            toeplitz.source.octets.eq(Cat(octets)),
            toeplitz.key.eq(self.config.rss_key),
        ]

        # Filters compare addresses with nothing else in the same cycle.
        frame = Signal(queues.frame.shape(), reset_less=True)
        valid = Signal()
        m.d.sync += [
            valid.eq(self.found.valid),
            frame.mac.eq(Mux(found.inner_mac, self.inner.mac, self.outer.mac)),
            frame.mac_valid.eq(found.outer_mac),
            frame.vlan.eq(self.tag[:12]),
            frame.vlan_valid.eq(found.layers.vlan_tags.any()),
        ]
        hashed: Any = toeplitz.hash
        for n in range(self.latency - LOOKUP_CYCLES - toeplitz.latency):
            waiting: Any = Signal(hashed.shape(), name=f"hash{n}", reset_less=True)
            m.d.sync += waiting.eq(hashed)
            hashed = waiting
        m.d.comb += [
            queues.frame.eq(frame),
            queues.frame.valid.eq(valid),
            queues.hash.eq(hashed),
            queues.filters.eq(self.config.vmq_filters),
            queues.default_queue.eq(self.config.default_queue),
            queues.table.eq(self.config.rss_table),
        ]

        # What was hashed waits for the queue, and so does the hash.
        for n in range(self.latency):
            later: Any = Signal(HashTypes, name=f"hash_type{n}", reset_less=True)
            m.d.sync += later.eq(hash_type)
            hash_type = later
        value: Value = hashed.value & hashed.valid.replicate(32)
        for n in range(LOOKUP_CYCLES):
            kept = Signal(32, name=f"value{n}", reset_less=True)
            m.d.sync += kept.eq(value)
            value = kept
        m.d.comb += [
            self.steering.valid.eq(queues.queue.valid),
            self.steering.steering.hash_value.eq(value),
            self.steering.steering.hash_type.eq(hash_type),
            self.steering.steering.queue.eq(queues.queue.value),
        ]
        return m
