"""Output files that appear under their names whole or not at all."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from offramp_sim.errors import BadInput


@contextlib.contextmanager
def replacing(*paths: Path, read: Sequence[Path] = ()) -> Iterator[list[BinaryIO]]:
    """Open a file beside each of ``paths``; rename them into place together when the block has ended well.

    None of them may be among the files that were ``read``.

    After an exception the files are gone and what was there under ``paths`` is untouched. Paths that are no
    ordinary files, such as ``/dev/stdout``, are written as they are.
    """
    if len({path.absolute() for path in paths}) < len(paths):
        raise BadInput(paths[0], "", "named for two outputs")
    for path in paths:
        if path.resolve() in [source.resolve() for source in read]:
            raise BadInput(path, "", "named for input and for output")
    moves: list[tuple[Path, Path]] = []
    with contextlib.ExitStack() as stack:
        stack.callback(_remove, moves)
        files: list[BinaryIO] = []
        for path in paths:
            try:
                if path.exists() and not path.is_file():
                    files.append(stack.enter_context(path.open("wb")))
                    continue
                target = path.resolve()
                part = target.with_name(f".{target.name}.{os.getpid()}.part")
                files.append(stack.enter_context(part.open("xb")))
                moves.append((part, target))
            except OSError as error:
                raise BadInput(path, "", f"cannot be written: {error.strerror or error}") from error
        yield files
        for file in files:
            file.close()
        for part, target in moves:
            part.replace(target)
        moves.clear()


def _remove(moves: list[tuple[Path, Path]]) -> None:
    for part, _ in moves:
        part.unlink(missing_ok=True)
