"""`offramp segment`, end to end on the model; scapy builds the packets and judges what comes of them."""

import json
from pathlib import Path

import pytest
from offramp_sim import capture, cli
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

ETHER = {"dst": "02:00:00:00:00:bb", "src": "02:00:00:00:00:aa"}
V4 = {"src": "10.0.0.1", "dst": "10.0.0.2"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}
STAMPS = [("NOP", None), ("NOP", None), ("Timestamp", (123456, 654321))]
PAYLOAD = bytes(n * 7 & 0xFF for n in range(10_001))

TCP4 = (
    Ether(**ETHER)
    / IP(**V4, id=0x7FFE, flags="DF")
    / TCP(sport=1000, dport=80, seq=0xFFFFFF00, flags="PA", options=STAMPS)
)
TCP6 = Ether(**ETHER) / IPv6(**V6) / TCP(sport=1000, dport=80, seq=7, flags="FPA")
UDP4 = Ether(**ETHER) / IP(**V4, id=0xFFFF) / UDP(sport=1000, dport=443)
UDP6 = Ether(**ETHER) / IPv6(**V6) / UDP(sport=1000, dport=443)
SHAPES = {
    "tcp4": TCP4,
    "tcp6": TCP6,
    "udp4": UDP4,
    "udp6": UDP6,
    "tagged": Ether(**ETHER) / Dot1Q(vlan=7, prio=3) / IP(**V4) / TCP(flags="A"),
    "twice tagged": Ether(**ETHER) / Dot1AD(vlan=9) / Dot1Q(vlan=7) / IPv6(**V6) / TCP(flags="A"),
    "options": Ether(**ETHER) / IP(**V4, options=[IPOption_Router_Alert()]) / TCP(flags="A", options=STAMPS),
    "extensions": Ether(**ETHER)
    / IPv6(**V6)
    / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
    / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))])
    / TCP(flags="A"),
    "routed": Ether(**ETHER)
    / IPv6(**V6)
    / IPv6ExtHdrRouting(addresses=["2001:db8::77"], segleft=1)
    / TCP(flags="A"),
    "nvgre": Ether(**ETHER) / IP(**V4) / GRE(proto=0x6558, key_present=1, key=0x12345678) / TCP4,
    "nvgre6": Ether(**ETHER) / IPv6(**V6) / GRE(proto=0x6558, key_present=1, key=0x12345678) / UDP6,
    "vxlan": Ether(**ETHER) / IP(**V4) / UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=99) / TCP6,
    "vxlan6": Ether(**ETHER) / IPv6(**V6) / UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=99) / UDP4,
}


def built(packet):
    """Return the bytes of a packet with every length and checksum right."""
    return bytes(packet)


def fixed(frame):
    """Return a frame as scapy would have written it: lengths and checksums computed anew."""
    packet = Ether(frame)
    layer: Packet = packet
    while not isinstance(layer, type(None)) and layer.name != "NoPayload":
        names = {field.name for field in layer.fields_desc}
        vxlan_tunnel = isinstance(layer, UDP) and layer.payload.name == "VXLAN"
        for name in {"len", "plen", "chksum"} & names:
            if not (vxlan_tunnel and name == "chksum"):
                layer.delfieldval(name)
        layer = layer.payload
    return bytes(packet)


def transport_of(frame):
    layer = Ether(frame)
    while inner := (layer.getlayer(TCP) or layer.getlayer(UDP)):
        if not inner.haslayer(VXLAN) and not inner.payload.haslayer(TCP):
            return inner
        layer = inner.payload
    raise AssertionError("no transport")


def payload_of(frame):
    return bytes(transport_of(frame).payload)


