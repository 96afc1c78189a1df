import random
from dataclasses import dataclass, field

import pytest
from offramp.records import Status
from offramp.send.plan import Plan
from offramp_sim import stimulus
from offramp_sim.model import send
from offramp_sim.model.checksum import ones_sum
from offramp_sim.model.headers import Protocol, find
from offramp_sim.model.send import Orders, layer_to_sum, summed_range

from tests.hdl.streams import drain, simulate
from tests.hdl.trains import LIMITS
from tests.model.shapes import ON, S44, Shape, get, ramp

ACK, CWR, PSH, FIN = 0x5010, 0x80, 0x08, 0x01


@dataclass
class Journey:
    """A train, the sums of its headers, and the length and sum of each of its slices."""

    train: dict
    base: dict = field(default_factory=dict)
    slices: list = field(default_factory=list)
    values: list = field(default_factory=list)
    """What is expected of each frame."""

    refused: bool = False


def halves(rng, total):
    """Two words that add up to a one's-complement sum."""
    low = rng.choice([0, total, rng.randrange(0x10000)])
    high = total - low if total >= low else total - low + 0xFFFF
    return [low, high]


async def give(ctx, dut, journeys, rng, idle):
    """Tell of trains and of their headers, in the same order, the one or the other first."""
    waiting = {"train": list(journeys), "base": list(journeys)}
    while waiting["train"] or waiting["base"]:
        busy = ctx.get(dut.busy)
        offers = {name: bool(rest) and not busy and rng.random() >= idle for name, rest in waiting.items()}
        ctx.set(dut.judged, offers["train"])
        ctx.set(dut.base.valid, offers["base"])
        if offers["train"]:
            told = waiting["train"].pop(0)
            ctx.set(dut.train, told.train)
            ctx.set(dut.passed, not told.refused)
        if offers["base"]:
            ctx.set(dut.base.sums, waiting["base"].pop(0).base)
        await ctx.tick()
    ctx.set(dut.judged, 0)
    ctx.set(dut.base.valid, 0)


async def slice_up(ctx, dut, journeys, rng, idle):
    """Begin slices, each train's when it is judged or later, and sum them when they have begun."""
    begun = [
        ({"valid": 1, "bytes": size, "first": n == 0, "last": n == len(journey.slices) - 1}, total)
        for journey in journeys
        for n, (size, total) in enumerate(journey.slices)
    ]
    sums = []
    while begun or sums:
        full = ctx.get(dut.ahead) or ctx.get(dut.full)
        ctx.set(dut.cut.valid, 0)
        ctx.set(dut.sum.valid, 0)
        if sums and rng.random() >= idle:
            ctx.set(dut.sum, {"valid": 1, "halves": halves(rng, sums.pop(0))})
        if begun and not full and rng.random() >= idle:
            what, total = begun.pop(0)
            ctx.set(dut.cut, what)
            sums.append(total)
        await ctx.tick()
    ctx.set(dut.cut.valid, 0)
    ctx.set(dut.sum.valid, 0)


def run(journeys, *, seed=0, idle=0.0, stall=0.0):
    """Return what is planned for each frame, the cycles it was taken in, and the cycles of its promises."""
    dut = Plan(LIMITS)
    taken, log, promises = [], [], []
    count = sum(len(journey.slices) for journey in journeys)

    async def trains(ctx):
        await give(ctx, dut, journeys, random.Random(seed), idle)

    async def slices(ctx):
        await slice_up(ctx, dut, journeys, random.Random(seed + 1), idle)

    async def receive(ctx):
        rng = random.Random(seed + 2)
        await drain(ctx, dut.values, taken, count, rng=rng, stall=stall, log=log)
        for _ in range(10):
            assert not ctx.get(dut.values.valid), "values for no frame"
            await ctx.tick()

    async def watch(ctx):
        for cycle in range(1 << 30):
            _, _, promised = await ctx.tick().sample(dut.promised)
            promises.extend([cycle] * promised)
            if len(taken) == count:
                break

    simulate(dut, trains, slices, receive, watch)
    assert len(promises) == count
    return taken, log, promises


def check(taken, journeys):
    expected = [values for journey in journeys for values in journey.values]
    for got, wanted in zip(taken, expected, strict=True):
        assert {name: got[name] for name in wanted} == wanted


def ip_sum(octets, ip):
    """The sum of an IP header and its extension headers, without an IPv4 header's checksum."""
    header = bytearray(octets[ip.start : ip.end])
    if ip.version == 4:
        header[10:12] = bytes(2)
    return ones_sum(header)


def ip_values(layer, frame, ip, tag):
    """What is in a frame's IP header: the fields that count."""
    start = ip.start + tag
    if ip.version == 6:
        return {f"{layer}_length": get(frame, start + 4)}
    return {
        f"{layer}_length": get(frame, start + 2),
        f"{layer}_id": get(frame, start + 4),
        f"{layer}_checksum": get(frame, start + 10),
    }


