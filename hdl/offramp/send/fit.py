"""Makes every packet as long as its request says, and inserts the VLAN tag."""

from typing import Any

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import Beat, check_lanes
from offramp.send.train import TAG_BYTES, Brief, Limits

ADDRESS_BYTES = 12
"""Bytes in front of an inserted VLAN tag (SG-8)."""

TAG_PROTOCOL = 0x8100


class Arrival(data.StructLayout):
    """A beat, and what is known of it and its packet when it is accepted.

    ``lone`` and ``pair``: one or two beats are what its packet should have, of which the last is
    ``last_beat``. ``breaks``: it ends the packet, which is not as long as it should be. ``tag`` goes into the
    beat of ``tag_here``, those of ``tag_passed`` are behind it.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({
            "data": data.ArrayLayout(8, lanes),
            "first": 1,
            "last": 1,
            "breaks": 1,
            "lone": 1,
            "pair": 1,
            "last_beat": Brief(lanes)["last_beat"].shape,
            "tag": 16,
            "tag_here": 1,
            "tag_passed": 1,
        })


class Fit(wiring.Component):
    """Lets packets through in exactly the beats that their length makes, a VLAN tag included.

    From where packet and length disagree, beats are marked ``bad``. A packet that is too long loses the rest;
    one that is too short ends early, but not within the beats that a header block can have, which are filled
    up: whoever was told where the headers are finds the packet to be longer than that.

    A beat a cycle, plus one where a tag makes a packet a beat longer, plus those that are filled up. A beat
    leaves :attr:`latency` cycles after it is accepted. Back-pressure goes through registers only.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.
    packet : Beat
        Layout of the packets' beats.

    Members
    -------
    briefs : In(stream.Signature(Brief(lanes)))
        One for each packet, taken with the last of its own beats.
    packets : In(stream.Signature(packet))
        The packets; ``mismatch`` on the last beat: they are not as long as they should be.
    room : In(1)
        Beats can be taken in. May be late: up to three more follow.
    beat : Out(StructLayout({"valid": 1, "data": ..., "window": 1, "last": 1, "bad": 1}))
        The packets' beats. ``window`` is ``valid`` for the first ``limits.header_beats(lanes)`` of them only,
        from a register of its own.
    """

    briefs: stream.Interface
    packets: stream.Interface

    latency = 2

    def __init__(self, lanes: int, limits: Limits, packet: Beat) -> None:
        self.lanes = check_lanes(lanes)
        self.limits = limits
        super().__init__({
            "briefs": In(stream.Signature(Brief(lanes))),
            "packets": In(stream.Signature(packet)),
            "room": In(1),
            "beat": Out(data.StructLayout({
                "valid": 1,
                "data": data.ArrayLayout(8, lanes),
                "window": 1,
                "last": 1,
                "bad": 1,
            })),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        window = self.limits.header_beats(self.lanes)

        # The beats that a packet lacks are filled in behind its last one. The next packet's first one, which
        # may have been accepted by then, waits between its two cycles meanwhile; no more are.
        filling = Signal()
        clear = Signal()  # more may be: it is not the case, and there is room
        room = Signal()
        m.d.sync += room.eq(self.room)

        arrived = Signal()
        beat: Any = Signal(Arrival(self.lanes), reset_less=True)
        accepted, arrival = self._accept(m, clear)
        with m.If(~filling):
            m.d.sync += [arrived.eq(accepted), beat.eq(arrival)]

        # What the packet has come to with the beats in front of this one, if this is not its first.
        number = Signal(range(window))  # of this beat
        outside = Signal(reset_less=True)  # of the window
        outmost = Signal(reset_less=True)  # of its beats, or outside
        left = Signal.like(beat.last_beat, reset_less=True)  # beats that there should be behind this one
        final = Signal(reset_less=True)  # none
        bad = Signal(reset_less=True)
        excess = Signal(reset_less=True)  # it has ended, as far as its length goes

        fresh = beat.first & ~filling
        emit, verge, complete, flawed, over, ends = (
            Signal(name=name) for name in ("emit", "verge", "complete", "flawed", "over", "ends")
        )
        m.d.comb += [
            emit.eq(Mux(filling, room, arrived & (beat.first | ~excess))),
            verge.eq(outmost & ~fresh),
            complete.eq(Mux(fresh, beat.lone, final)),
            flawed.eq((bad & ~fresh) | (beat.breaks & ~filling)),
            over.eq(complete & ~beat.last & ~filling),
            ends.eq(complete | (flawed & verge)),
        ]
        # The front is told by what is known first: behind a bad packet it may stop for a cycle in vain.
        with m.If(filling):
            m.d.sync += filling.eq(~(room & ends))
            m.d.sync += clear.eq(self.room & room & (final | (bad & outmost)))
        with m.Else():
            m.d.sync += filling.eq(emit & beat.last & ~ends)
            m.d.sync += clear.eq(self.room & ~(arrived & beat.last & ~Mux(beat.first, beat.lone, final)))
        place = Mux(fresh, 0, number)
        with m.If(emit):
            m.d.sync += [
                number.eq(place + 1),
                outmost.eq(verge | (place == window - 2)),
                outside.eq(verge),
                left.eq(Mux(fresh, beat.last_beat, left) - 1),
                final.eq(Mux(fresh, beat.pair, left == 1)),
                bad.eq(flawed | over),
                excess.eq(over),
            ]
        m.d.sync += [
            self.beat.valid.eq(emit),
            self.beat.window.eq(emit & (~outside | fresh)),
            self.beat.last.eq(ends),
            self.beat.bad.eq(flawed | over),
        ]
        self._insert_tag(m, filling, arrived, beat)

        if platform is None:  # simulation and shipped SystemVerilog, not board builds
            m.d.sync += Assert(~(accepted & filling), "no beat is accepted that has no place")
        return m

    def _accept(self, m: Module, clear: Signal) -> tuple[Value, Any]:
        """First cycle: a beat is accepted, and compared with its brief as far as that takes time."""
        brief: Any = self.briefs.p
        packet: Any = self.packets.p
        tag_beat = ADDRESS_BYTES // self.lanes
        number = Signal(range(tag_beat + 2))  # of the beat, as far as it matters

        accepted = self.packets.valid & self.packets.ready
        m.d.comb += [
            self.packets.ready.eq(clear & self.briefs.valid),
            self.briefs.ready.eq(self.packets.valid & clear & packet.last),
        ]
        with m.If(accepted):
            m.d.sync += number.eq(Mux(packet.last, 0, Mux(number > tag_beat, number, number + 1)))

        arrival: Any = Signal(Arrival(self.lanes))
        m.d.comb += [
            arrival.data.eq(packet.data),
            arrival.first.eq(number == 0),
            arrival.last.eq(packet.last),
            arrival.breaks.eq(packet.last & (packet.mismatch | brief.endless)),
            arrival.lone.eq(brief.last_beat == 0),
            arrival.pair.eq(brief.last_beat == 1),
            arrival.last_beat.eq(brief.last_beat),
            arrival.tag.eq(brief.tag_control),
            arrival.tag_here.eq(brief.has_tag & (number == tag_beat)),
            arrival.tag_passed.eq(brief.has_tag & (number > tag_beat)),
        ]
        return accepted, arrival

    def _insert_tag(self, m: Module, filling: Signal, arrived: Signal, beat: Any) -> None:
        """Second cycle: put the tag behind the addresses and everything else four lanes further."""
        kept = Signal(data.ArrayLayout(8, TAG_BYTES), reset_less=True)  # pushed out of the beat before
        with m.If(arrived & ~filling):
            m.d.sync += kept.eq(Cat(beat.data[n] for n in range(self.lanes - TAG_BYTES, self.lanes)))

        tag = (TAG_PROTOCOL >> 8, TAG_PROTOCOL & 0xFF, beat.tag[8:], beat.tag[:8])
        first = ADDRESS_BYTES % self.lanes
        octets = Signal(data.ArrayLayout(8, self.lanes), reset_less=True)
        m.d.comb += self.beat.data.eq(octets)
        for n in range(self.lanes):
            if n < TAG_BYTES:
                pushed, behind = beat.tag_passed | filling, kept[n]
            else:
                pushed, behind = beat.tag_passed, beat.data[n - TAG_BYTES]
            if n < first:
                octet = Mux(pushed, behind, beat.data[n])
            elif n < first + TAG_BYTES:
                octet = Mux(beat.tag_here, tag[n - first], Mux(pushed, behind, beat.data[n]))
            else:
                octet = Mux(pushed | beat.tag_here, behind, beat.data[n])
            m.d.sync += octets[n].eq(octet)
