"""Stream buffers: a skid buffer, and a shallow queue that stops free-running pipelines."""

from typing import NamedTuple

from amaranth.hdl import Assert, Cat, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import at_most

BANK_BITS = 48
"""Bits of a payload that share counters and flags."""


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
        payload = Value.cast(self.input.p)
        banks = [
            self._bank(m, n, payload[n : n + BANK_BITS]) for n in range(0, max(len(payload), 1), BANK_BITS)
        ]
        m.d.comb += [
            self.input.ready.eq(banks[0].room),
            self.output.valid.eq(banks[0].valid),
            self.output.p.eq(Cat(bank.front for bank in banks)),
        ]
        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            for bank in banks[1:]:
                step = (bank.room == banks[0].room) & (bank.valid == banks[0].valid)
                m.d.sync += Assert(step, "the banks keep step")
        return m

    def _bank(self, m: Module, number: int, bits: Value) -> "_SkidBank":
        """Buffer some bits of every payload, with flags of their own: hundreds of bits are slow to reach."""
        room = Signal(name=f"room{number}", init=1)
        held = Signal(name=f"held{number}")  # the other way round, or synthesis finds no enable
        valid = Signal(name=f"valid{number}")
        front = Signal(len(bits), name=f"front{number}", reset_less=True)
        spare = Signal(len(bits), name=f"spare{number}", reset_less=True)

        # Whatever the input offers while there is room may be copied: it is only looked at when it was
        # accepted, and an enable straight from a register is all that so many flip-flops can bear.
        with m.If(room):
            m.d.sync += spare.eq(bits)

        with m.If(self.output.ready | ~valid):
            m.d.sync += front.eq(Mux(held, spare, bits))
        clears = self.output.ready | ~valid | (room & ~self.input.valid)
        m.d.sync += [
            valid.eq(self.input.valid | ~room | (valid & ~self.output.ready)),
            room.eq(clears),
            held.eq(~clears),
        ]
        return _SkidBank(room, valid, front)


class _SkidBank(NamedTuple):
    """What :class:`Skid` sees of one of its banks."""

    room: Signal
    valid: Signal
    front: Signal


