"""Properties of what is said of any frame, and scapy's opinion on frames of its own."""

import dataclasses
import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from offramp_sim.damage import damages
from offramp_sim.model import Reason, ReceiveConfig, Reception, receive
from offramp_sim.model.layers import find_layers
from offramp_sim.model.reception import HASH_TYPES
from offramp_sim.stimulus.arrivals import Arrival, arrival, config, random_frame
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import NoPayload

from .frames import frame_of
from .receptions import CASES, ON
from .shapes import Shape

REASONS = {None, *(reason.name.lower() for reason in Reason)}
L4_CHECKED = 0x01 | 0x02 | 0x08 | 0x10
L4_SUCCEEDED = 0x08 | 0x10

seeds = st.integers(0, 2**32 - 1)


def check(frame: bytes, config: ReceiveConfig, reception: Reception) -> None:
    """Check what must be true of anything that is said."""
    word, verdicts = reception.checksum, reception.verdicts
    assert word & ~0x3F == 0  # RXC-9
    for failed, succeeded in ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20)):
        assert not (word & failed and word & succeeded)  # RXC-5
    assert (word & L4_CHECKED).bit_count() <= 1
    assert reception.reason in REASONS
    assert bool(word & L4_CHECKED) == (reception.reason is None) == (verdicts.transport != "not_checked")
    assert bool(word & 0x04) == ("bad" in (verdicts.outer_ip, verdicts.inner_ip))
    if word & 0x20:
        assert "good" in (verdicts.outer_ip, verdicts.inner_ip)
    if reception.reason in ("inactive", "marked_bad"):
        assert word == 0
    if word & L4_CHECKED:
        assert reception.l4 == ("tcp" if word & 0x09 else "udp")
        assert not reception.fragment
    assert reception.hash_type in {0, *HASH_TYPES.values()}
    assert reception.hash_type or not reception.hash_value
    assert 0 <= reception.queue < 16
    assert 0 <= reception.vlan_tags <= 2
    assert (reception.inner is None and not reception.inner_vlan) or reception.tunnel in ("nvgre", "vxlan")
    assert reception.length == len(frame) & 0xFFFF


def said_of(received: Arrival, config: ReceiveConfig) -> Reception:
    """Return what is said of an arrival, checked."""
    reception = receive(received.frame, config, marked_bad=received.marked_bad)
    check(received.frame, config, reception)
    return reception


@settings(max_examples=500, deadline=None)
@given(seeds)
def test_anything_said_is_sane(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(5):
        said_of(arrival(rng), config(rng))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), seeds, st.sampled_from(CASES), st.integers(0, 300))
def test_garbage_never_raises(garbage: bytes, seed: int, case: object, window: int) -> None:
    """Garbage alone, behind an EtherType of IP, and behind any headers cut anywhere."""
    chosen = config(random.Random(seed))
    for head in (b"", bytes(12) + b"\x08\0\x45", bytes(12) + b"\x86\xdd\x60", case.frame[: seed % 120]):
        frame = head + garbage
        check(frame, chosen, receive(frame, chosen, max_header_bytes=window))


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_mark_and_activity_change_nothing_else(seed: int) -> None:
    """Layers, hash and queue depend on neither."""
    rng = random.Random(seed)
    frame, chosen = arrival(rng).frame, dataclasses.replace(config(rng), active=True)
    resting = dataclasses.replace(chosen, active=False)
    expected = receive(frame, chosen)
    for other in (receive(frame, chosen, marked_bad=True), receive(frame, resting)):
        unsaid = {name: getattr(expected, name) for name in ("checksum", "reason", "verdicts", "marked_bad")}
        assert dataclasses.replace(other, **unsaid) == expected


@settings(max_examples=300, deadline=None)
@given(seeds, st.data())
def test_flipped_payload_bit_is_never_right(seed: int, data: st.DataObject) -> None:
    """Nor does it change any other verdict but that of a tunnel with a checksum."""
    frame = random_frame(random.Random(seed), 1500).octets
    before = receive(frame, ON)
    layers = find_layers(frame, ON, 256)
    if not before.checksum & L4_SUCCEEDED or not layers.transport:
        return
    end = covered_end(frame)
    if end <= layers.transport.end:
        return
    place = data.draw(st.integers(layers.transport.end, end - 1))
    broken = bytearray(frame)
    broken[place] ^= 1 << data.draw(st.integers(0, 7))
    after = receive(bytes(broken), ON)
    assert not after.checksum & L4_SUCCEEDED
    if before.verdicts.tunnel == "good":
        assert (after.reason, after.verdicts.tunnel) == ("tunnel_checksum", "bad")
    else:
        assert after.verdicts == dataclasses.replace(before.verdicts, transport="bad")
        assert after.checksum == before.checksum & ~L4_SUCCEEDED | (before.checksum & L4_SUCCEEDED) >> 3


def covered_end(frame: bytes) -> int:
    """Return the end of the innermost TCP or UDP, by what scapy finds in the length fields."""
    layers = find_layers(frame, ON, 256)
    ip, transport = layers.innermost.ip, layers.transport
    assert ip and transport
    if transport.protocol == 17:
        return transport.start + int.from_bytes(frame[transport.start + 4 : transport.start + 6], "big")
    return end_of_ip(frame, ip.start, ip.version)


def end_of_ip(frame: bytes, start: int, version: int) -> int:
    """Return the end of the datagram that begins at ``start``."""
    if version == 4:
        return start + int.from_bytes(frame[start + 2 : start + 4], "big")
    return start + 40 + int.from_bytes(frame[start + 4 : start + 6], "big")


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_cut_is_never_right_but_in_padding(seed: int) -> None:
    frame = random_frame(random.Random(seed), 200).octets
    outer = find_layers(frame, ON, 256).outer.ip
    whole = receive(frame, ON)
    for size in range(len(frame)):
        reception = receive(frame[:size], ON)
        if whole.reason is None and outer and size >= end_of_ip(frame, outer.start, outer.version):
            assert dataclasses.replace(reception, length=whole.length) == whole
        else:
            assert not reception.checksum & L4_CHECKED
            assert reception.reason is not None


