import itertools
import random
from dataclasses import dataclass

import pytest
from offramp.walk.chain import HeaderWalk
from offramp_sim import stimulus
from offramp_sim.model.checksum import fold, ones_sum
from offramp_sim.model.headers import Headers, Protocol
from offramp_sim.model.records import Status

from tests.hdl.streams import simulate
from tests.hdl.walks import (
    AUTHENTICATION,
    ETHERNET,
    FRAGMENT,
    HOP,
    NVGRE,
    SHAPES,
    VXLAN,
    WIDTHS,
    WINDOW,
    Packet,
    Walked,
    chain,
    options,
    packet_of,
    random_chains,
    routing,
    walk,
)
from tests.model.shapes import Shape, get


def fault(layout, packet):
    """What the next stage makes of a layout; see :class:`offramp.send.judge.Judge`."""
    tunnel = layout["tunnel"]
    inside = tunnel["nvgre"] or tunnel["vxlan"]
    if (layout["cut"] and layout["last"]) or layout["end"] > len(packet.octets):
        return Status.HEADER_TRUNCATED
    if layout["outer"]["malformed"] or (inside and layout["inner"]["malformed"]):
        return Status.IP_HEADER
    if packet.tunnels and not inside and not layout["outer"]["fragment"]:
        return Status.GRE_OPTIONS if tunnel["gre_options"] else Status.TUNNEL_UNSUPPORTED
    return None


def check_network(found, link, ip, octets):
    assert found["start"] == link.end
    assert (found["ipv4"], found["ipv6"]) == (link.version == 4, link.version == 6)
    if ip is not None:
        assert found["end"] == ip.end
        assert found["fragment"] == ip.fragment
        assert ip.fragment or found["secured"] == ip.secured
        assert found["length"] == get(octets, ip.start + (2 if ip.version == 4 else 4))
        if ip.version == 4:
            assert found["identification"] == get(octets, ip.start + 4)


def check(layout, packet):
    """Compare a layout with the header finder of the model."""
    octets, headers = packet.octets, packet.headers()
    if headers.end > WINDOW or (headers.fault and len(octets) > WINDOW):
        assert layout["cut"] or layout["end"] > WINDOW or fault(layout, packet)
        return
    assert fault(layout, packet) == headers.fault
    tunnel = layout["tunnel"]
    if headers.tunnel:
        assert tunnel[headers.tunnel.kind]
        assert tunnel["inner_frame"] == headers.tunnel.end
    if headers.fault:
        return

    assert not layout["cut"]
    assert layout["end"] == headers.end
    assert (tunnel["nvgre"] or tunnel["vxlan"]) == (headers.tunnel is not None)
    check_network(layout["outer"], headers.link, headers.outer, octets)
    if headers.tunnel:
        check_network(layout["inner"], headers.inner_link, headers.inner, octets)
        assert layout["outer"]["routed"] == headers.outer.rerouted
        if headers.tunnel.kind == "vxlan":
            assert tunnel["checksum"] == (get(octets, headers.tunnel.start + 6) != 0)

    transport, found = headers.transport, layout["transport"]
    assert found["tcp"] == (transport is not None and transport.protocol == Protocol.TCP)
    assert found["udp"] == (transport is not None and transport.protocol == Protocol.UDP)
    if found["tcp"]:
        start = transport.start
        assert found["sequence"] == int.from_bytes(octets[start + 4 : start + 8], "big")
        assert found["control"] == get(octets, start + 12)
        assert found["checksum"] == get(octets, start + 16)
    if found["udp"]:
        assert found["sequence"] >> 16 == get(octets, transport.start + 4)
        assert found["checksum"] == get(octets, transport.start + 6)
    if layout["last"]:
        assert layout["mismatch"] == packet.mismatch


def without(octets, start, end, *fields):
    """The sum of a part of the packet, without the words at ``fields``."""
    counted = bytearray(octets)
    for place in fields:
        counted[place : place + 2] = bytes(2)
    return ones_sum(counted[start:end])


