"""Plays the driver: turns captured frames into the requests that NDIS would make of a network device.

A capture on a sending host shows packets before the device has worked on them: longer than any frame, with
real lengths, and with checksums that are partial (the sum of the pseudo-header) or final. NDIS hands such
packets over with the work described in out-of-band words, with lengths of 0 where the device is to write them
(LSO-2), and with the seeds of TXC-2 and LSO-5 in the checksum fields.
"""

import itertools
from dataclasses import dataclass

from offramp_sim.metadata import Hint
from offramp_sim.model import Build, Config, Request
from offramp_sim.model.checksum import fold, ones_sum
from offramp_sim.model.headers import Headers, Ip, Transport, find
from offramp_sim.model.words import Checksum, LargeSend, Supplemental, UdpSegmentation
from offramp_sim.tunnel import VXLAN_PORT, Encapsulation

PAGE_BYTES = 4096
"""Payload comes in buffers of at most this much, as pages of memory do."""

TCP, UDP, ROUTING = 6, 17, 43
_SYN_RST_URG = 0x26
_CHECKSUM_OFFSET = {TCP: 16, UDP: 6}


@dataclass(frozen=True, slots=True)
class Packet:
    """A captured packet as seen through one reading of its headers: with a tunnel, or without.

    ``ip`` is the innermost IP header and ``end`` the first byte behind the datagram that it begins; what
    follows is padding of the link.
    """

    octets: bytes
    headers: Headers
    ip: Ip
    end: int

    @property
    def transport(self) -> Transport | None:
        """The TCP or UDP header, if there is one."""
        return self.headers.transport

    def word(self, offset: int) -> int:
        """Return the big-endian 16-bit word at ``offset``."""
        return int.from_bytes(self.octets[offset : offset + 2], "big")

    def checksum_at(self, transport: Transport) -> int:
        """Return where the checksum field of ``transport`` is."""
        return transport.start + _CHECKSUM_OFFSET[transport.protocol]

    def transport_bytes(self, transport: Transport) -> int:
        """Return the length that the pseudo-header counts: header and payload of the transport."""
        if transport.protocol == UDP and self.word(transport.start + 4):
            return self.word(transport.start + 4)
        return self.end - transport.start

    def pseudo_sum(self, transport: Transport) -> int:
        """Return the sum of addresses and protocol (LSO-5); a routing header has the final destination."""
        if self.ip.version == 4:
            addresses = self.octets[self.ip.start + 12 : self.ip.start + 20]
        else:
            addresses = self.octets[self.ip.start + 8 : self.ip.start + 24] + self._final_destination()
        return fold(ones_sum(addresses) + transport.protocol)

    def _final_destination(self) -> bytes:
        """Return the address at which an IPv6 packet's journey ends (RFC 8200 8.1, RFC 8754)."""
        octets, at, kind = self.octets, self.ip.start + 40, self.octets[self.ip.start + 6]
        while self.ip.rerouted and at < self.ip.end and kind != ROUTING:
            kind, at = octets[at], at + 8 * (octets[at + 1] + 1)
        if kind == ROUTING and self.ip.rerouted:
            size = 8 * (octets[at + 1] + 1)
            match octets[at + 2]:
                case 0 | 2 if size >= 24:
                    return octets[at + size - 16 : at + size]
                case 4 if size >= 24:
                    return octets[at + 8 : at + 24]
        return octets[self.ip.start + 24 : self.ip.start + 40]

    def ip_checksums_right(self) -> bool:
        """Return whether every IPv4 header sums up."""
        sizes = ((ip, 4 * (self.octets[ip.start] & 0xF)) for ip in self.headers.ips if ip.version == 4)
        return all(ones_sum(self.octets[ip.start : ip.start + size]) == 0xFFFF for ip, size in sizes)

    def lengths_right(self, transport: Transport) -> bool:
        """Return whether the length fields give a range for the transport checksum (TXC-14)."""
        size = self.transport_bytes(transport)
        return transport.end - transport.start <= size <= self.end - transport.start

    def transport_checksum_right(self, transport: Transport) -> bool:
        """Return whether the transport checksum is final, absent, or such that nothing can be said."""
        if not self.lengths_right(transport):
            return True
        if transport.protocol == UDP and self.word(self.checksum_at(transport)) == 0:
            return True
        size = self.transport_bytes(transport)
        covered = self.octets[transport.start : transport.start + size]
        return fold(self.pseudo_sum(transport) + fold(size) + ones_sum(covered)) == 0xFFFF


