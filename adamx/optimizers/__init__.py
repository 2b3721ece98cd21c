"""The optimizers; each is in the file of its name.

The same file holds `scale_by_<name>`, the optimizer without learning rate and weight
decay, and the rules that only this optimizer uses.
"""

from ..engine.keywords import is_optimizer
from .adabelief import (
    AddEpsEachStep as AddEpsEachStep,
    adabelief as adabelief,
    scale_by_adabelief as scale_by_adabelief,
)
from .adabound import (
    DynamicBound as DynamicBound,
    UncorrectedMoment as UncorrectedMoment,
    adabound as adabound,
    scale_by_adabound as scale_by_adabound,
)
from .adadelta import (
    AdadeltaDirection as AdadeltaDirection,
    adadelta as adadelta,
    scale_by_adadelta as scale_by_adadelta,
)
from .adafactor import (
    ScaleByParameterRms as ScaleByParameterRms,
    adafactor as adafactor,
    relative_step as relative_step,
    scale_by_adafactor as scale_by_adafactor,
)
from .adagrad import adagrad as adagrad, scale_by_adagrad as scale_by_adagrad
from .adahessian import (
    HessianRoot as HessianRoot,
    adahessian as adahessian,
    scale_by_adahessian as scale_by_adahessian,
    spatial_average as spatial_average,
)
from .adam import (
    adam as adam,
    adamw as adamw,
    scale_by_adam as scale_by_adam,
    scale_by_adamw as scale_by_adamw,
)
from .adam_atan2 import (
    Atan2 as Atan2,
    adam_atan2 as adam_atan2,
    scale_by_adam_atan2 as scale_by_adam_atan2,
)
from .adam_mini import (
    AdamMiniBlocks as AdamMiniBlocks,
    BlockEma as BlockEma,
    adam_mini as adam_mini,
    by_column as by_column,
    by_row as by_row,
    one_block as one_block,
    scale_by_adam_mini as scale_by_adam_mini,
)
from .adamax import (
    DecayedMax as DecayedMax,
    adamax as adamax,
    adamaxw as adamaxw,
    scale_by_adamax as scale_by_adamax,
    scale_by_adamaxw as scale_by_adamaxw,
)
from .adamc import (
    CorrectedDecay as CorrectedDecay,
    adamc as adamc,
    scale_by_adamc as scale_by_adamc,
)
from .adamd import adamd as adamd, scale_by_adamd as scale_by_adamd
from .adamod import (
    MomentalBound as MomentalBound,
    adamod as adamod,
    scale_by_adamod as scale_by_adamod,
)
from .adamp import (
    AdampProjection as AdampProjection,
    adamp as adamp,
    scale_by_adamp as scale_by_adamp,
)
from .adamuon import adamuon as adamuon, scale_by_adamuon as scale_by_adamuon
from .adan import (
    AdanDirection as AdanDirection,
    adan as adan,
    scale_by_adan as scale_by_adan,
)
from .adapnm import (
    PositiveNegativeMomentum as PositiveNegativeMomentum,
    adapnm as adapnm,
    scale_by_adapnm as scale_by_adapnm,
)
from .adashift import (
    TemporalShift as TemporalShift,
    adashift as adashift,
    scale_by_adashift as scale_by_adashift,
)
from .ademamix import (
    AccumulatedMomentum as AccumulatedMomentum,
    MixtureOfEmas as MixtureOfEmas,
    ademamix as ademamix,
    alpha_warmup as alpha_warmup,
    b3_warmup as b3_warmup,
    scale_by_ademamix as scale_by_ademamix,
    scale_by_simplified_ademamix as scale_by_simplified_ademamix,
    simplified_ademamix as simplified_ademamix,
)
from .adopt import (
    NormalizeByPrevious as NormalizeByPrevious,
    SkipFirstStep as SkipFirstStep,
    adopt as adopt,
    adopt_clip_value as adopt_clip_value,
    scale_by_adopt as scale_by_adopt,
)
from .amsgrad import amsgrad as amsgrad, scale_by_amsgrad as scale_by_amsgrad
from .apollo import (
    ApolloScaling as ApolloScaling,
    apollo as apollo,
    apollo_mini as apollo_mini,
    random_projection as random_projection,
    scale_by_apollo as scale_by_apollo,
    scale_by_apollo_mini as scale_by_apollo_mini,
)
from .avagrad import (
    AvagradDirection as AvagradDirection,
    avagrad as avagrad,
    scale_by_avagrad as scale_by_avagrad,
)
from .came import (
    CameConfidence as CameConfidence,
    came as came,
    scale_by_came as scale_by_came,
)
from .dadapt_adamw import (
    DAdaptDirection as DAdaptDirection,
    dadapt_adamw as dadapt_adamw,
)
from .diffgrad import (
    DiffGradFriction as DiffGradFriction,
    diffgrad as diffgrad,
    scale_by_diffgrad as scale_by_diffgrad,
)
from .dion import (
    LowRankOrthogonal as LowRankOrthogonal,
    dion as dion,
    scale_by_dion as scale_by_dion,
)
from .dion2 import (
    LargestSlices as LargestSlices,
    dion2 as dion2,
    scale_by_dion2 as scale_by_dion2,
)
from .dog import DogDirection as DogDirection, dog as dog
from .dowg import DowgDirection as DowgDirection, dowg as dowg
from .fira import (
    FiraResidual as FiraResidual,
    fira as fira,
    scale_by_fira as scale_by_fira,
)
from .galore import (
    GaloreProjection as GaloreProjection,
    galore as galore,
    scale_by_galore as scale_by_galore,
)
from .gpa import gpa as gpa
from .hyperball import adamh as adamh, muonh as muonh
from .kl_soap import (
    KlSoapDirection as KlSoapDirection,
    kl_soap as kl_soap,
    scale_by_kl_soap as scale_by_kl_soap,
)
from .lamb import lamb as lamb, scale_by_lamb as scale_by_lamb
from .laprop import laprop as laprop, scale_by_laprop as scale_by_laprop
from .lars import (
    LarsTrustRatio as LarsTrustRatio,
    lars as lars,
    scale_by_lars as scale_by_lars,
)
from .lion import (
    LionMomentum as LionMomentum,
    lion as lion,
    scale_by_lion as scale_by_lion,
)
from .lookahead import lookahead as lookahead
from .mars import (
    MarsCorrection as MarsCorrection,
    mars as mars,
    scale_by_mars as scale_by_mars,
)
from .msvag import (
    MsvagDirection as MsvagDirection,
    msvag as msvag,
    scale_by_msvag as scale_by_msvag,
)
from .muon import muon as muon, scale_by_muon as scale_by_muon
from .muown import MuownStep as MuownStep, muown as muown
from .nadam import (
    WarmupNesterov as WarmupNesterov,
    nadam as nadam,
    nadamw as nadamw,
    scale_by_nadam as scale_by_nadam,
    scale_by_nadamw as scale_by_nadamw,
)
from .normuon import (
    NeuronEma as NeuronEma,
    normuon as normuon,
    scale_by_normuon as scale_by_normuon,
)
from .novograd import (
    NormEma as NormEma,
    novograd as novograd,
    scale_by_novograd as scale_by_novograd,
)
from .padam import (
    PartialPower as PartialPower,
    padam as padam,
    scale_by_padam as scale_by_padam,
)
from .param_ema import param_ema as param_ema
from .prodigy import ProdigyDirection as ProdigyDirection, prodigy as prodigy
from .psgd_kron import (
    KronWhitening as KronWhitening,
    annealed_probability as annealed_probability,
    psgd_kron as psgd_kron,
    scale_by_psgd_kron as scale_by_psgd_kron,
)
from .qhadam import (
    QuasiHyperbolic as QuasiHyperbolic,
    qhadam as qhadam,
    scale_by_qhadam as scale_by_qhadam,
)
from .radam import radam as radam, scale_by_radam as scale_by_radam
from .rmsprop import rmsprop as rmsprop, scale_by_rmsprop as scale_by_rmsprop
from .rprop import (
    RpropDirection as RpropDirection,
    rprop as rprop,
    scale_by_rprop as scale_by_rprop,
)
from .schedule_free import (
    LinearWarmup as LinearWarmup,
    RectifiedSchedule as RectifiedSchedule,
    schedule_free as schedule_free,
    schedule_free_adamw as schedule_free_adamw,
    schedule_free_radam as schedule_free_radam,
    schedule_free_sgd as schedule_free_sgd,
)
from .scion import (
    SignOverInputs as SignOverInputs,
    SpectralRadius as SpectralRadius,
    is_embedding as is_embedding,
    is_matrix as is_matrix,
    scale_by_scion as scale_by_scion,
    scion as scion,
)
from .sgd import scale_by_sgd as scale_by_sgd, sgd as sgd
from .shampoo import (
    AveragedShampooPreconditioner as AveragedShampooPreconditioner,
    CorrectedShampooPreconditioner as CorrectedShampooPreconditioner,
    ShampooPreconditioner as ShampooPreconditioner,
    scale_by_shampoo as scale_by_shampoo,
    shampoo as shampoo,
)
from .signum import scale_by_signum as scale_by_signum, signum as signum
from .sm3 import (
    Sm3Accumulator as Sm3Accumulator,
    scale_by_sm3 as scale_by_sm3,
    sm3 as sm3,
)
from .snoo import snoo as snoo
from .soap import (
    SameAsB2 as SameAsB2,
    SoapDirection as SoapDirection,
    scale_by_soap as scale_by_soap,
    soap as soap,
)
from .sophia import (
    DivideByHessian as DivideByHessian,
    scale_by_sophia as scale_by_sophia,
    sophia as sophia,
)
from .spam import SpikeClip as SpikeClip, scale_by_spam as scale_by_spam, spam as spam
from .splus import (
    ScaleBySides as ScaleBySides,
    SignInEigenbasis as SignInEigenbasis,
    scale_by_splus as scale_by_splus,
    splus as splus,
)
from .stable_adamw import (
    UpdateClipping as UpdateClipping,
    scale_by_stable_adamw as scale_by_stable_adamw,
    stable_adamw as stable_adamw,
)
from .yogi import (
    StartedEma as StartedEma,
    YogiMoment as YogiMoment,
    scale_by_yogi as scale_by_yogi,
    yogi as yogi,
)

__all__ = [name for name, made in globals().items() if is_optimizer(made)]
