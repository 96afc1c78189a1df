"""Block RAM of slices that wait for their checksums."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from offramp.packet import check_lanes
from offramp.ram import BlockRam
from offramp.send.train import TAG_BYTES, Limits

SLACK = 16
"""Beats that may still come when there is no more room."""


class Store(wiring.Component):
    """Holds two of the largest slices or more, so that one is written while the other is read.

    Beats are at consecutive addresses in the order in which they arrive. Takes a beat a cycle and gives one
    a cycle.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.

    Members
    -------
    beat : In(StructLayout({"valid": 1, "data": ...}))
        A beat to store.
    room : Out(1)
        At least :data:`SLACK` more fit in.
    read : In(1)
        Read a beat, one that arrived in an earlier cycle.
    address : In(range(depth))
        Beat to read.
    free : In(range(...))
        Number of beats that are not needed any more, in this cycle.
    data : Out(ArrayLayout(8, lanes))
        The beat read, :attr:`read_latency` cycles after its address.
    """

    read_latency = 2

    def __init__(self, lanes: int, limits: Limits) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        beats = -(-(limits.max_frame_bytes + TAG_BYTES) // lanes) + 1
        self.depth = 1 << ceil_log2(max(2 * beats + 2 * SLACK, 512))
        super().__init__({
            "beat": In(data.StructLayout({"valid": 1, "data": data.ArrayLayout(8, lanes)})),
            "room": Out(1),
            "read": In(1),
            "address": In(range(self.depth)),
            "free": In(range(beats + 1)),
            "data": Out(data.ArrayLayout(8, lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = BlockRam(self.data.shape().size, self.depth)
        m.d.comb += [
            ram.write.data.eq(self.beat.data),
            ram.write.en.eq(self.beat.valid),
            ram.read.addr.eq(self.address),
            ram.read.en.eq(self.read),
        ]
        with m.If(self.beat.valid):
            m.d.sync += ram.write.addr.eq(ram.write.addr + 1)
        held = Signal(self.data.shape(), reset_less=True)
        m.d.sync += held.eq(ram.read.data)
        m.d.comb += self.data.eq(held)

        used = Signal(range(self.depth + 1))
        m.d.sync += used.eq(used + self.beat.valid - self.free)
        m.d.sync += self.room.eq(used < self.depth - 2 * SLACK)
        return m
