"""The rows of the wider family, one file for each file of aliases.

A file has `ROWS`, and may have `MUTANTS`, wrong optimizers that the oracle check must
catch, and `COMPOSED`, published forms that are a part exchanged.
"""

from . import (
    adabelief,
    adabound,
    adafactor,
    adam_atan2,
    adamax,
    adamc,
    adan,
    adashift,
    ademamix,
    adopt,
    amsgrad,
    galore,
    lamb,
    lion,
    muon,
    nadam,
    qhadam,
    rprop,
    schedule_free,
    shampoo,
    sophia,
    spam,
)

MODULES = (
    adam_atan2,
    qhadam,
    adabound,
    adafactor,
    adamc,
    sophia,
    adashift,
    adan,
    shampoo,
    adamax,
    lamb,
    amsgrad,
    galore,
    muon,
    nadam,
    adopt,
    lion,
    ademamix,
    spam,
    rprop,
    adabelief,
    schedule_free,
)
FAMILIES = tuple(row for module in MODULES for row in module.ROWS)


def _every(name):
    return {k: v for module in MODULES for k, v in vars(module).get(name, {}).items()}


MUTANTS = _every("MUTANTS")
COMPOSED = _every("COMPOSED")
