"""The core under Verilator, driven in whole runs through a small C++ bench."""

import ctypes
import itertools
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from offramp_sim.core import Progress, build, ports, source
from offramp_sim.core.records import (
    CoreError,
    Frame,
    Job,
    Outcome,
    assemble,
    encode_request,
    port_values,
)

_FRAME = struct.Struct("<6Q")  # struct Frame of harness.cpp
_COMPLETION = struct.Struct("<16sQ")  # struct Completion
_DRAINED, _RUNNING, _HUNG, _BROKEN = range(4)
_CHUNK_CYCLES = 50_000
_SETTLE_CYCLES = 64

PATIENCE_CYCLES = 20_000
"""Cycles without a transfer on any stream after which a core is taken to hang; several times what the largest
segment and the longest refused packet can need."""


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    handle, number, pointer = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p
    for name, result, arguments in (
        ("open", handle, [number, ctypes.c_double, ctypes.c_char_p]),
        ("close", None, [handle]),
        ("reset", None, [handle]),
        ("configure", None, [handle, pointer]),
        ("queue", None, [handle, ctypes.c_char_p, pointer, number, ctypes.c_char_p]),
        ("forget", None, [handle]),
        ("run", ctypes.c_int64, [handle, number, number]),
        ("settle", None, [handle, number]),
        ("now", number, [handle]),
        ("problem", ctypes.c_char_p, [handle]),
        ("progress", None, [handle, pointer]),
        ("counters", None, [handle, pointer]),
        ("frames", pointer, [handle]),
        ("completions", pointer, [handle]),
        ("sent", pointer, [handle]),
        ("request_cycles", pointer, [handle]),
        ("buffer_cycles", pointer, [handle]),
    ):
        function = getattr(library, f"bench_{name}")
        function.restype = result
        function.argtypes = arguments
    return library


class VerilatorCore:
    """The RTL of the send path, simulated by Verilator.

    Parameters
    ----------
    lanes, seed, stall, waves, verilog
        As of :func:`offramp_sim.core.open_core`.
    """

    def __init__(
        self,
        *,
        lanes: int = 64,
        seed: int = 0,
        stall: float = 0.0,
        waves: Path | None = None,
        verilog: str | None = None,
    ) -> None:
        text = source.verilog(lanes) if verilog is None else verilog
        self._ports = ports.read(text)
        self.lanes = self._ports.lanes
        self._library = _load(build.library(text, self._ports, waves=waves is not None))
        name = None if waves is None else str(waves).encode()
        self.cycles = 0
        self._bench = self._library.bench_open(seed & (1 << 64) - 1, stall, name)

    def play(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        """Send ``jobs`` as fast as the core takes them and return their outcomes, in order."""
        outcomes: list[Outcome] = []
        for config, same in itertools.groupby(jobs, key=lambda job: job.config):
            values = array("Q", port_values(config, self._ports.configuration))
            self._library.bench_configure(self._bench, values.buffer_info()[0])
            group = list(same)
            self._run(group, len(outcomes), progress)
            outcomes += self._collect(group)
        return outcomes

    def _run(self, jobs: Sequence[Job], before: int, progress: Progress | None) -> None:
        self._library.bench_forget(self._bench)
        for job in jobs:
            lengths = array("Q", job.request.elements)
            record = encode_request(job.request)
            self._library.bench_queue(
                self._bench, record, lengths.buffer_info()[0], len(lengths), job.request.frame
            )
        start = self._library.bench_now(self._bench)
        while (status := self._library.bench_run(self._bench, _CHUNK_CYCLES, PATIENCE_CYCLES)) == _RUNNING:
            if progress is not None:
                progress(before + self._progress()["completions"])
        now = self._library.bench_now(self._bench)
        self.cycles += now - start
        if status == _DRAINED:
            self._library.bench_settle(self._bench, _SETTLE_CYCLES)
        if problem := self._library.bench_problem(self._bench).decode():
            raise CoreError(f"cycle {now}: {problem}")
        if status == _HUNG:
            seen = ", ".join(f"{count} {name}" for name, count in self._progress().items())
            raise CoreError(
                f"cycle {now}: nothing has moved for {PATIENCE_CYCLES} cycles; of {len(jobs)} requests "
                f"with {sum(len(job.request.elements) for job in jobs)} buffers there have been {seen}"
            )
        if progress is not None:
            progress(before + len(jobs))

    def _progress(self) -> dict[str, int]:
        counts = array("Q", bytes(48))
        self._library.bench_progress(self._bench, counts.buffer_info()[0])
        names = ("requests", "buffers", "frames", "promised frames", "completions", "bytes")
        return dict(zip(names, counts, strict=True))

    def _collect(self, jobs: Sequence[Job]) -> list[Outcome]:
        counts = self._progress()
        sent = self._bytes("sent", counts["bytes"])
        frames = [
            Frame(sent[offset : offset + length], tag, first, last, beats)
            for offset, length, first, last, beats, tag in _FRAME.iter_unpack(
                self._bytes("frames", counts["frames"] * _FRAME.size)
            )
        ]
        completions = _COMPLETION.iter_unpack(
            self._bytes("completions", counts["completions"] * _COMPLETION.size)
        )
        request_cycles = self._numbers("request_cycles", counts["requests"])
        beats = sum(-(-size // self.lanes) for job in jobs for size in job.request.elements)
        buffer_cycles = self._numbers("buffer_cycles", beats)
        return assemble(jobs, self.lanes, frames, list(completions), request_cycles, buffer_cycles)

    def _bytes(self, what: str, size: int) -> bytes:
        if size == 0:
            return b""
        return ctypes.string_at(getattr(self._library, f"bench_{what}")(self._bench), size)

    def _numbers(self, what: str, count: int) -> "array[int]":
        return array("Q", self._bytes(what, 8 * count))

    def counters(self) -> dict[str, int]:
        """Return the core's counters, by port name without ``stat_``."""
        members = self._ports.counters
        values = array("Q", bytes(8 * len(members)))
        self._library.bench_counters(self._bench, values.buffer_info()[0])
        return {port.name.removeprefix("stat_"): value for port, value in zip(members, values, strict=True)}

    def reset(self) -> None:
        """Reset the core; what it had not completed is lost."""
        self._library.bench_reset(self._bench)

    def close(self) -> None:
        """Let go of the simulation and complete the wave file, if one is written."""
        if self._bench is not None:
            self._library.bench_close(self._bench)
            self._bench = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
