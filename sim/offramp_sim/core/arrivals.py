"""Frames into the receive path and what comes out, and the byte forms they have at its ports."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from offramp_sim.core.ports import Port
from offramp_sim.core.records import CoreError, Frame
from offramp_sim.core.simulation import Seen
from offramp_sim.model import Reason, ReceiveConfig, Reception, Verdicts, VmqFilter
from offramp_sim.model.reception import HASH_TYPES

_METADATA = struct.Struct("<IIIHHBBBB")
METADATA_BITS = 8 * _METADATA.size

_VERSIONS = (None, "ipv4", "ipv6")
_TUNNELS = (None, "nvgre", "vxlan", "gre")
_VERDICTS = ("not_checked", "good", "bad")
_REASONS = (None, *(reason.name.lower() for reason in Reason))
_FILTER_BITS = 67
_QUEUE_BITS = 4


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame from the wire, at least one byte long, and the configuration under which it arrives.

    ``marked_bad`` is the mark that the MAC gives it.
    """

    frame: bytes
    config: ReceiveConfig = field(default_factory=ReceiveConfig)
    marked_bad: bool = False

    def __post_init__(self) -> None:
        if not self.frame:
            raise ValueError("a frame has at least one byte")

    @property
    def size(self) -> int:
        """Bytes that go in."""
        return len(self.frame)


@dataclass(frozen=True, slots=True)
class Received:
    """What came out for one arrival.

    Attributes
    ----------
    frame : Frame
        The frame as it left.
    reception : Reception
        What its metadata says.
    input_cycles, output_cycles : sequence of int
        When each beat was taken in, and when each left.
    metadata_cycle : int
        When the metadata left.
    """

    frame: Frame
    reception: Reception
    input_cycles: Sequence[int] = ()
    output_cycles: Sequence[int] = ()
    metadata_cycle: int = 0

    @property
    def data(self) -> bytes:
        """The bytes that came out."""
        return self.frame.data

    @property
    def marked_bad(self) -> bool:
        """Whether the frame left with a mark."""
        return bool(self.frame.tag)


def _name(names: Sequence[str | None], code: int, what: str) -> str | None:
    """Return what ``code`` stands for in a metadata record."""
    if code >= len(names):
        raise CoreError(f"the metadata has the undocumented {what} {code}")
    return names[code]


def _verdict(code: int) -> str:
    return _name(_VERDICTS, code, "verdict") or ""


def decode_metadata(record: bytes) -> Reception:
    """Return what the record with the bytes of ``m_axis_metadata_tdata``, lowest first, says."""
    checksum, value, kind, length, layers, verdicts, protocol, queue, reason = _METADATA.unpack(record)
    if layers >> 12:
        raise CoreError(f"the metadata has reserved bits set in its layers, 0x{layers:04x}")
    return Reception(
        checksum=checksum,
        hash_value=value,
        hash_type=kind,
        queue=queue,
        outer=_name(_VERSIONS, layers & 3, "IP version"),
        inner=_name(_VERSIONS, layers >> 2 & 3, "IP version"),
        tunnel=_name(_TUNNELS, layers >> 4 & 3, "tunnel"),
        protocol=protocol if layers >> 10 & 1 else None,
        reason=_name(_REASONS, reason, "reason"),
        fragment=bool(layers >> 9 & 1),
        vlan_tags=layers >> 6 & 3,
        inner_vlan=bool(layers >> 8 & 1),
        marked_bad=bool(layers >> 11 & 1),
        length=length,
        verdicts=Verdicts(
            outer_ip=_verdict(verdicts & 3),
            tunnel=_verdict(verdicts >> 2 & 3),
            inner_ip=_verdict(verdicts >> 4 & 3),
            transport=_verdict(verdicts >> 6 & 3),
        ),
    )


def _filter(entry: VmqFilter) -> int:
    """Return the bits of a filter that is in use."""
    return (
        1
        | (entry.vlan is not None) << 1
        | entry.spread << 2
        | (entry.vlan or 0) << 3
        | int.from_bytes(entry.mac, "big") << 15
        | entry.queue << 63
    )


def receive_values(config: ReceiveConfig, ports: Sequence[Port]) -> list[int]:
    """Return what ``config`` puts on each of the configuration inputs ``ports``."""
    values = []
    for port in ports:
        match port.name.removeprefix("cfg_"):
            case "encapsulation":
                values.append(("nvgre" in config.encapsulation) | ("vxlan" in config.encapsulation) << 1)
            case "rss_types":
                values.append(sum(HASH_TYPES[name] for name in config.rss_types) >> 8)
            case "rss_key":
                values.append(int.from_bytes(config.rss_key, "big"))
            case "rss_table":
                values.append(sum(queue << _QUEUE_BITS * n for n, queue in enumerate(config.rss_table)))
            case "vmq_filters":
                filters = enumerate(config.vmq_filters)
                values.append(sum(_filter(entry) << _FILTER_BITS * n for n, entry in filters))
            case name:
                values.append(int(getattr(config, name.removeprefix("rx_"))))
    return values


def assemble_received(arrivals: Sequence[Arrival], lanes: int, seen: Seen) -> list[Received]:
    """Return what came out for each of ``arrivals`` from all that was seen at the ports of a core."""
    for what, count in (("frames", len(seen.frames)), ("metadata records", len(seen.records))):
        if count != len(arrivals):
            raise CoreError(f"{count} {what} came out for {len(arrivals)} frames")
    results = []
    taken = left = 0
    for arrival, frame, (record, cycle) in zip(arrivals, seen.frames, seen.records, strict=True):
        beats = -(-len(arrival.frame) // lanes)
        inputs = seen.packet_cycles[taken : taken + beats]
        outputs = seen.frame_cycles[left : left + frame.beats]
        results.append(Received(frame, decode_metadata(record), inputs, outputs, cycle))
        taken += beats
        left += frame.beats
    return results