def journey(request, config):
    """What Plan is told of a request, and what it should make of it according to the model."""
    outcome = send(request, config)
    status = Status[outcome.completion.status.upper()]
    if status != Status.OK:
        return Journey({"counted": {"outer": 77}}, refused=True)
    orders, octets = Orders.read(request), request.frame
    tag = 4 if request.vlan & 0xFFFF else 0
    if not orders.work:
        return Journey({}, slices=[(len(octets) + tag, ones_sum(octets))], values=[{}])
    headers = find(
        octets,
        encapsulated=orders.encapsulated,
        vxlan_port=config.vxlan_port,
        transports=orders.transports,
    )
    outer, inner, transport = headers.outer, headers.inner, headers.transport
    innermost = headers.innermost
    vxlan = headers.tunnel is not None and headers.tunnel.kind == "vxlan"
    rewritten = orders.segment and vxlan and get(octets, headers.tunnel.start + 6) != 0
    summed = layer_to_sum(headers, octets, config) is not None
    udp = transport is not None and transport.protocol == Protocol.UDP
    start = transport.start if transport else 0
    train = {
        "segmented": orders.segment,
        "inner_ipv4": inner is not None and inner.version == 4,
        "inner": inner is not None,
        "udp": udp,
        "id_wrap_16": config.id_wrap == 16 or orders.uso is not None,
        "field": {
            "tunnel_zero": rewritten and (outer.version == 4 or outer.rerouted),
            "tunnel_checksum": rewritten and outer.version == 6 and not outer.rerouted,
            "transport_checksum": summed,
        },
    }
    base = {}
    for layer, ip in (("outer", outer), ("inner", inner)):
        if ip:
            train |= {
                f"{layer}_length": get(octets, ip.start + (2 if ip.version == 4 else 4)),
                f"{layer}_id": get(octets, ip.start + 4) if ip.version == 4 else 0xDEAD,
            }
            base[layer] = ip_sum(octets, ip)
    train["counted"] = {
        layer: headers.end - ip.start - (40 if ip.version == 6 else 0)
        for layer, ip in (("outer", outer), ("inner", inner))
        if ip
    }
    if outer:
        train["counted"]["tunnel"] = headers.end - outer.end
    if vxlan and outer.version == 6:
        header = bytearray(octets[headers.tunnel.start : headers.inner_link.end])
        header[4:8] = bytes(4)
        base["outer"] = ones_sum(octets[outer.start + 8 : outer.start + 40] + header)
    if innermost:
        train["counted"]["transport"] = headers.end - innermost.end
    if transport:
        place = 6 if udp else 16
        header = bytearray(octets[start : transport.end])
        seed = get(header, place)
        header[place : place + 2] = bytes(2)
        base["transport"] = ones_sum(header)
        train |= {
            "sequence": int.from_bytes(octets[start + 4 : start + 8], "big"),
            "control": get(octets, start + 12),
            "seed": seed,
        }

    slices, values = [], []
    for frame in outcome.frames:
        payload = frame[headers.end + tag :]
        covered = payload
        if summed and not orders.segment:
            _, end = summed_range(octets, len(octets), innermost, transport)
            covered = payload[: end - headers.end]
        slices.append((len(payload), ones_sum(covered)))
        wanted = {}
        if orders.segment:
            wanted |= ip_values("outer", frame, outer, tag)
            if inner:
                wanted |= ip_values("inner", frame, inner, tag)
            if vxlan:
                wanted["tunnel_length"] = get(frame, headers.tunnel.start + tag + 4)
            if rewritten:
                wanted["tunnel_checksum"] = get(frame, headers.tunnel.start + tag + 6)
            if udp:
                wanted["transport_length"] = get(frame, start + tag + 4)
            else:
                wanted["sequence"] = int.from_bytes(frame[start + tag + 4 : start + tag + 8], "big")
                wanted["control"] = get(frame, start + tag + 12)
        elif orders.encapsulated or orders.checksum.ip_header:
            for layer, ip in (("outer", outer), ("inner", inner)):
                if ip and ip.version == 4:
                    wanted[f"{layer}_checksum"] = get(frame, ip.start + tag + 10)
        if summed:
            wanted["transport_checksum"] = get(frame, start + tag + (6 if udp else 16))
        values.append(wanted)
    return Journey(train, base, slices, values)


@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.4, 0), (0, 0.6), (0.2, 0.2), (0.7, 0)])
def test_fields_are_the_models_whatever_the_handshakes(idle, stall):
    """Of every kind of request, refused ones between them."""
    rng = random.Random(f"{idle} {stall}")
    requests = stimulus.requests(rng, 60, max_payload=1000, max_segments=8, mismatches=False)
    journeys = [journey(request, ON) for request, _ in requests]
    assert any(some.refused for some in journeys)
    taken, *_ = run(journeys, seed=1, idle=idle, stall=stall)
    check(taken, journeys)


