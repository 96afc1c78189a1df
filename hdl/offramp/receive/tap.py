"""Lets received frames pass, and shows them to whoever looks at them."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import Beat, keep
from offramp.queue import Skid


class Tap(wiring.Component):
    """Passes frames on as they came, and shows each beat to a pipeline that cannot stop.

    Keeps order, drops and changes nothing, passes a beat every cycle. While ``passed`` is taken and there is
    ``room``, it never makes the frames wait.

    Parameters
    ----------
    lanes : int
        Bytes per beat.

    Attributes
    ----------
    latency : int
        Cycles from accepting a beat to offering it again.

    Members
    -------
    frames : In(stream.Signature(Beat(lanes, bad=1)))
        Frames; ``bad`` in the last beat is the MAC's mark.
    passed : Out(stream.Signature(Beat(lanes, keep=lanes, bad=1)))
        The same frames.
    seen : Out({"valid": 1, "beat": Beat(lanes, bad=1)})
        Each beat once, in the cycle in which it is accepted. Not registered.
    room : In(1)
        What comes of further frames has a place. Beats are still accepted in the first cycle without it, and
        none in those behind.
    """

    frames: stream.Interface
    passed: stream.Interface

    latency = Skid.latency

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        beat = Beat(lanes, bad=1)
        super().__init__({
            "frames": In(stream.Signature(beat)),
            "passed": Out(stream.Signature(Beat(lanes, keep=lanes, bad=1))),
            "seen": Out(data.StructLayout({"valid": 1, "beat": beat})),
            "room": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.skid = skid = Skid(self.passed.p.shape())
        beat: Any = self.frames.p
        room = Signal(init=1)
        m.d.sync += room.eq(self.room)
        m.d.comb += [
            self.frames.ready.eq(skid.input.ready & room),
            skid.input.valid.eq(self.frames.valid & room),
            skid.input.p.data.eq(beat.data),
            skid.input.p.count.eq(beat.count),
            skid.input.p.keep.eq(keep(beat.count)),
            skid.input.p.last.eq(beat.last),
            skid.input.p.bad.eq(beat.bad & beat.last),
            self.seen.valid.eq(self.frames.valid & self.frames.ready),
            self.seen.beat.eq(beat),
        ]
        wiring.connect(m, skid.output, wiring.flipped(self.passed))
        return m
