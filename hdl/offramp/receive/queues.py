"""Decides which queue a received frame is for."""

import functools
import operator

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import select
from offramp.records import QUEUE_BITS, RSS_TABLE_ENTRIES, VMQ_FILTERS, Filter

FILTERING_CYCLES = 3
LOOKUP_CYCLES = 3

GROUP = 4
"""Filters of which the first that matches is found at once."""

ROW = 8
"""Entries of the table of which one is selected at once, by the lowest bits of the hash."""


class Choice(data.Struct):
    """What the filters make of a frame."""

    queue: QUEUE_BITS  # that of the filter, or the default
    spread: 1  # the table counts, if there is a hash
    unfiltered: 1  # no filter is enabled: then the table alone counts


class Queues(wiring.Component):
    """Receive filters and indirection table (RSS-5, RSS-6).

    A free-running pipeline without back-pressure: takes a frame every cycle, in order. The first filter that
    matches gives the queue, if it spreads and the frame has a hash with the table's entry added, modulo 16.
    Without a match it is the default queue. With no filter enabled, it is the table's entry for a frame that
    has a hash, and the default queue for others. A reset forgets all frames under way.

    Parameters
    ----------
    hash_cycles : int
        Cycles from a frame on ``frame`` to its hash on ``hash``, at least 3: the latency of
        :class:`~offramp.receive.toeplitz.Toeplitz` if both are told of a frame in the same cycle.

    Attributes
    ----------
    latency : int
        Cycles from a frame to its queue, 3 more than to its hash.

    Members
    -------
    frame : In({"valid": 1, "mac": 48, "mac_valid": 1, "vlan": 12, "vlan_valid": 1})
        Destination address, first byte in the highest bits: of the inner frame if there is one; and the
        VLAN identifier of the first outer tag. ``mac_valid`` is clear for a frame that ends before it has
        an address: it matches no filter. ``vlan_valid`` is clear if there is no tag.
    hash : In({"valid": 1, "value": 32})
        ``hash_cycles`` later: whether the frame has a hash, and which. Only the lowest seven bits count.
        Means nothing where there is no frame.
    filters : In(ArrayLayout(Filter, 16))
        Looked at in the cycle of ``frame.valid`` and the two after it.
    default_queue : In(4)
        Looked at two cycles after ``frame.valid``.
    table : In(ArrayLayout(4, 128))
        Looked at in the cycle after that of the hash.
    queue : Out({"valid": 1, "value": 4})
        Queue of a frame.
    """

    frame: data.View
    hash: data.View
    filters: data.View
    default_queue: Signal
    table: data.View
    queue: data.View

    def __init__(self, *, hash_cycles: int) -> None:
        if hash_cycles < FILTERING_CYCLES:
            raise ValueError(f"hash_cycles must be at least {FILTERING_CYCLES}, not {hash_cycles!r}")
        self.hash_cycles = hash_cycles
        self.latency = hash_cycles + LOOKUP_CYCLES
        super().__init__({
            "frame": In(
                data.StructLayout({"valid": 1, "mac": 48, "mac_valid": 1, "vlan": 12, "vlan_valid": 1})
            ),
            "hash": In(data.StructLayout({"valid": 1, "value": 32})),
            "filters": In(data.ArrayLayout(Filter, VMQ_FILTERS)),
            "default_queue": In(QUEUE_BITS),
            "table": In(data.ArrayLayout(QUEUE_BITS, RSS_TABLE_ENTRIES)),
            "queue": Out(data.StructLayout({"valid": 1, "value": QUEUE_BITS})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        progress = Signal(self.latency)  # bit n: a frame came n + 1 cycles ago
        m.d.sync += progress.eq(Cat(self.frame.valid, progress))

        choice = self._choose(m, self._match(m))
        for n in range(self.hash_cycles - FILTERING_CYCLES):
            waiting = Signal(Choice, name=f"waiting{n}", reset_less=True)
            m.d.sync += waiting.eq(choice)
            choice = waiting
        self._look_up(m, choice)

        m.d.comb += self.queue.valid.eq(progress[-1])
        return m

    def _match(self, m: Module) -> Value:
        """Return, a cycle later, a bit for each filter: it matches the frame."""
        mac_valid, vlan_valid = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [mac_valid.eq(self.frame.mac_valid), vlan_valid.eq(self.frame.vlan_valid)]
        matches = []
        for n, candidate in enumerate(self.filters):
            same = Signal(2, name=f"same{n}", reset_less=True)
            same_vlan = Signal(name=f"same_vlan{n}", reset_less=True)
            # With anything else in the same cycle, synthesis makes these comparisons much larger.
            m.d.sync += [
                same[0].eq(candidate.mac[:24] == self.frame.mac[:24]),
                same[1].eq(candidate.mac[24:] == self.frame.mac[24:]),
                same_vlan.eq(candidate.vlan == self.frame.vlan),
            ]
            applies = mac_valid & (~candidate.vlan_enable | (vlan_valid & same_vlan))
            matches.append(candidate.enable & same.all() & applies)
        return Cat(matches)

    def _choose(self, m: Module, matches: Value) -> data.View:
        """Return, two cycles later, what the first filter that matches makes of the frame."""
        first = Signal(VMQ_FILTERS, reset_less=True)  # of its group
        found = Signal(VMQ_FILTERS // GROUP, reset_less=True)
        for n in range(VMQ_FILTERS // GROUP):
            group = matches.word_select(n, GROUP)
            m.d.sync += [
                first.word_select(n, GROUP).eq(Cat(group[k] & ~group[:k].any() for k in range(GROUP))),
                found[n].eq(group.any()),
            ]
        unfiltered = Signal(reset_less=True)
        m.d.sync += unfiltered.eq(~Cat(each.enable for each in self.filters).any())

        choice = Signal(Choice, reset_less=True)
        sources = []
        for n, candidate in enumerate(self.filters):
            decides = first[n] & ~found[: n // GROUP].any()
            sources.append((decides, Cat(candidate.queue, candidate.spread)))
        sources.append((~found.any(), Cat(self.default_queue, unfiltered)))
        m.d.sync += [
            Cat(choice.queue, choice.spread).eq(select(sources)),
            choice.unfiltered.eq(unfiltered),
        ]
        return choice

    def _look_up(self, m: Module, choice: data.View) -> None:
        """Three cycles from the hash on: selects, looks up, and adds."""
        # Decoded, because a bit of the hash would have to reach all of the table at once.
        rows = RSS_TABLE_ENTRIES // ROW
        in_row = Signal(ROW, reset_less=True)
        row = Signal(rows, reset_less=True)
        base = [Signal(QUEUE_BITS, name=f"base{n}", reset_less=True) for n in range(2)]
        spread = self.hash.valid & choice.spread
        low, high = self.hash.value[:3], self.hash.value[3:7]
        m.d.sync += [
            in_row.eq(Cat((low == n) & spread for n in range(ROW))),
            row.eq(Cat(high == n for n in range(rows))),
            base[0].eq(Mux(choice.unfiltered & self.hash.valid, 0, choice.queue)),
            base[1].eq(base[0]),
        ]

        added = [Signal(QUEUE_BITS, name=f"added{n}", reset_less=True) for n in range(rows // 2)]
        for index, part in enumerate(added):
            pair = [
                (row[k], select([(in_row[n], self.table[k * ROW + n]) for n in range(ROW)]))
                for k in (2 * index, 2 * index + 1)
            ]
            m.d.sync += part.eq(select(pair))

        m.d.sync += self.queue.value.eq(base[1] + functools.reduce(operator.or_, added))
