"""Computes the hash by which received frames are spread over queues."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.records import RSS_KEY_BYTES

HASH_BITS = 32
INPUT_BYTES = 36
"""Two IPv6 addresses and two ports."""

SHORTEST_BYTES = 34
"""Ethernet and IPv4 without anything behind them: the shortest frame that has a hash."""

HALF = HASH_BITS // 2
BLOCKS = INPUT_BYTES * 8 // HASH_BITS
"""Input and key are cut in blocks of as many bits as the hash has."""

MOST_STEPS = 3
"""Cycles in which blocks are fed in, at most."""

GROUP = 8
"""Products that two levels of LUT4 turn into one bit: two go into the first of them, with their keys."""


class Toeplitz(wiring.Component):
    """Toeplitz hash with a key of 40 bytes (RSS-7).

    A free-running pipeline without back-pressure, in order: the hash of an input is on ``hash`` for one
    cycle, exactly :attr:`latency` cycles after it was on ``source``. Inputs come at least :attr:`spacing`
    cycles apart, as the last beats of frames do of which every other has a hash: one that has none takes no
    part. A reset forgets all inputs under way.

    A shorter input is followed by zeros, which add nothing. Where frames leave more than one cycle for each
    input, it goes through a smaller network, a few blocks a cycle.

    Parameters
    ----------
    lanes : int
        Bytes per beat of the frames.

    Attributes
    ----------
    spacing : int
        Cycles from one input to the next, at least: beats of the shortest frame that has a hash. 5, 3, 2 and
        1 at 8, 16, 32 and 64 lanes.
    latency : int
        Cycles from an input to its hash: 6, 6, 5 and 3.

    Members
    -------
    source : In({"valid": 1, "octets": ArrayLayout(8, 36)})
        What to hash: source address, destination address, source port, destination port as in the packet,
        its first byte in ``octets[0]``.
    key : In(320)
        Key, first byte in the highest bits. Looked at with ``source.valid`` only: each input has its own.
    hash : Out({"valid": 1, "value": 32})
        Hash, first bit in the highest.
    """

    source: data.View
    key: Signal
    hash: data.View

    def __init__(self, lanes: int) -> None:
        if lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {lanes!r}")
        self.lanes = lanes
        self.spacing = -(-SHORTEST_BYTES // lanes)
        # In each cycle; at 8 lanes there would be time for more cycles, but metadata cannot wait for them.
        self._blocks = -(-BLOCKS // min(self.spacing, MOST_STEPS))
        self._steps = -(-BLOCKS // self._blocks)
        self.latency = 3 if self._steps == 1 else self._steps + 3
        super().__init__({
            "source": In(
                data.StructLayout({"valid": 1, "octets": data.ArrayLayout(8, INPUT_BYTES)})
            ),
            "key": In(8 * RSS_KEY_BYTES),
            "hash": Out(data.StructLayout({"valid": 1, "value": HASH_BITS})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        progress = Signal(self.latency)  # bit n: an input came n + 1 cycles ago
        m.d.sync += progress.eq(Cat(self.source.valid, progress))

        # From here on, the first bit of input, key and hash is bit 0. The key's last one meets no input.
        bits = Cat(octet[::-1] for octet in self.source.octets)
        key = self.key[::-1][:-1]
        reach = self._blocks * HASH_BITS + HASH_BITS - 1
        if self._steps > 1:
            bits = self._stepped(m, progress, bits, self._blocks * HASH_BITS, "bits")
            key = self._stepped(m, progress, key, reach, "key")

        # Each half of a block's bits, d0 and d1, meets 16 by 16 bits of the key for each half of the hash: T0
        # and T1 or T1 and T2, of which each begins 16 bits behind the one before. Sums are exclusive-or:
        #     first half of the hash  = T0 d0 + T1 d1 = (T0 + T1) d0 + T1 (d0 + d1)
        #     second half             = T1 d0 + T2 d1 = (T1 + T2) d1 + T1 (d0 + d1)
        # The last product is the same in both, so that there are three in place of four.
        blocks = [bits[n * HASH_BITS : (n + 1) * HASH_BITS] for n in range(self._blocks)]
        both = self._register(m, "both", Cat(block[:HALF] ^ block[HALF:] for block in blocks))
        first = self._register(m, "first", Cat(block[:HALF] for block in blocks))
        second = self._register(m, "second", Cat(block[HALF:] for block in blocks))
        middle = self._register(m, "middle", key[HALF : reach - HALF])
        sums = self._register(m, "sums", (key[HALF:] ^ key[:-HALF])[: reach - HALF])

        common = self._multiply(m, "common", both, middle)
        halves = (
            self._multiply(m, "early", first, sums),
            self._multiply(m, "late", second, sums[HALF:]),
        )

        total = Signal(HASH_BITS, reset_less=True)
        added = Cat(
            Cat(own, shared).xor()
            for half in halves
            for own, shared in zip(half, common, strict=True)
        )
        if self._steps == 1:
            m.d.sync += total.eq(added)
        else:
            begins = progress[2]
            m.d.sync += total.eq(added ^ (total & (~begins).replicate(HASH_BITS)))
        m.d.comb += [self.hash.valid.eq(progress[-1]), self.hash.value.eq(total[::-1])]

        if platform is None and self._steps > 1:
            with m.If(self.source.valid):
                m.d.sync += Assert(~progress[: self.spacing - 1].any(), "inputs are far enough apart")
        return m

    def _stepped(self, m: Module, progress: Signal, value: Value, size: int, name: str) -> Value:
        """Return ``size`` bits of ``value`` as it was with the input, those of another step every cycle.

        The input itself goes straight into a register: whoever offers it has used up the cycle.
        """
        kept = Signal(len(value), name=f"kept_{name}", reset_less=True)
        with m.If(self.source.valid):
            m.d.sync += kept.eq(value)
        parts = [kept[step * self._blocks * HASH_BITS :][:size] for step in range(self._steps)]
        chosen: Value = parts[-1]
        for step in reversed(range(self._steps - 1)):
            chosen = Mux(progress[step], parts[step], chosen)
        return chosen

    @staticmethod
    def _register(m: Module, name: str, value: Value) -> Signal:
        register = Signal(len(value), name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register

    def _multiply(self, m: Module, name: str, halves: Signal, key: Value) -> list[Signal]:
        """Return 16 signals, a cycle later, whose parities are the product of half blocks and their keys.

        Bit q of a half block counts in bit r of the product if bit q + r of the key is set, which has moved
        on by a whole block from one half block to the next.
        """
        parities = []
        for r in range(HALF):
            window = Cat(key[n * HASH_BITS + r :][:HALF] for n in range(self._blocks))
            products = halves & window
            groups = -(-len(products) // GROUP)
            parities.append(Signal(groups, name=f"{name}_{r}", reset_less=True))
            m.d.sync += parities[-1].eq(Cat(products[n::groups].xor() for n in range(groups)))
        return parities
