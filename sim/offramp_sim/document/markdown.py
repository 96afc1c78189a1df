"""The ports and records as Markdown: docs/records.md."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from amaranth.hdl import Shape
from amaranth.lib import data, enum
from amaranth.lib.wiring import Signature
from offramp.edge import PacketSignature, RecordSignature
from offramp.records import (
    Completion,
    Configuration,
    Filter,
    HashTypes,
    Metadata,
    ReceiveChecksum,
    ReceiveConfiguration,
    Request,
    Status,
)
from offramp.top.receive import counters as receive_counters
from offramp.top.send import TAG_BITS, counters

from offramp_sim.core.arrivals import receive_values
from offramp_sim.core.ports import Port
from offramp_sim.core.records import port_values
from offramp_sim.document.layout import Field, fields, spelled, split_rules, summary, tables, texts, words
from offramp_sim.model import Config, ReceiveConfig

Streams = Sequence[tuple[str, Callable[[int], Signature], str]]
"""Prefix of the ports, signature for a number of lanes, and meaning of each stream."""

_SEND_STREAMS: Streams = (
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

_RECEIVE_STREAMS: Streams = (
    (
        "s_axis_frame",
        lambda lanes: PacketSignature(lanes, mark=True),
        "Frames from the wire without frame check sequence, of at least one byte; `tuser` beside the last "
        "beat marks a bad one.",
    ),
    (
        "m_axis_frame",
        lambda lanes: PacketSignature(lanes, mark=True),
        "The same frames, unchanged, with their mark.",
    ),
    (
        "m_axis_metadata",
        lambda _: RecordSignature(Metadata),
        "One record for each frame, in order, behind its last beat.",
    ),
)

_FLAGS = {name: text for name, text in texts(ReceiveChecksum).items() if name != "reserved"}

_COUNTERS = {
    "requests": "Requests accepted.",
    "frames": "Frames sent.",
    "bytes": "Bytes sent.",
    "inner_version_hint": "Packets whose inner IP version is not the one that the word says (INV-13).",
    "tcp_options_hint": "Packets with TCP options, where the word says that there are none (INV-14).",
    "split_encapsulation": "Packets whose first buffer ends before the inner frame begins (SG-3).",
    "refused_...": "Requests refused: one counter for each status but `ok`.",
}

_RECEIVE_COUNTERS = {
    "frames": "Frames that have come out.",
    "bytes": "Bytes that have come out.",
    **{name: f"Frames with this flag: {text[0].lower()}{text[1:]}" for name, text in _FLAGS.items()},
    "tunnel_failed": "Frames whose tunnel has a checksum that is wrong (RXT-22).",
    "tunnel_succeeded": "Frames whose tunnel has a checksum that is right.",
    "reason_...": "Frames: one counter for each reason, and for `checked`.",
    "queue_...": "Frames: one counter for each queue.",
}

_INTRODUCTION = """\
# Ports and records

This file is made by `offramp records --markdown` from the layouts that the hardware is made of
([hdl/offramp/records.py](../hdl/offramp/records.py)), and a test keeps it up to date. `offramp records --c`
writes the records as a C header. Numbers such as OOB-9 are those of the offload rules.

Everything is synchronous to `clk`; `rst` is synchronous and active high. No combinational path leads from any
input to any output. *Lanes* are the bytes of a beat: 8, 16, 32 or 64. Byte 0 of a packet is in lane 0,
`tdata[7:0]`; all lanes are kept in every beat but the last, and there the lowest ones, at least one. Records
are single transfers, bit 0 in `tdata[0]`. Counters wrap around and start at 0 after a reset.
"""

_NIC = """\
## Ports of `offramp_nic`

All ports of both, called as above but for the streams of received frames, `s_axis_received_*` and
`m_axis_received_*`, and the counters, `stat_send_*` and `stat_receive_*`. `cfg_encapsulation` and
`cfg_vxlan_port` are there once, for both.
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


def _meaning(field: Field) -> str:
    """Return what a field means, and where to find what it holds."""
    of = field.layout or field.codes
    return field.meaning if of is None else f"{field.meaning} See [{of.__name__}](#{of.__name__.lower()})."


