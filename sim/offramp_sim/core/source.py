"""The Verilog of the send path, generated once per state of the hardware's sources."""

import importlib.metadata
import importlib.util
from pathlib import Path

from offramp_sim.core import cache

MAX_MSS = 9_600
MAX_HEADER_BYTES = 256


def generate(lanes: int, *, max_mss: int = MAX_MSS, max_header_bytes: int = MAX_HEADER_BYTES) -> str:
    """Return the Verilog of the send path with ``lanes`` bytes per beat."""
    from offramp.export import verilog
    from offramp.top.send import SendTop

    top = SendTop(lanes=lanes, max_mss=max_mss, max_header_bytes=max_header_bytes)
    return verilog(top, name="offramp_send")


def _sources() -> list[Path]:
    spec = importlib.util.find_spec("offramp")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("the package offramp is not installed")
    return sorted(path for home in spec.submodule_search_locations for path in Path(home).rglob("*.py"))


def verilog(lanes: int) -> str:
    """Return :func:`generate`'s result from the cache; generating takes Yosys many seconds."""
    parts: list[str | bytes] = [
        importlib.metadata.version("amaranth"),
        str(lanes),
        str(MAX_MSS),
        str(MAX_HEADER_BYTES),
    ]
    for path in _sources():
        parts += [path.name, path.read_bytes()]

    def build(folder: Path) -> None:
        (folder / "send.sv").write_text(generate(lanes))

    what = f"generating Verilog, {lanes} lanes"
    return (cache.folder("verilog", cache.digest(*parts), build, what=what) / "send.sv").read_text()
