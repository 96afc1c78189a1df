"""The random requests that everything else is tested with reach what they are meant to reach."""

import random
from collections import Counter

from offramp_sim.model import Build, Status, send
from offramp_sim.model.headers import Protocol, find
from offramp_sim.model.words import Supplemental
from offramp_sim.stimulus import requests

COUNT = 4000


def test_same_seed_gives_the_same_requests() -> None:
    one, other = (list(requests(random.Random(5), 200)) for _ in range(2))
    assert one == other
    assert one != list(requests(random.Random(6), 200))


def test_every_outcome_is_reached() -> None:
    outcomes = Counter(
        send(request, config).completion.status for request, config in requests(random.Random(1), COUNT)
    )
    assert outcomes.keys() == {status.name.lower() for status in Status}
    assert min(outcomes.values()) >= 5
    assert outcomes["ok"] > COUNT // 2


def test_every_kind_is_reached_and_served() -> None:
    kinds: Counter[tuple[str, str, tuple[int, ...], int | None]] = Counter()
    zeros: Counter[int] = Counter()
    for request, config in requests(random.Random(2), COUNT):
        outcome = send(request, config)
        if outcome.completion.status != "ok":
            continue
        asked = "lso" if request.lso else "uso" if request.uso else "checksum" if request.checksum else ""
        supplemental = Supplemental.unpack(request.supplemental)
        if not asked:
            continue
        found = find(
            request.frame,
            encapsulated=bool(supplemental.encapsulated),
            vxlan_port=config.vxlan_port,
            transports=frozenset({Protocol.TCP, Protocol.UDP}),
        )
        tunnel = found.tunnel.kind if found.tunnel else ""
        protocol = found.transport.protocol if found.transport else None
        kinds[asked, tunnel, tuple(ip.version for ip in found.ips), protocol] += 1
        if found.transport and protocol in (Protocol.TCP, Protocol.UDP):
            tag = 4 if request.vlan & 0xFFFF else 0
            field = found.transport.start + (16 if protocol == Protocol.TCP else 6) + tag
            zeros[protocol] += any(
                frame[field : field + 2] == (b"\0\0" if protocol == Protocol.TCP else b"\xff\xff")
                for frame in outcome.frames
            )
    for tunnel in ("", "nvgre", "vxlan"):
        for versions in ((outer, inner) for outer in (4, 6) for inner in (4, 6)):
            ips = versions if tunnel else versions[:1]
            for asked, protocol in (("lso", 6), ("uso", 17), ("checksum", 6), ("checksum", 17)):
                assert kinds[asked, tunnel, ips, protocol] >= 3, (asked, tunnel, ips, protocol)
    assert zeros[Protocol.TCP] >= 20
    assert zeros[Protocol.UDP] >= 20


def test_limits_are_kept() -> None:
    build = Build(max_mss=300, max_header_bytes=128)
    for request, config in requests(
        random.Random(3), 500, build=build, max_payload=600, max_segments=5, mismatches=False
    ):
        outcome = send(request, config, build)
        assert len(request.frame) <= 600 + 400
        assert outcome.completion.segments <= 5
        assert outcome.completion.status != "buffer_mismatch"
        assert request.length is None
