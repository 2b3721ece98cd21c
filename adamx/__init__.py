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
from .aliases.coarse import adam_mini, scale_by_adam_mini, scale_by_sm3, sm3
from .aliases.compact import adafactor, came, scale_by_adafactor, scale_by_came
from .aliases.free import dadapt_adamw, dog, dowg, prodigy
from .aliases.infinity import (
    LargestRecent,
    adamax,
    adamaxw,
    scale_by_adamax,
    scale_by_adamaxw,
)
from .aliases.layerwise import (
    lamb,
    lars,
    novograd,
    scale_by_lamb,
    scale_by_lars,
    scale_by_novograd,
)
from .aliases.long_memory import amsgrad, scale_by_amsgrad
from .aliases.matrix import adamuon, muon, scale_by_adamuon, scale_by_muon
from .aliases.nesterov import (
    WarmNesterov,
    nadam,
    nadamw,
    scale_by_nadam,
    scale_by_nadamw,
)
from .aliases.restrained import (
    adamp,
    scale_by_adamp,
    scale_by_stable_adamw,
    stable_adamw,
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
from .blocks import BlockEma, ByRole, by_column, by_row, one_block
from .chain import chain
from .clipping import Clip, ClipByGlobalNorm
from .covers import Cover
from .decay import IndependentWeightDecay, WeightDecay
from .denominators import AddEps, HatEps, MaxEps, Precondition, Root, RootEps
from .factored import Confidence, Factored, PowerDecay
from .hyper import schedule
from .largest import Largest
from .layer_rules import LocalRate, NormEma, Projected, Stabilized
from .leaf import Leaf, Slot, State
from .learning_rate import LearningRate
from .masking import Masked
from .masks import Not
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
from .orthogonal import NormalizeRms, Orthogonalize, ScaleByShape, hidden_matrix
from .rate_free import (
    DAdaptAdam,
    DistanceOverGradients,
    DistanceOverWeightedGradients,
    Prodigy,
)
from .restoring import restore
from .rule import Rule
from .scaling import LimitRms, ScaleByParameterRms, TrustRatio, relative_step
from .sharpness import sharpness_aware
from .stacking import Stacked, stacked
from .tunable import Tunable, Tuned, hyperparams, replace_hyperparams, tunable
from .variances import Additive, Raised, VarianceAdapted

__all__ = [
    "AddEps",
    "Additive",
    "BlockEma",
    "ByRole",
    "Centered",
    "Clip",
    "ClipByGlobalNorm",
    "Confidence",
    "Cover",
    "DAdaptAdam",
    "Debiased",
    "DistanceOverGradients",
    "DistanceOverWeightedGradients",
    "Ema",
    "Factored",
    "HatEps",
    "HeavyBall",
    "Identity",
    "IndependentWeightDecay",
    "Largest",
    "LargestRecent",
    "Leaf",
    "LearningRate",
    "LimitRms",
    "LocalRate",
    "LookAhead",
    "Masked",
    "MaxEps",
    "Nesterov",
    "NormEma",
    "NormalizeRms",
    "Not",
    "Orthogonalize",
    "ParamEma",
    "PowerDecay",
    "Precondition",
    "PrimalAverage",
    "Prodigy",
    "Projected",
    "Raised",
    "Rectified",
    "Root",
    "RootEps",
    "Rule",
    "ScaleByParameterRms",
    "ScaleByShape",
    "ScheduleFree",
    "Slot",
    "SlowWeights",
    "Stabilized",
    "Stacked",
    "State",
    "SumOf",
    "Surprise",
    "TrustRatio",
    "Tunable",
    "Tuned",
    "VarianceAdapted",
    "WarmNesterov",
    "WeightDecay",
    "adabelief",
    "adafactor",
    "adagrad",
    "adam",
    "adam_mini",
    "adamax",
    "adamaxw",
    "adamp",
    "adamuon",
    "adamw",
    "amsgrad",
    "by_column",
    "by_row",
    "came",
    "chain",
    "dadapt_adamw",
    "dog",
    "dowg",
    "eval_params",
    "gpa",
    "gradient",
    "hidden_matrix",
    "hyperparams",
    "lamb",
    "lars",
    "lookahead",
    "msvag",
    "muon",
    "nadam",
    "nadamw",
    "novograd",
    "one_block",
    "param_ema",
    "prodigy",
    "radam",
    "relative_step",
    "replace_hyperparams",
    "restore",
    "rmsprop",
    "scale_by_adabelief",
    "scale_by_adafactor",
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_adam_mini",
    "scale_by_adamax",
    "scale_by_adamaxw",
    "scale_by_adamp",
    "scale_by_adamuon",
    "scale_by_adamw",
    "scale_by_amsgrad",
    "scale_by_came",
    "scale_by_lamb",
    "scale_by_lars",
    "scale_by_msvag",
    "scale_by_muon",
    "scale_by_nadam",
    "scale_by_nadamw",
    "scale_by_novograd",
    "scale_by_radam",
    "scale_by_rmsprop",
    "scale_by_sgd",
    "scale_by_sm3",
    "scale_by_stable_adamw",
    "scale_by_yogi",
    "schedule",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
    "sharpness_aware",
    "sm3",
    "square",
    "stable_adamw",
    "stacked",
    "tunable",
    "yogi",
]
