"""The rows of the wider family, one file for each file of aliases.

A file has `ROWS`, and may have `MUTANTS`, wrong optimizers that the oracle check must
catch, and `COMPOSED`, published forms that are a part exchanged.
"""

from . import (
    angle,
    blended,
    bounded,
    compact,
    corrected,
    curvature,
    delayed,
    differences,
    eigenbasis,
    infinity,
    layerwise,
    long_memory,
    low_rank,
    matrix,
    nesterov,
    reordered,
    sign,
    slow_ema,
    spiked,
    stepsizes,
    variance,
    whole_model,
)

MODULES = (
    angle,
    blended,
    bounded,
    compact,
    corrected,
    curvature,
    delayed,
    differences,
    eigenbasis,
    infinity,
    layerwise,
    long_memory,
    low_rank,
    matrix,
    nesterov,
    reordered,
    sign,
    slow_ema,
    spiked,
    stepsizes,
    variance,
    whole_model,
)
FAMILIES = tuple(row for module in MODULES for row in module.ROWS)


def _every(name):
    return {k: v for module in MODULES for k, v in vars(module).get(name, {}).items()}


MUTANTS = _every("MUTANTS")
COMPOSED = _every("COMPOSED")
