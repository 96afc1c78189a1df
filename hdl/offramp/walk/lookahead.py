"""Looks along the IPv6 extension headers of a beat before anybody knows where the first of them is."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import at_most, select
from offramp.walk.layout import WALKED, Protocol, is_among

SLOT_BYTES = 4
"""Every extension header starts at a multiple of this, counted from the layer's phase."""

EXTENSION_BYTES = 8
"""Length of the shortest extension header; all lengths are multiples of this."""


class Kind:
    """Kinds of extension headers."""

    OPTIONS = 0
    """Hop-by-hop or destination options."""

    ROUTING = 1
    AUTHENTICATION = 2
    FRAGMENT = 3


class On:
    """What a way leads on to inside a beat."""

    NOWHERE = 0
    PLAIN = 1
    """Options or a routing header, which are followed alike."""

    AUTHENTICATION = 2
    FRAGMENT = PLAIN | AUTHENTICATION
    BITS = 2


class Lines(NamedTuple):
    """What a way leads on to inside a beat, with a line for each: one of them is set."""

    nowhere: Value
    plain: Value
    authentication: Value
    fragment: Value

    @classmethod
    def of(cls, on: Value) -> "Lines":
        """Return the lines of ``on``, one of :class:`On`."""
        return cls(on == On.NOWHERE, on == On.PLAIN, on == On.AUTHENTICATION, on == On.FRAGMENT)


def pick(options: Sequence[Value], number: Value) -> Value:
    """Return that one of ``options``, a power of two of them: a level of logic for each bit of ``number``."""
    if len(options) == 1:
        return options[0]
    pairs = zip(options[0::2], options[1::2], strict=True)
    return pick([Mux(number[0], odd, even) for even, odd in pairs], number[1:])


