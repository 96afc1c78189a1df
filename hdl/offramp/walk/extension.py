"""A stage of the walk: the IPv6 extension headers of one layer."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import select
from offramp.walk.layout import OFFSET_BITS, Passage, Protocol, is_present, is_secured
from offramp.walk.lookahead import EXTENSION_BYTES, SLOT_BYTES, Kind, On, Way, pick, place_bits, ways
from offramp.walk.network import Chain


def lead(on: Value, plain: Value, authentication: Value, fragment: Any) -> Value:
    """Return the way that ``on`` says, zero for none, in a look-up table a bit.

    A fragment header leads where it does whatever it says: that forces both bits of ``on``.
    """
    is_fragment = on == On.FRAGMENT
    bits = []
    for one, two, force in zip(plain, authentication, Value.cast(fragment), strict=True):
        first = (on == On.PLAIN) | (is_fragment & force)
        second = (on == On.AUTHENTICATION) | (is_fragment & force)
        bits.append((first & ~second & one) | (second & ~first & two) | (first & second))
    return Cat(bits)


class Entered(data.StructLayout):
    """What is in a beat that a chain enters: its way, or that of a fragment header, which is the last.

    Fields are those of :class:`~offramp.walk.lookahead.Way`, and whether slots are odd (``parity``). The
    header that is entered is a routing header: it has segments left (``left``), or the next beat tells
    (``leaves``).

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({**Way(lanes).members, "parity": 1, "left": 1, "leaves": 1})


