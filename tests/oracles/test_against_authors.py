"""Oracles against packages: their authors', and two that are widely used.

`record_authors.py` ran them in float64 for 100 steps, on gradients that depend on the
point. RTOL is of the largest entry of a leaf along its path. Measured: at most 3e-15.
"""

import math

import numpy as np
import pytest

from tests import papers, trajectories
from tests.papers.directions import grams_official
from tests.papers.form import l2
from tests.trajectories import quadratic

RTOL = 1e-13
WHOLE_MODEL = ("dadapt_adamw", "dog", "dowg", "prodigy")  # files of tests/papers


def lion(run):
    decay = run.options.get("weight_decay", 0.0)
    return papers.lion, {"weight_decay": decay}


def adopt(run):
    o = run.options
    words = {"use_clipping": "clip_lambda" not in o}
    if o.get("decouple"):
        words["weight_decay"] = o["weight_decay"]
    return papers.adopt, words


def prodigy(run):
    o = run.options
    return papers.prodigy_official, {
        "b3": o.get("beta3"),
        "estim_lr0": o.get("d0", 1e-6),
        "estim_lr_coef": o.get("d_coef", 1.0),
        "weight_decay": o.get("weight_decay", 0.0),
        "safeguard_warmup": o.get("safeguard_warmup", False),
        "bias_correction": o.get("use_bias_correction", False),
        "growth_rate": o.get("growth_rate", math.inf),
    }


def d_adapt_adam(run):
    o = run.options
    return papers.d_adapt_adam_official, {
        "estim_lr0": o.get("d0", 1e-6),
        "weight_decay": o.get("weight_decay", 0.0),
        "bias_correction": o.get("use_bias_correction", False),
        "growth_rate": o.get("growth_rate", math.inf),
    }


def dog(run):
    o = run.options
    return papers.dog, {
        "reps_rel": o.get("reps_rel", 1e-6),
        "weight_decay": o.get("weight_decay", 0.0),
    }


def grams(run):
    return grams_official, {"weight_decay": run.options["weight_decay"]}


def adam_atan2(run):
    o = run.options
    return papers.adam_atan2, {
        "weight_decay": o.get("weight_decay", 0.0),
        "a": o.get("a", 1.27),
        "b": o.get("b", 1.0),
    }


CASES = {
    "lion": lion,
    "lion_options": lion,
    "adopt": adopt,
    "adopt_options": adopt,
    "adopt_unclipped": adopt,
    "adopt_l2": adopt,
    "prodigy": prodigy,
    "prodigy_options": prodigy,
    "prodigy_beta3": prodigy,
    "d_adapt_adam": d_adapt_adam,
    "d_adapt_adam_options": d_adapt_adam,
    "dog": dog,
    "dog_options": dog,
    "grams": grams,
    "adam_atan2": adam_atan2,
    "adam_atan2_options": adam_atan2,
}
DEFAULT_RATES = {
    "AdamAtan2": 1e-4,
    "Prodigy": 1.0,
    "DAdaptAdam": 1.0,
    "DoG": 1.0,
}


def words_of(run: quadratic.Run) -> dict:
    """What all oracles call alike, in the package's options or by its defaults."""
    o = run.options
    rate = run.rate(DEFAULT_RATES.get(run.about["class"], 0.0))
    words = {"learning_rate": rate}
    if "betas" in o:
        words["b1"], words["b2"] = o["betas"]
    if "eps" in o:
        words["eps"] = o["eps"]
    return words


def paths_of(oracle, gradient, words) -> list[np.ndarray]:
    """The oracle on the problem: on all leaves at once, or on one leaf at a time."""
    theta, steps = quadratic.problem().theta, quadratic.STEPS
    if oracle.__module__.removeprefix("tests.papers.") in WHOLE_MODEL:
        return oracle(theta, gradient, steps, **words)

    def of_leaf(i):
        def leaf(k, point):
            return gradient(k, [*theta[:i], point, *theta[i + 1 :]])[i]

        return leaf

    return [oracle(t, of_leaf(i), steps, **words) for i, t in enumerate(theta)]


