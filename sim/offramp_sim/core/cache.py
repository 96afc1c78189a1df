"""Where generated Verilog and built simulators are kept: once per content, safe between processes."""

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

log = logging.getLogger("offramp")

VARIABLE = "OFFRAMP_CACHE"
"""Environment variable that overrides :func:`root`."""


def root() -> Path:
    """Return the cache folder: ``.cache`` in a clone, the user's cache folder when installed elsewhere."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).absolute()
    clone = Path(__file__).resolve().parents[3]
    if (clone / "pyproject.toml").is_file() and (clone / "hdl").is_dir():
        return clone / ".cache"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "offramp"


def digest(*parts: bytes | str) -> str:
    """Return a name for ``parts`` that differs when any of them, or where one ends, differs."""
    state = hashlib.sha256()
    for part in parts:
        octets = part.encode() if isinstance(part, str) else part
        state.update(len(octets).to_bytes(8, "little"))
        state.update(octets)
    return state.hexdigest()[:24]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def folder(kind: str, key: str, build: Callable[[Path], None], *, what: str) -> Path:
    """Return the folder of ``kind`` and ``key``, filled by ``build`` if nobody has done so before.

    ``what`` is logged where it has to be built, because that takes its time.

    Two processes that ask at once wait for one build. A folder appears under its name only when ``build``
    has returned, so an interrupted build leaves nothing that looks finished.
    """
    shelf = root() / kind
    done = shelf / key
    if done.is_dir():
        return done
    shelf.mkdir(parents=True, exist_ok=True)
    with _locked(shelf / f"{key}.lock"):
        if done.is_dir():
            return done
        log.info("%s (once, then kept in %s)", what, shelf)
        work = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=shelf))
        work.chmod(0o755)  # mkdtemp keeps others out, but a cache may be shared
        try:
            build(work)
            work.rename(done)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return done