def check_sums(sums, packet):
    """Compare the sums of headers that were found, and matter to anybody, with plain ones."""
    octets, headers = packet.octets, packet.headers()
    outer, inner, transport = headers.outer, headers.inner, headers.transport
    if headers.fault or headers.end > WINDOW:
        return
    if outer and outer.version == 4:
        assert sums["outer"] == without(octets, outer.start, outer.end, outer.start + 10)
    elif outer and headers.tunnel and headers.tunnel.kind == "vxlan":
        udp = headers.tunnel.start
        addresses = ones_sum(octets[outer.start + 8 : outer.start + 40])
        assert sums["outer"] == fold(
            addresses + without(octets, udp, headers.inner_link.end, udp + 4, udp + 6)
        )
    if inner:
        fields = [inner.start + 10] if inner.version == 4 else []
        assert sums["inner"] == without(octets, inner.start, inner.end, *fields)
    if transport:
        place = transport.start + (16 if transport.protocol == Protocol.TCP else 6)
        assert sums["transport"] == without(octets, transport.start, transport.end, place)


def check_all(walked, sent):
    for layout, sums, packet in zip(walked.layouts, walked.sums, sent, strict=True):
        check(layout, packet)
        check_sums(sums, packet)


def completing_byte(headers: Headers) -> int:
    """The byte that tells the last of what a layout has."""
    if headers.transport:
        return headers.transport.start + (17 if headers.transport.protocol == Protocol.TCP else 7)
    if ip := headers.innermost:
        return ip.start + (9 if ip.version == 4 else 7)  # with no extension header
    return (headers.inner_link or headers.link).end - 1

def random_packets(rng, count):
    """Packets of all kinds, some of them spoilt, most of them cut off behind the headers."""
    sent = []
    for request, config in stimulus.requests(rng, count, max_payload=64, config_every=5, mismatches=False):
        octets = request.frame[: rng.choice([WINDOW, WINDOW, 600])] or b"\0"
        tunnels = bool(request.supplemental & 1) or rng.random() < 0.1
        sent.append(Packet(octets, tunnels, config.vxlan_port, mismatch=rng.random() < 0.5))
    return sent


STRADDLING = [None, 0, 1, 2, 3]
"""Length of a header in front of a routing header, in its own units."""

def cut_anywhere(lanes):
    """Packets that end at every few bytes."""
    shapes = [
        Shape(tunnel="nvgre", inner=6, inner_extras=("destination",), tcp_options=True),
        Shape(tunnel="vxlan", outer=6, transport="udp", tags=(0x8100,)),
        Shape(outer=6, outer_extras=("routing",), tags=(0x8100, 0x8100)),
    ]
    for shape in shapes:
        whole = packet_of(shape, b"12")
        for end in range(1, len(whole.octets) + 1, 2 if lanes == 16 else 3):
            yield Packet(whole.octets[:end], whole.tunnels, mismatch=end % 2 == 0)


def straddling(units):
    """With two VLAN tags the first extension header starts in the last word of a beat, at any width."""
    before = [] if units is None else [options(units)]
    for left in (1, 0, 255, 0):
        yield chain(*before, routing(left))
        yield chain(*before, options(0))
        yield chain(*before, routing(left, hops=1), routing(0), protocol=Protocol.TCP)


def remains(rng):
    """A short packet behind every kind of long one, cut off where what is missing was there before."""
    long = [packet_of(shape, b"") for shape in (SHAPES[0], SHAPES[4], SHAPES[8], SHAPES[10])]
    for shape in SHAPES:
        for whole in rng.sample(long, 2):
            end = rng.choice([1, 13, 14, 16, 24, 34, 54, 58, 62, 64, 70])
            yield packet_of(shape)
            yield Packet(whole.octets[:end], rng.random() < 0.5)


def ending_inside():
    """Windows that end inside an inner Ethernet header, behind a packet that has one; and where it begins."""
    for shape, units, tags in itertools.product((SHAPES[6], SHAPES[7], SHAPES[9]), (21, 22, 23), (0, 1)):
        inner = packet_of(shape).octets[shape.inner_frame :]
        gre = b"\x20\0\x65\x58\0\0\1\0"
        packet = chain(options(units), protocol=Protocol.GRE, tail=gre + inner, tags=tags)
        packet.tunnels = True
        yield packet_of(shape), packet, 14 + 4 * tags + 40 + 8 * (units + 1) + len(gre)


