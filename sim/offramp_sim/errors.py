"""What can be wrong with a user's input, said in one line."""

from pathlib import Path

import click


class BadInput(click.ClickException):
    """Input that cannot be worked with: the file, the place in it, and what is wrong there.

    Parameters
    ----------
    path : Path
    place : str
        Where in the file, such as ``"line 3"`` or ``"frame 7"``; empty for the file as a whole.
    problem : str
    """

    exit_code = 2

    def __init__(self, path: Path, place: str, problem: str) -> None:
        where = f"{path}: {place}" if place else str(path)
        super().__init__(f"{where}: {' '.join(problem.split())}")
