"""One's-complement arithmetic of the Internet checksum (RFC 1071)."""


def fold(total: int) -> int:
    """Return the sum ``total`` of 16-bit words with its carries added back in, until 16 bits are left.

    The result is zero only if ``total`` is: an end-around carry turns every other multiple of 0xFFFF into
    0xFFFF itself.
    """
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ones_sum(octets: bytes | bytearray) -> int:
    """Return the one's-complement sum of ``octets`` as big-endian 16-bit words, not inverted (CS-1).

    An odd final byte is the high half of a word whose low half is zero.
    """
    number = int.from_bytes(octets + bytes(len(octets) % 2), "big")
    # 0x10000 is 1 modulo 0xFFFF, so a number and the sum of its 16-bit digits leave the same remainder:
    # one long division instead of a loop over the words.
    return number % 0xFFFF or (0xFFFF if number else 0)


def checksum(*sums: int) -> int:
    """Return the checksum field that stands for the 16-bit ``sums``: their inverted one's-complement sum."""
    return fold(sum(sums)) ^ 0xFFFF
