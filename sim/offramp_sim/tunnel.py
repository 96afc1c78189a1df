"""Puts frames into tunnels, as a virtual switch does before the driver sees them."""

import ipaddress
import zlib
from dataclasses import dataclass

from offramp_sim.model.checksum import ones_sum
from offramp_sim.model.headers import find

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

VXLAN_PORT = 4789
HOP_LIMIT = 64
TAGS = (0x8100, 0x88A8)


def mac_address(text: str) -> bytes:
    """Return the six bytes of a MAC address written as ``02:00:00:00:00:01`` or with dashes."""
    octets = bytes.fromhex(text.replace(":", " ").replace("-", " "))
    if len(octets) != 6:
        raise ValueError(f"{text!r} is not a MAC address")
    return octets


@dataclass(kw_only=True)
class Encapsulation:
    """An endpoint of a tunnel.

    Parameters
    ----------
    kind : str
        ``"nvgre"`` (RFC 7637) or ``"vxlan"`` (RFC 7348).
    network : int
        Virtual subnet or network identifier, 24 bits.
    source, destination : IPv4Address or IPv6Address
        Of the outer header, both of one version.
    source_mac, destination_mac : bytes
        Of the outer Ethernet header.
    port : int
        UDP destination port of VXLAN.
    """

    kind: str
    network: int
    source: Address
    destination: Address
    source_mac: bytes
    destination_mac: bytes
    port: int = VXLAN_PORT
    identification: int = 0
    """Of the next outer IPv4 header."""

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError(f"{self.source} and {self.destination} are not of one IP version")

    def wrap(self, frame: bytes) -> bytes:
        """Return ``frame`` inside the tunnel, its outer headers complete.

        Class of service and congestion bits of the inner packet are copied outside; flows are told apart by
        FlowID or UDP source port. An inner frame keeps at most one VLAN tag, as that is how much of it can be
        parsed; a tag around that one becomes the outer frame's. Outer lengths beyond 16 bits, which only
        packets to be segmented can have, are written as 0.
        """
        tags = 0
        while tags < 2 and int.from_bytes(frame[12 + 4 * tags : 14 + 4 * tags], "big") in TAGS:
            tags += 1
        outside = frame[12 : 12 + 4 * max(0, tags - 1)]
        inner = frame[:12] + frame[12 + len(outside) :]
        service, flow = _service_and_flow(inner)
        body = self._nvgre(inner, flow) if self.kind == "nvgre" else self._vxlan(inner, flow)
        protocol = 47 if self.kind == "nvgre" else 17
        version = self.source.version
        link = (
            self.destination_mac + self.source_mac + outside + (b"\x08\x00" if version == 4 else b"\x86\xdd")
        )
        header = self._ipv4 if version == 4 else self._ipv6
        return link + header(service, protocol, len(body)) + body

    def _nvgre(self, inner: bytes, flow: int) -> bytes:
        return b"\x20\x00\x65\x58" + self.network.to_bytes(3, "big") + bytes([flow & 0xFF]) + inner

    def _vxlan(self, inner: bytes, flow: int) -> bytes:
        length = 16 + len(inner)
        words = (0xC000 | flow & 0x3FFF, self.port, length if length <= 0xFFFF else 0, 0)
        header = b"".join(word.to_bytes(2, "big") for word in words)
        return header + b"\x08\x00\x00\x00" + self.network.to_bytes(3, "big") + b"\x00" + inner

    def _ipv4(self, service: int, protocol: int, size: int) -> bytes:
        total = 20 + size
        head = bytes([0x45, service]) + (total if total <= 0xFFFF else 0).to_bytes(2, "big")
        head += self.identification.to_bytes(2, "big") + b"\x40\x00" + bytes([HOP_LIMIT, protocol])
        self.identification = (self.identification + 1) & 0xFFFF
        addresses = self.source.packed + self.destination.packed
        return head + (ones_sum(head + addresses) ^ 0xFFFF).to_bytes(2, "big") + addresses

    def _ipv6(self, service: int, protocol: int, size: int) -> bytes:
        head = (6 << 28 | service << 20).to_bytes(4, "big") + (size if size <= 0xFFFF else 0).to_bytes(
            2, "big"
        )
        return head + bytes([protocol, HOP_LIMIT]) + self.source.packed + self.destination.packed


def _service_and_flow(frame: bytes) -> tuple[int, int]:
    """Return the class-of-service byte of ``frame`` and a number that all frames of its flow share."""
    found = find(frame, encapsulated=False, vxlan_port=0, transports=frozenset({6, 17}))
    ip = found.outer
    if ip is None or ip.malformed or ip.fixed_end > len(frame):
        return 0, zlib.crc32(frame[:12])
    ports = frame[ip.end : ip.end + 4] if found.transport is not None else b""
    if ip.version == 4:
        return frame[ip.start + 1], zlib.crc32(frame[ip.start + 12 : ip.start + 20] + ports)
    service = int.from_bytes(frame[ip.start : ip.start + 2], "big") >> 4 & 0xFF
    return service, zlib.crc32(frame[ip.start + 8 : ip.start + 40] + ports)
