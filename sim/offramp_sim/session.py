"""Plays any number of jobs or arrivals through a core, a batch at a time, showing how far it is."""

import functools
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from offramp_sim.core import Core, CoreError

BATCH_BYTES = 16 << 20
"""Packet bytes played at once: enough to make gaps between batches vanish, and no burden on memory."""


class Sized(Protocol):
    """What has a size in bytes."""

    @property
    def size(self) -> int:
        """Bytes that go in."""


In = TypeVar("In", bound=Sized)
Out = TypeVar("Out")


def _batches(things: Iterable[In]) -> Iterator[list[In]]:
    batch: list[In] = []
    size = 0
    for thing in things:
        batch.append(thing)
        size += thing.size + 64
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def play(
    core: Core[In, Out], things: Iterable[In], *, total: int | None, what: str
) -> Iterator[tuple[In, Out]]:
    """Yield every one of ``things`` with what came of it, in order.

    Parameters
    ----------
    core : Core
    things : iterable
        Jobs or arrivals, taken as they are needed.
    total : int, optional
        How many, where it is known beforehand.
    what : str
        What they are called on the progress bar, which is shown where standard error is a terminal.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        before = 0
        for batch in _batches(things):
            try:
                outcomes = core.play(batch, functools.partial(_advance, progress, task, before))
            except CoreError as error:
                raise click.ClickException(f"the core misbehaves: {error}") from error
            before += len(batch)
            progress.update(task, completed=before)
            yield from zip(batch, outcomes, strict=True)


def _advance(progress: Progress, task: TaskID, before: int, done: int) -> None:
    progress.update(task, completed=before + done)
