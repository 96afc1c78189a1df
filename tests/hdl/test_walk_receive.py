"""The walk over received frames, which nobody has said anything about: protocols and ports decide."""

import itertools
import random
from dataclasses import dataclass, field

import pytest
from offramp.walk.chain import HeaderWalk
from offramp_sim.model import ReceiveConfig
from offramp_sim.model.headers import Ip, Protocol
from offramp_sim.model.layers import Layers, find_layers
from offramp_sim.model.reception import Reason
from offramp_sim.stimulus.arrivals import arrival

from tests.hdl.walks import WIDTHS, WINDOW, Packet, walk
from tests.model.frames import build, destination, frame_of, ip, l4, link, tunnel_layer
from tests.model.shapes import get

BOTH = ReceiveConfig(encapsulation=frozenset({"nvgre", "vxlan"}))
CONFIGS = [
    BOTH,
    BOTH,
    ReceiveConfig(encapsulation=frozenset({"nvgre"})),
    ReceiveConfig(encapsulation=frozenset({"vxlan"}), vxlan_port=8472),
    ReceiveConfig(),
]
MISSING = (Reason.TRUNCATED, Reason.HEADER_LIMIT)


@dataclass
class Frame(Packet):
    """A frame, and what is looked into."""

    config: ReceiveConfig = field(default=BOTH)

    @property
    def look(self):
        tunnels = {name: name in self.config.encapsulation for name in ("nvgre", "vxlan")}
        return tunnels | {"strict": 0, "vxlan_port": self.config.vxlan_port}

    @property
    def layers(self) -> Layers:
        return find_layers(self.octets, self.config, WINDOW)


def is_missing(layout, size):
    """Whether a header that is needed is not all there; see :class:`offramp.receive.inspect.Inspect`."""
    tunnel, transport = layout["tunnel"], layout["transport"]
    innermost = layout["inner" if tunnel["nvgre"] or tunnel["vxlan"] else "outer"]
    needed = layout["end"]
    if transport["tcp"] or transport["udp"]:
        needed = innermost["end"] + (20 if transport["tcp"] else 8)
    return bool(layout["cut"]) or needed > min(size, WINDOW)


def check_ip(found, layer, octets, *, malformed, early):
    if layer.link is None:
        return
    assert found["start"] == layer.link.end
    assert (found["ipv4"], found["ipv6"]) == (layer.version == 4, layer.version == 6)
    assert found["malformed"] == malformed
    assert found["whole"] == (layer.ip is not None)
    if isinstance(header := layer.ip, Ip):
        assert found["end"] == header.end
        assert found["protocol"] == header.protocol
        assert found["fragment"] == header.fragment
        # A routing header that straddles beats may tell its segments after the header behind it is known.
        assert found["routed"] == header.rerouted or (early and not found["routed"])
        assert found["length_from"] == header.payload_start
        assert found["length"] == get(octets, header.start + (2 if header.version == 4 else 4))


def check(layout, frame, *, early=False):
    """Compare a layout with the model; where a header is missing, nothing else counts.

    One that comes ``early``, before the last beat has passed, has what the send path needs.
    """
    octets, layers = frame.octets, frame.layers
    assert is_missing(layout, len(octets)) == (layers.fault in MISSING)
    if layers.fault in MISSING:
        return
    malformed = layers.fault is Reason.MALFORMED
    outer_malformed = malformed and layers.outer.ip is None
    check_ip(layout["outer"], layers.outer, octets, malformed=outer_malformed, early=early)
    tunnel, transport = layout["tunnel"], layout["transport"]
    kind = layers.tunnel.kind if layers.tunnel else None
    assert (tunnel["nvgre"], tunnel["vxlan"]) == (kind == "nvgre", kind == "vxlan")
    assert tunnel["unknown"] == (layers.fault is Reason.TUNNEL_UNKNOWN)
    if layers.tunnel:
        start = layers.tunnel.start
        assert tunnel["inner_frame"] == layers.tunnel.end
        assert tunnel["inner_tag"] == bool(layers.inner.tags)
        has_checksum = octets[start] >> 7 if kind == "nvgre" else get(octets, start + 6) != 0
        assert tunnel["checksum"] == has_checksum
        check_ip(layout["inner"], layers.inner, octets, malformed=malformed, early=early)
    if malformed:
        return
    found = layers.transport
    assert transport["tcp"] == (found is not None and found.protocol == Protocol.TCP)
    assert transport["udp"] == (found is not None and found.protocol == Protocol.UDP)
    if found:
        assert transport["ports"] == int.from_bytes(octets[found.start : found.start + 4], "big")


