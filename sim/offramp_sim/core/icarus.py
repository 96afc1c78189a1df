"""The core under Icarus Verilog, driven by a plain Verilog testbench."""

import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from offramp_sim.core import Progress, cache, ports, source
from offramp_sim.core.build import ToolError
from offramp_sim.core.ports import Ports
from offramp_sim.core.records import (
    CoreError,
    Frame,
    Job,
    Outcome,
    assemble,
    encode_request,
    port_values,
)
from offramp_sim.core.verilator import PATIENCE_CYCLES


def _header(members: Ports) -> str:
    """Return ports.vh: what the testbench must know of this build."""
    registers = " ".join(f"reg [{port.width - 1}:0] {port.name};" for port in members.configuration)
    connections = "".join(f", .{port.name}({port.name})" for port in members.configuration)
    counters = "".join(f", .{port.name}({port.name})" for port in members.counters)
    wires = " ".join(f"wire [{port.width - 1}:0] {port.name};" for port in members.counters)
    reads = " ".join(f'got = $fscanf(STDIN, "%h", {port.name});' for port in members.configuration)
    prints = " ".join(f'$fdisplay(events_file, "S %0d", {port.name});' for port in members.counters)
    return f"""`define CORE {members.module}
`define LANES {members.lanes}
`define CONFIGURATION {registers} {wires}
`define CONNECTIONS {connections}{counters}
`define CONFIGURE {reads}
`define COUNTERS {prints}
"""


