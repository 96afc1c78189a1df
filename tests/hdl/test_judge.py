import itertools
import random

import pytest
from amaranth.lib import data
from offramp.records import Configuration, Status
from offramp.send.judge import Judge
from offramp.send.train import TAG_BYTES

from tests.hdl.streams import plain, simulate
from tests.hdl.trains import LIMITS

ACK, SYN, RST, PSH, URG = 0x5010, 0x02, 0x04, 0x08, 0x20
EVERYTHING = {
    name: {"nvgre": 1, "vxlan": 1} if name == "encapsulation" else (1 << field.width) - 1
    for name, field in data.Layout.cast(Configuration)
}
IPV4 = {"ipv4": 1, "length": 40, "identification": 7, "start": 14, "end": 34}
IPV6 = {"ipv4": 0, "ipv6": 1, "length": 20, "start": 14, "end": 54}
VXLAN = {"nvgre": 0, "vxlan": 1}
TCP = {"tcp": 1, "sequence": 0xFFFF_FFFE, "control": ACK | PSH, "checksum": 0x1234}


def merged(*parts):
    """Dictionaries of dictionaries, the later ones prevailing."""
    whole = {}
    for part in parts:
        for key, value in part.items():
            whole[key] = merged(whole.get(key, {}), value) if isinstance(value, dict) else value
    return whole


LARGE_SEND = {
    "case": {
        "work": 1,
        "tag": 99,
        "length": 54 + 1000,
        "last_byte": 54 + 999,
        "lso": 1,
        "mss": 100,
        "header_offset": 34,
        "config": EVERYTHING,
    },
    "layout": {"outer": IPV4, "transport": TCP, "end": 54, "last": 0},
}
"""TCP over IPv4, to be segmented."""

TUNNELLED = merged(LARGE_SEND, {
    "case": {
        "length": 96 + 1000,
        "last_byte": 96 + 999,
        "encapsulated": 1,
        "checksum_valid": 1,
        "checksum": {"is_ipv4": 1},
        "header_offset": 0x3FF,  # REQ-7
        "supplemental": {
            "offsets_valid": 1,
            "inner_frame_offset": 42,
            "ip_relative_offset": 14,
            "tcp_relative_offset": 20,
        },
    },
    "layout": {
        "tunnel": {"nvgre": 1, "inner_frame": 42},
        "inner": IPV4 | {"identification": 8, "start": 56, "end": 76},
        "end": 96,
    },
})
"""The same in NVGRE."""

CHECKSUM = merged(LARGE_SEND, {
    "case": {
        "lso": 0,
        "mss": 0,
        "header_offset": 0,
        "length": 64,
        "last_byte": 63,
        "checksum_valid": 1,
        "checksum": {"is_ipv4": 1, "tcp": 1, "ip_header": 1},
    },
    "layout": {"outer": {"length": 50}},
})
"""TCP over IPv4, to be sent whole with its checksums put in."""

DATAGRAM = merged(CHECKSUM, {
    "case": {"checksum": {"tcp": 0, "udp": 1}},
    "layout": {"end": 42, "transport": {"tcp": 0, "udp": 1, "sequence": 30 << 16}},
})
"""UDP, likewise."""

BYSTANDER = {"case": {"length": 60, "last_byte": 59, "config": EVERYTHING}, "layout": {"cut": 1, "last": 1}}
"""A packet that nothing is to be done with."""


