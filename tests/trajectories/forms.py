"""adamx's form of each recorded optimizer of torch.optim, from torch's options."""

import jax.numpy as jnp

import adamx
from adamx import chain
from adamx.parts import EpsBeforeCorrection, EpsOutsideRoot, LearningRate, WeightDecay
from tests import trajectories


def l2(o, tx):
    """torch's `weight_decay` of all but AdamW: into the gradient."""
    return chain(WeightDecay(o["weight_decay"]), tx) if o["weight_decay"] else tx


def sgd(o, rate):
    keywords = {k: o[k] for k in ("momentum", "nesterov", "dampening")}
    return l2(o, adamx.sgd(rate, **keywords))


def adagrad(o, rate):
    decayed = (lambda k: rate / (1.0 + k * o["lr_decay"])) if o["lr_decay"] else rate
    start = o["initial_accumulator_value"]
    return l2(o, adamx.adagrad(decayed, start, EpsOutsideRoot(o["eps"])))


def rmsprop(o, rate):
    keywords = {k: o[k] for k in ("centered", "momentum")}
    eps = EpsOutsideRoot(o["eps"])
    scaled = adamx.scale_by_rmsprop(o["alpha"], eps, **keywords)
    return l2(o, chain(scaled, LearningRate(rate)))


def amsgrad(o):
    return adamx.scale_by_amsgrad(*o["betas"], o["eps"], largest_first=True)


def adam(o, rate):
    if o["amsgrad"]:
        return l2(o, chain(amsgrad(o), LearningRate(rate)))
    return l2(o, adamx.adam(rate, *o["betas"], o["eps"]))


def adamw(o, rate):
    decay = o["weight_decay"]
    if o["amsgrad"]:
        return chain(amsgrad(o), WeightDecay(decay), LearningRate(rate))
    return adamx.adamw(rate, *o["betas"], o["eps"], weight_decay=decay)


def adamax(o, rate):
    return l2(o, adamx.adamax(rate, *o["betas"], o["eps"]))


def nadam(o, rate):
    keywords = {"momentum_decay": o["momentum_decay"]}
    if o["decoupled_weight_decay"]:
        keywords["weight_decay"] = o["weight_decay"]
        return adamx.nadamw(rate, *o["betas"], o["eps"], **keywords)
    return l2(o, adamx.nadam(rate, *o["betas"], o["eps"], **keywords))


def radam(o, rate):
    """torch adds eps to the uncorrected root."""
    scaled = adamx.scale_by_radam(*o["betas"], EpsBeforeCorrection(o["eps"]))
    if o["decoupled_weight_decay"]:
        return chain(scaled, WeightDecay(o["weight_decay"]), LearningRate(rate))
    return l2(o, chain(scaled, LearningRate(rate)))


def adadelta(o, rate):
    return l2(o, adamx.adadelta(rate, o["rho"], o["eps"]))


def rprop(o, rate):
    return adamx.rprop(rate, *o["etas"], *o["step_sizes"])


def adafactor(o, rate):
    """torch's ε₁ is a floor of v, far below the squares that are recorded."""
    decay = o["weight_decay"]
    return adamx.adafactor(
        lambda k: jnp.minimum(rate, 1 / jnp.sqrt(k + 1.0)),
        0,
        decay_rate=-o["beta2_decay"],
        clipping_threshold=o["d"],
        eps_scale=o["eps"][1],
        weight_decay_rate=rate * decay if decay else None,
    )


def muon(o, rate):
    """torch computes the iteration in bfloat16."""
    return adamx.muon(
        rate,
        tuple(o["ns_coefficients"]),
        o["ns_steps"],
        o["momentum"],
        o["eps"],
        o["weight_decay"],
        nesterov=o["nesterov"],
        consistent_rms=0.2 if o["adjust_lr_fn"] == "match_rms_adamw" else None,
        out_axis=0,
    )


MEMBERS = {
    "SGD": sgd,
    "Adagrad": adagrad,
    "RMSprop": rmsprop,
    "Adam": adam,
    "AdamW": adamw,
    "RAdam": radam,
    "Adamax": adamax,
    "NAdam": nadam,
    "Adadelta": adadelta,
    "Rprop": rprop,
    "Adafactor": adafactor,
    "Muon": muon,
}


def form(run: trajectories.Recorded):
    """The transform that a recorded run must agree with."""
    rate = run.defaults["lr"]
    if run.rates is not None:
        rate = lambda k: jnp.asarray(run.rates)[k]  # noqa: E731 (a schedule)
    return MEMBERS[run.optimizer](run.defaults, rate)
