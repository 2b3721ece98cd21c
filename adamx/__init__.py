"""The Adam family for JAX: parts that are Optax transformations, and chains of them.

An Adam is a moment divided by a denominator, decayed and scaled.

.. include:: ../docs/members.md
"""

from . import aliases, storage, testing
from .aliases import *  # noqa: F403  the members, listed there
from .averaging import (
    ParamEma,
    PrimalAverage,
    ScheduleFree,
    SlowWeights,
    eval_params,
)
from .bias_correction import (
    Debiased,
    Rectified,
)
from .blocks import (
    BlockEma,
    ByRole,
    by_column,
    by_row,
    one_block,
)
from .chain import (
    chain,
)
from .clipping import (
    Clip,
    ClipByGlobalNorm,
    ClipByNorm,
)
from .covers import (
    Cover,
)
from .decay import (
    CautiousWeightDecay,
    IndependentWeightDecay,
    ProximalWeightDecay,
    WeightDecay,
)
from .denominators import (
    AddEps,
    HatEps,
    MaxEps,
    Precondition,
    Root,
    RootEps,
)
from .diagnostics.memory import (
    Plan,
    plan,
)
from .directed import (
    cautious,
    grams,
)
from .directions import (
    AddedToMean,
    Cautious,
    Centralize,
    Clamped,
    Counted,
    Grams,
    Sign,
)
from .eigenbases import (
    AsB2,
    AveragedInverseRoots,
    InEigenbasis,
    InverseRoots,
)
from .element_rates import (
    BoundedRate,
    CorrectedByRate,
    MomentalRate,
)
from .estimates import (
    gauss_newton_bartlett_estimate,
    hutchinson_estimate,
)
from .factored import (
    Confidence,
    Factored,
    PowerDecay,
)
from .hyper import (
    schedule,
)
from .landing import (
    SplitMaster,
    StochasticRounding,
    master_params,
    split_master,
    stochastic_rounding,
)
from .largest import (
    Largest,
)
from .layer_rules import (
    LocalRate,
    NormEma,
    Projected,
    Stabilized,
)
from .leaf import (
    Leaf,
    Slot,
    State,
)
from .learning_rate import (
    Descent,
    LearningRate,
    TimesRectifier,
    WarmUp,
)
from .masking import (
    Masked,
)
from .masks import (
    Not,
)
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
from .nesterov import (
    LookAhead,
    Nesterov,
)
from .noise import (
    GradientNoise,
)
from .orthogonal import (
    NormalizeRms,
    Orthogonalize,
    ScaleByShape,
    hidden_matrix,
)
from .rate_free import (
    DAdaptAdam,
    DistanceOverGradients,
    DistanceOverWeightedGradients,
    Prodigy,
)
from .restarts import (
    Restarted,
)
from .restoring import (
    restore,
)
from .rule import (
    Rule,
)
from .scaling import (
    LimitRms,
    ScaleByParameterRms,
    TrustRatio,
    relative_step,
)
from .sharpness import (
    sharpness_aware,
)
from .spikes import (
    AdaptiveClip,
    LimitNormGrowth,
    SpikeClip,
)
from .stacking import (
    Stacked,
    stacked,
)
from .starts import (
    FromFirst,
)
from .stepping import (
    step,
)
from .storing import (
    Stored,
    store,
)
from .subspaces import (
    InSubspace,
    ScaledByChannel,
    WithResidual,
    random_projection,
)
from .tunable import (
    Tunable,
    Tuned,
    hyperparams,
    replace_hyperparams,
    tunable,
)
from .variances import (
    Additive,
    Raised,
    VarianceAdapted,
)

__all__ = [
    "AdaptiveClip",
    "AddEps",
    "AddedToMean",
    "Additive",
    "AsB2",
    "AveragedInverseRoots",
    "BlockEma",
    "BoundedRate",
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
    "Counted",
    "Cover",
    "DAdaptAdam",
    "Debiased",
    "Descent",
    "DistanceOverGradients",
    "DistanceOverWeightedGradients",
    "Ema",
    "Factored",
    "FromFirst",
    "GradientNoise",
    "Grams",
    "HatEps",
    "HeavyBall",
    "Identity",
    "InEigenbasis",
    "InSubspace",
    "IndependentWeightDecay",
    "InverseRoots",
    "Largest",
    "Leaf",
    "LearningRate",
    "LimitNormGrowth",
    "LimitRms",
    "LocalRate",
    "LookAhead",
    "Masked",
    "MaxEps",
    "MomentalRate",
    "Nesterov",
    "NormEma",
    "NormalizeRms",
    "Not",
    "Orthogonalize",
    "ParamEma",
    "Plan",
    "PowerDecay",
    "Precondition",
    "PrimalAverage",
    "Prodigy",
    "Projected",
    "ProximalWeightDecay",
    "Raised",
    "Rectified",
    "Restarted",
    "Root",
    "RootEps",
    "Rule",
    "ScaleByParameterRms",
    "ScaleByShape",
    "ScaledByChannel",
    "ScheduleFree",
    "Sign",
    "Slot",
    "SlowWeights",
    "SpikeClip",
    "SplitMaster",
    "Stabilized",
    "Stacked",
    "State",
    "StochasticRounding",
    "Stored",
    "SumOf",
    "Surprise",
    "TimesRectifier",
    "TrustRatio",
    "Tunable",
    "Tuned",
    "VarianceAdapted",
    "WarmUp",
    "WeightDecay",
    "WithResidual",
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
__all__ += aliases.__all__
