import ipaddress
import random

import pytest
from offramp.receive.toeplitz import INPUT_BYTES, Toeplitz

from tests.hdl.streams import simulate
from tests.model.rss_vectors import KEY, VECTORS

LANES = (4, 8, 16, 32, 64)


def packed(source, source_port, destination, destination_port):
    """The input in packet order, without and with ports."""
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return addresses, addresses + source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")


def toeplitz(key, octets):
    """As the rules have it: for each bit that is set, the 32 bits of the key that begin where it stands."""
    window = int.from_bytes(key, "big")
    result = 0
    for n in range(8 * len(octets)):
        if octets[n // 8] >> (7 - n % 8) & 1:
            result ^= window >> (8 * len(key) - 32 - n) & 0xFFFF_FFFF
    return result


def hashes(lanes, inputs, *, gaps=()):
    """Hash pairs of key and octets one after the other, as close as may be but for ``gaps``.

    Each hash must come exactly ``latency`` cycles after its input. Keys and octets on the ports are others
    whenever there is no input.
    """
    dut = Toeplitz(lanes)
    rng = random.Random(lanes)
    gaps = iter(gaps)
    begins, due, found = {}, [], []
    cycle = 0
    for item in inputs:
        begins[cycle] = item
        due.append(cycle + dut.latency)
        cycle += dut.spacing + next(gaps, 0)

    async def bench(ctx):
        for now in range(due[-1] + 3):
            valid = now in begins
            key, octets = begins.get(now, (rng.randbytes(40), rng.randbytes(INPUT_BYTES)))
            ctx.set(dut.key, int.from_bytes(key, "big"))
            ctx.set(dut.source, {"valid": valid, "octets": list(octets.ljust(INPUT_BYTES, b"\0"))})
            _, _, done, value = await ctx.tick().sample(dut.hash.valid, dut.hash.value)
            if done:
                found.append((now, value))

    simulate(dut, bench)
    assert [now for now, _ in found] == due
    return [value for _, value in found]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_specification_agrees_with_the_published_vectors(vector):
    *ends, without_ports, with_ports = vector
    addresses, everything = packed(*ends)
    assert (toeplitz(KEY, everything), toeplitz(KEY, addresses)) == (with_ports, without_ports)


def numbers(seed, count):
    rng = random.Random(seed)
    return [(rng.randbytes(40), rng.randbytes(rng.choice([8, 12, 32, 36]))) for _ in range(count)]


INPUTS = {
    "published": [(KEY, octets) for *ends, _, _ in VECTORS for octets in packed(*ends)],
    "single bits": [(KEY, (1 << n).to_bytes(INPUT_BYTES, "big")) for n in range(8 * INPUT_BYTES)],
    "random": numbers(1, 60),
    "with gaps": numbers(2, 60),
}


@pytest.fixture(
    scope="module",
    # One worker for each width, or every worker would simulate all of it.
    params=[pytest.param(lanes, marks=pytest.mark.xdist_group(f"toeplitz{lanes}")) for lanes in LANES],
)
def found(request):
    """Hashes of all inputs, from one simulation of each width."""
    rng = random.Random(3)
    inputs = [(kind, item) for kind, items in INPUTS.items() for item in items]
    gaps = [rng.choice([0, 0, 1, 2, 7]) if kind == "with gaps" else 0 for kind, _ in inputs]
    values = hashes(request.param, [item for _, item in inputs], gaps=gaps)
    result = {kind: [] for kind in INPUTS}
    for (kind, _), value in zip(inputs, values, strict=True):
        result[kind].append(value)
    return result


def test_published_vectors(found):
    """RSS-7."""
    expected = [value for *_, two, four in VECTORS for value in (two, four)]
    assert found["published"] == expected


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_as_close_as_may_be_each_have_a_key_and_a_hash_of_their_own(found, kind):
    assert found[kind] == [toeplitz(key, octets) for key, octets in INPUTS[kind]]


@pytest.mark.parametrize(
    ("lanes", "spacing", "latency"), [(4, 9, 6), (8, 5, 6), (16, 3, 6), (32, 2, 5), (64, 1, 3), (128, 1, 3)]
)
def test_inputs_may_come_as_often_as_the_shortest_frames_that_have_a_hash(lanes, spacing, latency):
    dut = Toeplitz(lanes)
    assert (dut.spacing, dut.latency) == (spacing, latency)


def test_inputs_too_close_are_noticed():
    dut = Toeplitz(16)

    async def bench(ctx):
        ctx.set(dut.source.valid, 1)
        for _ in range(3):
            await ctx.tick()

    with pytest.raises(AssertionError, match="far enough apart"):
        simulate(dut, bench)


def test_a_width_of_nothing_is_refused():
    with pytest.raises(ValueError, match="lanes must be at least 1, not 0"):
        Toeplitz(0)
