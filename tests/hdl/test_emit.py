import random
from dataclasses import dataclass, field

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from offramp.records import Status
from offramp.send.emit import LSO_V2_COMPLETE, Emit
from offramp.send.store import Store
from offramp.send.template import Template

from tests.hdl.streams import drain, packets, simulate
from tests.hdl.trains import LIMITS, WIDTHS

HEADS = (0, 14, 34, 42, 54, 64, 96, 106, 128, 250, 256, 260)


class Exit(wiring.Component):
    """Emit between the memories that it reads from."""

    def __init__(self, lanes):
        self.lanes = lanes
        self.store = Store(lanes, LIMITS)
        self.template = Template(lanes, LIMITS)
        self.emit = Emit(lanes, LIMITS)
        super().__init__({"beat": In(self.store.beat.shape())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.store, m.submodules.template, m.submodules.emit = self.store, self.template, self.emit
        store, template, emit = self.store, self.template, self.emit
        turning = Signal.like(self.beat)  # beats are stored two cycles later, as late as may be
        m.d.sync += [turning.eq(self.beat), store.beat.eq(turning)]
        wiring.connect(m, emit.template, template.reader)
        wiring.connect(m, emit.store, store.reader)
        return m


@dataclass
class Voyage:
    """A train with what is in the memories for it. From its slice ``bad`` on, nothing may go out."""

    header: bytes
    payloads: list
    tag: int = 0
    status: Status = Status.OK
    kind: str = ""  # "lso_v1", "lso_v2", "uso"
    bad: int | None = None
    fields: dict = field(default_factory=dict)
    values: list = field(default_factory=list)

    def __post_init__(self):
        if not self.values:
            self.values = [{} for _ in self.payloads]

    def octets(self):
        """The packet, as far as the template keeps it."""
        return self.header + b"".join(self.payloads)

    def train(self):
        train = {
            "tag": self.tag,
            "header_bytes": len(self.header),
            "last_byte": max(0, len(self.octets()) - 1),
            "segmented": bool(self.kind),
            "outer_start": 14,
            "outer_end": 34,
            "outer_ipv4": 1,
            "transport_start": 34,
            "field": self.fields,
        }
        return train | ({self.kind: 1} if self.kind.startswith("lso") else {})

    def rows(self, lanes):
        octets = self.octets()[: lanes * LIMITS.header_beats(lanes)]
        return [list(octets[n : n + lanes].ljust(lanes, b"\xe1")) for n in range(0, len(octets) or 1, lanes)]

    def slices(self, lanes):
        """Yield the rows of each slice, and what is said at its end."""
        head = len(self.header) % lanes
        for number, payload in enumerate(self.payloads):
            octets = b"\xd2" * head + payload
            rows = [list(octets[n : n + lanes].ljust(lanes, b"\xd3")) for n in range(0, len(octets), lanes)]
            bad = self.bad is not None and number >= self.bad
            yield rows, {
                "bytes": len(payload),
                "beats": max(0, len(rows) - 1),
                "tail": len(octets) % lanes,
                "empty": not octets,
                "last": number == len(self.payloads) - 1,
                "bad": bad,
            }

    def frames(self):
        sent = self.payloads if self.bad is None else self.payloads[: self.bad]
        return [] if self.status != Status.OK else [
            patched(self.header, self.fields, values) + payload
            for payload, values in zip(sent, self.values, strict=False)
        ]

    def completion(self):
        frames = self.frames()
        payload = sum(len(frame) - len(self.header) for frame in frames) if self.kind else 0
        failed = Status.BUFFER_MISMATCH if self.bad is not None else self.status
        word = {"lso_v1": payload, "lso_v2": LSO_V2_COMPLETE}.get(self.kind, 0)
        return {
            "tag": self.tag,
            "status": failed,
            "reserved": 0,
            "segments": len(frames),
            "payload_bytes": payload,
            "lso_completion": word,
        }


def patched(header, fields, values):
    """The header block with the fields of a plain IPv4 packet replaced."""
    octets = bytearray(header)

    def put(place, value, size=2):
        octets[place : place + size] = value.to_bytes(size, "big")

    if fields.get("outer_network"):
        put(16, values["outer_length"])
        put(18, values["outer_id"])
    if fields.get("outer_checksum"):
        put(24, values["outer_checksum"])
    if fields.get("sequence"):
        put(38, values["sequence"], 4)
        put(46, values["control"])
    if fields.get("transport_checksum"):
        put(50, values["transport_checksum"])
    return bytes(octets)


def run(dut, voyages, *, seed=0, idle=0.0, stall=0.0, ahead=0):
    """Return frames' beats, completions, and the cycles of both."""
    lanes, emit = dut.lanes, dut.emit
    beats, beat_cycles, completions, completion_cycles = [], [], [], []
    promised = []  # values, with the cycle from which on they are there
    rng = random.Random(seed)

    async def judge(ctx):
        """A packet is judged when its headers are stored."""
        rng = random.Random(seed + 1)
        for voyage in voyages:
            rows = voyage.rows(lanes)
            while rows or ctx.get(emit.busy) or rng.random() < idle:
                valid = bool(rows) and ctx.get(dut.template.room) and rng.random() >= idle
                ctx.set(dut.template.beat, {"valid": valid, "data": rows.pop(0) if valid else [0xEE] * lanes})
                await ctx.tick()
                ctx.set(dut.template.beat.valid, 0)
            ctx.set(emit.train, voyage.train())
            ctx.set(emit.judged, 1)
            ctx.set(emit.passed, voyage.status == Status.OK)
            await ctx.tick()
            ctx.set(emit.judged, 0)
            ctx.set(emit.status, voyage.status)

    async def slices(ctx):
        rng = random.Random(seed + 2)
        for voyage in voyages:
            pieces = voyage.slices(lanes) if voyage.status == Status.OK else ()
            for (rows, ended), values in zip(pieces, voyage.values, strict=False):
                for number, row in enumerate(rows or [None]):
                    while not ctx.get(dut.store.room) or ctx.get(emit.full) or rng.random() < idle:
                        await ctx.tick()
                    ends = number + 1 >= len(rows)
                    if row:
                        ctx.set(dut.beat, {"valid": 1, "data": row})
                    ctx.set(emit.ended, {"valid": ends, "slice": ended})
                    await ctx.tick()
                    ctx.set(dut.beat.valid, 0)
                    ctx.set(emit.ended.valid, 0)
                promised.append(values)

    async def promise(ctx):
        """Values come two cycles after their promise; they may be promised before their slice is whole."""
        rng = random.Random(seed + 3)
        total = sum(len(voyage.values) for voyage in voyages if voyage.status == Status.OK)
        coming = [None, None]
        waiting = []
        made = taken = cycle = 0
        while taken < total:
            now = made < len(promised) and cycle >= ahead and rng.random() >= idle and len(waiting) < 20
            ctx.set(emit.promised, now)
            coming.append(promised[made] if now else None)
            made += now
            if (values := coming.pop(0)) is not None:
                waiting.append(values)
            ctx.set(emit.values.valid, bool(waiting))
            if waiting:
                ctx.set(emit.values.payload, waiting[0])
            _, _, ready = await ctx.tick().sample(emit.values.ready)
            cycle += 1
            if ready:
                assert waiting, "values are taken that are not there yet"
                waiting.pop(0)
                taken += 1
        ctx.set(emit.promised, 0)
        ctx.set(emit.values.valid, 0)

    async def frames(ctx):
        count = sum(-(-len(frame) // lanes) for voyage in voyages for frame in voyage.frames())
        await drain(ctx, emit.frames, beats, count, rng=rng, stall=stall, log=beat_cycles)
        for _ in range(8):
            assert not ctx.get(emit.frames.valid), "a beat too many"
            await ctx.tick()

    async def complete(ctx):
        rng = random.Random(seed + 4)
        log = completion_cycles
        await drain(ctx, emit.completions, completions, len(voyages), rng=rng, stall=stall, log=log)

    async def count(ctx):
        """What was stored is given free, neither more nor less."""
        free = used = rows = kept = 0
        while len(completions) < len(voyages):
            ports = (dut.store.beat.valid, emit.store.free, dut.template.beat.valid, emit.template.free)
            _, _, stored, gone, row, given = await ctx.tick().sample(*ports)
            used, free, kept, rows = used + stored, free + gone, kept + row, rows + given
        assert (free, rows) == (used, kept)

    simulate(dut, judge, slices, promise, frames, complete, count)
    return beats, completions, beat_cycles, completion_cycles


def check(voyages, lanes, beats, completions):
    assert completions == [voyage.completion() for voyage in voyages]
    frames = [(frame, voyage.tag) for voyage in voyages for frame in voyage.frames()]
    assert packets(beats, lanes) == [frame for frame, _ in frames]
    beat_of = iter(beats)
    for frame, tag in frames:
        for start in range(0, len(frame), lanes):
            beat = next(beat_of)
            assert beat["tag"] == tag
            assert beat["keep"] == (1 << min(lanes, len(frame) - start)) - 1
            assert beat["last"] or beat["count"] == 0


def random_voyage(rng, lanes, tag, size):
    if rng.random() < 0.1:
        some = Voyage(rng.randbytes(54), [rng.randbytes(40)], tag, kind=rng.choice(["", "lso_v1", "lso_v2"]))
        some.status = rng.choice(list(Status)[1:])
        return some
    header = rng.randbytes(rng.choice(HEADS))
    kind = rng.choice(["", "lso_v1", "lso_v2", "uso"]) if header else ""
    count = rng.randint(1, 4) if kind else 1
    full = rng.choice([1, lanes, lanes - len(header) % lanes, rng.randint(1, size)])
    payloads = [rng.randbytes(full) for _ in range(count)]
    payloads[-1] = payloads[-1][: rng.randint(0 if header else 1, full)]
    voyage = Voyage(header, payloads, tag, kind=kind)
    if len(header) >= 54:
        names = ("outer_network", "outer_checksum", "sequence", "transport_checksum")
        voyage.fields = {name: 1 for name in names if rng.random() < 0.7}
        values = ("outer_length", "outer_id", "outer_checksum", "control", "transport_checksum")
        voyage.values = [
            {name: rng.randrange(0x10000) for name in values} | {"sequence": rng.getrandbits(32)}
            for _ in payloads
        ]
    if rng.random() < 0.15:
        voyage.bad = rng.randrange(count)
    return voyage


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.3, 0), (0, 0.5), (0.2, 0.2)])
def test_frames_and_completions_leave_in_order_whatever_the_handshakes(lanes, idle, stall):
    rng = random.Random(f"{lanes} {idle} {stall}")
    voyages = [random_voyage(rng, lanes, tag, 3 * lanes) for tag in range(300 // (lanes + 12) + 8)]
    beats, completions, *_ = run(Exit(lanes), voyages, seed=lanes, idle=idle, stall=stall)
    check(voyages, lanes, beats, completions)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_beat_leaves_every_cycle_from_frame_to_frame_and_train_to_train(lanes):
    """Where header and payload share a beat or not, where frames are all header or have none."""
    rng = random.Random(lanes)
    voyages = [
        Voyage(rng.randbytes(54), [rng.randbytes(lanes + 3), rng.randbytes(1)], 1, kind="lso_v2"),
        Voyage(rng.randbytes(64), [rng.randbytes(lanes), rng.randbytes(lanes)], 2, kind="lso_v2"),
        Voyage(rng.randbytes(64), [b""], 3, kind="lso_v1"),
        Voyage(rng.randbytes(54), [b""], 4, kind="uso"),
        *(Voyage(b"", [rng.randbytes(size)], 5) for size in (1, lanes, lanes + 1, 2)),
        Voyage(rng.randbytes(34), [rng.randbytes(2 * lanes)], 6),
    ]
    beats, completions, log, _ = run(Exit(lanes), voyages, ahead=120)
    check(voyages, lanes, beats, completions)
    assert log == list(range(log[0], log[0] + len(log)))


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("size", [54, 64, 128])
def test_a_frame_may_be_all_header(lanes, size):
    """INV-7; its last beat is the header's, whether it is full or not."""
    header = bytes(range(size))
    voyages = [Voyage(header, [b""], 9, kind="lso_v2"), Voyage(header, [b"x"], 10, kind="lso_v2")]
    beats, completions, *_ = run(Exit(lanes), voyages)
    check(voyages, lanes, beats, completions)


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_bad_slice_does_not_go_out_and_nothing_behind_it_is_moved(lanes, good):
    """Segments that were whole before have gone; the completion counts them."""
    rng = random.Random(lanes)
    voyages = [
        Voyage(rng.randbytes(54), [rng.randbytes(2 * lanes + 1)] * 2 + [b""], 1, kind="lso_v1", bad=good),
        Voyage(rng.randbytes(96), [rng.randbytes(lanes)], 2, kind="lso_v2"),
        Voyage(rng.randbytes(64), [b""], 3, bad=0),
        Voyage(b"", [rng.randbytes(70)], 4),
    ]
    beats, completions, *_ = run(Exit(lanes), voyages)
    check(voyages, lanes, beats, completions)


@pytest.mark.parametrize("kind", ["", "lso_v1", "lso_v2", "uso"])
def test_a_completion_says_what_has_become_of_its_request(kind):
    """CMP-1 to CMP-3; no payload is counted that was not segmented, or not sent."""
    header = bytes(54)
    voyages = [
        Voyage(header, [b"abc", b"abc", b"d"], 7, kind=kind) if kind else Voyage(header, [b"abcdefg"], 7),
        Voyage(header, [b"abc"], 8, kind=kind, status=Status.TCP_FLAGS),
        Voyage(header, [b"abc", b"x"], 9, kind=kind, bad=1),
    ]
    beats, completions, *_ = run(Exit(8), voyages)
    check(voyages, 8, beats, completions)
    words = {"lso_v1": [7, 0, 3], "lso_v2": [LSO_V2_COMPLETE] * 3}.get(kind, [0, 0, 0])
    assert [completion["lso_completion"] for completion in completions] == words


@pytest.mark.parametrize("lanes", [8, 64])
def test_a_completion_is_not_earlier_than_its_last_frame(lanes):
    voyages = [Voyage(b"", [bytes(5 * lanes)], tag) for tag in range(6)]
    voyages.insert(3, Voyage(bytes(54), [b"x"], 99, status=Status.FRAGMENT))
    beats, completions, beat_cycles, completion_cycles = run(Exit(lanes), voyages)
    check(voyages, lanes, beats, completions)
    ends = [cycle for cycle, beat in zip(beat_cycles, beats, strict=True) if beat["last"]]
    ends.insert(3, ends[2])
    assert all(end <= complete for end, complete in zip(ends, completion_cycles, strict=True))


@pytest.mark.parametrize("lanes", WIDTHS)
def test_a_frame_is_offered_after_the_declared_latency(lanes):
    dut = Exit(lanes)
    emit = dut.emit
    voyage = Voyage(b"", [bytes(lanes)])

    async def bench(ctx):
        ctx.set(emit.train, voyage.train())
        ctx.set(emit.judged, 1)
        ctx.set(emit.passed, 1)
        await ctx.tick()
        ctx.set(emit.judged, 0)
        ((rows, ended),) = voyage.slices(lanes)
        ctx.set(dut.beat, {"valid": 1, "data": rows[0]})
        ctx.set(emit.ended, {"valid": 1, "slice": ended})
        await ctx.tick()
        ctx.set(emit.ended.valid, 0)
        ctx.set(dut.beat.valid, 0)
        ctx.set(emit.values.valid, 1)
        await ctx.tick()
        ctx.set(emit.promised, 1)  # the earliest time that matters: two cycles behind the slice's end
        cycles = 0
        while not ctx.get(emit.frames.valid):
            await ctx.tick()
            ctx.set(emit.promised, 0)
            cycles += 1
        assert cycles == emit.latency

    simulate(dut, bench)
