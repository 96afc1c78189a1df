"""Block RAM as FPGAs have it."""

from amaranth.hdl import Assert, Const, Module, Shape, ShapeLike, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, ReadPort, WritePort
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2


class BlockRam(wiring.Component):
    """RAM with one port to write and one to read, both synchronous.

    No row may be read in the very cycle in which it is written; in the next, it may. (Amaranth's memories
    promise the old value then. Block RAMs do not keep that promise between two ports, so synthesis adds what
    looks out for it: on ECP5, two flip-flops and a look-up table for each data bit, and a slower path.)

    Parameters
    ----------
    shape : ShapeLike
        Shape of a row.
    depth : int
        Number of rows.

    Members
    -------
    write : Out(WritePort.Signature(addr_width=log2(depth), shape=shape))
        ``addr``, ``data`` and ``en``.
    read : Out(ReadPort.Signature(addr_width=log2(depth), shape=shape))
        ``addr`` and ``en``; ``data`` is there in the next cycle and stays until the next one with ``en``.
    """

    write: WritePort
    read: ReadPort

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        if depth < 2:
            raise ValueError(f"depth must be at least 2, not {depth!r}")
        self.shape = shape
        self.depth = depth
        width = ceil_log2(depth)
        super().__init__({
            "write": Out(WritePort.Signature(addr_width=width, shape=shape)),
            "read": Out(ReadPort.Signature(addr_width=width, shape=shape)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(self.shape).width
        # Synthesis makes the register below the RAM's own; the attribute tells it what cannot happen.
        attrs = {"no_rw_check": Const(1)}
        m.submodules.rows = rows = Memory(shape=width, depth=self.depth, init=[], attrs=attrs)
        write = rows.write_port()
        read = rows.read_port(domain="comb")
        data = Signal(width, reset_less=True)
        m.d.comb += [
            write.addr.eq(self.write.addr),
            write.data.eq(self.write.data),
            write.en.eq(self.write.en),
            read.addr.eq(self.read.addr),
            self.read.data.eq(data),
        ]
        with m.If(self.read.en):
            m.d.sync += data.eq(read.data)

        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            together = self.read.en & self.write.en & (self.read.addr == self.write.addr)
            m.d.sync += Assert(~together, "no row is read while it is written")
        return m
