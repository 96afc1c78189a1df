"""Keeps the header block of each packet and marks the words that differ from frame to frame."""

import enum
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import check_lanes
from offramp.ram import BlockRam
from offramp.send.train import HEADER_BITS, TAG_BYTES, Limits

SLACK = 8
"""Beats that may still come when there is no more room."""

OUTER_STARTS = tuple(14 + tags * TAG_BYTES for tags in range(4))
"""Bytes at which the outer IP header can start: up to two tags of the packet's own and an inserted one."""


class Slot(enum.Enum):
    """What a 16-bit word of the template gives way to; see :func:`places` and :func:`contents`.

    The outer IP header starts at an odd word (14 bytes and whole tags), what follows it as well, and
    everything inside a tunnel at an even one. So each slot has the words of one parity only, and a word
    chooses among half of them. To keep it that way, the transport header of a packet without a tunnel uses
    the slots of the headers that it does not have.
    """

    OUTER_LENGTH = 0
    OUTER_ID = 1
    OUTER_CHECKSUM = 2
    TUNNEL_LENGTH = 3
    TUNNEL_CHECKSUM = 4
    INNER_LENGTH = 5
    INNER_ID = 6
    INNER_CHECKSUM = 7
    SEQUENCE_HIGH = 8
    SEQUENCE_LOW = 9
    CONTROL = 10
    TRANSPORT_CHECKSUM = 11


ODD = {Slot.OUTER_ID, Slot.TUNNEL_LENGTH, Slot.INNER_LENGTH, Slot.INNER_CHECKSUM, Slot.SEQUENCE_LOW}
"""Slots at odd words; the others are at even ones."""

OUTER_WORDS = {Slot.OUTER_LENGTH: 1, Slot.OUTER_ID: 2, Slot.OUTER_CHECKSUM: 5}
"""Slots with few places: their words, counted from where the outer IP header starts."""


class Place(data.Struct):
    """Where a slot is: at word ``word`` of the frame, if ``present``."""

    present: 1
    word: HEADER_BITS - 1


Places = data.ArrayLayout(Place, len(Slot))
"""The place of each :class:`Slot`."""


