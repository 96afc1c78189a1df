"""The ports and records as Markdown: docs/records.md."""

from collections.abc import Iterable, Iterator

from amaranth.hdl import Shape
from amaranth.lib import data
from amaranth.lib.wiring import Signature
from offramp.edge import PacketSignature, RecordSignature
from offramp.records import Completion, Configuration, Request, Status
from offramp.top.send import SETTINGS, TAG_BITS, counters

from offramp_sim.core.ports import Port
from offramp_sim.core.records import port_values
from offramp_sim.document.layout import fields, split_rules, summary, texts, words
from offramp_sim.model import Config

_STREAMS = (
    (
        "s_axis_request",
        lambda _: RecordSignature(Request),
        "Request records, in the order of their packets; before, with or after the packet's bytes.",
    ),
    (
        "s_axis_buffer",
        PacketSignature,
        "The packets' scatter-gather buffers in order, each an AXI4-Stream packet of at least one byte that "
        "starts in lane 0.",
    ),
    (
        "m_axis_frame",
        lambda lanes: PacketSignature(lanes, tag=TAG_BITS),
        "Wire frames without frame check sequence and without padding; `tid` is the request's tag.",
    ),
    (
        "m_axis_completion",
        lambda _: RecordSignature(Completion),
        "One completion for each request, in order.",
    ),
)

_COUNTERS = {
    "requests": "Requests accepted.",
    "frames": "Frames sent.",
    "bytes": "Bytes sent.",
    "inner_version_hint": "Packets whose inner IP version is not the one that the word says (INV-13).",
    "tcp_options_hint": "Packets with TCP options, where the word says that there are none (INV-14).",
    "split_encapsulation": "Packets whose first buffer ends before the inner frame begins (SG-3).",
}

_INTRODUCTION = """\
# Ports and records of `offramp_send`

This file is made by `offramp records --markdown` from the layouts that the hardware is made of
([hdl/offramp/records.py](../hdl/offramp/records.py)), and a test keeps it up to date. `offramp records --c`
writes the records as a C header. Numbers such as OOB-9 are those of the offload rules.

## Ports

Everything is synchronous to `clk`; `rst` is synchronous and active high. No combinational path leads from any
input to any output. *Lanes* are the bytes of a beat: 8, 16, 32 or 64. Byte 0 of a packet is in lane 0,
`tdata[7:0]`; all lanes are kept in every beat but the last, and there the lowest ones, at least one. Records
are single transfers, bit 0 in `tdata[0]`.
"""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _ports(prefix: str, narrow: Signature, wide: Signature) -> Iterator[tuple[str, str]]:
    """Yield name and width of each port of a stream; ``narrow`` has 8 lanes, ``wide`` 16."""
    for name, member in narrow.members.items():
        bits = Shape.cast(member.shape).width
        grown = Shape.cast(wide.members[name].shape).width
        factor = f"{bits // 8} x " if bits > 8 else ""
        yield f"`{prefix}_{name}`", str(bits) if bits == grown else f"{factor}lanes"


def _record(cls: type[data.Struct], title: str) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield summary(cls)
    yield ""
    rows = []
    for field in fields(cls):
        meaning = field.meaning
        if field.layout is not None:
            meaning = f"{meaning} See [{field.layout.__name__}](#{field.layout.__name__.lower()})."
        rows.append((field.bits, f"`{field.name}`", meaning))
    yield from _table(("bits", "field", "meaning"), rows)
    yield ""


def statuses() -> Iterator[str]:
    """Yield the lines of the table of all status codes."""
    meanings = texts(Status)
    rows = []
    for status in Status:
        what, rules = split_rules(meanings[status.name])
        rows.append((str(status.value), f"`{status.name.lower()}`", what, rules))
    yield from _table(("", "status", "meaning", "rules"), rows)


def _settings() -> Iterator[str]:
    meanings = texts(Configuration)
    ports = [Port(f"cfg_{name}", width, output=False) for name, width in SETTINGS.items()]
    rows = [
        (f"`{port.name}`", str(port.width), f"{value}", meanings[port.name.removeprefix("cfg_")])
        for port, value in zip(ports, port_values(Config(), ports), strict=True)
    ]
    yield from _table(("port", "bits", "tools' default", "meaning"), rows)


def _counters() -> Iterator[str]:
    widths = counters()
    rows = [(f"`stat_{name}`", str(widths.pop(name)), meaning) for name, meaning in _COUNTERS.items()]
    (width,) = set(widths.values())
    rows.append(("`stat_refused_...`", str(width), "Requests refused: one counter for each status but `ok`."))
    yield from _table(("port", "bits", "counts"), rows)


def markdown() -> str:
    """Return the text of docs/records.md."""
    lines = [_INTRODUCTION]
    for prefix, signature, meaning in _STREAMS:
        lines += [f"### `{prefix}_*`", "", meaning, ""]
        lines += _table(("port", "bits"), _ports(prefix, signature(8), signature(16)))
        lines.append("")
    lines += [
        "### `cfg_*`",
        "",
        summary(Configuration),
        "",
        *_settings(),
        "",
        "### `stat_*`",
        "",
        "Counters, which wrap around and start at 0 after a reset.",
        "",
        *_counters(),
        "",
        *_record(Request, "Request"),
    ]
    for cls in words(Request):
        lines += _record(cls, cls.__name__)
    lines += [*_record(Completion, "Completion"), "## Status", "", summary(Status), "", *statuses()]
    return "\n".join(lines) + "\n"
