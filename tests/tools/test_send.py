"""`offramp send`: the job file, its errors, and the two outputs."""

import json

import pytest
from offramp_sim import capture, cli, jobs
from offramp_sim.model import Request, send
from offramp_sim.model.words import Checksum

FRAME = bytes(range(100))


@pytest.fixture
def offramp(tmp_path, monkeypatch, capsys):
    """Run `offramp send` on lines of a job file; return its exit status and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*lines, options=()):
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        (tmp_path / "jobs.jsonl").write_text(text + "\n")
        command = ["send", "jobs.jsonl", "--pcap", "out.pcap", "--completions", "done.jsonl", *options]
        with pytest.raises(SystemExit) as exited:
            cli.main([*command, "--simulator", "model"])
        return exited.value.code, capsys.readouterr()

    return run


def job(**more):
    return {"frame": FRAME.hex(), **more}


def completions(tmp_path):
    return [json.loads(line) for line in (tmp_path / "done.jsonl").read_text().splitlines()]


def test_frames_and_completions_come_out_in_order(offramp, tmp_path):
    frames = [bytes([n]) * (60 + n) for n in range(5)]
    status, said = offramp(*({"frame": frame.hex()} for frame in frames), "", options=["--json"])
    assert status == 0
    assert [frame.data for frame in capture.read(tmp_path / "out.pcap")] == frames
    assert completions(tmp_path) == [
        {"status": "ok", "segments": 1, "payload_bytes": 0, "lso_completion": 0} for _ in frames
    ]
    summary = json.loads(said.out)
    assert (summary["frames_in"], summary["frames_out"]) == (5, 5)
    assert summary["bytes_out"] == sum(map(len, frames))


def test_a_refused_request_is_no_error(offramp, tmp_path):
    status, said = offramp(job(lso=0x4000_0000), job())
    assert status == 0
    assert completions(tmp_path) == [
        {"status": "version_conflict", "segments": 0, "payload_bytes": 0, "lso_completion": 0x4000_0000},
        {"status": "ok", "segments": 1, "payload_bytes": 0, "lso_completion": 0},
    ]
    assert "refused: version_conflict" in said.out


def test_the_words_reach_the_core(offramp, tmp_path):
    word = Checksum(ipv4=1, ipv6=1).pack()
    offramp(job(checksum=word, vlan=0x10))
    expected = send(Request(frame=FRAME, checksum=word, vlan=0x10))
    assert completions(tmp_path)[0]["status"] == expected.completion.status == "version_conflict"


def test_configuration_stays_in_force(offramp, tmp_path):
    frame = bytes.fromhex(
        "020000000002 020000000001 0800 4500002e00000000401100000a0000010a000002 1388 1389 001a 1423".replace(
            " ", ""
        )
    ) + bytes(18)
    word = Checksum(ipv4=1, udp=1, ip_header=1).pack()
    request = {"frame": frame.hex(), "checksum": word}
    off = {"config": {"tx_ipv4_checksum": False, "tx_udp_ipv4_checksum": False}}
    status, _ = offramp(request, request | off, request, request | {"config": {"tx_ipv4_checksum": True}})
    assert status == 0
    checksums = [(f.data[24:26].hex(), f.data[40:42].hex()) for f in capture.read(tmp_path / "out.pcap")]
    both, none, still_none, only_ip = checksums
    assert none == still_none == ("0000", "1423")
    assert only_ip == (both[0], "1423")
    assert both[0] != "0000"
    assert both[1] != "1423"


def test_limits_of_32_bits_and_the_port_that_changes_nothing(tmp_path):
    """LIM-1, CFG-5."""
    path = tmp_path / "jobs.jsonl"
    changes = [{"vxlan_port": 4790}, {"vxlan_port": 0, "max_offload_bytes": 0xFFFFFFFF}]
    path.write_text("".join(json.dumps(job(config=change)) + "\n" for change in changes))
    for each in jobs.read(path):
        assert each.config.vxlan_port == 4790
        assert each.config.max_offload_ipv4_bytes == each.config.max_offload_ipv6_bytes == 262_143


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ('{"lso": 1' + "0" * 5000 + "}", "not JSON: a number of too many digits"),
        (job(lso=10**400), "lso must be from 0 to 4294967295, not 1000000000"),
        ("[1, 2]", "not a JSON object"),
        ("\xff", "not JSON"),
        ({}, "frame is missing"),
        ({"frame": 7}, "frame must be a string"),
        ({"frame": None}, "frame must be a string"),
        ({"frame": "0g"}, "not hexadecimal"),
        (job(buffers=[50, 49]), "the buffers add up to 99 bytes, the frame has 100"),
        (job(buffers=[0, 100]), "buffers must be from 1"),
        (job(buffers=100), "buffers must be a list"),
        (job(buffers=[]), "the buffers add up to 0 bytes"),
        (job(lso=1 << 32), "lso must be from 0 to 4294967295"),
        (job(vlan=-1), "vlan must be from 0"),
        (job(uso=1.5), "uso must be an integer"),
        (job(checksum=True), "checksum must be an integer"),
        (job(mss=7), "unknown key 'mss'"),
        (job(config=7), "config must be an object"),
        (job(config={"lso": True}), "unknown configuration key 'lso'"),
        (job(config={"lso_ipv4": 1}), "lso_ipv4 must be true or false"),
        (job(config={"encapsulation": "nvgre"}), "encapsulation must be a list"),
        (job(config={"encapsulation": ["gre"]}), "encapsulation must be a list"),
        (job(config={"vxlan_port": 65536}), "vxlan_port must be from 0 to 65535"),
        (job(config={"max_offload_bytes": 1 << 32}), "max_offload_bytes must be from 0 to 4294967295"),
        (job(config={"id_wrap": "14"}), "id_wrap must be '15' or '16'"),
    ],
)
def test_a_bad_line_is_named_in_one_line_and_nothing_is_left(offramp, tmp_path, line, complaint):
    (tmp_path / "done.jsonl").write_text("from before")
    status, said = offramp(job(), line)
    assert status == 2
    assert said.out == ""
    (told,) = said.err.splitlines()
    assert "jobs.jsonl: line 2: " in told
    assert complaint in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done.jsonl", "jobs.jsonl"]
    assert (tmp_path / "done.jsonl").read_text() == "from before"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--pcap", "no/such/folder.pcap"], "cannot be written"),
        (["--pcap", "done.jsonl"], "named for two outputs"),
        (["--pcap", "jobs.jsonl"], "named for input and for output"),
        (["--stall", "nan"], "--stall"),
        (["--stall", "1"], "--stall"),
        (["--lanes", "12"], "--lanes"),
        (["--waves", "waves.vcd"], "the model has no waves"),
    ],
)
def test_a_bad_option_is_named_in_one_line(offramp, tmp_path, options, complaint):
    status, said = offramp(job(), options=options)
    assert status == 2
    (told,) = said.err.splitlines()
    assert complaint in told
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.jsonl"]


def test_a_missing_job_file_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exited:
        cli.main(["send", "none.jsonl", "--pcap", "a", "--completions", "b"])
    assert exited.value.code == 2
    assert "none.jsonl: No such file" in capsys.readouterr().err


def test_an_empty_job_file_gives_empty_outputs(offramp, tmp_path):
    status, _ = offramp("")
    assert status == 0
    assert list(capture.read(tmp_path / "out.pcap")) == []
    assert completions(tmp_path) == []


def test_an_interrupted_run_leaves_nothing(offramp, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("offramp_sim.core.reference.ReferenceSender.play", interrupted)
    status, said = offramp(job())
    assert status == 130
    assert "interrupted" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.jsonl"]
