"""Inserts one checksum a packet where the host says: the classic offload of a NIC, on its own."""

from amaranth.hdl import Assert, Cat, Module, Mux, ShapeLike, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from offramp.checksum import RangeTotal
from offramp.packet import Beat
from offramp.queue import ShallowQueue
from offramp.ram import BlockRam

RESERVE = 8
"""Beats that may be under way from the packets' input to a queue, and packets among them."""


class Command(data.StructLayout):
    """What to do with a packet.

    The bytes from ``start`` to the packet's end are summed as big-endian 16-bit words, the byte at ``start``
    being a high byte; so is an odd last byte. The one's complement of the sum is written at ``offset``, high
    byte first. Either number may be odd. What stands at ``offset`` before is summed with the rest if it is
    in the range: the pseudo-header's share, as a rule.

    Parameters
    ----------
    max_bytes : int
        Length of the longest packet.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__({
            "start": range(max_bytes),
            "offset": range(max_bytes),
            "enable": 1,
        })


class Marked(data.StructLayout):
    """A beat that knows what there is to do in it.

    ``here``: the checksum's high byte goes to lane ``lane``. ``swap``: the bytes of the packet's sum are to
    be swapped, because either the sum begins in an odd lane or the checksum goes to one. ``overlong``: the
    packet has had more beats than can wait for their sum, and ``noticed``: this is the beat that showed it.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({
            "stored": Beat(lanes, here=1, lane=exact_log2(lanes)),
            "enable": lanes,
            "swap": 1,
            "overlong": 1,
            "noticed": 1,
        })


