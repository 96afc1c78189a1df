"""A stage of the walk: the IPv6 extension headers of one layer."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import OFFSET_BITS, Passage, Protocol, is_present, is_secured
from offramp.walk.lookahead import EXTENSION_BYTES, SLOT_BYTES, Kind, pick, ways
from offramp.walk.network import Chain


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
        found = self._select(m, target)
        step = self._read(m, found)

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
            m.d.sync += [mine.eq(keep | pointer.chained), straddles.eq(found.here & found.straddles)]
            with m.If(found.here):
                m.d.sync += [
                    at.known.eq(~step.more),
                    at.ended.eq(step.ended),
                    at.more.eq(step.more),
                    at.start.eq(step.start),
                    at.protocol.eq(step.protocol),
                    target.eq(step.start[depth:]),
                ]
            with m.Elif(~keep):
                m.d.sync += [
                    target.eq(pointer.start[depth:]),
                    at.known.eq(pointer.known & ~pointer.chained),
                    at.ended.eq(pointer.ended),
                    at.more.eq(pointer.chained),
                    at.start.eq(pointer.start),
                    at.protocol.eq(pointer.protocol),
                ]
            late = keep & straddles & self.i.data[1].any()
            m.d.sync += [
                at.tentative.eq(pointer.tentative),
                at.fragment.eq((found.here & found.fragment) | (keep & at.fragment)),
                at.secured.eq((found.here & step.secured) | (keep & at.secured)),
                at.routed.eq((found.here & found.routed) | late | (keep & at.routed)),
            ]

        # A pointer is known by the beat that it points into.
        near = Signal(reset_less=True)  # the next beat has what there is at ``start``
        reached = Signal()
        with m.If(found.here):
            m.d.comb += reached.eq(~step.more & step.inside)
        with m.Elif(keep):
            m.d.comb += reached.eq(at.known & near)
        with m.Else():
            pointed = pointer.start[depth:] == self.i.index
            m.d.comb += reached.eq(pointer.known & ~pointer.chained & pointed)
        apart = Signal.like(self.i.apart, reset_less=True)
        with m.If(self.i.valid):
            m.d.sync += apart.eq(Cat(reached, apart & (~self.i.anew).replicate(len(apart))))
            with m.If(found.here):
                m.d.sync += near.eq(step.near)
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

    def _select(self, m: Module, target: Signal) -> Any:
        """Select the way of the header with which the chain enters a beat, and keep it for the next cycle."""
        chain: Any = self.chain
        begun, keep = Signal(), Signal()
        recent = Signal()  # the header after this is told in this cycle, and its beat is not known yet
        at: Any = Signal(
            data.StructLayout({
                "near": 1,  # an extension header begins in the next beat,
                "far": 1,  # or in a later one,
                "slot": chain.slot.shape(),
                "kind": 2,
            }),
            reset_less=True,
        )
        here, there = Signal(), Signal()
        slot, kind = Signal.like(chain.slot), Signal(2)
        m.d.comb += [
            keep.eq(begun & ~chain.first),
            there.eq(at.far & ~recent & (target == chain.index)),
            here.eq(Mux(keep, at.near | there, chain.begins & chain.here)),
            slot.eq(Mux(keep, at.slot, chain.slot)),
            kind.eq(Mux(keep, at.kind, chain.kind)),
        ]
        slots = range(len(self.left))
        options = [self.ways[2 * n + ah] for ah in (0, 1) for n in slots]
        way: Any = Signal(options[0].shape(), name="way")
        authentication, fragment = kind == Kind.AUTHENTICATION, kind == Kind.FRAGMENT
        m.d.comb += way.eq(pick([option.as_value() for option in options], Cat(slot, authentication)))
        m.d.sync += recent.eq(chain.valid & (here | ~keep))
        with m.If(chain.valid):
            m.d.sync += begun.eq(keep | chain.begins)
            with m.If(here):
                m.d.sync += [
                    at.near.eq(way.near & ~fragment),
                    at.far.eq(way.far & ~fragment),
                    at.kind.eq(way.kind),
                    at.slot.eq(Cat(slot[0], way.place)),
                ]
            with m.Elif(~keep):
                m.d.sync += [
                    at.near.eq(chain.begins & chain.near),
                    at.far.eq(chain.begins & ~chain.near),
                    at.kind.eq(chain.kind),
                    at.slot.eq(chain.slot),
                ]

        found: Any = Signal(
            data.StructLayout({
                "here": 1,
                "more": 1,
                "slot": chain.slot.shape(),  # of the last header that begins in the beat
                "authentication": 1,
                "fragment": 1,
                "secured": 1,
                "routed": 1,
                "straddles": 1,
            }),
            reset_less=True,
        )
        routing = kind == Kind.ROUTING
        at_end = slot.all() & (self.phase == 2)
        m.d.sync += [
            found.here.eq(here & chain.valid),
            found.more.eq((way.near | way.far) & ~fragment),
            found.slot.eq(Mux(fragment, slot, Cat(slot[0], way.last))),
            found.authentication.eq(way.authentication & ~fragment),
            found.fragment.eq(way.fragment | fragment),
            found.secured.eq(way.secured & ~fragment),
            found.routed.eq((way.routed & ~fragment) | (routing & pick(list(self.left), slot))),
            found.straddles.eq((way.straddles & ~fragment) | (routing & at_end)),
        ]

        return found

    def _read(self, m: Module, found: Any) -> Any:
        """Read what the last header that begins in a beat says of the one behind it."""
        octets = self.i.data
        lanes = range(self.phase, self.passage.lanes, SLOT_BYTES)
        following = pick([octets[lane] for lane in lanes], found.slot)
        units = pick([octets[lane + 1] for lane in lanes], found.slot)
        # Headers are eight bytes long and so many times eight more. A one below carries into the sum.
        more = Mux(found.authentication, units[1:], units & (~found.fragment).replicate(8))
        parity, place = found.slot[0], found.slot[1:]
        offset = Signal(10)  # from the beat, in eights
        m.d.comb += offset.eq((Cat(1, place) + Cat(1, more)) >> 1)
        start = (Cat(1, place, self.i.index) + Cat(1, more)) >> 1

        step: Any = Signal(
            data.StructLayout({
                "more": 1,
                "ended": 1,
                "secured": 1,
                "inside": 1,  # ``start`` is in this beat,
                "near": 1,  # or in the next one
                "start": OFFSET_BITS,
                "protocol": 8,
            })
        )
        beats = offset[len(place) :]
        m.d.comb += [
            step.more.eq(found.more),
            step.ended.eq(found.fragment),
            step.secured.eq(found.secured | is_secured(following)),
            step.inside.eq(beats == 0),
            step.near.eq(beats == 1),
            step.start.eq(Cat(Const(self.phase, 2), parity, start)),
            step.protocol.eq(Mux(found.authentication & units[0], Protocol.AH, following)),
        ]
        return step
