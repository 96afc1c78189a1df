"""Synthesizes, places and routes blocks, and reads off what matters. Results are kept by content."""

import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from offramp_sim.core import cache, yosys
from offramp_sim.synthesis import edges, nextpnr
from offramp_sim.synthesis.blocks import Block

SEEDS = (1, 2, 3)
"""Where place and route starts from. Single runs differ by up to a tenth, so the median is what counts."""

_SYNTHESIS = (
    "read_rtlil design.il",
    "hierarchy -top top",
    "flatten",
    # Its own check of the result does not end on wide exclusive-or logic.
    "scratchpad -set abc9.verify 0",
)
# Without the multiplexers of the slices: with them, what is mostly exclusive-or grows by a fifth, and nothing
# of ours gets smaller. By default, a wire counts 300 ps, so that carry chains look slow beside logic, and all
# that is not slowest is made as slow for the sake of area. With 600 ps and without that (-t: every path stays
# as short as it can be), three of four of the longest paths are a level or more shorter, and the area is no
# larger. Yosys also takes some inputs of a look-up table to be slower than others. nextpnr does not, and with
# equal inputs what counts is levels. Balancing alone, &b where the usual script has &dc2, leaves one table in
# fifty less, and fewer paths of most levels. Mapped a second time, from what the first time has come to, half
# of these are a level shorter.
_MAPPING = "synth_ecp5 -top top -nowidelut -run"
_MAP = "&dch -f -r; &if -t -W 600 -F 1 -A 0 -v; &mfs"
_ABC = f"&scorr; &sweep; &b; {_MAP}; &st; {_MAP}; &ps -l\n"
_TABLES = "".join(f"{inputs} 1{' 141' * inputs}\n" for inputs in range(1, 5))  # inputs, area, ps from each
_ECP5 = (
    *_SYNTHESIS,
    f"{_MAPPING} begin:map_luts",
    "techmap -map +/lattice/latches_map.v",
    "abc9 -lut tables.lut -script mapping.abc",
    "clean",
    f"{_MAPPING} map_cells:",
    "write_json netlist.json",
)
_XILINX = (*_SYNTHESIS, "synth_xilinx -top top -family xcup -noiopad", "tee -q -o cells.json stat -json")

_CELL = re.compile(r"(?:_(?:TRELLIS|LUT4|CCU2C|DP16KD|PDPW16KD).*|\$\d+|\.\d+)$")
"""What Yosys appends to the name of a register or memory when it makes cells of it."""