SHAPES = [
    Shape(tcp_options=True, flags=0xD9),
    Shape(outer=6, transport="udp", outer_extras=("hop", "routing")),
    S44,
    Shape(tunnel="nvgre", outer=6, inner=6, outer_extras=("destination",), inner_extras=("hop",)),
    Shape(tunnel="vxlan", inner=6, vxlan_checksum=0x5555),
    Shape(tunnel="vxlan", outer=6, vxlan_checksum=0x5555, inner_tag=True),
    Shape(tunnel="vxlan", outer=6, inner=6, vxlan_checksum=0x5555, transport="udp"),
    Shape(tunnel="vxlan", outer=6, vxlan_checksum=0x5555, outer_extras=("routing",)),
]


def test_every_mix_of_headers_has_its_fields_from_segment_to_segment():
    """HDR-2 to HDR-21, VX-4, VX-5, USO-5, USO-7."""
    journeys = []
    for shape in SHAPES:
        for size, mss in ((250, 100), (201, 67), (0, 50), (40, 50)):
            journeys.append(journey(shape.large_send(ramp(size), mss), ON))
        if shape.transport == "udp":
            journeys.append(journey(shape.large_send(ramp(99), 50, seed=0), ON))  # USO-9
        journeys.append(journey(shape.sum_up(ramp(77)), ON))
    assert not any(some.refused for some in journeys)
    taken, *_ = run(journeys)
    check(taken, journeys)


def counting(name, first, *, frames=4, **train):
    """The values that a number takes from frame to frame."""
    train = {"counted": {"outer": 40}, "segmented": 1, name: first, **train}
    slices = [(100, 0)] * frames
    taken, *_ = run([Journey(train, {"outer": 0}, slices, [{}] * frames)])
    return [values[name] for values in taken]


@pytest.mark.parametrize("name", ["outer_id", "inner_id"])
def test_identifications_wrap_at_fifteen_bits_and_keep_the_highest(name):
    """HDR-6 to HDR-8."""
    assert counting(name, 0x7FFE) == [0x7FFE, 0x7FFF, 0x0000, 0x0001]
    assert counting(name, 0xFFFE) == [0xFFFE, 0xFFFF, 0x8000, 0x8001]


@pytest.mark.parametrize("name", ["outer_id", "inner_id"])
def test_identifications_wrap_at_sixteen_bits_where_they_should(name):
    """USO-6, and on request."""
    assert counting(name, 0x7FFE, id_wrap_16=1) == [0x7FFE, 0x7FFF, 0x8000, 0x8001]
    assert counting(name, 0xFFFE, id_wrap_16=1) == [0xFFFE, 0xFFFF, 0x0000, 0x0001]


def test_sequence_numbers_wrap_at_thirty_two_bits():
    """HDR-13."""
    assert counting("sequence", 0xFFFF_FF80) == [0xFFFF_FF80, 0xFFFF_FFE4, 0x48, 0xAC]


@pytest.mark.parametrize(
    ("frames", "flags"), [(1, [CWR | PSH | FIN]), (2, [CWR, PSH | FIN]), (4, [CWR, 0, 0, PSH | FIN])]
)
def test_flags_that_are_said_once_are_in_the_first_or_the_last_frame(frames, flags):
    """HDR-15 to HDR-18, HDR-22; everything else in the word is in every frame."""
    control = counting("control", ACK | 0x0F40 | CWR | PSH | FIN, frames=frames)
    assert control == [ACK | 0x0F40 | some for some in flags]


@pytest.mark.parametrize(("udp", "checksum"), [(1, 0xFFFF), (0, 0x0000)])
@pytest.mark.parametrize("payload", [0, 1, 0xFFFE, 0xFFFF])
def test_a_udp_checksum_that_is_zero_goes_out_as_ones_and_one_of_tcp_as_it_is(udp, checksum, payload):
    """TXC-9, USO-10, CS-4."""
    train = {"header_bytes": 42, "udp": udp, "seed": 0x0FF0, "field": {"transport_checksum": 1}}
    rest = (0xFFFF - payload - 0x0FF0) % 0xFFFF
    (values,), *_ = run([Journey(train, {"transport": rest}, [(9, payload)], [{}])])
    assert values["transport_checksum"] == checksum


def test_a_frame_is_planned_every_cycle():
    journeys = [Journey({"header_bytes": 54, "segmented": 1}, {}, [(10, 5)] * 12)]
    journeys += [Journey({"header_bytes": 54}, {}, [(10, 5)])] * 20
    taken, log, _ = run(journeys)
    assert log == list(range(log[0], log[0] + len(taken)))


def test_values_come_two_cycles_after_their_promise():
    """If no others are waiting."""
    journeys = [Journey({"header_bytes": 54}, {}, [(10, 5)])] * 10
    _, log, promises = run(journeys, idle=0.5)
    assert log == [cycle + 2 for cycle in promises]
