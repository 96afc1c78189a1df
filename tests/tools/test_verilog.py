"""`offramp verilog`: what other people's tools get to read."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from offramp_sim import cli
from offramp_sim.core import build, ports, source, yosys
from offramp_sim.core.arrivals import METADATA_BITS, receive_values
from offramp_sim.core.records import COMPLETION_BITS, REQUEST_BITS, port_values
from offramp_sim.model import Config, ReceiveConfig, Status

from tests.installed import needs_icarus, needs_yosys


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every block as Verilog, 8 lanes wide."""
    path = tmp_path_factory.mktemp("verilog")
    for block in source.BLOCKS:
        with pytest.raises(SystemExit) as exited:
            cli.main(["verilog", block, "--lanes", "8", "-o", str(path / f"{block}.sv")])
        assert exited.value.code == 0
    return path


blocks = pytest.mark.parametrize("block", [*source.BLOCKS])


@pytest.fixture
def written(folder, block):
    return folder / f"{block}.sv"


@pytest.fixture
def send(folder):
    return folder / "send.sv"


def largest_memory_bytes(text):
    memories = re.findall(r"^ *reg \[(\d+):0\] \w+ \[(\d+):0\];", text, re.MULTILINE)
    return max((int(width) + 1) * (int(depth) + 1) // 8 for width, depth in memories)


@blocks
def test_the_text_has_no_traces_of_the_machine(written):
    text = written.read_text()
    assert str(Path(__file__).parents[2]) not in text
    assert str(Path.home()) + "/" not in text
    assert "\\" not in text  # no escaped identifiers


@pytest.mark.parametrize("block", ["send", "receive"])
def test_the_text_is_the_same_every_time(written, block):
    program = f"from offramp_sim.core import source; print(source.generate(8, {block!r}), end='')"
    again = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout == written.read_text()


def test_the_store_is_as_large_as_asked_for(send, tmp_path):
    small = tmp_path / "small.sv"
    with pytest.raises(SystemExit) as exited:
        cli.main(["verilog", "send", "--lanes", "8", "--max-mss", "1460", "-o", str(small)])
    assert exited.value.code == 0
    assert ports.read(small.read_text()).all == ports.read(send.read_text()).all
    assert largest_memory_bytes(send.read_text()) >= 2 * 9600
    assert 2 * 1460 <= largest_memory_bytes(small.read_text()) < 9600


def test_the_ports_are_those_that_are_promised(send):
    found = ports.read(send.read_text())
    widths = {port.name: port.width for port in found.all}
    assert found.lanes == 8
    assert widths["s_axis_request_tdata"] == REQUEST_BITS == 224
    assert widths["m_axis_completion_tdata"] == COMPLETION_BITS == 128
    assert widths["m_axis_frame_tid"] == 16
    assert not [name for name in widths if "__" in name]
    assert len(port_values(Config(), found.configuration)) == 14
    counters = {port.name for port in found.counters}
    assert {f"stat_refused_{status.name.lower()}" for status in Status if status} <= counters
    assert {"stat_requests", "stat_frames", "stat_bytes"} <= counters


def test_the_ports_of_the_receive_path_are_those_that_are_promised(folder):
    found = ports.read((folder / "receive.sv").read_text(), "offramp_receive")
    widths = {port.name: port.width for port in found.all}
    assert found.lanes == 8
    assert widths["m_axis_metadata_tdata"] == METADATA_BITS == 160
    assert widths["s_axis_frame_tuser"] == widths["m_axis_frame_tuser"] == 1
    assert not [name for name in widths if "__" in name]
    values = receive_values(ReceiveConfig(), found.configuration)
    assert all(value >> port.width == 0 for port, value in zip(found.configuration, values, strict=True))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["receive", "--max-mss", "1460"], "--max-mss is not for it"),
        (["send", "--max-mss", "0"], "--max-mss"),
        (["send", "--max-header-bytes", "60"], "--max-header-bytes"),
        (["send", "--max-header-bytes", "65"], "--max-header-bytes must be a multiple of 64"),
        (["wire"], "'wire' is not one of 'send', 'receive', 'nic'"),
    ],
)
def test_what_cannot_be_built_is_told_in_one_line(tmp_path, capsys, arguments, complaint):
    with pytest.raises(SystemExit) as exited:
        cli.main(["verilog", *arguments, "-o", str(tmp_path / "core.sv")])
    assert exited.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert complaint in told
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("block", "lanes"), [("send", 8), ("send", 64), ("receive", 8), ("receive", 64), ("nic", 8)]
)
def test_verilator_finds_nothing_to_warn_of(block, lanes, tmp_path):
    path = tmp_path / "core.sv"
    path.write_text(source.verilog(lanes, block))
    command, environment, _ = build.verilator()
    result = subprocess.run(
        [*command, "--lint-only", "-Wall", "--top-module", f"offramp_{block}", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


@blocks
@needs_icarus
def test_icarus_reads_it(written):
    result = subprocess.run(
        ["iverilog", "-g2012", "-t", "null", str(written)], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


@blocks
@needs_yosys
def test_yosys_reads_it(written, block):
    check = (f"hierarchy -check -top offramp_{block}", "proc", "tee -o log check -assert")
    yosys.run([f"read_verilog -sv {written.name}", *check], written.parent, result="log")
    assert "Found and reported 0 problems." in written.with_name("log").read_text()
