"""The optimizers by kind: for `adamx.list_optimizers`, and the index of the docs."""

import re
from collections.abc import Iterable

from ..errors import AdamxError

KINDS: dict[str, str] = {
    "Gradient descent and the methods before Adam": """
        sgd adagrad rmsprop adadelta rprop""",
    "Adam, and its bias correction": "adam adamw adamd radam nadam nadamw",
    "Another second moment": """
        adamax adamaxw amsgrad adabelief yogi padam msvag adan adashift avagrad
        adopt laprop""",
    "Bounded or clipped steps": "adabound adamod stable_adamw spam adam_atan2 adamp",
    "Another first moment": """
        qhadam adapnm diffgrad ademamix simplified_ademamix mars""",
    "Another weight decay": "adamc",
    "The sign of an average": "lion signum",
    "Less memory": "adafactor came adam_mini sm3",
    "One rate for each layer": "lamb lars novograd",
    "Matrices": """
        muon muonh adamh normuon muown dion dion2 scion adamuon shampoo soap kl_soap
        splus psgd_kron""",
    "Low rank": "galore fira apollo apollo_mini",
    "Curvature": "adahessian sophia",
    "No learning rate to choose": "dadapt_adamw prodigy dog dowg",
    "Averages of the parameters": """
        schedule_free schedule_free_adamw schedule_free_radam schedule_free_sgd
        gpa lookahead snoo param_ema""",
}
OTHERS = "Others"


def by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of each kind; those that are not listed above come last, as others.

    Raises:
        ValueError: an optimizer has two kinds, or a kind names what is not there.
    """
    found = {kind: names_.split() for kind, names_ in KINDS.items()}
    listed = [name for group in found.values() for name in group]
    names = list(names)
    wrong = {n for n in listed if listed.count(n) > 1} | (set(listed) - set(names))
    if wrong:
        raise AdamxError(
            f"kinds: each name in adamx/descriptions/kinds.py must be one optimizer's "
            f"and stand there once, got {', '.join(sorted(wrong))}. Correct the list."
        )
    others = [name for name in names if name not in listed]
    return found | ({OTHERS: others} if others else {})


def kind_of(name: str) -> str:
    kinds = (kind for kind, names in KINDS.items() if name in names.split())
    return next(kinds, OTHERS)


def label(kind: str) -> str:
    """The name by which a page links to the kind."""
    return "kind-" + re.sub(r"[^a-z]+", "-", kind.lower())
