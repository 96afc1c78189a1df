"""The summary at the end of a run."""

import json
from collections import Counter
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.table import Table

from offramp_sim.core import Frame, Job, Outcome


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
