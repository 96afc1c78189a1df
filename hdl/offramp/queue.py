"""Stream buffers: a skid buffer, a block-RAM queue and a shallow queue that stops free-running pipelines."""

from amaranth.hdl import Assert, Module, Mux, Shape, ShapeLike, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class Skid(wiring.Component):
    """Two-place buffer that registers a stream in both directions.

    Keeps order, drops nothing and passes a payload every cycle. ``input.ready``, ``output.valid`` and
    ``output.payload`` come straight from registers, so no path leads through it.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    input : In(stream.Signature(shape))
        Stream to buffer.
    output : Out(stream.Signature(shape))
        The same stream, :attr:`latency` cycles later.
    """

    input: stream.Interface
    output: stream.Interface

    latency = 1

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({
            "input": In(stream.Signature(shape)),
            "output": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(self.shape).width

        room = Signal(init=1)
        valid = Signal()
        front = Signal(width, reset_less=True)
        spare = Signal(width, reset_less=True)
        m.d.comb += [
            self.input.ready.eq(room),
            self.output.valid.eq(valid),
            self.output.p.eq(front),
        ]

        # Whatever the input offers while there is room may be copied: it is only looked at when it was
        # accepted, and an enable straight from a register is all that so many flip-flops can bear.
        with m.If(room):
            m.d.sync += spare.eq(self.input.p)

        with m.If(self.output.ready | ~valid):
            m.d.sync += front.eq(Mux(room, self.input.p, spare))
        m.d.sync += [
            valid.eq(self.input.valid | ~room | (valid & ~self.output.ready)),
            room.eq(self.output.ready | ~valid | (room & ~self.input.valid)),
        ]
        return m


class Queue(wiring.Component):
    """Block-RAM queue.

    Keeps order, drops nothing and passes a payload every cycle. A payload written into an empty queue is
    offered :attr:`latency` cycles after it is accepted.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.
    depth : int
        Number of payloads it holds, at least 3. One more than a power of two fills its RAM exactly,
        because the last one waits in the RAM's output.
    registered : bool
        Put a :class:`Skid` behind the RAM, whose output is slow to appear in its cycle. Costs a cycle.

    Members
    -------
    input : In(stream.Signature(shape))
        Stream to queue.
    output : Out(stream.Signature(shape))
        The same stream.
    level : Out(range(depth + 1))
        Number of payloads in the queue, those in the output register not counted.
    """

    input: stream.Interface
    output: stream.Interface
    level: Signal

    def __init__(self, shape: ShapeLike, depth: int, *, registered: bool = False) -> None:
        if depth < 3:
            raise ValueError(f"depth must be at least 3, not {depth!r}")
        self.shape = shape
        self.depth = depth
        self.registered = registered
        super().__init__({
            "input": In(stream.Signature(shape)),
            "output": Out(stream.Signature(shape)),
            "level": Out(range(depth + 1)),
        })

    @property
    def latency(self) -> int:
        """Cycles from accepting a payload to offering it."""
        return 2 + self.registered

    def elaborate(self, platform: object) -> Module:
        m = Module()

        m.submodules.ram = ram = fifo.SyncFIFOBuffered(width=Shape.cast(self.shape).width, depth=self.depth)
        m.d.comb += [
            ram.w_data.eq(self.input.p),
            ram.w_en.eq(self.input.valid),
            self.input.ready.eq(ram.w_rdy),
            self.level.eq(ram.level),
        ]

        read = self.output
        if self.registered:
            m.submodules.skid = skid = Skid(self.shape)
            wiring.connect(m, skid.output, wiring.flipped(self.output))
            read = skid.input
        m.d.comb += [
            read.p.eq(ram.r_data),
            read.valid.eq(ram.r_rdy),
            ram.r_en.eq(read.ready),
        ]
        return m


class ShallowQueue(wiring.Component):
    """Distributed-RAM queue with registered outputs and a single cycle of latency.

    Keeps order, drops nothing and passes a payload every cycle. A payload that meets an empty queue goes
    straight to the output register. ``input.ready``, ``output.valid``, ``output.payload`` and
    ``almost_full`` come straight from registers.

    It is meant to end a pipeline that cannot stop: whoever feeds that pipeline stops while ``almost_full``
    is set, and what is still under way fits in, however late, as long as it is not more than
    :attr:`reserve` payloads.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.
    depth : int
        Number of payloads the RAM holds, a multiple of 16 for the sake of area. The output register is
        one more place.
    reserve : int
        Number of payloads that still fit in, counted from the first cycle with ``almost_full`` set
        (payloads accepted in that cycle included).

    Members
    -------
    input : In(stream.Signature(shape))
        Stream to queue.
    output : Out(stream.Signature(shape))
        The same stream.
    almost_full : Out(1)
        No more than :attr:`reserve` payloads are sure to be accepted.
    """

    input: stream.Interface
    output: stream.Interface
    almost_full: Signal

    latency = 1

    def __init__(self, shape: ShapeLike, depth: int = 16, *, reserve: int = 8) -> None:
        if depth < 4:
            raise ValueError(f"depth must be at least 4, not {depth!r}")
        if not 0 < reserve <= depth - 3:
            raise ValueError(f"reserve must be 1 to depth - 3 = {depth - 3}, not {reserve!r}")
        self.shape = shape
        self.depth = depth
        self.reserve = reserve
        super().__init__({
            "input": In(stream.Signature(shape)),
            "output": Out(stream.Signature(shape)),
            "almost_full": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(self.shape).width

        m.submodules.ram = ram = Memory(shape=width, depth=self.depth, init=[])
        write = ram.write_port()
        read = ram.read_port(domain="comb")

        level = Signal(range(self.depth + 1))
        stored = Signal()  # level != 0
        room = Signal(init=1)
        valid = Signal()
        front = Signal(width, reset_less=True)
        m.d.comb += [
            self.input.ready.eq(room),
            self.output.valid.eq(valid),
            self.output.p.eq(front),
        ]

        accept = Signal()
        advance = Signal()
        push = Signal()
        pop = Signal()
        m.d.comb += [
            accept.eq(self.input.valid & room),
            advance.eq(self.output.ready | ~valid),
            push.eq(accept & (stored | ~advance)),
            pop.eq(advance & stored),
        ]

        # The place behind the last payload is free whenever there is room, so it may be written before
        # it is known whether the payload is accepted or passes by.
        m.d.comb += [
            write.data.eq(self.input.p),
            write.en.eq(room),
        ]
        with m.If(push):
            m.d.sync += write.addr.eq(self._after(write.addr))
        with m.If(pop):
            m.d.sync += read.addr.eq(self._after(read.addr))
        with m.If(push & ~pop):
            m.d.sync += [level.eq(level + 1), stored.eq(1)]
        with m.If(pop & ~push):
            m.d.sync += [level.eq(level - 1), stored.eq(level != 1)]

        # Both look at the level before this cycle's change: with a level of depth - 1 there may or may not
        # be room, and almost_full leaves that place and the one filled in this cycle out of the account.
        m.d.sync += [
            room.eq(level <= self.depth - 2),
            self.almost_full.eq(level >= self.depth - 2 - self.reserve),
        ]

        with m.If(advance):
            m.d.sync += [
                front.eq(Mux(stored, read.data, self.input.p)),
                valid.eq(stored | accept),
            ]

        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            m.d.sync += Assert(stored == (level != 0), "the flag follows the level")
        return m

    def _after(self, address: Signal) -> Mux:
        return Mux(address == self.depth - 1, 0, address + 1)