def judge(*requests):
    """Judge a request in every cycle; return train, whether it passed, and the hints, of each."""
    dut = Judge(LIMITS)
    verdicts, hints, cycles = [], [], []

    async def bench(ctx):
        for cycle in range(len(requests) + dut.latency + 2):
            if cycle < len(requests):
                ctx.set(dut.cases.valid, 1)
                ctx.set(dut.cases.payload, requests[cycle]["case"])
                ctx.set(dut.layout, {"valid": 1, "layout": requests[cycle]["layout"]})
                assert ctx.get(dut.cases.ready)
            else:
                ctx.set(dut.layout.valid, 0)
            ports = (dut.judged, dut.passed, dut.train, dut.hints)
            _, _, judged, passed, train, told = await ctx.tick().sample(*ports)
            if judged:
                verdicts.append((plain(train) | {"status": ctx.get(dut.status)}, passed))
                hints.append(plain(told))
                cycles.append(cycle)
            else:
                assert not any(plain(told).values())

    simulate(dut, bench)
    assert cycles == [dut.latency + n for n in range(len(requests))], "one a cycle, after the latency"
    for train, passed in verdicts:
        assert passed == (train["status"] == Status.OK)
    return [(*verdict, told) for verdict, told in zip(verdicts, hints, strict=True)]


def statuses(*requests):
    return [Status(train["status"]) for train, *_ in judge(*requests)]


def case(**changes):
    return {"case": changes}


def layout(**changes):
    return {"layout": changes}


OBJECTIONS = {
    Status.BUFFER_MISMATCH: layout(last=1, octets=90),
    Status.VERSION_CONFLICT: case(checksum={"is_ipv4": 0, "is_ipv6": 1}),
    Status.LSO_V1_ENCAPSULATED: case(lso_v1=1),
    Status.HEADER_TRUNCATED: case(length=95),
    Status.IP_HEADER: layout(outer={"malformed": 1}),
    Status.TUNNEL_UNSUPPORTED: layout(tunnel={"nvgre": 0}),
    Status.GRE_OPTIONS: layout(tunnel={"nvgre": 0, "gre_options": 1}),
    Status.TUNNEL_DISABLED: case(config={"encapsulation": {"nvgre": 0}}),
    Status.FRAGMENT: layout(inner={"fragment": 1}),
    Status.EXTENSION_UNSUPPORTED: layout(outer={"secured": 1}),
    Status.PROTOCOL_MISMATCH: layout(transport={"tcp": 0}),
    Status.TCP_DATA_OFFSET: layout(transport={"control": 0x4010}),
    Status.TCP_FLAGS: layout(transport={"control": ACK | SYN}),
    Status.OFFSETS_DISAGREE: case(supplemental={"tcp_relative_offset": 22}),
    Status.HEADER_TOO_LONG: layout(end=258),
    Status.LSO_DISABLED: case(config={"lso_ipv4": 0}),
    Status.MSS_ZERO: case(mss=0),
    Status.PAYLOAD_TOO_LONG: case(config={"max_offload_ipv4_bytes": 200}),
    Status.SEGMENT_TOO_LONG: case(length=70_000, mss=69_000),
    Status.MSS_OVER_STORE: case(mss=LIMITS.max_mss + 1),
}
"""What makes each objection to a tunnelled large send."""


def test_without_an_objection_a_request_passes():
    requests = (LARGE_SEND, TUNNELLED, CHECKSUM, DATAGRAM, BYSTANDER)
    assert statuses(*requests) == [Status.OK] * len(requests)


def test_every_objection_is_reported():
    found = statuses(*(merged(TUNNELLED, change) for change in OBJECTIONS.values()))
    assert found == list(OBJECTIONS)


def test_of_two_objections_the_lower_number_is_reported():
    exclusive = (
        {Status.TUNNEL_UNSUPPORTED, Status.GRE_OPTIONS},
        {Status.TCP_DATA_OFFSET, Status.TCP_FLAGS},  # in the same word
    )
    pairs = [pair for pair in itertools.combinations(OBJECTIONS, 2) if set(pair) not in exclusive]
    requests = [merged(TUNNELLED, OBJECTIONS[high], OBJECTIONS[low]) for low, high in pairs]
    assert statuses(*requests) == [low for low, _ in pairs]


def test_objections_leave_nothing_behind():
    rng = random.Random(1)
    chosen = [rng.choice([None, *OBJECTIONS]) for _ in range(60)]
    requests = [merged(TUNNELLED, OBJECTIONS[status] if status else {}) for status in chosen]
    assert statuses(*requests) == [status or Status.OK for status in chosen]