def resembling():
    """Packets that are no tunnel by a single bit (WIRE-4, VX-7)."""
    for original, start, bits in ((NVGRE, 34, 32), (VXLAN, 36, 16), (VXLAN, 42, 8)):
        for bit in range(bits):
            octets = bytearray(original.octets)
            octets[start + bit // 8] ^= 1 << bit % 8
            yield Packet(bytes(octets), tunnels=True)


def split():
    for whole, shape in ((packet_of(shape), shape) for shape in (SHAPES[6], SHAPES[10], SHAPES[0])):
        place = shape.inner_frame if shape.tunnel else 14
        for first in (1, place - 1, place, place + 1, None):
            yield Packet(whole.octets, whole.tunnels, first_buffer=first)


def scenarios(lanes):
    """What is sent, by its name, one after the other with pauses between: to build a design takes longer."""
    rng = random.Random(lanes)
    kinds = [packet_of(shape).octets for shape in SHAPES[:3]]
    chosen = {
        "shapes": [packet_of(shape) for shape in SHAPES],
        "random": random_packets(rng, 40),
        "cut": cut_anywhere(lanes),
        "timed": [packet_of(shape, bytes(2 * lanes)) for shape in SHAPES]
        + [Packet(ETHERNET + b"\x08\x06" + bytes(3 * lanes))],
        "single": [Packet(rng.choice(kinds)[: rng.randint(1, lanes)]) for _ in range(30)],
        "chains of all kinds": random_chains(rng),
        "chains": [
            chain(HOP, options(3), routing(0, hops=2), options(1), protocol=Protocol.TCP),
            chain(HOP, AUTHENTICATION, options(0)),
            chain(HOP, protocol=Protocol.ESP),
            chain(FRAGMENT, options(0)),
            chain(routing(1), FRAGMENT),
            chain(*[options(0)] * 14),
            chain(options(15), tags=0),
            chain(options(16), options(255), tags=0),
            chain(options(40), tags=0),
            chain(protocol=59),
            chain(protocol=135),
        ],
        "remains": remains(rng),
        "long": [
            packet_of(SHAPES[0], bytes(700)),
            packet_of(SHAPES[1]),
            packet_of(SHAPES[8], bytes(300)),
            packet_of(SHAPES[1]),
            chain(*[options(0)] * 30),
            packet_of(SHAPES[1]),
        ],
        "limit": [packet for *packets, _ in ending_inside() for packet in packets],
        "looks": [
            NVGRE,
            Packet(NVGRE.octets),
            VXLAN,
            Packet(VXLAN.octets),
            Packet(VXLAN.octets, True, 4790),
            packet_of(Shape(tunnel="vxlan", vxlan_port=4790)),
        ],
        "resembling": resembling() if lanes > 8 else [],
        "split": split(),
    } | {f"straddling {units}": straddling(units) for units in STRADDLING}
    return {name: list(packets) for name, packets in chosen.items()}


@dataclass
class Session:
    """All scenarios, walked through at one width."""

    dut: HeaderWalk
    sent: dict
    walked: dict

    def __getitem__(self, name):
        return self.walked[name], self.sent[name]


@pytest.fixture(
    scope="module",
    # One worker for each width, or every worker would walk over all of it.
    params=[pytest.param(lanes, marks=pytest.mark.xdist_group(f"walk{lanes}")) for lanes in WIDTHS],
)
def session(request):
    dut = HeaderWalk(request.param)
    sent = scenarios(request.param)
    starts = list(itertools.accumulate((len(packets) for packets in sent.values()), initial=0))
    walked = walk(dut, [packet for packets in sent.values() for packet in packets], pauses=set(starts))
    parts = [
        Walked(*(getattr(walked, name)[start:end] for name in ("layouts", "cycles", "sums", "accepted")))
        for start, end in itertools.pairwise(starts)
    ]
    return Session(dut, sent, dict(zip(sent, parts, strict=True)))


@pytest.mark.parametrize("scenario", scenarios(8))
def test_every_header_is_found_and_summed(session, scenario):
    """Extension headers to their end (X6-2): a fragment header is the last one, ESP is behind the chain."""
    check_all(*session[scenario])


@pytest.mark.parametrize("lanes", WIDTHS)
def test_every_header_is_found_whatever_the_handshakes(lanes):
    sent = random_packets(random.Random(lanes), 30)
    check_all(walk(HeaderWalk(lanes), sent, seed=lanes, idle=0.3, hold=0.2), sent)


def test_headers_are_where_scapy_puts_them(session):
    walked, _ = session["shapes"]
    for layout, shape in zip(walked.layouts, SHAPES, strict=True):
        innermost = layout["inner" if shape.tunnel else "outer"]
        assert layout["outer"]["start"] == shape.outer_ip
        assert (innermost["start"], innermost["end"]) == (shape.inner_ip, shape.transport_start)
        if shape.tunnel:
            assert layout["tunnel"]["inner_frame"] == shape.inner_frame
        end = shape.transport_start if shape.transport == "icmp" else shape.header_bytes
        assert layout["end"] == end


def test_a_header_that_is_cut_off_comes_with_the_end_of_its_packet(session):
    walked, sent = session["cut"]
    assert any(layout["cut"] for layout in walked.layouts)
    for layout, packet in zip(walked.layouts, sent, strict=True):
        if layout["cut"]:
            assert layout["last"]
            assert layout["mismatch"] == packet.mismatch


def test_a_layout_comes_after_the_declared_latency(session):
    """As soon as its last field has passed, whatever else the packet has."""
    walked, sent = session["timed"]
    for packet, cycle, accepted in zip(sent, walked.cycles, walked.accepted, strict=True):
        beat = completing_byte(packet.headers()) // session.dut.lanes
        assert cycle == accepted[beat] + session.dut.latency
    assert session.dut.latency <= 14


def test_packets_of_one_beat_pass_every_cycle(session):
    walked, sent = session["single"]
    first = walked.accepted[0][0]
    assert walked.accepted == [[first + n] for n in range(len(sent))]
    assert walked.cycles == list(range(walked.cycles[0], walked.cycles[0] + len(sent)))


@pytest.mark.parametrize("scenario", scenarios(8))
def test_a_beat_is_accepted_every_cycle(session, scenario):
    walked, _ = session[scenario]
    cycles = [cycle for accepted in walked.accepted for cycle in accepted]
    assert cycles == [min(cycles) + n for n in range(len(cycles))]


@pytest.mark.parametrize("units", STRADDLING)
def test_segments_left_is_read_where_a_routing_header_straddles_beats(session, units):
    walked, _ = session[f"straddling {units}"]
    assert [layout["outer"]["routed"] for layout in walked.layouts] == [1, 0, 1, 0, 0, 0] * 2


def test_beats_behind_the_window_are_ignored(session):
    walked, _ = session["long"]
    assert [layout["cut"] for layout in walked.layouts] == [0, 0, 0, 0, 1, 0]


def test_an_ethertype_behind_the_window_is_not_that_of_the_packet_before(session):
    walked, _ = session["limit"]
    frames = [frame for *_, frame in ending_inside()]
    assert any(frame < WINDOW < frame + 14 for frame in frames)
    for layout, frame in zip(walked.layouts[1::2], frames, strict=True):
        if frame + 14 > WINDOW:
            assert layout["cut"]
            assert not layout["inner"]["ipv4"] | layout["inner"]["ipv6"]
            assert layout["end"] == frame + 14


def test_only_the_tunnels_asked_for_are_looked_into(session):
    """Without the request's word, what is behind the outer IP header is its transport header (VX-2)."""
    walked, _ = session["looks"]
    assert [layout["tunnel"]["nvgre"] for layout in walked.layouts] == [1, 0, 0, 0, 0, 0]
    assert [layout["tunnel"]["vxlan"] for layout in walked.layouts] == [0, 0, 1, 0, 0, 1]
    assert [layout["transport"]["udp"] for layout in walked.layouts] == [0, 0, 0, 1, 0, 0]


def test_a_second_buffer_in_front_of_the_inner_frame_is_told(session):
    """SG-3: the encapsulation headers are in the first buffer, and nothing is asked of other packets."""
    walked, _ = session["split"]
    assert [layout["split"] for layout in walked.layouts] == [1, 1, 0, 0, 0] * 2 + [0] * 5


@pytest.mark.parametrize("lanes", [8, 32])
def test_no_more_layouts_than_the_reserve_follow_a_stop(lanes):
    dut = HeaderWalk(lanes)
    octets = packet_of(SHAPES[0]).octets[:lanes]
    (beat,) = Packet(octets).beats(lanes)

    async def bench(ctx):
        ctx.set(dut.beats.payload, beat)
        ctx.set(dut.beats.valid, 1)
        await ctx.tick().repeat(30)
        ctx.set(dut.hold, 1)
        late = 0
        for _ in range(60):
            _, _, valid = await ctx.tick().sample(dut.layout.valid)
            late += valid
        assert 0 < late <= dut.reserve
        assert not ctx.get(dut.beats.ready), "the stop reaches the input"

    simulate(dut, bench)


@pytest.mark.parametrize(("lanes", "size"), [(8, 60), (8, 264), (64, 128 + 8), (16, 48)])
def test_windows_that_cannot_be_are_refused(lanes, size):
    with pytest.raises(ValueError, match=f"{size}"):
        HeaderWalk(lanes, max_header_bytes=size)
