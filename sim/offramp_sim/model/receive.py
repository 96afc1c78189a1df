"""The receive path: what is to be said of a frame.

The layers are found as far as that goes (:mod:`~offramp_sim.model.layers`); every IPv4 header is judged by
itself; the first :class:`Reason` not to check the transport checksum is sought, and if there is none, it is
checked. Whatever the frame, nothing in here raises.
"""

from offramp_sim.model.checksum import fold, ones_sum
from offramp_sim.model.headers import Ip, Protocol, Transport, word
from offramp_sim.model.layers import GRE_CHECKSUM, Layer, Layers, find_layers
from offramp_sim.model.reception import Reason, ReceiveConfig, Reception, Verdicts
from offramp_sim.model.rss import steer

TCP_FAILED, UDP_FAILED, IP_FAILED = 0x01, 0x02, 0x04
TCP_SUCCEEDED, UDP_SUCCEEDED, IP_SUCCEEDED = 0x08, 0x10, 0x20
"""Bits of the checksum word (OOB-28..33)."""

MOBILITY, HIP, SHIM6 = 135, 139, 140
SECURITY = frozenset({Protocol.ESP, Protocol.AH})
UNREAD = {4: SECURITY, 6: SECURITY | {MOBILITY, HIP, SHIM6}}
"""By IP version, headers that there may be a transport header behind, or inside, but that are not walked over
(RXC-7).

AH is in front of what it covers and is walked over in IPv6, so as a last protocol it is IPv4's.
"""


def receive(
    frame: bytes,
    config: ReceiveConfig | None = None,
    *,
    marked_bad: bool = False,
    max_header_bytes: int = 256,
) -> Reception:
    """Return what is to be said of ``frame``.

    Parameters
    ----------
    frame : bytes
        Without frame check sequence.
    config : ReceiveConfig, optional
        Default: that of a reset, not active.
    marked_bad : bool
        The MAC says that the frame is not what was sent.
    max_header_bytes : int
        The build looks for headers in so many bytes from the frame's start.
    """
    config = config or ReceiveConfig()
    layers = find_layers(frame, config, max_header_bytes)
    reason = first_reason(layers, frame, config, marked_bad=marked_bad)
    verdicts = judge(layers, frame, config, reason)
    hash_value, hash_type, queue = steer(layers, frame[:max_header_bytes], config)
    innermost = layers.innermost
    return Reception(
        checksum=checksum_word(layers, verdicts),
        hash_value=hash_value,
        hash_type=hash_type,
        queue=queue,
        outer=version_name(layers.outer),
        inner=version_name(layers.inner),
        tunnel=layers.tunnel_name,
        protocol=innermost.ip.protocol if innermost.ip else None,
        reason=reason.name.lower() if reason else None,
        fragment=layers.fragment,
        vlan_tags=len(layers.outer.tags),
        inner_vlan=bool(layers.inner.tags),
        marked_bad=marked_bad,
        length=len(frame) & 0xFFFF,
        verdicts=verdicts,
    )


def version_name(layer: Layer) -> str | None:
    """Return how the IP version is called that the EtherType of ``layer`` announces."""
    return f"ipv{layer.version}" if layer.version else None


# Reasons -------------------------------------------------------------------------------------------------


def first_reason(
    layers: Layers, frame: bytes, config: ReceiveConfig, *, marked_bad: bool
) -> Reason | None:
    """Return the first reason not to check the transport checksum, ``None`` if it is to be checked."""
    if not config.active:
        return Reason.INACTIVE
    if marked_bad:
        return Reason.MARKED_BAD
    if layers.fault:
        return layers.fault
    if layers.fragment:
        return Reason.FRAGMENT
    ip, transport = layers.innermost.ip, layers.transport
    if ip is None:
        return Reason.NOT_IP
    if ip.protocol in UNREAD[ip.version] or ip.rerouted:
        return Reason.EXTENSION
    if transport is None:
        return Reason.PROTOCOL
    if not (outer_fits(layers, frame) and inner_fits(layers, frame)):
        return Reason.LENGTH
    if tunnel_verdict(layers, frame) == "bad":
        return Reason.TUNNEL_CHECKSUM
    if transport.protocol == Protocol.UDP and word(frame, transport.start + 6) == 0:
        return Reason.UDP_ZERO
    enabled = config.tcp_checksum if transport.protocol == Protocol.TCP else config.udp_checksum
    return None if enabled(ip.version) else Reason.DISABLED


def outer_fits(layers: Layers, frame: bytes) -> bool:
    """Return whether each length reaches over the header that it belongs to, and not beyond the one outside.

    What ends earlier than the frame, or than what is around it, is followed by padding (RXC-6, T-19). With a
    tunnel, this is up to its header, which must be there (:func:`inner_fits`).
    """
    ip, tunnel, transport = layers.outer.ip, layers.tunnel, layers.transport
    assert ip
    ends = [(ip.end, ip_end(ip, frame))]
    if tunnel:
        ends.append((tunnel.end, tunnel_end(layers, frame)))
    else:
        assert transport
        ends.append((transport.end, transport_end(layers, frame)))
    return nested(ends, len(frame))


def inner_fits(layers: Layers, frame: bytes) -> bool:
    """Return the same of what is inside a tunnel, if there is one."""
    ip, transport = layers.inner.ip, layers.transport
    if not layers.tunnel:
        return True
    assert ip and transport
    ends = [(ip.end, ip_end(ip, frame)), (transport.end, transport_end(layers, frame))]
    return nested(ends, tunnel_end(layers, frame))


