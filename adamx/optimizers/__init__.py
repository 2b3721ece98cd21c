"""The optimizers: one file for each, under its name."""

from .adabelief import (
    adabelief,
    msvag,
    scale_by_adabelief,
    scale_by_msvag,
    scale_by_yogi,
    yogi,
)
from .adabound import adabound, adamod, scale_by_adabound, scale_by_adamod
from .adafactor import adafactor, came, scale_by_adafactor, scale_by_came
from .adahessian import (
    OverCurvature,
    RootCurvature,
    adahessian,
    over_inputs,
    scale_by_adahessian,
    scale_by_sophia,
    sophia,
)
from .adam import adam, adamw, radam, scale_by_adam, scale_by_adamw, scale_by_radam
from .adam_atan2 import Angle, adam_atan2, scale_by_adam_atan2
from .adam_mini import adam_mini, scale_by_adam_mini, scale_by_sm3, sm3
from .adamax import LargestRecent, adamax, adamaxw, scale_by_adamax, scale_by_adamaxw
from .adamc import CorrectedDecay, adamc, adamd, scale_by_adamc, scale_by_adamd
from .adamp import adamp, scale_by_adamp, scale_by_stable_adamw, stable_adamw
from .adan import (
    VarianceReduced,
    WithDifference,
    adan,
    mars,
    scale_by_adan,
    scale_by_mars,
)
from .adapnm import PositiveNegative, adapnm, scale_by_adapnm
from .adashift import Shifted, adashift, scale_by_adashift
from .ademamix import (
    Accumulated,
    Mixed,
    ademamix,
    alpha_warmup,
    b3_warmup,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from .adopt import (
    AfterTheFirst,
    ByPast,
    adopt,
    fourth_root,
    laprop,
    scale_by_adopt,
    scale_by_laprop,
)
from .amsgrad import Power, amsgrad, padam, scale_by_amsgrad, scale_by_padam
from .apollo import apollo, apollo_mini, scale_by_apollo, scale_by_apollo_mini
from .avagrad import PastRates, avagrad, scale_by_avagrad
from .galore import fira, galore, scale_by_fira, scale_by_galore
from .lamb import lamb, lars, novograd, scale_by_lamb, scale_by_lars, scale_by_novograd
from .lion import TwoSpeeds, lion, scale_by_lion, scale_by_signum, signum
from .muon import adamuon, muon, scale_by_adamuon, scale_by_muon
from .nadam import WarmNesterov, nadam, nadamw, scale_by_nadam, scale_by_nadamw
from .prodigy import dadapt_adamw, dog, dowg, prodigy
from .qhadam import (
    Blend,
    Friction,
    diffgrad,
    qhadam,
    scale_by_diffgrad,
    scale_by_qhadam,
)
from .rmsprop import adagrad, rmsprop, scale_by_adagrad, scale_by_rmsprop
from .rprop import (
    InUnitsOfSteps,
    Resilient,
    adadelta,
    rprop,
    scale_by_adadelta,
    scale_by_rprop,
)
from .schedule_free import (
    gpa,
    lookahead,
    param_ema,
    schedule_free,
    schedule_free_adamw,
    schedule_free_radam,
    schedule_free_sgd,
)
from .sgd import scale_by_sgd, sgd
from .soap import scale_by_shampoo, scale_by_soap, shampoo, soap
from .spam import scale_by_spam, spam

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