def _record(cls: type[data.Struct]) -> Iterator[str]:
    yield f"## {cls.__name__}"
    yield ""
    yield summary(cls)
    yield ""
    rows = ((field.bits, f"`{field.name}`", _meaning(field)) for field in fields(cls))
    yield from _table(("bits", "field", "meaning"), rows)
    yield ""


def codes(cls: type[enum.Enum]) -> Iterator[str]:
    """Yield the lines of the table of all values of an enumeration."""
    meanings = texts(cls)
    rows = []
    for member in cls:
        what, rules = split_rules(meanings[member.name])
        rows.append([str(member.value), f"`{member.name.lower()}`", what, rules])
    head = ["", spelled(cls.__name__, " "), "meaning", "rules"]
    if not any(rules for *_, rules in rows):
        head, rows = head[:3], [row[:3] for row in rows]
    yield from _table(head, rows)


def statuses() -> Iterator[str]:
    """Yield the lines of the table of all status codes."""
    yield from codes(Status)


def _enumeration(cls: type[enum.Enum]) -> Iterator[str]:
    yield f"## {cls.__name__}"
    yield ""
    yield summary(cls)
    yield ""
    yield from codes(cls)
    yield ""


def _streams(streams: Streams) -> Iterator[str]:
    for prefix, signature, meaning in streams:
        yield from (f"### `{prefix}_*`", "", meaning, "")
        yield from _table(("port", "bits"), _ports(prefix, signature(8), signature(16)))
        yield ""


def _settings(cls: type[data.Struct], values: Callable[[Sequence[Port]], list[int]]) -> Iterator[str]:
    """Yield the lines about configuration ports, with the ``values`` that the tools put on them."""
    yield from ("### `cfg_*`", "", summary(cls), "")
    members = list(fields(cls))
    ports = [Port(f"cfg_{field.name}", field.width, output=False) for field in members]
    rows = [
        (f"`{port.name}`", _bits(field), _value(port, value), _meaning(field))
        for port, value, field in zip(ports, values(ports), members, strict=True)
    ]
    yield from _table(("port", "bits", "tools' default", "meaning"), rows)
    yield ""


def _bits(field: Field) -> str:
    several = f"{field.entries} x " if field.entries > 1 else ""
    return f"{several}{field.width // field.entries}"


def _value(port: Port, value: int) -> str:
    return f"{value}" if port.width <= 64 or not value else f"`{value:0{port.width // 4}x}`"


def _counters(widths: dict[str, int], meanings: dict[str, str]) -> Iterator[str]:
    """Yield the lines about counters; a name with dots at its end is that of all that begin so."""
    yield from ("### `stat_*`", "")
    left = dict(widths)
    rows = []
    for name, meaning in meanings.items():
        mine = [each for each in left if each == name or (name[-3:] == "..." and each.startswith(name[:-3]))]
        (width,) = {left.pop(each) for each in mine}
        rows.append((f"`stat_{name}`", str(width), meaning))
    if left:
        raise ValueError(f"counters without a meaning: {', '.join(left)}")
    yield from _table(("port", "bits", "counts"), rows)
    yield ""


def _all_of(*records: type[data.Struct]) -> Iterator[str]:
    """Yield the lines about records, what is in them, and the names of values."""
    for record in records:
        for cls in (record, *words(record)):
            yield from _record(cls)
    for record in records:
        for cls in tables(record):
            yield from _enumeration(cls)


def markdown() -> str:
    """Return the text of docs/records.md."""
    lines = [
        _INTRODUCTION,
        "## Ports of `offramp_send`",
        "",
        *_streams(_SEND_STREAMS),
        *_settings(Configuration, lambda ports: port_values(Config(), ports)),
        *_counters(counters(), _COUNTERS),
        "## Ports of `offramp_receive`",
        "",
        *_streams(_RECEIVE_STREAMS),
        *_settings(ReceiveConfiguration, lambda ports: receive_values(ReceiveConfig(active=True), ports)),
        *_counters(receive_counters(), _RECEIVE_COUNTERS),
        _NIC,
        *_all_of(Request, Completion),
        *_all_of(Metadata),
        *_record(HashTypes),
        *_record(Filter),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"
