import dataclasses
import random

import pytest
from offramp.send.intake import Intake
from offramp.send.train import LENGTH_BITS
from offramp_sim import stimulus
from offramp_sim.core.records import encode_request
from offramp_sim.model import Config, Request
from offramp_sim.model.send import Orders, announced_ethertypes
from offramp_sim.model.words import Checksum, LargeSend, Supplemental, UdpSegmentation, Vlan

from tests.hdl.streams import drain, plain, simulate
from tests.hdl.trains import WIDTHS

LONGEST = (1 << LENGTH_BITS) - 1


def configuration(config):
    """The model's configuration as the hardware has it."""
    names = [field.name for field in dataclasses.fields(Config)]
    plain = {name: int(getattr(config, name)) for name in names if name not in ("encapsulation", "id_wrap")}
    tunnels = {name: int(name in config.encapsulation) for name in ("nvgre", "vxlan")}
    return plain | {"encapsulation": tunnels, "id_wrap_16": int(config.id_wrap == 16)}


def run(dut, requests, *, seed=0, idle=0.0, stall=0.0):
    """Offer requests, each beside its configuration; return orders, briefs, cases, and acceptance cycles."""
    taken = {"orders": [], "briefs": [], "cases": []}
    accepted = []

    async def send(ctx):
        rng = random.Random(seed)
        cycle = 0
        for request, config in requests:
            while rng.random() < idle:
                await ctx.tick()
                cycle += 1
            record = int.from_bytes(encode_request(request), "little")
            ctx.set(dut.requests.p.as_value(), record)
            ctx.set(dut.requests.valid, 1)
            ctx.set(dut.config, configuration(config))
            ready = 0
            while not ready:
                _, _, ready, counted = await ctx.tick().sample(dut.requests.ready, dut.accepted)
                assert counted == ready
                cycle += 1
            accepted.append(cycle)
            ctx.set(dut.requests.valid, 0)
            ctx.set(dut.config, configuration(Config()))

    def receive(name):
        async def bench(ctx):
            rng = random.Random(f"{seed} {name}")
            await drain(ctx, getattr(dut, name), taken[name], len(requests), rng=rng, stall=stall)

        return bench

    simulate(dut, send, *(receive(name) for name in taken))
    return taken, accepted


def check(taken, requests, lanes):
    for (request, config), order, brief, case in zip(requests, *taken.values(), strict=True):
        orders = Orders.read(request)
        length = request.stated_length
        assert order == {"length": length, "buffers": len(request.elements)}

        tag = request.vlan & 0xFFFF
        last_byte = max(0, length + (4 if tag else 0) - 1) if length else 0
        if length <= LONGEST - 4:
            assert brief["last_beat"] == last_byte // lanes
        assert brief["has_tag"] == (tag != 0)
        if tag:
            assert brief["tag_control"].to_bytes(2, "big") == orders.vlan.tag[2:], "OOB-41"
        tunnels = int(orders.encapsulated)
        port = config.vxlan_port
        assert brief["look"] == {"nvgre": tunnels, "vxlan": tunnels, "vxlan_port": port}, "OOB-10"

        assert case["tag"] == request.tag
        assert case["length"] == min(length, LONGEST)
        assert case["has_tag"] == (tag != 0)
        assert case["lso"] == (orders.lso is not None), "OOB-20"
        assert case["uso"] == (orders.uso is not None), "OOB-40"
        assert case["lso_v1"] == (orders.lso is not None and not orders.lso.version2), "REQ-14"
        assert case["encapsulated"] == orders.encapsulated
        assert case["work"] == orders.work
        assert case["checksum_valid"] == orders.checksum_valid, "REQ-4"
        assert case["config"] == configuration(config)
        both = orders.checksum.ipv4 and orders.checksum.ipv6
        announced = set(announced_ethertypes(orders))
        assert case["both_versions"] == (both or len(announced) == 2), "INV-12"
        assert case["no_buffers"] == (length > 0 and not request.elements)
        assert case["supplemental"]["inner_frame_offset"] == orders.supplemental.inner_frame_offset
        if word := orders.lso or orders.uso:
            assert case["mss"] == word.mss
            assert case["header_offset"] == getattr(word, f"{'tcp' if orders.lso else 'udp'}_header_offset")
            assert case["is_ipv6"] == (word.ipv6 and not case["lso_v1"]), "OOB-17"


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.3, 0.5)])
def test_every_stage_is_told_what_the_words_say_whatever_the_handshakes(lanes, idle, stall):
    rng = random.Random(f"{lanes} {idle}")
    requests = list(stimulus.requests(rng, 120, max_payload=200, config_every=3))
    taken, _ = run(Intake(lanes), requests, seed=lanes, idle=idle, stall=stall)
    check(taken, requests, lanes)


