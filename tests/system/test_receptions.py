"""Every scenario of the receive path at every width, with and without stalls, in the fast bench."""

import pytest
from offramp_sim.core import Arrival, open_receiver

from tests.installed import needs_icarus
from tests.model.frames import frame_of
from tests.model.receptions import ON

from .carries import CARRIES, LAYERS, reached
from .receptions import RECEPTIONS
from .verdict import check_received

SHORT_BYTES = 130
FEW = 20
"""Frames that Icarus has time for, at some fifty cycles a second."""


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("scenario", RECEPTIONS)
def test_reception_is_as_it_must_be(receiver, scenario, stall):
    cases = RECEPTIONS[scenario]()
    arrivals = [case.arrival for case in cases]
    bench = receiver(stall)
    check_received(arrivals, bench.play(arrivals), cases=cases, counted=bench.counters())


def test_every_layer_carries_as_often_as_it_can():
    """The first words of GRE carry once by themselves."""
    for layer in LAYERS:
        assert reached(layer) == {count for count in CARRIES if count or "GRE" not in layer.name}, layer


def test_frames_longer_than_can_be_counted_pass(receiver):
    """What their metadata says of their length means nothing; all else goes on, before and behind them."""
    whole = frame_of("4", "nvgre", "4", "tcp")
    arrivals = [Arrival(frame, ON) for frame in (whole, whole + b"\x5a" * 200_000, whole)]
    for arrival, each in zip(arrivals, receiver(0.1).play(arrivals), strict=True):
        assert each.data == arrival.frame
        assert (each.reception.checksum, each.reception.reason) == (0x028, None)


@needs_icarus
def test_receive_table_under_icarus(seed):
    """It knows X: nothing that was never set may show."""
    table = RECEPTIONS["receive_table_holds_in_every_mix_of_versions"]()
    cases = [case for case in table if case.arrival.config == ON and len(case.arrival.frame) <= SHORT_BYTES]
    cases = cases[:: len(cases) // FEW]
    arrivals = [case.arrival for case in cases]
    with open_receiver("icarus", lanes=8, seed=seed, stall=0.3) as bench:
        check_received(arrivals, bench.play(arrivals), cases=cases, counted=bench.counters())