def address(octets):
    return int.from_bytes(octets, "big")


def check_addresses(addresses, frame):
    """Compare what was collected of the inner frame, as far as there is one."""
    inner = frame.layers.inner
    if inner.mac is not None:
        assert addresses["mac"] == address(inner.mac)
    if inner.ip:
        assert addresses["ip"] == address(inner.addresses.ljust(32, b"\0"))


def check_all(walked, sent):
    for frame, layout, end, addresses in zip(
        sent, walked.layouts, walked.ends, walked.addresses, strict=True
    ):
        check(layout, frame, early=True)
        check(end, frame)
        check_addresses(addresses, frame)


def gre_frames(rng):
    """GRE with every combination of its fields, and each with bits that must be clear or may be set."""
    plain = frame_of("4", "nvgre", "6", "udp")
    start, inner = 34, plain[42:]
    six = frame_of("6", "nvgre", "4", "tcp")
    for fields in itertools.product((0, 1), repeat=3):
        flags = fields[0] << 15 | fields[1] << 13 | fields[2] << 12
        size = 4 * sum(fields)
        for more in (0, 0x4000, rng.choice([0x0001, 0x0002, 0x0004]), rng.choice([0x0007, 0x0FF8])):
            header = (flags | more).to_bytes(2, "big") + b"\x65\x58" + b"\xc3" * size
            yield Frame(plain[:start] + header + inner)
        yield Frame(six[:54] + flags.to_bytes(2, "big") + b"\x65\x58" + b"\x3c" * size + six[62:])
        yield Frame(plain[:start] + flags.to_bytes(2, "big") + b"\x08\x00" + bytes(size) + inner)


def vxlan_frames():
    """UDP that turns out to be VXLAN, or not: by its port, its flag, what is looked into, and its end."""
    for outer, inner in itertools.product("46", repeat=2):
        for tags in ((), (5,), (5, 6)):
            layers = [link("inner", 7), ip("inner", inner), l4("udp", inner)]
            for port, flags in ((4789, 8), (4789, 0xF7), (4790, 8), (8472, 8)):
                udp = tunnel_layer("vxlan", dport=port, flags=flags, chksum=None)
                octets = build(link("outer", *tags), ip("outer", outer), udp, *layers).frame
                yield Frame(octets, config=CONFIGS[port == 8472 and 3])
            yield Frame(octets, config=CONFIGS[2])
    for outer in "46":
        whole = frame_of(outer, "vxlan", "4", "tcp")
        start = 34 if outer == "4" else 54
        for end in range(start, start + 32):
            yield Frame(whole[:end])


def long_frames():
    """Frames that go on behind the window: nothing there changes what was found, or adds to it."""
    rng = random.Random(1)
    for tunnel in ("nvgre", "vxlan"):
        yield Frame(frame_of("6", tunnel, "4", "tcp", payload=rng.randbytes(500)))
        yield Frame(frame_of("4", tunnel, "6", "udp", payload=b"\x45\x00" * 150))
        yield Frame(frame_of("4", "", "", "tcp"))
    # The window ends inside a header, just behind it, or between two of them.
    for size in (160, 168, 176, 184, 192, 200):
        yield Frame(build(link(), ip("inner", "6"), destination(size), l4("tcp", "6")).frame + bytes(300))


def random_frames(rng, count):
    for _ in range(count):
        octets = arrival(rng, max_payload=400).frame
        yield Frame(octets, config=rng.choice(CONFIGS), mismatch=rng.random() < 0.1)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_layers_are_those_of_the_model(lanes):
    """In any order, back to back or with gaps, which are full of garbage."""
    rng = random.Random(lanes)
    sent = [*gre_frames(rng), *rng.sample(list(vxlan_frames()), 24), *long_frames(), *random_frames(rng, 24)]
    rng.shuffle(sent)
    check_all(walk(HeaderWalk(lanes, collect=True), sent, seed=lanes, idle=0.1), sent)


def test_what_was_found_goes_along_with_the_rest_of_a_frame():
    """The last beat has the layout that came with an early one, and its own mark."""
    sent = [Frame(frame.octets, mismatch=n % 2 == 0) for n, frame in enumerate(long_frames())]
    walked = walk(HeaderWalk(16, collect=True), sent)
    for frame, layout, end in zip(sent, walked.layouts, walked.ends, strict=True):
        assert end["last"]
        assert end["mismatch"] == frame.mismatch
        for name in ("tags", "outer", "tunnel", "inner", "end", "cut"):
            if not layout["cut"]:
                assert end[name] == layout[name]