UDP_SEND = merged(
    LARGE_SEND,
    case(lso=0, uso=1),
    layout(transport={"tcp": 0, "udp": 1, "control": 0xFFFF}, end=42),
)


BOUNDARIES = [
    # REQ-16: the innermost IP version decides what is switched on
    (merged(LARGE_SEND, case(config={"lso_ipv4": 0})), Status.LSO_DISABLED),
    (merged(LARGE_SEND, case(config={"lso_ipv6": 0, "uso_ipv4": 0})), Status.OK),
    (merged(TUNNELLED, case(config={"lso_ipv4": 0}), layout(inner={"ipv4": 0, "ipv6": 1})), Status.OK),
    (
        merged(TUNNELLED, case(config={"lso_ipv6": 0}), layout(inner={"ipv4": 0, "ipv6": 1})),
        Status.LSO_DISABLED,
    ),
    (UDP_SEND, Status.OK),
    (merged(UDP_SEND, case(config={"uso_ipv4": 0})), Status.USO_DISABLED),
    (merged(UDP_SEND, case(lso=1)), Status.PROTOCOL_MISMATCH),
    (merged(LARGE_SEND, case(uso=1)), Status.PROTOCOL_MISMATCH),
    (merged(UDP_SEND, layout(transport={"udp": 0})), Status.PROTOCOL_MISMATCH),
    # INV-12
    (merged(LARGE_SEND, case(is_ipv6=1)), Status.VERSION_CONFLICT),
    (merged(BYSTANDER, case(both_versions=1)), Status.VERSION_CONFLICT),
    (merged(TUNNELLED, case(is_ipv6=1)), Status.OK),  # OOB-16
    (merged(CHECKSUM, case(checksum={"is_ipv4": 0, "is_ipv6": 1})), Status.VERSION_CONFLICT),
    # INV-2; an offset of zero is none at all for a checksum only
    (merged(LARGE_SEND, case(header_offset=0)), Status.OFFSETS_DISAGREE),
    (merged(LARGE_SEND, case(header_offset=36)), Status.OFFSETS_DISAGREE),
    (merged(CHECKSUM, case(checksum={"tcp_header_offset": 34})), Status.OK),
    (merged(CHECKSUM, case(checksum={"tcp_header_offset": 35})), Status.OFFSETS_DISAGREE),
    (merged(DATAGRAM, case(checksum={"tcp_header_offset": 35})), Status.OK),
    (merged(TUNNELLED, case(supplemental={"inner_frame_offset": 41})), Status.OFFSETS_DISAGREE),
    (merged(TUNNELLED, case(supplemental={"ip_relative_offset": 18})), Status.OFFSETS_DISAGREE),
    (
        merged(TUNNELLED, case(supplemental={"offsets_valid": 0, "inner_frame_offset": 9})),
        Status.OK,
    ),  # INV-1
    # ... also if what is behind them is cut off, and nobody has asked for it
    *((merged(TUNNELLED, case(lso=0, length=80, supplemental={"tcp_relative_offset": offset}),
              layout(cut=1, last=1, octets=80)), found)
      for offset, found in ((20, Status.OK), (22, Status.OFFSETS_DISAGREE))),
    # INV-6
    *((merged(LARGE_SEND, layout(transport={"control": ACK | flag})), Status.TCP_FLAGS)
      for flag in (SYN, RST, URG)),
    (merged(CHECKSUM, layout(transport={"control": ACK | SYN})), Status.OK),
    (merged(LARGE_SEND, layout(outer={"fragment": 1})), Status.FRAGMENT),
    (merged(CHECKSUM, layout(outer={"fragment": 1}, transport={"tcp": 0})), Status.OK),  # TXC-11
    (merged(CHECKSUM, layout(outer={"secured": 1}, transport={"tcp": 0})), Status.OK),
    # INV-14
    (merged(CHECKSUM, layout(transport={"control": 0x4010})), Status.TCP_DATA_OFFSET),
    (merged(CHECKSUM, case(checksum={"tcp": 0}), layout(transport={"control": 0x4010})), Status.OK),
    # Without segmentation an outer fragment needs no tunnel (TXC-11), nor does ICMP need a port
    (
        merged(TUNNELLED, case(lso=0), layout(tunnel={"nvgre": 0}, outer={"fragment": 1})),
        Status.OK,
    ),
    (merged(TUNNELLED, case(lso=0), layout(transport={"tcp": 0})), Status.OK),  # REQ-10
    (merged(TUNNELLED, layout(tunnel=VXLAN), case(config={"encapsulation": {"nvgre": 0}})), Status.OK),
    (
        merged(TUNNELLED, layout(tunnel=VXLAN), case(config={"encapsulation": {"vxlan": 0}})),
        Status.TUNNEL_DISABLED,
    ),
    # A header that nobody asked for may be cut off (INV-15)
    (
        merged(CHECKSUM, case(checksum={"tcp": 0, "udp": 1}), layout(cut=1, last=1, octets=64)),
        Status.OK,
    ),
    (merged(CHECKSUM, layout(cut=1, last=1, octets=64, end=65)), Status.HEADER_TRUNCATED),
    (merged(CHECKSUM, layout(cut=1)), Status.HEADER_TOO_LONG),
    # Buffers that end within the headers, which their stated length would have room for
    (merged(CHECKSUM, layout(cut=1, last=1, octets=53)), Status.BUFFER_MISMATCH),
    (merged(CHECKSUM, layout(last=1, octets=53)), Status.BUFFER_MISMATCH),
    (merged(CHECKSUM, layout(last=1, octets=54)), Status.OK),
    (merged(CHECKSUM, layout(last=0, octets=53)), Status.OK),
    (merged(CHECKSUM, layout(last=1, octets=63, end=65)), Status.BUFFER_MISMATCH),
    (merged(CHECKSUM, layout(last=1, octets=70, end=71)), Status.HEADER_TRUNCATED),
    (merged(BYSTANDER, layout(octets=5, end=14)), Status.OK),
    (merged(BYSTANDER, case(no_buffers=1)), Status.BUFFER_MISMATCH),
    # A packet that nothing is done with is not even looked at (T-30)
    (merged(BYSTANDER, layout(outer={"malformed": 1}, end=4000)), Status.OK),
    (merged(BYSTANDER, case(length=0)), Status.HEADER_TRUNCATED),
    (merged(BYSTANDER, case(length=13)), Status.OK),
    (merged(BYSTANDER, case(length=13, has_tag=1)), Status.HEADER_TRUNCATED),
    (merged(BYSTANDER, case(length=14, has_tag=1)), Status.OK),
    # TXC-14
    (merged(CHECKSUM, layout(outer={"length": 51})), Status.LENGTH_INCONSISTENT),
    (merged(CHECKSUM, layout(outer={"length": 40})), Status.OK),
    (merged(CHECKSUM, layout(outer={"length": 39})), Status.LENGTH_INCONSISTENT),
    (merged(DATAGRAM, layout(transport={"sequence": 31 << 16})), Status.LENGTH_INCONSISTENT),
    (merged(DATAGRAM, layout(transport={"sequence": 8 << 16})), Status.OK),
    (merged(DATAGRAM, layout(transport={"sequence": 7 << 16})), Status.LENGTH_INCONSISTENT),
    (merged(DATAGRAM, layout(transport={"sequence": 0, "checksum": 0})), Status.OK),  # TXC-10
    (merged(LARGE_SEND, layout(outer={"length": 0})), Status.OK),  # LSO-2
    *(  # ... if it is inserted at all (REQ-16)
        (merged(request, layout(outer={"length": 0}), case(config={switch: 0})), found)
        for request, switch, found in (
            (CHECKSUM, "tx_tcp_ipv4_checksum", Status.OK),
            (CHECKSUM, "tx_udp_ipv4_checksum", Status.LENGTH_INCONSISTENT),
            (DATAGRAM, "tx_udp_ipv4_checksum", Status.OK),
            (DATAGRAM, "tx_tcp_ipv4_checksum", Status.LENGTH_INCONSISTENT),
        )
    ),
    # T-34
    (merged(LARGE_SEND, layout(end=256)), Status.OK),
    (merged(LARGE_SEND, layout(end=257)), Status.HEADER_TOO_LONG),
    # INV-7, INV-4, T-14
    (merged(LARGE_SEND, case(length=54)), Status.OK),
    (merged(LARGE_SEND, case(length=53)), Status.HEADER_TRUNCATED),
    (merged(LARGE_SEND, case(config={"max_offload_ipv4_bytes": 1000})), Status.OK),
    (merged(LARGE_SEND, case(config={"max_offload_ipv4_bytes": 999})), Status.PAYLOAD_TOO_LONG),
    (merged(LARGE_SEND, case(config={"max_offload_ipv6_bytes": 0})), Status.OK),
    (merged(LARGE_SEND, case(length=54 + 262_143)), Status.OK),
    (merged(LARGE_SEND, case(length=54 + 262_144)), Status.PAYLOAD_TOO_LONG),
    (merged(LARGE_SEND, case(lso_v1=1, length=14 + 65_535)), Status.OK),  # LIM-1, X-1
    (merged(LARGE_SEND, case(lso_v1=1, length=14 + 65_536)), Status.PAYLOAD_TOO_LONG),
    (merged(LARGE_SEND, case(length=14 + 65_536)), Status.OK),
    # INV-8, T-32: IPv4 counts its header, IPv6 does not
    (merged(LARGE_SEND, case(length=90_000, mss=65_495)), Status.MSS_OVER_STORE),
    (merged(LARGE_SEND, case(length=90_000, mss=65_496)), Status.SEGMENT_TOO_LONG),
    (merged(LARGE_SEND, case(length=65_549, mss=0xFFFFF)), Status.MSS_OVER_STORE),
    (merged(LARGE_SEND, case(length=65_550, mss=0xFFFFF)), Status.SEGMENT_TOO_LONG),
    (
        merged(LARGE_SEND, case(length=90_000, mss=65_515, is_ipv6=1, header_offset=54),
               layout(outer={"ipv4": 0, "ipv6": 1, "end": 54}, end=74)),
        Status.MSS_OVER_STORE,
    ),
    (
        merged(LARGE_SEND, case(length=90_000, mss=65_516, is_ipv6=1, header_offset=54),
               layout(outer={"ipv4": 0, "ipv6": 1, "end": 54}, end=74)),
        Status.SEGMENT_TOO_LONG,
    ),
    # What the build can store
    (merged(BYSTANDER, case(length=LIMITS.max_frame_bytes)), Status.OK),
    (merged(BYSTANDER, case(length=LIMITS.max_frame_bytes + 1)), Status.FRAME_TOO_LONG),
    (merged(LARGE_SEND, case(length=LIMITS.max_frame_bytes + 1)), Status.OK),
]


