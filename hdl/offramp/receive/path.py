"""The receive path as one component."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import Beat, check_lanes
from offramp.queue import ShallowQueue
from offramp.receive.addresses import OuterAddresses
from offramp.receive.inspect import Checks, Inspect
from offramp.receive.report import Report
from offramp.receive.steer import Steer
from offramp.receive.sums import FrameSums
from offramp.receive.survey import Survey
from offramp.receive.tap import Tap
from offramp.records import Metadata, ReceiveConfiguration
from offramp.walk.chain import HeaderWalk, check_header_bytes
from offramp.walk.layout import Look

MAX_BYTES = 1 << 17
"""Frames are counted up to so many bytes; more than the length fields of IP can span."""

UNDER_WAY = 32
"""Frames between their last beat and the queue of metadata, at most."""


class Settings(data.Struct):
    """What of the configuration counts from a frame's first beat on."""

    look: Look
    checks: Checks


class ReceivePath(wiring.Component):
    """Validates the checksums of received frames in every layer, through NVGRE and VXLAN tunnels.

    Frames pass as they come, :attr:`delay` cycles later, a beat every cycle whatever they are. Each is
    followed by one metadata record, in order, :attr:`latency` cycles after its last beat was accepted.
    Nothing but a sink that does not take frames or metadata makes the path wait.

    Parameters
    ----------
    lanes : int
        Bytes per beat: 8, 16, 32 or 64.
    max_header_bytes : int
        Bytes of a frame that are looked at for headers: a multiple of ``lanes`` from 64 to 256.

    Attributes
    ----------
    delay : int
        Cycles from accepting a beat to offering it again.
    latency : int
        Cycles from accepting a frame's last beat to offering its metadata.

    Members
    -------
    config : In(ReceiveConfiguration)
        What concerns checksums is sampled with a frame's first beat, the rest looked at behind its last.
    frames : In(stream.Signature(Beat(lanes, bad=1)))
        Received frames without FCS; ``bad`` in the last beat is the MAC's mark.
    passed : Out(stream.Signature(Beat(lanes, keep=lanes, bad=1)))
        The same frames.
    reports : Out(stream.Signature(Metadata))
        One for each frame, in order.
    """

    frames: stream.Interface
    passed: stream.Interface
    reports: stream.Interface

    delay = Tap.latency

    def __init__(self, *, lanes: int, max_header_bytes: int = 256) -> None:
        self.lanes = check_lanes(lanes)
        self.max_header_bytes = check_header_bytes(max_header_bytes, lanes)
        self._walk = HeaderWalk(lanes, max_header_bytes=max_header_bytes, collect=True)
        self._survey = Survey(self._walk.passage, MAX_BYTES)
        self._sums = FrameSums(self._survey.shape)
        self._inspect = Inspect(self._survey.shape)
        self._steer = Steer(lanes)
        self._report = Report(
            sums_cycles=self._sums.latency - self._inspect.latency, steering_cycles=self._steer.latency
        )
        super().__init__({
            "config": In(ReceiveConfiguration),
            "frames": In(stream.Signature(Beat(lanes, bad=1))),
            "passed": Out(stream.Signature(Beat(lanes, keep=lanes, bad=1))),
            "reports": Out(stream.Signature(Metadata)),
        })

    @property
    def latency(self) -> int:
        """Cycles from accepting a frame's last beat to offering its metadata."""
        stages = (self._walk, self._survey, self._inspect, self._report, ShallowQueue)
        return sum(stage.latency for stage in stages)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = walk = self._walk
        m.submodules.survey = survey = self._survey
        m.submodules.sums = sums = self._sums
        m.submodules.inspect = inspect = self._inspect
        m.submodules.outer = outer = OuterAddresses(walk.passage)
        m.submodules.steer = steer = self._steer
        m.submodules.report = report = self._report
        m.submodules.tap = tap = Tap(self.lanes)
        m.submodules.queue = queue = ShallowQueue(Metadata, depth=2 * UNDER_WAY, reserve=UNDER_WAY)

        # Every beat goes on as it is, and is looked at.
        seen: Any = tap.seen
        settings: Any = self._sample(m, seen.valid, seen.beat.last)
        entering = walk.beats
        wiring.connect(m, wiring.flipped(self.frames), tap.frames)
        wiring.connect(m, tap.passed, wiring.flipped(self.passed))
        m.d.comb += [
            tap.room.eq(~queue.almost_full),
            entering.valid.eq(seen.valid),
            entering.p.data.eq(seen.beat.data),
            entering.p.count.eq(seen.beat.count),
            entering.p.last.eq(seen.beat.last),
            entering.p.mismatch.eq(seen.beat.bad),
            entering.p.look.eq(settings.look),
            entering.p.carried.eq(settings.checks),
        ]

        # What the walk has found is summed up, looked through and hashed at the same time.
        m.d.comb += [
            survey.passed.eq(walk.passed),
            sums.surveyed.eq(survey.surveyed),
            inspect.surveyed.eq(survey.surveyed),
            outer.passed.eq(walk.passed),
            inspect.types.eq(self.config.rss_types),
            steer.config.eq(self.config),
            steer.found.valid.eq(inspect.found.valid),
            steer.found.findings.eq(inspect.found.findings),
            steer.outer.eq(outer.addresses),
            steer.tag.eq(outer.tag),
            steer.inner.eq(walk.addresses),
            report.found.eq(inspect.found),
            report.reason.eq(inspect.reason),
            report.right.eq(sums.right.right),
            report.steering.eq(steer.steering.steering),
            queue.input.valid.eq(report.reported.valid),
            queue.input.p.eq(report.reported.metadata),
        ]
        wiring.connect(m, queue.output, wiring.flipped(self.reports))
        return m

    def _sample(self, m: Module, accept: Signal, last: Any) -> Any:
        """Return the settings of the frame that a beat belongs to: those of its first one."""
        config: Any = self.config
        now: Any = Signal(Settings, name="settings_now")
        kept: Any = Signal(Settings, name="settings_kept", reset_less=True)
        settings: Any = Signal(Settings)
        first = Signal(init=1)
        checks = {"active": config.rx_active} | {
            name: config[f"rx_{name}_checksum"] for name, _ in data.Layout.cast(Checks) if name != "active"
        }
        m.d.comb += [
            now.look.nvgre.eq(config.encapsulation.nvgre),
            now.look.vxlan.eq(config.encapsulation.vxlan),
            now.look.vxlan_port.eq(config.vxlan_port),
            *(now.checks[name].eq(value) for name, value in checks.items()),
            settings.eq(Mux(first, now, kept)),
        ]
        with m.If(accept):
            m.d.sync += [first.eq(last), kept.eq(settings)]
        return settings
