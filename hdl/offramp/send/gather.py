"""Joins the scatter-gather buffers of a packet into one contiguous stream."""

from collections.abc import Sequence

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import GROUP_LANES, Beat
from offramp.queue import ShallowQueue
from offramp.send.train import Order


class Split(data.StructLayout):
    """Whether the first buffer of a packet has ``ended``, and its length in ``bytes``."""

    def __init__(self) -> None:
        super().__init__({"ended": 1, "bytes": 8})


class Slot(data.StructLayout):
    """What becomes of the bytes held back and of the beat that comes along, in one cycle.

    ``whole``: every lane of the beat is held back next, otherwise only the lanes that were free.
    ``emit``: a beat leaves; with ``last`` it is what was held back, the end of a packet, and ``count``,
    ``mismatch`` and ``split`` are its fields.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({
            "whole": 1,
            "emit": 1,
            "last": 1,
            "count": exact_log2(lanes),
            "mismatch": 1,
            "split": Split(),
        })


class Turns(wiring.Component):
    """Knows whose turn it is: the packet, and the buffer in it, that the present beat belongs to.

    A few orders wait inside. A packet's turn comes one cycle after its order is taken, or right after the
    packet in front of it.

    Parameters
    ----------
    counted : int
        Bits of ``length`` that are told.

    Members
    -------
    orders : In(stream.Signature(Order(), always_ready=True))
        One for each packet.
    full : Out(1)
        Stop: a few more fit in.
    hold : In(1)
        Accept no beat.
    offered : In(1)
        There is a beat.
    last : In(1)
        It ends a buffer.
    ready : Out(1)
        It is accepted, if there is one.
    step : Out(1)
        A beat is accepted, or a packet without buffers has its turn.
    void : Out(1)
        The packet has no buffers.
    opening : Out(1)
        The beat belongs to the packet's first buffer.
    first : Out(1)
        It is the packet's first beat.
    done : Out(1)
        The packet ends in this step.
    length : Out(counted)
        The length that the packet's order gives, in bytes, modulo 2**counted.
    long : Out(1)
        That length has more than ``counted`` bits.
    """

    orders: stream.Interface
    hold: Signal
    offered: Signal
    last: Signal
    ready: Signal
    step: Signal
    void: Signal
    opening: Signal
    first: Signal
    done: Signal
    length: Signal
    long: Signal

    def __init__(self, counted: int) -> None:
        self.counted = counted
        super().__init__({
            "orders": In(stream.Signature(Order(), always_ready=True)),
            "full": Out(1),
            "hold": In(1),
            "offered": In(1),
            "last": In(1),
            "ready": Out(1),
            "step": Out(1),
            "void": Out(1),
            "opening": Out(1, init=1),
            "first": Out(1, init=1),
            "done": Out(1),
            "length": Out(counted),
            "long": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Wide comparisons are done on the way in, where there is time for them.
        decoded = data.StructLayout({
            "void": 1,  # no buffers
            "single": 1,
            "pair": 1,
            "left": 16,  # buffers after the first
            "length": self.counted,
            "long": 1,
        })
        m.submodules.queue = queue = ShallowQueue(decoded, 16, reserve=4, late=True)
        waiting = queue.input.p
        m.d.comb += [
            waiting.void.eq(self.orders.p.buffers == 0),
            waiting.single.eq(self.orders.p.buffers == 1),
            waiting.pair.eq(self.orders.p.buffers == 2),
            waiting.left.eq(self.orders.p.buffers - 1),
            waiting.length.eq(self.orders.p.length),
            waiting.long.eq(self.orders.p.length[self.counted :].any()),
            queue.input.valid.eq(self.orders.valid),
            self.full.eq(queue.almost_full),
        ]

        # The packet at hand stays at the head of the queue until it is done.
        packet = queue.output.p
        final = Signal()  # the present buffer is the last of two or more
        left = Signal(16, reset_less=True)  # buffers after the present one, if it is not the first
        closes = (self.offered & self.last & (packet.single | final)) | packet.void
        m.d.comb += [
            self.void.eq(packet.void),
            self.ready.eq(queue.output.valid & ~self.hold & ~packet.void),
            self.step.eq(queue.output.valid & ~self.hold & (self.offered | packet.void)),
            self.done.eq(queue.output.valid & ~self.hold & closes),
            self.length.eq(packet.length),
            self.long.eq(packet.long),
            queue.output.ready.eq(~self.hold & closes),
        ]
        with m.If(self.step):
            m.d.sync += self.first.eq(self.done)
            m.d.sync += self.opening.eq(self.done | (self.opening & ~self.last))
            with m.If(self.last):
                m.d.sync += left.eq(Mux(self.opening, packet.left, left) - 1)
                m.d.sync += final.eq(Mux(self.opening, packet.pair, ~final & (left == 1)))
        return m


class Schedule(wiring.Component):
    """Counts the bytes of each packet and decides what :class:`Gather` does with each beat.

    Parameters
    ----------
    lanes : int
        Bytes per beat, a power of two.

    Members
    -------
    orders : In(stream.Signature(Order(), always_ready=True))
        One for each packet.
    full : Out(1)
        Stop: a few more fit in.
    beats : In(stream.Signature(StructLayout({"count", "last"})))
        The beats of the buffers without their bytes.
    hold : In(1)
        Accept no beat.
    fills : Out(ArrayLayout(log2(lanes), groups))
        Number of bytes held back when the present beat comes along, modulo ``lanes``: for each group of lanes
        the same.
    slot : Out(Slot(lanes))
        What to do with the beat that was present one cycle ago.
    """

    orders: stream.Interface
    beats: stream.Interface
    hold: Signal
    fills: data.View
    slot: data.View

    _COUNTED = 20
    """Bits of a packet's length that are compared."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__({
            "orders": In(stream.Signature(Order(), always_ready=True)),
            "full": Out(1),
            "beats": In(stream.Signature(data.StructLayout({"count": exact_log2(lanes), "last": 1}))),
            "hold": In(1),
            "fills": Out(data.ArrayLayout(exact_log2(lanes), -(-lanes // GROUP_LANES))),
            "slot": Out(Slot(lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.beats.p
        counted = self._COUNTED

        m.submodules.turns = turns = Turns(counted)
        wiring.connect(m, wiring.flipped(self.orders), turns.orders)
        m.d.comb += self.full.eq(turns.full)
        m.d.comb += [
            turns.hold.eq(self.hold),
            turns.offered.eq(self.beats.valid),
            turns.last.eq(beat.last),
            self.beats.ready.eq(turns.ready),
        ]

        # The packet's bytes up to and with the step before, which the next packet's are not added to. A carry
        # is in the top bit for a step, and then in `carried`.
        size = Signal(exact_log2(self.lanes) + 1)
        received = Signal(counted + 1, reset_less=True)
        carried = Signal(reset_less=True)
        room = Signal(exact_log2(self.lanes))  # lanes that are free, if any are held
        huge = carried | received[counted]
        m.d.comb += size.eq(Mux(turns.void, 0, Cat(beat.count, beat.count == 0)))
        with m.If(turns.step):
            m.d.sync += [
                received.eq(Mux(turns.first, 0, received[:counted]) + size),
                carried.eq(~turns.first & huge),
                room.eq(Mux(turns.done, 0, room - size)),
            ]
            # Each counts by itself, or they would be merged.
            m.d.sync += [fill.eq(Mux(turns.done, 0, fill + size)) for fill in self.fills]

        finished = Signal()
        overflow = (beat.count > room) | (beat.count == 0)
        m.d.sync += [
            finished.eq(turns.done),
            self.slot.whole.eq(turns.step & (turns.first | overflow)),
            self.slot.emit.eq(finished | (turns.step & ~turns.first & overflow)),
            self.slot.last.eq(finished),
            self.slot.count.eq(Mux(finished, received, 0)),
        ]

        # Whether that is what the packet should have. The comparison is done in parts, which are cheap to
        # join in the next cycle.
        void = Signal(reset_less=True)
        long = Signal(reset_less=True)
        expected = Signal(counted, reset_less=True)
        half = counted // 2
        unequal = Cat(received[:half] != expected[:half], received[half:counted] != expected[half:], huge)
        differs = Signal(len(unequal), reset_less=True)
        m.d.sync += [
            void.eq(turns.void),
            long.eq(turns.long),
            expected.eq(turns.length),
            differs.eq((unequal & ~long.replicate(len(unequal))) | void.replicate(len(unequal))),
        ]
        m.d.comb += self.slot.mismatch.eq(differs.any())

        begun = Signal()
        opened = Signal()
        split = self.slot.split
        m.d.sync += [
            begun.eq(turns.step & turns.first),
            opened.eq(turns.step & ~turns.void & turns.opening & beat.last),
        ]
        with m.If(begun):
            m.d.sync += split.ended.eq(0)
        with m.If(opened):
            m.d.sync += split.ended.eq(~received[len(split.bytes) : counted].any() & ~huge)
            m.d.sync += split.bytes.eq(received)
        return m


class Gather(wiring.Component):
    """Joins the scatter-gather buffers of a packet into one contiguous stream (SG-2, SG-4).

    A buffer boundary may fall anywhere. Packets come out in the order of ``orders``, each made of as many
    buffers as its order says, nothing dropped.

    Accepts a beat every cycle while ``packets`` is taken, whatever the lengths of the buffers, from packet
    to packet too: a beat that does not fill the bus merges with what is held back, and the end of a packet
    leaves while the next one's first beat is held back in its place. The last beat of a packet is offered
    :attr:`latency` cycles after the last beat of its last buffer is accepted. Outputs come from registers;
    back-pressure reaches the inputs through registers only, and stops them at whole beats.

    Parameters
    ----------
    lanes : int
        Bytes per beat, a power of two.

    Members
    -------
    orders : In(stream.Signature(Order(), always_ready=True))
        One for each packet, a few of them ahead. The buffers of a packet are accepted from the cycle after
        its order on.
    full : Out(1)
        Stop: a few more orders fit in.
    buffers : In(stream.Signature(Beat(lanes)))
        Scatter-gather buffers, each a packet of its own that begins in lane 0.
    packets : Out(stream.Signature(Beat(lanes, mismatch=1, split=Split())))
        Joined packets.

        ``mismatch``, on the last beat: the buffers did not add up to ``length``. The packet has the bytes
        that came. A ``length`` of 2**20 and more always passes, because a later stage refuses it. With
        ``buffers`` zero there is a single beat, of undefined bytes, with ``mismatch`` set.

        ``split`` says where the first buffer ended, as far as this beat: ``ended`` is set when the first
        buffer is no longer than 255 bytes and ends at the end of this beat or before; ``bytes``, its
        length, is valid with it. Once known it stays to the end of the packet (SG-3).
    """

    orders: stream.Interface
    buffers: stream.Interface
    packets: stream.Interface

    latency = 3
    """Cycles from accepting the last beat of the last buffer to offering the last beat of the packet."""

    def __init__(self, lanes: int) -> None:
        if lanes < 2:
            raise ValueError(f"lanes must be at least 2, not {lanes!r}")
        exact_log2(lanes)
        self.lanes = lanes
        super().__init__({
            "orders": In(stream.Signature(Order(), always_ready=True)),
            "full": Out(1),
            "buffers": In(stream.Signature(Beat(lanes))),
            "packets": Out(stream.Signature(Beat(lanes, mismatch=1, split=Split()))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        m.submodules.schedule = schedule = Schedule(self.lanes)
        m.submodules.queue = queue = ShallowQueue(self.packets.p.shape(), reserve=3)
        wiring.connect(m, wiring.flipped(self.orders), schedule.orders)
        m.d.comb += self.full.eq(schedule.full)
        wiring.connect(m, queue.output, wiring.flipped(self.packets))
        m.d.comb += [
            schedule.beats.p.count.eq(self.buffers.p.count),
            schedule.beats.p.last.eq(self.buffers.p.last),
            schedule.beats.valid.eq(self.buffers.valid),
            self.buffers.ready.eq(schedule.beats.ready),
        ]
        m.d.sync += schedule.hold.eq(queue.almost_full)  # which is a long way from the input

        # From here on every cycle moves everything on by a stage; only the slot says what is real. The second
        # stage turns by less, because it has two gates more to pass.
        slot = schedule.slot
        bits = range(exact_log2(self.lanes))
        split = max(0, len(bits) // 2 - 1)
        rotated = Signal(data.ArrayLayout(8, self.lanes), reset_less=True)
        fills = Signal.like(schedule.fills, reset_less=True)
        m.d.sync += [
            rotated.eq(Cat(rotate(self.buffers.p.data, schedule.fills, bits[split:]))),
            fills.eq(schedule.fills),
        ]
        octets = rotate(rotated, fills, bits[:split])

        # A lane that is held back stays unless the slot empties it; all are when a packet ends.
        held = Signal(data.ArrayLayout(8, self.lanes), reset_less=True)
        joined = queue.input.p
        for lane, (keep, octet) in enumerate(zip(self._keep(m, schedule.fills[0]), octets, strict=True)):
            m.d.comb += joined.data[lane].eq(Mux(keep, held[lane], octet))
            with m.If(slot.whole | ~keep):
                m.d.sync += held[lane].eq(octet)
        m.d.comb += [
            joined.last.eq(slot.last),
            joined.count.eq(slot.count),
            joined.mismatch.eq(slot.mismatch),
            joined.split.eq(slot.split),
            queue.input.valid.eq(slot.emit),
        ]

        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            with m.If(self.buffers.valid & ~self.buffers.p.last):
                m.d.sync += Assert(self.buffers.p.count == 0, "only the last beat may be partial")
        return m

    def _keep(self, m: Module, fill: Value) -> list[Value]:
        """Return, a cycle late, which lanes are held back: those below ``fill``, all of them if it is zero.

        They are a lower row of lanes than its own, or in its own row further left: a gate a lane, where a
        comparison would be a carry chain a lane.
        """
        half = len(fill) // 2
        rows, columns = 1 << len(fill) - half, 1 << half
        row = [fill[half:] == n for n in range(rows)]
        column = [fill[:half] == n for n in range(columns)]
        lower = Signal(rows, reset_less=True)
        same = Signal(rows, reset_less=True)
        left = Signal(columns, reset_less=True)
        m.d.sync += [
            lower.eq(Cat((fill == 0) | Cat(row[n + 1 :]).any() for n in range(rows))),
            same.eq(Cat(row)),
            left.eq(Cat(Cat(column[n + 1 :]).any() for n in range(columns))),
        ]
        return [lower[y] | (same[y] & left[x]) for y in range(rows) for x in range(columns)]


def rotate(octets: Sequence[Value], fills: Sequence[Value], bits: range) -> list[Value]:
    """Move bytes up by those powers of two that ``bits`` name, around the end, as each group's fill says."""
    rotated = list(octets)
    for bit in bits:
        moved = rotated[-1 << bit :] + rotated[: -1 << bit]
        rotated = [
            Mux(fills[lane // GROUP_LANES][bit], *pair)
            for lane, pair in enumerate(zip(moved, rotated, strict=True))
        ]
    return rotated
