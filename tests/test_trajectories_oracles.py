"""The oracles against torch.optim, where torch's form is the oracle's.

Two writings of one published form, neither of them this library's: they may differ by
float64 rounding only.
"""

import numpy as np
import pytest

from tests import papers, trajectories

RTOL = 1e-12


def keywords(run) -> dict:
    """torch's options in the oracles' words; what an oracle has no word for is left."""
    o = run.defaults
    words = {"learning_rate": o["lr"]}
    if run.rates is not None:
        words["learning_rate"] = run.rates.__getitem__
    if isinstance(o.get("eps"), float):
        words["eps"] = o["eps"]
    if "betas" in o:
        words["b1"], words["b2"] = o["betas"]
    return words


def sgd(run):
    o = run.defaults
    return papers.sgd, {
        "momentum": o["momentum"],
        "nesterov": o["nesterov"],
        "dampening": o["dampening"],
    }


def adagrad(run):
    o = run.defaults
    return papers.adagrad, {
        "learning_rate": lambda k: o["lr"] / (1 + k * o["lr_decay"]),
        "initial_accumulator": o["initial_accumulator_value"],
    }


def rmsprop(run):
    o = run.defaults
    return papers.rmsprop, {
        "decay": o["alpha"],
        "centered": o["centered"],
        "momentum": o["momentum"],
    }


def adam(run):
    return papers.adam, {}


def adamw(run):
    return papers.adamw, {"weight_decay": run.defaults["weight_decay"]}


def radam(run):
    return papers.radam_torch, {}


def radam_decoupled(run):
    o = run.defaults
    return papers.radam_torch, {"weight_decay": o["weight_decay"]}


# For each run: its oracle, with the keywords that only this oracle has.
CASES = {
    "sgd": sgd,
    "sgd_momentum": sgd,
    "sgd_nesterov": sgd,
    "sgd_dampening": sgd,
    "adagrad": adagrad,
    "adagrad_options": adagrad,
    "rmsprop": rmsprop,
    "rmsprop_momentum": rmsprop,
    "rmsprop_centered": rmsprop,
    "adam": adam,
    "adam_scheduled": adam,
    "adam_l2": adam,
    "adamw": adamw,
    "adamw_scheduled": adamw,
    "radam": radam,
    "radam_quick": radam,
    "radam_decoupled": radam_decoupled,
}


def replayed(name: str):
    """For each leaf: what torch did and what the oracle does on the same gradients."""
    run = trajectories.load(name)
    oracle, own = CASES[name](run)
    words = keywords(run) | own
    decay = run.defaults.get("weight_decay", 0)
    coupled = 0 if "weight_decay" in words else decay
    for leaf, thetas in run.thetas.items():
        g = run.gradients[leaf]

        def gradient(k, theta, g=g):
            return g[k]

        ours = oracle(
            run.theta[leaf], papers.l2(gradient, coupled), len(thetas), **words
        )
        yield leaf, thetas, ours


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_oracle_follows_torch(name):
    for leaf, torch, oracle in replayed(name):
        np.testing.assert_allclose(oracle, torch, rtol=RTOL, atol=0, err_msg=leaf)
