"""A core under Verilator, driven in whole runs through a small C++ bench."""

import ctypes
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

from offramp_sim.core import build, ports
from offramp_sim.core.ports import Streams
from offramp_sim.core.records import CoreError, Frame, Progress
from offramp_sim.core.simulation import PATIENCE_CYCLES, SETTLE_CYCLES, Item, Seen

_FRAME = struct.Struct("<6Q")  # struct Frame of harness.cpp
_DRAINED, _RUNNING, _HUNG, _BROKEN = range(4)
_CHUNK_CYCLES = 50_000


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    handle, number, pointer = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p
    for name, result, arguments in (
        ("open", handle, [number, ctypes.c_double, ctypes.c_char_p]),
        ("close", None, [handle]),
        ("reset", None, [handle]),
        ("configure", None, [handle, pointer]),
        ("queue", None, [handle, ctypes.c_char_p, pointer, number, ctypes.c_char_p, ctypes.c_int]),
        ("forget", None, [handle]),
        ("run", ctypes.c_int64, [handle, number, number]),
        ("settle", None, [handle, number]),
        ("now", number, [handle]),
        ("problem", ctypes.c_char_p, [handle]),
        ("progress", None, [handle, pointer]),
        ("counters", None, [handle, pointer]),
        ("frames", pointer, [handle]),
        ("records", pointer, [handle]),
        ("sent", pointer, [handle]),
        ("request_cycles", pointer, [handle]),
        ("packet_cycles", pointer, [handle]),
        ("frame_cycles", pointer, [handle]),
    ):
        function = getattr(library, f"bench_{name}")
        function.restype = result
        function.argtypes = arguments
    return library


class VerilatorSimulation:
    """A core, simulated by Verilator.

    Parameters
    ----------
    streams : Streams
        What kind of core it is.
    verilog : str
        The core.
    seed, stall, waves
        As of :func:`offramp_sim.core.open_core`.
    """

    def __init__(
        self, streams: Streams, verilog: str, *, seed: int = 0, stall: float = 0.0, waves: Path | None = None
    ) -> None:
        self._streams = streams
        self._ports = ports.read(verilog, streams.module)
        self.configuration = self._ports.configuration
        self.lanes = self._ports.lanes
        self.cycles = 0
        self._record = struct.Struct(f"@{self._ports.width(f'{streams.records}_tdata') // 8}sQ")
        self._library = _load(build.library(verilog, self._ports, streams, waves=waves is not None))
        name = None if waves is None else str(waves).encode()
        self._bench = self._library.bench_open(seed & (1 << 64) - 1, stall, name)

    def run(self, items: Sequence[Item], values: Sequence[int], progress: Progress | None) -> Seen:
        """Play ``items`` with ``values`` on the configuration inputs, until everything has come out."""
        self._configure(values)
        self._library.bench_forget(self._bench)
        for item in items:
            lengths = array("Q", item.lengths)
            self._library.bench_queue(
                self._bench, item.request, lengths.buffer_info()[0], len(lengths), item.octets, item.mark
            )
        start = self._library.bench_now(self._bench)
        while (status := self._library.bench_run(self._bench, _CHUNK_CYCLES, PATIENCE_CYCLES)) == _RUNNING:
            if progress is not None:
                progress(self._progress()["records"])
        now = self._library.bench_now(self._bench)
        self.cycles += now - start
        if status == _DRAINED:
            self._library.bench_settle(self._bench, SETTLE_CYCLES)
        if problem := self._library.bench_problem(self._bench).decode():
            raise CoreError(f"cycle {now}: {problem}")
        if status == _HUNG:
            still = f"nothing has moved for {PATIENCE_CYCLES} cycles"
            raise CoreError(f"cycle {now}: {still}; {self._told(items)}")
        if progress is not None:
            progress(len(items))
        return self._seen()

    def _configure(self, values: Sequence[int]) -> None:
        words = array("Q")
        for port, value in zip(self.configuration, values, strict=True):
            words.frombytes(value.to_bytes(8 * build.config_words(port), "little"))
        self._library.bench_configure(self._bench, words.buffer_info()[0])

    def _told(self, items: Sequence[Item]) -> str:
        """Say how far the core has come."""
        seen, streams = self._progress(), self._streams
        told = [
            f"{seen['packets']} of {sum(len(item.lengths) for item in items)} packets on {streams.packets}",
            f"{seen['frames']} frames, {seen['promised']} promised",
            f"{seen['records']} of {len(items)} records on {streams.records}",
        ]
        if streams.requests:
            told.insert(0, f"{seen['requests']} of {len(items)} records on {streams.requests}")
        return f"there have been {', '.join(told)}"

    def _progress(self) -> dict[str, int]:
        counts = array("Q", bytes(64))
        self._library.bench_progress(self._bench, counts.buffer_info()[0])
        names = ("requests", "packets", "frames", "promised", "records", "bytes", "beats in", "beats out")
        return dict(zip(names, counts, strict=True))

    def _seen(self) -> Seen:
        counts = self._progress()
        sent = self._bytes("sent", counts["bytes"])
        frames = [
            Frame(sent[offset : offset + length], side, first, last, beats)
            for offset, length, first, last, beats, side in _FRAME.iter_unpack(
                self._bytes("frames", counts["frames"] * _FRAME.size)
            )
        ]
        records = self._record.iter_unpack(self._bytes("records", counts["records"] * self._record.size))
        return Seen(
            frames,
            list(records),
            self._numbers("request_cycles", counts["requests"]),
            self._numbers("packet_cycles", counts["beats in"]),
            self._numbers("frame_cycles", counts["beats out"]),
        )

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