@settings(max_examples=200, deadline=None)
@given(seeds, st.binary(max_size=80))
def test_what_is_behind_the_datagram_changes_nothing(seed: int, trailer: bytes) -> None:
    """RXC-6: of a frame that is not cut off."""
    frame = random_frame(random.Random(seed), 300).octets
    reception = receive(frame, ON)
    if reception.reason in ("truncated", "length"):
        return
    longer = receive(frame + trailer, ON)
    assert dataclasses.replace(longer, length=reception.length) == reception


# Scapy ---------------------------------------------------------------------------------------------------


def shapes() -> st.SearchStrategy[Shape]:
    """Return shapes that a receiver can check."""
    extras = st.sampled_from([(), ("options",), ("hop",), ("hop", "destination")])
    return st.builds(
        Shape,
        outer=st.sampled_from((4, 6)),
        inner=st.sampled_from((4, 6)),
        tunnel=st.sampled_from(["", "nvgre", "vxlan"]),
        transport=st.sampled_from(["tcp", "udp"]),
        tags=st.lists(st.sampled_from([0x8100, 0x88A8]), max_size=2).map(tuple),
        inner_tag=st.booleans(),
        outer_extras=extras,
        inner_extras=extras,
        tcp_options=st.booleans(),
        sequence=st.integers(0, 2**32 - 1),
        outer_id=st.integers(0, 0xFFFF),
        vxlan_checksum=st.sampled_from([0, None]),
    )


@settings(max_examples=300, deadline=None)
@given(shapes(), st.binary(max_size=100), st.binary(max_size=20))
def test_what_scapy_builds_is_right(shape: Shape, payload: bytes, trailer: bytes) -> None:
    reception = receive(shape.build(payload) + trailer, ON)
    has_ipv4 = 4 in ((shape.outer, shape.inner) if shape.tunnel else (shape.outer,))
    assert reception.reason is None
    assert reception.checksum == 0x20 * has_ipv4 + (0x08 if shape.transport == "tcp" else 0x10)
    assert reception.outer == f"ipv{shape.outer}"
    assert reception.inner == (f"ipv{shape.inner}" if shape.tunnel else None)
    assert (reception.tunnel or "", reception.l4) == (shape.tunnel, shape.transport)
    assert reception.vlan_tags == len(shape.tags)
    assert reception.inner_vlan == (shape.inner_tag and bool(shape.tunnel))
    has_checksum = shape.tunnel == "vxlan" and shape.vxlan_checksum is None
    assert reception.verdicts.tunnel == ("good" if has_checksum else "not_checked")


@settings(max_examples=300, deadline=None)
@given(shapes(), st.binary(min_size=1, max_size=60), st.data())
def test_scapy_finds_the_same_checksums_wrong(shape: Shape, payload: bytes, data: st.DataObject) -> None:
    """Bytes are changed that decide nothing about the layers; scapy says what the checksums should be."""
    shape = dataclasses.replace(shape, vxlan_checksum=0)
    frame = bytearray(shape.build(payload))
    places = [shape.transport_start, *range(shape.header_bytes, len(frame))]
    for start, version in {(shape.outer_ip, shape.outer), (shape.inner_ip, shape.version)}:
        places += [start + 8, start + 10, start + 13] if version == 4 else [start + 7, start + 9]
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.sampled_from(places))] ^= data.draw(st.integers(1, 255))
    assert receive(bytes(frame), ON).checksum == scapy_word(bytes(frame))


def scapy_word(frame: bytes) -> int:
    """Return the flag word, by comparing every checksum with the one that scapy computes."""
    stated, fresh = Ether(frame), Ether(frame)
    layers = list(fresh.iterpayloads())
    for layer in layers:
        if isinstance(layer, IP | TCP | UDP) and not (isinstance(layer, UDP) and layer.chksum == 0):
            del layer.chksum
    computed = Ether(bytes(fresh))
    word = 0
    innermost = [layer for layer in stated.iterpayloads() if isinstance(layer, TCP | UDP)][-1]
    for one, other in zip(stated.iterpayloads(), computed.iterpayloads(), strict=True):
        if isinstance(one, NoPayload):
            break
        if isinstance(one, IP):
            word |= 0x20 if one.chksum == other.chksum else 0x04
        elif one is innermost:
            good = one.chksum == other.chksum
            word |= ((0x08 if good else 0x01) if isinstance(one, TCP) else (0x10 if good else 0x02))
    return word & ~0x20 if word & 0x04 else word


# Damage --------------------------------------------------------------------------------------------------


def test_damage_is_noticed() -> None:
    tunnels, kinds = ("", "nvgre", "vxlan"), ("tcp", "udp")
    for frame in itertools.starmap(frame_of, itertools.product("46", tunnels, "46", kinds)):
        whole = receive(frame, ON)
        assert whole.reason is None
        found = list(damages(frame))
        assert len({damage.what for damage in found}) == len(found) >= 5
        for damage in found:
            reception = receive(damage.frame, ON)
            if "time to live" in damage.what:
                assert reception.checksum == whole.checksum & ~0x20 | 0x04
            else:
                assert not reception.checksum & L4_SUCCEEDED, damage.what


def test_nothing_to_damage_is_no_damage() -> None:
    assert list(damages(b"")) == list(damages(bytes(60))) == []
