"""The members that are searched: adamx's by name, with no weight decay."""

import functools
import inspect
from collections.abc import Mapping

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
    "rprop": {},
    "lamb": {},
    "lars": {},
    "novograd": {},
    "adafactor": {},
    "came": {},
    "adam_mini": {},
    "sm3": {},
    "stable_adamw": {},
    "adamp": {},
    "muon": {},
    "adamuon": {},
    "soap": {},
    "shampoo": {},
    "galore": {"rank": 2},
    "apollo": {"rank": 2},
    "apollo_mini": {},
    "fira": {"rank": 2},
    "schedule_free": {},
    "prodigy": {},
    "dog": {},
    "dowg": {},
}
ALIASES = {"momentum": "sgd"}


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
    evaluate = getattr(adamx, "eval_params", lambda state, params: params)
    return Member(name, functools.partial(alias, **keywords), evaluate)


def members() -> dict[str, Member]:
    """All of NAMES that adamx has, in their order."""
    found = {name: member(name, keywords) for name, keywords in NAMES.items()}
    return {name: one for name, one in found.items() if one is not None}
