"""What `offramp bench send` and `offramp bench receive` have in common."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from offramp_sim import options
from offramp_sim.core import CoreError


class Values(click.ParamType[tuple[str, ...]]):
    """Several values of ``kind`` in one, with commas between them."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.kind = kind
        self.name = kind.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return what the help text shows for a value."""
        return self.kind.get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the values."""
        if not isinstance(value, str):
            return value
        return tuple(self.kind.convert(part.strip(), param, ctx) for part in value.split(","))


def joined(_context: click.Context, _option: click.Parameter, given: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return all values of an option that was given several times, each once, in the order given."""
    return list(dict.fromkeys(item for items in given for item in items))


lanes = click.option(
    "--lanes",
    type=Values(click.Choice(options.WIDTHS)),
    multiple=True,
    default=[",".join(options.WIDTHS)],
    callback=lambda c, p, value: [int(width) for width in joined(c, p, value)],
    show_default=True,
    help="Bytes per clock cycle.",
)


def cell(text: str, *, missed: bool, applies: bool = True) -> str:
    """Return a value for a table: marked where it misses its target, dimmed where it has none."""
    if missed:
        return f"[bold red]{text}![/]"
    return f"{text} " if applies else f"[dim]{text}[/] "


class Measured(Protocol):
    """A measurement."""

    @property
    def missed(self) -> tuple[str, ...]:
        """Names of the values that miss their targets."""

    def fields(self) -> dict[str, object]:
        """Return the values by name."""


C = TypeVar("C")
T = TypeVar("T")
M = TypeVar("M", bound=Measured)


def run(
    widths: Sequence[int],
    opened: Callable[[options.Simulation], AbstractContextManager[C]],
    work: Sequence[T],
    measure: Callable[[C, T], M],
) -> Iterator[list[M]]:
    """Yield what ``measure`` makes of all ``work``, for one width after the other.

    ``opened`` returns the core of a simulation. Progress is shown where standard error is a terminal.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for width in widths:
            task = progress.add_task(f"{width} lanes: building the core", total=None)
            done = []
            with opened(options.Simulation(width, "verilator", seed=0, stall=0.0, waves=None)) as core:
                for number, item in enumerate(work):
                    what = f"{width} lanes: {item}"
                    progress.update(task, description=what, completed=number, total=len(work))
                    try:
                        done.append(measure(core, item))
                    except CoreError as error:
                        raise click.ClickException(f"{what}: the core misbehaves: {error}") from error
            progress.remove_task(task)
            yield done


def finish(measurements: Sequence[Measured], targets: str, *, as_json: bool) -> None:
    """Print all as JSON, or how much misses one of ``targets``; exit with status 1 if anything does."""
    missing = sum(bool(item.missed) for item in measurements)
    if as_json:
        click.echo(json.dumps([item.fields() for item in measurements], indent=2))
    else:
        Console().print(
            f"{missing or 'None'} of {len(measurements)} measurements miss{'es' * (missing == 1)} a target: "
            f"{targets}.",
            highlight=False,
        )
    if missing:
        raise click.exceptions.Exit(1)
