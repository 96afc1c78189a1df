"""The send path: what becomes of a request.

A request is read (:class:`Orders`), its headers are found (:mod:`~offramp_sim.model.headers`), everything
that speaks against it is collected (:func:`objections`), and if nothing does, it is cut into segments or has
its checksums filled in. Whatever the request, nothing in here raises.
"""

import dataclasses
from collections.abc import Iterator

from offramp_sim.model import words
from offramp_sim.model.checksum import checksum, ones_sum
from offramp_sim.model.headers import IPV4, IPV6, Headers, Ip, Protocol, Transport, Tunnel, find
from offramp_sim.model.records import Build, Completion, Config, Outcome, Request, Status

FIN, SYN, RST, PSH, URG, CWR = 0x01, 0x02, 0x04, 0x08, 0x20, 0x80


def send(request: Request, config: Config | None = None, build: Build | None = None) -> Outcome:
    """Return the frames and the completion that ``request`` leads to.

    Parameters
    ----------
    request : Request
    config : Config, optional
        Default: everything on but encapsulation.
    build : Build, optional
        Default: the hardware's default limits.
    """
    config = config or Config()
    build = build or Build()
    orders = Orders.read(request)
    length = request.stated_length
    packet = request.frame[:length]

    headers = Headers()
    if orders.work:
        headers = find(
            packet,
            encapsulated=orders.encapsulated,
            vxlan_port=config.vxlan_port,
            transports=orders.transports,
            length=length,
            limit=build.max_header_bytes,
        )

    said = min(objections(orders, headers, packet, length, config, build), default=Status.OK)
    # What the headers say against a request is known before its last buffer has come, so it is reported even
    # if the buffers do not add up; unless it is header bytes that are missing.
    ends_early = len(packet) < length and len(packet) <= build.max_header_bytes
    dry = ends_early and (headers.cut or not packet)
    unsettled = ends_early and not dry and headers.end > len(packet)
    status = said
    if len(request.frame) != length and (said is Status.OK or dry or unsettled):
        status = Status.BUFFER_MISMATCH
    otherwise = status if said is Status.OK else said

    frames: list[bytes] = []
    payload_bytes = 0
    if said is Status.OK:
        whole = status is Status.OK
        if orders.segment:
            frames = segments(orders, headers, packet, length, config, whole=whole)
            payload_bytes = sum(len(frame) - headers.end for frame in frames)
        elif whole:
            frames = [with_checksums(orders, headers, packet, config)]

    tag = orders.vlan.tag
    return Outcome(
        frames=tuple(frame[:12] + tag + frame[12:] for frame in frames),
        completion=Completion(
            tag=request.tag,
            status=status.name.lower(),
            segments=len(frames),
            payload_bytes=payload_bytes,
            lso_completion=lso_completion(orders, payload_bytes),
        ),
        otherwise=otherwise.name.lower() if unsettled else None,
        **({} if dry else hints(orders, headers, request, length)),
    )


def hints(orders: "Orders", headers: Headers, request: Request, length: int) -> dict[str, bool]:
    """Return which of the words that carry nothing but hints are wrong about headers that were found."""
    tunnel, inner, transport = headers.tunnel, headers.inner, headers.transport
    stated = orders.supplemental
    return {
        "inner_version_hint": inner is not None
        and inner.protocol is not None
        and not inner.malformed
        and inner.end <= length
        and (inner.version == 6) != bool(stated.inner_ipv6),
        "tcp_options_hint": tunnel is not None
        and transport is not None
        and transport.data_offset > 5
        and transport.end <= length
        and not stated.tcp_options,
        "split_encapsulation": tunnel is not None
        and tunnel.end <= length
        and request.elements[0] < tunnel.end,
    }


