"""The optimizers by kind, for the table of the index."""

import re
from collections.abc import Iterable

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
    "Matrices": "muon adamuon shampoo soap",
    "Low rank": "galore fira apollo apollo_mini",
    "Curvature": "adahessian sophia",
    "No learning rate to choose": "dadapt_adamw prodigy dog dowg",
    "Averages of the parameters": """
        schedule_free schedule_free_adamw schedule_free_radam schedule_free_sgd
        gpa lookahead param_ema""",
}


def by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of each kind.

    Raises:
        SystemExit: an optimizer has no kind or two, or a kind names what is not there.
    """
    found = {kind: names_.split() for kind, names_ in KINDS.items()}
    listed = [name for group in found.values() for name in group]
    wrong = {n for n in listed if listed.count(n) > 1} | (set(names) ^ set(listed))
    if wrong:
        raise SystemExit(
            f"docs: each optimizer must stand once in docs/_ext/kinds.py, "
            f"see {', '.join(sorted(wrong))}."
        )
    return found


def kind_of(name: str) -> str:
    return next(kind for kind, names in KINDS.items() if name in names.split())


def label(kind: str) -> str:
    """The name by which a page links to the kind."""
    return "kind-" + re.sub(r"[^a-z]+", "-", kind.lower())
