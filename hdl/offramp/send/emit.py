"""Puts frames together: the template with its patches, then the slice; and tells when a train is over."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import Beat, check_lanes, keep
from offramp.queue import ShallowQueue
from offramp.records import PAYLOAD_BITS, Completion, Status
from offramp.send.plan import Values
from offramp.send.store import Store
from offramp.send.template import PATCHES, Patch, Places, Template, places
from offramp.send.train import HEADER_BITS, Limits, Train

LSO_V2_COMPLETE = 1 << 30
"""Completion word of a version 2 large send: its type and nothing else (CMP-1)."""


class Departure(data.Struct):
    """What :class:`Emit` needs to know about a train."""

    tag: 16
    status: Status
    lso_v1: 1
    lso_v2: 1
    segmented: 1
    header_bytes: HEADER_BITS
    rows: HEADER_BITS  # beats that the template keeps of the packet
    places: Places


class Step(data.StructLayout):
    """A beat to put together: what to read for it, and what it is in its frame.

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
        })


class Emit(wiring.Component):
    """Reads frames out of template and store, a beat a cycle and without a gap between frames.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.
    store : Store
        Where the slices are.
    template : Template
        Where the header blocks are.

    Members
    -------
    train : In(Train(limits))
        A train, which may be refused.
    judged : In(1)
        It is the next to depart.
    ended : In(StructLayout)
        A slice is whole (with ``stored``): its ``bytes``, ``beats``, ``tail``, ``empty``, ``last``, ``bad``.
    stored : In(1)
        It is.
    full : Out(1)
        Stop: a few more slices fit in.
    busy : Out(1)
        Stop: a few more trains fit in.
    promised : In(1)
        The patches of one more frame will be offered, two cycles from now at the latest.
    values : In(stream.Signature(Values))
        The patches of each frame.
    frames : Out(stream.Signature(Beat(lanes, keep=lanes, tag=16)))
        The frames. ``keep`` has a bit for every lane.
    completions : Out(stream.Signature(Completion))
        One for each train, in order, not before the last beat of its last frame is on its way.
    """

    values: stream.Interface
    frames: stream.Interface
    completions: stream.Interface

    latency = 4
    """Cycles from a frame's first read to offering its first beat."""

    def __init__(self, lanes: int, limits: Limits, *, store: Store, template: Template, ended: Any) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        super().__init__({
            "train": In(Train(limits)),
            "judged": In(1),
            "ended": In(ended),
            "stored": In(1),
            "full": Out(1),
            "busy": Out(1),
            "promised": In(1),
            "values": In(stream.Signature(Values)),
            "template_address": Out(template.address.shape()),
            "template_index": Out(template.index.shape()),
            "template_places": Out(template.places.shape()),
            "template_free": Out(template.free.shape()),
            "template_data": In(template.data.shape()),
            "template_patches": In(template.patches.shape()),
            "store_address": Out(store.address.shape()),
            "store_free": Out(store.free.shape()),
            "store_data": In(store.data.shape()),
            "frames": Out(stream.Signature(Beat(lanes, keep=lanes, tag=16))),
            "completions": Out(stream.Signature(Completion)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, depth = self.lanes, exact_log2(self.lanes)

        m.submodules.trains = trains = ShallowQueue(Departure, 32, reserve=12)
        m.submodules.slices = slices = ShallowQueue(self.ended.shape(), 32, reserve=16)
        m.submodules.frames = frames = ShallowQueue(Beat(lanes, keep=lanes, tag=16), 16, reserve=8)
        m.submodules.completions = completions = ShallowQueue(Completion, 16, reserve=8)
        wiring.connect(m, frames.output, wiring.flipped(self.frames))
        wiring.connect(m, completions.output, wiring.flipped(self.completions))
        for name in ("tag", "status", "lso_v1", "lso_v2", "segmented", "header_bytes"):
            m.d.comb += trains.input.p[name].eq(self.train[name])
        kept = self.limits.header_beats(lanes)
        last_beat = self.train.last_byte[depth:]
        m.d.comb += trains.input.p.rows.eq(Mux(last_beat < kept, last_beat + 1, kept))
        for patch, (present, byte) in places(self.train).items():
            place = trains.input.p.places[PATCHES.index(patch)]
            m.d.comb += [place.present.eq(present), place.word.eq(byte >> 1)]
        m.d.comb += [
            trains.input.valid.eq(self.judged),
            slices.input.valid.eq(self.stored),
            slices.input.p.eq(self.ended),
        ]
        m.d.sync += [self.full.eq(slices.almost_full), self.busy.eq(trains.almost_full)]
        clear = Signal()
        m.d.sync += clear.eq(~(frames.almost_full | completions.almost_full))

        train: Any = trains.output.p
        piece: Any = slices.output.p
        values: Any = self.values.p
        whole, rest = train.header_bytes[depth:], train.header_bytes[:depth]

        # What is read in this cycle.
        template_base = Signal.like(self.template_address)
        store_next = Signal.like(self.store_address)
        headers = Signal.like(whole)  # beats of the header block that this frame already has
        beats = Signal.like(piece.beats)
        under_way = Signal()
        segments = Signal(PAYLOAD_BITS)
        sent_bytes = Signal(PAYLOAD_BITS)

        # Reading may begin before a frame's values are there, if they will be when the beat is.
        promises = Signal(range(64))
        take = Signal()
        m.d.sync += promises.eq(promises + self.promised - take)

        read = Signal()
        pure, joint, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            self.template_address.eq(template_base + headers),
            self.template_index.eq(headers),
            self.template_places.eq(train.places),
            self.store_address.eq(store_next),
            pure.eq(headers != whole),
            joint.eq(~pure & (beats == 0) & rest.any()),
            ends.eq(Mux(pure, piece.empty & (headers + 1 == whole), beats == piece.beats)),
        ]
        done: Any = Signal(Completion)
        payload = Signal(PAYLOAD_BITS)
        complete = Signal()
        m.d.comb += [
            done.tag.eq(train.tag),
            done.status.eq(train.status),
            done.segments.eq(segments),
            done.payload_bytes.eq(payload),
            payload.eq(Mux(train.segmented, sent_bytes, 0)),
        ]

        def depart() -> None:
            m.d.comb += [
                complete.eq(1),
                trains.output.ready.eq(1),
                self.template_free.eq(train.rows),
            ]
            m.d.sync += [segments.eq(0), sent_bytes.eq(0), template_base.eq(template_base + train.rows)]

        def beat() -> None:
            m.d.comb += read.eq(1)
            m.d.sync += [
                under_way.eq(1),
                headers.eq(headers + pure),
                beats.eq(beats + ~pure),
                store_next.eq(store_next + ~pure),
            ]
            m.d.comb += self.store_free.eq(~pure)
            m.d.comb += take.eq(~under_way)
            with m.If(ends):
                frame_ends()

        def frame_ends() -> None:
            m.d.comb += [
                slices.output.ready.eq(1),
                done.segments.eq(segments + 1),
                payload.eq(Mux(train.segmented, sent_bytes + piece.bytes, 0)),
            ]
            m.d.sync += [
                under_way.eq(0),
                headers.eq(0),
                beats.eq(0),
                segments.eq(done.segments),
                sent_bytes.eq(sent_bytes + piece.bytes),
            ]
            with m.If(piece.last):
                depart()

        def discard() -> None:
            stored = Mux(piece.empty, 0, piece.beats + 1)
            m.d.comb += [
                slices.output.ready.eq(1),
                take.eq(1),
                self.store_free.eq(stored),
                done.status.eq(Status.BUFFER_MISMATCH),
            ]
            m.d.sync += store_next.eq(store_next + stored)
            with m.If(piece.last):
                depart()

        with m.If(clear & trains.output.valid):
            with m.If(train.status != Status.OK):
                depart()
            with m.Elif(slices.output.valid & (under_way | (promises != 0))):
                with m.If(piece.bad):
                    discard()
                with m.Else():
                    beat()

        with m.If(train.lso_v1):
            m.d.comb += done.lso_completion.eq(payload)
        with m.Elif(train.lso_v2):
            m.d.comb += done.lso_completion.eq(LSO_V2_COMPLETE)

        step: Any = Signal(Step(self.lanes))
        m.d.comb += [
            step.valid.eq(read),
            step.take.eq(take),
            step.header.eq(pure),
            step.joint.eq(joint),
            step.rest.eq(rest),
            step.last.eq(ends),
            step.count.eq(Mux(ends, piece.tail, 0)),
            step.tag.eq(train.tag),
        ]
        self._assemble(m, step, values, frames)
        self._report(m, complete, done, completions)
        return m

    def _assemble(self, m: Module, step: Any, values: Any, frames: ShallowQueue) -> None:
        """Wait for both RAMs, patch the header, join it with the payload."""
        # The values stay for the whole frame; the next frame's come when its first beat does.
        current: Any = Signal(Values, reset_less=True)
        reading: Any = Signal(step.shape())
        ready: Any = Signal(step.shape())
        m.d.sync += [reading.eq(step), ready.eq(reading)]
        m.d.comb += self.values.ready.eq(reading.take)
        with m.If(reading.take):
            m.d.sync += current.eq(values)

        replacements = {
            Patch.OUTER_LENGTH: current.outer_length,
            Patch.OUTER_ID: current.outer_id,
            Patch.OUTER_CHECKSUM: current.outer_checksum,
            Patch.TUNNEL_LENGTH: current.tunnel_length,
            Patch.TUNNEL_CHECKSUM: current.tunnel_checksum,
            Patch.INNER_LENGTH: current.inner_length,
            Patch.INNER_ID: current.inner_id,
            Patch.INNER_CHECKSUM: current.inner_checksum,
            Patch.SEQUENCE_HIGH: current.sequence[16:],
            Patch.SEQUENCE_LOW: current.sequence[:16],
            Patch.CONTROL: current.control,
            Patch.DATAGRAM_LENGTH: current.transport_length,
            Patch.TRANSPORT_CHECKSUM: current.transport_checksum,
        }
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
        for n in range(self.lanes // 2):
            mine = Signal(name=f"header{n}", reset_less=True)
            m.d.sync += mine.eq(reading.header | (reading.joint & (reading.rest[1:] > n)))

            template = Cat(self.template_data[k] for k in range(2 * n, 2 * n + 2))
            stored = Cat(self.store_data[k] for k in range(2 * n, 2 * n + 2))
            word = Signal(16, name=f"word{n}")
            with m.Switch(self.template_patches[n]):
                for patch, value in replacements.items():
                    with m.Case(patch):
                        m.d.comb += word.eq(Cat(value[8:], value[:8]))
                with m.Default():
                    m.d.comb += word.eq(template)
            m.d.comb += Cat(out.data[2 * n], out.data[2 * n + 1]).eq(Mux(mine, word, stored))

    def _report(self, m: Module, complete: Signal, done: Any, completions: ShallowQueue) -> None:
        """Completions keep step with the frames."""
        valid: Any = complete
        record: Any = done
        for n in range(Store.read_latency):
            later_valid = Signal(name=f"complete{n}")
            later = Signal(Completion, name=f"completion{n}", reset_less=True)
            m.d.sync += [later_valid.eq(valid), later.eq(record)]
            valid, record = later_valid, later
        m.d.comb += [completions.input.valid.eq(valid), completions.input.p.eq(record)]
