"""No idle cycles and little latency, counted at the ports of the core, so that a bubble anywhere fails."""

import pytest
from offramp_sim.bench.measure import measure
from offramp_sim.bench.traffic import KINDS, SCENARIOS, SIZES, Scenario, Traffic, headers
from offramp_sim.core import open_core

SINGLE, TRAIN, SHORT = SCENARIOS
ODD_SIZES = (65, 259, 1023, 4097, 9599)
REQUESTS = 100

kinds = pytest.mark.parametrize("kind", KINDS)
large = pytest.mark.parametrize("scenario", [SINGLE, TRAIN], ids=lambda scenario: scenario.name)


@pytest.fixture(scope="module", params=[8, 16, 32, 64], ids=lambda lanes: f"{lanes}-lanes")
def core(request):
    with open_core("verilator", lanes=request.param) as core:
        yield core


LATENCY_CYCLES = 32
"""Target at every width."""


def packets(beats, lanes):
    """Packets that are not segmented, ``beats`` long, with one byte in the last."""
    size_bytes = (beats - 1) * lanes + 1
    return Scenario("packets", f"{size_bytes} bytes each", REQUESTS, size_bytes, segmented=False)


@kinds
@large
def test_no_cycle_is_idle_inside_and_between_trains_of_long_frames(core, scenario, kind):
    long = [
        measurement
        for mss in (*SIZES, *ODD_SIZES)
        if (measurement := measure(core, Traffic(scenario, kind, mss))).gapless
    ]
    assert {256, 536, 1460, 8960} <= {measurement.traffic.mss for measurement in long}
    assert [str(measurement) for measurement in long if measurement.ratio != 1.0] == []


@kinds
def test_no_cycle_is_idle_between_packets_of_five_beats_or_more(core, kind):
    least = -(-headers(kind).size // core.lanes) + 1
    for beats in range(max(5, least), least + 6):
        measurement = measure(core, Traffic(packets(beats, core.lanes), kind))
        assert measurement.cycles == measurement.ideal_beats, str(measurement)


@kinds
@large
def test_first_frame_begins_within_its_latency(core, scenario, kind):
    measurements = [measure(core, Traffic(scenario, kind, mss)) for mss in (*SIZES, *ODD_SIZES)]
    late = [
        str(measurement)
        for measurement in measurements
        if measurement.latency_cycles > LATENCY_CYCLES
    ]
    assert late == []


def test_short_packet_leaves_within_its_latency(core):
    measurement = measure(core, Traffic(SHORT, "plain-v4"))
    assert measurement.latency_cycles <= LATENCY_CYCLES, str(measurement)


def test_short_packets_of_one_beat_take_at_most_1_6_cycles_and_longer_ones_their_beats(core):
    measurement = measure(core, Traffic(SHORT, "plain-v4"))
    assert measurement.cycles <= max(1.6 * SHORT.count, measurement.ideal_beats), str(measurement)
