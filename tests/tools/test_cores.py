"""The benches around the simulators, on a core that only loops back, and that misbehaves on demand."""

import random
from pathlib import Path

import pytest
from offramp_sim.core import CoreError, Job, open_core
from offramp_sim.core.simulation import PATIENCE_CYCLES
from offramp_sim.model import Config, Request

from tests.installed import needs_icarus

LOOPBACK = Path(__file__).with_name("loopback.sv").read_text()

simulators = pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=needs_icarus)])


def requests(count, *, seed=0, config=None):
    dice = random.Random(seed)
    jobs = []
    for tag in range(count):
        buffers = tuple(dice.randint(1, 60) for _ in range(dice.randint(1, 3)))
        jobs.append(
            Job(Request(frame=dice.randbytes(sum(buffers)), buffers=buffers, tag=tag), config or Config())
        )
    return jobs


def pieces(request):
    start = 0
    for size in request.elements:
        yield request.frame[start : start + size]
        start += size


@simulators
@pytest.mark.parametrize("stall", [0, 0.5])
def test_what_goes_in_comes_out_in_order(simulator, stall):
    jobs = requests(60)
    with open_core(simulator, verilog=LOOPBACK, seed=5, stall=stall) as core:
        outcomes = core.play(jobs)
        counters = core.counters()
        cycles = core.cycles
    for job, outcome in zip(jobs, outcomes, strict=True):
        assert [frame.data for frame in outcome.frames] == list(pieces(job.request))
        assert {frame.tag for frame in outcome.frames} == {job.request.tag}
        assert outcome.completion.status == "ok"
    assert counters == {"requests": 60, "frames": sum(len(job.request.elements) for job in jobs)}
    assert cycles > sum(-(-size // 8) for job in jobs for size in job.request.elements)


@simulators
def test_cycles_are_those_of_the_beats(simulator):
    job = Job(Request(frame=bytes(35), buffers=(9, 26)))
    with open_core(simulator, verilog=LOOPBACK) as core:
        (outcome,) = core.play([job])
    first = outcome.request_cycle + 1
    assert list(outcome.buffer_cycles) == [first + n for n in range(6)]
    assert [(frame.first_cycle, frame.last_cycle, frame.beats) for frame in outcome.frames] == [
        (first + 1, first + 2, 2),
        (first + 3, first + 6, 4),
    ]
    assert outcome.completion_cycle == first + 7
    taken = [outcome.byte_cycle(byte, 8) - first for byte in (0, 7, 8, 9, 16, 17, 34)]
    assert taken == [0, 0, 1, 2, 2, 3, 5]
    with pytest.raises(IndexError):
        outcome.byte_cycle(35, 8)


@simulators
def test_the_seed_decides_the_stalls(simulator):
    def play(seed):
        with open_core(simulator, verilog=LOOPBACK, seed=seed, stall=0.5) as core:
            return [(o.request_cycle, list(o.buffer_cycles), o.frames) for o in core.play(requests(10))]

    assert play(1) == play(1)
    assert play(1) != play(2)


@simulators
def test_a_core_plays_on_after_the_first_play(simulator):
    with open_core(simulator, verilog=LOOPBACK) as core:
        core.play(requests(3))
        again = core.play(requests(4))
        assert len(again) == 4
        assert core.counters()["requests"] == 7


@simulators
@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (2, "tvalid fell before tready"),
        (3, "changed while it was stalled"),
        (4, "not contiguous"),
        (5, "partial before tlast"),
        (6, "carries tag"),
        (7, f"{PATIENCE_CYCLES} cycles|nothing moves"),
        (8, "undocumented status 99"),
        (9, "more records than there was reason for"),
        (10, "the loopback never ends well"),
    ],
)
def test_misbehaviour_is_told(simulator, fault, complaint):
    with (
        open_core(simulator, verilog=LOOPBACK, stall=0.5) as core,
        pytest.raises(CoreError, match=complaint),
    ):
        core.play(requests(20, config=Config(vxlan_port=fault)))


@simulators
def test_a_hang_tells_how_far_it_got_and_reset_helps(simulator):
    with open_core(simulator, verilog=LOOPBACK) as core:
        with pytest.raises(CoreError, match="cycle"):
            core.play(requests(2, config=Config(vxlan_port=1)))
        core.reset()
        assert len(core.play(requests(2))) == 2


@simulators
def test_waves_are_written_on_request(simulator, tmp_path):
    waves = tmp_path / "waves.vcd"
    with open_core(simulator, verilog=LOOPBACK, waves=waves) as core:
        core.play(requests(2))
    assert "m_axis_frame_tdata" in waves.read_text()


def test_builds_are_kept_by_content(tmp_path, monkeypatch):
    from offramp_sim.core import cache

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    built = []

    def build(folder):
        built.append(folder)
        (folder / "result").write_text("done")

    first = cache.folder("kind", "key", build, what="building")
    assert cache.folder("kind", "key", build, what="building") == first
    assert len(built) == 1
    assert (first / "result").read_text() == "done"


def test_a_failed_build_leaves_nothing(tmp_path, monkeypatch):
    from offramp_sim.core import cache

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))

    def build(folder):
        (folder / "half").touch()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.folder("kind", "key", build, what="building")
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["key.lock"]


def test_digests_tell_where_a_part_ends():
    from offramp_sim.core import cache

    assert cache.digest("ab", "c") != cache.digest("a", "bc")