_RAM_TABLES = {"RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8}
"""Look-up tables of the wide distributed RAMs; the others take one each."""


@dataclass(frozen=True)
class Critical:
    """The slowest path between two registers."""

    start: str
    """Register or memory where it starts, with the names of the design."""

    end: str
    delay_ns: float
    routing_ns: float
    levels: int
    """Cells with logic on the way; a carry chain counts once for every two bits."""


@dataclass(frozen=True)
class Routed:
    """One run of place and route."""

    seed: int
    fmax_mhz: float
    lut4: int
    ebr: int
    critical: Critical


@dataclass(frozen=True)
class Xilinx:
    """Area in an UltraScale+ device, before placement."""

    lut: int
    """Look-up tables of any size, those used as memory included."""

    carry: int
    """CARRY8 and CARRY4."""

    ff: int
    bram: float
    """Block RAMs of 36 kilobits; one of 18 is a half."""


@dataclass(frozen=True)
class Measurement:
    """A block at one width."""

    block: Block
    lanes: int
    carry: int
    """LUT4 that carry chains occupy; they are part of :attr:`lut4`."""

    ff: int
    runs: tuple[Routed, ...]
    xilinx: Xilinx | None

    @property
    def median(self) -> Routed:
        """The run of median clock rate."""
        return sorted(self.runs, key=lambda run: run.fmax_mhz)[(len(self.runs) - 1) // 2]

    @property
    def fmax_mhz(self) -> float:
        """Median clock rate."""
        return statistics.median(run.fmax_mhz for run in self.runs)

    @property
    def gbps(self) -> float:
        """What that clock rate carries, in 10^9 bits per second."""
        return self.lanes * 8 * self.fmax_mhz / 1000

    @property
    def lut4(self) -> int:
        """LUT4 occupied, by logic, carry chains and distributed RAM."""
        return self.median.lut4

    @property
    def missed(self) -> list[str]:
        """Names of the values that miss their targets."""
        target = self.block.targets.get(self.lanes)
        if target is None:
            return []
        missed = []
        if target.fmax_mhz is not None and self.fmax_mhz < target.fmax_mhz:
            missed.append("fmax_mhz")
        if target.lut4 is not None and self.lut4 > target.lut4:
            missed.append("lut4")
        if target.ff is not None and self.ff > target.ff:
            missed.append("ff")
        return missed

    def fields(self) -> dict[str, Any]:
        """Return all values by name, as ``--json`` prints them."""
        rates = [run.fmax_mhz for run in self.runs]
        return {
            "block": self.block.name,
            "lanes": self.lanes,
            "lut4": self.lut4,
            "carry": self.carry,
            "ff": self.ff,
            "ebr": self.median.ebr,
            "fmax_mhz": round(self.fmax_mhz, 1),
            "fmax_mhz_min": round(min(rates), 1),
            "fmax_mhz_max": round(max(rates), 1),
            "gbps": round(self.gbps, 2),
            "missed": self.missed,
            "critical_path": asdict(self.median.critical),
            "xilinx": asdict(self.xilinx) if self.xilinx else None,
        }


@dataclass(frozen=True)
class _Synthesized:
    netlist: Path
    carry: int
    ff: int


def _synthesize(design: str, what: str) -> _Synthesized:
    """Return the netlist of ``design`` for ECP5, and what it contains."""

    def build(folder: Path) -> None:
        (folder / "design.il").write_text(design)
        (folder / "mapping.abc").write_text(_ABC)
        (folder / "tables.lut").write_text(_TABLES)
        yosys.run(_ECP5, folder, result="netlist.json")
        module = json.loads((folder / "netlist.json").read_text())["modules"]["top"]
        edge = {
            bit
            for name, net in module["netnames"].items()
            if name.startswith(edges.PREFIX)
            for bit in net["bits"]
        }
        cells = Counter(
            cell["type"]
            for cell in module["cells"].values()
            if cell["type"] != "TRELLIS_FF" or cell["connections"]["Q"][0] not in edge
        )
        (folder / "cells.json").write_text(json.dumps(cells))
        (folder / "design.il").unlink()

    key = cache.digest(design, *_ECP5, _ABC, _TABLES, yosys.version())
    folder = cache.folder("synthesis", key, build, what=f"{what}: synthesis")
    cells = Counter(json.loads((folder / "cells.json").read_text()))
    return _Synthesized(folder / "netlist.json", carry=2 * cells["CCU2C"], ff=cells["TRELLIS_FF"])


def _synthesize_xilinx(design: str, what: str) -> Xilinx:
    """Return the area of ``design`` in a Xilinx device."""

    def build(folder: Path) -> None:
        (folder / "design.il").write_text(design)
        yosys.run(_XILINX, folder, result="cells.json")
        (folder / "design.il").unlink()

    key = cache.digest(design, *_XILINX, yosys.version())
    folder = cache.folder("synthesis", key, build, what=f"{what}: synthesis for Xilinx")
    cells = Counter(json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"])

    def total(pattern: str) -> int:
        return sum(count for name, count in cells.items() if re.fullmatch(pattern, name))

    memory = sum(_RAM_TABLES.get(name, 0) * count for name, count in cells.items())
    return Xilinx(
        lut=total(r"LUT[1-6]|INV") + memory + total(r"RAM\d+X1[SD]|SRL.*"),
        carry=total(r"CARRY[48]"),
        ff=total(r"FD[CPRS]E?(_1)?"),
        bram=total(r"RAMB36E\d") + total(r"RAMB18E\d") / 2,
    )


def register(cell: str) -> str:
    """Return the name of the register or memory that ``cell`` is a part of, or which port's."""
    name = cell
    while (shorter := _CELL.sub("", name)) != name:
        name = shorter
    if name.startswith("block."):
        return name.removeprefix("block.")
    return f"port {name.removeprefix(edges.PREFIX)}"


def critical(hops: Sequence[dict[str, Any]]) -> Critical:
    """Return the essence of a path in nextpnr's report."""
    return Critical(
        start=register(hops[0]["from"]["cell"]),
        end=register(hops[-1]["to"]["cell"]),
        delay_ns=round(sum(hop["delay"] for hop in hops), 2),
        routing_ns=round(sum(hop["delay"] for hop in hops if hop["type"] == "routing"), 2),
        levels=sum(hop["type"] == "logic" for hop in hops),
    )


def _route(netlist: Path, seed: int, what: str) -> Routed:
    """Place and route a netlist."""

    def build(folder: Path) -> None:
        report = nextpnr.run(netlist, folder, seed=seed)
        used = {name: resource["used"] for name, resource in report["utilization"].items()}
        paths = [path for path in report["critical_paths"] if path["from"] == path["to"] == "posedge clk"]
        result = {
            "fmax_mhz": report["fmax"]["clk"]["achieved"],
            # The write port of a distributed RAM keeps two LUT4 of its slice from being used.
            "lut4": used["TRELLIS_COMB"] + 2 * used["TRELLIS_RAMW"],
            "ebr": used["DP16KD"],
            "critical": paths[0]["path"],
        }
        (folder / "report.json").write_text(json.dumps(result))

    key = cache.digest(netlist.parent.name, *nextpnr.options(seed), nextpnr.version())
    folder = cache.folder("placement", key, build, what=f"{what}: place and route, seed {seed}")
    report = json.loads((folder / "report.json").read_text())
    return Routed(seed, report["fmax_mhz"], report["lut4"], report["ebr"], critical(report["critical"]))


def measure(
    block: Block, lanes: int, *, xilinx: bool, jobs: int = 2, step: Callable[[str], None] = lambda _: None
) -> Measurement:
    """Return area and clock rate of ``block``.

    Parameters
    ----------
    block : Block
    lanes : int
        Its width.
    xilinx : bool
        Whether to find the area in a Xilinx device too.
    jobs : int
        Runs of place and route at a time.
    step : Callable[[str], None]
        Called at the beginning of each step, with its name; :func:`steps` tells how many there are.
    """
    what = f"{block.name}, {lanes} lanes"
    step("synthesis")
    result = _synthesize(edges.netlist(block.build(lanes), registers=True), what)
    other = None
    if xilinx:
        step("synthesis for Xilinx")
        other = _synthesize_xilinx(edges.netlist(block.build(lanes), registers=False), what)

    def route(seed: int) -> Routed:
        step(f"place and route, seed {seed}")
        return _route(result.netlist, seed, what)

    with ThreadPoolExecutor(jobs) as pool:
        runs = tuple(pool.map(route, SEEDS))
    return Measurement(block, lanes, result.carry, result.ff, runs, other)


def steps(*, xilinx: bool) -> int:
    """Return how many steps :func:`measure` takes."""
    return 1 + xilinx + len(SEEDS)
