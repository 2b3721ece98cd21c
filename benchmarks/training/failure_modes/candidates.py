"""The optimizers of the failure-mode map: with their defaults and no weight decay."""

import functools
import inspect
from collections.abc import Callable, Mapping

import jax

import adamx
from adamx import optimizers, parts

from .task import Candidate

# Every optimizer that is called with a learning rate and needs nothing else; the
# keywords are what the small tensors of the tasks ask for.
NAMES: Mapping[str, dict] = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "adagrad": {},
    "rmsprop": {},
    "adadelta": {},
    "adam": {},
    "radam": {},
    "nadam": {},
    "nadamw": {},
    "adamax": {},
    "amsgrad": {},
    "adabelief": {},
    "yogi": {},
    "adabound": {},
    "adamod": {},
    "adamd": {},
    "padam": {},
    "diffgrad": {},
    "qhadam": {},
    "adashift": {},
    "avagrad": {},
    "msvag": {},
    "adapnm": {},
    "laprop": {},
    "adopt": {},
    "ademamix": {},
    "simplified_ademamix": {},
    "adan": {},
    "mars": {},
    "lion": {},
    "signum": {},
    "adam_atan2": {},
    "sign descent": {"beta": 0.0},
    "rprop": {},
    "lamb": {},
    "lars": {},
    "novograd": {},
    "adafactor": {},
    "came": {},
    "adam_mini": {},
    "sm3": {},
    "stable_adamw": {},
    "spam": {},
    "adamp": {},
    "muon": {},
    "adamuon": {},
    "soap": {},
    "shampoo": {},
    "galore": {"rank": 2},
    "apollo": {"rank": 2},
    "apollo_mini": {},
    "fira": {"rank": 2},
    "sophia": {},
    "adahessian": {},
    "schedule_free_sgd": {},
    "schedule_free_adamw": {},
    "schedule_free_radam": {},
    "prodigy": {},
    "dadapt_adamw": {},
    "dog": {},
    "dowg": {},
}
SAME_AS = {"momentum": "sgd", "sign descent": "signum"}

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


def candidate(name: str, keywords: dict) -> Candidate:
    """The optimizer of that name, without weight decay."""
    make = getattr(adamx, SAME_AS.get(name, name))
    if "weight_decay" in inspect.signature(make).parameters:
        keywords = {"weight_decay": 0.0} | keywords
    make = functools.partial(make, **keywords)
    extra = {"extra": curved} if name in CURVED else {}
    falling = name not in CONSTANT
    return Candidate(name, make, adamx.eval_params, falling=falling, **extra)


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
    """All of them, in their order."""
    found = {name: candidate(name, keywords) for name, keywords in NAMES.items()}
    return found | {name: on_adam(name, wrap) for name, wrap in ON_ADAM.items()}
