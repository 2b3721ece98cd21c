"""Defaults beside those of the authors' own code, for a generated table.

`authors_code.csv` says where the code of an optimizer is, `authors_defaults.csv` what
its defaults are and, where ours is another, why. Ours are read from the signatures.
"""

import ast
import csv
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import adamx

HERE = Path(__file__).resolve().parent
EPS = ("EpsBeforeCorrection(", ")")
"""A default of theirs that is a number in ours, with another place of ε."""


class Default(NamedTuple):
    """A keyword of ours, the authors' name for it and default, and why ours differs."""

    optimizer: str
    keyword: str
    theirs: str
    value: str
    why: str

    @property
    def ours(self) -> Any:
        """Our default, `inspect.Parameter.empty` if the keyword must be given."""
        signature = inspect.signature(getattr(adamx, self.optimizer))
        return signature.parameters[self.keyword].default

    @property
    def required(self) -> bool:
        return self.ours is inspect.Parameter.empty

    @property
    def same(self) -> bool:
        """Whether the two are equal, or one of them must be given."""
        if self.required or self.value == "required":
            return True
        theirs = None if self.value.startswith(EPS[0]) else ast.literal_eval(self.value)
        plain = self.ours is None or isinstance(self.ours, str | tuple)
        if plain or theirs is None or isinstance(self.ours, bool):
            return self.ours is theirs or (plain and self.ours == theirs)
        return not isinstance(theirs, bool) and self.ours == theirs


def read(name: str) -> list[list[str]]:
    """The rows of a file without its head."""
    with (HERE / f"{name}.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def code() -> dict[str, tuple[str, str]]:
    """The authors' name of each optimizer, and where it is."""
    return {optimizer: (name, url) for optimizer, name, url in read("authors_code")}


def defaults() -> list[Default]:
    return [Default(*row) for row in read("authors_defaults")]


def missing() -> list[tuple[str, str]]:
    """The keywords with a number for default that the file does not have."""
    known = {(row.optimizer, row.keyword) for row in defaults()}
    return [
        (optimizer, keyword)
        for optimizer in code()
        for keyword, p in inspect.signature(
            getattr(adamx, optimizer)
        ).parameters.items()
        if isinstance(p.default, int | float) and not isinstance(p.default, bool)
        if (optimizer, keyword) not in known
    ]


def rows() -> Iterator[tuple[str, ...]]:
    """Each optimizer: where the code is, which defaults agree, and which do not."""
    every = defaults()
    for optimizer, (name, url) in code().items():
        own = [row for row in every if row.optimizer == optimizer]
        agree = [f"`{row.keyword}`" for row in own if row.same and not row.required]
        apart = [
            f"`{row.keyword}`: {shown(row.ours)}, theirs {said(row)} ({row.why})"
            for row in own
            if not row.same
        ]
        given = [f"`{row.keyword}`, theirs {said(row)}" for row in own if row.required]
        yield (
            f"`{optimizer}`",
            f"[{name}]({url})",
            ", ".join(agree) or "–",
            "; ".join(apart) or "–",
            ", ".join(given) or "–",
        )


def said(row: Default) -> str:
    """Their default with the name it has there, if that is another."""
    if row.theirs in (row.keyword, "in the code"):
        return f"`{row.value}`"
    name = row.theirs if " " in row.theirs else f"`{row.theirs}`"
    return f"`{row.value}` as {name}"


def shown(default: Any) -> str:
    return f"`{default!r}`"
