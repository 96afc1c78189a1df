"""Puts frames together: the template with its patches, then the slice; and tells when a train is over."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import Beat, at_most, check_lanes, keep, select
from offramp.queue import ShallowQueue
from offramp.records import PAYLOAD_BITS, Completion, Status
from offramp.send.plan import Values
from offramp.send.store import StoreReader
from offramp.send.template import Places, TemplateReader, candidates, contents, places
from offramp.send.train import HEADER_BITS, Limits, Stored, Train

LSO_V2_COMPLETE = 1 << 30
"""Completion word of a version 2 large send: its type and nothing else (CMP-1)."""


class Kind(data.Struct):
    """What decides which value a slot takes; see :func:`offramp.send.template.contents`."""

    inner: 1
    outer_ipv4: 1
    inner_ipv4: 1
    udp: 1


class Departure(data.Struct):
    """What is to be known of a train while it leaves."""

    tag: 16
    status: Status
    lso_v1: 1
    lso_v2: 1
    segmented: 1
    rows: HEADER_BITS  # beats that the template keeps of the packet
    kind: Kind
    places: Places


class Run(data.StructLayout):
    """One frame's beats, counted before it leaves; or what takes a cycle instead of one.

    A refused train is ``void``; a slice that must not go out is a run that is ``skipped``. Neither has beats.
    ``left`` and ``whole`` are the frame's beats behind the first and those of header alone; the next one has
    ``rest`` lanes of header. ``base`` is the template's first row, ``rows`` the store's rows, if ``skipped``.
    """

    def __init__(self, lanes: int, limits: Limits) -> None:
        depth, piece = exact_log2(lanes), Stored(lanes, limits)
        beats = Shape.cast(piece["beats"].shape).width
        header = range(limits.header_beats(lanes) + 1)
        super().__init__({
            "void": 1,
            "skipped": 1,
            "final": 1,  # of its train
            "ends": 1,  # with its first beat
            "pure": 1,  # its first beat is header alone
            "whole": header,
            "left": beats + 1,
            "rest": depth,
            "base": TemplateReader(lanes, limits).members["address"].shape,
            "rows": beats + 1,
            "tail": depth,
            "bytes": piece["bytes"].shape,
        })


class Step(data.StructLayout):
    """A beat to put together: what is read for it, and what it is in its frame.

    The next frame's values are taken with ``take``. A ``header`` beat comes from the template only, a
    ``joint`` one from both: the first ``rest`` lanes from the template.
    """

    def __init__(self, lanes: int) -> None:
        depth = exact_log2(lanes)
        super().__init__({
            "valid": 1,
            "take": 1,
            "header": 1,
            "joint": 1,
            "rest": depth,
            "last": 1,
            "count": depth,
            "tag": 16,
            "kind": Kind,
        })


class Emit(wiring.Component):
    """Reads frames out of template and store, a beat a cycle and without a gap between frames.

    Everything about a frame is counted while its slice's sum is still on its way, so a beat is decided by a
    handful of registers.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.

    Members
    -------
    train : In(Train(limits))
        A train.
    judged : In(1)
        It is the next to depart.
    passed : In(1)
        With ``judged``: it is not refused.
    status : In(Status)
        A cycle after ``judged``: why it is.
    ended : In(StructLayout({"valid": 1, "slice": Stored(lanes, limits)}))
        A slice is whole, and its last beat stored two cycles from now at the latest.
    full : Out(1)
        Stop: a few more slices fit in.
    busy : Out(1)
        Stop: a few more trains fit in.
    promised : In(1)
        The patches of one more frame will be offered, two cycles from now at the latest.
    values : In(stream.Signature(Values))
        The patches of each frame.
    template : Out(TemplateReader(lanes, limits))
        Where the header blocks are.
    store : Out(StoreReader(lanes, limits))
        Where the slices are.
    frames : Out(stream.Signature(Beat(lanes, keep=lanes, tag=16)))
        The frames. ``keep`` has a bit for every lane.
    completions : Out(stream.Signature(Completion))
        One for each train, in order, not before the last beat of its last frame is on its way.
    """

    values: stream.Interface
    frames: stream.Interface
    completions: stream.Interface

    latency = 4
    """Cycles from the promise of a frame's patches to its first beat, if its slice is whole by then."""

    def __init__(self, lanes: int, limits: Limits) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        self.run = Run(lanes, limits)
        super().__init__({
            "train": In(Train(limits)),
            "judged": In(1),
            "passed": In(1),
            "status": In(Status),
            "ended": In(data.StructLayout({"valid": 1, "slice": Stored(lanes, limits)})),
            "full": Out(1),
            "busy": Out(1),
            "promised": In(1),
            "values": In(stream.Signature(Values)),
            "template": Out(TemplateReader(lanes, limits)),
            "store": Out(StoreReader(lanes, limits)),
            "frames": Out(stream.Signature(Beat(lanes, keep=lanes, tag=16))),
            "completions": Out(stream.Signature(Completion)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.departures = departures = ShallowQueue(Departure, 32, reserve=13, late=True)
        m.submodules.runs = runs = ShallowQueue(self.run, 16, reserve=4, late=True)
        self._prepare(m, departures, runs)
        self._leave(m, departures, runs)
        m.d.sync += self.busy.eq(departures.almost_full)
        return m

    def _prepare(self, m: Module, departures: ShallowQueue, runs: ShallowQueue) -> None:
        """Join each slice with its train, and count beats."""
        depth, kept = exact_log2(self.lanes), self.limits.header_beats(self.lanes)

        # A cycle for where the patches are, and for the rows that the template keeps; so many further is the
        # next train's first one.
        given: Any = Signal.like(self.train, reset_less=True)
        judged = Signal()
        refused = Signal(reset_less=True)
        rows = Signal(HEADER_BITS, reset_less=True)
        where = Signal(Places, reset_less=True)
        for slot, (present, byte) in places(self.train).items():
            place = where[slot.value]
            m.d.sync += [place.present.eq(present), place.word.eq(byte >> 1)]
        base = Signal.like(self.template.address)
        last_beat = self.train.last_byte[depth:]
        m.d.sync += [
            judged.eq(self.judged),
            refused.eq(~self.passed),
            given.eq(self.train),
            rows.eq(Mux(last_beat < kept, last_beat + 1, kept)),
        ]
        with m.If(judged):
            m.d.sync += base.eq(base + rows)

        departure: Any = departures.input.p
        for name in ("tag", "lso_v1", "lso_v2", "segmented"):
            m.d.comb += departure[name].eq(given[name])
        for name, _ in data.Layout.cast(Kind):
            m.d.comb += departure.kind[name].eq(given[name])
        m.d.comb += [
            departure.places.eq(where),
            departures.input.valid.eq(judged),
            departure.rows.eq(rows),
            departure.status.eq(self.status),
        ]

        # Numbers are compared on the way in, where there is time for them.
        layout = data.StructLayout({
            "void": 1,
            "whole": HEADER_BITS - depth,  # beats of header alone
            "none": 1,  # of them
            "single": 1,
            "rest": depth,  # bytes of header behind those
            "base": base.shape(),
        })
        stored: Any = self.ended.slice
        as_stored = ("bytes", "tail", "empty", "last", "bad")
        measured = data.StructLayout({
            **{name: stored[name].shape() for name in as_stored},
            "single": 1,  # it has one beat
            "rows": len(stored.beats) + 1,  # how many it has
            "left": len(stored.beats) + 1,  # one less, modulo a power of two
        })
        m.submodules.trains = trains = ShallowQueue(layout, 32, reserve=13, late=True)
        m.submodules.slices = slices = ShallowQueue(measured, 32, reserve=16, late=True)
        m.d.sync += self.full.eq(slices.almost_full)
        whole = given.header_bytes[depth:]
        m.d.comb += [
            trains.input.valid.eq(judged),
            trains.input.p.void.eq(refused),
            trains.input.p.whole.eq(whole),
            trains.input.p.none.eq(whole == 0),
            trains.input.p.single.eq(whole == 1),
            trains.input.p.rest.eq(given.header_bytes),
            trains.input.p.base.eq(base),
            slices.input.valid.eq(self.ended.valid),
            *(slices.input.p[name].eq(stored[name]) for name in as_stored),
            slices.input.p.single.eq(~stored.empty & (stored.beats == 0)),
            slices.input.p.rows.eq(Mux(stored.empty, 0, stored.beats + 1)),
            slices.input.p.left.eq(Mux(stored.empty, -1, stored.beats)),
        ]
        train, piece = trains.output.p, slices.output.p

        room = Signal()
        go = Signal()
        m.d.sync += room.eq(~runs.almost_full)
        m.d.comb += [
            go.eq(trains.output.valid & (train.void | slices.output.valid) & room),
            trains.output.ready.eq(go & (train.void | piece.last)),
            slices.output.ready.eq(go & ~train.void),
        ]

        run: Any = runs.input.p
        idle = train.void | piece.bad
        alone = Mux(train.none, piece.single, piece.empty & train.single)
        m.d.comb += [
            runs.input.valid.eq(go),
            run.void.eq(train.void),
            run.skipped.eq(piece.bad & ~train.void),
            run.final.eq(train.void | piece.last),
            run.ends.eq(idle | alone),
            run.pure.eq(~train.none & ~idle),
            run.whole.eq(train.whole),
            run.left.eq(train.whole + piece.left),
            run.rest.eq(train.rest & ~idle.replicate(depth)),
            run.base.eq(train.base),
            run.rows.eq(piece.rows & (~train.void).replicate(len(piece.rows))),
            run.tail.eq(piece.tail),
            run.bytes.eq(piece.bytes),
        ]

    def _leave(self, m: Module, departures: ShallowQueue, runs: ShallowQueue) -> None:
        """Decide what is read in each cycle."""
        lanes = self.lanes
        m.submodules.frames = frames = ShallowQueue(Beat(lanes, keep=lanes, tag=16), 16, reserve=8)
        m.submodules.completions = completions = ShallowQueue(Completion, 16, reserve=8)
        wiring.connect(m, frames.output, wiring.flipped(self.frames))
        wiring.connect(m, completions.output, wiring.flipped(self.completions))
        clear = Signal()
        m.d.sync += clear.eq(~(frames.almost_full | completions.almost_full))

        departure, coming = departures.output.p, runs.output.p

        # The run at work. What it is at is always known a cycle ahead.
        run: Any = Signal(self.run, reset_less=True)
        there = Signal()
        begins, ends, closes = Signal(), Signal(), Signal()  # first beat of the frame, last one, train's last
        pure = Signal()  # header alone
        reads_header, reads_payload = Signal(), Signal()  # enables of two RAMs, which are wide
        able = Signal()  # there is one, and its values are promised or it needs none
        index = Signal.like(self.template.index, reset_less=True)
        row = Signal.like(self.template.address, reset_less=True)
        store_row = Signal.like(self.store.address)

        # Reading may begin before a frame's values are there, if they will be when the beat is.
        promises = Signal(range(64))
        promise, several = Signal(), Signal()  # promises >= 1, >= 2
        still = Signal()  # >= 1 in the next cycle

        go, leave, take = Signal(), Signal(), Signal()
        sent = ~(run.void | run.skipped)
        m.d.comb += [
            go.eq(clear & able),
            leave.eq(go & ends),
            take.eq(go & begins & ~run.void),
            runs.output.ready.eq(~there | leave),
            departures.output.ready.eq(go & closes),
            still.eq(self.promised | several | (promise & ~take)),
        ]
        m.d.sync += [
            promises.eq(promises + self.promised - take),
            promise.eq(still),
            several.eq(
                Mux(
                    take,
                    Mux(self.promised, several, promises > 2),
                    Mux(self.promised, promise, several),
                )
            ),
            able.eq(able | still),
        ]
        with m.If(runs.output.ready):
            m.d.sync += [
                there.eq(runs.output.valid),
                run.eq(coming),
                begins.eq(1),
                ends.eq(coming.ends),
                closes.eq(coming.ends & coming.final),
                pure.eq(coming.pure),
                reads_header.eq(runs.output.valid & (coming.pure | coming.rest.any())),
                reads_payload.eq(runs.output.valid & ~(coming.pure | coming.void | coming.skipped)),
                able.eq(runs.output.valid & (coming.void | still)),
                index.eq(0),
                row.eq(coming.base),
            ]
        with m.Elif(go):
            continues = pure & (run.whole != 1)
            m.d.sync += [
                run.left.eq(run.left - 1),
                run.whole.eq(run.whole - 1),
                begins.eq(0),
                ends.eq(run.left == 1),
                closes.eq((run.left == 1) & run.final),
                pure.eq(continues),
                reads_header.eq(continues | (pure & run.rest.any())),
                reads_payload.eq(~continues),
                index.eq(index + 1),
                row.eq(row + 1),
            ]
        with m.If(go & ~pure):
            m.d.sync += store_row.eq(store_row + Mux(sent, 1, run.rows))
        # A row is read as long as a run stands at it: it is an old one, so nothing is written there.
        m.d.comb += [
            self.template.read.eq(reads_header),
            self.template.address.eq(row),
            self.template.index.eq(index),
            self.template.places.eq(departure.places),
            self.store.read.eq(reads_payload),
            self.store.address.eq(store_row),
        ]
        m.d.sync += [
            self.store.free.eq(Mux(go & ~pure, Mux(sent, 1, run.rows), 0)),
            self.template.free.eq(Mux(go & closes, departure.rows, 0)),
        ]

        step: Any = Signal(Step(self.lanes))
        m.d.comb += [
            step.valid.eq(go & sent),
            step.take.eq(take),
            step.header.eq(pure),
            step.joint.eq(reads_header & ~pure),
            step.rest.eq(run.rest),
            step.last.eq(ends),
            step.count.eq(run.tail & ends.replicate(len(run.tail))),
            step.tag.eq(departure.tag),
            step.kind.eq(departure.kind),
        ]
        self._assemble(m, step, frames)
        self._report(m, run, leave, departure, completions)

    def _assemble(self, m: Module, step: Any, frames: ShallowQueue) -> None:
        """Wait for both RAMs, patch the header, join it with the payload."""
        reading: Any = Signal(step.shape())
        ready: Any = Signal(step.shape())
        m.d.sync += [reading.eq(step), ready.eq(reading)]

        # The values stay for the whole frame; the next frame's come when its first beat does. What enables
        # them does nothing else; that it begins with a one keeps it apart.
        m.d.comb += self.values.ready.eq(reading.take)
        load = Signal(init=1)
        m.d.sync += load.eq(step.take)
        words = {}
        for slot, value in contents(self.values.p, reading.kind).items():
            words[slot] = Signal(16, name=slot.name.lower(), reset_less=True)
            with m.If(load):
                m.d.sync += words[slot].eq(Cat(value[8:], value[:8]))

        kept = Signal(self.lanes, reset_less=True)
        m.d.sync += kept.eq(keep(reading.count))
        out: Any = frames.input.p
        m.d.comb += [
            frames.input.valid.eq(ready.valid),
            out.last.eq(ready.last),
            out.count.eq(ready.count),
            out.keep.eq(kept),
            out.tag.eq(ready.tag),
        ]
        behind = at_most(reading.rest[1:])  # the header, where a beat has some of the payload too
        for n in range(self.lanes // 2):
            header = Signal(name=f"header{n}", reset_less=True)
            m.d.sync += header.eq(reading.header | (reading.joint & ~behind[n]))

            slots = self.template.slots[f"word{n}"]
            mine = candidates(n, self.lanes)
            template, payload = (
                Cat(octets[2 * n], octets[2 * n + 1]) for octets in (self.template.data, self.store.data)
            )
            sources = [
                (header & self.template.kept[n], template),
                (~header, payload),
                *((is_slot, words[slot]) for is_slot, slot in zip(slots, mine, strict=True)),
            ]
            m.d.comb += Cat(out.data[2 * n], out.data[2 * n + 1]).eq(select(sources))

    def _report(
        self, m: Module, run: Any, leave: Value, departure: Any, completions: ShallowQueue
    ) -> None:
        """Add up what has left. Completions keep step with the frames."""
        frame, over = Signal(), Signal()
        failed = Signal(reset_less=True)
        size = Signal.like(run.bytes, reset_less=True)
        train: Any = Signal(Departure, reset_less=True)
        m.d.sync += [
            frame.eq(leave & ~run.void & ~run.skipped),
            over.eq(leave & run.final),
            failed.eq(run.skipped),
            size.eq(run.bytes),
            train.eq(departure),
        ]

        segments, sent_bytes = Signal(PAYLOAD_BITS), Signal(PAYLOAD_BITS)
        now_segments, now_bytes = Signal(PAYLOAD_BITS), Signal(PAYLOAD_BITS)
        counted = (frame & train.segmented).replicate(len(size))
        m.d.comb += [
            now_segments.eq(segments + frame),
            now_bytes.eq(sent_bytes + (size & counted)),
        ]
        m.d.sync += [
            segments.eq(Mux(over, 0, now_segments)),
            sent_bytes.eq(Mux(over, 0, now_bytes)),
        ]

        done: Any = Signal(Completion, reset_less=True)
        complete = Signal()
        lso_v1 = Signal(reset_less=True)
        m.d.sync += [
            complete.eq(over),
            done.tag.eq(train.tag),
            done.status.eq(Mux(failed, Status.BUFFER_MISMATCH, train.status)),
            done.segments.eq(now_segments),
            done.payload_bytes.eq(now_bytes),
            done.lso_completion.eq(Mux(train.lso_v2, LSO_V2_COMPLETE, 0)),
            lso_v1.eq(train.lso_v1),
        ]
        m.d.comb += [completions.input.valid.eq(complete), completions.input.p.eq(done)]
        with m.If(lso_v1):
            m.d.comb += completions.input.p.lso_completion.eq(done.payload_bytes)
