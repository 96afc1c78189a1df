"""One's-complement arithmetic against the plain loop of RFC 1071."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offramp_sim.model.checksum import checksum, fold, ones_sum


def plain_sum(octets: bytes) -> int:
    """Return the sum of RFC 1071, word by word, each carry added back at once."""
    padded = octets + bytes(len(octets) % 2)
    total = 0
    for high, low in zip(padded[0::2], padded[1::2], strict=True):
        total += high << 8 | low
        if total > 0xFFFF:
            total = (total & 0xFFFF) + 1
    return total


@given(st.binary(max_size=300))
def test_sum_equals_the_plain_loop(octets: bytes) -> None:
    assert ones_sum(octets) == plain_sum(octets)


@pytest.mark.parametrize(
    ("octets", "total"),
    [
        (b"", 0x0000),
        (bytes(64), 0x0000),
        (b"\x12", 0x1200),  # CS-1: an odd byte is a word's high half
        (b"\xff\xff", 0xFFFF),
        (b"\xff\xff" * 3, 0xFFFF),
        (b"\xff\xff\x00\x01", 0x0001),
        (b"\xff\xfe\x00\x01", 0xFFFF),
        (bytes.fromhex("0001f203f4f5f6f7"), 0xDDF2),  # RFC 1071, section 3
    ],
)
def test_sum_of_known_words(octets: bytes, total: int) -> None:
    assert ones_sum(octets) == total == plain_sum(octets)


@pytest.mark.parametrize(
    ("total", "folded", "carries"),
    [
        (0xFFFF, 0xFFFF, 0),
        (0x1_0000, 0x0001, 1),
        (0x1_FFFF, 0x0001, 2),
        (0x2_FFFE, 0x0001, 2),
        (0xFFFE_FFFF, 0xFFFE, 2),
    ],
)
def test_sum_is_folded_until_no_carry_is_left(total: int, folded: int, carries: int) -> None:
    once = total
    for _ in range(carries):
        assert once > 0xFFFF
        once = (once & 0xFFFF) + (once >> 16)
    assert once == folded == fold(total)


@given(st.lists(st.integers(0, 0xFFFF), min_size=1))
def test_sum_of_anything_but_zeros_is_not_zero(words: list[int]) -> None:
    octets = b"".join(word.to_bytes(2, "big") for word in words)
    assert (ones_sum(octets) == 0) == (not any(words))


@given(st.binary(min_size=2, max_size=80), st.integers(0, 20))
def test_checksum_completes_the_sum_to_all_ones(octets: bytes, place: int) -> None:
    place = 2 * min(place, len(octets) // 2 - 1)
    blank = octets[:place] + bytes(2) + octets[place + 2 :]
    value = checksum(ones_sum(blank))
    assert ones_sum(blank[:place] + value.to_bytes(2, "big") + blank[place + 2 :]) == 0xFFFF
