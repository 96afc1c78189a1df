"""Capture files: what can be read, what is refused, and what is written."""

import io
import struct

import pytest
from offramp_sim import capture
from offramp_sim.errors import BadInput

FRAMES = [bytes(range(60)), b"\xff" * 1514, bytes(64)]


def pcap(order="<", magic=0xA1B2C3D4, link_type=1, cut=0):
    text = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    for number, frame in enumerate(FRAMES):
        text += struct.pack(order + "IIII", 1000 + number, 500, len(frame) - cut, len(frame))
        text += frame[: len(frame) - cut]
    return text


def block(order, kind, body):
    padded = body + bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(padded) + 12)
    return struct.pack(order + "I", kind) + size + padded + size


def pcapng(order="<", link_type=1, options=b""):
    text = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    text += block(order, 1, struct.pack(order + "HHI", link_type, 0, 0) + options)
    text += block(order, 0xBAD, b"a block of some other kind")
    for number, frame in enumerate(FRAMES[:2]):
        head = struct.pack(order + "IIIII", 0, 0, 1_000_000 + number, len(frame), len(frame))
        text += block(order, 6, head + frame)
    return text + block(order, 3, struct.pack(order + "I", len(FRAMES[2])) + FRAMES[2])


def read(tmp_path, text):
    path = tmp_path / "in.pcap"
    path.write_bytes(text)
    return list(capture.read(path))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "nanoseconds"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_is_read_in_both_byte_orders_and_resolutions(tmp_path, order, magic, nanoseconds):
    frames = read(tmp_path, pcap(order, magic))
    assert [frame.data for frame in frames] == FRAMES
    assert [frame.time for frame in frames] == [(1000 + n) * 10**9 + 500 * nanoseconds for n in range(3)]


@pytest.mark.parametrize("order", "<>")
def test_pcapng_is_read_in_both_byte_orders(tmp_path, order):
    frames = read(tmp_path, pcapng(order))
    assert [frame.data for frame in frames] == FRAMES
    assert [frame.time for frame in frames] == [10**9, 10**9 + 1000, 0]


@pytest.mark.parametrize(("value", "nanoseconds"), [(9, 1), (0x80 | 10, 10**9 / 1024)])
def test_pcapng_clocks_are_understood(tmp_path, value, nanoseconds):
    options = struct.pack("<HHB3xHH", 9, 1, value, 0, 0)
    assert read(tmp_path, pcapng(options=options))[0].time == int(1_000_000 * nanoseconds)


@pytest.mark.parametrize("whole", [pcap(), pcapng()], ids=["pcap", "pcapng"])
def test_a_file_cut_anywhere_is_never_taken_for_a_whole_one(tmp_path, whole):
    ends = {len(whole[:n]) for n in range(len(whole)) if n % 37 == 0 or n > len(whole) - 40 or n < 60}
    for end in sorted(ends):
        try:
            frames = read(tmp_path, whole[:end])
        except BadInput as error:
            assert "\n" not in error.format_message()
            continue
        assert [frame.data for frame in frames] == FRAMES[: len(frames)]
        assert end == 24 or whole is not pcap() or len(frames) < len(FRAMES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "neither a pcap nor a pcapng"),
        (b"frame,length\n", "neither a pcap nor a pcapng"),
        (pcap(link_type=101), "link type 101"),
        (pcapng(link_type=101), "link type 101"),
        (pcap(cut=10), "frame 0: cut to 50 of 60 bytes"),
        (pcap()[:-1], "frame 2: the file ends inside the frame"),
        (pcapng()[:-1], "the file ends inside a block"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, text, complaint):
    with pytest.raises(BadInput, match=complaint) as caught:
        read(tmp_path, text)
    assert caught.value.exit_code == 2
    assert "in.pcap" in caught.value.format_message()


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        list(capture.read(tmp_path / "none.pcap"))


def test_what_is_written_can_be_read(tmp_path):
    file = io.BytesIO()
    writer = capture.Writer(file)
    frames = [*FRAMES, bytes(65_549)]
    for number, frame in enumerate(frames):
        writer.write(frame, 10**18 + number * 1000)
    found = read(tmp_path, file.getvalue())
    assert [(frame.data, frame.time) for frame in found] == [
        (f, 10**18 + n * 1000) for n, f in enumerate(frames)
    ]


def test_scapy_reads_what_is_written(tmp_path):
    from scapy.utils import RawPcapReader

    path = tmp_path / "out.pcap"
    with path.open("wb") as file:
        writer = capture.Writer(file)
        for frame in FRAMES:
            writer.write(frame, 1_500_000_000)
    with RawPcapReader(str(path)) as reader:
        assert reader.linktype == 1
        assert [data for data, _ in reader] == FRAMES
