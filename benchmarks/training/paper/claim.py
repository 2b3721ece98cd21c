"""Judges a claim about Adam by what was measured: it holds, does not, or is open.

Runs with the same seed have the same start and the same data, so that two optimizers
are compared in pairs. One is ahead where the 95 % interval of the mean difference, by
Student's t, leaves zero out; else it is not decided here.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided here"
DOUBT = 0.05


@dataclasses.dataclass(frozen=True)
class Claim:
    """`sentence` from `source`; `measured` is what speaks for or against it."""

    sentence: str
    source: str
    verdict: str
    measured: str

    def as_dict(self) -> dict[str, str]:
        return dataclasses.asdict(self)


def paired(off: np.ndarray, among: int = 1) -> tuple[float, float]:
    """The mean difference and the half width of its 95 % interval by Student's t.

    With `among` comparisons, any of which would do, the 5 % are shared among them.
    """
    if len(off) < 2:
        return float(off.mean()), np.inf
    quantile = special.stdtrit(len(off) - 1, 1 - DOUBT / 2 / among)
    return float(off.mean()), float(quantile * off.std(ddof=1) / np.sqrt(len(off)))


def lower(a: Sequence[Any], b: Sequence[Any], among: int = 1) -> int:
    """1 where `a` is lower than `b` in pairs, -1 where it is higher, else 0."""
    a, b = (infinite(side) for side in (a, b))
    broken = [not np.isfinite(side).all() for side in (a, b)]
    if any(broken):
        return broken[1] - broken[0]
    mean, half = paired(a - b, among)
    return int(np.sign(-mean)) if abs(mean) > half else 0


def infinite(values: Sequence[Any]) -> np.ndarray:
    """The values, infinite where a run diverged."""
    return np.array([np.inf if x is None else x for x in values], float)


def all_lower(pairs: Sequence[tuple[Sequence[Any], Sequence[Any]]]) -> str:
    """Holds if the first of every pair is lower; fails if that of any is higher."""
    if all(lower(a, b) > 0 for a, b in pairs):
        return HOLDS
    return FAILS if any(lower(a, b, len(pairs)) < 0 for a, b in pairs) else OPEN


def within(a: Sequence[Any], b: Sequence[Any], margin: float, both: bool = True) -> str:
    """Holds if the interval of `a / b - 1` is inside the margin; fails if outside.

    Not of `both` sides: `a` may be lower by any amount.
    """
    a, b = (infinite(side) for side in (a, b))
    if not np.isfinite(a).all():
        return FAILS
    if not np.isfinite(b).all():
        return FAILS if both else HOLDS
    mean, half = paired(a / b - 1)
    least = -margin if both else -np.inf
    if least <= mean - half and mean + half <= margin:
        return HOLDS
    return FAILS if mean - half > margin or mean + half < least else OPEN


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
        sd = f" ± {np.std(of, ddof=1):.1g}" if len(of) > 1 else ""
        cells.append(f"{name} {np.mean(of):.{digits}g}{sd}")
    return ", ".join(cells)


def epochs(contest: dict[str, Any]) -> float:
    """How many passes through the data a contest had."""
    return float(f"{contest['budget']['steps'] / contest['steps in an epoch']:.2g}")


def last_losses(contest: dict[str, Any], of: int) -> str:
    """The last losses of all, and after how many of the paper's epochs."""
    losses = {row["optimizer"]: row["last"] for row in contest["rows"]}
    return (
        f"{contest['problem']}, last losses of {epochs(contest):g} epochs (the paper: "
        f"{of}): {said(losses)}"
    )


def generalisation(contest: dict[str, Any]) -> Claim:
    """Whether the test errors of SGD with momentum are fewer than Adam's."""
    errors = {n: final(contest, n, "error") for n in ("Adam", "SGD, Nesterov")}
    return Claim(
        f"Adam generalises worse than SGD with momentum ({contest['problem']})",
        "common belief (Wilson et al., 2017)",
        all_lower([(errors["SGD, Nesterov"], errors["Adam"])]),
        f"share of test errors after {epochs(contest):g} epochs: {said(errors)}",
    )
