"""Tools that are packaged as WebAssembly, which is compiled for this machine before their first run."""

import importlib.metadata
import os
import sys
from pathlib import Path

from offramp_sim.core import cache
from offramp_sim.core.build import ToolError, run_tool

_FOLDER = "YOWASP_CACHE_DIR"
"""Environment variable of these tools: where they keep what they have compiled."""


def version(package: str) -> str:
    """Return the name and the version of ``package``, or raise :class:`ToolError` if it is missing."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError(f"no {package}: pip install 'offramp[synth]'") from error


def command(tool: str) -> str:
    """Return the path of ``tool``: a package and its command have the same name."""
    return str(Path(sys.executable).parent / tool)


def environment(tool: str | None) -> dict[str, str]:
    """Return an environment in which ``tool``, if any, is compiled, and this Python's tools come first.

    Left to themselves, processes that start the same tool at once all compile it; Yosys takes a minute.
    So they do where ``YOWASP_CACHE_DIR`` is set: what is kept there is not ours to look after.

    Raises
    ------
    ToolError
        It is not installed, or does not run.
    """
    variables = dict(os.environ)
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])
    if tool is None or _FOLDER in variables:
        return variables

    def build(folder: Path) -> None:
        run_tool([command(tool), "--version"], folder, what, variables | {_FOLDER: str(folder)})

    what = f"compiling {tool}"
    key = version(tool).replace(" ", "-")
    return variables | {_FOLDER: str(cache.folder("yowasp", key, build, what=what))}