@dataclasses.dataclass(frozen=True)
class Orders:
    """The out-of-band words of a request, and what they amount to (section 2)."""

    supplemental: words.Supplemental
    checksum: words.Checksum
    lso: words.LargeSend | None
    uso: words.UdpSegmentation | None
    vlan: words.Vlan

    @classmethod
    def read(cls, request: Request) -> "Orders":
        """Return what the words of ``request`` order; zero asks for no segmentation (OOB-20, OOB-40)."""
        return cls(
            supplemental=words.Supplemental.unpack(request.supplemental),
            checksum=words.Checksum.unpack(request.checksum),
            lso=words.LargeSend.unpack(request.lso) if request.lso else None,
            uso=words.UdpSegmentation.unpack(request.uso) if request.uso else None,
            vlan=words.Vlan.unpack(request.vlan),
        )

    @property
    def segment(self) -> bool:
        """The packet is to be segmented."""
        return self.lso is not None or self.uso is not None

    @property
    def checksum_valid(self) -> bool:
        """The checksum word means something (REQ-4, REQ-5)."""
        return self.checksum.ipv4 != self.checksum.ipv6

    @property
    def encapsulated(self) -> bool:
        """There is an inner frame to care for; the supplemental word needs another beside it (OOB-10)."""
        return bool(self.supplemental.encapsulated) and (self.checksum_valid or self.segment)

    @property
    def work(self) -> bool:
        """There is anything to do that needs the headers. If not, the packet passes as it is (T-30)."""
        flags = self.checksum.tcp or self.checksum.udp or self.checksum.ip_header
        return self.segment or self.encapsulated or (self.checksum_valid and bool(flags))

    @property
    def transports(self) -> frozenset[int]:
        """Transport protocols whose headers are needed; flags that do not match are ignored (INV-15)."""
        flags = {Protocol.TCP: self.checksum.tcp, Protocol.UDP: self.checksum.udp}
        return frozenset(protocol for protocol, flag in flags.items() if flag or self.segment)

    @property
    def mss(self) -> int:
        """Payload bytes of a full segment."""
        word = self.lso or self.uso
        return word.mss if word else 0


# Judging -------------------------------------------------------------------------------------------------


def objections(
    orders: Orders, headers: Headers, packet: bytes, length: int, config: Config, build: Build
) -> Iterator[Status]:
    """Yield every reason to refuse the request, except that its buffers do not add up."""
    if orders.checksum.ipv4 and orders.checksum.ipv6:
        yield Status.VERSION_CONFLICT
    if length == 0 or (orders.vlan.tag and length < 14):
        yield Status.HEADER_TRUNCATED
    if not orders.segment and length > build.max_mss + build.max_header_bytes:
        yield Status.FRAME_TOO_LONG
    if not orders.work:
        return

    announced = set(announced_ethertypes(orders))
    seen = {headers.link.ethertype} - {None} if headers.link else set()
    if len(announced) > 1 or (seen and announced - seen):
        yield Status.VERSION_CONFLICT
    if orders.encapsulated and orders.lso and not orders.lso.version2:
        yield Status.LSO_V1_ENCAPSULATED
    if headers.fault is not None:
        yield headers.fault
        return  # What was not found cannot be judged.
    if headers.tunnel and headers.tunnel.kind not in config.encapsulation:
        yield Status.TUNNEL_DISABLED
    if orders.segment and any(ip.fragment for ip in headers.ips):
        yield Status.FRAGMENT
    if orders.segment and any(ip.secured for ip in headers.ips):
        yield Status.EXTENSION_UNSUPPORTED
    if headers.cut or headers.end > build.max_header_bytes:
        yield Status.HEADER_TOO_LONG
    if headers.cut:
        return

    if headers.transport and headers.transport.protocol == Protocol.TCP and headers.transport.data_offset < 5:
        yield Status.TCP_DATA_OFFSET
    if any(stated != found for stated, found in offsets(orders, headers)):
        yield Status.OFFSETS_DISAGREE
    if orders.segment:
        yield from objections_to_segmenting(orders, headers, length, config, build)
    elif (layer := layer_to_sum(headers, packet, config)) and summed_range(packet, length, *layer) is None:
        yield Status.LENGTH_INCONSISTENT


