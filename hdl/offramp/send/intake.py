"""The first stage of the send path: request records."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from offramp.packet import check_lanes
from offramp.queue import ShallowQueue
from offramp.records import Configuration, Request, SegmentRequest
from offramp.send.train import LENGTH_BITS, TAG_BYTES, Brief, Case, Order


class Intake(wiring.Component):
    """Takes request records and tells the stages behind what each is about.

    The configuration is sampled with the record, so a change takes effect between requests. One request a
    cycle; a few are taken in ahead of their packets.

    Parameters
    ----------
    lanes : int
        Bytes per beat.
    depth : int
        Requests that may wait to be judged.

    Members
    -------
    config : In(Configuration)
        Configuration of the requests to come.
    requests : In(stream.Signature(Request))
        Request records.
    hold : In(1)
        Stop: up to two more are taken.
    orders : Out(stream.Signature(Order(), always_ready=True))
        One for each packet to gather, in the cycle in which its request is taken.
    briefs : Out(stream.Signature(Brief(lanes)))
        One for each packet that arrives.
    cases : Out(stream.Signature(Case))
        One for each packet to judge.
    accepted : Out(1)
        A request was taken in this cycle.
    """

    requests: stream.Interface
    orders: stream.Interface
    briefs: stream.Interface
    cases: stream.Interface

    def __init__(self, lanes: int, *, depth: int = 32) -> None:
        self.lanes = check_lanes(lanes)
        self.depth = depth
        super().__init__({
            "config": In(Configuration),
            "requests": In(stream.Signature(Request)),
            "hold": In(1),
            "orders": Out(stream.Signature(Order(), always_ready=True)),
            "briefs": Out(stream.Signature(Brief(lanes))),
            "cases": Out(stream.Signature(Case)),
            "accepted": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Two pipeline cycles into the queues, which stop the input while that still fits.
        m.submodules.briefs = briefs = ShallowQueue(Brief(self.lanes), 32, reserve=4, late=True)
        m.submodules.cases = cases = ShallowQueue(Case, self.depth, reserve=4)
        for queue, output in ((briefs, self.briefs), (cases, self.cases)):
            wiring.connect(m, queue.output, wiring.flipped(output))

        given: Any = self.requests.p
        room = Signal()
        accepted = self.requests.valid & room
        m.d.sync += room.eq(~(briefs.almost_full | cases.almost_full | self.hold))
        m.d.comb += [
            self.requests.ready.eq(room),
            self.accepted.eq(accepted),
            self.orders.valid.eq(accepted),
            self.orders.p.length.eq(given.length),
            self.orders.p.buffers.eq(given.buffers),
        ]

        # First cycle: what each word says by itself.
        request = Signal(Request, reset_less=True)
        config = Signal(Configuration, reset_less=True)
        taken = Signal()
        lso, uso, has_tag, too_long, empty, no_buffers = (
            Signal(name=name, reset_less=True)
            for name in ("lso", "uso", "has_tag", "too_long", "empty", "no_buffers")
        )
        m.d.sync += [
            taken.eq(accepted),
            request.eq(given),
            config.eq(self.config),
            lso.eq(given.lso.as_value().any()),
            uso.eq(given.uso.as_value().any()),
            has_tag.eq(given.vlan.as_value()[:16].any()),
            too_long.eq(given.length[LENGTH_BITS:].any()),
            empty.eq(~given.length[:LENGTH_BITS].any()),
            no_buffers.eq(given.buffers == 0),
        ]

        # Second cycle: what they say together.
        word: Any = Signal(SegmentRequest, name="segment_word")
        checksum = request.checksum
        valid = checksum.is_ipv4 ^ checksum.is_ipv6
        encapsulated = request.supplemental.is_encapsulated & (valid | lso | uso)
        lso_v1 = lso & ~request.lso.is_v2
        # Segmentation words of an encapsulated packet do not say which of its headers they mean (OOB-16).
        plain = ~request.supplemental.is_encapsulated
        lso_ipv6 = request.lso.is_ipv6 & request.lso.is_v2
        says_ipv4 = plain & ((lso & ~lso_ipv6) | (uso & ~request.uso.is_ipv6))
        says_ipv6 = plain & ((lso & lso_ipv6) | (uso & request.uso.is_ipv6))
        asked = valid & (checksum.tcp | checksum.udp | checksum.ip_header)
        last_byte = Signal(LENGTH_BITS)
        with m.If(too_long):
            m.d.comb += last_byte.eq(-1)
        with m.Elif(~empty):
            m.d.comb += last_byte.eq(request.length + Mux(has_tag, TAG_BYTES - 1, -1))
        known = Signal()
        case: Any = Signal(Case, reset_less=True)
        brief: Any = Signal(Brief(self.lanes), reset_less=True)
        m.d.comb += word.eq(Mux(lso, request.lso, request.uso))
        m.d.sync += [
            known.eq(taken),
            case.tag.eq(request.tag),
            case.length.eq(request.length[:LENGTH_BITS] | too_long.replicate(LENGTH_BITS)),
            case.last_byte.eq(last_byte),
            case.no_buffers.eq(no_buffers & (too_long | ~empty)),
            case.has_tag.eq(has_tag),
            case.lso.eq(lso),
            case.lso_v1.eq(lso_v1),
            case.uso.eq(uso),
            case.encapsulated.eq(encapsulated),
            case.work.eq(lso | uso | encapsulated | asked),
            case.checksum_valid.eq(valid),
            case.both_versions.eq((checksum.is_ipv4 | says_ipv4) & (checksum.is_ipv6 | says_ipv6)),
            case.checksum.eq(checksum),
            case.supplemental.eq(request.supplemental),
            case.mss.eq(word.mss),
            case.header_offset.eq(word.header_offset),
            case.is_ipv6.eq(word.is_ipv6 & ~lso_v1),
            case.config.eq(config),
            brief.has_tag.eq(has_tag),
            brief.tag_control.eq(
                Cat(request.vlan.vlan, request.vlan.canonical_format, request.vlan.priority)
            ),
            brief.endless.eq(too_long),
            brief.last_beat.eq(last_byte >> exact_log2(self.lanes)),
            brief.look.nvgre.eq(encapsulated),
            brief.look.vxlan.eq(encapsulated),
            brief.look.vxlan_port.eq(config.vxlan_port),
        ]
        m.d.comb += [
            cases.input.valid.eq(known),
            cases.input.p.eq(case),
            briefs.input.valid.eq(known),
            briefs.input.p.eq(brief),
        ]
        return m
