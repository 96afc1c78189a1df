"""Works out what differs from frame to frame: lengths, identifications, sequence, flags, checksums."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.checksum import add, compress
from offramp.queue import ShallowQueue
from offramp.send.train import Counted, Limits, Train
from offramp.walk.layout import Protocol
from offramp.walk.sums import BaseSums

CWR, PSH, FIN = 7, 3, 0
"""Flag bits in TCP's control word that do not go out with every frame (HDR-15 to HDR-17)."""


class Values(data.Struct):
    """The words that take their places in one frame; see :class:`offramp.send.template.Slot`."""

    outer_length: 16
    outer_id: 16
    outer_checksum: 16
    tunnel_length: 16
    tunnel_checksum: 16
    inner_length: 16
    inner_id: 16
    inner_checksum: 16
    sequence: 32
    control: 16
    transport_length: 16
    transport_checksum: 16


class Terms(data.Struct):
    """A frame's values as far as they are known without its headers' sums.

    ``outer_sum`` ... are what is to be added to those.
    """

    values: Values
    outer_sum: 16
    inner_sum: 16
    tunnel_sum: data.ArrayLayout(16, 2)  # still to be added
    transport_sum: 16
    void: 1  # a refused train: there is no frame
    last: 1  # of its train
    inner_ipv6: 1
    tunnel_zero: 1  # no checksum in the UDP header below VXLAN
    covers: 1  # the payload's sum is still missing in ``tunnel_sum``
    udp: 1