def objections_to_segmenting(
    orders: Orders, headers: Headers, length: int, config: Config, build: Build
) -> Iterator[Status]:
    """Yield the reasons to refuse that only an LSO or USO request can have."""
    protocol = headers.transport.protocol if headers.transport else None
    if (orders.lso and protocol != Protocol.TCP) or (orders.uso and protocol != Protocol.UDP):
        yield Status.PROTOCOL_MISMATCH
    if headers.transport and headers.transport.flags & (SYN | RST | URG):
        yield Status.TCP_FLAGS
    if orders.mss == 0:
        yield Status.MSS_ZERO
    if orders.mss > build.max_mss:
        yield Status.MSS_OVER_STORE

    payload = length - headers.end
    if payload > build.max_payload_bytes:
        yield Status.PAYLOAD_TOO_LONG
    if orders.lso and not orders.lso.version2 and headers.outer and length - headers.outer.start > 0xFFFF:
        yield Status.PAYLOAD_TOO_LONG  # LSOv1 has a total length that is true (LIM-1, X-1)
    if ip := headers.innermost:
        if orders.lso and not config.lso(ip.version):
            yield Status.LSO_DISABLED
        if orders.uso and not config.uso(ip.version):
            yield Status.USO_DISABLED
        if payload > config.max_offload_bytes(ip.version):
            yield Status.PAYLOAD_TOO_LONG
    longest = headers.end + min(orders.mss, payload)
    if any(longest - ip.payload_start > 0xFFFF for ip in headers.ips):
        yield Status.SEGMENT_TOO_LONG  # UDP lengths are smaller than the length of the IP header in front


def announced_ethertypes(orders: Orders) -> Iterator[int]:
    """Yield what the out-of-band words say the outer EtherType is (INV-12).

    An encapsulated packet's segmentation words do not say which of its headers they mean (OOB-16).
    """
    if orders.checksum_valid:
        yield IPV6 if orders.checksum.ipv6 else IPV4
    if not orders.encapsulated:
        if orders.lso:
            yield IPV6 if orders.lso.version2 and orders.lso.ipv6 else IPV4
        if orders.uso:
            yield IPV6 if orders.uso.ipv6 else IPV4


def offsets(orders: Orders, headers: Headers) -> Iterator[tuple[int, int]]:
    """Yield pairs of a header offset that the host stated and the one that was found (INV-1, INV-2)."""
    stated = orders.supplemental
    ip = headers.innermost
    if orders.encapsulated:
        if stated.offsets_valid and headers.tunnel:
            yield stated.inner_frame_offset, headers.tunnel.end
            if ip:
                yield stated.inner_ip_offset, ip.start - headers.tunnel.end
                if not ip.fragment:
                    yield stated.inner_transport_offset, ip.end - ip.start
    elif ip and not ip.fragment:
        if orders.lso:
            yield orders.lso.tcp_header_offset, ip.end
        if orders.uso:
            yield orders.uso.udp_header_offset, ip.end
        given = orders.checksum.tcp_header_offset
        if given and not orders.segment and headers.transport and headers.transport.protocol == Protocol.TCP:
            yield given, ip.end


# Checksums without segmentation (section 3) --------------------------------------------------------------


def with_checksums(orders: Orders, headers: Headers, packet: bytes, config: Config) -> bytes:
    """Return ``packet`` with the checksums filled in that were asked for, else unchanged (TXC-13)."""
    frame = bytearray(packet)
    if layer := layer_to_sum(headers, packet, config):
        _, transport = layer
        if bounds := summed_range(packet, len(packet), *layer):
            # The seed in the field is the pseudo-header's sum and takes part in the sum (TXC-3).
            put_transport_checksum(frame, transport, ones_sum(packet[slice(*bounds)]))
    if (orders.encapsulated or orders.checksum.ip_header) and config.tx_ipv4_checksum:
        for ip in headers.ips:
            put_ip_checksum(frame, ip)
    return bytes(frame)


