"""The optimizers of the race, each with a learning rate to start from.

To enter another one, add its name and rate. Its colour in the plot follows from its
place here. The rates of the first six are the best of 1e-4, 3e-4, …, 1 on the digits
with the mlp: those with the lowest training loss in the last fifth of the run
(`python -m benchmarks.training.race_rates`).
"""

import difflib
import math
from collections.abc import Callable
from typing import NamedTuple

import optax

import adamx

from .usage_error import UsageError


class Entry(NamedTuple):
    """`factory(learning_rate)` gives the transformation."""

    factory: Callable[[float], optax.GradientTransformation]
    learning_rate: float


RATES: dict[str, float] = {
    "sgd": 0.3,
    "adagrad": 0.1,
    "rmsprop": 0.001,
    "adam": 0.003,
    "adamw": 0.003,
    "radam": 0.01,
    # Not tuned on the digits: the rates that the papers suggest, or Adam's.
    "adamax": 0.002,
    "adamaxw": 0.002,
    "nadam": 0.001,
    "nadamw": 0.001,
    "amsgrad": 0.001,
    "adabelief": 0.001,
    "yogi": 0.01,
    "msvag": 0.01,
    "adabound": 0.001,
    "adamod": 0.001,
    "adamd": 0.001,
    "adamc": 0.001,
    "padam": 0.1,
    "qhadam": 0.001,
    "diffgrad": 0.001,
    "adapnm": 0.001,
    "adashift": 0.01,
    "avagrad": 0.1,
    "lion": 0.0003,
    "signum": 0.0003,
    "ademamix": 0.001,
    "simplified_ademamix": 0.0001,
    "adopt": 0.001,
    "laprop": 0.0004,
    "adam_atan2": 0.001,
    "adan": 0.001,
    "mars": 0.003,
    "adadelta": 1.0,
    "rprop": 0.001,
    "lamb": 0.01,
    "lars": 1.0,
    "novograd": 0.01,
    "stable_adamw": 0.002,
    "adamp": 0.001,
    "adafactor": 0.01,
    "came": 0.0002,
    "sm3": 0.1,
    "adam_mini": 0.001,
    "muon": 0.02,
    "adamuon": 0.001,
    "soap": 0.003,
    "shampoo": 0.1,
    "galore": 0.01,
    "fira": 0.01,
    "apollo": 0.01,
    "apollo_mini": 0.01,
}
OPTIMIZERS = {name: Entry(getattr(adamx, name), rate) for name, rate in RATES.items()}
SIX = ("sgd", "adagrad", "rmsprop", "adam", "adamw", "radam")


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


def rates(pairs: str, entered: list[str]) -> dict[str, float]:
    """The learning rates of `adam=1e-3,sgd=.1`, defaults for those not named."""
    found = {name: OPTIMIZERS[name].learning_rate for name in entered}
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
