"""A MAC in front of the receive path, and whoever takes what comes out behind it."""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from offramp_sim.core import Arrival, Frame, Received
from offramp_sim.core.arrivals import METADATA_BITS, decode_metadata, receive_values
from offramp_sim.core.ports import Port
from offramp_sim.cosim.host import PATIENCE_CYCLES, PERIOD_NS, SETTLE_CYCLES
from offramp_sim.model import ReceiveConfig

PORTS = ("arrival", "frame", "metadata")
PREFIXES = ("s_axis_frame", "m_axis_frame", "m_axis_metadata")


class Mac:
    """Lets frames arrive at the receive path and collects them, with their metadata, in order.

    Every port has a bus model of cocotbext-axi, which in every cycle is idle, or holds back, with a
    probability of its own. Beside them the ports are watched: what is offered stays as it is until it is
    taken, frames fill every lane of all their beats but the last, and as long as frames are under way
    something moves. A core that breaks this fails the running test.

    Parameters
    ----------
    core : cocotb handle
        The receive path; its ports are driven from here, including clock and reset.
    rng : random.Random
        The only source of randomness.

    Attributes
    ----------
    lanes : int
        Bytes per beat.
    accepted : int
        Frames that the core has taken since it was reset.
    held_up : int
        Cycles since then in which it took no beat that was on offer.
    """

    def __init__(self, core: Any, *, rng: random.Random) -> None:
        self._core = core
        self._rng = rng
        self.lanes = len(core.s_axis_frame_tkeep)
        self.accepted = 0
        self.held_up = 0
        self._idle_cycles = 0
        self._changed = Event()
        self._posted: deque[Arrival] = deque()

        core.clk.value = 0
        core.rst.value = 1
        self._settings = [
            Port(handle._name, len(handle), output=False)
            for handle in core
            if handle._name.startswith("cfg_")
        ]
        self.configure(ReceiveConfig())
        Clock(core.clk, PERIOD_NS, "ns").start()

        arrival, frame, metadata = (AxiStreamBus.from_prefix(core, prefix) for prefix in PREFIXES)
        assert len(metadata.tdata) == METADATA_BITS
        self._arrivals = AxiStreamSource(arrival, core.clk, core.rst)
        self._frames = AxiStreamSink(frame, core.clk, core.rst)
        self._metadata = AxiStreamSink(metadata, core.clk, core.rst, byte_lanes=1)
        self._models = dict(zip(PORTS, (self._arrivals, self._frames, self._metadata), strict=True))
        for model in self._models.values():
            model.log.setLevel("WARNING")
        cocotb.start_soon(self._watch())

    async def reset(self, cycles: int = 2) -> None:
        """Reset the core; what has been posted and what has come is forgotten."""
        self._core.rst.value = 1
        for model in self._models.values():
            model.clear()
        await ClockCycles(self._core.clk, cycles)
        for sink in (self._frames, self._metadata):
            sink.clear()
        self._posted.clear()
        self.accepted = self.held_up = 0
        self._core.rst.value = 0
        await RisingEdge(self._core.clk)

    def configure(self, config: ReceiveConfig) -> None:
        """Put ``config`` on the configuration ports, at once and whatever is under way."""
        for port, value in zip(self._settings, receive_values(config, self._settings), strict=True):
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

    def post(self, arrival: Arrival) -> None:
        """Let a frame arrive behind all others and return at once.

        Its mark stands beside the last beat only; beside the others there is anything.
        """
        size = len(arrival.frame)
        before = (size - 1) // self.lanes * self.lanes
        marks = [self._rng.randrange(2) for _ in range(before)] + [int(arrival.marked_bad)] * (size - before)
        self._posted.append(arrival)
        self._idle_cycles = 0
        self._arrivals.send_nowait(AxiStreamFrame(arrival.frame, tuser=marks))

    async def received(self) -> Received:
        """Return what came out for the oldest frame that has not been asked for yet."""
        frame = await self._frames.recv(compact=False)
        (record,) = (await self._metadata.recv()).tdata
        self._posted.popleft()
        size = sum(frame.tkeep)
        assert frame.tkeep == [1] * size + [0] * (len(frame.tkeep) - size), "tkeep has a hole"
        assert len(frame.tkeep) - size < self.lanes, "tkeep is zero"
        passed = Frame(bytes(frame.tdata[:size]), frame.tuser[-1], beats=len(frame.tkeep) // self.lanes)
        return Received(passed, decode_metadata(record.to_bytes(METADATA_BITS // 8, "little")))

    async def play(self, arrivals: Sequence[Arrival]) -> list[Received]:
        """Let ``arrivals`` come back to back; the configuration changes when all before is out."""
        results: list[Received] = []
        config: ReceiveConfig | None = None
        for arrival in arrivals:
            if arrival.config != config:
                results += await self.rest()
                config = arrival.config
                self.configure(config)
            self.post(arrival)
        return results + await self.rest()

    async def rest(self) -> list[Received]:
        """Return what comes out for all frames that have not been asked for yet."""
        return [await self.received() for _ in range(len(self._posted))]

    async def until_accepted(self, count: int) -> None:
        """Wait until the core has taken ``count`` frames since it was reset."""
        while self.accepted < count:
            self._changed.clear()
            await self._changed.wait()

    async def settle(self) -> None:
        """Wait a while and check that nothing comes for which there is no frame."""
        self.set_stall(**dict.fromkeys(PORTS, 0))
        await ClockCycles(self._core.clk, SETTLE_CYCLES)
        assert not self._posted, f"{len(self._posted)} frames have not been waited for"
        assert self._frames.empty(), "a frame came that did not arrive"
        assert self._frames.idle(), "a frame has begun that did not arrive"
        assert self._metadata.empty(), "metadata came for which there is no frame"

    def counters(self) -> dict[str, int]:
        """Return the core's counters, by port name without ``stat_``."""
        return {
            handle._name.removeprefix("stat_"): int(handle.value)
            for handle in self._core
            if handle._name.startswith("stat_")
        }

    @staticmethod
    def _pauses(rng: random.Random, probability: float) -> Iterator[bool]:
        while True:
            yield rng.random() < probability

    async def _watch(self) -> None:
        """Count what moves, cycle by cycle, and check that stalled outputs stay as they are."""
        core = self._core
        rising = RisingEdge(core.clk)
        handshakes = [
            (getattr(core, f"{prefix}_tvalid"), getattr(core, f"{prefix}_tready")) for prefix in PREFIXES
        ]
        offers = {
            1: [getattr(core, f"m_axis_frame_{name}") for name in ("tdata", "tkeep", "tlast", "tuser")],
            2: [core.m_axis_metadata_tdata],
        }
        held: dict[int, list[str]] = {}
        while True:
            await rising
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
                moved |= offered and taken
                if number == 0 and offered:
                    self.held_up += not taken
                    self.accepted += taken and core.s_axis_frame_tlast.value == 1
            self._idle_cycles = 0 if moved or not self._posted else self._idle_cycles + 1
            if self._idle_cycles == PATIENCE_CYCLES:
                ports = ", ".join(
                    f"{prefix} valid {valid.value} ready {ready.value}"
                    for prefix, (valid, ready) in zip(PREFIXES, handshakes, strict=True)
                )
                raise AssertionError(
                    f"nothing has moved for {PATIENCE_CYCLES} cycles, with {len(self._posted)} frames "
                    f"under way: {ports}"
                )
            if moved:
                self._changed.set()
