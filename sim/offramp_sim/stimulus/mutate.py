"""The ways to break a received frame; what each leads to depends on where it hits."""

import random
from collections.abc import Sequence

HEADERS = 130
"""Most frames have their headers in so many bytes."""


def mutate(
    rng: random.Random, frame: bytes, other: bytes, *, lengths: Sequence[int] = (), ips: Sequence[int] = ()
) -> bytes:
    """Return ``frame`` with one thing wrong, seldom more, and at least one byte left.

    Parameters
    ----------
    rng : random.Random
    frame : bytes
    other : bytes
        Another frame, to take something from.
    lengths : sequence of int
        Where ``frame`` has length fields, of 16 bits.
    ips : sequence of int
        Where its IP headers begin.
    """
    broken = bytearray(frame)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        match rng.randrange(9):
            case 0:
                flip(rng, broken, len(broken))
            case 1:
                flip(rng, broken, HEADERS)
            case 2:
                overwrite(rng, broken)
            case 3 | 4 if lengths:
                falsify(rng, broken, rng.choice(lengths))
            case 5:
                del broken[rng.randrange(rng.choice([len(broken), min(HEADERS, len(broken))])) :]
            case 6:
                broken += rng.randbytes(rng.randint(1, 80))
            case 7 if ips:
                garble(rng, broken, rng.choice(ips))
            case _:
                splice(rng, broken, other)
        if not broken:
            broken += frame[:1]
    return bytes(broken)


def flip(rng: random.Random, frame: bytearray, size: int) -> None:
    """Change one bit of the first ``size`` bytes."""
    frame[rng.randrange(min(size, len(frame)))] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, frame: bytearray) -> None:
    """Put something else into one to four bytes of the headers."""
    start = rng.randrange(min(HEADERS, len(frame)))
    size = min(rng.randint(1, 4), len(frame) - start)
    frame[start : start + size] = rng.choice([bytes(size), b"\xff" * size, rng.randbytes(size)])


def falsify(rng: random.Random, frame: bytearray, offset: int) -> None:
    """Put another length into the field at ``offset``, most often one that is nearly right."""
    length = int.from_bytes(frame[offset : offset + 2], "big")
    near = rng.choice([-1, 1, -2, 2, -4, 4, -8, 8, rng.randint(-60, 60)])
    wrong = rng.choice([0, 7, 8, 20, rng.getrandbits(16), *[length + near] * 5]) & 0xFFFF
    present = len(frame[offset : offset + 2])
    frame[offset : offset + present] = wrong.to_bytes(2, "big")[:present]


def garble(rng: random.Random, frame: bytearray, start: int) -> None:
    """Change the version, or the header length of IPv4, in the IP header at ``start``."""
    if start < len(frame):
        first = frame[start]
        frame[start] = rng.choice([rng.randrange(256), first & 0xF0 | rng.randrange(16), first ^ 0x20])


def splice(rng: random.Random, frame: bytearray, other: bytes) -> None:
    """Let the frame go on as another does, or take out, or put in, a piece of header."""
    place = rng.randrange(min(HEADERS, len(frame)))
    size = rng.choice([1, 2, 4, 8, 20, rng.randint(1, 40)])
    start = rng.randrange(len(other))
    match rng.randrange(3):
        case 0:
            frame[place:] = other[place if rng.random() < 0.5 else start :]
        case 1:
            del frame[place : place + size]
        case 2:
            frame[place:place] = other[start : start + size]
