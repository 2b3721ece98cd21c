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


def decoupled(oracle):
    """torch shrinks the parameters where its option asks for that, else it is L2."""

    def of(run):
        o = run.defaults
        apart = o.get("decoupled_weight_decay", False)
        return oracle, {"weight_decay": o["weight_decay"]} if apart else {}

    return of


def nadam(run):
    oracle, own = decoupled(papers.nadam_torch)(run)
    return oracle, own | {"momentum_decay": run.defaults["momentum_decay"]}


def adamax(run):
    return papers.adamax, {}


def adadelta(run):
    return papers.adadelta, {"rho": run.defaults["rho"]}


def rprop(run):
    o = run.defaults
    (eta_minus, eta_plus), (low, high) = o["etas"], o["step_sizes"]
    return papers.rprop, {
        "eta_minus": eta_minus,
        "eta_plus": eta_plus,
        "min_step_size": low,
        "max_step_size": high,
    }


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
    "adam_amsgrad": decoupled(papers.amsgrad_torch),
    "adam_amsgrad_l2": decoupled(papers.amsgrad_torch),
    "adamw_amsgrad": decoupled(papers.amsgrad_torch),
    "radam": decoupled(papers.radam_torch),
    "radam_quick": decoupled(papers.radam_torch),
    "radam_decoupled": decoupled(papers.radam_torch),
    "nadam": nadam,
    "nadam_l2": nadam,
    "nadam_decoupled": nadam,
    "adamax": adamax,
    "adamax_l2": adamax,
    "adadelta": adadelta,
    "adadelta_l2": adadelta,
    "rprop": rprop,
    "rprop_options": rprop,
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
