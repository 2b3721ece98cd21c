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
from .aliases.averages import (
    gpa,
    lookahead,
    param_ema,
    schedule_free,
    schedule_free_adamw,
    schedule_free_sgd,
)
from .aliases.free import dadapt_adamw, dog, dowg, prodigy
from .aliases.infinity import (
    LargestRecent,
    adamax,
    adamaxw,
    scale_by_adamax,
    scale_by_adamaxw,
)
from .aliases.long_memory import amsgrad, scale_by_amsgrad
from .aliases.nesterov import (
    WarmNesterov,
    nadam,
    nadamw,
    scale_by_nadam,
    scale_by_nadamw,
)
from .aliases.sgd import scale_by_sgd, sgd
from .aliases.variance import (
    adabelief,
    msvag,
    scale_by_adabelief,
    scale_by_msvag,
    scale_by_yogi,
    yogi,
)
from .averaging import ParamEma, PrimalAverage, ScheduleFree, SlowWeights, eval_params
from .bias_correction import Debiased, Rectified
from .chain import chain
from .clipping import Clip, ClipByGlobalNorm
from .decay import IndependentWeightDecay, WeightDecay
from .denominators import AddEps, HatEps, MaxEps, Precondition, Root, RootEps
from .hyper import schedule
from .largest import Largest
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
from .nesterov import LookAhead, Nesterov
from .rate_free import (
    DAdaptAdam,
    DistanceOverGradients,
    DistanceOverWeightedGradients,
    Prodigy,
)
from .restoring import restore
from .rule import Rule
from .sharpness import sharpness_aware
from .stacking import Stacked, stacked
from .tunable import Tunable, Tuned, hyperparams, replace_hyperparams, tunable
from .variances import Additive, Raised, VarianceAdapted

__all__ = [
    "AddEps",
    "Additive",
    "Centered",
    "Clip",
    "ClipByGlobalNorm",
    "DAdaptAdam",
    "Debiased",
    "DistanceOverGradients",
    "DistanceOverWeightedGradients",
    "Ema",
    "HatEps",
    "HeavyBall",
    "Identity",
    "IndependentWeightDecay",
    "Largest",
    "LargestRecent",
    "Leaf",
    "LearningRate",
    "LookAhead",
    "SlowWeights",
    "Masked",
    "MaxEps",
    "Nesterov",
    "ParamEma",
    "Precondition",
    "PrimalAverage",
    "Prodigy",
    "Raised",
    "Rectified",
    "Root",
    "RootEps",
    "Rule",
    "ScheduleFree",
    "Slot",
    "Stacked",
    "State",
    "SumOf",
    "Surprise",
    "Tunable",
    "Tuned",
    "VarianceAdapted",
    "WarmNesterov",
    "WeightDecay",
    "adabelief",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "amsgrad",
    "chain",
    "dadapt_adamw",
    "dog",
    "dowg",
    "eval_params",
    "gpa",
    "gradient",
    "hyperparams",
    "lookahead",
    "msvag",
    "nadam",
    "nadamw",
    "param_ema",
    "prodigy",
    "radam",
    "replace_hyperparams",
    "restore",
    "rmsprop",
    "scale_by_adabelief",
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_adamaxw",
    "scale_by_adamw",
    "scale_by_amsgrad",
    "scale_by_msvag",
    "scale_by_nadam",
    "scale_by_nadamw",
    "scale_by_radam",
    "scale_by_rmsprop",
    "scale_by_sgd",
    "scale_by_yogi",
    "schedule",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
    "sharpness_aware",
    "square",
    "stacked",
    "tunable",
    "yogi",
]
