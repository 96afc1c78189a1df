"""Where everything in a frame ends, and whose checksums are right, of layouts made by the model."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from offramp.receive.sums import FrameSums
from offramp.receive.survey import Survey
from offramp.walk.layout import Passage
from offramp_sim.model import receive
from offramp_sim.model.headers import Protocol
from offramp_sim.model.layers import find_layers
from offramp_sim.model.receive import ip_end, transport_end, udp_end
from offramp_sim.stimulus.arrivals import random_frame

from tests.hdl.streams import plain, simulate
from tests.hdl.walks import WIDTHS, WINDOW
from tests.model.receptions import CASES, ON
from tests.model.shapes import get

MAX_BYTES = 1 << 17


class Summed(wiring.Component):
    """A survey, and sums by what it says."""

    def __init__(self, lanes):
        self.survey = Survey(Passage(lanes, WINDOW), MAX_BYTES)
        self.sums = FrameSums(self.survey.shape)
        super().__init__({
            "passed": self.survey.signature.members["passed"],
            "surveyed": Out(self.survey.shape),
            "right": self.sums.signature.members["right"],
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.survey, m.submodules.sums = self.survey, self.sums
        m.d.comb += [
            self.survey.passed.eq(self.passed),
            self.surveyed.eq(self.survey.surveyed),
            self.sums.surveyed.eq(self.surveyed),
            self.right.eq(self.sums.right),
        ]
        return m


def network(layer, octets):
    ip = layer.ip
    if ip is None:
        return {"start": layer.link.end, "end": layer.link.end} if layer.link else {}
    return {
        "ipv4": ip.version == 4,
        "ipv6": ip.version == 6,
        "whole": 1,
        "fragment": ip.fragment,
        "protocol": ip.protocol,
        "start": ip.start,
        "end": ip.end,
        "length": get(octets, ip.start + (2 if ip.version == 4 else 4)),
        "length_from": ip.payload_start,
    }


def layout(octets, layers):
    """What the walk finds, from the first beat on."""
    tunnel, transport = layers.tunnel, layers.transport
    is_vxlan = tunnel is not None and tunnel.kind == "vxlan"
    udp = transport is not None and transport.protocol == Protocol.UDP
    outer_udp = tunnel.start if is_vxlan else transport.start if udp and not tunnel else None
    return {
        "outer": network(layers.outer, octets),
        "inner": network(layers.inner, octets),
        "tunnel": {
            "nvgre": tunnel is not None and not is_vxlan,
            "vxlan": is_vxlan,
            "told": outer_udp is not None,
            "length": get(octets, outer_udp + 4) if outer_udp is not None else 0,
            "inner_frame": tunnel.end if tunnel else 0,
        },
        "transport": {
            "tcp": transport is not None and not udp,
            "udp": udp,
            "sequence": get(octets, transport.start + 4) << 16 if transport else 0,
        },
    }


def passages(octets, lanes):
    found = layout(octets, find_layers(octets, ON, WINDOW))
    for index, start in enumerate(range(0, len(octets), lanes)):
        part = octets[start : start + lanes]
        inside = start < WINDOW
        yield {
            "valid": inside,
            "beyond": not inside,
            "index": index % (WINDOW // lanes),
            "data": list(part.ljust(lanes, b"\xd7")),
            "count": len(part) % lanes,
            "layout": found | {"last": start + lanes >= len(octets)},
        }


def expected(octets):
    """Which bits of :class:`offramp.receive.sums.Right` mean something, and what they are."""
    verdicts = receive(octets, ON).verdicts
    inside = find_layers(octets, ON, WINDOW).tunnel is not None
    bits = {
        "outer_ip": verdicts.outer_ip,
        "outer": verdicts.tunnel if inside else verdicts.transport,
        "inner_ip": verdicts.inner_ip,
        "inner": verdicts.transport if inside else "not_checked",
    }
    return {name: verdict == "good" for name, verdict in bits.items() if verdict != "not_checked"}


def ends(octets):
    """What of :class:`offramp.receive.survey.Ends` means something."""
    layers = find_layers(octets, ON, WINDOW)
    outer, inner, tunnel = layers.outer.ip, layers.inner.ip, layers.tunnel
    found = {"outer_ip": ip_end(outer, octets)}
    if inner:
        found["inner_ip"] = ip_end(inner, octets)
    if tunnel:
        found["frame"] = tunnel.end + 14
        found["outer"] = found["outer_ip"] if tunnel.kind == "nvgre" else udp_end(tunnel.start, octets)
    if layers.transport:
        found["inner" if tunnel else "outer"] = transport_end(layers, octets)
        size = 20 if layers.transport.protocol == Protocol.TCP else 8
        found["headers"] = layers.transport.start + size
    return found


def frames(rng, count):
    """Frames with everything in its place, right and wrong, and some that go on behind the window."""
    chosen = [case.frame for case in rng.sample(CASES, 2 * count)]
    chosen += [random_frame(rng, 500).octets for _ in range(2 * count)]
    rng.shuffle(chosen)
    for octets in chosen:
        layers = find_layers(octets, ON, WINDOW)
        if layers.fault is None and layers.outer.ip:
            yield octets


@pytest.mark.parametrize("lanes", WIDTHS)
def test_sums_cover_what_the_lengths_say(lanes):
    """RXC-6: for frames back to back or with garbage between their beats, the declared cycles later."""
    dut = Summed(lanes)
    rng = random.Random(lanes)
    sent = [octets for octets, _ in zip(frames(rng, 30), range(40), strict=False)]
    beats = []
    for octets in sent:
        for beat in passages(octets, lanes):
            while rng.random() < 0.1:
                garbage = beat | {"data": list(rng.randbytes(lanes)), "index": rng.randrange(8)}
                beats.append(garbage | {"valid": 0, "beyond": 0, "layout": {"last": 1}})
            beats.append(beat)
    latency = dut.survey.latency + dut.sums.latency
    surveys, rights, cycles = [], [], []

    async def bench(ctx):
        for cycle, beat in enumerate([*beats, *[{}] * (latency + 1)]):
            ctx.set(dut.passed, beat)
            surveyed = dut.surveyed
            ports = (surveyed.valid, surveyed.last, surveyed.bytes, surveyed.ends, dut.right)
            _, _, valid, last, size, found, right = await ctx.tick().sample(*ports)
            if valid and last:
                surveys.append((size, plain(found)))
            if right.valid:
                rights.append(plain(right.right))
                cycles.append(cycle)

    simulate(dut, bench)
    moving = [(n, beat) for n, beat in enumerate(beats) if beat["valid"] or beat["beyond"]]
    assert cycles == [n + latency for n, beat in moving if beat["layout"]["last"]]
    judged = []
    for octets, (size, found), right in zip(sent, surveys, rights, strict=True):
        assert size == len(octets)
        wanted = ends(octets)
        assert {name: found[name] for name in wanted} == wanted
        meant = expected(octets)
        assert {name: bool(right[name]) for name in meant} == meant
        judged += meant.items()
    assert len(set(judged)) >= 6, "layers of all kinds, right and wrong"
