"""The benches around the simulators for the receive path, on a core that only passes frames on."""

import dataclasses
import random
from pathlib import Path

import pytest
from offramp_sim.core import Arrival, CoreError, open_receiver
from offramp_sim.core.arrivals import decode_metadata, receive_values
from offramp_sim.core.ports import RECEIVE, read
from offramp_sim.model import ReceiveConfig, Verdicts, VmqFilter

from tests.installed import needs_icarus

RECEIVEBACK = Path(__file__).with_name("receiveback.sv").read_text()

simulators = pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=needs_icarus)])

WIDE = ReceiveConfig(
    active=True,
    rss_types=frozenset({"udp_ipv6", "ipv4"}),
    rss_key=bytes(range(0x21, 0x21 + 40)),
    rss_table=(0,) * 127 + (13,),
    vmq_filters=tuple(VmqFilter(mac=bytes([n] * 6), queue=n) for n in range(16)),
)


def arrivals(count, *, seed=0, config=None):
    dice = random.Random(seed)
    return [
        Arrival(dice.randbytes(dice.randint(1, 100)), config or ReceiveConfig(), dice.random() < 0.3)
        for _ in range(count)
    ]


@simulators
@pytest.mark.parametrize("stall", [0, 0.5])
def test_what_arrives_comes_out_in_order_with_its_mark(simulator, stall):
    given = arrivals(60)
    with open_receiver(simulator, verilog=RECEIVEBACK, seed=5, stall=stall) as core:
        received = core.play(given)
        counters = core.counters()
        cycles = core.cycles
    for arrival, result in zip(given, received, strict=True):
        assert (result.data, result.marked_bad) == (arrival.frame, arrival.marked_bad)
        assert result.reception.length == len(arrival.frame)
        assert result.reception.marked_bad == arrival.marked_bad
        assert result.reception.reason == "inactive"
    assert counters == {"frames": 60, "bytes": sum(len(arrival.frame) for arrival in given)}
    assert cycles >= sum(-(-len(arrival.frame) // 8) for arrival in given)


@simulators
def test_frames_go_in_without_gaps_and_every_beat_has_its_cycles(simulator):
    given = [Arrival(bytes(size)) for size in (20, 8, 64, 1)]
    with open_receiver(simulator, verilog=RECEIVEBACK) as core:
        received = core.play(given)
    start = received[0].input_cycles[0]
    inputs = [cycle - start for result in received for cycle in result.input_cycles]
    assert inputs == list(range(3 + 1 + 8 + 1))
    for result in received:
        assert [out - into for into, out in zip(result.input_cycles, result.output_cycles, strict=True)] == [
            2
        ] * len(result.input_cycles)
        assert result.output_cycles[0] == result.frame.first_cycle
        assert result.metadata_cycle == result.input_cycles[-1] + 1


@simulators
def test_configuration_reaches_the_ends_of_wide_ports_and_changes_when_all_is_out(simulator):
    given = [*arrivals(5), *arrivals(5, config=WIDE), *arrivals(5, config=ReceiveConfig(active=True))]
    with open_receiver(simulator, verilog=RECEIVEBACK, stall=0.3) as core:
        received = core.play(given)
    receptions = [result.reception for result in received]
    assert [reception.reason for reception in receptions] == ["inactive"] * 5 + [None] * 10
    for reception in receptions[5:10]:
        assert (reception.hash_value, reception.checksum) == (0x21222324, 0x45464748)
        assert reception.hash_type == 0x8100
        assert reception.protocol == 15  # the queue of the last filter
        assert reception.queue == 13
    assert [reception.queue for reception in receptions[10:]] == [0] * 5
    assert received[4].metadata_cycle < received[5].input_cycles[0]


@simulators
@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (1, "nothing has moved for|nothing moves"),
        (2, "nothing has moved for|nothing moves"),
        (3, "nothing has moved for|nothing moves|tvalid fell"),
        (4, "m_axis_metadata has more records than there was reason for"),
        (5, "undocumented reason 16"),
        (6, "undocumented verdict 3"),
        (7, "reserved bits"),
        (8, "more records than there was reason for"),
        (11, "m_axis_metadata_tdata changed while it was stalled"),
    ],
)
def test_misbehaviour_is_told(simulator, fault, complaint):
    with (
        open_receiver(simulator, verilog=RECEIVEBACK, stall=0.5) as core,
        pytest.raises(CoreError, match=complaint),
    ):
        core.play(arrivals(20, config=ReceiveConfig(vxlan_port=fault)))


