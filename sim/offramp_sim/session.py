"""Plays any number of jobs through a core, a batch at a time, showing how far it is."""

import functools
from collections.abc import Iterable, Iterator

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from offramp_sim.core import Core, CoreError, Job, Outcome

BATCH_BYTES = 16 << 20
"""Packet bytes played at once: enough to make gaps between batches vanish, and no burden on memory."""


def _batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    batch: list[Job] = []
    size = 0
    for job in jobs:
        batch.append(job)
        size += len(job.request.frame) + 64
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def play(core: Core, jobs: Iterable[Job], *, total: int | None, what: str) -> Iterator[tuple[Job, Outcome]]:
    """Yield every job with its outcome, in order.

    Parameters
    ----------
    core : Core
    jobs : iterable of Job
        Taken as they are needed.
    total : int, optional
        Number of jobs, where it is known beforehand.
    what : str
        What the jobs are called on the progress bar, which is shown where standard error is a terminal.
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
        for batch in _batches(jobs):
            try:
                outcomes = core.play(batch, functools.partial(_advance, progress, task, before))
            except CoreError as error:
                raise click.ClickException(f"the core misbehaves: {error}") from error
            before += len(batch)
            progress.update(task, completed=before)
            yield from zip(batch, outcomes, strict=True)


def _advance(progress: Progress, task: TaskID, before: int, done: int) -> None:
    progress.update(task, completed=before + done)
