"""The recorded trajectories of torch.optim (tests/trajectories/record_torch.py)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import HatEps, LearningRate, WeightDecay, chain
from tests import trajectories

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]
TOLERANCE = 1e-12


def l2(o, tx):
    """torch's `weight_decay` of all but AdamW: into the gradient."""
    return chain(WeightDecay(o["weight_decay"]), tx) if o["weight_decay"] else tx


def sgd(o, rate):
    keywords = {k: o[k] for k in ("momentum", "nesterov", "dampening")}
    return l2(o, adamx.sgd(rate, **keywords))


def adagrad(o, rate):
    decayed = (lambda k: rate / (1.0 + k * o["lr_decay"])) if o["lr_decay"] else rate
    start = o["initial_accumulator_value"]
    return l2(o, adamx.adagrad(decayed, o["eps"], initial_accumulator=start))


def rmsprop(o, rate):
    keywords = {k: o[k] for k in ("centered", "momentum")}
    return l2(o, adamx.rmsprop(rate, o["alpha"], o["eps"], **keywords))


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
    scaled = adamx.scale_by_radam(*o["betas"], HatEps(o["eps"]))
    if o["decoupled_weight_decay"]:
        return chain(scaled, WeightDecay(o["weight_decay"]), LearningRate(rate))
    return l2(o, chain(scaled, LearningRate(rate)))


MEMBERS = {
    "SGD": sgd,
    "Adagrad": adagrad,
    "RMSprop": rmsprop,
    "Adam": adam,
    "AdamW": adamw,
    "RAdam": radam,
    "Adamax": adamax,
    "NAdam": nadam,
}
LATER = {"Adadelta", "Rprop", "Adafactor", "Muon"}
"""Recorded for members that are still to come."""


def is_later(name):
    return trajectories.load(name).optimizer in LATER


RECORDED = [name for name in trajectories.names() if not is_later(name)]


@pytest.mark.parametrize("name", RECORDED)
def test_a_member_follows_the_recorded_trajectory(name):
    run = trajectories.load(name)
    rate = run.defaults["lr"]
    if run.rates is not None:
        rate = lambda k: jnp.asarray(run.rates)[k]  # noqa: E731 (a schedule)
    tx = MEMBERS[run.optimizer](run.defaults, rate)

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    params = jax.tree.map(jnp.asarray, run.theta)
    gradients = jax.tree.map(jnp.asarray, run.gradients)
    _, thetas = jax.lax.scan(step, (params, tx.init(params)), gradients)
    for leaf, wanted in run.thetas.items():
        np.testing.assert_allclose(
            thetas[leaf],
            wanted,
            rtol=0,
            atol=TOLERANCE * np.max(np.abs(wanted)),
            err_msg=leaf,
        )


def test_every_member_is_recorded_with_its_options():
    """A recording that is missing would pass the test above by not being there."""
    assert set(RECORDED) >= {
        "sgd",
        "sgd_momentum",
        "sgd_nesterov",
        "sgd_dampening",
        "adagrad",
        "adagrad_options",
        "rmsprop",
        "rmsprop_centered",
        "rmsprop_momentum",
        "adam",
        "adam_l2",
        "adam_scheduled",
        "adamw",
        "adamw_scheduled",
        "radam",
        "radam_quick",
        "radam_decoupled",
        "adam_amsgrad",
        "adam_amsgrad_l2",
        "adamw_amsgrad",
        "adamax",
        "adamax_l2",
        "nadam",
        "nadam_l2",
        "nadam_decoupled",
    }
