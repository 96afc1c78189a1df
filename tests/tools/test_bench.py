"""`offramp bench`: what counts as a miss, what is printed, and what is refused."""

import json

import pytest
from click.testing import CliRunner
from offramp_sim import compare, options
from offramp_sim.bench import reception
from offramp_sim.bench.arrivals import EXTENSION_FRAME_BYTES, STREAMS, arrivals_of
from offramp_sim.bench.measure import Measurement, measure
from offramp_sim.bench.traffic import KINDS, SCENARIOS, SIZES, Scenario, Traffic, headers
from offramp_sim.commands import bench
from offramp_sim.core import CoreError, Frame, Outcome, Received

SINGLE, TRAIN, SHORT = SCENARIOS


class Ideal:
    """A core without any idle cycle but those it is told to have, and with a latency as told."""

    def __init__(self, *, lanes, latency=10, idle=0):
        self.lanes, self.latency, self.idle = lanes, latency, idle

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def reset(self):
        pass

    def play(self, jobs, progress=None):
        now, outcomes = 0, []
        for job, right in zip(jobs, compare.expected(jobs), strict=True):
            (size,) = job.request.elements
            taken = range(-(-size // self.lanes))
            # The first frame has as many bytes as it needs to begin, so long as no tag is inserted.
            now = now or (len(right.frames[0]) - 1) // self.lanes + self.latency
            frames = []
            for data in right.frames:
                beats = -(-len(data) // self.lanes)
                frames.append(Frame(data, job.request.tag, now, now + beats - 1, beats))
                now += beats + self.idle
            outcomes.append(Outcome(tuple(frames), right.completion, 0, now, taken, (size,)))
        return outcomes


class Wrong(Ideal):
    """A core that sends something else."""

    def play(self, jobs, progress=None):
        return super().play(Traffic(TRAIN, "plain-v4", 1448).jobs())


def run(*arguments):
    return CliRunner().invoke(bench.command, arguments)


@pytest.fixture
def ideal(monkeypatch):
    """Replace the core, so that nothing is built; the test may change what it is like."""
    likeness = {}
    monkeypatch.setattr(options.Simulation, "open", lambda self: Ideal(lanes=self.lanes, **likeness))
    return likeness


class IdealReceiver(Ideal):
    """A receive path that passes frames on, each beat ``latency`` cycles later, metadata as late as told."""

    def __init__(self, *, lanes, latency=12, idle=0, metadata=24, jitter=0):
        super().__init__(lanes=lanes, latency=latency, idle=idle)
        self.metadata, self.jitter = metadata, jitter

    def play(self, arrivals, progress=None):
        now, received = 5, []
        for arrival, right in zip(arrivals, compare.expected_receptions(arrivals), strict=True):
            beats = -(-len(arrival.frame) // self.lanes)
            inputs = range(now, now + beats)
            outputs = [cycle + self.latency for cycle in inputs]
            outputs[-1] += self.jitter
            frame = Frame(arrival.frame, 0, outputs[0], outputs[-1], beats)
            received.append(Received(frame, right, inputs, outputs, inputs[-1] + self.metadata))
            now += beats + self.idle
        return received


@pytest.fixture
def receiver(monkeypatch):
    """Replace the receive path likewise."""
    likeness = {}
    monkeypatch.setattr(
        options.Simulation, "open_receiver", lambda self: IdealReceiver(lanes=self.lanes, **likeness)
    )
    return likeness


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [(scenario, kind) for scenario in SCENARIOS for kind in KINDS if scenario.fits(kind)],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_model_serves_all_that_is_sent(scenario, kind):
    traffic = Traffic(scenario, kind, 1460 if scenario.segmented else 0)
    jobs = traffic.jobs()
    results = compare.expected(jobs)
    assert len(jobs) == scenario.count
    assert {result.completion.status for result in results} == {"ok"}
    payload = sum(result.completion.payload_bytes for result in results)
    assert payload == (scenario.count * scenario.size_bytes if scenario.segmented else 0)
    assert not any(result.inner_version_hint or result.tcp_options_hint for result in results)


def test_headers_are_what_the_kinds_say():
    assert [headers(kind).size for kind in KINDS] == [54, 96, 164, 104]
    assert headers("nvgre-v6-v6-options").outer.extensions
    assert headers("nvgre-v6-v6-options").inner.extensions


def test_ideal_core_measures_as_such():
    measurement = measure(Ideal(lanes=64), Traffic(SHORT, "plain-v4"))
    assert measurement.cycles == measurement.output_beats == measurement.ideal_beats == 1000
    assert (measurement.ratio, measurement.cycles_per_frame, measurement.latency_cycles) == (1.0, 1.0, 10)
    measurement = measure(Ideal(lanes=8, latency=7), Traffic(SINGLE, "vxlan-v4-v4", 8960))
    assert measurement.ideal_beats == 7 * 1133 + 365
    assert (measurement.ratio, measurement.latency_cycles) == (1.0, 7)


def test_one_idle_cycle_is_seen():
    scenario = Scenario("pair", "two frames", 2, 1000)
    measurement = measure(Ideal(lanes=8, idle=1), Traffic(scenario, "plain-v4", 1000))
    assert measurement.cycles == measurement.ideal_beats + 1
    assert measurement.missed == ("ratio",)


def test_wrong_frames_are_not_measured():
    with pytest.raises(CoreError, match="request 0"):
        measure(Wrong(lanes=8), Traffic(TRAIN, "plain-v4", 1460))


@pytest.mark.parametrize(
    ("beats", "cycles", "latency", "missed"),
    [
        ((5, 5, 5), 15, 32, ()),
        ((5, 5, 5), 16, 32, ("ratio",)),
        ((5, 5, 1), 12, 32, ("ratio",)),  # the end of a train may be short, but not late
        ((4, 4, 4), 40, 32, ()),
        ((5, 4, 5), 40, 32, ()),
        ((5, 5, 5), 15, 33, ("latency_cycles",)),
    ],
)
def test_targets_of_large_sends(beats, cycles, latency, missed):
    measurement = Measurement(Traffic(SINGLE, "plain-v4", 64), 8, beats, sum(beats), cycles, latency)
    assert measurement.missed == missed


@pytest.mark.parametrize(("cycles", "missed"), [(16, ()), (17, ("cycles_per_frame",))])
def test_targets_of_short_packets(cycles, missed):
    traffic = Traffic(SHORT, "plain-v4")
    assert Measurement(traffic, 64, (1,) * 10, 10, cycles, 1).missed == missed
    assert Measurement(traffic, 32, (2,) * 10, 20, 20 + cycles, 1).missed == ()


def test_json_has_every_measurement(ideal):
    result = run("send", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert len(rows) == 4 * (2 * len(KINDS) * len(SIZES) + 1)
    keys = {"lanes", "kind", "mss", "scenario", "output_beats", "ideal_beats", "cycles", "ratio"}
    for row in rows:
        assert row.keys() >= keys | {"latency_cycles"}
        assert ("cycles_per_frame" in row) == (row["scenario"] == "short")
        assert row["ratio"] == 1.0
    assert {row["lanes"] for row in rows} == {8, 16, 32, 64}


def test_lists_and_repetition_mean_the_same(ideal):
    wanted = [8, 64]
    for arguments in (["--lanes", "8,64"], ["--lanes", "8", "--lanes", "64"], ["--lanes", "8, 64,8"]):
        rows = json.loads(run("send", "--json", "--scenario", "short", *arguments).stdout)
        assert [row["lanes"] for row in rows] == wanted


def test_table_marks_what_misses_its_target(ideal):
    ideal["latency"] = 33
    result = run("send", "--lanes", "8,16", "--mss", "1460", "--kind", "plain-v4,vxlan-v4-v4")
    assert result.exit_code == 1
    assert result.stdout.count("33!") == 2 * 5
    assert "1.000!" not in result.stdout
    assert "10 of 10 measurements miss a target" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_table_does_not_round_a_bubble_away(ideal):
    ideal["idle"] = 1
    result = run("send", "--lanes", "8", "--kind", "plain-v4", "--mss", "8960", "--scenario", "train")
    assert "0.998!" in result.stdout
    assert "1 of 1 measurements misses a target" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["send", "--lanes", "7"], "'7' is not one of '8', '16', '32', '64'"),
        (["send", "--lanes", "8,"], "'' is not one of"),
        (["send", "--mss", "0"], "0 is not in the range"),
        (["send", "--mss", "9601"], "9601 is not in the range"),
        (["send", "--mss", "x"], "'x' is not a valid integer"),
        (["send", "--kind", "gre"], "'gre' is not one of"),
        (["send", "--scenario", "long"], "'long' is not one of"),
        (["send", "--scenario", "short", "--kind", "vxlan-v4-v4"], "no room"),
        (["receive", "--stream", "1000"], "'1000' is not one of"),
        (["transmit"], "No such command 'transmit'"),
    ],
)
def test_bad_values_are_told(ideal, arguments, complaint):
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("scenario", "kind", "mss", "complaint"),
    [
        (SHORT, "vxlan-v4-v4", 0, "does not fit into 64 bytes"),
        (SHORT, "plain-v4", 1460, "mss must be 0"),
        (SINGLE, "plain-v4", 0, "mss must be 0"),
        (SINGLE, "plain", 9, "kind must be one of"),
    ],
)
def test_traffic_that_makes_no_sense_is_refused(scenario, kind, mss, complaint):
    with pytest.raises(ValueError, match=complaint):
        Traffic(scenario, kind, mss).jobs()


BY_NAME = {stream.name: stream for stream in STREAMS}


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_streams_are_what_they_say(stream):
    arrivals = arrivals_of(stream)
    assert len(arrivals) == stream.count
    assert stream.arrivals() == list(arrivals)
    receptions = compare.expected_receptions(arrivals)
    sizes = {len(arrival.frame) for arrival in arrivals}
    reasons = {reception.reason for reception in receptions}
    match stream.name:
        case "garbage":
            assert len(reasons) > 4
            assert min(sizes) < 14
        case "mixed":
            assert reasons == {None}
            assert {reception.tunnel for reception in receptions} == {None, "nvgre", "vxlan"}
            assert len(sizes) > 100
            assert max(sizes) > 1400
        case "nvgre":
            assert (reasons, sizes) == ({None}, {42 + 60})
            assert {reception.checksum for reception in receptions} == {0x28}
        case "extensions":
            assert (reasons, sizes) == ({None}, {EXTENSION_FRAME_BYTES})
            assert {reception.checksum for reception in receptions} == {0x10}
        case size:
            assert (reasons, sizes) == ({None}, {int(size)})
            assert {reception.checksum for reception in receptions} == {0x28}


def test_an_ideal_receiver_measures_as_such():
    measurement = reception.measure(IdealReceiver(lanes=64), BY_NAME["64"])
    assert (measurement.cycles, measurement.beats, measurement.ratio) == (1000, 1000, 1.0)
    assert (measurement.delays, measurement.metadata_cycles, measurement.missed) == ((12, 12), 24, ())
    assert reception.measure(IdealReceiver(lanes=8), BY_NAME["nvgre"]).beats == 13 * 1000


@pytest.mark.parametrize(
    ("likeness", "missed"),
    [
        ({"idle": 1}, ("ratio",)),
        ({"metadata": 25}, ("metadata_cycles",)),
        ({"jitter": 1}, ("ratio", "delays")),
    ],
)
def test_targets_of_a_receiver(likeness, missed):
    assert reception.measure(IdealReceiver(lanes=64, **likeness), BY_NAME["1500"]).missed == missed


def test_wrong_metadata_is_not_measured(monkeypatch):
    monkeypatch.setattr(compare, "reception_difference", lambda *_: "is wrong")
    with pytest.raises(CoreError, match="frame 0 is wrong"):
        reception.measure(IdealReceiver(lanes=8), BY_NAME["60"])


def test_json_of_a_receiver_has_every_measurement(receiver):
    result = run("receive", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [(row["lanes"], row["stream"]) for row in rows] == [
        (lanes, stream.name) for lanes in (8, 16, 32, 64) for stream in STREAMS
    ]
    for row in rows:
        assert row["ratio"] == 1.0
        assert row["least_delay_cycles"] == row["most_delay_cycles"] == 12
        assert row["missed"] == []


def test_table_of_a_receiver_marks_what_misses_its_target(receiver):
    receiver |= {"idle": 1, "metadata": 25}
    result = run("receive", "--lanes", "64", "--stream", "64,9000")
    assert result.exit_code == 1
    assert "0.500!" in result.stdout
    assert "0.993!" in result.stdout
    assert result.stdout.count("25!") == 2
    assert "2 of 2 measurements miss a target" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
