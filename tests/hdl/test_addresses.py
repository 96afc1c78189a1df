"""Addresses of both layers; those of the inner frame also in the tests of the walk over received frames."""

import random

import pytest
from offramp.receive.addresses import OuterAddresses
from offramp.walk.chain import HeaderWalk
from offramp.walk.layout import Passage
from offramp_sim.model.layers import Layer

from tests.hdl.streams import plain, simulate
from tests.hdl.test_walk_receive import Frame, check_addresses
from tests.hdl.walks import WIDTHS, WINDOW, walk
from tests.model.frames import build, ip, l4, link, tunnel_layer, with_extras


def outer_frames():
    for tags in ((), (5,), (5, 6)):
        for version in "46":
            yield build(link("outer", *tags), ip("inner", version), l4("tcp", version)).frame


def passages(frame, layer, lanes):
    """Beats of a frame with as much of the layout as is looked at; what is not there yet is zero."""
    for index, start in enumerate(range(0, len(frame), lanes)):
        part = frame[start : start + lanes]
        reached = start + lanes >= layer.link.end
        yield {
            "valid": start < WINDOW,
            "beyond": start >= WINDOW,
            "index": index % (WINDOW // lanes),
            "data": list(part.ljust(lanes, b"\xee")),
            "layout": {
                "last": start + lanes >= len(frame),
                "tags": len(layer.tags) if reached else 0,
                "outer": {"ipv4": reached and layer.version == 4, "ipv6": reached and layer.version == 6},
            },
        }


@pytest.mark.parametrize("lanes", WIDTHS)
def test_outer_addresses_are_there_with_the_last_beat(lanes):
    """The declared latency later, whatever the tags, with garbage between beats and frames back to back."""
    dut = OuterAddresses(Passage(lanes, WINDOW))
    rng = random.Random(lanes)
    frames = list(outer_frames()) * 2
    layers = [Layer() for _ in frames]
    beats = []
    for n, (frame, layer) in enumerate(zip(frames, layers, strict=True)):
        layer.read(frame, 0, most_tags=2)
        for beat in passages(frame, layer, lanes):
            if n >= len(frames) // 2 and rng.random() < 0.4:
                garbage = {"data": list(rng.randbytes(lanes)), "layout": {"last": 1}}
                beats.append((garbage, None))
            beats.append((beat, layer if beat["layout"]["last"] else None))
    seen = []

    async def bench(ctx):
        for beat, _ in [*beats, *[({}, None)] * dut.latency]:
            ctx.set(dut.passed, beat)
            _, _, addresses, tag = await ctx.tick().sample(dut.addresses, dut.tag)
            seen.append((plain(addresses), tag))

    simulate(dut, bench)
    told = 0
    for (_, layer), (addresses, tag) in zip(beats, seen[dut.latency :], strict=True):
        if layer:
            told += 1
            assert addresses["mac"].to_bytes(6, "big") == layer.mac
            assert addresses["ip"].to_bytes(32, "big") == layer.addresses.ljust(32, b"\0")
            assert not layer.tags or tag == layer.tags[0]
    assert told == len(frames)


@pytest.mark.parametrize("lanes", [8, 32])
def test_inner_addresses_are_there_with_the_last_beat(lanes):
    """Wherever the inner frame begins, and with frames without one between."""
    rng = random.Random(lanes)
    sent = []
    for tags in ((), (5,), (5, 6)):
        for tunnel in ("nvgre", "vxlan"):
            for inner_tags in ((), (7,)):
                outer, inner = rng.choice("46"), rng.choice("46")
                header = with_extras("outer", outer) if rng.random() < 0.3 else ip("outer", outer)
                inside = [link("inner", *inner_tags), ip("inner", inner), l4("tcp", inner)]
                payload = rng.randbytes(rng.choice([0, 1, 300]))
                layers = [link("outer", *tags), header, tunnel_layer(tunnel), *inside]
                sent.append(Frame(build(*layers, payload=payload).frame))
    sent[::5] = [Frame(frame) for frame in list(outer_frames())[: len(sent[::5])]]
    walked = walk(HeaderWalk(lanes, collect=True), sent, seed=lanes, idle=0.1)
    assert sum(frame.layers.inner.ip is not None for frame in sent) > len(sent) // 2
    for frame, addresses in zip(sent, walked.addresses, strict=True):
        check_addresses(addresses, frame)
