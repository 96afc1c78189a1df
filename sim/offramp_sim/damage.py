"""Copies of a frame with one thing wrong, to see what a receiver says of them."""

import dataclasses
from collections.abc import Iterator

from offramp_sim.model import ReceiveConfig
from offramp_sim.model.layers import find_layers

ALL_TUNNELS = ReceiveConfig(encapsulation=frozenset({"nvgre", "vxlan"}))
"""Enough to find the layers."""


@dataclasses.dataclass(frozen=True)
class Damage:
    """A damaged ``frame``, and ``what`` was done to it, in a few words."""

    what: str
    frame: bytes


def damages(
    frame: bytes, config: ReceiveConfig = ALL_TUNNELS, *, max_header_bytes: int = 256
) -> Iterator[Damage]:
    """Yield copies of ``frame``, each damaged in one place, as far as it has such places.

    Parameters
    ----------
    frame : bytes
        A frame that is in order.
    config : ReceiveConfig, optional
        Says which tunnels to look into. Default: all.
    max_header_bytes : int
        Headers are looked for in so many bytes.
    """
    layers = find_layers(frame, config, max_header_bytes)
    for place, ip in (("outer", layers.outer.ip), ("inner", layers.inner.ip)):
        if ip and ip.version == 4:
            yield Damage(f"{place} IPv4 header: another time to live", changed(frame, ip.start + 8, 0x01))
        if ip:
            yield Damage(f"{place} IP header: another version", changed(frame, ip.start, 0x20))
    if layers.tunnel and layers.tunnel.kind == "nvgre":
        yield Damage("GRE header: another version", changed(frame, layers.tunnel.start + 1, 0x01))
    elif layers.tunnel:
        yield Damage("VXLAN header: no network", changed(frame, layers.tunnel.start + 8, 0x08))
    if layers.transport:
        transport = layers.transport
        yield Damage("transport header: another source port", changed(frame, transport.start + 1, 0x10))
        if transport.end < len(frame):
            yield Damage("payload: one bit", changed(frame, transport.end, 0x80))
            yield Damage("cut off in the payload", frame[: transport.end])
        yield Damage("cut off in the transport header", frame[: transport.end - 1])
    if layers.outer.ip:
        yield Damage("cut off in the outer IP header", frame[: layers.outer.ip.start + 10])


def changed(frame: bytes, offset: int, bits: int) -> bytes:
    """Return ``frame`` with these ``bits`` of the byte at ``offset`` flipped."""
    return frame[:offset] + bytes([frame[offset] ^ bits]) + frame[offset + 1 :]
