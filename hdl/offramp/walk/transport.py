"""The last stage of the walk: the innermost TCP or UDP header."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from offramp.walk.layout import Passage
from offramp.walk.word import Wanted, Words

WORDS: Wanted = {0: (), 1: (), 2: (), 3: (), 6: (), 8: ()}
"""Words of the transport header that :class:`TransportHeader` looks at."""

TCP_BYTES = 20  # without options
UDP_BYTES = 8


class TransportHeader(wiring.Component):
    """Reads the transport header and concludes the walk.

    The layout of a packet leaves as soon as its last field has passed, not when the packet or the window
    ends, and it leaves then at the latest. Free-running, one packet a cycle.

    Parameters
    ----------
    passage : Passage
        Layout of the beats.

    Members
    -------
    i : In(passage)
        Beats with a pointer to the transport header.
    words : In(Words(WORDS))
        The words :data:`WORDS` of the header, as far as they have passed with ``i``.
    o : Out(passage)
        The same beats, :attr:`latency` cycles later, each with the layout as far as it is known.
    leaves : Out(1)
        With the beat that completes the layout: one for each packet, in order.
    """

    latency = 1

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        super().__init__({
            "i": In(passage),
            "words": In(Words(WORDS)),
            "o": Out(self.passage),
            "leaves": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pointer = self.i.pointer
        tcp, udp = pointer.tcp, pointer.udp
        source, destination, upper, lower, control, checksum = (
            self.words[f"word{place}"] for place in WORDS
        )

        complete = Signal()
        m.d.comb += complete.eq(
            pointer.known & ~pointer.tentative & ~(tcp & ~checksum.passed) & ~(udp & ~lower.passed)
        )
        offset = control.value[12:16]  # of 32 bits, like everything here
        tcp_size = Mux(control.passed & (offset > TCP_BYTES // 4), offset, TCP_BYTES // 4)
        size = Mux(tcp, tcp_size, Mux(udp, UDP_BYTES // 4, 0))

        known: Any = Signal(self.passage)
        layout = known.layout
        m.d.comb += [
            known.eq(self.i),
            layout.transport.tcp.eq(tcp),
            layout.transport.udp.eq(udp),
            layout.transport.ports.eq(Cat(destination.value, source.value)),
            layout.transport.sequence.eq(Cat(lower.value, upper.value)),
            layout.transport.control.eq(control.value),
            layout.transport.checksum.eq(Mux(udp, lower.value, checksum.value)),
            # Where there is a transport header, that is where the walk has got to so far.
            layout.end.eq(self.i.layout.end + (size << 2)),
            layout.cut.eq(~complete),
            layout.octets.eq(Cat(self.i.count, Mux(self.i.count == 0, self.i.next_index, self.i.index))),
        ]

        # The tunnel's inner frame is known, and so is where the second buffer begins.
        tunnel = self.i.layout.tunnel
        split = self.i.buffer.ended & (self.i.buffer.bytes < tunnel.inner_frame)
        m.d.comb += layout.split.eq((tunnel.nvgre | tunnel.vxlan) & split)

        m.d.comb += self.o.eq(self.passage.later(m, known, name="out"))

        told = Signal()  # this packet's layout has left
        leave = Signal()
        m.d.comb += leave.eq(self.i.valid & (self.i.first | ~told) & (complete | self.i.final))
        m.d.sync += self.leaves.eq(leave)
        with m.If(self.i.valid):
            m.d.sync += told.eq(leave | (told & ~self.i.first))
        return m
