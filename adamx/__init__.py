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
from .aliases.angle import Angle, adam_atan2, scale_by_adam_atan2
from .aliases.averages import (
    gpa,
    lookahead,
    param_ema,
    schedule_free,
    schedule_free_adamw,
    schedule_free_sgd,
)
from .aliases.blended import (
    Blend,
    Friction,
    diffgrad,
    qhadam,
    scale_by_diffgrad,
    scale_by_qhadam,
)
from .aliases.bounded import adabound, adamod, scale_by_adabound, scale_by_adamod
from .aliases.coarse import adam_mini, scale_by_adam_mini, scale_by_sm3, sm3
from .aliases.compact import adafactor, came, scale_by_adafactor, scale_by_came
from .aliases.corrected import (
    CorrectedDecay,
    adamc,
    adamd,
    scale_by_adamc,
    scale_by_adamd,
)
from .aliases.curvature import (
    OverCurvature,
    RootCurvature,
    adahessian,
    over_inputs,
    scale_by_adahessian,
    scale_by_sophia,
    sophia,
)
from .aliases.delayed import Shifted, adashift, scale_by_adashift
from .aliases.differences import (
    VarianceReduced,
    WithDifference,
    adan,
    mars,
    scale_by_adan,
    scale_by_mars,
)
from .aliases.eigenbasis import scale_by_shampoo, scale_by_soap, shampoo, soap
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
from .aliases.long_memory import Power, amsgrad, padam, scale_by_amsgrad, scale_by_padam
from .aliases.low_rank import fira, galore, scale_by_fira, scale_by_galore
from .aliases.matrix import adamuon, muon, scale_by_adamuon, scale_by_muon
from .aliases.nesterov import (
    WarmNesterov,
    nadam,
    nadamw,
    scale_by_nadam,
    scale_by_nadamw,
)
from .aliases.past_rates import PastRates, avagrad, scale_by_avagrad
from .aliases.positive_negative import PositiveNegative, adapnm, scale_by_adapnm
from .aliases.random_rank import (
    apollo,
    apollo_mini,
    scale_by_apollo,
    scale_by_apollo_mini,
)
from .aliases.reordered import (
    AfterTheFirst,
    ByPast,
    adopt,
    fourth_root,
    laprop,
    scale_by_adopt,
    scale_by_laprop,
)
from .aliases.restrained import (
    adamp,
    scale_by_adamp,
    scale_by_stable_adamw,
    stable_adamw,
)
from .aliases.sgd import scale_by_sgd, sgd
from .aliases.sign import TwoSpeeds, lion, scale_by_lion, scale_by_signum, signum
from .aliases.slow_ema import (
    Accumulated,
    Mixed,
    ademamix,
    alpha_warmup,
    b3_warmup,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from .aliases.stepsizes import (
    InUnitsOfSteps,
    Resilient,
    adadelta,
    rprop,
    scale_by_adadelta,
    scale_by_rprop,
)
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
from .clipping import Clip, ClipByGlobalNorm, ClipByNorm
from .covers import Cover
from .decay import (
    CautiousWeightDecay,
    IndependentWeightDecay,
    ProximalWeightDecay,
    WeightDecay,
)
from .denominators import AddEps, HatEps, MaxEps, Precondition, Root, RootEps
from .directed import cautious, grams
from .directions import AddedToMean, Cautious, Centralize, Clamped, Counted, Grams, Sign
from .eigenbases import AsB2, AveragedInverseRoots, InEigenbasis, InverseRoots
from .element_rates import BoundedRate, CorrectedByRate, MomentalRate
from .estimates import gauss_newton_bartlett_estimate, hutchinson_estimate
from .factored import Confidence, Factored, PowerDecay
from .hyper import schedule
from .largest import Largest
from .layer_rules import LocalRate, NormEma, Projected, Stabilized
from .leaf import Leaf, Slot, State
from .learning_rate import Descent, LearningRate
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
from .noise import GradientNoise
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
from .spikes import AdaptiveClip, LimitNormGrowth, SpikeClip
from .stacking import Stacked, stacked
from .starts import FromFirst
from .subspaces import InSubspace, ScaledByChannel, WithResidual, random_projection
from .tunable import Tunable, Tuned, hyperparams, replace_hyperparams, tunable
from .variances import Additive, Raised, VarianceAdapted

__all__ = [
    "Accumulated",
    "AdaptiveClip",
    "AddEps",
    "AddedToMean",
    "Additive",
    "AfterTheFirst",
    "Angle",
    "AsB2",
    "AveragedInverseRoots",
    "Blend",
    "BlockEma",
    "BoundedRate",
    "ByPast",
    "ByRole",
    "Cautious",
    "CautiousWeightDecay",
    "Centered",
    "Centralize",
    "Clamped",
    "Clip",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "Confidence",
    "CorrectedByRate",
    "CorrectedDecay",
    "Counted",
    "Cover",
    "DAdaptAdam",
    "Debiased",
    "Descent",
    "DistanceOverGradients",
    "DistanceOverWeightedGradients",
    "Ema",
    "Factored",
    "Friction",
    "FromFirst",
    "GradientNoise",
    "Grams",
    "HatEps",
    "HeavyBall",
    "Identity",
    "InEigenbasis",
    "InSubspace",
    "InUnitsOfSteps",
    "IndependentWeightDecay",
    "InverseRoots",
    "Largest",
    "LargestRecent",
    "Leaf",
    "LearningRate",
    "LimitNormGrowth",
    "LimitRms",
    "LocalRate",
    "LookAhead",
    "Masked",
    "MaxEps",
    "Mixed",
    "MomentalRate",
    "Nesterov",
    "NormEma",
    "NormalizeRms",
    "Not",
    "Orthogonalize",
    "OverCurvature",
    "ParamEma",
    "PastRates",
    "PositiveNegative",
    "Power",
    "PowerDecay",
    "Precondition",
    "PrimalAverage",
    "Prodigy",
    "Projected",
    "ProximalWeightDecay",
    "Raised",
    "Rectified",
    "Resilient",
    "Root",
    "RootCurvature",
    "RootEps",
    "Rule",
    "ScaleByParameterRms",
    "ScaleByShape",
    "ScaledByChannel",
    "ScheduleFree",
    "Shifted",
    "Sign",
    "Slot",
    "SlowWeights",
    "SpikeClip",
    "Stabilized",
    "Stacked",
    "State",
    "SumOf",
    "Surprise",
    "TrustRatio",
    "Tunable",
    "Tuned",
    "TwoSpeeds",
    "VarianceAdapted",
    "VarianceReduced",
    "WarmNesterov",
    "WeightDecay",
    "WithDifference",
    "WithResidual",
    "adabelief",
    "adabound",
    "adadelta",
    "adafactor",
    "adagrad",
    "adahessian",
    "adam",
    "adam_atan2",
    "adam_mini",
    "adamax",
    "adamaxw",
    "adamc",
    "adamd",
    "adamod",
    "adamp",
    "adamuon",
    "adamw",
    "adan",
    "adapnm",
    "adashift",
    "ademamix",
    "adopt",
    "alpha_warmup",
    "amsgrad",
    "apollo",
    "apollo_mini",
    "avagrad",
    "b3_warmup",
    "by_column",
    "by_row",
    "came",
    "cautious",
    "chain",
    "dadapt_adamw",
    "diffgrad",
    "dog",
    "dowg",
    "eval_params",
    "fira",
    "fourth_root",
    "galore",
    "gauss_newton_bartlett_estimate",
    "gpa",
    "gradient",
    "grams",
    "hidden_matrix",
    "hutchinson_estimate",
    "hyperparams",
    "lamb",
    "laprop",
    "lars",
    "lion",
    "lookahead",
    "mars",
    "msvag",
    "muon",
    "nadam",
    "nadamw",
    "novograd",
    "one_block",
    "over_inputs",
    "padam",
    "param_ema",
    "prodigy",
    "qhadam",
    "radam",
    "random_projection",
    "relative_step",
    "replace_hyperparams",
    "restore",
    "rmsprop",
    "rprop",
    "scale_by_adabelief",
    "scale_by_adabound",
    "scale_by_adadelta",
    "scale_by_adafactor",
    "scale_by_adagrad",
    "scale_by_adahessian",
    "scale_by_adam",
    "scale_by_adam_atan2",
    "scale_by_adam_mini",
    "scale_by_adamax",
    "scale_by_adamaxw",
    "scale_by_adamc",
    "scale_by_adamd",
    "scale_by_adamod",
    "scale_by_adamp",
    "scale_by_adamuon",
    "scale_by_adamw",
    "scale_by_adan",
    "scale_by_adapnm",
    "scale_by_adashift",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_amsgrad",
    "scale_by_apollo",
    "scale_by_apollo_mini",
    "scale_by_avagrad",
    "scale_by_came",
    "scale_by_diffgrad",
    "scale_by_fira",
    "scale_by_galore",
    "scale_by_lamb",
    "scale_by_laprop",
    "scale_by_lars",
    "scale_by_lion",
    "scale_by_mars",
    "scale_by_msvag",
    "scale_by_muon",
    "scale_by_nadam",
    "scale_by_nadamw",
    "scale_by_novograd",
    "scale_by_padam",
    "scale_by_qhadam",
    "scale_by_radam",
    "scale_by_rmsprop",
    "scale_by_rprop",
    "scale_by_sgd",
    "scale_by_shampoo",
    "scale_by_signum",
    "scale_by_simplified_ademamix",
    "scale_by_sm3",
    "scale_by_soap",
    "scale_by_sophia",
    "scale_by_stable_adamw",
    "scale_by_yogi",
    "schedule",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
    "shampoo",
    "sharpness_aware",
    "signum",
    "simplified_ademamix",
    "sm3",
    "soap",
    "sophia",
    "square",
    "stable_adamw",
    "stacked",
    "tunable",
    "yogi",
]