def distance(name: str, oracle=None, **changed) -> float:
    """The largest over the leaves, as a share of a leaf's largest entry.

    With an `oracle` it is that one, told `changed` but no word that is the other's own.
    """
    run, gradient = quadratic.load(name), quadratic.problem().gradient
    own, special = CASES[name](run)
    words = words_of(run) | ({} if oracle else special) | changed
    if "weight_decay" in run.options and "weight_decay" not in special:
        coupled = run.options["weight_decay"]

        def gradient(k, thetas):
            plain = quadratic.problem().gradient(k, thetas)
            return [g + coupled * t for g, t in zip(plain, thetas, strict=True)]

    ours = paths_of(oracle or own, gradient, words)
    pairs = zip(ours, run.paths["theta"], strict=True)
    return max(float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in pairs)


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_the_oracle_follows_the_package(name):
    assert distance(name) <= RTOL


# Other readings, the papers' own where the packages part from them, and a run that
# shows each.
OTHER = {
    "Prodigy without its bias correction": (
        "prodigy_options",
        {"bias_correction": False},
    ),
    "A_{k+1} for A_k in D-Adaptation": (
        "d_adapt_adam",
        {"oracle": papers.d_adapt_adam},
    ),
    "ADOPT without its clip": ("adopt_l2", {"use_clipping": False}),
    "ADOPT's first version": (
        "adopt_unclipped",
        {"oracle": papers.adopt_first_version},
    ),
    "Lion with one decay": ("lion", {"b2": 0.9}),
    "atan2 without its scale": ("adam_atan2", {"a": 1.0}),
}


@pytest.mark.oracle
@pytest.mark.parametrize("reading", OTHER)
def test_another_reading_is_seen(reading):
    name, changed = OTHER[reading]
    assert distance(name, **changed) > 1e-4


@pytest.mark.oracle
def test_the_papers_prodigy_and_the_packages_differ_by_epsilon_only():
    """d_{k+1} ε against d_k ε: the same without epsilon, not with it."""
    problem, steps = quadratic.problem(), quadratic.STEPS

    def apart(eps):
        words = {"eps": eps, "estim_lr0": 1e-3}
        paper, package = (
            oracle(problem.theta, problem.gradient, steps, **words)
            for oracle in (papers.prodigy, papers.prodigy_official)
        )
        return max(
            float(np.max(np.abs(a - b))) for a, b in zip(paper, package, strict=True)
        )

    assert apart(0.0) <= RTOL
    assert apart(1e-2) > 1e-4


def adadelta(defaults):
    return papers.adadelta, {"rho": defaults["rho"], "eps": defaults["eps"]}


def rprop(defaults):
    eta_minus, eta_plus = defaults["etas"]
    smallest, largest = defaults["step_sizes"]
    return papers.rprop, {
        "eta_minus": eta_minus,
        "eta_plus": eta_plus,
        "min_step_size": smallest,
        "max_step_size": largest,
    }


TORCH = {
    "adadelta": adadelta,
    "adadelta_l2": adadelta,
    "rprop": rprop,
    "rprop_options": rprop,
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", TORCH)
def test_the_oracle_follows_torch(name):
    run = trajectories.load(name)
    oracle, words = TORCH[name](run.defaults)
    coupled = run.defaults.get("weight_decay", 0.0)
    for leaf, thetas in run.thetas.items():

        def gradient(k, theta, g=run.gradients[leaf]):
            return g[k]

        ours = oracle(
            run.theta[leaf],
            l2(gradient, coupled),
            len(thetas),
            learning_rate=run.defaults["lr"],
            **words,
        )
        np.testing.assert_allclose(ours, thetas, rtol=1e-12, atol=0, err_msg=leaf)
