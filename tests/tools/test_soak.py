"""`offramp soak`: the core against the model, and what it says where they differ."""

from click.testing import CliRunner
from offramp_sim import compare
from offramp_sim.cli import offramp

CHUNK = ["soak", "500", "--seed", "911", "--lanes", "8", "--stall", "0.4"]
"""Some of its sends have buffers that end early: how many segments go out then depends on the stalls."""


def test_a_chunk_in_which_buffers_end_early_agrees_with_the_model():
    result = CliRunner().invoke(offramp, CHUNK)
    assert result.exit_code == 0, result.output
    assert "buffer_mismatch" in result.output


def test_a_difference_is_told_with_the_command_that_repeats_it(monkeypatch):
    monkeypatch.setattr(compare, "difference", lambda *_: "all wrong")
    result = CliRunner().invoke(offramp, CHUNK)
    assert result.exit_code == 1
    assert "seed 911: request 0: all wrong" in result.output
    assert "again: offramp soak 500 --seed 911 --lanes 8 --stall 0.4" in result.output
