"""A host at the ports of the send path: hands requests over as a driver does and learns their outcome."""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.queue import Queue
from cocotb.triggers import ClockCycles, Event, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from offramp_sim.core import Frame, Job, Outcome
from offramp_sim.core.ports import Port
from offramp_sim.core.records import (
    COMPLETION_BITS,
    REQUEST_BITS,
    decode_completion,
    encode_request,
    port_values,
)
from offramp_sim.model import Config, Request

PATIENCE_CYCLES = 5_000
"""Cycles without a transfer on any port, with requests under way, after which the core is taken to hang."""

SETTLE_CYCLES = 64
"""Cycles to wait for what should not come any more."""

PERIOD_NS = 10
PORTS = ("request", "buffer", "frame", "completion")
PREFIXES = ("s_axis_request", "s_axis_buffer", "m_axis_frame", "m_axis_completion")


class Host:
    """What a driver is to the send path: it posts requests and is told of their completions, in order.

    Every port has a bus model of cocotbext-axi, which in every cycle is idle, or holds back, with a
    probability of its own. Beside them the outputs are watched: what is offered stays as it is until it is
    taken, frames fill every lane of all their beats but the last, and as long as requests are under way
    something moves. A core that breaks this fails the running test.

    Parameters
    ----------
    core : cocotb handle
        The send path; its ports are driven from here, including clock and reset.
    rng : random.Random
        The only source of randomness.
    stall : float
        Probability of idle and of back-pressure, the same on all ports; see :meth:`set_stall`.

    Attributes
    ----------
    lanes : int
        Bytes per beat.
    accepted : int
        Request records that the core has taken since it was reset.
    cycle : int
        Clock cycles so far.
    """

    def __init__(self, core: Any, *, rng: random.Random, stall: float = 0.0) -> None:
        self._core = core
        self._rng = rng
        self.lanes = len(core.s_axis_buffer_tkeep)
        self.accepted = 0
        self.cycle = 0
        self._idle_cycles = 0
        self._changed = Event()
        self._posted: deque[Request] = deque()

        core.clk.value = 0
        core.rst.value = 1
        self._settings = [
            Port(handle._name, len(handle), output=False)
            for handle in core
            if handle._name.startswith("cfg_")
        ]
        self.configure(Config())
        Clock(core.clk, PERIOD_NS, "ns").start()

        request, buffer, frame, completion = (AxiStreamBus.from_prefix(core, prefix) for prefix in PREFIXES)
        assert len(request.tdata) == REQUEST_BITS
        assert len(completion.tdata) == COMPLETION_BITS
        self._requests = AxiStreamSource(request, core.clk, core.rst, byte_lanes=1)
        self._buffers = AxiStreamSource(buffer, core.clk, core.rst)
        self._frames = AxiStreamSink(frame, core.clk, core.rst)
        self._completions = AxiStreamSink(completion, core.clk, core.rst, byte_lanes=1)
        self._models = dict(
            zip(PORTS, (self._requests, self._buffers, self._frames, self._completions), strict=True)
        )
        for model in self._models.values():
            model.log.setLevel("WARNING")
        self.set_stall(**dict.fromkeys(PORTS, stall))

        self._records_to_send: Queue[tuple[int, list[AxiStreamFrame]]] = Queue()
        self._buffers_to_send: Queue[tuple[int, list[AxiStreamFrame]]] = Queue()
        cocotb.start_soon(self._feed(self._requests, self._records_to_send))
        cocotb.start_soon(self._feed(self._buffers, self._buffers_to_send))
        cocotb.start_soon(self._watch())

    # What a host does --------------------------------------------------------------------------------

    async def reset(self, cycles: int = 2) -> None:
        """Reset the core; the host forgets what it has posted and what has come."""
        self._core.rst.value = 1
        for model in self._models.values():
            model.clear()
        for queue in (self._records_to_send, self._buffers_to_send):
            while not queue.empty():
                queue.get_nowait()
        await ClockCycles(self._core.clk, cycles)
        for sink in (self._frames, self._completions):
            sink.clear()
        self._posted.clear()
        self.accepted = 0
        self._core.rst.value = 0
        await RisingEdge(self._core.clk)

    def configure(self, config: Config) -> None:
        """Put ``config`` on the configuration ports, at once and whatever is under way."""
        for port, value in zip(self._settings, port_values(config, self._settings), strict=True):
            getattr(self._core, port.name).value = value

    def set_stall(self, **probabilities: float) -> None:
        """Set with which probability a port (a name of :data:`PORTS`) is idle or holds back in a cycle."""
        for port, probability in probabilities.items():
            model = self._models[port]
            if 0 < probability < 1:
                model.set_pause_generator(self._pauses(random.Random(self._rng.random()), probability))
            else:
                model.clear_pause_generator()
                model.pause = probability == 1

    def post(self, request: Request, *, record_after: int = 0, buffers_after: int = 0) -> None:
        """Hand over a request and return at once.

        Parameters
        ----------
        request : Request
        record_after, buffers_after : int
            Idle cycles before the request record, and before the first of its buffers, behind whatever has
            been posted before; so either may come first.
        """
        record = AxiStreamFrame([int.from_bytes(encode_request(request), "little")])
        buffers = []
        start = 0
        for size in request.elements:
            buffers.append(AxiStreamFrame(request.frame[start : start + size]))
            start += size
        self._posted.append(request)
        self._idle_cycles = 0
        self._records_to_send.put_nowait((record_after, [record]))
        self._buffers_to_send.put_nowait((buffers_after, buffers))

    async def outcome(self) -> Outcome:
        """Return what became of the oldest request whose completion has not been returned yet."""
        (record,) = (await self._completions.recv()).tdata
        completion = decode_completion(record.to_bytes(COMPLETION_BITS // 8, "little"))
        frames = [self._frame(await self._frames.recv(compact=False)) for _ in range(completion.segments)]
        request = self._posted.popleft()
        tags = {completion.tag, *(frame.tag for frame in frames)}
        assert tags == {request.tag}, f"request {request.tag} came back with tags {sorted(tags)}"
        return Outcome(tuple(frames), completion, elements=request.elements)

    async def send(self, request: Request) -> Outcome:
        """Send one request and return what became of it."""
        self.post(request)
        return await self.outcome()

    async def play(self, jobs: Sequence[Job], *, spread_cycles: int = 0) -> list[Outcome]:
        """Send ``jobs`` back to back and return what became of them.

        Parameters
        ----------
        jobs : sequence of Job
            The configuration changes when all before has completed.
        spread_cycles : int
            Most idle cycles to put in front of a record, or of its buffers.
        """
        outcomes: list[Outcome] = []
        config: Config | None = None
        for job in jobs:
            if job.config != config:
                outcomes += [await self.outcome() for _ in range(len(self._posted))]
                config = job.config
                self.configure(config)
            wait = self._rng.randint(0, spread_cycles)
            record_after, buffers_after = self._rng.choice([(0, 0), (wait, 0), (0, wait)])
            self.post(job.request, record_after=record_after, buffers_after=buffers_after)
        return outcomes + [await self.outcome() for _ in range(len(self._posted))]

    async def until_accepted(self, count: int) -> None:
        """Wait until the core has taken ``count`` request records since it was reset."""
        while self.accepted < count:
            self._changed.clear()
            await self._changed.wait()

    async def until_frames(self, count: int) -> None:
        """Wait until ``count`` frames are there that no outcome has taken yet."""
        while self._frames.count() < count:
            self._changed.clear()
            await self._changed.wait()

    async def settle(self) -> None:
        """Wait a while and check that nothing comes that nobody has asked for."""
        self.set_stall(**dict.fromkeys(PORTS, 0))
        await ClockCycles(self._core.clk, SETTLE_CYCLES)
        assert not self._posted, f"{len(self._posted)} requests have not been waited for"
        assert self._frames.empty(), "a frame came that no completion accounts for"
        assert self._frames.idle(), "a frame has begun that no completion accounts for"
        assert self._completions.empty(), "a completion came for which there is no request"

    def counters(self) -> dict[str, int]:
        """Return the core's counters, by port name without ``stat_``."""
        return {
            handle._name.removeprefix("stat_"): int(handle.value)
            for handle in self._core
            if handle._name.startswith("stat_")
        }

    # How it does it ----------------------------------------------------------------------------------

    @staticmethod
    def _pauses(rng: random.Random, probability: float) -> Iterator[bool]:
        while True:
            yield rng.random() < probability

    async def _feed(self, source: AxiStreamSource, posted: "Queue[tuple[int, list[AxiStreamFrame]]]") -> None:
        """Hand what has been ``posted`` to ``source``, each after its idle cycles."""
        while True:
            wait, packets = await posted.get()
            if wait:
                await source.wait()
                await ClockCycles(self._core.clk, wait)
            for packet in packets:
                source.send_nowait(packet)

    def _frame(self, frame: AxiStreamFrame) -> Frame:
        """Return ``frame`` without the lanes behind its end."""
        size = sum(frame.tkeep)
        assert frame.tkeep == [1] * size + [0] * (len(frame.tkeep) - size), "tkeep has a hole"
        assert len(frame.tkeep) - size < self.lanes, "tkeep is zero"
        assert len(set(frame.tid)) == 1, "tid changes inside a frame"
        return Frame(bytes(frame.tdata[:size]), frame.tid[0], beats=len(frame.tkeep) // self.lanes)

    async def _watch(self) -> None:
        """Count what moves, cycle by cycle, and check that stalled outputs stay as they are."""
        core = self._core
        rising = RisingEdge(core.clk)
        handshakes = [
            (getattr(core, f"{prefix}_tvalid"), getattr(core, f"{prefix}_tready")) for prefix in PREFIXES
        ]
        offers = {
            2: [getattr(core, f"m_axis_frame_{name}") for name in ("tdata", "tkeep", "tlast", "tid")],
            3: [core.m_axis_completion_tdata],
        }
        held: dict[int, list[str]] = {}
        while True:
            await rising
            self.cycle += 1
            if core.rst.value == 1:
                held.clear()
                continue
            moved = False
            for number, (valid, ready) in enumerate(handshakes):
                offered, taken = valid.value == 1, ready.value == 1
                if number in held:
                    now = [str(handle.value) for handle in offers[number]]
                    assert offered, f"{PREFIXES[number]}_tvalid fell before tready"
                    assert now == held.pop(number), f"{PREFIXES[number]} changed while it was stalled"
                if offered and not taken and number in offers:
                    held[number] = [str(handle.value) for handle in offers[number]]
                if offered and taken:
                    moved = True
                    self.accepted += number == 0
            self._idle_cycles = 0 if moved or not self._posted else self._idle_cycles + 1
            if self._idle_cycles == PATIENCE_CYCLES:
                ports = ", ".join(
                    f"{prefix} valid {valid.value} ready {ready.value}"
                    for prefix, (valid, ready) in zip(PREFIXES, handshakes, strict=True)
                )
                raise AssertionError(
                    f"nothing has moved for {PATIENCE_CYCLES} cycles, with {len(self._posted)} requests "
                    f"under way: {ports}"
                )
            if moved:
                self._changed.set()
