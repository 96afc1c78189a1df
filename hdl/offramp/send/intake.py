"""The first stage of the send path: request records."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from offramp.queue import ShallowQueue
from offramp.records import Configuration, Request, SegmentRequest
from offramp.send.train import LENGTH_BITS, Case, Limits


class Intake(wiring.Component):
    """Takes request records and tells the stages behind what each is about.

    The configuration is sampled with the record, so a change takes effect between requests. One request a
    cycle; a few are taken in ahead of their packets.

    Parameters
    ----------
    limits : Limits
        What the build can hold.

    Members
    -------
    config : In(Configuration)
        Configuration of the requests to come.
    requests : In(stream.Signature(Request))
        Request records.
    orders : Out(stream.Signature({"length": 32, "buffers": 16}))
        One for each packet to gather.
    looks : Out(stream.Signature({"nvgre": 1, "vxlan": 1, "vxlan_port": 16}))
        One for each packet to walk through: the tunnels to look into.
    cases : Out(stream.Signature(Case))
        One for each packet to judge.
    accepted : Out(1)
        A request was taken in this cycle.
    """

    requests: stream.Interface
    orders: stream.Interface
    looks: stream.Interface
    cases: stream.Interface

    def __init__(self, limits: Limits, *, depth: int = 64) -> None:
        self.limits = limits
        self.depth = depth
        super().__init__({
            "config": In(Configuration),
            "requests": In(stream.Signature(Request)),
            "orders": Out(stream.Signature(data.StructLayout({"length": 32, "buffers": 16}))),
            "looks": Out(stream.Signature(data.StructLayout({"nvgre": 1, "vxlan": 1, "vxlan_port": 16}))),
            "cases": Out(stream.Signature(Case)),
            "accepted": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Two pipeline cycles into the queues, which stop the input while that still fits.
        m.submodules.orders = orders = ShallowQueue(self.orders.p.shape(), 16, reserve=4)
        m.submodules.looks = looks = ShallowQueue(self.looks.p.shape(), 32, reserve=4)
        m.submodules.cases = cases = ShallowQueue(Case, self.depth, reserve=4)
        for queue, output in ((orders, self.orders), (looks, self.looks), (cases, self.cases)):
            wiring.connect(m, queue.output, wiring.flipped(output))

        room = Signal()
        m.d.sync += room.eq(~(orders.almost_full | looks.almost_full | cases.almost_full))
        m.d.comb += [
            self.requests.ready.eq(room),
            self.accepted.eq(self.requests.valid & room),
        ]

        # First cycle: what each word says by itself.
        given: Any = self.requests.p
        request = Signal(Request, reset_less=True)
        config = Signal(Configuration, reset_less=True)
        taken = Signal()
        lso, uso, has_tag, too_long = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            taken.eq(self.accepted),
            request.eq(given),
            config.eq(self.config),
            lso.eq(given.lso.as_value().any()),
            uso.eq(given.uso.as_value().any()),
            has_tag.eq(given.vlan.as_value()[:16].any()),
            too_long.eq(given.length[LENGTH_BITS:].any()),
        ]

        # Second cycle: what they say together.
        case: Any = cases.input.p
        segment = Mux(lso, request.lso, request.uso)
        word: Any = Signal(SegmentRequest, name="segment_word")
        m.d.comb += word.eq(segment)
        checksum = request.checksum
        valid = checksum.is_ipv4 ^ checksum.is_ipv6
        encapsulated = request.supplemental.is_encapsulated & (valid | lso | uso)
        lso_v1 = lso & ~request.lso.is_v2
        asked = valid & (checksum.tcp | checksum.udp | checksum.ip_header)
        m.d.comb += [
            cases.input.valid.eq(taken),
            case.tag.eq(request.tag),
            case.length.eq(request.length[:LENGTH_BITS] | too_long.replicate(LENGTH_BITS)),
            case.has_tag.eq(has_tag),
            case.tag_control.eq(
                Cat(request.vlan.vlan, request.vlan.canonical_format, request.vlan.priority)
            ),
            case.lso.eq(lso),
            case.lso_v1.eq(lso_v1),
            case.uso.eq(uso),
            case.encapsulated.eq(encapsulated),
            case.work.eq(lso | uso | encapsulated | asked),
            case.checksum_valid.eq(valid),
            case.both_versions.eq(
                (checksum.is_ipv4 & checksum.is_ipv6)
                | (lso & uso & ~encapsulated & ((request.lso.is_ipv6 & ~lso_v1) != request.uso.is_ipv6))
            ),
            case.checksum.eq(checksum),
            case.supplemental.eq(request.supplemental),
            case.mss.eq(word.mss),
            case.mss_zero.eq(word.mss == 0),
            case.mss_over_store.eq(word.mss > self.limits.max_mss),
            case.header_offset.eq(word.header_offset),
            case.is_ipv6.eq(word.is_ipv6 & ~lso_v1),
            case.config.eq(config),
            looks.input.valid.eq(taken),
            looks.input.p.nvgre.eq(encapsulated),
            looks.input.p.vxlan.eq(encapsulated),
            looks.input.p.vxlan_port.eq(config.vxlan_port),
            orders.input.valid.eq(taken),
            orders.input.p.length.eq(request.length),
            orders.input.p.buffers.eq(request.buffers),
        ]
        return m
