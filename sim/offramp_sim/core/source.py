"""The Verilog of the send path, generated once per state of the hardware's sources."""

import contextlib
import functools
import gc
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from offramp_sim.core import cache

MAX_MSS = 9_600
MAX_HEADER_BYTES = 256


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


def generate(lanes: int, *, max_mss: int = MAX_MSS, max_header_bytes: int = MAX_HEADER_BYTES) -> str:
    """Return the Verilog of the send path with ``lanes`` bytes per beat."""
    from offramp.export import verilog
    from offramp.top.send import SendTop

    with _without_collector():
        top = SendTop(lanes=lanes, max_mss=max_mss, max_header_bytes=max_header_bytes)
        return verilog(top, name="offramp_send")


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


def verilog(lanes: int, *, max_mss: int = MAX_MSS, max_header_bytes: int = MAX_HEADER_BYTES) -> str:
    """Return :func:`generate`'s result from the cache; generating takes many seconds."""
    numbers = (lanes, max_mss, max_header_bytes)
    parts = [importlib.metadata.version("amaranth"), *map(str, numbers), *_sources()]

    def build(folder: Path) -> None:
        text = generate(lanes, max_mss=max_mss, max_header_bytes=max_header_bytes)
        (folder / "send.sv").write_text(text)

    what = f"generating Verilog, {lanes} lanes"
    return (cache.folder("verilog", cache.digest(*parts), build, what=what) / "send.sv").read_text()
