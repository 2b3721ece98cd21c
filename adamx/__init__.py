"""The Adam family for JAX: parts that are Optax transformations, and chains of them.

An Adam is a moment divided by a denominator, decayed and scaled.

.. include:: ../docs/members.md
"""

from . import optimizers, storage, testing
from .engine.chain import chain
from .engine.hyperparams import schedule
from .engine.masks import Not
from .engine.rule import Rule
from .engine.state import Context, Slot, State
from .gradients import (
    gauss_newton_bartlett_estimate,
    hutchinson_estimate,
    sharpness_aware,
)
from .optimizers import *  # noqa: F403
from .optimizers.adabelief import AddEpsEachStep
from .optimizers.adabound import DynamicBound, UncorrectedMoment
from .optimizers.adafactor import ScaleByParameterRms, relative_step
from .optimizers.adam_mini import AdamMiniBlocks, BlockEma, by_column, by_row, one_block
from .optimizers.adamod import MomentalBound
from .optimizers.adamp import AdampProjection
from .optimizers.apollo import ApolloScaling, random_projection
from .optimizers.came import CameConfidence
from .optimizers.dadapt_adamw import DAdaptDirection
from .optimizers.dog import DogDirection
from .optimizers.dowg import DowgDirection
from .optimizers.fira import FiraResidual
from .optimizers.galore import GaloreProjection
from .optimizers.lars import LarsTrustRatio
from .optimizers.msvag import MsvagDirection
from .optimizers.novograd import NormEma
from .optimizers.prodigy import ProdigyDirection
from .optimizers.schedule_free import LinearWarmup, RectifiedSchedule
from .optimizers.shampoo import AveragedShampooPreconditioner, ShampooPreconditioner
from .optimizers.sm3 import Sm3Accumulator
from .optimizers.soap import SameAsB2, SoapDirection
from .optimizers.spam import SpikeClip
from .optimizers.stable_adamw import UpdateClipping
from .optimizers.yogi import YogiMoment
from .parts.bias_correction import Debiased, Rectified
from .parts.clipping import (
    AdaptiveClip,
    Clip,
    ClipByGlobalNorm,
    ClipByNorm,
    ClipByRms,
    ClipNormGrowth,
)
from .parts.denominators import (
    EpsAsFloor,
    EpsBeforeCorrection,
    EpsInsideRoot,
    EpsOutsideRoot,
    Precondition,
    RootPlusEps,
)
from .parts.directions import (
    Cautious,
    CautiousClamp,
    CautiousCount,
    CautiousMeanPlusEps,
    Centralize,
    Grams,
    Sign,
)
from .parts.factored import FactoredSecondMoment, PowerDecaySchedule
from .parts.gradient_noise import GradientNoise
from .parts.learning_rate import LearningRate, Negate
from .parts.masked import Masked
from .parts.moments import (
    Centered,
    Ema,
    Identity,
    InitFromFirst,
    Momentum,
    RunningMax,
    SquaredDeviation,
    Sum,
    gradient,
    square,
)
from .parts.nesterov import LookAhead, Nesterov
from .parts.orthogonal import NormalizeRms, Orthogonalize, ScaleByShape, hidden_matrix
from .parts.parameter_averages import (
    LookaheadWeights,
    ParamEma,
    PrimalAveraging,
    ScheduleFree,
    eval_params,
)
from .parts.restarts import PeriodicReset
from .parts.trust_ratio import TrustRatio
from .parts.weight_decay import (
    CautiousWeightDecay,
    IndependentWeightDecay,
    ProximalWeightDecay,
    WeightDecay,
)
from .storage.low_precision_params import (
    SplitMaster,
    StochasticRounding,
    master_params,
    split_master,
    stochastic_rounding,
)
from .storage.plan import MemoryPlan, plan
from .storage.store import Stored, store
from .wrappers.cautious import cautious, grams
from .wrappers.restore import restore
from .wrappers.stacked import Stacked, stacked
from .wrappers.step import step
from .wrappers.tunable import Tunable, Tuned, hyperparams, replace_hyperparams, tunable

__all__ = [
    "AdaptiveClip",
    "EpsOutsideRoot",
    "CautiousMeanPlusEps",
    "YogiMoment",
    "SameAsB2",
    "AveragedShampooPreconditioner",
    "BlockEma",
    "DynamicBound",
    "AdamMiniBlocks",
    "Cautious",
    "CautiousWeightDecay",
    "Centered",
    "Centralize",
    "CautiousClamp",
    "Clip",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "CameConfidence",
    "UncorrectedMoment",
    "CautiousCount",
    "Sm3Accumulator",
    "DAdaptDirection",
    "Debiased",
    "Negate",
    "DogDirection",
    "DowgDirection",
    "Ema",
    "FactoredSecondMoment",
    "InitFromFirst",
    "GradientNoise",
    "Grams",
    "EpsBeforeCorrection",
    "Momentum",
    "Identity",
    "SoapDirection",
    "GaloreProjection",
    "IndependentWeightDecay",
    "ShampooPreconditioner",
    "RunningMax",
    "Context",
    "LearningRate",
    "ClipNormGrowth",
    "ClipByRms",
    "LarsTrustRatio",
    "LookAhead",
    "Masked",
    "EpsAsFloor",
    "MomentalBound",
    "Nesterov",
    "NormEma",
    "NormalizeRms",
    "Not",
    "Orthogonalize",
    "ParamEma",
    "MemoryPlan",
    "PowerDecaySchedule",
    "Precondition",
    "PrimalAveraging",
    "ProdigyDirection",
    "AdampProjection",
    "ProximalWeightDecay",
    "AddEpsEachStep",
    "Rectified",
    "PeriodicReset",
    "RootPlusEps",
    "EpsInsideRoot",
    "Rule",
    "ScaleByParameterRms",
    "ScaleByShape",
    "ApolloScaling",
    "ScheduleFree",
    "Sign",
    "Slot",
    "LookaheadWeights",
    "SpikeClip",
    "SplitMaster",
    "UpdateClipping",
    "Stacked",
    "State",
    "StochasticRounding",
    "Stored",
    "Sum",
    "SquaredDeviation",
    "RectifiedSchedule",
    "TrustRatio",
    "Tunable",
    "Tuned",
    "MsvagDirection",
    "LinearWarmup",
    "WeightDecay",
    "FiraResidual",
    "by_column",
    "by_row",
    "cautious",
    "chain",
    "eval_params",
    "gauss_newton_bartlett_estimate",
    "gradient",
    "grams",
    "hidden_matrix",
    "hutchinson_estimate",
    "hyperparams",
    "master_params",
    "one_block",
    "plan",
    "random_projection",
    "relative_step",
    "replace_hyperparams",
    "restore",
    "schedule",
    "sharpness_aware",
    "split_master",
    "square",
    "stacked",
    "step",
    "stochastic_rounding",
    "storage",
    "store",
    "testing",
    "tunable",
]
__all__ += optimizers.__all__
