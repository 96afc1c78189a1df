"""Keeps the header block of each train, marks the words that differ from frame to frame, sums the rest."""

from typing import Any

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.checksum import RangeSum
from offramp.packet import check_lanes
from offramp.send.train import HEADER_BITS, TAG_BYTES, Limits, Train


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


def places(train: Any) -> dict[Patch, tuple[Value, Value]]:
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
        Patch.TRANSPORT_CHECKSUM: (
            field.transport_checksum,
            transport + Mux(train.udp, 6, 16),
        ),
    }


class BaseSums(data.Struct):
    """One's-complement sums of a header block's words that no patch replaces, each still two words to add.

    ``outer`` is the outer IPv4 header, or what the checksum of UDP below VXLAN over IPv6 covers of the
    header block: the addresses and everything from the UDP header on, without an inner IPv4 header, and
    without a transport header that has a checksum of its own.
    """

    outer: data.ArrayLayout(16, 2)
    inner: data.ArrayLayout(16, 2)
    transport: data.ArrayLayout(16, 2)


class Template(wiring.Component):
    """Block RAM of header blocks.

    The places of the patches are the same in all frames of a train, so each word's
    :class:`Patch` is worked out once, when the word is stored, and kept beside it.

    Takes a beat a cycle and gives one a cycle.

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
    train : In(Train(limits))
        The train whose header block arrives.
    header : In(StructLayout({"valid": 1, "index": ..., "first": 1, "last": 1, "data": ...}))
        Beats of header blocks.
    full : Out(1)
        Stop, or header blocks are lost; two more fit in.
    base : Out(StructLayout({"valid": 1, "sums": BaseSums}))
        The sums of each header block, in order.
    address : In(range(depth))
        Beat to read. Beats are at consecutive addresses, in the order in which they arrive.
    free : In(range(...))
        Number of beats that are not needed any more, in this cycle.
    data : Out(ArrayLayout(8, lanes))
        The beat, :attr:`read_latency` cycles after its address.
    patches : Out(ArrayLayout(Patch, lanes // 2))
        The patch of each of its words.
    """

    read_latency = 2

    def __init__(self, lanes: int, limits: Limits, *, depth: int = 512) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        self.depth = depth
        self.max_beats = -(-(limits.max_header_bytes + TAG_BYTES) // lanes)
        super().__init__({
            "train": In(Train(limits)),
            "header": In(data.StructLayout({
                "valid": 1,
                "index": HEADER_BITS - exact_log2(lanes),
                "first": 1,
                "last": 1,
                "data": data.ArrayLayout(8, lanes),
            })),
            "full": Out(1),
            "base": Out(data.StructLayout({"valid": 1, "sums": BaseSums})),
            "address": In(range(depth)),
            "free": In(range(self.max_beats + 1)),
            "data": Out(data.ArrayLayout(8, lanes)),
            "patches": Out(data.ArrayLayout(Patch, lanes // 2)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, depth = self.lanes, exact_log2(self.lanes)
        words = lanes // 2

        # First cycle: every place and range, relative to this beat.
        beat: Any = Signal(self.header.shape(), reset_less=True)
        valid = Signal()
        m.d.sync += [beat.eq(self.header), valid.eq(self.header.valid)]
        targets = {}
        for patch, (present, place) in places(self.train).items():
            name = patch.name.lower()
            hit = Signal(name=f"has_{name}", reset_less=True)
            lane = Signal(depth - 1, name=f"at_{name}", reset_less=True)
            m.d.sync += [hit.eq(present & (place[depth:] == self.header.index)), lane.eq(place[1:depth])]
            targets[patch] = (hit, lane)
        ranges = self._ranges(m)

        # Second cycle: every word's patch, and to which sums it belongs.
        kept = Signal(data.ArrayLayout(8, lanes), reset_less=True)
        kept_valid = Signal()
        last = Signal(reset_less=True)
        patches: Any = Signal(data.ArrayLayout(Patch, words), reset_less=True)
        m.d.sync += [kept.eq(beat.data), kept_valid.eq(valid), last.eq(beat.last)]
        enables = {name: Signal(words, name=f"sums_{name}", reset_less=True) for name in ranges}
        for n in range(words):
            found = [(patch, hit & (lane == n)) for patch, (hit, lane) in targets.items()]
            code = Const(0, 4)
            for patch, here in found:
                code |= here.replicate(4) & patch.value
            m.d.sync += patches[n].eq(code)
            free = ~Cat(here for _, here in found).any()
            for name, belongs in ranges.items():
                m.d.sync += enables[name][n].eq(belongs[n] & free)

        units = {}
        for name, enable in enables.items():
            m.submodules[f"{name}_sum"] = unit = RangeSum(lanes, granularity=2, depth=3, folded=False)
            m.d.comb += [
                unit.beat.valid.eq(kept_valid),
                unit.beat.data.eq(kept),
                unit.beat.enable.eq(enable),
                unit.beat.last.eq(last),
            ]
            m.d.comb += self.base.sums[name].eq(unit.sum.halves)
            units[name] = unit
        m.d.comb += self.base.valid.eq(units["outer"].sum.valid)

        self._store(m, kept_valid, kept, patches)
        return m

    def _ranges(self, m: Module) -> dict[str, Value]:
        """Which words of the registered beat belong to which sum, one bit a word."""
        train: Any = self.train
        depth = exact_log2(self.lanes)
        words = self.lanes // 2

        def reaches(name: str, place: Value) -> Value:
            """One bit a word, set from ``place`` on."""
            before = Signal(name=f"{name}_before", reset_less=True)  # all of the beat is behind it
            here = Signal(name=f"{name}_here", reset_less=True)
            lane = Signal(depth - 1, name=f"{name}_lane", reset_less=True)
            m.d.sync += [
                before.eq(place[depth:] < self.header.index),
                here.eq(place[depth:] == self.header.index),
                lane.eq(place[1:depth]),
            ]
            return Cat(before | (here & (lane <= n)) for n in range(words))

        tunnel = train.field.tunnel_checksum
        outer = reaches("outer", (train.outer_start + Mux(tunnel, 8, 0))[:HEADER_BITS])
        outer_end = reaches("outer_end", Mux(tunnel, train.outer_start + 40, train.outer_end)[:HEADER_BITS])
        inner = reaches("inner", train.inner_start)
        transport = reaches("transport", train.transport_start)
        end = reaches("end", train.header_bytes)

        # Behind the outer IP header only for a tunnel checksum.
        covered_from = reaches("covered", train.outer_end)
        covered_to = reaches(
            "covered_end",
            Mux(train.field.transport_checksum, train.transport_start, train.header_bytes),
        )
        wanted = Signal(name="tunnel_sum", reset_less=True)
        neutral = Signal(name="inner_is_neutral", reset_less=True)  # a whole IPv4 header adds up to zero
        m.d.sync += [wanted.eq(tunnel), neutral.eq(train.inner_ipv4)]
        network = inner & ~transport
        covered = covered_from & ~covered_to & ~(network & neutral.replicate(words))
        return {
            "outer": (outer & ~outer_end) | (covered & wanted.replicate(words)),
            "inner": network,
            "transport": transport & ~end,
        }

    def _store(self, m: Module, valid: Value, octets: Any, patches: Any) -> None:
        row = data.StructLayout({"data": self.data.shape(), "patches": self.patches.shape()})
        m.submodules.ram = ram = Memory(shape=row.size, depth=self.depth, init=[])
        write, read = ram.write_port(), ram.read_port()
        m.d.comb += [
            write.data.eq(Cat(octets, patches)),
            write.en.eq(valid),
            read.addr.eq(self.address),
        ]
        with m.If(valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        m.d.sync += Cat(self.data, self.patches).eq(read.data)

        used = Signal(range(self.depth + 1))
        m.d.sync += used.eq(used + self.header.valid - self.free)
        m.d.sync += self.full.eq(used > self.depth - 4 * self.max_beats)