def layer_to_sum(headers: Headers, packet: bytes, config: Config) -> tuple[Ip, Transport] | None:
    """Return the transport header that a checksum is to be computed for, and the IP header in front of it.

    A seed of zero stands for a UDP datagram without checksum (TXC-10); no real seed is zero. What is switched
    off is left as it is (REQ-16).
    """
    ip, transport = headers.innermost, headers.transport
    if ip is None or transport is None:
        return None
    if transport.protocol == Protocol.UDP and seed(packet, transport) == 0:
        return None
    return (ip, transport) if transport_enabled(config, ip, transport) else None


def summed_range(packet: bytes, length: int, ip: Ip, transport: Transport) -> tuple[int, int] | None:
    """Return first and end of the bytes that the transport checksum covers, ``None`` if they make no sense.

    Not the packet's ``length`` but the length fields bound them (TXC-14).
    """
    ip_end = ip.payload_start + get(packet, ip.start + (2 if ip.version == 4 else 4))
    end = ip_end if transport.protocol == Protocol.TCP else transport.start + get(packet, transport.start + 4)
    return (transport.start, end) if transport.end <= end <= ip_end <= length else None


def transport_enabled(config: Config, ip: Ip, transport: Transport) -> bool:
    """Return whether the configuration wants this transport checksum inserted (REQ-16)."""
    enabled = config.tx_tcp_checksum if transport.protocol == Protocol.TCP else config.tx_udp_checksum
    return enabled(ip.version)


# Segmentation (sections 4, 14.3 and 14.4) ----------------------------------------------------------------


