"""The kinds of requests: nothing to be done, checksums to be inserted, a packet to be segmented."""

import random

from offramp_sim.model.headers import Protocol
from offramp_sim.model.words import Checksum, LargeSend, Supplemental, UdpSegmentation
from offramp_sim.stimulus.draft import Draft, announce
from offramp_sim.stimulus.shape import ICMP, ICMPV6, Limits, put, put_seed, random_payload, random_shape
from offramp_sim.stimulus.spoil import make_fragment, spoilers


def random_draft(rng: random.Random, limits: Limits) -> Draft:
    """Return a request of any kind, sometimes spoilt."""
    kinds = {bystander: 1, sum_up: 4, cut_up: 5}
    (kind,) = rng.choices(list(kinds), list(kinds.values()))
    draft = kind(rng, limits)
    if rng.random() < 0.25:
        draft.spoilt = True
        rng.choice(spoilers(draft))(draft)
    return draft


def bystander(rng: random.Random, limits: Limits) -> Draft:
    """Return a packet that nothing is to be done with, whatever the words beside the point say (T-30)."""
    size = rng.choice(
        [1, 13, 14, 59, 60, 63, 64, 65, 128, rng.randint(1, 300), rng.randint(1, 1 + limits.max_payload)]
    )
    draft = Draft(rng, limits, bytearray(rng.randbytes(size)))
    match rng.randrange(3):
        case 0:  # a checksum word that names no IP version
            draft.checksum = Checksum(tcp=1, udp=rng.getrandbits(1), ip_header=rng.getrandbits(1))
        case 1:  # a supplemental word without another beside it
            draft.supplemental = Supplemental.unpack(rng.getrandbits(32))
        case 2:  # a checksum word that asks for nothing
            draft.checksum = Checksum(ipv4=1, tcp_header_offset=rng.getrandbits(10))
    return draft


def sum_up(rng: random.Random, limits: Limits) -> Draft:
    """Return a packet to put checksums into, without segmentation (section 3)."""
    tunnel = rng.choice(["", "nvgre", "vxlan"])
    protocol = rng.choice([*[Protocol.TCP, Protocol.UDP] * 3, ICMP, ICMPV6, rng.randrange(256)])
    shape = random_shape(rng, limits, protocol, tunnel=tunnel, secured=True)
    room = min(limits.max_payload, limits.build.max_mss)
    size = rng.choice([0, 1, 18, rng.randint(0, 100), rng.randint(0, room)])
    payload = random_payload(rng, size, shape.size)
    packet = shape.write(rng, payload)
    if protocol == Protocol.UDP:
        put(packet, shape.transport + 4, 8 + len(payload))
    if protocol in (Protocol.TCP, Protocol.UDP):
        put_seed(rng, packet, shape, len(packet) - shape.transport)
        if rng.random() < 0.1:
            put(packet, shape.checksum_field, 0)
    if rng.random() < 0.2:  # padding, or a trailer, that is no part of the datagram (TXC-14)
        packet += rng.randbytes(rng.randint(1, 30))
    flags = rng.choices([0, 1], [1, 4], k=3)
    draft = Draft(
        rng, limits, packet, shape, checksum=Checksum(tcp=flags[0], udp=flags[1], ip_header=flags[2])
    )
    if rng.random() < 0.1:
        make_fragment(draft)
    announce(draft)
    return draft


def cut_up(rng: random.Random, limits: Limits) -> Draft:
    """Return a packet to be segmented: LSOv2, LSOv1 or USO, with or without a tunnel (section 4)."""
    tunnel = rng.choice(["", "nvgre", "nvgre", "vxlan"])
    protocol = rng.choice([Protocol.TCP, Protocol.TCP, Protocol.UDP])
    shape = random_shape(rng, limits, protocol, tunnel=tunnel)
    mss, size = random_sizes(rng, limits, shape.size)
    packet = shape.write(rng, random_payload(rng, size, shape.size))
    if rng.random() < 0.95:
        put_seed(rng, packet, shape, 0)
    if rng.random() < 0.5:  # LSO-2: nobody promises anything about lengths
        for start, ip in ((shape.outer_ip, shape.outer), (shape.inner_ip, shape.innermost)):
            put(packet, start + (2 if ip.version == 4 else 4), rng.choice([0, rng.getrandbits(16)]))
        if shape.tunnel == "vxlan":
            put(packet, shape.tunnel_start + 4, rng.getrandbits(16))
    if protocol == Protocol.UDP:
        put(packet, shape.transport + 4, rng.choice([0, rng.getrandbits(16)]))
        if rng.random() < 0.1:
            put(packet, shape.checksum_field, 0)
    draft = Draft(rng, limits, packet, shape)
    offset = rng.getrandbits(10) if tunnel else shape.transport
    ipv6 = rng.getrandbits(1) if tunnel else int(shape.outer.version == 6)
    if protocol == Protocol.TCP:
        version2 = 1 if tunnel or ipv6 else rng.choice([0, 1, 1])
        draft.lso = LargeSend(mss=mss, tcp_header_offset=offset, version2=version2, ipv6=ipv6)
    else:
        draft.uso = UdpSegmentation(mss=mss, udp_header_offset=offset, ipv6=ipv6)
    if rng.random() < 0.7:
        draft.checksum = Checksum(
            tcp=rng.getrandbits(1), udp=rng.getrandbits(1), ip_header=rng.getrandbits(1)
        )
    announce(draft)
    return draft


def random_sizes(rng: random.Random, limits: Limits, header_bytes: int) -> tuple[int, int]:
    """Return MSS and payload bytes, most of them near a boundary of beats, segments or the store."""
    longest = limits.build.max_mss
    near = rng.choice([-1, 0, 0, 1])
    beat = rng.choice([8, 16, 32, 64])
    mss = rng.choice(
        [
            rng.randint(1, 20),
            beat + near,
            beat * rng.randint(1, 8) - header_bytes % beat + near,  # frames that end near the end of a beat
            rng.choice([536, 1460, 1448, 8960, longest, longest - 1]),
            rng.randint(1, 2000),
            rng.randint(1, longest),
        ]
    )
    mss = min(max(mss, 1), longest)
    most = min(limits.max_payload, mss * limits.max_segments)
    size = rng.choice(
        [
            mss * rng.randint(0, 6) + near,
            rng.randint(0, mss),
            rng.randint(0, 4 * mss),
            rng.randint(0, most),
            most,
        ]
    )
    return mss, min(max(size, 0), most)