def read(octets: bytes, *, encapsulated: bool, vxlan_port: int) -> Packet | None:
    """Return ``octets`` as a packet in a tunnel, or one without; ``None`` if it cannot be read so."""
    headers = find(octets, encapsulated=encapsulated, vxlan_port=vxlan_port, transports=frozenset({TCP, UDP}))
    ip = headers.innermost
    if headers.fault is not None or ip is None or (encapsulated and headers.tunnel is None):
        return None
    length_at = ip.start + (2 if ip.version == 4 else 4)
    length = int.from_bytes(octets[length_at : length_at + 2], "big")
    end = ip.payload_start + length if length else len(octets)  # 0: a packet longer than the field can say
    return Packet(octets, headers, ip, end) if ip.end <= end <= len(octets) else None


class Driver:
    """Makes requests of frames.

    Parameters
    ----------
    mss : int, optional
        Segment payloads that are longer into pieces of so many bytes. Frames that come with a hint are
        segmented as that says instead.
    vxlan_port : int
        UDP destination port that means VXLAN.
    encapsulation : Encapsulation, optional
        Put every frame into this tunnel first, unless it is in one already.
    """

    def __init__(
        self, *, mss: int | None, vxlan_port: int = VXLAN_PORT, encapsulation: Encapsulation | None = None
    ) -> None:
        self.mss = mss
        self.vxlan_port = vxlan_port
        self.encapsulation = encapsulation
        self.config = Config(encapsulation=frozenset({"nvgre", "vxlan"}), vxlan_port=vxlan_port)
        """The run-time configuration under which the requests are meant to be served."""

    def request(self, frame: bytes, hint: Hint | None = None, *, tag: int = 0) -> Request:
        """Return the request for ``frame``; it asks for nothing where the frame needs nothing.

        Raises :class:`ValueError` if ``hint`` cannot be true of the frame.
        """
        grown = 0
        inside = read(frame, encapsulated=True, vxlan_port=self.vxlan_port)
        if self.encapsulation is not None and inside is None:
            wrapped = self.encapsulation.wrap(frame)
            grown = len(wrapped) - len(frame)
            frame = wrapped
            inside = read(frame, encapsulated=True, vxlan_port=self.vxlan_port)
        readings = [inside, read(frame, encapsulated=False, vxlan_port=self.vxlan_port)]
        packets = [packet for packet in readings if packet is not None]
        if hint is None:
            for packet in packets:
                # A datagram that is itself a tunnel is not to be divided, only what is inside.
                if made := self._needed(packet, tag, mss=self.mss if packet is packets[0] else None):
                    return made
            return Request(frame=frame, tag=tag)
        if not hint.needs_checksum and not hint.mss:
            return Request(frame=frame, tag=tag)
        return self._hinted(packets, hint, grown, tag)

    def _needed(self, packet: Packet, tag: int, *, mss: int | None) -> Request | None:
        """Return a request for what ``packet`` is seen to need, ``None`` if it needs nothing."""
        transport = packet.transport
        if transport is not None and mss is not None and _can_be_segmented(packet, transport, mss):
            seed = packet.pseudo_sum(transport)
            if transport.protocol == UDP and packet.word(packet.checksum_at(transport)) == 0:
                seed = 0
            return _segmentation(packet, transport, mss, seed, tag)
        if transport is not None and not packet.transport_checksum_right(transport):
            seed = fold(packet.pseudo_sum(transport) + packet.transport_bytes(transport))
            return _insertion(packet, transport, seed, tag)
        if not packet.ip_checksums_right():
            return _insertion(packet, None, 0, tag)
        return None

    def _hinted(self, packets: list[Packet], hint: Hint, grown: int, tag: int) -> Request:
        """Return a request for what ``hint`` says; ``grown`` bytes have come in front of the frame since."""
        start = hint.checksum_start + grown
        for packet in packets:
            transport = packet.transport
            if transport is None or (hint.needs_checksum and transport.start != start):
                continue
            if hint.needs_checksum and hint.checksum_offset != _CHECKSUM_OFFSET[transport.protocol]:
                raise ValueError(f"csum_offset {hint.checksum_offset} is not where the checksum is")
            if hint.mss and transport.protocol != hint.protocol:
                raise ValueError("gso is not for the protocol of the frame")
            size = packet.transport_bytes(transport)
            seed = fold(packet.pseudo_sum(transport) + size)
            if hint.needs_checksum:
                seed = packet.word(packet.checksum_at(transport))
            if hint.mss:
                without_length = fold(seed + (0xFFFF - fold(size))) if seed else 0
                return _segmentation(packet, transport, hint.mss, without_length, tag)
            return _insertion(packet, transport, seed, tag)
        raise ValueError(f"no TCP or UDP header at byte {hint.checksum_start} (csum_start)")


