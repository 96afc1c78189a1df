"""The summary at the end of a run."""

import json
from collections import Counter
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.table import Table

from offramp_sim.core import Frame, Job, Outcome, Received
from offramp_sim.model import Verdicts


@dataclass(slots=True)
class Summary:
    """Counts what went into a core and what came out of it."""

    requests: int = 0
    bytes_in: int = 0
    frames_out: int = 0
    bytes_out: int = 0
    segmented: int = 0
    segments: int = 0
    beats_out: int = 0
    cycles: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def taken(self, job: Job, outcome: Outcome) -> None:
        """Count a request with its completion."""
        self.requests += 1
        self.bytes_in += len(job.request.frame)
        if outcome.completion.status != "ok":
            self.refused[outcome.completion.status] += 1
        elif job.request.lso or job.request.uso:
            self.segmented += 1
            self.segments += outcome.completion.segments

    def sent(self, frame: Frame) -> None:
        """Count a frame that came out."""
        self.frames_out += 1
        self.bytes_out += len(frame.data)
        self.beats_out += frame.beats

    def fields(self) -> dict[str, object]:
        """Return the counts by name, as ``--json`` prints them."""
        return {
            "frames_in": self.requests,
            "bytes_in": self.bytes_in,
            "frames_out": self.frames_out,
            "bytes_out": self.bytes_out,
            "segmented": self.segmented,
            "segments": self.segments,
            "refused": dict(sorted(self.refused.items())),
            "output_beats": self.beats_out,
            "cycles": self.cycles,
            "beats_per_cycle": round(self.beats_out / self.cycles, 4) if self.cycles else None,
        }

    def show(self, *, as_json: bool, title: str | None = None) -> None:
        """Print the counts: as one line of JSON, or as a table."""
        if as_json:
            click.echo(json.dumps(self.fields()))
            return
        table = Table(title=title, show_header=True, header_style="bold")
        for column in ("", "in", "out"):
            table.add_column(column, justify="left" if not column else "right")
        table.add_row("frames", f"{self.requests:,}", f"{self.frames_out:,}")
        table.add_row("bytes", f"{self.bytes_in:,}", f"{self.bytes_out:,}")
        table.add_row("segmented", f"{self.segmented:,}", f"{self.segments:,}")
        for reason, count in sorted(self.refused.items()):
            table.add_row(f"refused: {reason}", f"{count:,}", "0", style="red")
        if self.cycles:
            table.add_section()
            table.add_row("beats", "", f"{self.beats_out:,}")
            table.add_row("cycles", "", f"{self.cycles:,}")
            table.add_row("beats per cycle", "", f"{self.beats_out / self.cycles:.3f}")
        Console().print(table)


LAYERS = ("outer_ip", "inner_ip", "tunnel", "tcp", "udp")
"""What a summary of received frames counts the verdicts of."""


@dataclass(slots=True)
class ReceiveSummary:
    """Counts what a receive path said of the frames that went through it."""

    frames: int = 0
    octets: int = 0
    beats: int = 0
    cycles: int = 0
    good: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    unchecked: Counter[str] = field(default_factory=Counter)
    hashed: int = 0
    queues: Counter[int] = field(default_factory=Counter)

    def took(self, received: Received) -> None:
        """Count a frame."""
        self.frames += 1
        self.octets += len(received.data)
        self.beats += received.frame.beats
        reception = received.reception
        for layer, verdict in _verdicts(reception.verdicts, reception.l4):
            if verdict != "not_checked":
                (self.good if verdict == "good" else self.bad)[layer] += 1
        if reception.reason is not None:
            self.unchecked[reception.reason] += 1
        self.hashed += reception.hash_type != 0
        self.queues[reception.queue] += 1

    def fields(self) -> dict[str, object]:
        """Return the counts by name, as ``--json`` prints them."""
        return {
            "frames": self.frames,
            "bytes": self.octets,
            "good": {layer: self.good[layer] for layer in LAYERS},
            "bad": {layer: self.bad[layer] for layer in LAYERS},
            "not_checked": dict(sorted(self.unchecked.items())),
            "hashed": self.hashed,
            "queues": {str(queue): count for queue, count in sorted(self.queues.items())},
            "beats": self.beats,
            "cycles": self.cycles,
            "beats_per_cycle": round(self.beats / self.cycles, 4) if self.cycles else None,
        }

    def show(self, *, as_json: bool) -> None:
        """Print the counts: as one line of JSON, or as a table."""
        if as_json:
            click.echo(json.dumps(self.fields()))
            return
        table = Table(show_header=True, header_style="bold")
        for column in ("", "good", "bad"):
            table.add_column(column, justify="left" if not column else "right")
        titles = ("outer IPv4 header", "inner IPv4 header", "tunnel", "TCP", "UDP")
        for layer, title in zip(LAYERS, titles, strict=True):
            bad = f"[red]{self.bad[layer]:,}[/]" if self.bad[layer] else "0"
            table.add_row(title, f"{self.good[layer]:,}", bad)
        table.add_section()
        for reason, count in self.unchecked.most_common():
            table.add_row(f"not checked: {reason}", f"{count:,}", "")
        table.add_section()
        table.add_row("frames", f"{self.frames:,}", "")
        table.add_row("bytes", f"{self.octets:,}", "")
        if self.hashed:
            table.add_row("hashed", f"{self.hashed:,}", "")
        if self.cycles:
            table.add_row("beats", f"{self.beats:,}", "")
            table.add_row("cycles", f"{self.cycles:,}", "")
            table.add_row("beats per cycle", f"{self.beats / self.cycles:.3f}", "")
        Console().print(table)


def _verdicts(verdicts: Verdicts, l4: str | int | None) -> list[tuple[str, str]]:
    """Return each layer that a frame can have a verdict on, and the verdict."""
    layers = [(layer, getattr(verdicts, layer)) for layer in ("outer_ip", "inner_ip", "tunnel")]
    return [*layers, (l4, verdicts.transport)] if isinstance(l4, str) else layers
