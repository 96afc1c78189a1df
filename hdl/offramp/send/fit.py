"""Makes every packet as long as its request says, and inserts the VLAN tag."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.packet import Beat, check_lanes
from offramp.send.train import TAG_BYTES, Brief, Limits

ADDRESS_BYTES = 12
"""Bytes in front of an inserted VLAN tag (SG-8)."""

TAG_PROTOCOL = 0x8100


class Fit(wiring.Component):
    """Lets packets through in exactly the beats that their length makes, a VLAN tag included.

    From where packet and length disagree, beats are marked ``bad``. A packet that is too long loses the rest;
    one that is too short ends early, but not within the beats that a header block can have, which are filled
    up: whoever was told where the headers are finds the packet to be longer than that.

    A beat a cycle, plus one where a tag makes a packet a beat longer, plus those that are filled up.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    limits : Limits
        What the build can hold.

    Members
    -------
    briefs : In(stream.Signature(Brief(lanes)))
        One for each packet.
    packets : In(stream.Signature(Beat(lanes, ...)))
        The packets; ``mismatch`` on the last beat: they are not as long as they should be.
    room : In(1)
        Beats can be taken in. May be late: up to three more follow.
    beat : Out(StructLayout({"valid": 1, "data": ..., "window": 1, "last": 1, "bad": 1}))
        The packets' beats. ``window`` marks the first ``limits.header_beats(lanes)`` of them.
    """

    briefs: stream.Interface
    packets: stream.Interface

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
        brief: Any = self.briefs.p
        packet: Any = self.packets.p
        window = self.limits.header_beats(self.lanes)

        index = Signal(len(brief.last_beat))
        inside = Signal(init=1)  # of the window
        exhausted = Signal()  # the packet's own bytes have ended
        bad = Signal()
        excess = Signal()  # there are more of them than it should have

        final, over, wrong, ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            final.eq(index == brief.last_beat),
            over.eq(final & ~exhausted & ~packet.last),
            wrong.eq(bad | over | (~exhausted & packet.last & (packet.mismatch | brief.endless))),
            ends.eq(final | (wrong & (~inside | (index == window - 1)))),
        ]

        go = Signal()
        m.d.comb += [
            go.eq(self.briefs.valid & self.room & (self.packets.valid | exhausted)),
            self.packets.ready.eq(self.briefs.valid & self.room & ~exhausted),
        ]

        def finish() -> None:
            m.d.comb += self.briefs.ready.eq(1)
            m.d.sync += [index.eq(0), inside.eq(1), exhausted.eq(0), bad.eq(0), excess.eq(0)]

        m.d.sync += self.beat.valid.eq(go & ~excess)
        with m.If(go):
            m.d.sync += [
                index.eq(index + 1),
                exhausted.eq(exhausted | packet.last),
                bad.eq(wrong),
                excess.eq(over),
            ]
            with m.If(index == window - 1):
                m.d.sync += inside.eq(0)
            with m.If(excess):
                m.d.sync += [index.eq(index), exhausted.eq(0), excess.eq(1)]
                with m.If(packet.last):
                    finish()
            with m.Elif(ends & ~over):
                finish()

        tagged = self._insert_tag(m, index, go)
        m.d.sync += [
            self.beat.data.eq(tagged),
            self.beat.window.eq(inside),
            self.beat.last.eq(ends),
            self.beat.bad.eq(wrong),
        ]
        return m

    def _insert_tag(self, m: Module, index: Signal, go: Signal) -> Any:
        """Put the tag behind the addresses and everything else four lanes further."""
        brief: Any = self.briefs.p
        octets = self.packets.p.data
        kept = Signal(data.ArrayLayout(8, TAG_BYTES), reset_less=True)
        with m.If(go):
            m.d.sync += kept.eq(Cat(octets[n] for n in range(self.lanes - TAG_BYTES, self.lanes)))
        tag = (TAG_PROTOCOL >> 8, TAG_PROTOCOL & 0xFF, brief.tag_control[8:], brief.tag_control[:8])

        place, lane = divmod(ADDRESS_BYTES, self.lanes)
        here = index == place
        tagged = Signal(data.ArrayLayout(8, self.lanes))
        m.d.comb += tagged.eq(octets)
        with m.If(brief.has_tag & (index >= place)):
            for n in range(self.lanes):
                behind = kept[n] if n < TAG_BYTES else octets[n - TAG_BYTES]
                first = octets[n] if n < lane else tag[n - lane] if n < lane + TAG_BYTES else behind
                m.d.comb += tagged[n].eq(Mux(here, first, behind))
        return tagged
