"""The random frames that the receive path is tested with reach what they are meant to reach."""

import random
from collections import Counter

import pytest
from offramp_sim.model import Reason, ReceiveConfig, Reception, receive
from offramp_sim.model.reception import HASH_TYPES
from offramp_sim.stimulus.arrivals import Arrival, arrival, config, random_frame

from .receptions import ON

COUNT = 5000


@pytest.fixture(scope="module")
def receptions() -> list[tuple[Arrival, ReceiveConfig, Reception]]:
    """Many arrivals, and what is said of them."""
    rng = random.Random(1)
    pairs = [(arrival(rng), config(rng)) for _ in range(COUNT)]
    return [
        (received, settings, receive(received.frame, settings, marked_bad=received.marked_bad))
        for received, settings in pairs
    ]


def test_same_seed_gives_the_same_arrivals() -> None:
    generators = random.Random(5), random.Random(5)
    one, other = ([(arrival(rng), config(rng)) for _ in range(100)] for rng in generators)
    assert one == other


def test_sizes_are_kept() -> None:
    rng = random.Random(2)
    sizes = [len(arrival(rng, max_payload=300).frame) for _ in range(2000)]
    assert min(sizes) == 1
    assert max(sizes) <= 300 + 1200  # of headers, however long


def test_every_reason_is_reached(receptions: list[tuple[Arrival, ReceiveConfig, Reception]]) -> None:
    reasons = Counter(reception.reason for _, _, reception in receptions)
    assert reasons.keys() == {None, *(reason.name.lower() for reason in Reason)}
    assert min(reasons.values()) >= 20
    assert reasons[None] > COUNT // 4


def test_every_flag_and_verdict_is_reached(
    receptions: list[tuple[Arrival, ReceiveConfig, Reception]],
) -> None:
    words = Counter(reception.checksum for _, _, reception in receptions)
    l4 = (0x00, 0x01, 0x02, 0x08, 0x10)
    assert words.keys() >= {ip | transport for ip in (0x00, 0x20) for transport in l4}
    assert words.keys() >= {0x04 | transport for transport in l4}
    for layer in ("outer_ip", "tunnel", "inner_ip", "transport"):
        verdicts = Counter(getattr(reception.verdicts, layer) for _, _, reception in receptions)
        assert min(verdicts[verdict] for verdict in ("good", "bad", "not_checked")) >= 20, layer


def test_every_hash_and_queue_is_reached(
    receptions: list[tuple[Arrival, ReceiveConfig, Reception]],
) -> None:
    hashes = Counter(reception.hash_type for _, _, reception in receptions)
    assert hashes.keys() == {0, *HASH_TYPES.values()}
    assert min(hashes.values()) >= 100
    assert {reception.queue for _, _, reception in receptions} == set(range(16))
    filtered = [
        reception.queue != settings.default_queue
        for _, settings, reception in receptions
        if settings.vmq_filters
    ]
    assert 0.1 < sum(filtered) / len(filtered) < 0.9


def test_every_mix_of_layers_is_reached_and_right() -> None:
    """With everything on, nothing is wrong with valid frames, unless UDP looks like VXLAN and is not."""
    rng = random.Random(3)
    mixes: Counter[tuple[str | None, ...]] = Counter()
    for _ in range(COUNT):
        reception = receive(random_frame(rng, 200).octets, ON)
        assert not reception.checksum & 0x07
        assert reception.reason not in ("malformed", "length", "tunnel_checksum")
        if reception.reason == "truncated":
            assert reception.tunnel == "vxlan" or reception.l4 == "udp"
        if reception.reason is None:
            mixes[reception.outer, reception.tunnel, reception.inner, reception.l4] += 1
    for outer in ("ipv4", "ipv6"):
        for l4 in ("tcp", "udp"):
            assert mixes[outer, None, None, l4] >= 50
            for tunnel in ("nvgre", "vxlan"):
                for inner in ("ipv4", "ipv6"):
                    assert mixes[outer, tunnel, inner, l4] >= 20, (outer, tunnel, inner, l4)
