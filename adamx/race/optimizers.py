"""The optimizers of the race, all of adamx, each with learning rates to start from.

The rates are in `rates.csv`: for `sparse` and for `digits` the best of 3e-5, 1e-4, …,
10 with the mlp, that is the one with the lowest training loss in the last fifth of the
run (`python -m benchmarks race_rates --write`). A user's own data starts from those for
`digits`, which are scaled as it is.
"""

import csv
import difflib
import importlib.resources
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import optax

import adamx

from .usage_error import UsageError


class Estimate(NamedTuple):
    """What an optimizer wants to know of the Hessian, and at which steps.

    `of(loss, logits, params, key)` gives a tree like the parameters; `loss` and
    `logits` are functions of the parameters alone. It is taken at every `every`-th
    step, the first among them.
    """

    of: Callable[[Any, Any, Any, Any], Any]
    every: int


class Entry(NamedTuple):
    """`factory(learning_rate)` gives the transformation."""

    factory: Callable[[Any], optax.GradientTransformation]
    rates: dict[str, float]
    estimate: Estimate | None = None

    def learning_rate(self, data: str) -> float:
        """The rate to start from on this data, by its name."""
        return self.rates.get(data, self.rates["digits"])


# What goes around another optimizer goes around one with the same rate. Shampoo takes
# its roots at every tenth step: its default, every step, takes minutes.
FACTORIES: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "gpa": lambda rate: adamx.gpa(adamx.adamw(rate)),
    "lookahead": lambda rate: adamx.lookahead(adamx.adam(rate)),
    "param_ema": lambda rate: adamx.param_ema(adamx.adam(rate), 0.99),
    "schedule_free": lambda rate: adamx.schedule_free(adamx.adam(rate, b1=0.0), rate),
    "shampoo": lambda rate: adamx.shampoo(rate, precondition_frequency=10),
    "snoo": lambda rate: adamx.snoo(adamx.adamw(rate)),
}
ESTIMATES = {
    "adahessian": Estimate(
        lambda loss, logits, params, key: adamx.hutchinson_estimate(loss, params, key),
        every=1,
    ),
    "sophia": Estimate(
        lambda loss, logits, params, key: adamx.gauss_newton_bartlett_estimate(
            logits, params, key
        ),
        every=10,
    ),
}
SIX = ("sgd", "adagrad", "rmsprop", "adam", "adamw", "radam")


def _entries() -> dict[str, Entry]:
    """Every optimizer in the order of `rates.csv`, from which its colour follows."""
    held = importlib.resources.files("adamx.race") / "rates.csv"
    with held.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        name = row.pop("optimizer")
        rates = {data: float(rate) for data, rate in row.items()}
        factory = FACTORIES.get(name) or getattr(adamx, name)
        found[name] = Entry(factory, rates, ESTIMATES.get(name))
    return found


OPTIMIZERS = _entries()


def chosen(names: str) -> list[str]:
    """The optimizers of a comma-separated list, in its order."""
    wanted = [name.strip() for name in names.split(",")]
    for i, name in enumerate(wanted):
        if name not in OPTIMIZERS:
            raise UsageError(f"--optimizers {names}: {_unknown(name)}")
        if name in wanted[:i]:
            raise UsageError(
                f"--optimizers {names}: {name!r} is named twice; name each one once."
            )
    return wanted


def rates(pairs: str, entered: list[str], data: str) -> dict[str, float]:
    """The rates of `adam=1e-3,sgd=.1`, and for those not named the ones for `data`."""
    found = {name: OPTIMIZERS[name].learning_rate(data) for name in entered}
    for pair in filter(None, (p.strip() for p in pairs.split(","))):
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not equals:
            raise UsageError(f"--lr {pair}: write it as name=rate, such as adam=1e-3.")
        if name not in OPTIMIZERS:
            raise UsageError(f"--lr {pair}: {_unknown(name)}")
        if name not in entered:
            raise UsageError(
                f"--lr {pair}: {name!r} is not in this race; add it to --optimizers."
            )
        found[name] = _rate(pair, text)
    return found


def _rate(pair: str, text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise UsageError(
            f"--lr {pair}: {text!r} is not a number; write it as name=rate, such as "
            "adam=1e-3."
        ) from None
    if not (math.isfinite(rate) and rate > 0):
        raise UsageError(
            f"--lr {pair}: a learning rate must be a number above 0, got {text}; the "
            "sign that makes it descend is the optimizer's own."
        )
    return rate


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name.lower(), OPTIMIZERS, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    known = ", ".join(OPTIMIZERS)
    return f"there is no optimizer {name!r}; {hint}Choose from {known}."