def candidates(word: int, lanes: int) -> list[Slot]:
    """Return the slots that word ``word`` of a beat can be."""

    def reachable(slot: Slot) -> bool:
        if slot not in OUTER_WORDS:
            return True
        return any((start // 2 + OUTER_WORDS[slot] - word) % (lanes // 2) == 0 for start in OUTER_STARTS)

    return [slot for slot in Slot if (slot in ODD) == bool(word % 2) and reachable(slot)]


def places(train: Any) -> dict[Slot, tuple[Value, Value]]:
    """For each slot, whether the train has it and at which byte of the frame (section 4.3 of the rules)."""
    field, tunnelled, udp = train.field, train.inner, train.udp
    outer, behind, inner, transport = (
        train.outer_start,
        train.outer_end,
        train.inner_start,
        train.transport_start,
    )
    first = field.sequence | field.datagram_length  # words 2 and 3 of the transport header
    second = field.sequence | (udp & field.transport_checksum)
    checksum = field.transport_checksum & ~udp  # of TCP, word 8
    return {
        Slot.OUTER_LENGTH: (field.outer_network & train.outer_ipv4, outer + 2),
        Slot.OUTER_ID: (field.outer_network, outer + 4),
        Slot.OUTER_CHECKSUM: (field.outer_checksum, outer + 10),
        Slot.TUNNEL_LENGTH: (Mux(tunnelled, field.tunnel_length, first), behind + 4),
        Slot.TUNNEL_CHECKSUM: (
            Mux(tunnelled, field.tunnel_zero | field.tunnel_checksum, second),
            behind + 6,
        ),
        Slot.INNER_LENGTH: (
            Mux(tunnelled, field.inner_network & train.inner_ipv4, field.sequence),
            Mux(tunnelled, inner + 2, transport + 12),
        ),
        Slot.INNER_ID: (field.inner_network, inner + 4),
        Slot.INNER_CHECKSUM: (
            Mux(tunnelled, field.inner_checksum, checksum),
            Mux(tunnelled, inner + 10, transport + 16),
        ),
        Slot.SEQUENCE_HIGH: (tunnelled & first, transport + 4),
        Slot.SEQUENCE_LOW: (tunnelled & second, transport + 6),
        Slot.CONTROL: (tunnelled & field.sequence, transport + 12),
        Slot.TRANSPORT_CHECKSUM: (tunnelled & checksum, transport + 16),
    }


def contents(values: Any, train: Any) -> dict[Slot, Value]:
    """For each slot, its word of a frame, of the frame's values and its train's kind."""
    tunnelled = train.inner
    high = Mux(train.udp, values.transport_length, values.sequence[16:])
    low = Mux(train.udp, values.transport_checksum, values.sequence[:16])
    return {
        Slot.OUTER_LENGTH: values.outer_length,
        Slot.OUTER_ID: Mux(train.outer_ipv4, values.outer_id, values.outer_length),
        Slot.OUTER_CHECKSUM: values.outer_checksum,
        Slot.TUNNEL_LENGTH: Mux(tunnelled, values.tunnel_length, high),
        Slot.TUNNEL_CHECKSUM: Mux(tunnelled, values.tunnel_checksum, low),
        Slot.INNER_LENGTH: Mux(tunnelled, values.inner_length, values.control),
        Slot.INNER_ID: Mux(train.inner_ipv4, values.inner_id, values.inner_length),
        Slot.INNER_CHECKSUM: Mux(tunnelled, values.inner_checksum, values.transport_checksum),
        Slot.SEQUENCE_HIGH: high,
        Slot.SEQUENCE_LOW: low,
        Slot.CONTROL: values.control,
        Slot.TRANSPORT_CHECKSUM: values.transport_checksum,
    }


class TemplateReader(wiring.Signature):
    """Reads the template.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.
    depth : int
        Beats that the RAM holds.

    Members
    -------
    read : Out(1)
        Read a beat, one that arrived in an earlier cycle.
    address : Out(range(depth))
        Beat to read.
    index : Out(range(...))
        Its number in its frame.
    places : Out(Places)
        Where the frame's slots are.
    free : Out(range(...))
        Number of beats that are not needed any more, in this cycle.
    data : In(ArrayLayout(8, lanes))
        The beat, :attr:`Template.read_latency` cycles after its address.
    slots : In(StructLayout({"word0": ..., ...}))
        Which of its :func:`candidates` each of its words is, one bit each. None, if no beat was read.
    kept : In(lanes // 2)
        Which words are no slots.
    """

    def __init__(self, lanes: int, limits: Limits, *, depth: int = 512) -> None:
        super().__init__({
            "read": Out(1),
            "address": Out(range(depth)),
            "index": Out(HEADER_BITS - exact_log2(lanes)),
            "places": Out(Places),
            "free": Out(range(limits.header_beats(lanes) + 1)),
            "data": In(data.ArrayLayout(8, lanes)),
            "slots": In(
                data.StructLayout({f"word{n}": len(candidates(n, lanes)) for n in range(lanes // 2)})
            ),
            "kept": In(lanes // 2),
        })


class Template(wiring.Component):
    """Block RAM of header blocks.

    The first ``limits.header_beats(lanes)`` beats of every packet are kept, before it is known what is a
    header. When a beat is read, each of its words is told which :class:`Slot` it is: the places are the
    train's, so a comparison a slot tells the beat and the lane, beside the RAM's own latency.

    Takes a beat a cycle and gives one a cycle.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.
    depth : int
        Beats that the RAM holds, a power of two.

    Members
    -------
    beat : In(StructLayout({"valid": 1, "data": ...}))
        Beats to keep, at consecutive addresses in the order in which they arrive.
    room : Out(1)
        At least :data:`SLACK` more fit in.
    reader : In(TemplateReader(lanes, limits, depth=depth))
        Whoever reads.
    """

    read_latency = 2

    def __init__(self, lanes: int, limits: Limits, *, depth: int = 512) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        self.depth = depth
        super().__init__({
            "beat": In(data.StructLayout({"valid": 1, "data": data.ArrayLayout(8, lanes)})),
            "room": Out(1),
            "reader": In(TemplateReader(lanes, limits, depth=depth)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._store(m)

        # First cycle: which slots are in this beat. Second cycle: at which words.
        bits = exact_log2(self.lanes) - 1
        targets = {}
        for slot in Slot:
            place = self.reader.places[slot.value]
            hit = Signal(name=f"hit_{slot.name.lower()}", reset_less=True)
            lane = Signal(bits, name=f"lane_{slot.name.lower()}", reset_less=True)
            m.d.sync += [
                hit.eq(self.reader.read & place.present & (place.word[bits:] == self.reader.index)),
                lane.eq(place.word[:bits]),
            ]
            targets[slot] = (hit, lane)
        slots = Signal(self.reader.slots.shape(), reset_less=True)
        kept = Signal(len(self.reader.kept), reset_less=True)
        m.d.comb += [self.reader.slots.eq(slots), self.reader.kept.eq(kept)]
        for n in range(self.lanes // 2):
            mine = [targets[slot] for slot in candidates(n, self.lanes)]
            # The lowest bit is the slot's parity, which is the word's.
            hits = Cat(hit & (lane[1:] == n >> 1) for hit, lane in mine)
            m.d.sync += [slots[f"word{n}"].eq(hits), kept[n].eq(~hits.any())]
        return m

    def _store(self, m: Module) -> None:
        m.submodules.ram = ram = BlockRam(8 * self.lanes, self.depth)
        m.d.comb += [
            ram.write.data.eq(self.beat.data),
            ram.write.en.eq(self.beat.valid),
            ram.read.addr.eq(self.reader.address),
            ram.read.en.eq(self.reader.read),
        ]
        with m.If(self.beat.valid):
            m.d.sync += ram.write.addr.eq(ram.write.addr + 1)
        row = Signal(8 * self.lanes, reset_less=True)
        m.d.sync += row.eq(ram.read.data)
        m.d.comb += Cat(self.reader.data).eq(row)

        # Below zero where a packet is refused before all of its window has come.
        used = Signal(range(-self.limits.header_beats(self.lanes), self.depth + 1))
        m.d.sync += [
            used.eq(used + self.beat.valid - self.reader.free),
            self.room.eq(used < self.depth - 2 * SLACK),
        ]
