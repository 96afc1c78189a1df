"""Keeps the header block of each packet and marks the words that differ from frame to frame."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import check_lanes
from offramp.send.train import HEADER_BITS, Limits

SLACK = 8
"""Beats that may still come when there is no more room."""


class Patch(enum.Enum, shape=4):
    """What takes the place of a 16-bit word of the template."""

    NONE = 0
    OUTER_LENGTH = 1
    OUTER_ID = 2
    OUTER_CHECKSUM = 3
    TUNNEL_LENGTH = 4
    TUNNEL_CHECKSUM = 5
    INNER_LENGTH = 6
    INNER_ID = 7
    INNER_CHECKSUM = 8
    SEQUENCE_HIGH = 9
    SEQUENCE_LOW = 10
    CONTROL = 11
    DATAGRAM_LENGTH = 12
    TRANSPORT_CHECKSUM = 13


PATCHES = tuple(patch for patch in Patch if patch != Patch.NONE)


class Place(data.Struct):
    """Where a patch goes: at word ``word`` of the frame, if ``present``."""

    present: 1
    word: HEADER_BITS - 1


Places = data.ArrayLayout(Place, len(PATCHES))
"""The place of each of :data:`PATCHES`."""


def places(train: Any) -> dict[Patch, tuple[Any, Any]]:
    """For each patch, whether the train has it and at which byte of the frame (section 4.3 of the rules)."""
    field = train.field
    outer, tunnel = train.outer_start, train.outer_end
    inner, transport = train.inner_start, train.transport_start
    return {
        Patch.OUTER_LENGTH: (field.outer_network, outer + Mux(train.outer_ipv4, 2, 4)),
        Patch.OUTER_ID: (field.outer_network & train.outer_ipv4, outer + 4),
        Patch.OUTER_CHECKSUM: (field.outer_checksum, outer + 10),
        Patch.TUNNEL_LENGTH: (field.tunnel_length, tunnel + 4),
        Patch.TUNNEL_CHECKSUM: (field.tunnel_zero | field.tunnel_checksum, tunnel + 6),
        Patch.INNER_LENGTH: (field.inner_network, inner + Mux(train.inner_ipv4, 2, 4)),
        Patch.INNER_ID: (field.inner_network & train.inner_ipv4, inner + 4),
        Patch.INNER_CHECKSUM: (field.inner_checksum, inner + 10),
        Patch.SEQUENCE_HIGH: (field.sequence, transport + 4),
        Patch.SEQUENCE_LOW: (field.sequence, transport + 6),
        Patch.CONTROL: (field.sequence, transport + 12),
        Patch.DATAGRAM_LENGTH: (field.datagram_length, transport + 4),
        Patch.TRANSPORT_CHECKSUM: (field.transport_checksum, transport + Mux(train.udp, 6, 16)),
    }


class Template(wiring.Component):
    """Block RAM of header blocks.

    The first ``limits.header_beats(lanes)`` beats of every packet are kept, before it is known what is a
    header. When a beat is read, each of its words is given the :class:`Patch` that takes its place: the
    places are the train's, so a comparison a field tells the beat and the lane, beside the RAM's own latency.

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
    free : In(range(...))
        Number of beats that are not needed any more, in this cycle.
    address : In(range(depth))
        Beat to read.
    index : In(range(...))
        Its number in its frame.
    places : In(Places)
        Where the frame's patches go.
    data : Out(ArrayLayout(8, lanes))
        The beat, :attr:`read_latency` cycles after its address.
    patches : Out(ArrayLayout(Patch, lanes // 2))
        What takes the place of each of its words.
    """

    read_latency = 2

    def __init__(self, lanes: int, limits: Limits, *, depth: int = 512) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        self.depth = depth
        beats = limits.header_beats(lanes)
        super().__init__({
            "beat": In(data.StructLayout({"valid": 1, "data": data.ArrayLayout(8, lanes)})),
            "room": Out(1),
            "free": In(range(beats + 1)),
            "address": In(range(depth)),
            "index": In(HEADER_BITS - exact_log2(lanes)),
            "places": In(Places),
            "data": Out(data.ArrayLayout(8, lanes)),
            "patches": Out(data.ArrayLayout(Patch, lanes // 2)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._store(m)

        # First cycle: which patches are in this beat. Second cycle: at which words.
        bits = exact_log2(self.lanes) - 1
        targets = {}
        for n, patch in enumerate(PATCHES):
            place = self.places[n]
            hit = Signal(name=f"hit_{patch.name.lower()}", reset_less=True)
            lane = Signal(bits, name=f"lane_{patch.name.lower()}", reset_less=True)
            m.d.sync += [
                hit.eq(place.present & (place.word[bits:] == self.index)),
                lane.eq(place.word[:bits]),
            ]
            targets[patch] = (hit, lane)
        for n in range(self.lanes // 2):
            code: Any = Const(0, 4)
            for patch, (hit, lane) in targets.items():
                code |= (hit & (lane == n)).replicate(4) & patch.value
            m.d.sync += self.patches[n].eq(code)
        return m

    def _store(self, m: Module) -> None:
        m.submodules.ram = ram = Memory(shape=8 * self.lanes, depth=self.depth, init=[])
        write, read = ram.write_port(), ram.read_port()
        m.d.comb += [
            write.data.eq(self.beat.data),
            write.en.eq(self.beat.valid),
            read.addr.eq(self.address),
        ]
        with m.If(self.beat.valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        held = Signal(8 * self.lanes, reset_less=True)
        m.d.sync += held.eq(read.data)
        m.d.comb += Cat(self.data).eq(held)

        # Below zero where a packet is refused before all of its window has come.
        used = Signal(range(-self.limits.header_beats(self.lanes), self.depth + 1))
        m.d.sync += [
            used.eq(used + self.beat.valid - self.free),
            self.room.eq(used < self.depth - 2 * SLACK),
        ]