def _can_be_segmented(packet: Packet, transport: Transport, mss: int) -> bool:
    """Return whether the payload of ``packet`` is longer than ``mss`` and the rules let it be divided."""
    if transport.protocol == TCP and (transport.flags & _SYN_RST_URG or transport.data_offset < 5):
        return False
    if any(ip.secured or ip.fragment for ip in packet.headers.ips):
        return False
    if packet.transport_bytes(transport) != packet.end - transport.start:
        return False
    return packet.end - transport.end > mss and transport.end <= Build().max_header_bytes


def _buffers(packet: Packet, header_bytes: int, length: int) -> tuple[int, ...]:
    """Return the scatter-gather lengths: encapsulation, other headers, payload in pages (SG-2, SG-3)."""
    tunnel = packet.headers.tunnel
    cuts = [0, tunnel.end if tunnel else 0, *range(header_bytes, length, PAGE_BYTES), length]
    return tuple(end - start for start, end in itertools.pairwise(cuts) if end > start)


def _supplemental(packet: Packet) -> int:
    """Return the supplemental word: where the inner headers are, if there are any."""
    headers = packet.headers
    if headers.tunnel is None or headers.inner_link is None or headers.inner is None:
        return Supplemental().pack()
    frame, ip = headers.tunnel.end, headers.inner.start
    transport = headers.inner.end
    fits = frame < 1 << 8 and ip - frame < 1 << 6 and transport - ip < 1 << 10
    options = packet.transport is not None and packet.transport.data_offset > 5
    return Supplemental(
        encapsulated=1,
        offsets_valid=int(fits),
        inner_frame_offset=frame if fits else 0,
        inner_ip_offset=ip - frame if fits else 0,
        inner_transport_offset=transport - ip if fits else 0,
        inner_ipv6=int(headers.inner.version == 6),
        tcp_options=int(options),
    ).pack()


def _checksum(packet: Packet, transport: Transport | None) -> int:
    """Return the checksum word that asks for every IPv4 header checksum and that of ``transport``."""
    outer = packet.headers.ips[0]
    tcp = transport is not None and transport.protocol == TCP
    offset = transport.start if tcp and transport is not None and packet.headers.tunnel is None else 0
    return Checksum(
        ipv4=int(outer.version == 4),
        ipv6=int(outer.version == 6),
        tcp=int(tcp),
        udp=int(transport is not None and transport.protocol == UDP),
        ip_header=int(outer.version == 4),
        tcp_header_offset=offset,
    ).pack()


def _put(octets: bytearray, offset: int, word: int) -> None:
    octets[offset : offset + 2] = word.to_bytes(2, "big")


def _insertion(packet: Packet, transport: Transport | None, seed: int, tag: int) -> Request:
    """Return a request to insert checksums and nothing else (TXC-1..5)."""
    octets = bytearray(packet.octets)
    for ip in packet.headers.ips:
        if ip.version == 4:
            _put(octets, ip.start + 10, 0)
    if transport is not None:
        _put(octets, packet.checksum_at(transport), seed)
    return Request(
        frame=bytes(octets),
        buffers=_buffers(packet, packet.headers.end, len(octets)),
        supplemental=_supplemental(packet),
        checksum=_checksum(packet, transport),
        tag=tag,
    )


def _segmentation(packet: Packet, transport: Transport, mss: int, seed: int, tag: int) -> Request:
    """Return a request to segment the payload (LSO-2..6, USO-7), every length field 0."""
    octets = bytearray(packet.octets[: packet.end])
    for ip in packet.headers.ips:
        if ip.version == 4:
            _put(octets, ip.start + 2, 0)
            _put(octets, ip.start + 10, 0)
        else:
            _put(octets, ip.start + 4, 0)
    tunnel = packet.headers.tunnel
    if tunnel is not None and tunnel.kind == "vxlan":
        _put(octets, tunnel.start + 4, 0)
    if transport.protocol == UDP:
        _put(octets, transport.start + 4, 0)
    _put(octets, packet.checksum_at(transport), seed)

    offset = transport.start if tunnel is None else 0
    ipv6 = int(packet.headers.ips[0].version == 6)
    lso = uso = 0
    if transport.protocol == TCP:
        lso = LargeSend(mss=mss, tcp_header_offset=offset, version2=1, ipv6=ipv6).pack()
    else:
        uso = UdpSegmentation(mss=mss, udp_header_offset=offset, ipv6=ipv6).pack()
    return Request(
        frame=bytes(octets),
        buffers=_buffers(packet, transport.end, len(octets)),
        supplemental=_supplemental(packet),
        checksum=_checksum(packet, transport),
        lso=lso,
        uso=uso,
        tag=tag,
    )
