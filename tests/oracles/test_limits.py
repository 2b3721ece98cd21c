"""The other oracles: laws of all, and what each is when a part is absent.

With its own idea taken out a method is the one it grew from; this ties the oracles that
no package can be compared with to those of Adam, AdamW and SGD, which torch has.
"""

import inspect
import math

import numpy as np
import pytest

from tests import papers
from tests.papers.adam import adam, adam_eps_hat, adamw
from tests.papers.mars import clip_to_norm_one
from tests.papers.sgd import sgd

pytestmark = pytest.mark.oracle
STEPS = 30
# What is special about them: several sequences, keywords that must be constant.
FILES = (
    "adadelta",
    "adahessian",
    "adam_atan2",
    "adan",
    "ademamix",
    "adopt",
    "clips",
    "dadapt_adamw",
    "directions",
    "dog",
    "dowg",
    "gpa",
    "laprop",
    "lion",
    "lookahead",
    "mars",
    "param_ema",
    "points",
    "prodigy",
    "rprop",
    "schedule_free",
    "signum",
    "snoo",
    "sophia",
    "spam",
)
ORACLES = {
    name: oracle
    for file in FILES
    for name, oracle in papers.ORACLES[file].items()
    if name != "adamw_directed"
}
ON_A_LIST = ("adagc_adamw",)
# Numbers that the papers do not let change, or that choose what is computed.
CONSTANT = {
    "sync_period",
    "update_interval",
    "warmup",
    "warmup_steps",
    "interval",
    "grad_accu_steps",
    "weight_lr_power",
    "r",
    "estim_lr0",
    "estim_lr_coef",
    "growth_rate",
    "init_estim_sq_dist",
    "reps_rel",
    "norm_eps",
    "lambda_abs",
    "lambda_rel",
    "smallest",
    "mask_eps",
}
CONSTANT_IN = {
    "schedule_free_radam": {"b2", "threshold"},
    "gpa_adamw_official": {"mu_x", "mu_y"},
    "prodigy_schedule_free": {"b2", "d_0"},
    "rprop": {"learning_rate"},
    "rprop_minus": {"learning_rate"},
    "rprop_plus": {"learning_rate"},
    "dog": {"eps"},
    "dowg": {"eps"},
}


def start():
    return np.array([[0.5, -2.0, 0.0], [1.0, 3.0, -0.25]])


def gradient(k, theta):
    """Depends on the point; exactly zero for two steps, and always in one place."""
    if isinstance(theta, list):
        return [gradient(k, leaf) for leaf in theta]
    g = np.sin(1.7 * k + np.arange(theta.size).reshape(theta.shape)) + 0.3 * theta
    g = g * (k not in (4, 5))
    return g * (np.arange(theta.size).reshape(theta.shape) != 2)


def hessian(k, theta):
    return 0.3 + np.cos(k + np.arange(theta.size).reshape(theta.shape)) ** 2


def run(name, gradient=gradient, **words):
    """The oracle's last result: the parameters, or a tuple of several sequences."""
    oracle = ORACLES[name]
    if "hessian" in inspect.signature(oracle).parameters:
        words = {"hessian": hessian, **words}
    theta = [start()] if name in ON_A_LIST else start()
    found = oracle(theta, gradient, STEPS, **words)
    return found[0] if name in ON_A_LIST else found


def same(one, other, rtol=1e-13):
    """Equal to rounding, and not because nothing moved."""
    assert np.max(np.abs(one - start())) > 1e-6
    np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-14)


def numbers(name) -> dict:
    parameters = inspect.signature(ORACLES[name]).parameters.values()
    fixed = CONSTANT | CONSTANT_IN.get(name, set())
    return {
        p.name: p.default
        for p in parameters
        if isinstance(p.default, int | float)
        and not isinstance(p.default, bool)
        and p.name not in fixed
    }


@pytest.mark.parametrize("name", ORACLES)
def test_a_constant_schedule_is_the_constant(name):
    values = numbers(name) | {"learning_rate": 0.05}
    if "learning_rate" in CONSTANT_IN.get(name, set()):
        values.pop("learning_rate")
    functions = {key: lambda k, v=v: v for key, v in values.items()}
    np.testing.assert_array_equal(run(name, **functions), run(name, **values))


@pytest.mark.parametrize("name", ORACLES)
def test_all_numbers_are_finite_through_zero_gradients(name):
    assert np.all(np.isfinite(run(name)))


@pytest.mark.parametrize("name", ORACLES)
def test_zero_gradients_move_nothing(name):
    def nothing(k, theta):
        if isinstance(theta, list):
            return [np.zeros_like(leaf) for leaf in theta]
        return np.zeros_like(theta)

    decay = {"weight_decay": 0.0}
    if "weight_decay" not in inspect.signature(ORACLES[name]).parameters:
        decay = {}
    found = run(name, nothing, **decay)
    for path in found if isinstance(found, tuple) else (found,):
        # an average of equal numbers is that number to rounding
        np.testing.assert_allclose(path, np.broadcast_to(start(), path.shape), 1e-14)