def nested(ends: list[tuple[int, int]], limit: int) -> bool:
    """Return whether each of ``ends`` is not behind the one before, nor in front of what it must reach."""
    for least, end in ends:
        if not least <= end <= limit:
            return False
        limit = end
    return True


def tunnel_end(layers: Layers, frame: bytes) -> int:
    """Return the first byte behind what is in the tunnel."""
    assert layers.tunnel and layers.outer.ip
    if layers.tunnel.kind == "vxlan":
        return udp_end(layers.tunnel.start, frame)
    return ip_end(layers.outer.ip, frame)


def ip_end(ip: Ip, frame: bytes) -> int:
    """Return the first byte behind the datagram, by its length field."""
    return ip.payload_start + word(frame, ip.start + (2 if ip.version == 4 else 4))


def udp_end(start: int, frame: bytes) -> int:
    """Return the first byte behind the UDP datagram at ``start``, by its length field."""
    return start + word(frame, start + 4)


def transport_end(layers: Layers, frame: bytes) -> int:
    """Return the first byte that the transport checksum does not cover: UDP has a length of its own."""
    transport, ip = layers.transport, layers.innermost.ip
    assert transport and ip
    return ip_end(ip, frame) if transport.protocol == Protocol.TCP else udp_end(transport.start, frame)


# Checksums -----------------------------------------------------------------------------------------------


def judge(layers: Layers, frame: bytes, config: ReceiveConfig, reason: Reason | None) -> Verdicts:
    """Return the verdict on each layer's checksum.

    IPv4 headers are judged one by one, whatever else is wrong (RXC-4), and so is a tunnel that was looked
    into, whatever is in it; the transport header only if there is no ``reason`` against it.
    """
    if reason in (Reason.INACTIVE, Reason.MARKED_BAD):
        return Verdicts()
    outer = inner = tunnel = transport = "not_checked"
    if config.ipv4_checksum:
        outer, inner = (ipv4_verdict(layer.ip, frame) for layer in (layers.outer, layers.inner))
    tunnel = tunnel_verdict(layers, frame)
    if reason is None:
        ip, found = layers.innermost.ip, layers.transport
        assert ip and found
        transport = transport_verdict(ip, found, frame, transport_end(layers, frame))
    return Verdicts(outer_ip=outer, tunnel=tunnel, inner_ip=inner, transport=transport)


def verdict(*sums: int) -> str:
    """Return whether the 16-bit ``sums`` of all that a checksum covers, itself included, are right."""
    return "good" if fold(sum(sums)) == 0xFFFF else "bad"


def ipv4_verdict(ip: Ip | None, frame: bytes) -> str:
    """Return the verdict on an IPv4 header; IPv6 has no checksum."""
    if ip is None or ip.version != 4:
        return "not_checked"
    return verdict(ones_sum(frame[ip.start : ip.end]))


def tunnel_verdict(layers: Layers, frame: bytes) -> str:
    """Return the verdict on the tunnel's own checksum, if it has one (VX-6, RXT-21, RXT-22).

    The lengths outside must fit. It is checked whatever is switched off.
    """
    outer, tunnel = layers.outer.ip, layers.tunnel
    if not outer or not tunnel or not outer_fits(layers, frame):
        return "not_checked"
    if tunnel.kind == "vxlan":
        if word(frame, tunnel.start + 6) == 0 or outer.rerouted:
            return "not_checked"  # the final destination is in the pseudo-header
        header = Transport(Protocol.UDP, tunnel.start, tunnel.start + 8)
        return transport_verdict(outer, header, frame, udp_end(tunnel.start, frame))
    if not word(frame, tunnel.start) & GRE_CHECKSUM or outer.end > outer.payload_start > outer.start:
        return "not_checked"  # as is GRE's behind IPv6 extension headers
    return verdict(ones_sum(frame[tunnel.start : ip_end(outer, frame)]))


def transport_verdict(ip: Ip, transport: Transport, frame: bytes, end: int) -> str:
    """Return the verdict on a TCP or UDP checksum over bytes up to ``end`` and the pseudo-header (RXC-6)."""
    addresses = slice(ip.start + 12, ip.start + 20) if ip.version == 4 else slice(ip.start + 8, ip.start + 40)
    return verdict(
        ones_sum(frame[addresses]),
        transport.protocol,
        end - transport.start,
        ones_sum(frame[transport.start : end]),
    )


def checksum_word(layers: Layers, verdicts: Verdicts) -> int:
    """Return the checksum word for the host: never both bits of a pair (RXC-2..5)."""
    flags = 0
    ip_verdicts = {verdicts.outer_ip, verdicts.inner_ip} - {"not_checked"}
    if "bad" in ip_verdicts:
        flags |= IP_FAILED
    elif ip_verdicts and layers.all_ipv4_seen:
        flags |= IP_SUCCEEDED
    is_tcp = layers.transport is not None and layers.transport.protocol == Protocol.TCP
    match verdicts.transport:
        case "good":
            flags |= TCP_SUCCEEDED if is_tcp else UDP_SUCCEEDED
        case "bad":
            flags |= TCP_FAILED if is_tcp else UDP_FAILED
    return flags
