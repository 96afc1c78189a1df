"""`offramp soak`: the core against the model, and what it says where they differ."""

import random

import pytest
from click.testing import CliRunner
from offramp_sim import compare
from offramp_sim.cli import offramp
from offramp_sim.commands import soak
from offramp_sim.core.reference import ReferenceReceiver

CHUNK = ["soak", "500", "--path", "send", "--seed", "911", "--lanes", "8", "--stall", "0.4"]
"""Some of its sends have buffers that end early: how many segments go out then depends on the stalls."""


@pytest.fixture
def one_process(monkeypatch):
    """Run chunks where they can be watched, and receive with the model."""

    class Pool:
        def __init__(self, jobs):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, function, *arguments):
            from concurrent.futures import Future

            future = Future()
            try:
                future.set_result(function(*arguments))
            except Exception as error:
                future.set_exception(error)
            return future

    monkeypatch.setattr(soak, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(compare, "wrong_receive_counters", lambda *_: [])  # the model has none
    monkeypatch.setattr(soak, "open_receiver", lambda *_, lanes, **__: ReferenceReceiver(lanes=lanes))


def test_a_chunk_in_which_buffers_end_early_agrees_with_the_model():
    result = CliRunner().invoke(offramp, CHUNK)
    assert result.exit_code == 0, result.output
    assert "buffer_mismatch" in result.output


def test_a_difference_is_told_with_the_command_that_repeats_it(monkeypatch):
    monkeypatch.setattr(compare, "difference", lambda *_: "all wrong")
    result = CliRunner().invoke(offramp, CHUNK)
    assert result.exit_code == 1
    assert "seed 911: request 0: all wrong" in result.output
    assert "again: offramp soak 500 --path send --seed 911 --lanes 8 --stall 0.4" in result.output


def test_random_arrivals_are_of_many_kinds(one_process):
    result = CliRunner().invoke(offramp, ["soak", "2000", "--path", "receive"])
    assert result.exit_code == 0, result.output
    assert "receive: 2,000 frames: " in result.output
    for reason in ("checked", "marked_bad", "truncated", "malformed", "fragment", "not_ip", "length"):
        assert f"{reason} " in result.output


def test_a_wrong_reception_is_told_field_by_field(one_process, monkeypatch):
    right = ReferenceReceiver._result

    def wrong(self, thing):
        from dataclasses import replace

        received = right(self, thing)
        reception = replace(received.reception, queue=received.reception.queue ^ 1, checksum=0x1000)
        return replace(received, reception=reception)

    monkeypatch.setattr(ReferenceReceiver, "_result", wrong)
    result = CliRunner().invoke(offramp, ["soak", "500", "--path", "receive", "--seed", "3", "--lanes", "16"])
    assert result.exit_code == 1
    assert "seed 3: frame 0 has checksum 4096 (0x1000), not " in result.output
    assert "queue " in result.output
    assert "again: offramp soak 500 --path receive --seed 3 --lanes 16 --stall" in result.output


def test_both_paths_take_turns_and_a_seed_means_the_same_by_itself():
    chunks = [soak.Chunk.of(seed, "both", "verilator", None, None) for seed in range(6)]
    assert [chunk.path for chunk in chunks] == ["send", "receive"] * 3
    assert chunks[3] == soak.Chunk.of(3, "receive", "verilator", None, None)


def test_arrivals_are_the_same_for_a_seed():
    first, second = (list(soak.random_arrivals(random.Random(5), 50)) for _ in range(2))
    assert first == second


def test_wrong_counters_of_the_receive_path_are_told():
    given = list(soak.random_arrivals(random.Random(8), 200))
    receptions = compare.expected_receptions(given)
    right = {
        "frames": 200,
        "bytes": sum(len(arrival.frame) for arrival in given),
        **{f"reason_{name}": 0 for name in ("checked", "header_limit")},
    }
    for reception in receptions:
        names = [f"reason_{reception.reason or 'checked'}", f"queue_{reception.queue}"]
        names += [name for bit, name in enumerate(compare.CHECKSUM_FLAGS) if reception.checksum >> bit & 1]
        verdict = {"good": "tunnel_succeeded", "bad": "tunnel_failed"}.get(reception.verdicts.tunnel)
        for name in (*names, *([verdict] if verdict else [])):
            right[name] = right.get(name, 0) + 1
    assert right["tcp_succeeded"] > 10
    assert compare.wrong_receive_counters(right, given, receptions) == []
    wrong = right | {"tcp_succeeded": 1, "unheard_of": 2}
    assert compare.wrong_receive_counters(wrong, given, receptions) == [
        f"counter tcp_succeeded is 1, not {right['tcp_succeeded']}",
        "counter unheard_of is 2, not 0",
    ]
