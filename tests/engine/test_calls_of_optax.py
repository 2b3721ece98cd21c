"""A call that works in Optax means the same here: names, order, defaults, numbers.

The counterparts are the functions of the same name in `optax` and `optax.contrib`, read
from the installed version, so that a new one fails here until it is looked at.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.engine.keywords import counterpart
from adamx.engine.spellings import RENAMED
from tests.table.cases import few

FOUND = {n: counterpart(n) for n in sorted(adamx.optimizers.__all__)}
COUNTERPARTS = {name: found[1] for name, found in FOUND.items() if found}
NAMES = pytest.mark.parametrize("name", COUNTERPARTS)

# A keyword that Optax's function of one name calls otherwise.
CALLED = {("scale_by_sm3", "b1"): "momentum"}

# Defaults that are not equal, each with the reason.
OTHER_DEFAULT = {
    ("adadelta", "learning_rate"): "None fails in Optax",
    ("adopt", "clip_value_fn"): "a function: t ** 0.25 in both",
    ("scale_by_adopt", "clip_value_fn"): "a function: t ** 0.25 in both",
    ("lars", "mask"): "None selects every leaf, as True does",
    ("lars", "trust_ratio_mask"): "None selects every leaf, as True does",
    ("dog", "init_distance"): "the number of Optax's pair ('heuristic', 1e-6)",
}
REQUIRED = inspect.Parameter.empty


def own_name(name, theirs, ours):
    called = CALLED.get((name, theirs), theirs)
    return called if called in ours else RENAMED.get(called, called)


@NAMES
def test_the_places_are_those_of_optax(name):
    ours = inspect.signature(getattr(adamx, name)).parameters
    theirs = inspect.signature(COUNTERPARTS[name]).parameters
    by_place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    places = [n for n, p in ours.items() if p.kind is by_place]
    there = [own_name(name, n, ours) for n, p in theirs.items() if p.kind is by_place]
    assert places == there[: len(places)]


@NAMES
def test_the_defaults_are_those_of_optax(name):
    ours = inspect.signature(getattr(adamx, name)).parameters
    theirs = inspect.signature(COUNTERPARTS[name]).parameters
    for keyword, parameter in theirs.items():
        own = own_name(name, keyword, ours)
        if own not in ours or (name, own) in OTHER_DEFAULT:
            continue
        if parameter.default is not REQUIRED:  # here it may have one
            assert ours[own].default == parameter.default, own


# Calls whose numbers differ, each with the reason; docs/differences_from_optax.md says
# how far.
OTHER_NUMBERS = {
    "adan": "Optax weighs the difference by 1 - b2 where b2 is right",
    "scale_by_adan": "Optax weighs the difference by 1 - b2 where b2 is right",
    "galore": "Optax projects from the longer side, and leaves below the rank too",
    "scale_by_galore": "as galore",
    "lookahead": "Optax's is of pairs of parameters",
    "muon": "Optax corrects the terms of Nesterov's sum by different weights",
    "scale_by_muon": "Optax's is for trees of matrices alone",
    "rprop": "Optax returns the step of the step before",
    "scale_by_rprop": "Optax's has the rate inside",
    "schedule_free": "it takes an optimizer: see test_schedule_free below",
    "sophia": "Optax's makes its estimate itself",
    "scale_by_sophia": "Optax's makes its estimate itself",
}
STEPS = 30


def run(tx):
    random = np.random.default_rng(0)
    shapes = {"kernel": (6, 4), "bias": (4,)}
    params = {n: jnp.asarray(random.normal(size=s)) for n, s in shapes.items()}
    grads = {
        n: jnp.asarray(random.normal(size=(STEPS, *s)) * 10 ** random.uniform(-3, 1, s))
        for n, s in shapes.items()
    }

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (optax.apply_updates(params, updates), state), updates

    return jax.lax.scan(step, (params, tx.init(params)), grads)[1]


def assert_same(ours, theirs, rtol=1e-9):
    ours, theirs = run(ours), run(theirs)
    for name, want in theirs.items():
        size = np.max(np.abs(want))
        np.testing.assert_allclose(ours[name], want, rtol=rtol, atol=rtol * size)


def called(function):
    """The call with what the function requires alone."""
    first = next(iter(inspect.signature(function).parameters), "")
    return function(1e-2) if first == "learning_rate" else function()


@pytest.mark.parametrize(
    "name", few([n for n in COUNTERPARTS if n not in OTHER_NUMBERS], 20)
)
def test_the_same_call_gives_the_same_numbers(name, x64):
    # Optax's adafactor has its decay in float32: 6e-8.
    rtol = 1e-5 if name == "adafactor" else 1e-9
    theirs = COUNTERPARTS[name]
    if "learning_rate" in inspect.signature(theirs).parameters:
        ours = getattr(adamx, name)(1e-2)
        assert_same(ours, theirs(1e-2), rtol)
    else:
        assert_same(called(getattr(adamx, name)), called(theirs), rtol)


# Calls with more than the defaults, of the same text in both.
CALLS = (
    "adagrad(1e-2, 0.5, 1e-3)",
    "rmsprop(1e-2, 0.8, 1e-4)",
    "rmsprop(1e-2, momentum=0.9, nesterov=True)",
    "rmsprop(lambda k: 1e-2 / (k + 1), momentum=0.9)",
    "rmsprop(1e-2, 0.8, 1e-4, 0.0, True, True, 0.9)",
    "sgd(1e-2, nesterov=True)",
    "sgd(1e-2, 0.9, True)",
    "sgd(1e-2, momentum=0, nesterov=False)",
    "adamw(1e-2, 0.8, 0.9, 1e-6, 0.0, None, 0.1)",
    "adamw(1, weight_decay=0, mask=True)",
    "adabelief(1e-2, 0.8, 0.9, 1e-6, 1e-6, nesterov=True)",
    "adadelta(1e-2, 0.8, 1e-6, 0.1, None)",
    "adafactor()",
    "adafactor(1e-2, 2, 0.7, 0, False, None)",
    "adafactor(None, momentum=0.9, dtype_momentum='float32', weight_decay_rate=1e-3)",
    "amsgrad(1e-2, 0.8, 0.9, 1e-6, 0.0, None, False, False)",
    "lamb(1e-2, 0.8, 0.9, 1e-6, 0.0, 0.1, None)",
    "lars(1e-2, 0.1)",
    "lars(1e-2, 0.1, True, 0.01, 1e-3, True, 0.8, True)",
    "lion(1e-2, 0.8, 0.9, None, 0.1)",
    "nadamw(1e-2, 0.8, 0.9, 1e-6, 0.0, None, 0.1, None, nesterov=True)",
    "novograd(1e-2, 0.8, 0.9, 1e-6, 0.0, 0.1)",
    "radam(1e-2, 0.8, 0.9, 1e-6, 0.0, 4.5)",
    "scale_by_yogi(0.8, 0.9, 1e-3, 0.0, 1e-2)",
    "scale_by_sm3(0.8, 1.0, 1e-6)",
    "contrib.ademamix(1e-2, 0.8, 0.9, 0.99, 4.0, 1e-6, 0.0, None, 0.1)",
    "contrib.dog(weight_decay=0.1)",
    "contrib.dowg(eps=1e-3)",
    "contrib.dowg(1.0, 1e-2)",
    "contrib.muon(1e-2, nesterov=False)",
    "contrib.muon(1e-2, (3.0, -4.0, 2.0), 4, 0.9, 1e-6, 0.1, nesterov=False)",
    "contrib.schedule_free_sgd(1e-2, None, 0.8, None)",
)


@pytest.mark.parametrize("call", few(CALLS, 16))
def test_a_call_of_optax_gives_the_same_numbers(call, x64):
    rtol = 1e-5 if call.startswith(("adafactor", "contrib.muon")) else 1e-9
    ours = eval(f"adamx.{call.removeprefix('contrib.')}", {"adamx": adamx})
    theirs = eval(f"optax.{call}", {"optax": optax})
    assert_same(ours, theirs, rtol)


def test_schedule_free_around_an_optimizer(x64):
    ours = adamx.schedule_free(adamx.sgd(1e-2), 1e-2, 0.8, 2.0, None)
    theirs = optax.contrib.schedule_free(optax.sgd(1e-2), 1e-2, 0.8, 2.0, None)
    assert_same(ours, theirs, 1e-7)
