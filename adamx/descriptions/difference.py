"""`adamx.diff`: what two transformations have in common, part by part."""

import dataclasses
import difflib
import html as escaping
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..engine.chain import Chain, External
from ..engine.hyperparams import Schedule, hyper_fields, public_name
from ..engine.masks import Mask
from ..engine.rule import Rule
from ..engine.value import Value, made_by, show
from ..html import HEADING, table
from ..storage.codec import Codec
from ..storage.plan import columns
from ..storage.store import Stored
from ..wrappers.around import Around
from . import names


class Change(NamedTuple):
    """One difference.

    Attributes:
        kind: "added", "removed" or "changed".
        part: the part that was added or removed, or the path to the changed field:
            `Precondition.moment.Ema.decay`.
        before: what it was, "" for what was added.
        after: what it is, "" for what was removed.
    """

    kind: str
    part: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True)
class Difference:
    """The differences of two transformations; prints as a list, false if there is none.

    Attributes:
        names: what the two are.
        changes: the differences, in the order of the parts.
    """

    names: tuple[str, str]
    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __str__(self) -> str:
        head = f"{self.names[0]} → {self.names[1]}"
        if not self.changes:
            return f"{head}: no difference."
        rows = [_row(change) for change in self.changes]
        return "\n".join((head, *("  " + line for line in columns(rows))))

    def _repr_html_(self) -> str:
        head = escaping.escape(f"{self.names[0]} → {self.names[1]}")
        above = f'<div style="{HEADING}">{head}</div>'
        if not self.changes:
            return f"<div>{above}<div>No difference.</div></div>"
        rows = [(c.kind, c.part, c.before, c.after) for c in self.changes]
        body = table(("", "part", "before", "after"), rows, code=(1, 2, 3))
        return f"<div>{above}{body}</div>"


_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def _row(change: Change) -> tuple[str, ...]:
    before, after = change.before, change.after
    said = f"{before} → {after}" if change.kind == "changed" else before or after
    return (_MARKS[change.kind], change.part, said)


def diff(tx1: Any, tx2: Any) -> Difference:
    """Compare two transformations part by part.

        print(adamx.diff(adamx.adam(1e-3), adamx.adamw(1e-3)))

    It names the parts that were added or removed, the hyperparameters and options that
    changed, and the slots that are stored otherwise. Equal transformations give an
    empty result, which is false.

    Args:
        tx1: an optimizer, chain or part of adamx.
        tx2: another one.

    Raises:
        TypeError: one of them is not of adamx.
    """
    names.check_own("diff", "tx1", tx1)
    names.check_own("diff", "tx2", tx2)
    called = (_called(tx1), _called(tx2))
    return Difference(called, tuple(_changes("", tx1, tx2)))


def _called(tx: Any) -> str:
    return next(iter(made_by(tx)), type(tx).__name__)


def _changes(path: str, a: Any, b: Any) -> Iterator[Change]:
    """Yield the differences of two values at a place."""
    if _parts(a) is not None and _parts(b) is not None:
        yield from _of_lists(path, _parts(a) or (), _parts(b) or ())
    elif isinstance(a, Stored) != isinstance(b, Stored):
        yield from _storage(path, a, b)
    elif type(a) is type(b) and isinstance(a, Value) and not isinstance(a, Mask):
        inside = f"{path}.{type(a).__name__}" if path else type(a).__name__
        for field in a._fields:
            mine, theirs = getattr(a, field), getattr(b, field)
            if not _same(mine, theirs):
                called = public_name(a, field) if field in hyper_fields(a) else field
                also = "" if called == field else f" ({called})"
                yield from _of_field(f"{inside}.{field}{also}", mine, theirs)
    elif isinstance(a, Around) and not isinstance(b, Around):
        yield Change("removed", _joined(path, type(a).__name__), _without_inner(a), "")
        yield from _changes(path, a.inner, b)
    elif isinstance(b, Around) and not isinstance(a, Around):
        yield Change("added", _joined(path, type(b).__name__), "", _without_inner(b))
        yield from _changes(path, a, b.inner)
    elif not _same(a, b):
        yield Change("changed", path or "the whole", show(a), show(b))


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _without_inner(x: Around) -> str:
    shown = [f"{f}={show(getattr(x, f))}" for f in x._fields if f != "inner"]
    return f"{type(x).__name__}({', '.join(shown)})"


def _parts(x: Any) -> tuple[Any, ...] | None:
    """Return the parts of a chain, None for what is none; a rule is a chain of one."""
    if isinstance(x, Chain):
        return x.parts
    return getattr(x, "rules", None) if isinstance(x, Rule) else None


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, External) and isinstance(b, External):
        return a.name == b.name and a.tx is b.tx
    return type(a) is type(b) and show(a) == show(b) and (a is b or bool(a == b))


def _of_field(path: str, a: Any, b: Any) -> Iterator[Change]:
    alike = type(a) is type(b) or (_parts(a) is not None and isinstance(b, Rule))
    stored = isinstance(a, Stored) or isinstance(b, Stored)
    rules = isinstance(a, Rule) and isinstance(b, Rule)
    if (rules and (alike or stored)) or (_is_settings(a) and type(a) is type(b)):
        yield from _changes(path, a, b)
    else:
        yield Change("changed", path, show(a), show(b))


def _is_settings(x: Any) -> bool:
    """Return whether a value is described by its fields, such as an eps kind."""
    return isinstance(x, Value) and not isinstance(x, Mask | Schedule | Codec)


def _storage(path: str, a: Any, b: Any) -> Iterator[Change]:
    """Yield the codecs of a part that is stored on one side, and what else differs."""
    for stored, kind in ((a, "removed"), (b, "added")):
        if isinstance(stored, Stored):
            for slot, codec in stored.codecs:
                text = show(codec)
                before, after = (text, "") if kind == "removed" else ("", text)
                yield Change(
                    kind, f"{_joined(path, 'storage of')} {slot}", before, after
                )
    a, b = (x.part if isinstance(x, Stored) else x for x in (a, b))
    yield from _changes(path, a, b)


def _kind(x: Any) -> str:
    """Return by what parts of two chains are matched: a class, or a name."""
    if isinstance(x, External):
        return x.name
    return _kind(x.part) if isinstance(x, Stored) else type(x).__name__


def _of_lists(path: str, a: tuple[Any, ...], b: tuple[Any, ...]) -> Iterator[Change]:
    kinds = [list(map(_kind, side)) for side in (a, b)]
    matcher = difflib.SequenceMatcher(None, *kinds, autojunk=False)
    for _, a1, a2, b1, b2 in matcher.get_opcodes():
        if kinds[0][a1:a2] == kinds[1][b1:b2]:
            for mine, theirs in zip(a[a1:a2], b[b1:b2], strict=True):
                if not _same(mine, theirs):
                    yield from _changes(path, mine, theirs)
            continue
        for part in a[a1:a2]:
            yield Change("removed", _joined(path, _kind(part)), show(part), "")
        for part in b[b1:b2]:
            yield Change("added", _joined(path, _kind(part)), "", show(part))
