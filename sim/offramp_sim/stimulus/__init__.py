"""Random requests for the send path: every kind, valid or spoilt in every way, reproducible by seed.

What a request should lead to is not decided here; that is the business of the model. Only to make a checksum
come out as zero is the model asked what it would be otherwise.
"""

import dataclasses
import random
from collections.abc import Iterator

from offramp_sim.model import Build, Config, Request, send
from offramp_sim.stimulus.kinds import random_draft
from offramp_sim.stimulus.shape import Limits, Shape, put


def requests(
    rng: random.Random,
    count: int,
    *,
    build: Build | None = None,
    max_payload: int = 4096,
    max_segments: int = 40,
    config_every: int = 40,
    mismatches: bool = True,
) -> Iterator[tuple[Request, Config]]:
    """Yield ``count`` random requests, each with the configuration under which it is sent.

    Parameters
    ----------
    rng : random.Random
        The only source of randomness.
    count : int
    build : Build, optional
        The limits to play around with.
    max_payload : int
        Most payload bytes of any packet; what is too long for this is only *claimed* to be longer.
    max_segments : int
        Most segments of a request, so that a small MSS does not become a long train.
    config_every : int
        Mean number of requests from one change of configuration to the next.
    mismatches : bool
        Also yield requests whose buffers do not add up to their length.
    """
    build = build or Build()
    config = random_config(rng)
    for number in range(count):
        if rng.random() < 1 / config_every:
            config = random_config(rng)
        limits = Limits(build, max_payload, max_segments, config.vxlan_port)
        draft = random_draft(rng, limits)
        if not mismatches:
            draft.length = None
        request = draft.request(tag=number & 0xFFFF)
        if draft.headers and not draft.spoilt and rng.random() < 0.2:
            request = zero_a_checksum(rng, request, draft.shape, config, build)
        yield request, config


def random_config(rng: random.Random) -> Config:
    """Return a configuration, more often than not with everything switched on."""
    tunnels = frozenset({"nvgre", "vxlan"})
    port = 4789 if rng.random() < 0.6 else rng.randrange(1, 0x10000)
    wrap = rng.choice([15, 15, 16])
    if rng.random() < 0.6:
        return Config(encapsulation=tunnels, vxlan_port=port, id_wrap=wrap)
    switches = [field.name for field in dataclasses.fields(Config) if field.type is bool]
    off = {name: False for name in switches if rng.random() < 0.2}
    return Config(
        encapsulation=frozenset(name for name in sorted(tunnels) if rng.random() < 0.7),
        vxlan_port=port,
        id_wrap=wrap,
        max_offload_ipv4_bytes=rng.choice([262_143, 65_536, 1_000, 200]),
        max_offload_ipv6_bytes=rng.choice([262_143, 65_536, 1_000, 200]),
        **off,
    )


def zero_a_checksum(
    rng: random.Random, request: Request, shape: Shape, config: Config, build: Build
) -> Request:
    """Return ``request``, changed so that a checksum of one of its frames comes out as zero, if that can be.

    A word that is zero while the checksum is computed, and then takes its value, completes the sum to 0xFFFF.
    """
    frames = send(request, config, build).frames
    if not frames:
        return request
    tag = 4 if request.vlan & 0xFFFF else 0
    number = rng.randrange(len(frames))
    mss = (request.lso or request.uso) & 0xFFFFF
    room = len(frames[number]) - tag - shape.size
    # Pairs of a checksum field and a word that it covers, both in the request.
    places = [(number, shape.checksum_field, shape.size + number * mss)] * 3
    if room < 2:
        places.clear()
    for start, ip in ((shape.outer_ip, shape.outer), (shape.inner_ip, shape.innermost)):
        if ip.version == 4:
            places.append((0, start + 10, start + 4))
    if shape.tunnel == "vxlan":
        places.append((0, shape.tunnel_start + 6, shape.tunnel_start))
    if not places:
        return request
    number, field, word = rng.choice(places)
    if word >= shape.size:
        word += 2 * rng.randrange(room // 2)
    packet = bytearray(request.frame)
    put(packet, word, 0)
    frame = send(dataclasses.replace(request, frame=bytes(packet)), config, build).frames[number]
    packet[word : word + 2] = frame[field + tag : field + tag + 2]
    return dataclasses.replace(request, frame=bytes(packet))
