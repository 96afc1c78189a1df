"""What a header's word says by itself, against plain numbers."""

import itertools

from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator
from offramp.walk.word import MARKS, Word, merged

WALKED = {0, 43, 44, 51, 60}
SAID = {
    "ipv4": lambda word: word == 0x0800,
    "ipv6": lambda word: word == 0x86DD,
    "tag": lambda word: word in {0x8100, 0x88A8},
    "bridging": lambda word: word == 0x6558,
    "version4": lambda word: word >> 12 == 4,
    "version6": lambda word: word >> 12 == 6,
    "short": lambda word: word >> 8 & 15 < 5,
    "long": lambda word: word >> 8 & 15 > 5,
    "fragment": lambda word: word & 0x3FFF != 0,
    "secured": lambda word: word & 0xFF in {50, 51},
    "next_walked": lambda word: word >> 8 in WALKED,
    "next_secured": lambda word: word >> 8 in {50, 51},
    "next_fragment": lambda word: word >> 8 == 44,
    "next_routing": lambda word: word >> 8 == 43,
    "next_authentication": lambda word: word >> 8 == 51,
    "key_only": lambda word: word == 0x2000,
    "gre_options": lambda word: word & 0xD000 != 0 and word & 7 == 0,
    "gre_plain": lambda word: word & 0x4007 == 0,
    "gre_checksum": lambda word: word >> 15 == 1,
    "gre_odd": lambda word: (word & 0xB000).bit_count() in {1, 3},
    "gre_more": lambda word: (word & 0xB000).bit_count() in {2, 3},
    "any": lambda word: word != 0,
}
CORNERS = bytes.fromhex("00 01 07 08 20 3f 40 45 58 60 65 80 81 86 88 a8 dd ff")
"""Bytes that go with every other one: those of EtherTypes, versions and flags."""


def test_marks_say_what_they_are_named_for():
    module = Module()
    value, said = Signal(16), Signal(len(MARKS))
    layout = Word(MARKS)
    told = layout.told(value)
    assert told.pop("value") is value
    module.d.comb += said.eq(Cat(told.values()))
    wrong = []

    async def bench(ctx):
        for corner, other in itertools.product(CORNERS, range(256)):
            for word in (corner << 8 | other, other << 8 | corner):
                ctx.set(value, word)
                bits = ctx.get(said)
                wrong.extend(
                    (name, hex(word)) for n, name in enumerate(told) if bits >> n & 1 != SAID[name](word)
                )

    simulator = Simulator(module)
    simulator.add_testbench(bench)
    simulator.run()
    assert not wrong


def test_words_wanted_in_parts_are_wanted_once():
    one = {-1: ("tag",), 3: ("short", "long")}
    other = {3: ("long",), 4: ()}
    assert merged(one, other) == {-1: ("tag",), 3: ("long", "short"), 4: ()}
    assert merged(other, by=7) == {10: ("long",), 11: ()}