@pytest.fixture(scope="module")
def verdicts():
    return statuses(*(request for request, _ in BOUNDARIES))


@pytest.mark.parametrize("number", range(len(BOUNDARIES)))
def test_the_rules_decide_at_their_boundaries(verdicts, number):
    assert verdicts[number] == BOUNDARIES[number][1]


def test_hints_that_disagree_are_counted_and_the_packet_believed():
    """INV-13, INV-14, SG-3."""
    options = layout(transport={"control": 0x6010})
    told = judge(
        merged(TUNNELLED, case(supplemental={"is_inner_ipv6": 1})),
        merged(TUNNELLED, case(supplemental={"is_inner_ipv6": 1}), layout(inner={"ipv4": 0, "ipv6": 1})),
        merged(TUNNELLED, case(supplemental={"is_inner_ipv6": 1}), layout(inner={"ipv4": 0})),
        merged(TUNNELLED, options),
        merged(TUNNELLED, options, case(supplemental={"tcp_options_present": 1})),
        merged(TUNNELLED, case(supplemental={"tcp_options_present": 1})),
        merged(LARGE_SEND, options, case(supplemental={"is_inner_ipv6": 1})),
        merged(TUNNELLED, layout(split=1)),
        TUNNELLED,
    )
    assert [hints["version"] for *_, hints in told] == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert [hints["options"] for *_, hints in told] == [0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert [hints["split"] for *_, hints in told] == [0, 0, 0, 0, 0, 0, 0, 1, 0]


def test_a_request_that_is_refused_gives_its_hints_all_the_same():
    ((_, passed, hints),) = judge(merged(TUNNELLED, case(mss=0), layout(split=1)))
    assert not passed
    assert hints["split"]


@pytest.mark.parametrize("missing", [layout(last=1, octets=95), case(no_buffers=1)])
def test_headers_that_are_not_there_give_no_hints(missing):
    wrong = merged(TUNNELLED, case(supplemental={"is_inner_ipv6": 1}), layout(split=1), missing)
    ((_, passed, hints),) = judge(wrong)
    assert not passed
    assert not any(hints.values())


def train_of(request):
    ((train, passed, _),) = judge(request)
    assert passed
    return train


def fields_of(train):
    return {name for name, present in train["field"].items() if present}


@pytest.mark.parametrize("tag", [0, TAG_BYTES])
def test_a_large_send_is_planned_with_every_offset_in_its_frames(tag):
    """SG-8: a tag moves everything behind the addresses."""
    train = train_of(merged(TUNNELLED, case(has_tag=tag > 0, last_byte=1095 + tag)))
    expected = {
        "tag": 99,
        "lso_v1": 0,
        "lso_v2": 1,
        "segmented": 1,
        "single": 0,
        "header_bytes": 96 + tag,
        "last_byte": 1095 + tag,
        "payload_bytes": 1000,
        "slice_bytes": 100,
        "bare": 0,
        "outer_ipv4": 1,
        "inner_ipv4": 1,
        "inner": 1,
        "outer_start": 14 + tag,
        "outer_end": 34 + tag,
        "inner_start": 56 + tag,
        "transport_start": 76 + tag,
        "counted": {"outer": 82, "tunnel": 62, "inner": 40, "transport": 20},
        "udp": 0,
        "outer_id": 7,
        "inner_id": 8,
        "sequence": 0xFFFF_FFFE,
        "control": ACK | PSH,
        "seed": 0x1234,
    }
    assert {name: train[name] for name in expected} == expected
    assert fields_of(train) == {
        "outer_network",
        "inner_network",
        "outer_checksum",
        "inner_checksum",
        "sequence",
        "transport_checksum",
    }


@pytest.mark.parametrize(("payload", "single"), [(100, 1), (101, 0), (0, 1), (99, 1), (201, 0)])
def test_a_send_of_one_segment_is_as_long_as_its_payload(payload, single):
    """INV-5, INV-7, HDR-22."""
    train = train_of(merged(LARGE_SEND, case(length=54 + payload, mss=100)))
    assert train["single"] == single
    assert train["bare"] == (payload == 0)
    assert train["payload_bytes"] == payload


@pytest.mark.parametrize("tag", [0, TAG_BYTES])
def test_a_bystander_has_no_header_block_and_a_tag_is_payload(tag):
    train = train_of(merged(BYSTANDER, case(has_tag=tag > 0, last_byte=59 + tag)))
    assert (train["header_bytes"], train["payload_bytes"], train["single"]) == (0, 60 + tag, 1)
    assert (train["segmented"], train["single"]) == (0, 1)
    assert fields_of(train) == set()


def test_only_what_is_asked_for_and_switched_on_is_replaced():
    both = {"outer_checksum", "transport_checksum"}
    wanted = [
        (CHECKSUM, both),
        (merged(CHECKSUM, case(checksum={"ip_header": 0})), {"transport_checksum"}),
        (merged(CHECKSUM, case(checksum={"tcp": 0, "udp": 1})), {"outer_checksum"}),  # INV-15
        (merged(CHECKSUM, case(config={"tx_ipv4_checksum": 0})), {"transport_checksum"}),
        (merged(CHECKSUM, case(config={"tx_tcp_ipv4_checksum": 0})), {"outer_checksum"}),
        (merged(CHECKSUM, case(config={"tx_udp_ipv4_checksum": 0})), both),
        (merged(DATAGRAM, case(config={"tx_udp_ipv4_checksum": 0})), {"outer_checksum"}),
        (merged(DATAGRAM, layout(transport={"checksum": 0})), {"outer_checksum"}),  # TXC-10
        # TXC-6: both IP headers, whatever the flag
        (
            merged(TUNNELLED, case(lso=0, checksum={"tcp": 0}), layout(inner={"length": 1040})),
            {"outer_checksum", "inner_checksum"},
        ),
        # TXC-12: segments have all of their checksums
        (
            merged(
                LARGE_SEND,
                case(config=dict.fromkeys((name for name in EVERYTHING if name.startswith("tx_")), 0)),
            ),
            {"outer_network", "outer_checksum", "sequence", "transport_checksum"},
        ),
        # USO-9
        (
            merged(UDP_SEND, layout(transport={"checksum": 0})),
            {"outer_network", "outer_checksum", "datagram_length"},
        ),
    ]
    planned = judge(*(request for request, _ in wanted))
    assert [fields_of(train) for train, *_ in planned] == [fields for _, fields in wanted]


@pytest.mark.parametrize(
    ("outer", "checksum", "field"),
    [
        ({}, 0, None),
        ({}, 1, "tunnel_zero"),
        (IPV6, 0, None),
        (IPV6, 1, "tunnel_checksum"),
        (IPV6 | {"routed": 1}, 1, "tunnel_zero"),
    ],
)
def test_a_checksum_below_vxlan_is_zero_or_computed(outer, checksum, field):
    """VX-4, VX-5; where the final destination is elsewhere, it cannot be computed."""
    request = merged(
        TUNNELLED,
        layout(outer=outer, tunnel=VXLAN | {"checksum": checksum}),
        case(checksum={"is_ipv4": not outer, "is_ipv6": bool(outer)}),
    )
    fields = fields_of(train_of(request))
    assert "tunnel_length" in fields
    assert fields & {"tunnel_zero", "tunnel_checksum"} == ({field} if field else set())
    whole = fields_of(train_of(merged(request, case(lso=0), layout(inner={"length": 1040}))))
    assert not whole & {"tunnel_length", "tunnel_zero", "tunnel_checksum"}


@pytest.mark.parametrize(
    ("request_", "bytes_"),
    [
        (CHECKSUM, 10),
        (merged(CHECKSUM, layout(outer={"length": 41})), 1),
        (DATAGRAM, 22),
        (merged(DATAGRAM, layout(transport={"sequence": 9 << 16})), 1),
    ],
)
def test_the_length_fields_bound_what_is_summed(request_, bytes_):
    """TXC-14: trailing bytes are no part of it."""
    assert train_of(request_)["sum_bytes"] == bytes_


@pytest.mark.parametrize(("request_", "wrap"), [(LARGE_SEND, 0), (UDP_SEND, 1)])
def test_identifications_of_datagrams_count_in_sixteen_bits(request_, wrap):
    """HDR-8, USO-6."""
    request = merged(request_, case(config={"id_wrap_16": 0}))
    assert train_of(request)["id_wrap_16"] == wrap
    assert train_of(request_)["id_wrap_16"] == 1
