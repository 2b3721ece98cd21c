"""The members that are searched: adamx's, with defaults and no weight decay."""

import functools
import inspect
from collections.abc import Callable, Mapping

import jax

import adamx

from .task import Member

# Every member that is called with a learning rate and needs nothing else; the keywords
# are what the small tensors of the tasks ask for.
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
ALIASES = {"momentum": "sgd", "sign descent": "signum"}

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

# Operators and wrappers, on Adam: the names of what they need, and how they are built.
ON_ADAM: Mapping[str, tuple[str, Callable]] = {
    "adam + centralize": ("Centralize", lambda part, tx: adamx.chain(part(), tx)),
    "adam + clip": ("Clip", lambda part, tx: adamx.chain(part(1.0), tx)),
    "adam + clip by norm": ("ClipByNorm", lambda part, tx: adamx.chain(part(1.0), tx)),
    "adam + AdaGC clip": ("AdaptiveClip", lambda part, tx: adamx.chain(part(), tx)),
    "adam + SPAM clip": ("SpikeClip", lambda part, tx: adamx.chain(part(), tx)),
    "adam + growth limit": (
        "ClipNormGrowth",
        lambda part, tx: adamx.chain(tx, part()),
    ),
    "cautious adam": ("cautious", lambda operator, tx: operator(tx)),
    "grams adam": ("grams", lambda operator, tx: operator(tx)),
    "adam + lookahead": ("lookahead", lambda wrapper, tx: wrapper(tx)),
    "adam + param EMA": ("param_ema", lambda wrapper, tx: wrapper(tx, 0.99)),
    "adam + GPA": ("gpa", lambda wrapper, tx: wrapper(tx)),
}


def evaluate(state, params):
    """The parameters to judge, where adamx has a say in it."""
    return getattr(adamx, "eval_params", lambda state, params: params)(state, params)


def member(name: str, keywords: dict) -> Member | None:
    """adamx's member of that name, or None where there is none (yet)."""
    alias = getattr(adamx, ALIASES.get(name, name), None)
    if alias is None:
        return None
    parameters = inspect.signature(alias).parameters
    if next(iter(parameters), "") != "learning_rate":
        return None
    if "weight_decay" in parameters:
        keywords = {"weight_decay": 0.0} | keywords
    make = functools.partial(alias, **keywords)
    extra = {"extra": curved} if name in CURVED else {}
    return Member(name, make, evaluate, falling=name not in CONSTANT, **extra)


def curved(task, params, k) -> dict:
    """Hutchinson's estimate for the true loss, which has no noise."""
    estimate = adamx.hutchinson_estimate(
        lambda p: task.value(p, k), params, jax.random.fold_in(jax.random.key(0), k)
    )
    return {"hessian": estimate}


def on_adam(name: str, needs: str, build: Callable) -> Member | None:
    """Adam with one thing more, or None where adamx does not have it (yet)."""
    thing = getattr(adamx, needs, None)
    if thing is None:
        return None
    return Member(name, lambda rate: build(thing, adamx.adam(rate)), evaluate)


def members() -> dict[str, Member]:
    """All that adamx has of them, in their order."""
    found = {name: member(name, keywords) for name, keywords in NAMES.items()}
    found |= {name: on_adam(name, *how) for name, how in ON_ADAM.items()}
    return {name: one for name, one in found.items() if one is not None}
