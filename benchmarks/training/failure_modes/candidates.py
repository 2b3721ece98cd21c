"""The optimizers of the failure-mode map: with their defaults and no weight decay."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax

import adamx
from adamx import optimizers, parts
from benchmarks import roster

from .task import Candidate

# What the small tensors of the tasks ask for.
KEYWORDS: Mapping[str, dict[str, Any]] = {
    "apollo": {"rank": 2},
    "fira": {"rank": 2},
    "galore": {"rank": 2},
}

# Without weight decay they are adam and adamax.
DECAY_ONLY = ("adamc", "adamw", "adamaxw")

# One optimizer with other keywords.
VARIANTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "momentum": ("sgd", {"momentum": 0.9}),
    "sign descent": ("signum", {"beta": 0.0}),
}

# Made to need no schedule.
CONSTANT = (
    "schedule_free_sgd",
    "schedule_free_adamw",
    "schedule_free_radam",
    "dog",
    "dowg",
)

# Given an estimate of the Hessian's diagonal at every step.
CURVED = ("sophia", "adahessian")

# Operators and wrappers, around Adam.
ON_ADAM: Mapping[str, Callable] = {
    "adam + centralize": lambda tx: adamx.chain(parts.Centralize(), tx),
    "adam + clip": lambda tx: adamx.chain(parts.Clip(1.0), tx),
    "adam + clip by norm": lambda tx: adamx.chain(parts.ClipByNorm(1.0), tx),
    "adam + AdaGC clip": lambda tx: adamx.chain(parts.AdaptiveClip(), tx),
    "adam + SPAM clip": lambda tx: adamx.chain(optimizers.SpikeClip(), tx),
    "adam + growth limit": lambda tx: adamx.chain(tx, parts.ClipNormGrowth()),
    "cautious adam": adamx.cautious,
    "grams adam": adamx.grams,
    "adam + lookahead": adamx.lookahead,
    "adam + param EMA": lambda tx: adamx.param_ema(tx, 0.99),
    "adam + GPA": adamx.gpa,
}


def candidate(shown: str, name: str, keywords: Mapping[str, Any]) -> Candidate:
    """The optimizer `name` without weight decay; the map calls it `shown`."""
    make = getattr(adamx, name)
    if "weight_decay" in inspect.signature(make).parameters:
        keywords = {"weight_decay": 0.0, **keywords}
    make = functools.partial(make, **keywords)
    extra = {"extra": curved} if name in CURVED else {}
    falling = name not in CONSTANT
    return Candidate(shown, make, adamx.eval_params, falling=falling, **extra)


def curved(task, params, k) -> dict:
    """Hutchinson's estimate for the true loss, which has no noise."""
    estimate = adamx.hutchinson_estimate(
        lambda p: task.value(p, k), params, jax.random.fold_in(jax.random.key(0), k)
    )
    return {"hessian": estimate}


def on_adam(name: str, wrap: Callable) -> Candidate:
    """Adam with one thing more."""
    return Candidate(name, lambda rate: wrap(adamx.adam(rate)), adamx.eval_params)


def candidates() -> dict[str, Candidate]:
    """Every optimizer but the wrappers, the variants, and Adam with one thing more."""
    own = [name for name in roster.FROM_RATE if name not in DECAY_ONLY]
    calls = {name: (name, KEYWORDS.get(name, {})) for name in own} | VARIANTS
    found = {shown: candidate(shown, *call) for shown, call in calls.items()}
    return found | {name: on_adam(name, wrap) for name, wrap in ON_ADAM.items()}
