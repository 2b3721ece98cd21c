"""The family: each paper's name in lower case, a short chain of parts."""

from .adam import (
    adam,
    adamw,
    radam,
    scale_by_adam,
    scale_by_adamw,
    scale_by_radam,
)
from .adaptive import (
    adagrad,
    rmsprop,
    scale_by_adagrad,
    scale_by_rmsprop,
)
from .angle import (
    Angle,
    adam_atan2,
    scale_by_adam_atan2,
)
from .averages import (
    gpa,
    lookahead,
    param_ema,
    schedule_free,
    schedule_free_adamw,
    schedule_free_radam,
    schedule_free_sgd,
)
from .blended import (
    Blend,
    Friction,
    diffgrad,
    qhadam,
    scale_by_diffgrad,
    scale_by_qhadam,
)
from .bounded import (
    adabound,
    adamod,
    scale_by_adabound,
    scale_by_adamod,
)
from .coarse import (
    adam_mini,
    scale_by_adam_mini,
    scale_by_sm3,
    sm3,
)
from .compact import (
    adafactor,
    came,
    scale_by_adafactor,
    scale_by_came,
)
from .corrected import (
    CorrectedDecay,
    adamc,
    adamd,
    scale_by_adamc,
    scale_by_adamd,
)
from .curvature import (
    OverCurvature,
    RootCurvature,
    adahessian,
    over_inputs,
    scale_by_adahessian,
    scale_by_sophia,
    sophia,
)
from .delayed import (
    Shifted,
    adashift,
    scale_by_adashift,
)
from .differences import (
    VarianceReduced,
    WithDifference,
    adan,
    mars,
    scale_by_adan,
    scale_by_mars,
)
from .eigenbasis import (
    scale_by_shampoo,
    scale_by_soap,
    shampoo,
    soap,
)
from .free import (
    dadapt_adamw,
    dog,
    dowg,
    prodigy,
)
from .infinity import (
    LargestRecent,
    adamax,
    adamaxw,
    scale_by_adamax,
    scale_by_adamaxw,
)
from .layerwise import (
    lamb,
    lars,
    novograd,
    scale_by_lamb,
    scale_by_lars,
    scale_by_novograd,
)
from .long_memory import (
    Power,
    amsgrad,
    padam,
    scale_by_amsgrad,
    scale_by_padam,
)
from .low_rank import (
    fira,
    galore,
    scale_by_fira,
    scale_by_galore,
)
from .matrix import (
    adamuon,
    muon,
    scale_by_adamuon,
    scale_by_muon,
)
from .nesterov import (
    WarmNesterov,
    nadam,
    nadamw,
    scale_by_nadam,
    scale_by_nadamw,
)
from .past_rates import (
    PastRates,
    avagrad,
    scale_by_avagrad,
)
from .positive_negative import (
    PositiveNegative,
    adapnm,
    scale_by_adapnm,
)
from .random_rank import (
    apollo,
    apollo_mini,
    scale_by_apollo,
    scale_by_apollo_mini,
)
from .reordered import (
    AfterTheFirst,
    ByPast,
    adopt,
    fourth_root,
    laprop,
    scale_by_adopt,
    scale_by_laprop,
)
from .restrained import (
    adamp,
    scale_by_adamp,
    scale_by_stable_adamw,
    stable_adamw,
)
from .sgd import (
    scale_by_sgd,
    sgd,
)
from .sign import (
    TwoSpeeds,
    lion,
    scale_by_lion,
    scale_by_signum,
    signum,
)
from .slow_ema import (
    Accumulated,
    Mixed,
    ademamix,
    alpha_warmup,
    b3_warmup,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from .spiked import (
    scale_by_spam,
    spam,
)
from .stepsizes import (
    InUnitsOfSteps,
    Resilient,
    adadelta,
    rprop,
    scale_by_adadelta,
    scale_by_rprop,
)
from .variance import (
    adabelief,
    msvag,
    scale_by_adabelief,
    scale_by_msvag,
    scale_by_yogi,
    yogi,
)

# One name a line would be most of the file.
# fmt: off
__all__ = [
    "Accumulated", "AfterTheFirst", "Angle", "Blend", "ByPast", "CorrectedDecay",
    "Friction", "InUnitsOfSteps", "LargestRecent", "Mixed", "OverCurvature",
    "PastRates", "PositiveNegative", "Power", "Resilient", "RootCurvature",
    "Shifted", "TwoSpeeds", "VarianceReduced", "WarmNesterov", "WithDifference",
    "adabelief", "adabound", "adadelta", "adafactor", "adagrad", "adahessian",
    "adam", "adam_atan2", "adam_mini", "adamax", "adamaxw", "adamc", "adamd",
    "adamod", "adamp", "adamuon", "adamw", "adan", "adapnm", "adashift", "ademamix",
    "adopt", "alpha_warmup", "amsgrad", "apollo", "apollo_mini", "avagrad",
    "b3_warmup", "came", "dadapt_adamw", "diffgrad", "dog", "dowg", "fira",
    "fourth_root", "galore", "gpa", "lamb", "laprop", "lars", "lion", "lookahead",
    "mars", "msvag", "muon", "nadam", "nadamw", "novograd", "over_inputs", "padam",
    "param_ema", "prodigy", "qhadam", "radam", "rmsprop", "rprop",
    "scale_by_adabelief", "scale_by_adabound", "scale_by_adadelta",
    "scale_by_adafactor", "scale_by_adagrad", "scale_by_adahessian",
    "scale_by_adam", "scale_by_adam_atan2", "scale_by_adam_mini", "scale_by_adamax",
    "scale_by_adamaxw", "scale_by_adamc", "scale_by_adamd", "scale_by_adamod",
    "scale_by_adamp", "scale_by_adamuon", "scale_by_adamw", "scale_by_adan",
    "scale_by_adapnm", "scale_by_adashift", "scale_by_ademamix", "scale_by_adopt",
    "scale_by_amsgrad", "scale_by_apollo", "scale_by_apollo_mini",
    "scale_by_avagrad", "scale_by_came", "scale_by_diffgrad", "scale_by_fira",
    "scale_by_galore", "scale_by_lamb", "scale_by_laprop", "scale_by_lars",
    "scale_by_lion", "scale_by_mars", "scale_by_msvag", "scale_by_muon",
    "scale_by_nadam", "scale_by_nadamw", "scale_by_novograd", "scale_by_padam",
    "scale_by_qhadam", "scale_by_radam", "scale_by_rmsprop", "scale_by_rprop",
    "scale_by_sgd", "scale_by_shampoo", "scale_by_signum",
    "scale_by_simplified_ademamix", "scale_by_sm3", "scale_by_soap",
    "scale_by_sophia", "scale_by_spam", "scale_by_stable_adamw", "scale_by_yogi",
    "schedule_free", "schedule_free_adamw", "schedule_free_radam",
    "schedule_free_sgd", "sgd", "shampoo", "signum", "simplified_ademamix", "sm3",
    "soap", "sophia", "spam", "stable_adamw", "yogi",
]
# fmt: on
