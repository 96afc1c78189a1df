"""Tools that are packaged as WebAssembly, which is compiled for this machine before their first run."""

import importlib.metadata
import os
import sys
from pathlib import Path

from offramp_sim.core import cache
from offramp_sim.core.build import run_tool

_FOLDER = "YOWASP_CACHE_DIR"
"""Environment variable of these tools: where they keep what they have compiled."""


def command(tool: str) -> str:
    """Return the path of ``tool``: a package and its command have the same name."""
    return str(Path(sys.executable).parent / tool)


def environment(tool: str) -> dict[str, str]:
    """Return an environment in which ``tool`` is compiled already, and this Python's tools come first.

    Left to themselves, processes that start the same tool at once all compile it; Yosys takes a minute.
    So they do where ``YOWASP_CACHE_DIR`` is set: what is kept there is not ours to look after.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        It is not installed.
    ToolError
        It does not run.
    """
    variables = dict(os.environ)
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])
    if _FOLDER in variables:
        return variables

    def build(folder: Path) -> None:
        run_tool([command(tool), "--version"], folder, what, variables | {_FOLDER: str(folder)})

    what = f"compiling {tool}"
    key = f"{tool}-{importlib.metadata.version(tool)}"
    return variables | {_FOLDER: str(cache.folder("yowasp", key, build, what=what))}
