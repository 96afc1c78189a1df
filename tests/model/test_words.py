"""Out-of-band words against the bit positions of specification section 1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offramp_sim.model.words import Checksum, LargeSend, Supplemental, UdpSegmentation, Vlan, Word

WORDS = [Supplemental, Checksum, LargeSend, UdpSegmentation, Vlan]

BITS = {
    Supplemental: {  # OOB-1..7
        "encapsulated": 0x0000_0001,
        "offsets_valid": 0x0000_0002,
        "inner_frame_offset": 0x0000_03FC,
        "inner_ip_offset": 0x0000_FC00,
        "inner_transport_offset": 0x03FF_0000,
        "inner_ipv6": 0x0400_0000,
        "tcp_options": 0x0800_0000,
    },
    Checksum: {  # OOB-21..27
        "ipv4": 0x0000_0001,
        "ipv6": 0x0000_0002,
        "tcp": 0x0000_0004,
        "udp": 0x0000_0008,
        "ip_header": 0x0000_0010,
        "tcp_header_offset": 0x03FF_0000,
    },
    LargeSend: {  # OOB-13..17
        "mss": 0x000F_FFFF,
        "tcp_header_offset": 0x3FF0_0000,
        "version2": 0x4000_0000,
        "ipv6": 0x8000_0000,
    },
    UdpSegmentation: {  # OOB-37..40
        "mss": 0x000F_FFFF,
        "udp_header_offset": 0x3FF0_0000,
        "ipv6": 0x8000_0000,
    },
    Vlan: {"priority": 0x0007, "canonical": 0x0008, "identifier": 0xFFF0},  # OOB-41
}


@pytest.mark.parametrize("kind", WORDS)
def test_each_field_has_the_bits_of_the_specification(kind: type[Word]) -> None:
    assert kind.layout.keys() == BITS[kind].keys()
    for name, mask in BITS[kind].items():
        most = (1 << mask.bit_count()) - 1
        assert kind(**{name: most}).pack() == mask
        assert kind.unpack(mask) == kind(**{name: most})
        with pytest.raises(ValueError, match=name):
            kind(**{name: most + 1})


@pytest.mark.parametrize("kind", WORDS)
@given(word=st.integers(0, 0xFFFF_FFFF))
def test_reserved_bits_are_ignored(kind: type[Word], word: int) -> None:
    """INV-18."""
    assert kind.unpack(word).pack() == word & sum(BITS[kind].values())


def test_vlan_tag_is_in_the_order_of_the_wire() -> None:
    """SG-8: priority, canonical format, identifier, behind TPID 0x8100."""
    assert Vlan(priority=5, canonical=1, identifier=0x123).tag == bytes.fromhex("8100b123")
    assert Vlan(priority=1).tag == bytes.fromhex("81002000")
    assert Vlan.unpack(0xFFFF_0000).tag == b""
