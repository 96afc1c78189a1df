import dataclasses
import random

import pytest
from offramp.receive.path import UNDER_WAY, ReceivePath
from offramp_sim.core.arrivals import Arrival
from offramp_sim.model import VmqFilter
from offramp_sim.model import receive as expected_of
from offramp_sim.model.reception import HASH_TYPES

from tests.hdl.receipts import receive
from tests.hdl.walks import WIDTHS
from tests.model.receptions import CASES, ON

LANES = 16
STEERING = {
    "rss_types": frozenset(HASH_TYPES),
    "rss_table": tuple(7 * n % 16 for n in range(128)),
    "vmq_filters": (VmqFilter(mac=bytes.fromhex("02aa00000002"), queue=3, spread=True),),
    "default_queue": 5,
}


def arrivals(cases):
    """The frames of some cases, all steered in the same way."""
    return [
        Arrival(case.frame, dataclasses.replace(case.config, **STEERING), case.marked_bad) for case in cases
    ]


def check(receipts, sent, lanes):
    """Frames are as they came, and what is said of each is what the model says, in order."""
    assert receipts.frames(lanes) == [arrival.frame for arrival in sent]
    lasts = [beat for beat in receipts.beats if beat["last"]]
    assert [beat["bad"] for beat in lasts] == [arrival.marked_bad for arrival in sent]
    assert not any(beat["bad"] for beat in receipts.beats if not beat["last"])
    for beat in receipts.beats:
        assert beat["keep"] == (1 << (beat["count"] or lanes)) - 1
    for arrival, record in zip(sent, receipts.records, strict=True):
        assert record == expected_of(arrival.frame, arrival.config, marked_bad=arrival.marked_bad)


def test_frames_and_records_are_right_whatever_the_handshakes():
    """Both in order, with the configuration that was there with each frame's first beat (CFG-1)."""
    sent = arrivals(random.Random(1).sample(CASES, 28))
    check(receive(ReceivePath(lanes=LANES), sent, seed=1, idle=0.2, stall=0.3, lazy=0.9), sent, LANES)


@pytest.mark.parametrize("lanes", [8, 32])
def test_nothing_waits_that_is_taken_at_once(lanes):
    """A beat every cycle, offered again and reported after the declared cycles, within the limit of 24."""
    sent = arrivals(random.Random(2).sample(CASES, 20)) + [Arrival(bytes([n + 1]), ON) for n in range(9)]
    sent = [dataclasses.replace(arrival, config=sent[0].config) for arrival in sent]
    dut = ReceivePath(lanes=lanes)
    receipts = receive(dut, sent)
    check(receipts, sent, lanes)
    first = receipts.accepted[0]
    assert receipts.accepted == [first + n for n in range(len(receipts.accepted))]
    assert receipts.offered == [cycle + dut.delay for cycle in receipts.accepted]
    assert receipts.reported == [cycle + dut.latency for cycle in receipts.ended]
    assert dut.latency <= 24


def test_nothing_is_lost_while_no_record_is_taken():
    """The input stops, though frames are taken, when there is no more room for records."""
    sent = [Arrival(bytes([n]) * (1 + n % LANES), ON) for n in range(90)]
    receipts = receive(ReceivePath(lanes=LANES), sent, closed=150)
    check(receipts, sent, LANES)
    before = [cycle for cycle in receipts.accepted if cycle < 150]
    assert UNDER_WAY <= len(before) <= 2 * UNDER_WAY + 1
    assert before[-1] < 100, "the input has stopped"


@pytest.mark.parametrize("lanes", WIDTHS)
def test_there_is_room_for_what_is_under_way(lanes):
    """A frame a cycle, from accepting it to the queue of records, and two cycles until the input stops."""
    assert ReceivePath(lanes=lanes).latency + 2 <= UNDER_WAY


def test_a_build_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="lanes must be one of 8, 16, 32, 64, not 4"):
        ReceivePath(lanes=4)
    with pytest.raises(ValueError, match="max_header_bytes must be a multiple of 64 from 64 to 256, not 200"):
        ReceivePath(lanes=64, max_header_bytes=200)