@simulators
def test_a_hang_tells_how_far_it_got_and_reset_helps(simulator):
    with open_receiver(simulator, verilog=RECEIVEBACK) as core:
        with pytest.raises(CoreError, match=r"0 of 2 (packets|records)"):
            core.play(arrivals(2, config=ReceiveConfig(vxlan_port=1)))
        core.reset()
        assert len(core.play(arrivals(2))) == 2


def test_values_are_those_of_the_layout_that_the_hardware_is_made_of():
    from amaranth.lib import data
    from offramp.records import ReceiveConfiguration

    config = dataclasses.replace(
        WIDE,
        rss_table=tuple(n % 16 for n in range(128)),
        vmq_filters=(
            VmqFilter(mac=bytes.fromhex("020304050607"), vlan=0xABC, queue=9, spread=True),
            VmqFilter(mac=bytes(5) + b"\1", queue=3),
        ),
        default_queue=7,
    )
    ports = {port.name: port for port in read(RECEIVEBACK, "offramp_receive").configuration}
    layout = data.Layout.cast(ReceiveConfiguration)
    for name, port in ports.items():
        assert layout[name.removeprefix("cfg_")].width == port.width
    values = dict(zip(ports, receive_values(config, list(ports.values())), strict=True))
    table = data.Const(layout["rss_table"].shape, values["cfg_rss_table"])
    assert [table[n] for n in range(128)] == list(config.rss_table)
    filters = data.Const(layout["vmq_filters"].shape, values["cfg_vmq_filters"])
    first, second = filters[0], filters[1]
    assert (first.enable, first.vlan_enable, first.spread, first.vlan) == (1, 1, 1, 0xABC)
    assert (first.mac, first.queue) == (0x020304050607, 9)
    assert (second.enable, second.vlan_enable, second.spread, second.mac, second.queue) == (1, 0, 0, 1, 3)
    assert not any(filters[n].enable for n in range(2, 16))
    types = data.Const(data.Layout.cast(layout["rss_types"].shape), values["cfg_rss_types"])
    assert (types.ipv4, types.udp_ipv6, types.tcp_ipv4) == (1, 1, 0)


def test_metadata_is_read_as_the_layout_that_the_hardware_is_made_of_puts_it():
    from amaranth.lib import data
    from offramp.records import Metadata

    record = data.Layout.cast(Metadata).const(
        {
            "checksum": {"tcp_succeeded": 1, "ip_failed": 1},
            "hash_value": 0x01020304,
            "hash_type": 0x200,
            "length": 1514,
            "layers": {
                "outer": 2,
                "inner": 1,
                "tunnel": 2,
                "vlan_tags": 2,
                "inner_vlan": 1,
                "fragment": 1,
                "protocol_valid": 1,
                "marked_bad": 1,
            },
            "verdicts": {"outer_ip": 1, "tunnel": 2, "inner_ip": 0, "transport": 2},
            "protocol": 17,
            "queue": 11,
            "reason": 13,
        }
    )
    reception = decode_metadata(record.as_bits().to_bytes(20, "little"))
    assert (reception.checksum, reception.hash_value, reception.hash_type) == (0xC, 0x01020304, 0x200)
    assert (reception.length, reception.queue, reception.protocol) == (1514, 11, 17)
    assert (reception.outer, reception.inner, reception.tunnel) == ("ipv6", "ipv4", "vxlan")
    assert (reception.vlan_tags, reception.inner_vlan, reception.fragment) == (2, True, True)
    assert (reception.marked_bad, reception.reason, reception.l4) == (True, "tunnel_checksum", "udp")
    assert reception.verdicts == Verdicts(
        outer_ip="good", tunnel="bad", inner_ip="not_checked", transport="bad"
    )


def test_an_empty_frame_is_refused():
    with pytest.raises(ValueError, match="at least one byte"):
        Arrival(b"")


def test_ports_are_those_of_the_streams():
    found = read(RECEIVEBACK, RECEIVE.module)
    assert found.lanes == 8
    assert found.width("m_axis_metadata_tdata") == 160
