"""Joins the scatter-gather buffers of a packet into one contiguous stream."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import Beat
from offramp.queue import ShallowQueue, Skid


class Order(data.StructLayout):
    """What a packet is made of: ``length`` in bytes, in ``buffers`` scatter-gather buffers."""

    def __init__(self) -> None:
        super().__init__({"length": 32, "buffers": 16})


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

    Parameters
    ----------
    counted : int
        Bits of ``length`` that are told.

    Members
    -------
    orders : In(stream.Signature(Order()))
        One for each packet.
    hold : In(1)
        Accept no beat from the next cycle on.
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
            "orders": In(stream.Signature(Order())),
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
        place = data.StructLayout({
            "void": 1,  # the packet has no buffers
            "final": 1,  # the present buffer is its last
            "penultimate": 1,  # the one after that is
        })
        decoded = data.StructLayout({"place": place, "left": 16, "long": 1, "length": self.counted})
        m.submodules.orders = orders = Skid(decoded)
        m.d.comb += [
            orders.input.p.place.void.eq(self.orders.p.buffers == 0),
            orders.input.p.place.final.eq(self.orders.p.buffers == 1),
            orders.input.p.place.penultimate.eq(self.orders.p.buffers == 2),
            orders.input.p.left.eq(self.orders.p.buffers - 1),
            orders.input.p.long.eq(self.orders.p.length[self.counted :].any()),
            orders.input.p.length.eq(self.orders.p.length),
            orders.input.valid.eq(self.orders.valid),
            self.orders.ready.eq(orders.input.ready),
        ]
        order = orders.output.p

        busy = Signal()  # there is a packet
        now = Signal(place)
        left = Signal(16, reset_less=True)  # buffers after the present one

        closing = Signal()  # a beat is accepted, and if it ends a buffer, that ends the packet
        skip = Signal()  # a packet without buffers has its turn
        accept = self.offered & self.ready
        m.d.comb += [
            self.void.eq(now.void),
            self.step.eq(accept | skip),
            self.done.eq((self.offered & self.last & closing) | skip),
            orders.output.ready.eq(self.done | ~busy),
        ]

        then_busy = Signal()
        then = Signal(place)
        m.d.comb += [then_busy.eq(busy), then.eq(now)]
        with m.If(orders.output.ready):
            m.d.comb += [then_busy.eq(orders.output.valid), then.eq(order.place)]
            m.d.sync += [left.eq(order.left), self.length.eq(order.length), self.long.eq(order.long)]
        with m.Elif(accept & self.last):
            m.d.comb += [then.final.eq(now.penultimate), then.penultimate.eq(left == 2)]
            m.d.sync += left.eq(left - 1)

        collect = then_busy & ~then.void & ~self.hold
        m.d.sync += [
            busy.eq(then_busy),
            now.eq(then),
            self.ready.eq(collect),
            closing.eq(collect & then.final),
            skip.eq(then_busy & then.void & ~self.hold),
        ]
        with m.If(self.step):
            m.d.sync += self.first.eq(self.done)
            m.d.sync += self.opening.eq(self.done | (self.opening & ~self.last))
        return m


class Schedule(wiring.Component):
    """Counts the bytes of each packet and decides what :class:`Gather` does with each beat.

    Parameters
    ----------
    lanes : int
        Bytes per beat, a power of two.

    Members
    -------
    orders : In(stream.Signature(Order()))
        One for each packet.
    beats : In(stream.Signature(StructLayout({"count", "last"})))
        The beats of the buffers without their bytes.
    hold : In(1)
        Accept no beat from the next cycle on.
    fill : Out(log2(lanes))
        Number of bytes held back when the present beat comes along, modulo ``lanes``.
    slot : Out(Slot(lanes))
        What to do with the beat that was present one cycle ago.
    """

    orders: stream.Interface
    beats: stream.Interface
    hold: Signal
    fill: Signal
    slot: data.View

    _COUNTED = 20
    """Bits of a packet's length that are compared."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__({
            "orders": In(stream.Signature(Order())),
            "beats": In(stream.Signature(data.StructLayout({"count": exact_log2(lanes), "last": 1}))),
            "hold": In(1),
            "fill": Out(exact_log2(lanes)),
            "slot": Out(Slot(lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.beats.p
        counted = self._COUNTED

        m.submodules.turns = turns = Turns(counted)
        wiring.connect(m, wiring.flipped(self.orders), turns.orders)
        m.d.comb += [
            turns.hold.eq(self.hold),
            turns.offered.eq(self.beats.valid),
            turns.last.eq(beat.last),
            self.beats.ready.eq(turns.ready),
        ]

        # `received` restarts with each packet, `total` keeps a packet's sum for the cycles that judge it. A
        # carry is in the top bit for a step, and in `huge` from the next.
        received = Signal(counted + 1)
        huge = Signal()
        total = Signal(counted + 1, reset_less=True)
        total_huge = Signal(reset_less=True)
        room = Signal(exact_log2(self.lanes))  # lanes that are free, if any are held
        after = received[:counted] + Cat(beat.count, beat.count == 0)
        with m.If(turns.step):
            m.d.sync += [
                received.eq(Mux(turns.done, 0, after)),
                huge.eq(~turns.done & (huge | received[counted])),
                room.eq(Mux(turns.done, 0, room - beat.count)),
                total.eq(after),
                total_huge.eq(huge | received[counted]),
            ]

        finished = Signal()
        overflow = (beat.count > room) | (beat.count == 0)
        m.d.comb += self.fill.eq(received)
        m.d.sync += [
            finished.eq(turns.done),
            self.slot.whole.eq(turns.step & (turns.first | overflow)),
            self.slot.emit.eq(finished | (turns.step & ~turns.first & overflow)),
            self.slot.last.eq(finished),
            self.slot.count.eq(Mux(finished, total, 0)),
        ]

        # What the packet has come to with the step before. The comparison is done in parts, which are cheap
        # to join in the next cycle.
        void = Signal(reset_less=True)
        long = Signal(reset_less=True)
        expected = Signal(counted, reset_less=True)
        half = counted // 2
        unequal = Cat(total[:half] != expected[:half], total[half:] != expected[half:], total_huge)
        differs = Signal(len(unequal), reset_less=True)
        m.d.sync += [
            void.eq(turns.void),
            long.eq(turns.long),
            expected.eq(turns.length),
            differs.eq((unequal & ~long.replicate(len(unequal))) | void),
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
            m.d.sync += split.ended.eq(~total[len(split.bytes) :].any() & ~total_huge)
            m.d.sync += split.bytes.eq(total)
        return m


class Gather(wiring.Component):
    """Joins the scatter-gather buffers of a packet into one contiguous stream (SG-2, SG-4).

    A buffer boundary may fall anywhere. Packets come out in the order of ``orders``, each made of as many
    buffers as its order says, nothing dropped.

    Accepts a beat every cycle while ``packets`` is taken, whatever the lengths of the buffers, from packet
    to packet too: a beat that does not fill the bus merges with what is held back, and the end of a packet
    leaves while the next one's first beat is held back in its place. The last beat of a packet is offered
    :attr:`latency` cycles after the last beat of its last buffer is accepted. Every output is a register;
    back-pressure reaches the inputs through registers only, and stops them at whole beats.

    Parameters
    ----------
    lanes : int
        Bytes per beat, a power of two.

    Members
    -------
    orders : In(stream.Signature(Order()))
        One for each packet; the buffers of a packet are not accepted before its order.
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

    def __init__(self, lanes: int) -> None:
        if lanes < 2:
            raise ValueError(f"lanes must be at least 2, not {lanes!r}")
        exact_log2(lanes)
        self.lanes = lanes
        super().__init__({
            "orders": In(stream.Signature(Order())),
            "buffers": In(stream.Signature(Beat(lanes))),
            "packets": Out(stream.Signature(Beat(lanes, mismatch=1, split=Split()))),
        })

    @property
    def latency(self) -> int:
        """Cycles from accepting the last beat of the last buffer to offering the last beat of the packet."""
        return self._rotations + 2

    @property
    def _rotations(self) -> int:
        return 1 if self.lanes <= 16 else 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        stages = self._rotations

        m.submodules.schedule = schedule = Schedule(self.lanes)
        m.submodules.queue = queue = ShallowQueue(self.packets.p.shape(), reserve=stages + 2)
        wiring.connect(m, wiring.flipped(self.orders), schedule.orders)
        wiring.connect(m, queue.output, wiring.flipped(self.packets))
        m.d.comb += [
            schedule.beats.p.count.eq(self.buffers.p.count),
            schedule.beats.p.last.eq(self.buffers.p.last),
            schedule.beats.valid.eq(self.buffers.valid),
            self.buffers.ready.eq(schedule.beats.ready),
            schedule.hold.eq(queue.almost_full),
        ]

        # From here on every cycle moves everything on by a stage; only the slot says what is real.
        octets = self.buffers.p.data.as_value()
        fill = schedule.fill
        slot = schedule.slot
        bits = range(len(fill))
        shares = [bits] if stages == 1 else [bits[len(bits) // 2 :], bits[: len(bits) // 2]]
        for stage, share in enumerate(shares):
            if stage:
                fill, earlier_fill = Signal.like(fill, name="later_fill", reset_less=True), fill
                slot, earlier_slot = Signal.like(slot, name="later_slot"), slot
                m.d.sync += [fill.eq(earlier_fill), slot.eq(earlier_slot)]
            rotated = Signal(8 * self.lanes, name=f"rotated_{stage}", reset_less=True)
            m.d.sync += rotated.eq(rotate(octets, fill, share))
            octets = rotated

        # A lane that is held back stays unless the slot empties it; all are when a packet ends.
        held = Signal(data.ArrayLayout(8, self.lanes), reset_less=True)
        keep = Signal(self.lanes, reset_less=True)
        joined = queue.input.p
        for lane in range(self.lanes):
            octet = octets.word_select(lane, 8)
            m.d.sync += keep[lane].eq((fill == 0) | (fill > lane))
            m.d.comb += joined.data[lane].eq(Mux(keep[lane], held[lane], octet))
            with m.If(slot.whole | ~keep[lane]):
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
            with m.If(queue.input.valid):
                m.d.sync += Assert(queue.input.ready, "what is under way fits in")
        return m


def rotate(octets: Value, fill: Value, bits: range) -> Value:
    """Move bytes up by those powers of two of ``fill`` that ``bits`` name, around the end."""
    for bit in bits:
        octets = Mux(fill[bit], octets.rotate_left(8 << bit), octets)
    return octets