def segments(
    orders: Orders, headers: Headers, packet: bytes, length: int, config: Config, *, whole: bool
) -> list[bytes]:
    """Return the segments of ``packet``, which is ``length`` bytes long.

    Full segments first, one that is shorter last, at least one in all (LSO-10, LSO-11, INV-7). If the packet
    is not ``whole``, these are the segments that were complete before that could be seen: the ones whose
    payload is there, but never the last.
    """
    mss = orders.mss
    payload_bytes = length - headers.end
    count = max(1, -(-payload_bytes // mss))
    present = count if whole else min(count - 1, (len(packet) - headers.end) // mss)
    template = packet[: headers.end]
    payload = packet[headers.end :]
    return [
        segment(orders, headers, template, payload[n * mss : (n + 1) * mss], config, index=n, count=count)
        for n in range(present)
    ]


def segment(
    orders: Orders,
    headers: Headers,
    template: bytes,
    payload: bytes,
    config: Config,
    *,
    index: int,
    count: int,
) -> bytes:
    """Return segment ``index`` of ``count``: the header block ``template``, made to fit, and its ``payload``.

    What is not rewritten is copied: link headers, tunnel header, addresses, options, extension headers,
    TTL, DF, ECN (HDR-1, HDR-12, HDR-14, HDR-18, HDR-20). No length field of the template is believed (LSO-2).
    """
    frame = bytearray(template + payload)
    transport = headers.transport
    assert transport

    for ip in headers.ips:
        put_ip_length(frame, ip)
        if ip.version == 4:
            counting = 0x7FFF if orders.lso and config.id_wrap == 15 else 0xFFFF
            first = get(template, ip.start + 4)
            put(frame, ip.start + 4, (first & ~counting) | ((first + index) & counting))
        put_ip_checksum(frame, ip)

    l4_bytes = len(frame) - transport.start
    if transport.protocol == Protocol.TCP:
        put_tcp_sequence(frame, transport, index * orders.mss)
        frame[transport.start + 13] = tcp_flags(transport.flags, first=index == 0, last=index == count - 1)
    else:
        put(frame, transport.start + 4, l4_bytes)
    if transport.protocol == Protocol.TCP or seed(template, transport) != 0:  # USO-9
        # The seed takes part where it stands, and the length that it lacks joins it (HDR-21, USO-7).
        put_transport_checksum(frame, transport, ones_sum(frame[transport.start :]), l4_bytes)

    if headers.tunnel and headers.tunnel.kind == "vxlan":
        assert headers.outer
        put_vxlan_udp(frame, headers.outer, headers.tunnel)
    return bytes(frame)


def tcp_flags(flags: int, *, first: bool, last: bool) -> int:
    """Return a segment's TCP flags: CWR goes with the first, FIN and PSH with the last (HDR-15..18)."""
    if not first:
        flags &= ~CWR
    if not last:
        flags &= ~(FIN | PSH)
    return flags


# Fields --------------------------------------------------------------------------------------------------


def get(octets: bytes | bytearray, offset: int) -> int:
    """Return the big-endian 16-bit word at ``offset``."""
    return int.from_bytes(octets[offset : offset + 2], "big")


def put(frame: bytearray, offset: int, word: int) -> None:
    """Write a big-endian 16-bit ``word`` at ``offset``."""
    frame[offset : offset + 2] = word.to_bytes(2, "big")


def checksum_offset(transport: Transport) -> int:
    """Return where the checksum field of the ``transport`` header is."""
    return transport.start + (16 if transport.protocol == Protocol.TCP else 6)


def seed(packet: bytes, transport: Transport) -> int:
    """Return what the host left in the checksum field: a sum, not inverted (TXC-2, LSO-5, USO-7)."""
    return get(packet, checksum_offset(transport))


def put_transport_checksum(frame: bytearray, transport: Transport, *sums: int) -> None:
    """Write the checksum that stands for ``sums``; UDP sends 0xFFFF for zero (CS-4, USO-10, TXC-9)."""
    value = checksum(*sums)
    if value == 0 and transport.protocol == Protocol.UDP:
        value = 0xFFFF
    put(frame, checksum_offset(transport), value)


def put_tcp_sequence(frame: bytearray, transport: Transport, payload_before: int) -> None:
    """Advance the TCP sequence number by the ``payload_before`` this segment, modulo 2**32 (HDR-13)."""
    field = slice(transport.start + 4, transport.start + 8)
    sequence = int.from_bytes(frame[field], "big") + payload_before
    frame[field] = (sequence & 0xFFFF_FFFF).to_bytes(4, "big")


def put_ip_length(frame: bytearray, ip: Ip) -> None:
    """Make the length field of ``ip`` reach to the end of ``frame`` (HDR-2..5)."""
    put(frame, ip.start + (2 if ip.version == 4 else 4), len(frame) - ip.payload_start)


def put_ip_checksum(frame: bytearray, ip: Ip) -> None:
    """Recompute the header checksum of ``ip``, whatever is in the field (TXC-4); IPv6 has none."""
    if ip.version == 4:
        put(frame, ip.start + 10, 0)
        put(frame, ip.start + 10, checksum(ones_sum(frame[ip.start : ip.end])))


def put_vxlan_udp(frame: bytearray, outer: Ip, tunnel: Tunnel) -> None:
    """Rewrite length and checksum of the outer UDP header (VX-4, VX-5); the rest of ``frame`` must be final.

    A checksum is wanted only over IPv6, and only if the template has one. With a routing header under way the
    destination in the IPv6 header is not the one that counts, so then there is none either.
    """
    udp_bytes = len(frame) - tunnel.start
    put(frame, tunnel.start + 4, udp_bytes)
    wanted = get(frame, tunnel.start + 6) != 0 and outer.version == 6 and not outer.rerouted
    put(frame, tunnel.start + 6, 0)
    if wanted:
        addresses = ones_sum(frame[outer.start + 8 : outer.start + 40])
        value = checksum(addresses, udp_bytes, Protocol.UDP, ones_sum(frame[tunnel.start :]))
        put(frame, tunnel.start + 6, value or 0xFFFF)


# Completion (section 8) ----------------------------------------------------------------------------------


def lso_completion(orders: Orders, payload_bytes: int) -> int:
    """Return the completion's large-send word: LSOv2's is constant, LSOv1's counts payload (CMP-1..3)."""
    if orders.lso is None:
        return 0
    return words.LargeSend(version2=1).pack() if orders.lso.version2 else payload_bytes
