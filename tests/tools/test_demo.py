"""The demonstration, and the judge that it relies on."""

import itertools
import random
from pathlib import Path

import pytest
from offramp_sim import capture, cli
from offramp_sim.driver import Driver
from offramp_sim.judge import Wrong, dissect, judge
from offramp_sim.metadata import read
from offramp_sim.model import send

EXAMPLES = Path(__file__).parents[2] / "examples"
CAPTURE = EXAMPLES / "linux-offload.pcap"


@pytest.fixture(scope="module")
def packets():
    return [frame.data for frame in capture.read(CAPTURE)]


@pytest.fixture(scope="module")
def frames(packets):
    hints = read(CAPTURE.with_suffix(".jsonl"))
    driver = Driver(mss=None)
    requests = [driver.request(packet, hints[number][1]) for number, packet in enumerate(packets)]
    return [[*send(request, driver.config).frames] for request in requests]


def test_the_judge_finds_a_good_result_right(packets, frames):
    verdict = judge(packets, itertools.chain.from_iterable(frames))
    assert verdict.packets == 29
    assert verdict.frames == 228
    assert verdict.payload_bytes > 300_000


@pytest.mark.parametrize("seed", range(40))
def test_the_judge_finds_every_flipped_bit(packets, frames, seed):
    dice = random.Random(seed)
    number = dice.choice([4, 14, 19, 22, 26])
    train = list(frames[number])
    which = dice.randrange(len(train))
    header = dissect(train[which]).payload
    at = dice.randrange(header + 4)
    spoilt = bytearray(train[which])
    spoilt[at] ^= 1 << dice.randrange(8)
    train[which] = bytes(spoilt)
    with pytest.raises(Wrong):
        judge([packets[number]], train)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda train: train[:-1],
        lambda train: [*train, train[0]],
        lambda train: [train[1], train[0], *train[2:]],
        lambda train: [train[0], *train],
        lambda train: [train[0][:-1], *train[1:]],
        lambda train: [train[0] + b"\0", *train[1:]],
    ],
    ids=["lost", "added", "swapped", "repeated", "shortened", "padded"],
)
def test_the_judge_finds_trains_out_of_order(packets, frames, spoil):
    with pytest.raises(Wrong):
        judge([packets[4]], spoil(list(frames[4])))


def test_the_demonstration_ends_well(tmp_path, capsys):
    with pytest.raises(SystemExit) as exited:
        cli.main(["demo", str(CAPTURE), "--output", str(tmp_path), "--simulator", "model"])
    assert exited.value.code == 0
    said = capsys.readouterr().out
    assert "checksums found right" in said
    received = said[said.index("received: model, 16 bytes per cycle") :]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in received.splitlines()]
    facts = {row[0]: [int(cell) for cell in row[1:]] for row in rows if row}
    assert facts["frames"] == [228, 226, 228, 228]
    for name in ("IPv4 headers", "TCP and UDP"):
        plain, damaged, tunnelled, damaged_inside = facts[f"{name} found bad"]
        assert plain == tunnelled == 0
        assert min(damaged, damaged_inside) > 0
    assert facts["TCP and UDP found good"][0] == facts["TCP and UDP found good"][2] > 200
    assert facts["not checked: malformed"][1] > 0
    assert len(list(capture.read(tmp_path / "linux-offload-plain.pcap"))) == 228
    assert len(list(capture.read(tmp_path / "linux-offload-nvgre.pcap"))) == 228


def test_the_demonstration_fails_if_the_core_is_wrong(tmp_path, capsys, monkeypatch):
    from offramp_sim.core import reference

    def spoilt(request, config):
        right = send(request, config)
        frames = tuple(frame[:-1] + bytes([frame[-1] ^ 1]) for frame in right.frames)
        return type(right)(frames=frames, completion=right.completion)

    monkeypatch.setattr(reference, "send", spoilt)
    with pytest.raises(SystemExit) as exited:
        cli.main(["demo", str(CAPTURE), "--output", str(tmp_path), "--simulator", "model"])
    assert exited.value.code == 1
    assert "linux-offload-plain.pcap: packet 0" in capsys.readouterr().err


def test_the_demonstration_fails_if_the_receiver_finds_something_wrong(tmp_path, capsys, monkeypatch):
    import dataclasses

    from offramp_sim.core import reference
    from offramp_sim.model import receive

    def wrong(frame, config, **more):
        right = receive(frame, config, **more)
        return dataclasses.replace(right, verdicts=dataclasses.replace(right.verdicts, outer_ip="bad"))

    monkeypatch.setattr(reference, "receive", wrong)
    with pytest.raises(SystemExit) as exited:
        cli.main(["demo", str(CAPTURE), "--output", str(tmp_path), "--simulator", "model"])
    assert exited.value.code == 1
    assert "linux-offload-plain.pcap: frame 0 is found wrong" in capsys.readouterr().err