class Cursor(data.StructLayout):
    """Where a chain goes on.

    An extension header of ``kind`` begins in the next beat (``near``) or in a later one (``far``), in an even
    or an odd slot (``parity``), at ``place`` of that beat.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({"near": 1, "far": 1, "parity": 1, "place": place_bits(lanes), "kind": 2})

    def signal(self, name: str, *, ones: bool) -> Any:
        """Return registers for it, which begin with all ones or all zeros."""
        return Signal(self, name=name, init=self.from_bits(-ones & (1 << self.size) - 1), reset_less=True)


class Head(data.Struct):
    """What an extension header says of the one behind it, should it be the last that begins in its beat.

    ``following`` is its Next Header. What is behind it starts at ``plain`` or, if it is an AH header, at
    ``authentication``, both in units of eight bytes; ``odd`` means that this would be no whole number.
    """

    following: 8
    odd: 1
    plain: OFFSET_BITS - 3
    authentication: OFFSET_BITS - 3


class Extensions(wiring.Component):
    """Walks over the IPv6 extension headers that :class:`~offramp.walk.network.IpHeader` has left.

    Free-running, one beat a cycle, however many there are: all ways along the headers of a beat are known
    before (:class:`~offramp.walk.lookahead.Lookahead`), one is selected while the IP header is read, and what
    is at its end is read in the next cycle.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.
    layer : str
        ``"outer"`` or ``"inner"``.
    phase : int
        Remainder of the headers' starts by four.

    Members
    -------
    chain : In(Chain(passage))
        A beat, a cycle before it is on ``i``, and where the chain of extension headers begins.
    ways, left : In(ways(lanes)), In(lanes // 4)
        What is ahead in that beat, with ``chain``.
    i : In(passage)
        Beats with a pointer to the first extension header, if there is one.
    o : Out(passage)
        The same beats, :attr:`latency` cycles later, with a pointer behind the extension headers, and
        measured from there.
    """

    latency = 1

    def __init__(self, passage: Passage, layer: str, *, phase: int) -> None:
        self.passage = passage
        self.layer = layer
        self.phase = phase
        super().__init__({
            "chain": In(Chain(passage)),
            "ways": In(ways(passage.lanes)),
            "left": In(passage.lanes // SLOT_BYTES),
            "i": In(passage),
            "o": Out(passage),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pointer = self.i.pointer
        depth = self.passage.beat_shift
        target = Signal(OFFSET_BITS - depth, reset_less=True)  # the beat of a header that is far away
        found, heads = self._select(m, target)
        step = self._read(m, found, heads)

        # What is known of a packet. Where it has a chain, that is not the beat's word any more.
        beat: Any = self.passage.later(m, self.i, name="out")
        mine, keep = Signal(), Signal()
        at: Any = Signal(
            data.StructLayout({
                "known": 1,
                "ended": 1,
                "more": 1,  # there is an extension header at ``start``
                "tentative": 1,
                "start": OFFSET_BITS,
                "protocol": 8,
                "fragment": 1,
                "secured": 1,
                "routed": 1,
            }),
            reset_less=True,
        )
        straddles = Signal()
        m.d.comb += keep.eq(mine & ~self.i.first)
        with m.If(self.i.valid):
            m.d.sync += [
                mine.eq(keep | pointer.chained),
                straddles.eq(found.here & (found.straddles | found.leaves)),
            ]
            with m.If(found.here | ~keep):
                m.d.sync += [at.start.eq(step.start), target.eq(step.start[depth:])]
            with m.If(found.here):
                m.d.sync += [
                    at.known.eq(~step.more),
                    at.ended.eq(step.ended),
                    at.more.eq(step.more),
                    at.protocol.eq(step.protocol),
                ]
            with m.Elif(~keep):
                m.d.sync += [
                    at.known.eq(pointer.known & ~pointer.chained),
                    at.ended.eq(pointer.ended),
                    at.more.eq(pointer.chained),
                    at.protocol.eq(pointer.protocol),
                ]
            routed = found.routed.any() | found.left
            late = keep & straddles & self.i.data[1].any()
            m.d.sync += [
                at.tentative.eq(pointer.tentative),
                at.fragment.eq((found.here & found.fragment) | (keep & at.fragment)),
                at.secured.eq((found.here & step.secured) | (keep & at.secured)),
                at.routed.eq((found.here & routed) | late | (keep & at.routed)),
            ]

        # A pointer is known by the beat that it points into.
        near = Signal(reset_less=True)  # the next beat has what there is at ``start``
        reached = Signal()
        with m.If(found.here):
            m.d.comb += reached.eq(~step.more & found.inside)
        with m.Elif(keep):
            m.d.comb += reached.eq(at.known & near)
        with m.Else():
            pointed = pointer.start[depth:] == self.i.index
            m.d.comb += reached.eq(pointer.known & ~pointer.chained & pointed)
        apart = Signal.like(self.i.apart, reset_less=True)
        with m.If(self.i.valid):
            m.d.sync += apart.eq(Cat(reached, apart & (~self.i.anew).replicate(len(apart))))
            with m.If(found.here):
                m.d.sync += near.eq(found.following)
            with m.Elif(keep):
                m.d.sync += near.eq(at.start[depth:] == self.i.next_index)
            with m.Else():
                m.d.sync += near.eq(pointer.start[depth:] == self.i.next_index)

        m.d.comb += [
            self.o.eq(beat),
            self.o.apart.eq(apart),
            self.o.pointer.known.eq(at.known),
            self.o.pointer.ended.eq(at.ended),
            self.o.pointer.start.eq(at.start),
            self.o.pointer.protocol.eq(at.protocol),
            self.o.pointer.chained.eq(0),
            self.o.pointer.tentative.eq(at.tentative),
        ]
        for name in ("gre", "tcp", "udp"):
            is_it = at.protocol == getattr(Protocol, name.upper())
            m.d.comb += self.o.pointer[name].eq(at.known & ~at.ended & is_it)
        with m.If(is_present(beat, self.layer)):
            layer, before = self.o.layout[self.layer], beat.layout[self.layer]
            m.d.comb += [
                layer.end.eq(at.start),
                layer.whole.eq(at.known & (before.ipv4 | before.ipv6) & ~before.malformed),
                layer.protocol.eq(at.protocol),
                layer.fragment.eq(before.fragment | at.fragment),
                layer.secured.eq(before.secured | at.secured),
                layer.routed.eq(at.routed),
                self.o.layout.end.eq(at.start + Mux(at.more, EXTENSION_BYTES, 0)),
            ]
        return m

    def _select(self, m: Module, target: Signal) -> tuple[Any, Any]:
        """Select the way of the header with which the chain enters a beat, and keep it for the next cycle.

        Returns what there is, and the :class:`Head` of the header that each place of the beat may have.
        """
        chain: Any = self.chain
        recent = Signal()  # the header after this is told in this cycle, and its beat is not known yet
        # Hundreds of gates look at where the chain goes on, so there is a copy that leads to what is found in
        # the beat. That it begins with ones keeps the two apart.
        begun, begun_too = Signal(), Signal(init=1)
        cursor = Cursor(self.passage.lanes)
        at, at_too = cursor.signal("at", ones=False), cursor.signal("at_too", ones=True)
        keep, keep_too = Signal(), Signal()
        here, there = Signal(), Signal()  # if there is a chain at all: that is known last
        m.d.comb += [
            keep.eq(begun & ~chain.first),
            keep_too.eq(begun_too & ~chain.first),
            there.eq(at.far & ~recent & (target == chain.index)),
            here.eq(Mux(keep, at.near | there, chain.here)),
        ]
        following = self._enter(m, "following", keep, at)
        m.d.sync += recent.eq(chain.valid & (here | ~keep))
        with m.If(chain.valid):
            m.d.sync += [begun.eq(keep | chain.begins), begun_too.eq(keep | chain.begins)]
            for register in (at, at_too):
                with m.If(here):
                    m.d.sync += [register[name].eq(following[name]) for name, _ in cursor]
                with m.Elif(~keep):
                    m.d.sync += [
                        register.near.eq(chain.near),
                        register.far.eq(~chain.near),
                        register.parity.eq(chain.parity),
                        register.place.eq(Mux(chain.parity, chain.odd, chain.even)),
                        register.kind.eq(chain.kind),
                    ]

        entered = self._enter(m, "entered", keep_too, at_too)
        found: Any = Signal(
            data.StructLayout({"here": 1, **Entered(self.passage.lanes).members}), reset_less=True
        )
        # Headers are in even slots or in odd ones.
        odd = Mux(keep_too, at_too.parity, chain.parity)
        places = len(self.left) // 2
        heads: Any = Signal(data.ArrayLayout(Head, places), reset_less=True)
        for n in range(places):
            starts = [self.phase + EXTENSION_BYTES * n + more for more in (0, SLOT_BYTES)]
            even_word, odd_word = (Cat(chain.data[start : start + 2]) for start in starts)
            word = Mux(odd, odd_word, even_word)
            units = word[8:]
            # Headers are eight bytes long and so many times eight more.
            beat = chain.index if n + 1 < places else chain.next_index
            behind = Cat(Const((n + 1) % places, exact_log2(places)), beat)
            m.d.sync += [
                heads[n].following.eq(word[:8]),
                heads[n].odd.eq(units[0]),
                heads[n].plain.eq(behind + units),
                heads[n].authentication.eq(behind + units[1:]),
            ]
        m.d.sync += found.here.eq(here & (keep_too | chain.begins) & chain.valid)
        m.d.sync += [found[name].eq(entered[name]) for name, _ in entered.shape()]
        return found, heads

    def _enter(self, m: Module, name: str, keep: Value, at: Any) -> Any:
        """Return what there is to find in a beat: where the chain begins, or ``at`` if it was to ``keep`` on.

        To tell which takes as long as to follow it in either case.
        """
        chain: Any = self.chain
        begins = self._follow(
            m, f"{name}_first", ~keep, (chain.even, chain.odd), chain.parity, chain.kind, chain.on
        )
        on = Cat(~at.kind[1] | at.kind[0], at.kind[1])
        goes_on = self._follow(m, f"{name}_next", keep, (at.place, at.place), at.parity, at.kind, on)
        entered: Any = Signal.like(begins, name=name)
        m.d.comb += entered.eq(begins.as_value() | goes_on.as_value())
        return entered

    def _follow(
        self,
        m: Module,
        name: str,
        applies: Value,
        places: tuple[Value, Value],
        parity: Value,
        kind: Value,
        on: Value,
    ) -> Any:
        """Return what there is to find if the chain enters a beat with a header of ``kind``.

        ``on``, of :class:`~offramp.walk.lookahead.On`, says how that is followed. It is in an even or an odd
        slot (``parity``), and in that one of two ``places``. All is zero if this does not apply, and so is
        what does not go with a fragment header, which is the last.
        """
        numbers = range(len(self.left) // 2)
        entered: Any = Signal(Entered(self.passage.lanes), name=name)
        way: Any = Signal(self.ways.shape().elem_shape, name=f"{name}_way")
        ways, left = [], []
        for odd, place in enumerate(places):
            is_there = applies & (parity == odd)
            options = (
                pick([Value.cast(self.ways[2 * (2 * n + odd) + other]) for n in numbers], place)
                for other in (0, 1)
            )
            ways.append(lead(on & is_there.replicate(2), *options, self._fragment(m, place, name)))
            left.append((is_there, pick([self.left[2 * n + odd] for n in numbers], place)))
        routing = kind == Kind.ROUTING
        ends = Mux(parity, places[1], places[0]) == len(numbers) - 1
        m.d.comb += [
            way.eq(ways[0] | ways[1]),
            *(entered[field].eq(way[field]) for field, _ in way.shape()),
            entered.parity.eq(applies & parity),
            entered.left.eq(routing & select(left)),
            entered.leaves.eq(applies & routing & ends & parity & (self.phase == 2)),
        ]
        return entered

    def _fragment(self, m: Module, place: Value, name: str) -> Any:
        """Return the way of a fragment header, whatever it says there is behind it."""
        ends = place == len(self.left) // 2 - 1
        way: Any = Signal(self.ways.shape().elem_shape, name=f"{name}_fragment")
        m.d.comb += [way.last.eq(place), way.inside.eq(~ends), way.following.eq(ends), way.fragment.eq(1)]
        return way

    def _read(self, m: Module, found: Any, heads: Any) -> Any:
        """Read what the last header that begins in a beat says of the one behind it.

        Where there is none (``found.here`` is clear), ``start`` is where the chain begins.
        """
        place = found.last[: exact_log2(len(heads))]
        head: Any = Signal(Head)
        m.d.comb += head.eq(pick([Value.cast(head) for head in heads], place))
        # To add before it is known which header is the last takes more adders, but less time.
        tells = found.here & ~found.fragment
        behind_fragment = Cat(place, self.i.index) + 1
        behind = Mux(found.authentication, head.authentication, head.plain)
        start = Mux(tells, behind, Mux(found.here, behind_fragment, self.i.pointer.start[3:]))
        low = Mux(found.here, Cat(Const(self.phase, 2), found.parity), self.i.pointer.start[:3])

        step: Any = Signal(
            data.StructLayout({
                "more": 1,
                "ended": 1,
                "secured": 1,
                "start": OFFSET_BITS,
                "protocol": 8,
            })
        )
        m.d.comb += [
            step.more.eq(found.near | found.far),
            step.ended.eq(found.fragment),
            step.secured.eq(found.secured | is_secured(head.following)),
            step.start.eq(Cat(low, start[: OFFSET_BITS - 3])),
            step.protocol.eq(Mux(found.authentication & head.odd, Protocol.AH, head.following)),
        ]
        return step