class Plan(wiring.Component):
    """Arithmetic of the header fields (section 4.3 of the rules), all on 16- and 32-bit words.

    One frame a cycle. What can be known before the payload's sum comes waits for it, so that only one
    addition is left to do then.

    Parameters
    ----------
    limits : Limits
        What the build can hold.

    Members
    -------
    train : In(Train(limits))
        A train.
    judged : In(1)
        It is the next one; refused ones too.
    passed : In(1)
        With ``judged``: it is not refused.
    cut : In(StructLayout({"valid": 1, "bytes": ..., "first": 1, "last": 1}))
        A slice is cut; in order.
    base : In(StructLayout({"valid": 1, "sums": BaseSums}))
        The sums of each packet's headers, refused ones too; in order.
    sum : In(StructLayout({"valid": 1, "halves": ArrayLayout(16, 2)}))
        A slice's sum, still to be added up; in order.
    busy : Out(1)
        Stop: a few more trains and sums of headers fit in.
    ahead : Out(1)
        Stop: a few more slices fit in.
    full : Out(1)
        Stop: a few more sums of slices fit in.
    promised : Out(1)
        The values of one more frame will be offered, two cycles from now if no others are waiting.
    values : Out(stream.Signature(Values))
        What each frame's patches are, in order.
    """

    values: stream.Interface

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__({
            "train": In(Train(limits)),
            "judged": In(1),
            "passed": In(1),
            "cut": In(data.StructLayout({"valid": 1, "bytes": limits.slice_bits, "first": 1, "last": 1})),
            "base": In(data.StructLayout({"valid": 1, "sums": BaseSums})),
            "sum": In(data.StructLayout({"valid": 1, "halves": data.ArrayLayout(16, 2)})),
            "busy": Out(1),
            "ahead": Out(1),
            "full": Out(1),
            "promised": Out(1),
            "values": Out(stream.Signature(Values)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        order = data.StructLayout({"train": Train(self.limits), "refused": 1})
        m.submodules.trains = trains = ShallowQueue(order, 32, reserve=12, late=True)
        m.submodules.slices = slices = ShallowQueue(
            data.StructLayout({name: self.cut[name].shape() for name in ("bytes", "first", "last")}),
            32,
            reserve=16,
        )
        m.submodules.bases = bases = ShallowQueue(BaseSums, 32, reserve=16, late=True)
        m.submodules.sums = sums = ShallowQueue(self.sum.halves.shape(), 32, reserve=16)
        m.d.comb += [
            trains.input.valid.eq(self.judged),
            trains.input.p.train.eq(self.train),
            trains.input.p.refused.eq(~self.passed),
            slices.input.valid.eq(self.cut.valid),
            slices.input.p.bytes.eq(self.cut.bytes),
            slices.input.p.first.eq(self.cut.first),
            slices.input.p.last.eq(self.cut.last),
            bases.input.valid.eq(self.base.valid),
            bases.input.p.eq(self.base.sums),
            sums.input.valid.eq(self.sum.valid),
            sums.input.p.eq(self.sum.halves),
        ]
        m.d.sync += [
            self.busy.eq(trains.almost_full | bases.almost_full),
            self.ahead.eq(slices.almost_full),
            self.full.eq(sums.almost_full),
        ]

        m.submodules.terms = terms = ShallowQueue(Terms, 16, reserve=5, late=True)
        self._prepare(m, trains, slices, terms)
        self._conclude(m, terms, bases, sums)
        return m

    def _prepare(self, m: Module, trains: Any, slices: Any, terms: Any) -> None:
        """Everything that needs neither the headers' sums nor the payload's: three cycles."""
        train, refused, piece = trains.output.p.train, trains.output.p.refused, slices.output.p
        field = train.field

        go = Signal()
        room = Signal()
        m.d.sync += room.eq(~terms.almost_full)
        m.d.comb += [
            go.eq(trains.output.valid & (slices.output.valid | refused) & room),
            slices.output.ready.eq(trains.output.valid & ~refused & room),
            trains.output.ready.eq(go & (piece.last | refused)),
        ]

        # First cycle: lengths, and what counts up from frame to frame.
        one: Any = Signal(Terms, reset_less=True)
        values = one.values
        segmented, udp, checked = (
            Signal(name=name, reset_less=True) for name in ("segmented", "udp", "checked")
        )
        seed = Signal(16, reset_less=True)
        # What the headers' sums have of the template's own values, and is to be taken out again.
        old_outer, old_inner = (
            Signal(16, name=name, reset_less=True) for name in ("old_outer", "old_inner")
        )
        old_words = [Signal(16, name=f"old_words{n}", reset_less=True) for n in range(2)]

        next_outer_id, next_inner_id = Signal(16, reset_less=True), Signal(16, reset_less=True)
        next_sequence = Signal(32, reset_less=True)
        outer_id, inner_id, sequence = Signal(16), Signal(16), Signal(32)
        m.d.comb += [
            outer_id.eq(Mux(piece.first, train.outer_id, next_outer_id)),
            inner_id.eq(Mux(piece.first, train.inner_id, next_inner_id)),
            sequence.eq(Mux(piece.first, train.sequence, next_sequence)),
        ]

        def following(number: Any) -> Any:
            """HDR-8: fifteen bits count, the highest stays; sixteen for UDP (USO-6) or on request."""
            higher = (number + 1)[:16]
            return Cat(higher[:15], Mux(train.id_wrap_16, higher[15], number[15]))

        with m.If(go):
            m.d.sync += [
                next_outer_id.eq(following(outer_id)),
                next_inner_id.eq(following(inner_id)),
                next_sequence.eq(sequence + piece.bytes),
            ]
        control = Signal(16)
        m.d.comb += control.eq(train.control)
        with m.If(~piece.first):
            m.d.comb += control[CWR].eq(0)
        with m.If(~piece.last):
            m.d.comb += [control[PSH].eq(0), control[FIN].eq(0)]
        is_tcp = (~train.udp).replicate(16)
        old_transport = compress([train.sequence[16:], train.sequence[:16] & is_tcp, train.control & is_tcp])
        m.d.sync += [
            *(
                values[f"{layer}_length"].eq(train.counted[layer] + piece.bytes)
                for layer, _ in data.Layout.cast(Counted)
            ),
            values.outer_id.eq(outer_id),
            values.inner_id.eq(inner_id),
            values.sequence.eq(sequence),
            values.control.eq(control),
            one.void.eq(refused),
            one.last.eq(piece.last | refused),
            one.inner_ipv6.eq(~train.inner_ipv4),
            one.tunnel_zero.eq(field.tunnel_zero),
            one.covers.eq(~field.transport_checksum),
            one.udp.eq(train.udp),
            segmented.eq(train.segmented),
            udp.eq(train.udp),
            checked.eq(field.transport_checksum),
            seed.eq(train.seed),
            old_outer.eq(add(train.outer_length, train.outer_id)),
            old_inner.eq(add(train.inner_length, train.inner_id & train.inner_ipv4.replicate(16))),
            *(old.eq(value) for old, value in zip(old_words, old_transport, strict=True)),
        ]

        # Second cycle: first sums of them. In one's-complement arithmetic, the complement is the negative.
        two: Any = Signal(Terms, reset_less=True)
        checked_two, segmented_two = Signal(reset_less=True), Signal(reset_less=True)
        pseudo = Signal(16, reset_less=True)  # CS-2: the length is not in a large send's seed (LSO-5, USO-7)
        words = [Signal(16, name=f"words{n}", reset_less=True) for n in range(2)]
        tcp = (~udp).replicate(16)
        m.d.sync += [
            two.eq(one),
            checked_two.eq(checked),
            segmented_two.eq(segmented),
            two.outer_sum.eq(add(values.outer_length, values.outer_id, ~old_outer)),
            two.inner_sum.eq(
                add(values.inner_length, values.inner_id & (~one.inner_ipv6).replicate(16), ~old_inner)
            ),
            pseudo.eq(add(seed, values.transport_length & segmented.replicate(16))),
        ]
        changed = compress([
            *(~old for old in old_words),
            Mux(udp, values.transport_length, values.sequence[:16]),
            values.sequence[16:] & tcp,
            values.control & tcp,
        ])
        m.d.sync += [half.eq(value) for half, value in zip(words, changed, strict=True)]

        # Third cycle. What the transport segment adds to a tunnel checksum is known from its seed alone,
        # since its own checksum makes the segment's sum the complement of its pseudo-header's.
        three: Any = Signal(Terms, reset_less=True)
        done = two.values
        kept = segmented_two.replicate(16)
        m.d.sync += [
            three.eq(two),
            three.transport_sum.eq(add(pseudo, *(half & kept for half in words))),
            three.tunnel_sum.eq(
                Cat(
                    compress([
                        Const(Protocol.UDP, 16),
                        done.tunnel_length.rotate_left(1),  # twice: in the header and in the pseudo-header
                        two.inner_sum & two.inner_ipv6.replicate(16),
                        Mux(checked_two, ~pseudo, words[0]),
                        words[1] & (~checked_two).replicate(16),
                    ])
                )
            ),
        ]
        with m.If(~segmented_two):  # length and identification stay in the template, and in its sums (TXC-13)
            m.d.sync += [three.outer_sum.eq(0), three.inner_sum.eq(0)]
        valid = Signal(3)
        m.d.sync += valid.eq(Cat(go, valid))
        m.d.comb += [terms.input.valid.eq(valid[-1]), terms.input.p.eq(three)]

    def _conclude(self, m: Module, terms: Any, bases: Any, sums: Any) -> None:
        """Checksums: one cycle when the headers' sums are there, one when the payload's is."""
        m.submodules.values = values = ShallowQueue(Values, 32, reserve=4)
        wiring.connect(m, values.output, wiring.flipped(self.values))

        first: Any = Signal(Terms, reset_less=True)
        second: Any = Signal(Terms, reset_less=True)
        tunnel = [Signal(16, name=f"tunnel{n}", reset_less=True) for n in range(2)]
        tunnel_sum = Signal(16, reset_less=True)
        second_go = Signal()

        room = Signal()
        m.d.sync += room.eq(~values.almost_full)
        term, base = terms.output.p, bases.output.p

        def advance(waits: Signal) -> Value:
            """Keep up to date whether a payload's sum is waited for; return whether what waits goes on.

            What is void does not wait, and goes no further.
            """
            goes_on = ~waits | (sums.output.valid & room)
            with m.If(goes_on):
                m.d.sync += waits.eq(terms.output.valid & bases.output.valid & ~term.void)
            return goes_on

        # One for the queues, one for the hundreds of flip-flops, which are slow to reach.
        waits, kept = Signal(), Signal()
        goes_on, moves = advance(waits), advance(kept)
        m.d.comb += [
            second_go.eq(waits & sums.output.valid & room),
            sums.output.ready.eq(waits & room),
        ]
        m.d.comb += [
            terms.output.ready.eq(bases.output.valid & goes_on),
            bases.output.ready.eq(terms.output.valid & term.last & goes_on),
        ]
        with m.If(moves):
            m.d.sync += [
                first.eq(term),
                first.values.outer_checksum.eq(~add(base.outer, term.outer_sum)),
                first.values.inner_checksum.eq(~add(base.inner, term.inner_sum)),
                first.transport_sum.eq(add(base.transport, term.transport_sum)),
            ]
            # An inner IPv4 header is neutral: with its checksum it adds up to nothing.
            known = compress([
                base.outer,
                base.inner & term.inner_ipv6.replicate(16),
                *term.tunnel_sum,
                base.transport & term.covers.replicate(16),
            ])
            m.d.sync += [half.eq(value) for half, value in zip(tunnel, known, strict=True)]

        # A UDP checksum of zero would mean that there is none (TXC-9, USO-10); all ones are the same number.
        payload = list(sums.output.p)
        transport = compress([first.transport_sum, *payload])
        covered = compress([*tunnel, *(half & first.covers.replicate(16) for half in payload)])
        second_udp = Signal(reset_less=True)
        m.d.comb += self.promised.eq(second_go)
        second_valid = Signal()
        m.d.sync += [
            second_valid.eq(second_go),
            second.eq(first),
            second.transport_sum.eq(add(*transport)),
            second_udp.eq(first.udp),
            tunnel_sum.eq(add(*covered)),
        ]
        ones, tunnel_ones = second.transport_sum.all() & second_udp, tunnel_sum.all()
        m.d.comb += [
            values.input.valid.eq(second_valid),
            values.input.p.eq(second.values),
            values.input.p.transport_checksum.eq(~second.transport_sum | ones.replicate(16)),
            values.input.p.tunnel_checksum.eq(
                (~tunnel_sum | tunnel_ones.replicate(16)) & ~second.tunnel_zero.replicate(16)
            ),
        ]