@pytest.mark.parametrize("name", ORACLES)
def test_what_was_given_is_not_written_to(name):
    theta, kept = start(), []

    def remember(k, point):
        g = gradient(k, point)
        kept.append((g, [np.copy(leaf) for leaf in g]))
        return g

    given = [theta] if name in ON_A_LIST else theta
    words = {}
    if "hessian" in inspect.signature(ORACLES[name]).parameters:
        words["hessian"] = hessian
    ORACLES[name](given, remember, STEPS, **words)
    np.testing.assert_array_equal(theta, start())
    for g, copies in kept:
        assert all(np.array_equal(a, b) for a, b in zip(g, copies, strict=True))


# Each method without its own idea, and the method that is left.
RATE = {"learning_rate": 0.05}
DECAY = {"weight_decay": 0.1}


def no_average(d):
    return d


def last_gradient(k, theta):
    """Adam's own gradient as the "Hessian", so that its squares are averaged."""
    return gradient(k, theta)


REDUCED = {
    "laprop with b1=0 is adam": (
        "laprop",
        RATE | {"b1": 0.0, "eps": 1e-8},
        adam,
        {"b1": 0.0},
    ),
    "ademamix with alpha=0 is adamw": (
        "ademamix",
        RATE | DECAY | {"alpha": 0.0},
        adamw,
        DECAY,
    ),
    "ademamix with b1=0, b3=0 is adam with b1=0": (
        "ademamix",
        {"learning_rate": 0.025, "b1": 0.0, "b3": 0.0, "alpha": 1.0},
        adam,
        {"b1": 0.0},
    ),
    "simplified_ademamix, corrected, is adamw": (
        "simplified_ademamix",
        RATE | DECAY | {"b1": 0.9, "b2": 0.999, "bias_correction1": True},
        adamw,
        DECAY,
    ),
    "simplified_ademamix with b1=0 sums two gradients": (
        "simplified_ademamix",
        {"learning_rate": 0.025, "b1": 0.0, "b2": 0.999, "alpha": 1.0},
        adam,
        {"b1": 0.0},
    ),
    "adan with b2=0 is adam": (
        "adan_official",
        RATE | {"b1": 0.9, "b2": 0.0, "b3": 0.999},
        adam,
        {},
    ),
    "mars with gamma=0 is adamw of the clipped": (
        "mars",
        RATE | DECAY | {"gamma": 0.0, "b1": 0.9, "b2": 0.999},
        adamw,
        DECAY,
    ),
    "mars_approximate with gamma=0 too": (
        "mars_approximate",
        RATE | DECAY | {"gamma": 0.0, "b1": 0.9, "b2": 0.999},
        adamw,
        DECAY,
    ),
    "adahessian of the gradient is adam": (
        "adahessian",
        RATE | {"hessian": last_gradient, "average": no_average, "eps": 1e-8},
        adam,
        {},
    ),
    "adagc that never clips is adamw": (
        "adagc_adamw",
        RATE | DECAY | {"lambda_abs": 1e9, "lambda_rel": 1e9, "warmup": 4},
        adamw,
        DECAY,
    ),
    "a spike clip that never clips is adam": (
        "adam_spike_clip",
        RATE | {"threshold": 1e30, "warmup": 2},
        adam,
        {},
    ),
    "spam that neither clips nor resets is adam with eps-hat": (
        "spam",
        RATE | {"threshold": 1e30, "interval": 10**6, "eps": 1e-4},
        adam_eps_hat,
        {"eps": 1e-4},
    ),
    "growth without a limit is adam": (
        "adam_norm_growth_limited",
        RATE | {"limit": math.inf},
        adam,
        {},
    ),
    "grams with b1=0 is adam": ("grams_adamw", RATE | {"b1": 0.0}, adam, {"b1": 0.0}),
    "caution about a decay of 0 is adam": (
        "adamw_cautious_decay",
        RATE | {"weight_decay": 0.0},
        adam,
        {},
    ),
    "sam_adam with rho=0 is adam": ("sam_adam", RATE | {"rho": 0.0}, adam, {}),
    "sam_sgd with rho=0 is sgd": ("sam_sgd", RATE | {"rho": 0.0}, sgd, {}),
}


@pytest.mark.parametrize("case", REDUCED)
def test_a_method_without_its_own_idea_is_its_parent(case):
    name, words, parent, given = REDUCED[case]
    of = gradient
    if name.startswith("mars"):

        def of(k, theta):
            return clip_to_norm_one(gradient(k, theta))

    same(run(name, **words), parent(start(), of, STEPS, **(RATE | given)))