@pytest.fixture
def segment(tmp_path, monkeypatch, capsys):
    """Run `offramp segment` on frames; return the frames that come out and what was said."""
    monkeypatch.chdir(tmp_path)

    def run(frames, *options, status=0, hints=None):
        with Path("in.pcap").open("wb") as file:
            writer = capture.Writer(file)
            for number, frame in enumerate(frames):
                writer.write(frame, 1_700_000_000_000_000_000 + number * 1000)
        if hints is not None:
            (tmp_path / "meta.jsonl").write_text("".join(json.dumps(hint) + "\n" for hint in hints))
            options = (*options, "--meta", "meta.jsonl")
        with pytest.raises(SystemExit) as exited:
            cli.main(["segment", "in.pcap", "out.pcap", "--simulator", "model", *options])
        said = capsys.readouterr()
        assert exited.value.code == status, said.err
        out = tmp_path / "out.pcap"
        return [frame.data for frame in capture.read(out)] if out.exists() else None, said

    return run


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mss", [700, 1401])
def test_super_packets_become_frames_that_scapy_would_write(segment, shape, mss):
    packet = built(SHAPES[shape] / Raw(PAYLOAD))
    frames, _ = segment([packet], "--mss", str(mss))
    assert len(frames) == -(-len(PAYLOAD) // mss)
    assert [len(payload_of(frame)) for frame in frames[:-1]] == [mss] * (len(frames) - 1)
    assert b"".join(map(payload_of, frames)) == PAYLOAD
    if shape != "routed":  # scapy counts the header's destination, not the final one
        assert frames == [fixed(frame) for frame in frames]


def test_a_routing_header_makes_its_last_address_count(segment):
    packet = SHAPES["routed"] / Raw(PAYLOAD)
    frames, _ = segment([built(packet)], "--mss", "1000")
    arrived = Ether(frames[0])
    checksum = arrived[TCP].chksum
    arrived[IPv6].dst = "2001:db8::77"
    arrived[IPv6ExtHdrRouting].segleft = 0
    arrived[TCP].delfieldval("chksum")
    assert Ether(bytes(arrived))[TCP].chksum == checksum


@pytest.mark.parametrize("shape", SHAPES)
def test_what_needs_nothing_passes_unchanged(segment, shape):
    frame = built(SHAPES[shape] / Raw(PAYLOAD[:500]))
    assert segment([frame], "--mss", "500")[0] == [frame]


def test_other_traffic_passes_unchanged(segment):
    others = [
        built(Ether(**ETHER) / ARP()),
        built(Ether(**ETHER) / IP(**V4) / ICMP() / Raw(bytes(3000))),
        built(Ether(**ETHER) / IP(**V4, flags="MF") / UDP() / Raw(bytes(1000))),
        built(TCP4 / Raw(b"short")) + bytes(9),
        bytes(13),
        b"\xff" * 200,
        built(Ether(**ETHER) / IP(**V4, len=2000) / TCP() / Raw(bytes(100))),
    ]
    assert segment(others, "--mss", "100")[0] == others


@pytest.mark.parametrize("shape", SHAPES)
def test_wrong_and_partial_checksums_are_inserted(segment, shape):
    right = built(SHAPES[shape] / Raw(PAYLOAD[:301]))
    checksum = transport_of(right).chksum.to_bytes(2, "big")
    at = right.rindex(checksum, 0, len(right) - 301)
    spoilt = right[:at] + b"\x12\x34" + right[at + 2 :]
    assert segment([spoilt], "--mss", "1000")[0] == [right]


def test_ipv4_header_checksums_are_inserted(segment):
    right = built(Ether(**ETHER) / IP(**V4) / ICMP())
    spoilt = right[:24] + bytes(2) + right[26:]
    assert segment([spoilt], "--mss", "1000")[0] == [right]


def test_a_udp_checksum_of_zero_stays(segment):
    packet = built(Ether(**ETHER) / IP(**V4) / UDP(chksum=0) / Raw(PAYLOAD))
    frames, _ = segment([packet], "--mss", "4000")
    assert [Ether(frame)[UDP].chksum for frame in frames] == [0, 0, 0]


def test_padding_behind_a_super_packet_is_not_sent_as_payload(segment):
    frames, _ = segment([built(TCP4 / Raw(PAYLOAD)) + bytes(7)], "--mss", "1400")
    assert b"".join(map(payload_of, frames)) == PAYLOAD


def test_tcp_that_must_not_be_divided_is_not(segment):
    frame = built(Ether(**ETHER) / IP(**V4) / TCP(flags="S") / Raw(PAYLOAD[:300]))
    assert segment([frame], "--mss", "100")[0] == [frame]


@pytest.mark.parametrize("kind", ["nvgre", "vxlan"])
@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("shape", ["tcp4", "tcp6", "udp4", "udp6", "tagged", "twice tagged", "options"])
def test_encapsulation_wraps_like_a_virtual_switch(segment, kind, outer, shape):
    packet = built(SHAPES[shape] / Raw(PAYLOAD))
    addresses = ("192.0.2.9", "192.0.2.8") if outer == 4 else ("2001:db8::9", "2001:db8::8")
    options = ["--encapsulate", kind, "--vsid", "74565", "--outer-source", addresses[0]]
    options += ["--outer-destination", addresses[1], "--outer-source-mac", "02:00:00:00:00:09"]
    frames, _ = segment([packet], "--mss", "1400", *options)
    plain, _ = segment([packet], "--mss", "1400")
    assert len(frames) == len(plain)
    for frame, inside in zip(frames, plain, strict=True):
        assert frame == fixed(frame)
        seen = Ether(frame)
        assert seen.src == "02:00:00:00:00:09"
        ip = seen[IP] if outer == 4 else seen[IPv6]
        assert (ip.src, ip.dst) == addresses
        tunnel = seen[GRE] if kind == "nvgre" else seen[VXLAN]
        assert (tunnel.key >> 8 if kind == "nvgre" else tunnel.vni) == 74565
        if shape == "twice tagged":  # one tag stays inside
            assert seen[Dot1AD].vlan == 9
            inside = inside[:12] + inside[16:]
        assert bytes(tunnel.payload) == inside
    if kind == "vxlan":
        assert {Ether(frame)[UDP].dport for frame in frames} == {4789}


def test_encapsulation_leaves_tunnels_alone_and_wraps_everything_else(segment):
    arp = built(Ether(**ETHER) / ARP())
    tunnelled = built(SHAPES["vxlan"] / Raw(PAYLOAD[:100]))
    frames, _ = segment([arp, tunnelled], "--mss", "1400", "--encapsulate", "nvgre")
    assert frames[0].endswith(arp)
    assert len(frames[0]) == len(arp) + 42
    assert frames[0] == fixed(frames[0])
    assert frames[1] == tunnelled


def test_hints_decide(segment):
    packets = [built(packet / Raw(PAYLOAD[:3000])) for packet in (TCP4, TCP4, UDP6)]
    for number, start, offset in ((1, 34, 16), (2, 54, 6)):
        at = start + offset
        packets[number] = packets[number][:at] + partial(packets[number], start) + packets[number][at + 2 :]
    hints = [
        {"frame": 0, "flags": 0, "gso": "NONE"},
        {"frame": 1, "flags": 1, "gso": "TCPV4", "gso_size": 1448, "csum_start": 34, "csum_offset": 16},
        {"frame": 2, "flags": 1, "gso": "UDP_L4", "gso_size": 1000, "csum_start": 54, "csum_offset": 6},
    ]
    frames, _ = segment(packets, hints=hints)
    assert frames[0] == packets[0]
    assert [len(payload_of(frame)) for frame in frames[1:]] == [1448, 1448, 104, 1000, 1000, 1000]
    assert frames == [fixed(frame) for frame in frames]
    wrapped, _ = segment(packets, "--encapsulate", "vxlan", hints=hints)
    assert [frame[50:] for frame in wrapped] == frames


def partial(packet, start):
    """Return the sum of the pseudo-header, as a kernel leaves it in the checksum field."""
    addresses = packet[26:34] if packet[14] >> 4 == 4 else packet[22:54]
    protocol = packet[23] if packet[14] >> 4 == 4 else packet[20]
    total = sum(int.from_bytes(addresses[n : n + 2], "big") for n in range(0, len(addresses), 2))
    total += protocol + len(packet) - start
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total.to_bytes(2, "big")


GOOD = {"frame": 0, "flags": 1, "gso": "TCPV4", "gso_size": 1448, "csum_start": 34, "csum_offset": 16}


@pytest.mark.parametrize(
    ("hint", "complaint"),
    [
        ({"flags": 1}, "frame is missing"),
        (GOOD | {"frame": 3}, "has no frame 3, only 1 frames"),
        (GOOD | {"gso": "TCPV5"}, "gso must be one of"),
        (GOOD | {"gso_size": 0}, "gso_size must be from 1"),
        (GOOD | {"csum_start": 35}, "no TCP or UDP header at byte 35"),
        (GOOD | {"csum_offset": 6}, "csum_offset 6"),
        (GOOD | {"gso": "UDP_L4"}, "not for the protocol of the frame"),
        (GOOD | {"flags": "yes"}, "flags must be an integer"),
    ],
)
def test_a_hint_that_cannot_be_is_named(segment, hint, complaint):
    frames, said = segment([built(TCP4 / Raw(PAYLOAD))], "--mss", "1400", hints=[hint], status=2)
    assert frames is None
    (line,) = said.err.splitlines()
    assert "meta.jsonl: line 1: " in line
    assert complaint in line


def test_frames_without_hint_need_an_mss(segment):
    _, said = segment([built(TCP4)], hints=[], status=2)
    assert "frame 0" in said.err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--mss", "0"], "--mss"),
        ([], "--mss or --meta is needed"),
        (["--mss", "9", "--outer-source", "10.0.0"], "--outer-source"),
        (["--mss", "9", "--encapsulate", "nvgre", "--outer-source", "::1"], "not of one IP version"),
        (["--mss", "9", "--outer-source-mac", "02:00"], "is not a MAC address"),
        (["--mss", "9", "--vni", "16777216"], "--vni"),
    ],
)
def test_a_bad_option_is_told_in_one_line(segment, options, complaint):
    frames, said = segment([], *options, status=2)
    assert frames is None
    (line,) = said.err.splitlines()
    assert complaint in line