def place_bits(lanes: int) -> int:
    """Return the bits of a place in a beat."""
    return max(exact_log2(lanes // EXTENSION_BYTES), 1)


class Way(data.StructLayout):
    """Where a chain of extension headers leads that has one of a known kind in a known slot.

    ``last`` is the place of the last extension header that begins in the beat, ``authentication`` and
    ``fragment`` tell its kind. If there is another one, it begins in the next beat (``near``) or in a later
    one (``far``), is of ``kind``, and is at ``place`` of its beat. ``routed`` is not zero if a routing header
    behind the first header has segments left, ``straddles`` says that this is told by the next beat's second
    byte, ``secured`` that there is an AH header. Whatever stands behind that last header begins ``inside``
    the beat, in the ``following`` one, or later.

    Places count pairs of slots: headers are whole pairs long, so the lowest bit of a slot never changes.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    """

    def __init__(self, lanes: int, **more: object) -> None:
        place = place_bits(lanes)
        super().__init__({
            "near": 1,
            "far": 1,
            "kind": 2,
            "place": place,
            "last": place,
            "authentication": 1,
            "fragment": 1,
            "routed": max(exact_log2(lanes // EXTENSION_BYTES), 1),
            "straddles": 1,
            "secured": 1,
            "inside": 1,
            "following": 1,
            **more,
        })


def ways(lanes: int) -> data.ArrayLayout:
    """A :class:`Way` for each slot of a beat, for two kinds: first options and routing, then AH."""
    return data.ArrayLayout(Way(lanes), 2 * (lanes // SLOT_BYTES))


class Lookahead(wiring.Component):
    """Follows the chain of IPv6 extension headers from every slot of a beat that one could begin in.

    To step from header to header in a cycle each would hold the packets up, so all steps that a beat could
    ask for are made in advance: ways inside pairs of headers are joined, then those inside fours, and so on.
    Whoever knows in which slot the chain enters the beat selects its way.

    An AH header that is not a multiple of eight bytes long is not IPv6's (RFC 4302 2.2) and ends its chain.

    Free-running, one beat a cycle; everything is :attr:`latency` cycles behind ``octets``.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    phase : int
        Remainder of the headers' starts by four: 0 or 2.
    latency : int
        Register stages, 2 or 3.

    Members
    -------
    octets : In(ArrayLayout(8, lanes))
        A beat.
    ways : Out(ways(lanes))
        Where every chain that enters it leads.
    left : Out(lanes // 4)
        The routing header that might begin in a slot has segments left, if this beat tells.
    """

    def __init__(self, lanes: int, *, phase: int, latency: int = 2) -> None:
        if phase not in (0, 2):
            raise ValueError(f"phase must be 0 or 2, not {phase!r}")
        if latency not in (2, 3):
            raise ValueError(f"latency must be 2 or 3, not {latency!r}")
        self.lanes = lanes
        self.phase = phase
        self.latency = latency
        self._places = lanes // EXTENSION_BYTES
        self._reaches = [1 << n for n in range(exact_log2(self._places))]  # of the joins
        # A way that is not finished leads ``on`` to a header inside the beat. For each join it is told in
        # advance what kind that is if it is in the group of places that is joined to its own, else zero.
        # Without a join it is there all the same, because Verilog has no signals of no bits.
        self._way = Way(lanes, on=data.ArrayLayout(On.BITS, max(len(self._reaches), 1)))
        super().__init__({
            "octets": In(data.ArrayLayout(8, lanes)),
            "ways": Out(ways(lanes)),
            "left": Out(lanes // SLOT_BYTES),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        joins = len(self._reaches)
        early = min(1, joins) if self.latency == 2 else 0
        stages = [early, joins - early] if self.latency == 2 else [0, joins - joins // 3, joins // 3]

        begun = [self._first(m, slot, kind) for slot in range(2 * self._places) for kind in (0, 1)]
        found, lines = [way for way, _ in begun], [lines for _, lines in begun]
        left = Cat(self._left(slot) for slot in range(2 * self._places))
        reaches = iter(self._reaches)
        for number, steps in enumerate(stages):
            for step in range(steps):
                reach = next(reaches)
                if number or step:
                    lines = [Lines.of(way.on[exact_log2(reach)]) for way in found]
                found = self._join(m, found, lines, left, reach)
            kept = [Signal(self._way, name=f"way{number}_{n}", reset_less=True) for n in range(len(found))]
            later = Signal(len(left), name=f"left{number}", reset_less=True)
            m.d.sync += [register.eq(way) for register, way in zip(kept, found, strict=True)]
            m.d.sync += later.eq(left)
            found, left = kept, later

        for way, end in zip(self.ways, found, strict=True):
            m.d.comb += [way[name].eq(end[name]) for name, _ in Way(self.lanes)]
        m.d.comb += self.left.eq(left)
        return m

    def _left(self, slot: int) -> Value:
        place = SLOT_BYTES * slot + self.phase + 3
        return self.octets[place].any() if place < self.lanes else Const(0)

    def _first(self, m: Module, slot: int, authentication: int) -> tuple[Any, Lines]:
        """Return one step from a header that is, or is not, an AH header, and the lines of the first join.

        These lines are those of the way, but a level earlier, because they are told by the bytes.
        """
        start = SLOT_BYTES * slot + self.phase
        protocol, units = self.octets[start], self.octets[start + 1]
        place, places = slot // 2, self._places

        # The next header is ``jump`` + 1 places further.
        jump = units[1:] if authentication else units
        whole = ~units[0] if authentication else Const(1)
        few = jump[: exact_log2(places) + 1]
        many = jump[len(few) :].any()
        most = at_most(few)
        inside = ~many & most[places - 2 - place] if place < places - 1 else Const(0)
        to_next = ~many & most[2 * places - 2 - place]
        routing, fragment = protocol == Protocol.ROUTING, protocol == Protocol.FRAGMENT
        secured = protocol == Protocol.AH
        walked = whole & is_among(protocol, WALKED)

        way: Any = Signal(self._way, name=f"from{slot}_{authentication}")
        m.d.comb += [
            way.inside.eq(inside),
            way.following.eq(to_next & ~inside),
            way.near.eq(to_next & ~inside & walked),
            way.far.eq(~to_next & walked),
            way.kind.eq(Cat(routing | fragment, secured | fragment)),
            way.place.eq((few + place + 1)[: exact_log2(places)]),
            way.last.eq(place),
            way.authentication.eq(authentication),
            way.secured.eq(authentication),
        ]
        plain = is_among(protocol, [one for one in WALKED if one not in (Protocol.AH, Protocol.FRAGMENT)])
        leads = [whole & ~many & self._leads_to(place, few, reach) for reach in self._reaches]
        for on, there in zip(way.on, leads, strict=False):  # none at 8 lanes
            m.d.comb += on.eq(Cat(there & (plain | fragment), there & (secured | fragment)))
        adjacent = leads[0] if leads else Const(0)
        lines = Lines(~(adjacent & walked), adjacent & plain, adjacent & secured, adjacent & fragment)
        return way, lines

    def _leads_to(self, place: int, jump: Value, reach: int) -> Value:
        """Tell whether the place ``jump`` + 1 behind ``place`` is in the group that is joined to its own."""
        if place & reach:
            return Const(0)
        ahead = range(reach - place % reach - 1, 2 * reach - place % reach - 1)
        return Cat(jump == n for n in ahead).any()

    def _join(
        self, m: Module, found: list[Any], lines: list[Lines], left: Value, reach: int
    ) -> list[Any]:
        """Join the ways of groups of ``reach`` places with those of the groups behind them."""
        joined = []
        bits = exact_log2(reach)
        for n, way in enumerate(found):
            place, parity = n // 4, n // 2 % 2
            if place & reach:
                joined.append(way)
                continue
            group = [(place & -reach) + reach + more for more in range(reach)]
            line, at = lines[n], way.place[:bits]
            steps = []
            for other in group:
                plain, authentication = (found[2 * (2 * other + parity) + kind] for kind in (0, 1))
                steps.append(
                    select([
                        (line.plain, Value.cast(plain)),
                        (line.authentication, Value.cast(authentication)),
                        (line.fragment, Value.cast(self._fragment(other))),
                    ])
                )
            both: Any = Signal(self._way, name=f"reach{reach}_way{n}")
            onward: Any = Signal(self._way, name=f"reach{reach}_onward{n}")
            routing = line.plain & (way.kind == Kind.ROUTING)
            reached = pick([left[2 * other + parity] for other in group], at)
            m.d.comb += [
                onward.eq(pick(steps, at)),
                both.eq(select([(line.nowhere, Value.cast(way))]) | onward.as_value()),
                # A way that leads to a header of the beat has none of these, which are told last.
                *(both[name].eq(way[name] | onward[name]) for name in ("near", "far")),
                both.on.eq(way.on.as_value() | onward.on.as_value()),
                both.routed.eq(way.routed | onward.routed),
                both.routed[bits].eq(routing & reached),  # a bit of its own, or it would come last
                both.secured.eq(way.secured | onward.secured),
            ]
            # The last slot's second byte is of the next beat.
            if self.phase == 2 and group[-1] == self._places - 1 and parity:
                m.d.comb += both.straddles.eq(
                    (line.nowhere & way.straddles) | onward.straddles | (routing & (at == reach - 1))
                )
            joined.append(both)
        return joined

    def _fragment(self, place: int) -> Any:
        """A fragment header is one place long, and whatever it says there is behind it is not looked at."""
        ends = place == self._places - 1
        return self._way.const({"last": place, "inside": not ends, "following": ends, "fragment": 1})
