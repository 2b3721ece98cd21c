"""Who may enter the race, and at which learning rate: one row for each optimizer.

To enter another one, add its row. Its colour in the plot follows from its place here.
The rates are the best of 1e-4, 3e-4, …, 1 on the digits with the mlp: those with the
lowest training loss in the last fifth of the run (`python -m benchmarks.training.race_rates`).
"""

import difflib
import math
from collections.abc import Callable
from typing import NamedTuple

import optax

import adamx

from .refusal import Refusal


class Entry(NamedTuple):
    """`factory(learning_rate)` gives the transformation."""

    factory: Callable[[float], optax.GradientTransformation]
    learning_rate: float


OPTIMIZERS: dict[str, Entry] = {
    "sgd": Entry(adamx.sgd, 0.3),
    "adagrad": Entry(adamx.adagrad, 0.1),
    "rmsprop": Entry(adamx.rmsprop, 0.001),
    "adam": Entry(adamx.adam, 0.003),
    "adamw": Entry(adamx.adamw, 0.003),
    "radam": Entry(adamx.radam, 0.01),
    # Not tuned on the digits: the rates that the papers suggest, or Adam's.
    "adamax": Entry(adamx.adamax, 0.002),
    "adamaxw": Entry(adamx.adamaxw, 0.002),
    "nadam": Entry(adamx.nadam, 0.001),
    "nadamw": Entry(adamx.nadamw, 0.001),
    "amsgrad": Entry(adamx.amsgrad, 0.001),
    "adabelief": Entry(adamx.adabelief, 0.001),
    "yogi": Entry(adamx.yogi, 0.01),
    "msvag": Entry(adamx.msvag, 0.01),
    "adabound": Entry(adamx.adabound, 0.001),
    "adamod": Entry(adamx.adamod, 0.001),
    "adamd": Entry(adamx.adamd, 0.001),
    "adamc": Entry(adamx.adamc, 0.001),
    "padam": Entry(adamx.padam, 0.1),
    "qhadam": Entry(adamx.qhadam, 0.001),
    "diffgrad": Entry(adamx.diffgrad, 0.001),
    "adapnm": Entry(adamx.adapnm, 0.001),
    "adashift": Entry(adamx.adashift, 0.01),
    "avagrad": Entry(adamx.avagrad, 0.1),
    "lion": Entry(adamx.lion, 0.0003),
    "signum": Entry(adamx.signum, 0.0003),
    "ademamix": Entry(adamx.ademamix, 0.001),
    "simplified_ademamix": Entry(adamx.simplified_ademamix, 0.0001),
    "adopt": Entry(adamx.adopt, 0.001),
    "laprop": Entry(adamx.laprop, 0.0004),
    "adam_atan2": Entry(adamx.adam_atan2, 0.001),
    "adan": Entry(adamx.adan, 0.001),
    "mars": Entry(adamx.mars, 0.003),
    "adadelta": Entry(adamx.adadelta, 1.0),
    "rprop": Entry(adamx.rprop, 0.001),
    "lamb": Entry(adamx.lamb, 0.01),
    "lars": Entry(adamx.lars, 1.0),
    "novograd": Entry(adamx.novograd, 0.01),
    "stable_adamw": Entry(adamx.stable_adamw, 0.002),
    "adamp": Entry(adamx.adamp, 0.001),
    "adafactor": Entry(adamx.adafactor, 0.01),
    "came": Entry(adamx.came, 0.0002),
    "sm3": Entry(adamx.sm3, 0.1),
    "adam_mini": Entry(adamx.adam_mini, 0.001),
    "muon": Entry(adamx.muon, 0.02),
    "adamuon": Entry(adamx.adamuon, 0.001),
    "soap": Entry(adamx.soap, 0.003),
    "shampoo": Entry(adamx.shampoo, 0.1),
    "galore": Entry(adamx.galore, 0.01),
    "fira": Entry(adamx.fira, 0.01),
    "apollo": Entry(adamx.apollo, 0.01),
    "apollo_mini": Entry(adamx.apollo_mini, 0.01),
}
SIX = ("sgd", "adagrad", "rmsprop", "adam", "adamw", "radam")


def chosen(names: str) -> list[str]:
    """The optimizers of a comma-separated list, in its order."""
    wanted = [name.strip() for name in names.split(",")]
    for i, name in enumerate(wanted):
        if name not in OPTIMIZERS:
            raise Refusal(f"--optimizers {names}: {_unknown(name)}")
        if name in wanted[:i]:
            raise Refusal(
                f"--optimizers {names}: {name!r} is named twice; name each one once."
            )
    return wanted


def rates(pairs: str, entered: list[str]) -> dict[str, float]:
    """The learning rates of `adam=1e-3,sgd=.1`, defaults for those not named."""
    found = {name: OPTIMIZERS[name].learning_rate for name in entered}
    for pair in filter(None, (p.strip() for p in pairs.split(","))):
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not equals:
            raise Refusal(f"--lr {pair}: write it as name=rate, such as adam=1e-3.")
        if name not in OPTIMIZERS:
            raise Refusal(f"--lr {pair}: {_unknown(name)}")
        if name not in entered:
            raise Refusal(
                f"--lr {pair}: {name!r} is not in this race; add it to --optimizers."
            )
        found[name] = _rate(pair, text)
    return found


def _rate(pair: str, text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise Refusal(
            f"--lr {pair}: {text!r} is not a number; write it as name=rate, such as "
            "adam=1e-3."
        ) from None
    if not (math.isfinite(rate) and rate > 0):
        raise Refusal(
            f"--lr {pair}: a learning rate must be a number above 0, got {text}; the "
            "sign that makes it descend is the optimizer's own."
        )
    return rate


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name.lower(), OPTIMIZERS, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    known = ", ".join(OPTIMIZERS)
    return f"there is no optimizer {name!r}; {hint}Choose from {known}."
