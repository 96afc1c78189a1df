"""`offramp receive`: the configuration file and its errors, the report, and the table."""

import dataclasses
import json

import pytest
from offramp_sim import capture, cli, settings
from offramp_sim.model import ReceiveConfig, VmqFilter, receive
from offramp_sim.model.reception import HASH_TYPES, MICROSOFT_KEY

UDP = bytes.fromhex(
    "020000000002 020000000001 0800 4500002e00000000401166bd0a0000010a000002 1388 1389 001a 0000"
) + bytes(18)
ARP = bytes.fromhex("ffffffffffff 020000000001 0806") + bytes(46)


def tcp(*, spoilt=False):
    """Return a frame whose TCP checksum the model finds right, or wrong."""
    ip = bytes.fromhex("4500002c00000000400666ca0a0000010a000002")
    segment = bytearray(bytes.fromhex("1388138900000000000000005010200000000000") + b"abcd")
    pseudo = ip[12:20] + bytes([0, 6, 0, len(segment)])
    total = sum(int.from_bytes((pseudo + segment)[n : n + 2], "big") for n in range(0, 12 + len(segment), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    segment[16:18] = (total ^ 0xFFFF ^ spoilt).to_bytes(2, "big")
    return UDP[:14] + ip + bytes(segment) + bytes(2)


FRAMES = [UDP, ARP, tcp(), tcp(spoilt=True)]


@pytest.fixture
def offramp(tmp_path, monkeypatch, capsys):
    """Run `offramp receive` on frames; return its exit status and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(frames=FRAMES, *, config=None, options=()):
        with (tmp_path / "in.pcap").open("wb") as file:
            writer = capture.Writer(file)
            for frame in frames:
                writer.write(frame, 0)
        if config is not None:
            (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
            options = ["--config", "config.json", *options]
        with pytest.raises(SystemExit) as exited:
            cli.main(["receive", "in.pcap", "--report", "out.jsonl", "--simulator", "model", *options])
        return exited.value.code, capsys.readouterr()

    return run


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_the_report_has_all_that_is_known_of_each_frame(offramp, tmp_path):
    status, _ = offramp()
    assert status == 0
    report = lines(tmp_path)
    assert [line["frame"] for line in report] == [0, 1, 2, 3]
    assert [line["checksum"] for line in report] == [0x20, 0, 0x28, 0x21]
    assert [line["l4"] for line in report] == ["udp", None, "tcp", "tcp"]
    assert [line["reason"] for line in report] == ["udp_zero", "not_ip", None, None]
    assert [line["outer"] for line in report] == ["ipv4", None, "ipv4", "ipv4"]
    for line, frame in zip(report, FRAMES, strict=True):
        right = dataclasses.asdict(receive(frame, ReceiveConfig(active=True)))
        assert {name: line[name] for name in right} == right
        assert line.keys() - right.keys() == {"frame", "l4"}


def test_the_summary_counts_verdicts_and_reasons(offramp):
    _, said = offramp(options=["--json"])
    summary = json.loads(said.out)
    assert (summary["frames"], summary["bytes"]) == (4, sum(map(len, FRAMES)))
    assert summary["good"] == {"outer_ip": 3, "inner_ip": 0, "tunnel": 0, "tcp": 1, "udp": 0}
    assert summary["bad"] == {"outer_ip": 0, "inner_ip": 0, "tunnel": 0, "tcp": 1, "udp": 0}
    assert summary["not_checked"] == {"not_ip": 1, "udp_zero": 1}
    assert summary["queues"] == {"0": 4}


def test_the_table_names_verdicts_and_reasons(offramp):
    _, said = offramp()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.out.splitlines() if "│" in line]
    assert ["TCP", "1", "1"] in rows
    assert ["outer IPv4 header", "3", "0"] in rows
    assert ["not checked: udp_zero", "1", ""] in rows


def test_no_report_is_needed(tmp_path, monkeypatch, offramp):
    offramp()
    (tmp_path / "out.jsonl").unlink()
    with pytest.raises(SystemExit) as exited:
        cli.main(["receive", "in.pcap", "--simulator", "model"])
    assert exited.value.code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["in.pcap"]


def test_the_configuration_reaches_the_core(offramp, tmp_path):
    filters = [{"mac": "02-00-00-00-00-02", "queue": 9}]
    offramp(config={"active": False, "vmq_filters": filters, "default_queue": 3})
    assert [(line["reason"], line["queue"]) for line in lines(tmp_path)] == [
        ("inactive", 9),
        ("inactive", 3),
        ("inactive", 9),
        ("inactive", 9),
    ]
    offramp(config={"rss_types": ["tcp_ipv4", "ipv4"], "rss_table": [1, 2]})
    report = lines(tmp_path)
    assert [line["hash_type"] for line in report] == [0x100, 0, 0x200, 0x200]
    assert [line["queue"] for line in report] == [
        1 + line["hash_value"] % 2 if line["hash_type"] else 0 for line in report
    ]


def test_settings_are_what_they_say():
    assert settings.configured({}) == ReceiveConfig(active=True)
    config = settings.configured({
        "active": False,
        "encapsulation": ["vxlan", "nvgre"],
        "vxlan_port": 8472,
        "udp_ipv6_checksum": False,
        "rss_key": ":".join(f"{octet:02x}" for octet in MICROSOFT_KEY[::-1]),
        "rss_types": list(HASH_TYPES),
        "rss_table": [7, 15],
        "vmq_filters": [
            {"mac": "02:00:00:00:00:09", "vlan": 4095, "queue": 15, "spread": True},
            {"mac": "020000000008", "vlan": None},
        ],
        "default_queue": 1,
    })
    assert config == ReceiveConfig(
        encapsulation=frozenset({"nvgre", "vxlan"}),
        vxlan_port=8472,
        udp_ipv6_checksum=False,
        rss_key=MICROSOFT_KEY[::-1],
        rss_types=frozenset(HASH_TYPES),
        rss_table=(7, 15) * 64,
        vmq_filters=(
            VmqFilter(mac=b"\2\0\0\0\0\x09", vlan=4095, queue=15, spread=True),
            VmqFilter(mac=b"\2\0\0\0\0\x08"),
        ),
        default_queue=1,
    )
    assert settings.configured({"vxlan_port": 0}).vxlan_port == 4789  # CFG-5


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ('{\n"active":\n}', "not JSON: Expecting value at line 3, column 1"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ("[]", "not a JSON object"),
        ({"activ": True}, "unknown key 'activ'"),
        ({"rss_hash": 1}, "unknown key 'rss_hash'"),
        ({"active": 1}, "active must be true or false, not 1"),
        ({"tcp_ipv6_checksum": "yes"}, "tcp_ipv6_checksum must be true or false"),
        ({"encapsulation": "nvgre"}, "encapsulation must be a list of 'nvgre', 'vxlan', not 'nvgre'"),
        ({"encapsulation": ["gre"]}, "encapsulation must be a list"),
        ({"encapsulation": [["nvgre"]]}, "encapsulation must be a list"),
        ({"vxlan_port": 65536}, "vxlan_port must be from 0 to 65535"),
        ({"vxlan_port": True}, "vxlan_port must be an integer"),
        ({"rss_key": "00" * 39}, "rss_key must be a string of 80 hexadecimal digits"),
        ({"rss_key": "0g" * 40}, "rss_key is not hexadecimal"),
        ({"rss_key": 7}, "rss_key must be a string"),
        ({"rss_types": ["tcp"]}, "rss_types must be a list of 'ipv4', 'tcp_ipv4'"),
        ({"rss_types": {"ipv4": True}}, "rss_types must be a list"),
        ({"rss_table": [0, 1, 2]}, "rss_table must be a list of 128 queues"),
        ({"rss_table": []}, "rss_table must be a list"),
        ({"rss_table": [0] * 256}, "rss_table must be a list"),
        ({"rss_table": [16]}, "rss_table must be from 0 to 15, not 16"),
        ({"rss_table": [1.0]}, "rss_table must be an integer"),
        ({"vmq_filters": {}}, "vmq_filters must be a list"),
        ({"vmq_filters": [{"mac": "02:00:00:00:00:01"}] * 17}, "vmq_filters must be a list of at most 16"),
        ({"vmq_filters": [7]}, "vmq_filters[0] must be an object"),
        ({"vmq_filters": [{}]}, "vmq_filters[0] must have a mac"),
        ({"vmq_filters": [{"mac": "02:00"}]}, "vmq_filters[0]: '02:00' is not a MAC address"),
        ({"vmq_filters": [{"mac": "x"}]}, "vmq_filters[0]: 'x' is not a MAC address"),
        ({"vmq_filters": [{"mac": "02:00:00:00:00:01", "vlans": 1}]}, "unknown key 'vlans'"),
        ({"vmq_filters": [{"mac": "02:00:00:00:00:01", "vlan": 4096}]}, "vmq_filters[0].vlan must be from"),
        ({"vmq_filters": [{"mac": "02:00:00:00:00:01", "queue": -1}]}, "vmq_filters[0].queue must be from"),
        ({"vmq_filters": [{"mac": "02:00:00:00:00:01", "spread": 1}]}, "vmq_filters[0].spread must be true"),
        ({"default_queue": 16}, "default_queue must be from 0 to 15"),
    ],
)
def test_a_bad_configuration_is_named_in_one_line_and_nothing_is_left(offramp, tmp_path, config, complaint):
    status, said = offramp(config=config)
    assert status == 2
    assert said.out == ""
    (told,) = said.err.splitlines()
    assert "config.json: " in told
    assert complaint in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "in.pcap"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--report", "no/such/folder.jsonl"], "cannot be written"),
        (["--report", "in.pcap"], "named for input and for output"),
        (["--config", "none.json"], "No such file"),
        (["--stall", "1"], "--stall"),
        (["--waves", "waves.vcd"], "the model has no waves"),
    ],
)
def test_a_bad_option_is_named_in_one_line(offramp, tmp_path, options, complaint):
    status, said = offramp(options=options)
    assert status == 2
    (told,) = said.err.splitlines()
    assert complaint in told
    assert [path.name for path in tmp_path.iterdir()] == ["in.pcap"]


@pytest.mark.parametrize("content", [None, b"", b"\xd4\xc3\xb2\xa1" + bytes(20)])
def test_a_bad_capture_is_told_before_anything_is_built(tmp_path, monkeypatch, capsys, content):
    from offramp_sim import options

    def opened(self):
        pytest.fail("built")

    monkeypatch.setattr(options.Simulation, "open_receiver", opened)
    if content is not None:
        (tmp_path / "in.pcap").write_bytes(content)
    with pytest.raises(SystemExit) as exited:
        cli.main(["receive", str(tmp_path / "in.pcap")])
    assert exited.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "in.pcap: " in told


def test_a_frame_without_bytes_is_refused(offramp, tmp_path):
    status, said = offramp([UDP, b""])
    assert status == 2
    assert "in.pcap: frame 1: has no bytes" in said.err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda frame: {"data": frame.data[:-1]}, "frame 0 has 59 bytes, not 60"),
        (lambda frame: {"data": b"\7" + frame.data[1:]}, "frame 0 has 07000000 at byte 0"),
        (lambda _: {"tag": 1}, "frame 0 has been marked bad on its way"),
    ],
)
def test_a_frame_that_leaves_otherwise_is_an_error(offramp, tmp_path, monkeypatch, spoil, complaint):
    from offramp_sim.core.reference import ReferenceReceiver

    right = ReferenceReceiver._result

    def spoilt(self, thing):
        result = right(self, thing)
        return dataclasses.replace(result, frame=dataclasses.replace(result.frame, **spoil(result.frame)))

    monkeypatch.setattr(ReferenceReceiver, "_result", spoilt)
    status, said = offramp()
    assert status == 1
    assert f"in.pcap: {complaint}" in said.err
    assert not (tmp_path / "out.jsonl").exists()
