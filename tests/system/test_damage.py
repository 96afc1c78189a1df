"""Frames with one bit wrong, and frames cut off, byte by byte: the right verdict flips and no other."""

import dataclasses
import itertools
import random

import pytest
from offramp_sim.core import Arrival
from offramp_sim.model import Reception

from tests.model.frames import (
    Built,
    build,
    frame_of,
    ip,
    l4,
    link,
    tunnel_layer,
    with_extras,
)
from tests.model.receptions import ON

from .verdict import check_received

L4_CHECKED, L4_SUCCEEDED = 0x1B, 0x18


def tunnelled(outer: str, tunnel: str, inner: str, kind: str, **fields: object) -> Built:
    """Return a frame in a tunnel."""
    layers = [ip("outer", outer), tunnel_layer(tunnel, **fields), link("inner"), ip("inner", inner)]
    return build(link(), *layers, l4(kind, inner))


FRAMES = {
    "TCP over IPv4": build(link(), ip("inner", "4"), l4("tcp", "4")),
    "UDP over IPv4 with options": build(link("outer", 5), with_extras("inner", "4"), l4("udp", "4")),
    "TCP over IPv4 in NVGRE over IPv4": tunnelled("4", "nvgre", "4", "tcp"),
    "UDP over IPv4 in NVGRE with a checksum": tunnelled("4", "nvgre", "4", "udp", chksum_present=1),
    "UDP over IPv4 in VXLAN with a checksum over IPv6": tunnelled("6", "vxlan", "4", "udp", chksum=None),
    "UDP over IPv6 with extension headers": build(link(), with_extras("inner", "6"), l4("udp", "6")),
}
"""Frames in which everything is right, and whose layers begin where is known."""


def regions(built: Built) -> list[tuple[str, range]]:
    """Return the layers of a frame and the bytes that only their checksums are about.

    Bytes that say what comes next, how long it is or that it is a fragment are left out, and so are those of
    addresses, which a second checksum is about. What a tunnel's checksum covers besides is not its own.
    """
    starts = built.starts
    network = [("outer_ip", starts[1])]
    if len(starts) > 5:  # of which there are two in a tunnel
        network.append(("inner_ip", starts[4]))
    own = [("transport", range(starts[-1], len(built.frame)))]
    for name, start in network:
        if built.frame[start] >> 4 == 4:
            own += [(name, range(start + 4, start + 6)), (name, range(start + 8, start + 9))]
            own.append((name, range(start + 10, start + 12)))
    return own


@pytest.mark.parametrize("name", FRAMES)
def test_single_wrong_bit_is_found_in_its_layer(receiver, lanes, seed, name):
    """Each byte has one bit wrong, another one at every width; the model says what that comes to."""
    built = FRAMES[name]
    rng = random.Random(f"{seed} {lanes} {name}")
    spoilt = [built.changed(place, 1 << rng.randrange(8)) for place in range(len(built.frame))]
    arrivals = [Arrival(frame, ON) for frame in (built.frame, *spoilt)]
    bench = receiver(rng.choice([0.0, 0.3]))
    received = bench.play(arrivals)
    check_received(arrivals, received, counted=bench.counters())

    whole, *said = (each.reception for each in received)
    assert whole.reason is None
    assert whole.checksum & L4_SUCCEEDED
    tunnel = whole.verdicts.tunnel == "good"
    for layer, places in regions(built):
        for place in places:
            only = flipped(whole, layer)
            if tunnel and place >= built.starts[2]:  # whose checksum covers it as well, and counts first
                assert said[place].reason == "tunnel_checksum", place
                assert said[place].verdicts.tunnel == "bad", place
            else:
                assert said[place] == only, f"{layer}, byte {place}"


def flipped(whole: Reception, layer: str) -> Reception:
    """Return what is said if ``layer`` alone is wrong."""
    word = whole.checksum
    if layer == "transport":
        word = word & ~L4_SUCCEEDED | (word & L4_SUCCEEDED) >> 3
    else:
        word = word & ~0x20 | 0x04
    return dataclasses.replace(
        whole, checksum=word, verdicts=dataclasses.replace(whole.verdicts, **{layer: "bad"})
    )


@pytest.mark.parametrize("outer", ["4", "6"])
@pytest.mark.parametrize("tunnel", ["", "nvgre", "vxlan"])
def test_cut_frames_are_never_right(receiver, tunnel, outer):
    """Every shape is cut at every byte, back to back, and then padded to what Ethernet asks for."""
    arrivals = []
    for inner, kind in itertools.product("46" if tunnel else "4", ("tcp", "udp")):
        fields = {"vxlan": {"chksum": None}, "nvgre": {"chksum_present": 1}}.get(tunnel, {})
        frame = frame_of(outer, tunnel, inner, kind, **fields)
        cuts = [frame[:size] for size in range(1, len(frame) + 1)]
        arrivals += [Arrival(cut, ON) for cut in (*cuts, *(cut.ljust(60, b"\xa5") for cut in cuts[:60]))]
    extended = build(link("outer", 5, 6), with_extras("outer", outer), l4("tcp", outer)).frame
    arrivals += [Arrival(extended[:size], ON) for size in range(1, len(extended))]
    bench = receiver(0.2)
    received = bench.play(arrivals)
    check_received(arrivals, received, counted=bench.counters())
    whole = {len(each.data) for each in received if each.reception.checksum & L4_CHECKED}
    assert whole
    assert all(each.reception.reason for each in received if len(each.data) < min(whole))
