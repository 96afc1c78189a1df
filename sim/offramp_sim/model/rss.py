"""Where a received frame is to go: hash, indirection table, filters (section 14.5)."""

import functools

from offramp_sim.model.headers import Protocol
from offramp_sim.model.layers import Layer, Layers
from offramp_sim.model.reception import HASH_TYPES, QUEUES, TABLE_ENTRIES, ReceiveConfig, VmqFilter


def toeplitz(key: bytes, octets: bytes) -> int:
    """Return the 32-bit hash of ``octets``: the key's windows where there is a one, all XORed (RSS-7)."""
    value = 0
    bits = int.from_bytes(octets, "big")
    # From the input's last bit to its first; what remains ends with the bit in question.
    for window in key_windows(key)[8 * len(octets) - 1 :: -1] if octets else ():
        if bits & 1:
            value ^= window
        bits >>= 1
    return value


@functools.lru_cache(maxsize=64)
def key_windows(key: bytes) -> tuple[int, ...]:
    """Return the 32 bits of ``key`` from each of its bits on that has so many behind it."""
    bits = int.from_bytes(key, "big")
    places = 8 * len(key) - 32
    return tuple(bits >> places - place & 0xFFFF_FFFF for place in range(places + 1))


def hash_input(layers: Layers, window: bytes, config: ReceiveConfig) -> tuple[str, bytes] | None:
    """Return what is to be hashed and as which of the :data:`HASH_TYPES`, ``None`` for no hash.

    Addresses and ports of the innermost layer if that can be, else the outer addresses (RSS-2..4, RSS-8).
    """
    transport, innermost = layers.transport, layers.innermost
    if transport and hashes_ports(layers):
        name = "tcp" if transport.protocol == Protocol.TCP else "udp"
        kind = f"{name}_ipv{innermost.version}"
        if kind in config.rss_types:
            return kind, innermost.addresses + window[transport.start : transport.start + 4]
    kind = f"ipv{layers.outer.version}"
    if layers.outer.addresses and kind in config.rss_types:
        return kind, layers.outer.addresses
    return None


def hashes_ports(layers: Layers) -> bool:
    """Return whether the transport header that was found may take part in the hash.

    Inside a tunnel it must stand directly behind the fixed header or the IPv4 options (RSS-4); without one,
    extension headers are skipped (RSS-8). The UDP header of a tunnel that cannot be looked into is not the
    transport header, so that the outer addresses are hashed alone (RSS-3).
    """
    if not layers.tunnel:
        return True
    ip = layers.inner.ip
    return ip is not None and (ip.version == 4 or ip.end == ip.start + 40)


def choose_queue(layers: Layers, hashed: int | None, config: ReceiveConfig) -> int:
    """Return the queue of a frame whose hash is ``hashed``, ``None`` if it has none (RSS-5, RSS-6)."""
    entry = None if hashed is None else config.rss_table[hashed % TABLE_ENTRIES]
    if not config.vmq_filters:
        return config.default_queue if entry is None else entry
    for wanted in config.vmq_filters:
        if matches(wanted, layers):
            spread = entry if wanted.spread and entry is not None else 0
            return (wanted.queue + spread) % QUEUES
    return config.default_queue


def matches(wanted: VmqFilter, layers: Layers) -> bool:
    """Return whether a frame is for this filter: by the inner address if there is one, and the outer tag.

    Which tag counts is not documented (GAP-10): the first of the outer Ethernet header.
    """
    outer: Layer = layers.outer
    mac = layers.inner.mac if layers.inner.mac is not None else outer.mac
    if mac != wanted.mac:
        return False
    return wanted.vlan is None or (bool(outer.tags) and outer.tags[0] & 0xFFF == wanted.vlan)


def steer(layers: Layers, window: bytes, config: ReceiveConfig) -> tuple[int, int, int]:
    """Return hash value, hash type and queue."""
    chosen = hash_input(layers, window, config)
    if chosen is None:
        return 0, 0, choose_queue(layers, None, config)
    kind, octets = chosen
    value = toeplitz(config.rss_key, octets)
    return value, HASH_TYPES[kind], choose_queue(layers, value, config)
