"""The rules that several optimizers share, and those that no optimizer uses alone.

Moments, bias correction, denominators, weight decay, learning rate, clipping, masks,
averages of the parameters. Each rule is also an Optax transformation.
"""

from ..engine.masks import Not as Not, OfSlice as OfSlice
from .bias_correction import Debiased as Debiased, Rectified as Rectified
from .clipping import (
    AdaptiveClip as AdaptiveClip,
    Clip as Clip,
    ClipByGlobalNorm as ClipByGlobalNorm,
    ClipByNorm as ClipByNorm,
    ClipByRms as ClipByRms,
    ClipNormGrowth as ClipNormGrowth,
)
from .denominators import (
    Eps as Eps,
    EpsAsFloor as EpsAsFloor,
    EpsBeforeCorrection as EpsBeforeCorrection,
    EpsInsideRoot as EpsInsideRoot,
    EpsOutsideRoot as EpsOutsideRoot,
    Precondition as Precondition,
    RootPlusEps as RootPlusEps,
)
from .directions import (
    Cautious as Cautious,
    CautiousClamp as CautiousClamp,
    CautiousCount as CautiousCount,
    CautiousMeanPlusEps as CautiousMeanPlusEps,
    Centralize as Centralize,
    Grams as Grams,
    Sign as Sign,
)
from .factored import (
    FactoredSecondMoment as FactoredSecondMoment,
    PowerDecaySchedule as PowerDecaySchedule,
)
from .gradient_noise import GradientNoise as GradientNoise
from .grafting import Graft as Graft
from .iterations import (
    ExactPolar as ExactPolar,
    GramNewtonSchulz as GramNewtonSchulz,
    NewtonSchulz as NewtonSchulz,
    cans as cans,
    classic_quintic as classic_quintic,
    deepseek_v4 as deepseek_v4,
    gram_newton_schulz as gram_newton_schulz,
    muon_quintic as muon_quintic,
    polar_express as polar_express,
)
from .layer_axes import (
    axes_by_name as axes_by_name,
    hidden_matrix as hidden_matrix,
    hidden_two_axes as hidden_two_axes,
    not_vector as not_vector,
)
from .learning_rate import LearningRate as LearningRate, Negate as Negate
from .masked import Masked as Masked
from .matrix_axes import (
    MatrixAxes as MatrixAxes,
)
from .matrix_views import (
    MatrixView as MatrixView,
    SeesMatrices as SeesMatrices,
    Side as Side,
)
from .moments import (
    Centered as Centered,
    Ema as Ema,
    Identity as Identity,
    InitFromFirst as InitFromFirst,
    Momentum as Momentum,
    RunningMax as RunningMax,
    SquaredDeviation as SquaredDeviation,
    Sum as Sum,
    gradient as gradient,
    square as square,
)
from .nesterov import Ahead as Ahead, LookAhead as LookAhead, Nesterov as Nesterov
from .orthogonal import (
    NormalizeRms as NormalizeRms,
    Orthogonalize as Orthogonalize,
    ScaleByShape as ScaleByShape,
)
from .parameter_averages import (
    LookaheadWeights as LookaheadWeights,
    OuterNesterov as OuterNesterov,
    ParamEma as ParamEma,
    PrimalAveraging as PrimalAveraging,
    ScheduleFree as ScheduleFree,
)
from .parameter_norm import (
    Hyperball as Hyperball,
    RadialBrake as RadialBrake,
    UpdateFloor as UpdateFloor,
)
from .qk_clip import QKClip as QKClip
from .restarts import PeriodicReset as PeriodicReset
from .tree_axes import AxesByName as AxesByName
from .trust_ratio import TrustRatio as TrustRatio
from .weight_decay import (
    CautiousWeightDecay as CautiousWeightDecay,
    Decay as Decay,
    IndependentWeightDecay as IndependentWeightDecay,
    ProximalWeightDecay as ProximalWeightDecay,
    WeightDecay as WeightDecay,
    WeightDecayAfterStep as WeightDecayAfterStep,
)
