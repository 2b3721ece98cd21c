"""A sentence that is believed of Adam, what was measured of it, and the verdict.

Runs with the same seed have the same start and the same data, so that two optimizers
are compared in pairs. One is ahead where the mean of the differences is more than two
of its standard errors from zero; else it is not decided here.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided here"


@dataclasses.dataclass(frozen=True)
class Claim:
    """`sentence` from `source`; `measured` is what speaks for or against it."""

    sentence: str
    source: str
    verdict: str
    measured: str

    def as_dict(self) -> dict[str, str]:
        return dataclasses.asdict(self)


def lower(a: Sequence[Any], b: Sequence[Any]) -> int:
    """1 where `a` is lower than `b` in pairs, -1 where it is higher, else 0."""
    with_infinite = [
        np.array([np.inf if x is None else x for x in side], float) for side in (a, b)
    ]
    broken = [not np.isfinite(side).all() for side in with_infinite]
    if any(broken):
        return broken[1] - broken[0]
    off = with_infinite[0] - with_infinite[1]
    error = off.std(ddof=1) / np.sqrt(len(off)) if len(off) > 1 else np.inf
    return int(np.sign(-off.mean())) if abs(off.mean()) > 2 * error else 0


def all_of(signs: Sequence[int]) -> str:
    """Holds if every comparison does; fails if one goes the other way."""
    if min(signs) < 0:
        return FAILS
    return HOLDS if min(signs) > 0 else OPEN


def last(contest: dict[str, Any], name: str) -> list[float]:
    """The last losses of an optimizer, by seed."""
    return next(r["last"] for r in contest["rows"] if r["optimizer"] == name)


def final(contest: dict[str, Any], name: str, measure: str) -> list[float]:
    """What was measured of an optimizer after the last step, by seed."""
    row = next(r for r in contest["rows"] if r["optimizer"] == name)
    return row["measured"][max(row["measured"], key=int)][measure]


def said(values: dict[str, Sequence[Any]], digits: int = 3) -> str:
    """`Adam .123 ± .004, …`: means and standard deviations over seeds."""
    cells = []
    for name, of in values.items():
        if any(x is None for x in of):
            cells.append(f"{name} diverged")
            continue
        mean, sd = np.mean(of), np.std(of, ddof=1) if len(of) > 1 else float("nan")
        cells.append(f"{name} {mean:.{digits}g} ± {sd:.1g}")
    return ", ".join(cells)
