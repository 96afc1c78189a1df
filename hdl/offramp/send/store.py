"""Block RAM of slices that wait for their checksums."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from offramp.packet import check_lanes
from offramp.ram import BlockRam
from offramp.send.train import TAG_BYTES, Limits

SLACK = 16
"""Beats that may still come when there is no more room."""


class StoreReader(wiring.Signature):
    """Reads the store.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.

    Members
    -------
    read : Out(1)
        Read a beat, one that arrived in an earlier cycle.
    address : Out(range(depth))
        Beat to read.
    free : Out(range(...))
        Number of beats that are not needed any more, in this cycle.
    data : In(ArrayLayout(8, lanes))
        The beat read, :attr:`Store.read_latency` cycles after its address.
    """

    def __init__(self, lanes: int, limits: Limits) -> None:
        beats = -(-(limits.max_frame_bytes + TAG_BYTES) // lanes) + 1
        self.depth = 1 << ceil_log2(max(2 * beats + 2 * SLACK, 512))
        super().__init__({
            "read": Out(1),
            "address": Out(range(self.depth)),
            "free": Out(range(beats + 1)),
            "data": In(data.ArrayLayout(8, lanes)),
        })


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
    reader : In(StoreReader(lanes, limits))
        Whoever reads.
    """

    read_latency = 2

    def __init__(self, lanes: int, limits: Limits) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        reader = StoreReader(lanes, limits)
        self.depth = reader.depth
        super().__init__({
            "beat": In(data.StructLayout({"valid": 1, "data": data.ArrayLayout(8, lanes)})),
            "room": Out(1),
            "reader": In(reader),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = BlockRam(8 * self.lanes, self.depth)
        m.d.comb += [
            ram.write.data.eq(self.beat.data),
            ram.write.en.eq(self.beat.valid),
            ram.read.addr.eq(self.reader.address),
            ram.read.en.eq(self.reader.read),
        ]
        with m.If(self.beat.valid):
            m.d.sync += ram.write.addr.eq(ram.write.addr + 1)
        held = Signal(8 * self.lanes, reset_less=True)
        m.d.sync += held.eq(ram.read.data)
        m.d.comb += Cat(self.reader.data).eq(held)

        used = Signal(range(self.depth + 1))
        m.d.sync += used.eq(used + self.beat.valid - self.reader.free)
        m.d.sync += self.room.eq(used < self.depth - 2 * SLACK)
        return m
