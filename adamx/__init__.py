"""The Adam family for JAX: parts that are Optax transformations, and chains of them.

An Adam is a moment divided by a denominator, decayed and scaled.
"""

from .aliases.adam import (
    adam,
    adamw,
    radam,
    scale_by_adam,
    scale_by_adamw,
    scale_by_radam,
)
from .aliases.adaptive import adagrad, rmsprop, scale_by_adagrad, scale_by_rmsprop
from .aliases.sgd import scale_by_sgd, sgd
from .bias_correction import Debiased, Rectified
from .chain import chain
from .clipping import Clip, ClipByGlobalNorm
from .decay import IndependentWeightDecay, WeightDecay
from .denominators import AddEps, HatEps, MaxEps, Precondition, Root, RootEps
from .hyper import schedule
from .leaf import Leaf, Slot, State
from .learning_rate import LearningRate
from .masking import Masked
from .moments import (
    Centered,
    Ema,
    HeavyBall,
    Identity,
    SumOf,
    Surprise,
    gradient,
    square,
)
from .restoring import restore
from .rule import Rule
from .stacking import Stacked, stacked
from .tunable import Tunable, Tuned, hyperparams, replace_hyperparams, tunable

__all__ = [
    "AddEps",
    "Centered",
    "Clip",
    "ClipByGlobalNorm",
    "Debiased",
    "Ema",
    "HatEps",
    "HeavyBall",
    "Identity",
    "IndependentWeightDecay",
    "Leaf",
    "LearningRate",
    "Masked",
    "MaxEps",
    "Precondition",
    "Rectified",
    "Root",
    "RootEps",
    "Rule",
    "Slot",
    "Stacked",
    "State",
    "SumOf",
    "Surprise",
    "Tunable",
    "Tuned",
    "WeightDecay",
    "adagrad",
    "adam",
    "adamw",
    "chain",
    "gradient",
    "hyperparams",
    "radam",
    "replace_hyperparams",
    "restore",
    "rmsprop",
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_adamw",
    "scale_by_radam",
    "scale_by_rmsprop",
    "scale_by_sgd",
    "schedule",
    "sgd",
    "square",
    "stacked",
    "tunable",
]