WORDS = {
    "supplemental": [0, Supplemental(encapsulated=1).pack(), 0xFFFF_FFFF],
    "checksum": [0, Checksum(ipv4=1).pack(), Checksum(ipv6=1, tcp=1).pack(), Checksum(ipv4=1, ipv6=1).pack()],
    "lso": [0, LargeSend(mss=9, version2=1, ipv6=1).pack(), LargeSend(mss=9).pack(), 1 << 31, 9600, 9601],
    "uso": [0, UdpSegmentation(mss=9).pack(), UdpSegmentation(ipv6=1).pack(), 1 << 30],
    "vlan": [0, Vlan(identifier=1).pack(), 1 << 16, 0xFFFF],
}


PACKETS = [b"x" * 60, b"x" * 60, b""]


def test_every_combination_of_words_is_understood():
    """REQ-4, REQ-5, REQ-14, OOB-10, OOB-41, and what is reserved (INV-18)."""
    rng = random.Random(0)
    requests = [
        (Request(rng.choice(PACKETS), length=60, **dict(zip(WORDS, choice, strict=True))), Config())
        for choice in zip(*(rng.choices(values, k=150) for values in WORDS.values()), strict=True)
    ]
    taken, _ = run(Intake(8), requests)
    check(taken, requests, 8)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("tag", [0, 7])
def test_lengths_are_told_to_the_last_beat(lanes, tag):
    lengths = [0, 1, lanes - 4, lanes - 3, lanes, lanes + 1, 262_400, LONGEST - 4, LONGEST + 1, 0xFFFF_FFFF]
    requests = [(Request(b"x" * 9, length=length, vlan=tag), Config()) for length in lengths]
    taken, _ = run(Intake(lanes), requests)
    check(taken, requests, lanes)


def test_a_request_is_taken_every_cycle():
    requests = [(Request(b"x", tag=n), Config(vxlan_port=n + 1)) for n in range(40)]
    taken, accepted = run(Intake(8), requests)
    check(taken, requests, 8)
    assert accepted == list(range(accepted[0], accepted[0] + len(requests)))


@pytest.mark.parametrize("slow", ["briefs", "cases"])
def test_requests_wait_while_any_stage_is_behind_and_none_is_lost(slow):
    dut = Intake(8)
    seen = []

    async def send(ctx):
        ctx.set(dut.requests.valid, 1)
        (other,) = {"briefs", "cases"} - {slow}
        ctx.set(getattr(dut, other).ready, 1)
        accepted = waits = 0
        while waits < 8:
            vlan = Vlan(identifier=accepted + 1).pack()
            record = Request(b"x" * (accepted + 1), tag=accepted + 1, vlan=vlan)
            ctx.set(dut.requests.p.as_value(), int.from_bytes(encode_request(record), "little"))
            _, _, ready = await ctx.tick().sample(dut.requests.ready)
            accepted += ready
            waits += not ready
        ctx.set(dut.requests.valid, 0)
        stream = getattr(dut, slow)
        ctx.set(stream.ready, 1)
        for _ in range(accepted + 4):
            _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.p)
            if valid:
                seen.append(plain(payload))
        key = {"briefs": "tag_control", "cases": "tag"}[slow]
        assert [item[key] for item in seen] == list(range(1, accepted + 1))

    simulate(dut, send)


def test_no_more_than_two_requests_follow_a_stop():
    dut = Intake(8)

    async def bench(ctx):
        for name in ("briefs", "cases"):
            ctx.set(getattr(dut, name).ready, 1)
        ctx.set(dut.requests.p.as_value(), int.from_bytes(encode_request(Request(b"x")), "little"))
        ctx.set(dut.requests.valid, 1)
        await ctx.tick().repeat(10)
        ctx.set(dut.hold, 1)
        late = 0
        for _ in range(20):
            _, _, accepted = await ctx.tick().sample(dut.accepted)
            late += accepted
        assert 0 < late <= 2
        ctx.set(dut.hold, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.accepted), "it goes on afterwards"

    simulate(dut, bench)


def test_a_packet_can_be_gathered_from_the_cycle_in_which_its_request_is_accepted():
    """Its order is not later than the request, whoever else still has to be told."""
    dut = Intake(8)

    async def bench(ctx):
        await ctx.tick().repeat(2)
        assert ctx.get(dut.requests.ready) and not ctx.get(dut.orders.valid)
        record = int.from_bytes(encode_request(Request(b"x" * 77)), "little")
        ctx.set(dut.requests.p.as_value(), record)
        ctx.set(dut.requests.valid, 1)
        assert ctx.get(dut.orders.valid) and ctx.get(dut.accepted)
        assert plain(ctx.get(dut.orders.p)) == {"length": 77, "buffers": 1}

    simulate(dut, bench)
