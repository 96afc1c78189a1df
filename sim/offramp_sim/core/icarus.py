"""A core under Icarus Verilog, driven by a plain Verilog testbench."""

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from offramp_sim.core import cache, ports
from offramp_sim.core.build import ToolError, run_tool
from offramp_sim.core.ports import Ports, Streams
from offramp_sim.core.records import CoreError, Frame, Progress
from offramp_sim.core.simulation import PATIENCE_CYCLES, Item, Seen


def _header(members: Ports, streams: Streams) -> str:
    """Return ports.vh: what the testbench must know of this build."""
    registers = " ".join(f"reg [{port.width - 1}:0] {port.name};" for port in members.configuration)
    wires = " ".join(f"wire [{port.width - 1}:0] {port.name};" for port in members.counters)
    reads = " ".join(f'got = $fscanf(STDIN, "%h", {port.name});' for port in members.configuration)
    prints = " ".join(f'$fdisplay(events_file, "S %0d", {port.name});' for port in members.counters)
    width = members.width
    record, packet = ("data", "valid", "ready"), ("data", "keep", "last", "valid", "ready")
    signals = {
        **{f"{streams.packets}_t{name}": f"packet_{name}" for name in packet},
        **{f"m_axis_frame_t{name}": f"frame_{name}" for name in packet},
        **{f"{streams.records}_t{name}": f"record_{name}" for name in record},
        f"m_axis_frame_{streams.side}": "frame_side",
    }
    if streams.requests:
        signals |= {f"{streams.requests}_t{name}": f"request_{name}" for name in record}
    if streams.marked:
        signals[f"{streams.packets}_tuser"] = "packet_mark"
    signals |= {port.name: port.name for port in (*members.configuration, *members.counters)}
    connections = ", ".join(f".{port}({signal})" for port, signal in signals.items())
    return f"""`define CORE {members.module}
`define LANES {members.lanes}
`define REQUEST_BITS {width(f"{streams.requests}_tdata") if streams.requests else 1}
`define RECORD_BITS {width(f"{streams.records}_tdata")}
`define SIDE_BITS {width(f"m_axis_frame_{streams.side}")}
`define RECORDS "{streams.records}"
`define HAS_REQUESTS {int(bool(streams.requests))}
`define HAS_MARK {int(streams.marked)}
`define CONFIGURATION {registers} {wires}
`define CONNECTIONS {connections}
`define CONFIGURE {reads}
`define COUNTERS {prints}
"""


def _program(verilog: str, members: Ports, streams: Streams) -> Path:
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
        (folder / "ports.vh").write_text(_header(members, streams))
        run_tool([compiler, *options], folder, what)

    key = cache.digest(verilog, bench, _header(members, streams), version, *options)
    what = f"building {members.module} with Icarus, {members.lanes} lanes"
    return cache.folder("icarus", key, build, what=what) / "bench.vvp"


