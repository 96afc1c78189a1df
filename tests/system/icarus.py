"""Icarus may be missing; then its half of the tests is skipped, and says so."""

import shutil

import pytest

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="ICARUS IS MISSING: apt-get install iverilog"
)