def test_a_capture_is_not_written_over_itself(segment, tmp_path):
    segment([built(TCP4)], "--mss", "1400")
    before = (tmp_path / "in.pcap").read_bytes()
    with pytest.raises(SystemExit) as exited:
        cli.main(["segment", "in.pcap", "./in.pcap", "--mss", "9", "--simulator", "model"])
    assert exited.value.code == 2
    assert (tmp_path / "in.pcap").read_bytes() == before


def test_a_truncated_capture_leaves_nothing(segment, tmp_path):
    segment([built(TCP4)] * 2, "--mss", "1400")
    whole = (tmp_path / "in.pcap").read_bytes()
    (tmp_path / "cut.pcap").write_bytes(whole[:-1])
    with pytest.raises(SystemExit) as exited:
        cli.main(["segment", "cut.pcap", "cut-out.pcap", "--mss", "9", "--simulator", "model"])
    assert exited.value.code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.pcap", "in.pcap", "out.pcap"]


def test_refused_frames_are_told_and_end_with_status_one(segment):
    small = built(TCP4 / Raw(b"abc"))
    big = built(Ether(**ETHER) / IP(**V4) / ICMP() / Raw(bytes(20_000)))
    frames, said = segment([small, big, small], "--mss", "1400", "--json", status=1)
    assert frames == [small, small]
    assert "frame 1: refused: frame_too_long" in said.err
    assert json.loads(said.out)["refused"] == {"frame_too_long": 1}


def test_times_are_those_of_the_packets(segment, tmp_path):
    segment([built(TCP4 / Raw(PAYLOAD[:2000])), built(TCP6)], "--mss", "1000")
    times = [frame.time for frame in capture.read(tmp_path / "out.pcap")]
    assert times == [1_700_000_000_000_000_000] * 2 + [1_700_000_000_000_001_000]