def _program(verilog: str, members: Ports) -> Path:
    """Return the compiled testbench around ``verilog``."""
    compiler = shutil.which("iverilog")
    if compiler is None:
        raise ToolError("no Icarus Verilog: apt-get install iverilog, or what your system has instead")
    version = subprocess.run(
        [compiler, "-V"], capture_output=True, text=True, check=False
    ).stdout.splitlines()[0]
    bench = resources.files(__package__).joinpath("testbench.sv").read_text()
    options = ["-g2012", "-s", "bench", "-o", "bench.vvp", "testbench.sv", "core.sv"]

    def build(folder: Path) -> None:
        (folder / "core.sv").write_text(verilog)
        (folder / "testbench.sv").write_text(bench)
        (folder / "ports.vh").write_text(_header(members))
        result = subprocess.run([compiler, *options], cwd=folder, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise ToolError(f"Icarus could not build the core:\n{result.stdout}{result.stderr}")

    key = cache.digest(verilog, bench, _header(members), version, *options)
    what = f"building the core with Icarus, {members.lanes} lanes"
    return cache.folder("icarus", key, build, what=what) / "bench.vvp"


class IcarusCore:
    """The RTL of the send path, simulated by Icarus: slow, but a second opinion, and one that knows X.

    Parameters
    ----------
    lanes, seed, stall, waves, verilog
        As of :func:`offramp_sim.core.open_core`.
    """

    def __init__(
        self,
        *,
        lanes: int = 64,
        seed: int = 0,
        stall: float = 0.0,
        waves: Path | None = None,
        verilog: str | None = None,
    ) -> None:
        text = source.verilog(lanes) if verilog is None else verilog
        self._ports = ports.read(text)
        self.lanes = self._ports.lanes
        self.cycles = 0
        self._waves = waves
        self._counters: dict[str, int] = {}
        self._command = [
            *("vvp", "-n", str(_program(text, self._ports))),
            *(f"+seed={seed & 0x7FFFFFFF}", f"+stall={int(stall * 65536)}", f"+patience={PATIENCE_CYCLES}"),
            *(["+waves"] if waves is not None else []),
        ]
        self._folder = Path(tempfile.mkdtemp(prefix="offramp-"))
        self._process: subprocess.Popen[str] | None = None
        self.reset()

    def play(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        """Send ``jobs`` as fast as the core takes them and return their outcomes, in order."""
        outcomes: list[Outcome] = []
        for config, same in itertools.groupby(jobs, key=lambda job: job.config):
            for some in _slices(list(same)):
                self._run(some, port_values(config, self._ports.configuration))
                outcomes += self._collect(some)
                if progress is not None:
                    progress(len(outcomes))
        return outcomes

    def _run(self, jobs: Sequence[Job], values: Sequence[int]) -> None:
        beats = 0
        with (
            (self._folder / "requests.txt").open("w") as requests,
            (self._folder / "beats.txt").open("w") as buffers,
        ):
            for job in jobs:
                requests.write(encode_request(job.request)[::-1].hex() + "\n")
                for line in self._beats(job):
                    buffers.write(line)
                    beats += 1
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise CoreError("the simulation has been closed")
        process.stdin.write(f"{len(jobs)} {beats} {' '.join(f'{value:x}' for value in values)}\n")
        process.stdin.flush()
        said = []
        for line in process.stdout:
            if line.strip() == "done":
                break
            said.append(line.strip())
            if "ERROR" in line:
                raise CoreError(" ".join(said))
        else:
            raise CoreError(f"Icarus ended early: {' '.join(said) or 'without a word'}")

    def _beats(self, job: Job) -> Iterator[str]:
        """Yield the lines of beats.txt for a job: last, keep and data of each beat."""
        lanes = self.lanes
        start = 0
        for size in job.request.elements:
            end = start + size
            for first in range(start, end, lanes):
                part = job.request.frame[first : min(first + lanes, end)]
                idle = "xx" * (lanes - len(part))
                yield f"{int(first + lanes >= end)} {(1 << len(part)) - 1:x} {idle}{part[::-1].hex()}\n"
            start = end

    def _collect(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Return the outcomes of ``jobs`` that events.txt tells of."""
        request_cycles: list[int] = []
        buffer_cycles: list[int] = []
        completions: list[tuple[bytes, int]] = []
        frames: list[Frame] = []
        counters: list[int] = []
        beats: list[tuple[int, bytes]] = []
        with (self._folder / "events.txt").open() as events:
            for line in events:
                kind, _, rest = line.strip().partition(" ")
                match kind:
                    case "R":
                        request_cycles.append(int(rest))
                    case "B":
                        buffer_cycles.append(int(rest))
                    case "C":
                        cycle, record = rest.split()
                        completions.append((bytes.fromhex(record)[::-1], int(cycle)))
                    case "F":
                        cycle, tag, last, keep, data = rest.split()
                        beats.append((int(cycle), bytes.fromhex(data)[::-1][: int(keep, 16).bit_count()]))
                        if last == "1":
                            octets = b"".join(part for _, part in beats)
                            frames.append(Frame(octets, int(tag, 16), beats[0][0], int(cycle), len(beats)))
                            beats = []
                    case "S":
                        counters.append(int(rest))
                    case "T":
                        self.cycles += int(rest)
                    case "E":
                        cycle, _, text = rest.partition(" ")
                        raise CoreError(
                            f"cycle {cycle}: {text}; request {len(completions)} of {len(jobs)} is next"
                        )
        names = (port.name.removeprefix("stat_") for port in self._ports.counters)
        self._counters = dict(zip(names, counters, strict=True))
        return assemble(jobs, self.lanes, frames, completions, request_cycles, buffer_cycles)

    def counters(self) -> dict[str, int]:
        """Return the core's counters, by port name without ``stat_``."""
        return dict(self._counters)

    def reset(self) -> None:
        """Start the simulation again, from reset."""
        self._stop()
        self._process = subprocess.Popen(
            self._command, cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _stop(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def close(self) -> None:
        """End the simulation and complete the wave file, if one is written."""
        self._stop()
        if self._waves is not None and (written := self._folder / "waves.vcd").is_file():
            shutil.move(written, self._waves)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _slices(jobs: Sequence[Job], size: int = 200) -> Iterator[Sequence[Job]]:
    """Yield ``jobs`` in parts, so that there is progress to be seen."""
    for start in range(0, len(jobs), size):
        yield jobs[start : start + size]
