"""One's-complement arithmetic (RFC 1071), the ground of every Internet checksum.

Words are 16 bits wide and count modulo 65,535: a carry out of bit 15 is worth one and comes back in at
bit 0. That never changes the residue, and never turns a sum that is not zero into zero. So everything here
is exact for any number of operands of any value: the result is 0x0000 only when all of them are 0x0000, and
a total that is another multiple of 65,535 is 0xFFFF, as when wide integers are added and folded at the end.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


def word(value: ValueLike) -> Value:
    """Return ``value``, unsigned and at most 16 bits wide, as a value of exactly 16 bits."""
    value = Value.cast(value)
    if len(value) > 16 or value.shape().signed:
        raise ValueError(f"a word must be unsigned and at most 16 bits wide, not {value.shape()!r}")
    return Cat(value, Const(0, 16 - len(value)))


def carry_save(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Add three words into two without propagating a carry: one level of full adders, 32 LUT4.

    One operand may be gated (``word & bit.replicate(16)``) for nothing: the adder then has four inputs.
    """
    half = a ^ b
    return half ^ c, ((a & b) | (half & c)).rotate_left(1)


def levels(words: int) -> int:
    """Return how many levels of :func:`carry_save` turn ``words`` words into two (or one)."""
    return 0 if words <= 2 else 1 + levels(words - words // 3)


def compress(words: Sequence[Value], depth: int | None = None) -> list[Value]:
    """Add words of 16 bits through ``depth`` levels of :func:`carry_save`, by default down to two words.

    A level makes two words of every three; the one or two left over come first in the next level.
    """
    rest = list(words)
    for _ in range(levels(len(rest)) if depth is None else depth):
        whole = len(rest) - len(rest) % 3
        saved = [carry_save(*rest[n : n + 3]) for n in range(0, whole, 3)]
        rest = rest[whole:] + [half for pair in saved for half in pair]
    return rest


def add(*words: ValueLike) -> Value:
    """Return the one's-complement sum of one or more words, 16 bits.

    All but two go through :func:`compress`. The last two meet in one carry chain of 32 bits that holds the
    same addition twice: the lower copy's carry out enters the upper copy, which is the result. A second
    carry cannot arise: with a carry, a + b - 65,536 + 1 is at most 65,535. The chain takes 32 LUT4 of an
    ECP5, as two additions in a row would, but enters and leaves the carry logic once instead of twice.
    """
    match compress([word(value) for value in words]):
        case [a]:
            return a
        case [a, b]:
            return (Cat(a, a) + Cat(b, b))[16:32]
        case _:
            raise ValueError("add needs at least one word")


def plus(a: Value, b: Value, carry: ValueLike = 0) -> Value:
    """Return the sum of two integers and a bit ``carry``, as wide as it takes.

    The carry gets a position of its own, below the others. Even where it is 0, that keeps sums of sums
    apart: Yosys would make one addition of many operands of them, of half as many look-up tables again.
    """
    return (Cat(Const(1, 1), a) + Cat(carry, b))[1:]


def integer_sum(values: Sequence[Value]) -> Value:
    """Return the sum of integers, as wide as it takes: of pairs, then of pairs of these.

    Half as many look-up tables as :func:`compress` takes, but carries propagate in each of the additions.
    """
    if len(values) == 1:
        return values[0]
    half = 1 << ceil_log2(len(values)) - 1
    return plus(integer_sum(values[:half]), integer_sum(values[half:]))


def fold(value: ValueLike) -> Value:
    """Return the 16-bit one's-complement sum of the 16-bit pieces of ``value``, unsigned, of any width."""
    value = Value.cast(value)
    return add(*(value[n : n + 16] for n in range(0, len(value), 16)))


class RangeBeat(data.StructLayout):
    """Bytes to sum, as they stream past.

    Bytes are summed as big-endian 16-bit words: even lanes are high bytes, odd lanes low bytes. A byte that
    is not enabled counts as zero. The beats up to and including one with ``last`` form a group. Looked at
    only when ``valid``.

    Parameters
    ----------
    lanes : int
        Bytes per beat, even.
    granularity : int
        Bytes per enable bit: 1, or a multiple of 2 (whole words) that divides ``lanes``.
    extra : int
        Further words of 16 bits, in a field of this name if there are any. They come with a group's last
        beat and are looked at only then.
    """

    def __init__(self, lanes: int, granularity: int = 1, extra: int = 0) -> None:
        if lanes < 2 or lanes % 2:
            raise ValueError(f"lanes must be even and at least 2, not {lanes!r}")
        if granularity < 1 or lanes % granularity or (granularity > 1 and granularity % 2):
            raise ValueError(f"granularity must be 1 or even and divide {lanes} lanes, not {granularity!r}")
        if extra < 0:
            raise ValueError(f"there cannot be {extra!r} extra words")
        super().__init__({
            "valid": 1,
            "data": data.ArrayLayout(8, lanes),
            "enable": lanes // granularity,
            "last": 1,
            **({"extra": data.ArrayLayout(16, extra)} if extra else {}),
        })


def enabled_words(beat: data.View) -> list[Value]:
    """Return the words of a :class:`RangeBeat`, with zeros for what is not enabled."""
    granularity = len(beat.data) // len(beat.enable)
    octets = [Mux(beat.enable[lane // granularity], octet, 0) for lane, octet in enumerate(beat.data)]
    return [Cat(low, high) for high, low in zip(octets[0::2], octets[1::2], strict=True)]


class RangeSum(wiring.Component):
    """One's-complement sums of byte ranges as they stream past.

    A free-running pipeline without back-pressure: takes a beat every cycle, with or without gaps. The beats
    up to and including one with ``last`` form a group; the next group may begin in the next cycle, and
    groups of one beat may follow each other in every cycle. The sum of a group is on ``sum`` for one cycle,
    exactly :attr:`latency` cycles after its last beat was on ``beat``. A reset forgets all groups under way.

    Groups may be of any length: the sum never overflows.

    Parameters
    ----------
    lanes : int
        Bytes per beat, even.
    granularity : int
        Bytes per enable bit: 1, or a multiple of 2 (whole words) that divides ``lanes``.
    depth : int
        Levels of logic between two registers, 2 or more: 2 is fastest, each further level saves cycles
        and registers. 64 lanes take 7, 5 and 4 cycles with 2, 3 and 4 levels.
    folded : bool
        Fold the sum into one word. Without, it is offered a cycle earlier, as the two words whose
        one's-complement sum it is: to whoever adds more to it, one more word costs hardly anything.

    Attributes
    ----------
    latency : int
        Cycles from a group's last beat to its sum.
    total, first : list[Signal(16)], Signal
        The running total, two words to be added, and whether the next beat begins a group. Not ports: for
        specifications to state invariants on.

    Members
    -------
    beat : In(RangeBeat(lanes, granularity))
        The bytes, what to count of them, and the end of the group.
    sum : Out({"valid": 1, "value": 16}) or Out({"valid": 1, "halves": ArrayLayout(16, 2)})
        Sum of a group, not inverted; 0x0000 only if every enabled byte was zero.
    """

    beat: data.View
    sum: data.View

    def __init__(self, lanes: int, *, granularity: int = 1, depth: int = 3, folded: bool = True) -> None:
        beat = RangeBeat(lanes, granularity)
        if depth < 2:
            raise ValueError(f"depth must be at least 2, not {depth!r}")
        self.lanes = lanes
        self.granularity = granularity
        self.depth = depth
        self.folded = folded
        self.latency = len(self._stages()) + 1 + folded
        self.total = [Signal(16, name=f"total{index}", reset_less=True) for index in range(2)]
        self.first = Signal(init=1)
        super().__init__({
            "beat": In(beat),
            "sum": Out(
                data.StructLayout({
                    "valid": 1,
                    **({"value": 16} if folded else {"halves": data.ArrayLayout(16, 2)}),
                })
            ),
        })

    def _stages(self) -> list[int]:
        """Return the levels of adders of each register stage in front of the accumulator."""
        stages: list[int] = []
        words: list[Value] = [Const(0, 16)] * (self.lanes // 2)
        free = self.depth - 1  # the enables take one level, before anything is added
        while levels(len(words) + 2) > free:  # two more: the accumulator's own words
            depth = min(free, levels(len(words)))
            words = self._compress(words, len(stages), depth)
            stages.append(depth)
            free = self.depth
        return stages

    def _compress(self, words: Sequence[Value], stage: int, depth: int) -> list[Value]:
        """Return what is left of ``words`` after the ``depth`` levels of register stage ``stage``."""
        if stage == 0 and depth >= 2:
            # By fours: two enables in four merge into their adders; by threes it would be one in three.
            words = [word for n in range(0, len(words), 4) for word in compress(words[n : n + 4], 2)]
            depth -= 2
        return compress(words, depth)

    def elaborate(self, platform: object) -> Module:
        m = Module()

        words = enabled_words(self.beat)
        valid, last = self.beat.valid, self.beat.last

        for number, depth in enumerate(self._stages()):
            saved = []
            for index, total in enumerate(self._compress(words, number, depth)):
                saved.append(Signal(16, name=f"stage{number}_word{index}", reset_less=True))
                m.d.sync += saved[-1].eq(total)
            stage_valid = Signal(name=f"stage{number}_valid")
            stage_last = Signal(name=f"stage{number}_last", reset_less=True)
            m.d.sync += [stage_valid.eq(valid), stage_last.eq(last)]
            words, valid, last = saved, stage_valid, stage_last

        # No carry propagates in the loop: the running total stays two words until the group ends.
        done = Signal()
        carried = [word & (~self.first).replicate(16) for word in self.total]
        # Spread so that the two gated words never meet in one adder (see carry_save).
        operands = [*words[:2], carried[0], *words[2:], carried[1]]
        with m.If(valid):
            m.d.sync += [word.eq(value) for word, value in zip(self.total, compress(operands), strict=True)]
            m.d.sync += self.first.eq(last)
        m.d.sync += done.eq(valid & last)

        if self.folded:
            m.d.sync += [self.sum.valid.eq(done), self.sum.value.eq(add(*self.total))]
        else:
            m.d.comb += [self.sum.valid.eq(done), self.sum.halves.eq(Cat(self.total))]
        return m


class RangeTotal(wiring.Component):
    """One's-complement sums of byte ranges: smaller than :class:`RangeSum`, but not as soon.

    Takes beats as :class:`RangeSum` does, one every cycle, groups of any length, back to back. The total of
    a group is on ``sum`` for one cycle, exactly :attr:`latency` cycles after its last beat was on ``beat``.
    A reset forgets all groups under way.

    Parameters
    ----------
    lanes : int
        Bytes per beat, even.
    granularity : int
        Bytes per enable bit: 1, or a multiple of 2 (whole words) that divides ``lanes``.
    extra : int
        Words that come with a group's last beat and count too, like those of a pseudo-header.

    Attributes
    ----------
    latency : int
        Cycles from a group's last beat to its total.
    first : Signal
        Whether the next beat begins a group. Not a port: for specifications to state invariants on.

    Members
    -------
    beat : In(RangeBeat(lanes, granularity, extra))
        The bytes, what to count of them, and the end of the group.
    sum : Out({"valid": 1, "value": 16, "carry": 1})
        The sum is ``value`` and ``carry``, which together are never more than 0xFFFF, and 0x0000 only if all
        that counts was zero. When not ``valid``, what there is of the group under way.
    """

    beat: data.View
    sum: data.View

    def __init__(self, lanes: int, *, granularity: int = 1, extra: int = 0) -> None:
        self.lanes = lanes
        self.granularity = granularity
        self.extra = extra
        count = len(self._taken([Const(0, 16)] * (lanes // 2), [Const(0, 16)] * extra))
        self.latency = 2 + (0 if count <= 2 else -(-ceil_log2(count) // 2))
        self.first = Signal(init=1)
        super().__init__({
            "beat": In(RangeBeat(lanes, granularity, extra)),
            "sum": Out(data.StructLayout({"valid": 1, "value": 16, "carry": 1})),
        })

    def _taken(self, words: Sequence[Value], extra: Sequence[Value]) -> list[Value]:
        """Return what the first registers take of a beat's words."""
        # To leave out a byte costs a look-up table a bit where it enters an adder, but none where a register
        # takes it as it is and is reset instead: at the price of registers. So half is done in either way.
        fours = [words[n : n + 4] for n in range(0, len(words), 4)]
        added = [word for four in fours[0::2] for word in compress(four)]
        return added + [word for four in fours[1::2] for word in four] + list(extra)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, last = self.beat.valid, self.beat.last

        def registered(values: Sequence[Value]) -> list[Value]:
            """Take a step in the pipeline, ``valid`` and ``last`` with the ``values``."""
            nonlocal valid, last
            later = [Signal(len(value), name=f"sum{n}", reset_less=True) for n, value in enumerate(values)]
            later_valid, later_last = Signal(name="valid"), Signal(name="last", reset_less=True)
            m.d.sync += [signal.eq(value) for signal, value in zip(later, values, strict=True)]
            m.d.sync += [later_valid.eq(valid), later_last.eq(last)]
            valid, last = later_valid, later_last
            return list(later)

        extra = [Mux(last, self.beat.extra[n], 0) for n in range(self.extra)]
        words = registered(self._taken(enabled_words(self.beat), extra))
        if len(words) > 2:
            while len(words) > 1:
                words = registered([integer_sum(words[n : n + 4]) for n in range(0, len(words), 4)])
            words = [words[0][:16], word(words[0][16:])]
        words += [Const(0, 16)] * (2 - len(words))

        # The carry out of a beat's addition comes back in with the next one. There never is one beside a
        # total of 0xFFFF: that takes a carry in and three words of 0xFFFF, a total beside a carry among them.
        total, carry = Signal(16, reset_less=True), Signal(reset_less=True)
        going_on = ~self.first
        a, b = carry_save(*words, total & going_on.replicate(16))
        with m.If(valid):
            m.d.sync += [
                Cat(total, carry).eq(plus(a, b, carry & going_on)),
                self.first.eq(last),
            ]
        m.d.sync += self.sum.valid.eq(valid & last)
        m.d.comb += [self.sum.value.eq(total), self.sum.carry.eq(carry)]
        return m


class RangeVerdict(wiring.Component):
    """Whether the checksums of byte ranges are right, as they stream past.

    A range with a right checksum in it adds up to 0xFFFF. A sum of 0x0000 is of zeros only, and not right.

    Takes beats as :class:`RangeTotal` does, one every cycle, groups of any length, back to back. The verdict
    on a group comes exactly :attr:`latency` cycles after its last beat was on ``beat``.

    Parameters
    ----------
    lanes, granularity, extra : int
        As for :class:`RangeTotal`.

    Attributes
    ----------
    latency : int
        Cycles from a group's last beat to its verdict.

    Members
    -------
    beat : In(RangeBeat(lanes, granularity, extra))
        The bytes, what to count of them, and the end of the group.
    verdict : Out({"valid": 1, "good": 1})
        For one cycle, whether what counts of a group adds up to 0xFFFF.
    """

    beat: data.View
    verdict: data.View

    def __init__(self, lanes: int, *, granularity: int = 1, extra: int = 0) -> None:
        self.unit = RangeTotal(lanes, granularity=granularity, extra=extra)
        self.latency = self.unit.latency + 1
        super().__init__({
            "beat": In(RangeBeat(lanes, granularity, extra)),
            "verdict": Out(data.StructLayout({"valid": 1, "good": 1})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        m.d.comb += unit.beat.eq(self.beat)
        m.d.sync += [
            self.verdict.valid.eq(unit.sum.valid),
            # 0xFFFF without a carry, or 0xFFFE with one.
            self.verdict.good.eq((unit.sum.value ^ unit.sum.carry).all()),
        ]
        return m
