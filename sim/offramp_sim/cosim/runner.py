"""Builds the generated core for cocotb, runs a module of tests on it and counts what they came to.

Under Verilator the core is the one of :mod:`offramp_sim.core`, behind another main program. cocotb's runner
starts the simulator but does not build, because it knows nothing of what is built already. Nor is its verdict
used: it takes a run without tests for a success.
"""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools import config
from cocotb_tools.runner import get_runner

from offramp_sim.core import build, cache
from offramp_sim.core.build import ToolError

_WAVES = """module waves;
  initial begin
    $dumpfile("waves.vcd");
    $dumpvars(0, {top});
  end
endmodule
"""

_COMPLAINT = re.compile(r"^(?:%?Error|ERROR|FATAL|Assertion)\b.*", re.MULTILINE)
"""How simulators begin a line about an assertion in the hardware; cocotb's own lines begin with a time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What one cocotb test came to.

    Attributes
    ----------
    name : str
    seconds : float
        Time it took, of the wall.
    simulated_ns : float
    failure : str
        What went wrong, empty if nothing did.
    """

    name: str
    seconds: float
    simulated_ns: float
    failure: str


def run(
    simulator: str,
    verilog: str,
    module: str,
    folder: Path,
    *,
    seed: int,
    top: str = "offramp_send",
    only: str | None = None,
    settings: dict[str, str] | None = None,
    waves: bool = False,
) -> list[Result]:
    """Run the cocotb tests of a module on a core.

    Parameters
    ----------
    simulator : str
        ``"verilator"`` or ``"icarus"``.
    verilog : str
        Text of the core.
    module : str
        Name under which Python finds the tests.
    folder : Path
        Where the simulation runs and leaves its log, its results and waves.
    seed : int
        Of every random choice.
    top : str
        Name of the core's module.
    only : str, optional
        Regular expression of the tests to run. Default: all.
    settings : dict, optional
        Environment variables for the tests.
    waves : bool
        Write ``waves.vcd``.

    Raises
    ------
    ToolError
        If the simulator is missing or cannot build the core.
    RuntimeError
        If the simulation did not come to its end, or an assertion in the hardware failed, or no test ran.
    """
    built = (_verilator if simulator == "verilator" else _icarus)(verilog, top, waves=waves)
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.xml"
    log = folder / "log.txt"
    ended = ""
    try:
        get_runner(simulator).test(
            test_module=module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=built,
            test_dir=folder,
            results_xml=str(results),
            log_file=log,
            seed=seed,
            test_filter=only,
            extra_env={"NO_COLOR": "1", **(settings or {})},
            test_args=["--trace", "--trace-file", "waves.vcd"] if waves and simulator == "verilator" else [],
        )
    except (RuntimeError, SystemExit) as error:  # which it also raises when a test has failed
        ended = f" ({error})"
    said = log.read_text(errors="replace")
    if complaint := _COMPLAINT.search(said):
        raise RuntimeError(f"{simulator}: {complaint[0]}")
    if not results.is_file():
        raise RuntimeError(f"{simulator} ended early{ended}; its last words:\n{said[-3000:]}")
    told = [_result(case) for case in ElementTree.parse(results).getroot().iter("testcase")]
    if not told:
        raise RuntimeError(f"no test of {module} matches {only!r}")
    return told


def _result(case: ElementTree.Element) -> Result:
    """Return what the results file says about one test; one that was skipped did not run."""
    failure = ""
    for kind in ("failure", "error", "skipped"):
        if (found := case.find(kind)) is not None:
            failure = "\n".join(filter(None, [found.get("message") or kind, found.text]))
    return Result(
        name=case.get("name", ""),
        seconds=float(case.get("time", 0)),
        simulated_ns=float(case.get("sim_time_ns", 0)),
        failure=failure,
    )


def _verilator(verilog: str, top: str, *, waves: bool) -> Path:
    """Return the folder of the program that cocotb's runner expects of Verilator."""
    main = Path(config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    what = f"building {top} for cocotb"
    core = build.model(verilog, top, waves=waves, what=what)
    own = build.runtime(waves=waves)
    libraries = config.libs_dir
    options = (f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator")

    def make(folder: Path) -> None:
        build.link(top, [str(main)], core, own, folder, *options, waves=waves)

    key = cache.digest(core.parent.name, own.parent.name, main.read_bytes(), *options)
    return cache.folder("cosim-verilator", key, make, what=what)


def _icarus(verilog: str, top: str, *, waves: bool) -> Path:
    """Return the folder of the program that cocotb's runner expects of Icarus."""
    compiler = shutil.which("iverilog")
    if compiler is None:
        raise ToolError("no Icarus Verilog: apt-get install iverilog, or what your system has instead")
    said = subprocess.run([compiler, "-V"], capture_output=True, text=True, check=False).stdout
    texts = {"core.sv": verilog, "timescale.f": "+timescale+1ns/1ps\n", "waves.sv": _WAVES.format(top=top)}
    options = ["-g2012", "-o", "sim.vvp", "-s", top, "-f", "timescale.f"]
    if waves:
        options += ["-s", "waves", "waves.sv"]

    def make(folder: Path) -> None:
        for name, text in texts.items():
            (folder / name).write_text(text)
        build.run_tool([compiler, *options, "core.sv"], folder, f"building {top} with Icarus")

    key = cache.digest(*texts.values(), said.partition("\n")[0], *options)
    return cache.folder("cosim-icarus", key, make, what=f"building {top} with Icarus for cocotb")
