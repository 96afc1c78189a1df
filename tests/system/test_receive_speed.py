"""The receive path takes a beat every cycle, and says what it has to in time, whatever the frames."""

import pytest
from offramp.top.receive import ReceiveTop
from offramp_sim.bench.arrivals import STREAMS
from offramp_sim.bench.reception import MOST_METADATA_CYCLES, measure
from offramp_sim.core import open_receiver


@pytest.fixture(scope="module", params=[8, 16, 32, 64], ids=lambda lanes: f"{lanes}-lanes")
def lanes(request):
    return request.param


@pytest.fixture(scope="module")
def measured(lanes):
    """What was measured with each stream."""
    with open_receiver("verilator", lanes=lanes) as core:
        return {stream.name: measure(core, stream) for stream in STREAMS}


@pytest.fixture(scope="module")
def declared(lanes):
    """The component, which says how many cycles it takes."""
    return ReceiveTop(lanes=lanes)


def test_no_cycle_is_idle(measured):
    """As a beat is on offer always, ``tready`` has never fallen, and no output has ever waited."""
    assert [str(each) for each in measured.values() if each.ratio != 1.0] == []


def test_bytes_are_delayed_by_the_declared_number_of_cycles(measured, declared):
    assert {each.delays for each in measured.values()} == {(declared.delay, declared.delay)}


def test_metadata_comes_when_it_was_declared_and_within_24_cycles(measured, declared):
    assert {each.metadata_cycles for each in measured.values()} == {declared.latency}
    assert declared.latency <= MOST_METADATA_CYCLES == 24


def test_frames_of_64_bytes_take_a_cycle_each_at_64_lanes(measured, lanes):
    assert measured["64"].cycles_per_frame == 64 / lanes
    assert measured["nvgre"].cycles_per_frame == -(-102 // lanes)