class IcarusSimulation:
    """A core, simulated by Icarus: slow, but a second opinion, and one that knows X.

    Parameters
    ----------
    streams : Streams
        What kind of core it is.
    verilog : str
        The core.
    seed, stall, waves
        As of :func:`offramp_sim.core.open_core`.
    """

    def __init__(
        self, streams: Streams, verilog: str, *, seed: int = 0, stall: float = 0.0, waves: Path | None = None
    ) -> None:
        self._streams = streams
        self._ports = ports.read(verilog, streams.module)
        self.configuration = self._ports.configuration
        self.lanes = self._ports.lanes
        self.cycles = 0
        self._waves = waves
        self._noise = random.Random(seed)
        self._counters: dict[str, int] = {}
        self._command = [
            *("vvp", "-n", str(_program(verilog, self._ports, streams))),
            *(f"+seed={seed & 0x7FFFFFFF}", f"+stall={int(stall * 65536)}", f"+patience={PATIENCE_CYCLES}"),
            *(["+waves"] if waves is not None else []),
        ]
        self._folder = Path(tempfile.mkdtemp(prefix="offramp-"))
        self._process: subprocess.Popen[str] | None = None
        self.reset()

    def run(self, items: Sequence[Item], values: Sequence[int], progress: Progress | None) -> Seen:
        """Play ``items`` with ``values`` on the configuration inputs, until everything has come out."""
        frames: list[Frame] = []
        records: list[tuple[bytes, int]] = []
        request_cycles: list[int] = []
        packet_cycles: list[int] = []
        frame_cycles: list[int] = []
        for some in _slices(items):
            self._play(some, values)
            seen = self._collect(len(some))
            frames += seen.frames
            records += seen.records
            request_cycles += seen.request_cycles
            packet_cycles += seen.packet_cycles
            frame_cycles += seen.frame_cycles
            if progress is not None:
                progress(len(records))
        return Seen(frames, records, request_cycles, packet_cycles, frame_cycles)

    def _play(self, items: Sequence[Item], values: Sequence[int]) -> None:
        beats = 0
        with (
            (self._folder / "requests.txt").open("w") as requests,
            (self._folder / "beats.txt").open("w") as file,
        ):
            for item in items:
                if self._streams.requests:
                    requests.write(item.request[::-1].hex() + "\n")
                for line in self._beats(item):
                    file.write(line)
                    beats += 1
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise CoreError("the simulation has been closed")
        count = len(items) if self._streams.requests else 0
        process.stdin.write(f"{count} {beats} {' '.join(f'{value:x}' for value in values)}\n")
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

    def _beats(self, item: Item) -> Iterator[str]:
        """Yield the lines of beats.txt for an item: mark, last, keep and data of each beat."""
        lanes = self.lanes
        start = 0
        for size in item.lengths:
            end = start + size
            for first in range(start, end, lanes):
                part = item.octets[first : min(first + lanes, end)]
                idle = self._idle(lanes - len(part))
                last = first + lanes >= end
                mark = f"{item.mark:d}" if last else "x"
                yield f"{mark} {last:d} {(1 << len(part)) - 1:x} {idle}{part[::-1].hex()}\n"
            start = end

    def _idle(self, size: int) -> str:
        """Return what is on ``size`` lanes behind the end of a packet.

        Where a record has said how long a packet is, X: nobody may look. Where only the end tells, headers
        are read before it is known to be one; what they come to is thrown away then, but by logic of the form
        "a or not a", which is X for X. So there it is something, as on any wire, and never the same.
        """
        return "xx" * size if self._streams.requests else self._noise.randbytes(size).hex()

    def _collect(self, count: int) -> Seen:
        """Return what events.txt tells of ``count`` items."""
        request_cycles: list[int] = []
        packet_cycles: list[int] = []
        frame_cycles: list[int] = []
        records: list[tuple[bytes, int]] = []
        frames: list[Frame] = []
        counters: list[int] = []
        parts: list[bytes] = []
        with (self._folder / "events.txt").open() as events:
            for line in events:
                kind, _, rest = line.strip().partition(" ")
                match kind:
                    case "R":
                        request_cycles.append(int(rest))
                    case "B":
                        packet_cycles.append(int(rest))
                    case "C":
                        cycle, record = rest.split()
                        records.append((bytes.fromhex(record)[::-1], int(cycle)))
                    case "F":
                        cycle, side, last, keep, data = rest.split()
                        frame_cycles.append(int(cycle))
                        parts.append(bytes.fromhex(data)[::-1][: int(keep, 16).bit_count()])
                        if last == "1":
                            first = frame_cycles[-len(parts)]
                            frames.append(
                                Frame(b"".join(parts), int(side, 16), first, int(cycle), len(parts))
                            )
                            parts = []
                    case "S":
                        counters.append(int(rest))
                    case "T":
                        self.cycles += int(rest)
                    case "E":
                        cycle, _, text = rest.partition(" ")
                        seen = f"{len(records)} of {count} records have been on {self._streams.records}"
                        raise CoreError(f"cycle {cycle}: {text}; {seen}")
        names = (port.name.removeprefix("stat_") for port in self._ports.counters)
        self._counters = dict(zip(names, counters, strict=True))
        return Seen(frames, records, request_cycles, packet_cycles, frame_cycles)

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


def _slices(items: Sequence[Item], size: int = 200) -> Iterator[Sequence[Item]]:
    """Yield ``items`` in parts, so that there is progress to be seen."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
