"""The optimizers: one file for each, under its name."""

from .adabelief import adabelief, scale_by_adabelief
from .adabound import adabound, scale_by_adabound
from .adadelta import AdadeltaDirection, adadelta, scale_by_adadelta
from .adafactor import adafactor, scale_by_adafactor
from .adagrad import adagrad, scale_by_adagrad
from .adahessian import HessianRoot, adahessian, scale_by_adahessian, spatial_average
from .adam import adam, adamw, scale_by_adam, scale_by_adamw
from .adam_atan2 import Atan2, adam_atan2, scale_by_adam_atan2
from .adam_mini import adam_mini, scale_by_adam_mini
from .adamax import DecayedMax, adamax, adamaxw, scale_by_adamax, scale_by_adamaxw
from .adamc import CorrectedDecay, adamc, scale_by_adamc
from .adamd import adamd, scale_by_adamd
from .adamod import adamod, scale_by_adamod
from .adamp import adamp, scale_by_adamp
from .adamuon import adamuon, scale_by_adamuon
from .adan import AdanDirection, adan, scale_by_adan
from .adapnm import PositiveNegativeMomentum, adapnm, scale_by_adapnm
from .adashift import TemporalShift, adashift, scale_by_adashift
from .ademamix import (
    AccumulatedMomentum,
    MixtureOfEmas,
    ademamix,
    alpha_warmup,
    b3_warmup,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from .adopt import (
    NormalizeByPrevious,
    SkipFirstStep,
    adopt,
    adopt_clip_value,
    scale_by_adopt,
)
from .amsgrad import amsgrad, scale_by_amsgrad
from .apollo import apollo, apollo_mini, scale_by_apollo, scale_by_apollo_mini
from .avagrad import AvagradDirection, avagrad, scale_by_avagrad
from .came import came, scale_by_came
from .dadapt_adamw import dadapt_adamw
from .diffgrad import DiffGradFriction, diffgrad, scale_by_diffgrad
from .dog import dog
from .dowg import dowg
from .fira import fira, scale_by_fira
from .galore import galore, scale_by_galore
from .gpa import gpa
from .lamb import lamb, scale_by_lamb
from .laprop import laprop, scale_by_laprop
from .lars import lars, scale_by_lars
from .lion import LionMomentum, lion, scale_by_lion
from .lookahead import lookahead
from .mars import MarsCorrection, mars, scale_by_mars
from .msvag import msvag, scale_by_msvag
from .muon import muon, scale_by_muon
from .nadam import WarmupNesterov, nadam, nadamw, scale_by_nadam, scale_by_nadamw
from .novograd import novograd, scale_by_novograd
from .padam import PartialPower, padam, scale_by_padam
from .param_ema import param_ema
from .prodigy import prodigy
from .qhadam import QuasiHyperbolic, qhadam, scale_by_qhadam
from .radam import radam, scale_by_radam
from .rmsprop import rmsprop, scale_by_rmsprop
from .rprop import RpropDirection, rprop, scale_by_rprop
from .schedule_free import (
    schedule_free,
    schedule_free_adamw,
    schedule_free_radam,
    schedule_free_sgd,
)
from .sgd import scale_by_sgd, sgd
from .shampoo import scale_by_shampoo, shampoo
from .signum import scale_by_signum, signum
from .sm3 import scale_by_sm3, sm3
from .soap import scale_by_soap, soap
from .sophia import DivideByHessian, scale_by_sophia, sophia
from .spam import scale_by_spam, spam
from .stable_adamw import scale_by_stable_adamw, stable_adamw
from .yogi import scale_by_yogi, yogi

# One name a line would be most of the file.
# fmt: off
__all__ = [
    "AccumulatedMomentum", "SkipFirstStep", "Atan2", "QuasiHyperbolic", "NormalizeByPrevious", "CorrectedDecay",
    "DiffGradFriction", "AdadeltaDirection", "DecayedMax", "MixtureOfEmas", "DivideByHessian",
    "AvagradDirection", "PositiveNegativeMomentum", "PartialPower", "RpropDirection", "HessianRoot",
    "TemporalShift", "LionMomentum", "MarsCorrection", "WarmupNesterov", "AdanDirection",
    "adabelief", "adabound", "adadelta", "adafactor", "adagrad", "adahessian",
    "adam", "adam_atan2", "adam_mini", "adamax", "adamaxw", "adamc", "adamd",
    "adamod", "adamp", "adamuon", "adamw", "adan", "adapnm", "adashift", "ademamix",
    "adopt", "alpha_warmup", "amsgrad", "apollo", "apollo_mini", "avagrad",
    "b3_warmup", "came", "dadapt_adamw", "diffgrad", "dog", "dowg", "fira",
    "adopt_clip_value", "galore", "gpa", "lamb", "laprop", "lars", "lion", "lookahead",
    "mars", "msvag", "muon", "nadam", "nadamw", "novograd", "spatial_average", "padam",
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
