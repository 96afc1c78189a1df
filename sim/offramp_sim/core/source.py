"""The Verilog of the hardware, generated once per state of its sources."""

import contextlib
import functools
import gc
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from offramp_sim.core import cache

MAX_MSS = 9_600
MAX_HEADER_BYTES = 256


@dataclass(frozen=True, slots=True)
class Block:
    """A component at the top of the hardware: where it is, and which parameters it takes beside the lanes."""

    home: str
    component: str
    parameters: tuple[str, ...]


BLOCKS = {
    "send": Block("offramp.top.send", "SendTop", ("max_mss", "max_header_bytes")),
    "receive": Block("offramp.top.receive", "ReceiveTop", ("max_header_bytes",)),
    "nic": Block("offramp.top.nic", "NicTop", ("max_mss", "max_header_bytes")),
}
"""What can be generated; the module is called ``offramp_`` and the name."""


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Hold the garbage collector back, which only costs time while millions of objects are made and kept."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _chosen(block: str, max_mss: int, max_header_bytes: int) -> dict[str, int]:
    """Return the parameters that ``block`` takes."""
    given = {"max_mss": max_mss, "max_header_bytes": max_header_bytes}
    return {name: given[name] for name in BLOCKS[block].parameters}


def generate(
    lanes: int, block: str = "send", *, max_mss: int = MAX_MSS, max_header_bytes: int = MAX_HEADER_BYTES
) -> str:
    """Return the Verilog of ``block``, one of :data:`BLOCKS`, with ``lanes`` bytes per beat."""
    from offramp.export import verilog

    component = getattr(importlib.import_module(BLOCKS[block].home), BLOCKS[block].component)
    with _without_collector():
        top = component(lanes=lanes, **_chosen(block, max_mss, max_header_bytes))
        return verilog(top, name=f"offramp_{block}")


@functools.cache
def _sources() -> tuple[str | bytes, ...]:
    """Return the names and contents of the hardware's sources.

    Read once: Python, too, keeps to what it has loaded when somebody edits them while tests run.
    """
    spec = importlib.util.find_spec("offramp")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("the package offramp is not installed")
    paths = sorted(path for home in spec.submodule_search_locations for path in Path(home).rglob("*.py"))
    return tuple(part for path in paths for part in (path.name, path.read_bytes()))


def verilog(
    lanes: int, block: str = "send", *, max_mss: int = MAX_MSS, max_header_bytes: int = MAX_HEADER_BYTES
) -> str:
    """Return :func:`generate`'s result from the cache; generating takes many seconds."""
    chosen = _chosen(block, max_mss, max_header_bytes)
    numbers = (f"{name}={value}" for name, value in chosen.items())
    parts = [importlib.metadata.version("amaranth"), block, str(lanes), *numbers, *_sources()]

    def build(folder: Path) -> None:
        (folder / "core.sv").write_text(generate(lanes, block, **chosen))

    what = f"generating Verilog of offramp_{block}, {lanes} lanes"
    return (cache.folder("verilog", cache.digest(*parts), build, what=what) / "core.sv").read_text()