class Mark(wiring.Component):
    """Joins packets with their commands, and finds the bytes to sum and the place of the checksum.

    A packet is accepted only when its command is there. A command is held until its packet's last beat is
    accepted. ``packets.ready`` comes from registers; ``commands.ready`` depends on ``packets.valid``.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    max_bytes : int
        Length of the longest packet.

    Members
    -------
    commands : In(stream.Signature(Command(max_bytes)))
        One for each packet.
    packets : In(stream.Signature(Beat(lanes)))
        Packets.
    admit : In(1)
        Packets may enter. What is accepted while this is set follows one cycle later.
    marked : Out(stream.Signature(Marked(lanes), always_ready=True))
        The same beats, :attr:`latency` cycles later.
    """

    commands: stream.Interface
    packets: stream.Interface
    admit: Signal
    marked: stream.Interface

    latency = 1

    def __init__(self, lanes: int, max_bytes: int) -> None:
        self.lanes = lanes
        self.max_bytes = max_bytes
        super().__init__({
            "commands": In(stream.Signature(Command(max_bytes))),
            "packets": In(stream.Signature(Beat(lanes))),
            "admit": In(1),
            "marked": Out(stream.Signature(Marked(lanes), always_ready=True)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        within = exact_log2(self.lanes)  # low bits of a byte's number: its lane
        beat = self.packets.p

        held = Signal()
        command = Signal(Command(self.max_bytes), reset_less=True)
        accept = Signal()
        m.d.comb += [
            self.packets.ready.eq(held & self.admit),
            accept.eq(self.packets.valid & self.packets.ready),
            self.commands.ready.eq(~held | (accept & beat.last)),
        ]
        with m.If(self.commands.ready):
            m.d.sync += [held.eq(self.commands.valid), command.eq(self.commands.p)]

        index = Signal(range(self.max_bytes // self.lanes + 1))
        full = Signal()
        begins = Signal()
        begun = Signal()
        overlong = Signal()
        m.d.comb += [
            full.eq(index == self.max_bytes // self.lanes),
            begins.eq(index == command.start[within:]),
        ]
        with m.If(accept):
            m.d.sync += [
                index.eq(Mux(beat.last, 0, index + ~full)),
                begun.eq((begun | begins) & ~beat.last),
                overlong.eq(full & ~beat.last),
            ]

        marked = Signal(Marked(self.lanes), reset_less=True)
        m.d.comb += self.marked.p.eq(marked)
        m.d.sync += [
            self.marked.valid.eq(accept),
            marked.stored.data.eq(beat.data),
            marked.stored.count.eq(beat.count),
            marked.stored.last.eq(beat.last),
            marked.stored.here.eq(command.enable & (index == command.offset[within:])),
            marked.stored.lane.eq(command.offset[:within]),
            marked.swap.eq(command.start[0] ^ command.offset[0]),
            marked.overlong.eq(full),
            marked.noticed.eq(full & ~overlong),
        ]
        for lane in range(self.lanes):
            within_range = begun | (begins & (command.start[:within] <= lane))
            within_packet = ~beat.last | (beat.count == 0) | (beat.count > lane)
            m.d.sync += marked.enable[lane].eq(within_range & within_packet)

        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            with m.If(accept & ~beat.last):
                m.d.sync += Assert(beat.count == 0, "only the last beat may be partial")
        return m


class Result(data.StructLayout):
    """What goes into a packet: the byte for even lanes and the one for odd lanes; nothing if ``overlong``."""

    def __init__(self) -> None:
        super().__init__({"octets": data.ArrayLayout(8, 2), "overlong": 1})


class Patch(wiring.Component):
    """Writes each packet's result in the lane where its mark is and in the one behind.

    A packet waits for its result, which is taken with the last beat. Passes a beat every cycle.

    Parameters
    ----------
    lanes : int
        Bytes per beat.

    Members
    -------
    packets : In(stream.Signature(Beat(lanes, here=1, lane=log2(lanes))))
        Packets with a mark in at most one beat.
    results : In(stream.Signature(Result()))
        One for each packet.
    finished : Out(stream.Signature(Beat(lanes, overlong=1)))
        Packets with their checksums, from registers, :attr:`latency` cycles later.
    """

    packets: stream.Interface
    results: stream.Interface
    finished: stream.Interface

    latency = 2

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__({
            "packets": In(stream.Signature(Beat(lanes, here=1, lane=exact_log2(lanes)))),
            "results": In(stream.Signature(Result())),
            "finished": Out(stream.Signature(Beat(lanes, overlong=1))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        result = self.results.p

        # A block RAM's output is late in its cycle: nothing but a register behind it.
        front = Signal(self.packets.p.shape(), reset_less=True)
        waiting = Signal()
        move = Signal()
        m.d.comb += [
            move.eq(waiting & self.results.valid & (~self.finished.valid | self.finished.ready)),
            self.packets.ready.eq(~waiting | move),
            self.results.ready.eq(move & front.last),
        ]
        with m.If(self.packets.ready):
            m.d.sync += [waiting.eq(self.packets.valid), front.eq(self.packets.p)]

        here = Signal()
        carried = Signal()  # the high byte was in the last lane of the beat before
        m.d.comb += here.eq(front.here & ~result.overlong)
        done = Signal(self.finished.p.shape(), reset_less=True)
        m.d.comb += self.finished.p.eq(done)
        with m.If(self.finished.ready):
            m.d.sync += self.finished.valid.eq(0)
        with m.If(move):
            m.d.sync += [
                self.finished.valid.eq(1),
                done.count.eq(front.count),
                done.last.eq(front.last),
                done.overlong.eq(result.overlong),
                carried.eq(here & (front.lane == self.lanes - 1) & ~front.last),
            ]
            for lane in range(self.lanes):
                low = carried if lane == 0 else here & (front.lane == lane - 1)
                patched = (here & (front.lane == lane)) | low
                m.d.sync += done.data[lane].eq(Mux(patched, result.octets[lane % 2], front.data[lane]))
        return m


class Store(wiring.Component):
    """Block-RAM queue for a pipeline that cannot stop.

    Keeps order, drops nothing and passes a payload every cycle, :attr:`latency` cycles after it came in if
    nothing else waits. Whoever feeds the pipeline has to stop while ``almost_full`` is set: no more than
    :attr:`reserve` payloads may come in after it was set, and in the cycle of its setting.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.
    depth : int
        Number of rows, a power of two.
    reserve : int
        Payloads under way when it is full, a power of two.

    Members
    -------
    input : In(stream.Signature(shape, always_ready=True))
        What comes in.
    output : Out(stream.Signature(shape))
        The same. The payload is a block RAM's output, late in its cycle.
    almost_full : Out(1)
        There may be no room for more than :attr:`reserve` payloads.
    """

    input: stream.Interface
    output: stream.Interface
    almost_full: Signal

    latency = 2

    def __init__(self, shape: ShapeLike, depth: int, *, reserve: int) -> None:
        self.shape = shape
        self.depth = depth
        self.reserve = reserve
        super().__init__({
            "input": In(stream.Signature(shape, always_ready=True)),
            "output": Out(stream.Signature(shape)),
            "almost_full": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = BlockRam(self.shape, self.depth)

        level = Signal(range(self.depth + 1))
        stored = Signal()  # level != 0, ready to use
        push = self.input.valid
        pop = Signal()
        m.d.comb += [
            pop.eq(stored & (~self.output.valid | self.output.ready)),
            ram.write.data.eq(self.input.p),
            ram.write.en.eq(push),
            ram.read.en.eq(pop),
            self.output.p.eq(ram.read.data),
        ]
        with m.If(push):
            m.d.sync += ram.write.addr.eq(ram.write.addr + 1)
        with m.If(pop):
            m.d.sync += ram.read.addr.eq(ram.read.addr + 1)
        with m.If(push & ~pop):
            m.d.sync += [level.eq(level + 1), stored.eq(1)]
        with m.If(pop & ~push):
            m.d.sync += [level.eq(level - 1), stored.eq(level != 1)]
        with m.If(pop | self.output.ready):
            m.d.sync += self.output.valid.eq(pop)

        # A level that is not counted yet is at most one more: hence the bits above twice the reserve.
        m.d.sync += self.almost_full.eq(level[exact_log2(2 * self.reserve) : -1].all() | level[-1])

        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            m.d.sync += Assert(~(push & level[-1]), "what was under way fits in")
        return m


class Inserter(wiring.Component):
    """Stores each packet while it is summed, and sends it with the checksum in place.

    Keeps order, drops nothing and passes a beat every cycle, from one packet to the next as well, whatever
    their lengths. A packet's first beat is offered :attr:`latency` cycles after its last one is accepted, if
    the way is free. A packet is accepted only when its command is there.

    A command whose ``enable`` is clear lets its packet pass as it is. Where ``start`` is behind the packet's
    end, the checksum is 0xFFFF; what ``offset`` would put behind the end is not written.

    A packet longer than :attr:`max_bytes` could not be stored whole. It passes as it is, however long, and
    ``overlong`` is set in all of its beats.

    Outputs come from registers, but ``commands.ready`` depends on ``packets.valid`` as well.

    Parameters
    ----------
    lanes : int
        Bytes per beat, a power of two from 2.
    max_bytes : int
        Length of the longest packet that gets a checksum: whole beats, at least 16.

    Attributes
    ----------
    latency : int
        Cycles from a packet's last beat going in to its first one coming out.

    Members
    -------
    commands : In(stream.Signature(Command(max_bytes)))
        One for each packet, in their order.
    packets : In(stream.Signature(Beat(lanes)))
        Packets as the host sends them.
    finished : Out(stream.Signature(Beat(lanes, overlong=1)))
        The same packets with their checksums.
    """

    commands: stream.Interface
    packets: stream.Interface
    finished: stream.Interface

    def __init__(self, lanes: int, *, max_bytes: int = 10_240) -> None:
        if lanes < 2 or lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two and at least 2, not {lanes!r}")
        if max_bytes < 16 * lanes or max_bytes % lanes:
            raise ValueError(f"max_bytes must be 16 or more beats of {lanes} bytes, not {max_bytes!r}")
        self.lanes = lanes
        self.max_bytes = max_bytes
        self.unit = RangeTotal(lanes)
        self.latency = Mark.latency + self.unit.latency + ShallowQueue.latency + 1
        super().__init__({
            "commands": In(stream.Signature(Command(max_bytes))),
            "packets": In(stream.Signature(Beat(lanes))),
            "finished": Out(stream.Signature(Beat(lanes, overlong=1))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.mark = mark = Mark(self.lanes, self.max_bytes)
        # While a longest packet waits for its sum, what follows it does not fill the store.
        room = 1 << ceil_log2(self.max_bytes // self.lanes + 4 * RESERVE)
        m.submodules.store = store = Store(mark.marked.p.stored.shape(), room, reserve=RESERVE)
        m.submodules.unit = unit = self.unit
        m.submodules.results = results = ShallowQueue(Result(), reserve=RESERVE)
        m.submodules.patch = patch = Patch(self.lanes)

        wiring.connect(m, wiring.flipped(self.commands), mark.commands)
        wiring.connect(m, wiring.flipped(self.packets), mark.packets)
        m.d.sync += mark.admit.eq(~(store.almost_full | results.almost_full))

        marked = mark.marked.p
        m.d.comb += [
            store.input.valid.eq(mark.marked.valid),
            store.input.p.eq(marked.stored),
            unit.beat.valid.eq(mark.marked.valid),
            unit.beat.data.eq(marked.stored.data),
            unit.beat.enable.eq(marked.enable),
            unit.beat.last.eq(marked.stored.last),
        ]

        # An overlong packet gets its result as soon as it is noticed, and so moves on; the sum that comes at
        # its end is not wanted any more.
        swap, unwanted = marked.swap, marked.overlong
        for cycle in range(unit.latency):
            swap_late = Signal(name=f"swap{cycle}", reset_less=True)
            unwanted_late = Signal(name=f"unwanted{cycle}", reset_less=True)
            m.d.sync += [swap_late.eq(swap), unwanted_late.eq(unwanted)]
            swap, unwanted = swap_late, unwanted_late
        noticed = mark.marked.valid & marked.noticed
        summed = unit.sum.valid & ~unwanted
        checksum = ~(unit.sum.value + unit.sum.carry)
        low, high = checksum[:8], checksum[8:16]
        m.d.comb += [
            results.input.valid.eq(summed | noticed),
            results.input.p.octets.eq(Mux(swap, Cat(low, high), Cat(high, low))),
            results.input.p.overlong.eq(noticed),
        ]

        wiring.connect(m, store.output, patch.packets)
        wiring.connect(m, results.output, patch.results)
        wiring.connect(m, patch.finished, wiring.flipped(self.finished))

        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            m.d.sync += Assert(~(summed & noticed), "the packets in front have their results by then")
        return m