class ShallowQueue(wiring.Component):
    """Distributed-RAM queue with registered outputs and a single cycle of latency.

    Keeps order, drops nothing and passes a payload every cycle. A payload that meets an empty queue goes
    straight to the output register. ``output.valid``, ``output.payload`` and ``almost_full`` come straight
    from registers.

    It ends a pipeline that cannot stop, so it takes whatever comes: whoever feeds that pipeline stops while
    ``almost_full`` is set, and what is still under way fits in, however late, as long as it is not more than
    :attr:`reserve` payloads.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.
    depth : int
        Number of payloads the RAM holds, a power of two; 16 or more for the sake of area. The output
        register is one more place.
    reserve : int
        Number of payloads that still fit in, counted from the first cycle with ``almost_full`` set
        (one that comes in that cycle included).
    late : bool
        ``output.ready`` comes late in its cycle: let it enable the output register and nothing else. Costs a
        second register and a look-up table a bit.

    Members
    -------
    input : In(stream.Signature(shape, always_ready=True))
        Stream to queue.
    output : Out(stream.Signature(shape))
        The same stream.
    almost_full : Out(1)
        No more than :attr:`reserve` payloads may come.
    """

    input: stream.Interface
    output: stream.Interface
    almost_full: Signal

    latency = 1

    def __init__(self, shape: ShapeLike, depth: int = 16, *, reserve: int = 8, late: bool = False) -> None:
        if depth < 8 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two and at least 8, not {depth!r}")
        if not 0 < reserve <= depth - 5:
            raise ValueError(f"reserve must be 1 to depth - 5 = {depth - 5}, not {reserve!r}")
        self.shape = shape
        self.depth = depth
        self.reserve = reserve
        self.late = late
        super().__init__({
            "input": In(stream.Signature(shape, always_ready=True)),
            "output": Out(stream.Signature(shape)),
            "almost_full": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Pointers count one bit further than the RAM has rows. They are compared, and ahead of time, so that
        # `output.ready`, which may come late, only has to enable a counter and to pass one gate more.
        written = Signal(exact_log2(self.depth) + 1)
        taken = Signal.like(written)
        following = Signal(len(written), init=1)  # taken + 1
        third = Signal(len(written), init=2)  # taken + 2
        fourth = Signal(len(written), init=3)  # taken + 3
        more = Signal()  # the RAM has two payloads or more
        two = Signal()  # it has two
        comes = self.input.valid

        # All banks do the same in every cycle, and so do the flags of what is for all.
        payload = Value.cast(self.input.p)
        parts = [payload[n : n + BANK_BITS] for n in range(0, len(payload), BANK_BITS)]
        banks = [self._bank(m, n, part, more) for n, part in enumerate(parts)]
        flags = banks[0].flags if self.late else self._flags(m, "", more)
        m.d.comb += [
            self.output.valid.eq(flags.valid),
            self.output.p.eq(Cat(bank.payload for bank in banks)),
        ]
        with m.If(comes):
            m.d.sync += written.eq(written + 1)
        with m.If(flags.pop):
            m.d.sync += [
                taken.eq(following), following.eq(third), third.eq(fourth), fourth.eq(fourth + 1)
            ]
        m.d.sync += [
            more.eq(Mux(comes, Mux(flags.pop, more, flags.stored), more & ~(flags.pop & two))),
            two.eq(
                Mux(
                    flags.pop,
                    Mux(comes, two, written == fourth),
                    Mux(comes, written == following, two),
                )
            ),
        ]

        # This looks at the level of two cycles ago: two payloads may have been added since. One row stays
        # free, and another is what the level may have been short of.
        level = Signal.like(written)
        m.d.sync += [
            level.eq(written - taken),
            self.almost_full.eq(~at_most(level)[self.depth - 5 - self.reserve]),
        ]

        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            flag_levels = (
                (flags.stored, written != taken),
                (more, flags.stored & (written != following)),
                (two, written == third),
            )
            for flag, level_is in flag_levels:
                m.d.sync += Assert(flag == level_is, "the flags follow the pointers")
            depth = (written - taken)[: len(taken)]
            m.d.sync += Assert(at_most(depth)[self.depth - 2], "no more has come than fits in")
            for pointer, distance in ((following, 1), (third, 2), (fourth, 3)):
                m.d.sync += Assert(pointer == (taken + distance)[: len(taken)])
            for bank in banks:
                step = (bank.flags.valid == flags.valid) & (bank.flags.stored == flags.stored)
                m.d.sync += Assert(step & (bank.pop == flags.pop), "the banks keep step")
        return m

    def _flags(
        self, m: Module, name: str, more: Value, skid: Skid | None = None
    ) -> "_Flags":
        """Say what happens in each cycle, for some flip-flops: what leads to hundreds of them is slow.

        Payloads go into the output register, or into ``skid``.
        """
        stored, advance, pop = (Signal(name=f"{what}{name}") for what in ("stored", "advance", "pop"))
        comes = self.input.valid
        valid: Value
        if skid:
            valid = skid.output.valid
            m.d.comb += [skid.input.valid.eq(stored | comes), advance.eq(skid.input.ready)]
        else:
            valid = Signal(name=f"valid{name}")
            m.d.comb += advance.eq(self.output.ready | ~valid)
            with m.If(advance):
                m.d.sync += valid.eq(stored | comes)
        m.d.comb += pop.eq(advance & (stored | comes))
        m.d.sync += stored.eq(Mux(stored, ~advance | comes | more, comes & ~advance))
        return _Flags(valid, stored, advance, pop)

    def _bank(self, m: Module, number: int, bits: Value, more: Value) -> "_Bank":
        """Keep some bits of every payload.

        A bank has flags of its own and counters of rows, which start at the bank's number: registers that are
        plainly equal would be merged.

        Every payload is written, also one that passes by, and so is what comes without being one: the row
        behind the last one is always free.
        """
        m.submodules[f"bank{number}"] = ram = Memory(shape=len(bits), depth=self.depth, init=[])
        write, read = ram.write_port(), ram.read_port(domain="comb")
        write_row = Signal(exact_log2(self.depth), name=f"write_row{number}", init=number % self.depth)
        read_row = Signal.like(write_row, name=f"read_row{number}")
        m.d.comb += [
            write.addr.eq(write_row),
            write.data.eq(bits),
            write.en.eq(1),
            read.addr.eq(read_row),
        ]
        with m.If(self.input.valid):
            m.d.sync += write_row.eq(write_row + 1)

        if self.late:
            m.submodules[f"skid{number}"] = skid = Skid(len(bits))
            flags = rows = self._flags(m, str(number), more, skid)
            m.d.comb += [
                skid.input.p.eq(Mux(flags.stored, read.data, bits)),
                skid.output.ready.eq(self.output.ready),
            ]
            payload = skid.output.p
        else:
            flags, rows = (self._flags(m, f"{what}{number}", more) for what in ("", "_row"))
            payload = Signal(len(bits), name=f"front{number}", reset_less=True)
            with m.If(flags.advance):
                m.d.sync += payload.eq(Mux(flags.stored, read.data, bits))
        with m.If(rows.pop):
            m.d.sync += read_row.eq(read_row + 1)
        return _Bank(flags, payload, rows.pop)


class _Flags(NamedTuple):
    """What happens in a queue."""

    valid: Value  # the output is
    stored: Signal  # written != taken: the RAM has the next payload
    advance: Signal  # the output takes a payload, if there is one
    pop: Signal  # there is


class _Bank(NamedTuple):
    """What :class:`ShallowQueue` sees of one of its banks."""

    flags: _Flags
    payload: Value
    pop: Signal  # its counter of rows goes on
