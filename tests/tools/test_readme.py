"""The README: its code runs, its commands exist, its tables are those of the hardware."""

import random
import re
import shlex
from pathlib import Path

import pytest
from offramp.records import Reason, Status
from offramp_sim import cli
from offramp_sim.cli import offramp
from offramp_sim.document.markdown import codes, statuses

from tests.hdl.streams import beats, drain, feed, simulate

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PICTURES = {"send": "docs/datapath.svg", "receive": "docs/receive.svg"}
"""What shows the stages of each path."""


def section(name):
    """Return what stands between the marks of that name."""
    return re.search(rf"<!-- {name}\b.*?-->\n(.*?)<!-- /{name} -->", README, re.DOTALL)[1]


def blocks(language, text=README):
    """Return the code blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prompts():
    """Return every command line that is shown."""
    shown = re.findall(r"^\$ (.*)", "".join(blocks("console")), re.MULTILINE)
    return shown + re.findall(r"`((?:offramp|make) [^`]+)`", README)


def test_every_mark_is_closed():
    marks = re.findall(r"<!-- (/?[\w-]+)\b.*?-->", README)
    assert marks == [mark for name in marks[::2] for mark in (name, f"/{name}")]


def test_the_send_path_works_in_a_design_of_somebody_else():
    (code,) = blocks("python", section("library"))
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    design = names["Transmitter"]()
    packet = bytes(range(61))
    frames, completions = [], []

    async def request(ctx):
        record = {"tag": 7, "buffers": 1, "length": len(packet)}
        await feed(ctx, design.requests, [record], rng=random.Random(0))

    async def send(ctx):
        await feed(ctx, design.buffers, beats(packet, 8), rng=random.Random(1))

    async def receive(ctx):
        await drain(ctx, design.frames, frames, 8, rng=random.Random(2))
        await drain(ctx, design.completions, completions, 1, rng=random.Random(3))

    simulate(design, request, send, receive)
    assert b"".join(bytes(beat["data"][: beat["keep"].bit_count()]) for beat in frames) == packet
    assert {beat["tag"] for beat in frames} == {7}
    (completion,) = completions
    assert (completion["tag"], completion["status"], completion["segments"]) == (7, Status.OK, 1)


def test_every_refusal_is_listed():
    heads_and_rows = list(statuses())
    wanted = [line for line in heads_and_rows if "`ok`" not in line]
    assert section("refusals").splitlines() == wanted, "\n".join(["they are:", *wanted])


def test_every_reason_is_listed():
    wanted = [line for line in codes(Reason) if "`checked`" not in line]
    assert section("reasons").splitlines() == wanted, "\n".join(["they are:", *wanted])


@pytest.mark.parametrize("line", [line for line in prompts() if "offramp " in line])
def test_every_command_exists_with_its_options(line):
    _, _, arguments = line.partition("offramp ")
    name, *rest = shlex.split(arguments)
    command = offramp.get_command(None, name)
    assert command is not None, line
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    assert {word for word in rest if word.startswith("-")} <= known


def test_every_target_of_make_exists():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    words = {word for line in prompts() if line.startswith("make ") for word in line.split()[1:]}
    asked = {word for word in words if "=" not in word}
    assert asked >= {"demo", "test", "soak"}
    assert asked <= targets


def test_the_example_ends_as_is_said(tmp_path):
    (said,) = (block for block in blocks("console") if "done.jsonl\n{" in block)
    outputs = ["--pcap", tmp_path / "wire.pcap", "--completions", tmp_path / "done.jsonl"]
    with pytest.raises(SystemExit) as exited:
        cli.main(["send", *map(str, [ROOT / "examples/nvgre.jsonl", *outputs, "--simulator", "model"])])
    assert exited.value.code == 0
    done = (tmp_path / "done.jsonl").read_text().splitlines()
    assert done == re.findall(r"^{.*", said, re.MULTILINE)


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("path", PICTURES)
def test_the_picture_shows_the_stages_that_there_are(path):
    shown = set(re.findall(r'class="name"[^>]*>(\w+)', (ROOT / PICTURES[path]).read_text()))
    source = (ROOT / f"hdl/offramp/{path}/path.py").read_text()
    made = re.findall(r"m\.submodules\.\w+ = \w+ = (\w+)\(", source)
    # What the constructor needs to know the latency of is made there.
    made += re.findall(r"^        self\._\w+ = (\w+)\(", source, re.MULTILINE)
    assert shown == set(made)
