"""What a layout of the hardware says about itself: its fields, where they are, and the text below each."""

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.lib import data, enum

_ROLE = re.compile(r":\w+:`")
_RULES = re.compile(r"(?P<what>.*?)(?: \((?P<rules>[A-Z][A-Z0-9]*-\d+(?:, [A-Z][A-Z0-9]*-\d+)*)\))?\.")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record: bits ``low`` to ``low + width - 1``.

    ``layout`` is what the field holds if that has fields of its own, ``codes`` the names for its values if
    there are any, and ``entries`` how many of them it holds.
    """

    name: str
    low: int
    width: int
    meaning: str
    layout: type[data.Struct] | None = None
    codes: type[enum.Enum] | None = None
    entries: int = 1

    @property
    def reserved(self) -> bool:
        """Whether the field has no meaning."""
        return self.name.startswith("reserved")

    @property
    def bits(self) -> str:
        """The field's bits, highest first, as in ``tdata``."""
        return f"{self.low + self.width - 1}:{self.low}" if self.width > 1 else f"{self.low}"


def spelled(name: str, between: str) -> str:
    """Return the words of the name of a class in lower case, with ``between`` between them."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", between, name).lower()


def summary(cls: type[Any]) -> str:
    """Return the first paragraph of the docstring of ``cls``."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())


def texts(cls: type[Any]) -> dict[str, str]:
    """Return the string below each field or member in the source of ``cls``, by name, as Markdown."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, below in itertools.pairwise(definition.body):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = _ROLE.sub("`", " ".join(text.split()).replace("``", "`"))
    return found


def fields(cls: type[data.Struct]) -> Iterator[Field]:
    """Yield the fields of ``cls``, lowest bits first; each must have a text below it."""
    meanings = texts(cls)
    for name, field in data.Layout.cast(cls):
        shape, entries = field.shape, 1
        if isinstance(shape, data.ArrayLayout):
            shape, entries = shape.elem_shape, shape.length
        layout = shape if isinstance(shape, type) and issubclass(shape, data.Struct) else None
        codes = shape if isinstance(shape, type) and issubclass(shape, enum.Enum) else None
        yield Field(name, field.offset, field.width, meanings[name], layout, codes, entries)


def words(cls: type[data.Struct]) -> list[type[data.Struct]]:
    """Return what the fields of ``cls`` hold that have fields of their own, each once."""
    return list(dict.fromkeys(field.layout for field in fields(cls) if field.layout is not None))


def tables(cls: type[data.Struct]) -> list[type[enum.Enum]]:
    """Return the enumerations in ``cls`` and in what its fields hold, each once."""
    own = [field.codes for field in fields(cls) if field.codes is not None]
    return list(dict.fromkeys(own + [codes for inner in words(cls) for codes in tables(inner)]))


def split_rules(text: str) -> tuple[str, str]:
    """Return a sentence and the numbers of the rules in parentheses at its end, empty if there are none."""
    match = _RULES.fullmatch(text)
    if match is None:
        raise ValueError(f"not a sentence: {text!r}")
    return f"{match['what']}.", match["rules"] or ""
