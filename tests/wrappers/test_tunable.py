"""Tunable hyperparameters: which are one, and what may be put in their place.

Expected values are those of optimizers that are built with the new hyperparameters; the
ranges are those that the constructors' docstrings state.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import adamx
from adamx import replace_hyperparams, tunable
from adamx.wrappers import tunable_ranges
from tests.support.error_messages import PARAMS, message

HALVING = {"init_value": 0.1, "transition_steps": 1, "decay_rate": 0.5}


def halving():
    return adamx.schedule(optax.exponential_decay, **HALVING)


def steps(tx, number=3):
    state, updates = tx.init(PARAMS), None
    for _ in range(number):
        updates, state = tx.update(PARAMS, state, PARAMS)
    return updates, state


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# ---- one name, one value ------------------------------------------------------


ONE_VALUE = {
    "a warm-up": lambda: adamx.schedule_free_adamw(0.1, warmup_steps=3),
    "a warm-up to an array": lambda: adamx.schedule_free_adamw(jnp.array(0.1), 3),
    "a rectified rate": lambda: adamx.schedule_free_radam(jnp.array(0.1)),
    "two equal schedules": lambda: adamx.schedule_free(adamx.sgd(halving()), halving()),
    "one function": lambda: adamx.schedule_free_sgd(lambda k: 0.1 / (k + 1.0)),
    "two equal arrays": lambda: adamx.schedule_free(
        adamx.sgd(jnp.array(0.1)), jnp.array(0.1)
    ),
    "one array": lambda: adamx.schedule_free_sgd(jnp.array(0.1)),
    "two equal numbers": lambda: adamx.schedule_free(adamx.sgd(0.1), 0.1),
}


@pytest.mark.parametrize("name", ONE_VALUE)
def test_a_value_that_stands_in_two_parts_is_one(name):
    """It is named before and after the first step, and the structure stays."""
    tx = tunable(ONE_VALUE[name](), "learning_rate")
    state = tx.init(PARAMS)
    assert list(adamx.hyperparams(state)) == ["learning_rate"]

    def one(state, _):
        return tx.update(PARAMS, state, PARAMS)[1], None

    after, _ = jax.lax.scan(one, state, length=2)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert list(adamx.hyperparams(after)) == ["learning_rate"]
    for traced in (steps(tx)[1], jax.jit(lambda: steps(tx)[1])()):
        assert jax.tree.structure(traced) == jax.tree.structure(state)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-8),
        steps(tx)[0],
        steps(ONE_VALUE[name]())[0],
    )


def test_a_replaced_value_stands_in_both_parts():
    tx = tunable(
        adamx.schedule_free(adamx.sgd(jnp.array(0.1)), jnp.array(0.1)), "learning_rate"
    )
    state = replace_hyperparams(tx.init(PARAMS), learning_rate=0.25)
    updates, _ = tx.update(PARAMS, state, PARAMS)
    want = adamx.schedule_free(adamx.sgd(jnp.array(0.25)), jnp.array(0.25))
    assert_same(updates, steps(want, 1)[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.1, 0.2),
        (jnp.array(0.1), jnp.array(0.2)),
        (jnp.array(0.1), 0.1),
        (halving(), adamx.schedule(optax.constant_schedule, value=0.1)),
        (lambda k: 0.1, lambda k: 0.1),
    ],
    ids=["numbers", "arrays", "an array and a number", "schedules", "functions"],
)
def test_two_values_of_one_name_are_refused(one, other):
    tx = adamx.schedule_free(adamx.sgd(one), other)
    with pytest.raises(adamx.AdamxError, match="'learning_rate' must mean one value"):
        tunable(tx, "learning_rate")


# ---- ranges -------------------------------------------------------------------


ADAM = ("learning_rate", "b1", "b2", "eps")

# name of the case: (transformation, names, the value, what must hold)
OUTSIDE = {
    "negative rate": (adamx.adam, ADAM, {"learning_rate": -1.0}, "be at least 0"),
    "negative int": (adamx.adam, ADAM, {"learning_rate": -1}, "be at least 0"),
    "NumPy's rate": (
        adamx.adam,
        ADAM,
        {"learning_rate": np.float32(-1)},
        "be at least",
    ),
    "infinite rate": (adamx.adam, ADAM, {"learning_rate": math.inf}, "at least 0"),
    "NaN": (adamx.adam, ADAM, {"learning_rate": math.nan}, "at least 0"),
    "b1": (adamx.adam, ADAM, {"b1": 1.0}, r"lie in \[0, 1\)"),
    "b2": (adamx.adam, ADAM, {"b2": -0.5}, r"lie in \[0, 1\)"),
    "eps": (adamx.adam, ADAM, {"eps": -1e-8}, "be at least 0"),
    "the average's b1": (adamx.schedule_free_sgd, ("b1",), {"b1": 0.0}, r"in \(0, 1\]"),
    "decay": (adamx.adamw, ("weight_decay",), {"weight_decay": -1.0}, "be at least 0"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_number_out_of_range_is_refused(name):
    function, names, value, must = OUTSIDE[name]
    state = tunable(function(learning_rate=0.1), *names).init(PARAMS)
    (key,) = value
    with pytest.raises(adamx.AdamxError, match=f"replace_hyperparams: `{key}`.*{must}"):
        replace_hyperparams(state, **value)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_it_is_the_sentence_of_the_constructor(value):
    state = tunable(adamx.adam(0.1), "learning_rate").init(PARAMS)
    theirs = message(lambda: adamx.adam(value))
    ours = message(lambda: replace_hyperparams(state, learning_rate=value))
    assert ours.partition(": ")[2] == theirs.partition(": ")[2]


def test_the_range_is_that_of_the_transformation_which_made_the_state():
    """b1 is in [0, 1) in Adam and in (0, 1] in an average: each state has its own."""
    adam = tunable(adamx.adam(0.1), "b1").init(PARAMS)
    average = tunable(adamx.schedule_free_sgd(0.1), "b1").init(PARAMS)
    assert float(adamx.hyperparams(replace_hyperparams(adam, b1=0.0))["b1"]) == 0
    assert float(adamx.hyperparams(replace_hyperparams(average, b1=1.0))["b1"]) == 1
    for state, wrong in ((adam, 1.0), (average, 0.0)):
        with pytest.raises(adamx.AdamxError, match="replace_hyperparams: `b1` must"):
            replace_hyperparams(state, b1=wrong)


WRAPS = {
    "optax.chain": lambda tx: optax.chain(optax.clip(1.0), tx),
    "masked": lambda tx: optax.masked(tx, True),
    "stored": lambda tx: adamx.store(tx, mu=adamx.storage.Cast(jnp.bfloat16)),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_ranges_are_known_in_any_nesting_and_after_steps(wrap):
    tx = wrap(tunable(adamx.adam(0.1), "learning_rate", "b1"))
    _, state = jax.jit(tx.update)(PARAMS, tx.init(PARAMS), PARAMS)
    for value in ({"learning_rate": -1.0}, {"b1": 1.0}):
        with pytest.raises(adamx.AdamxError, match="replace_hyperparams: `"):
            replace_hyperparams(state, **value)
    replace_hyperparams(state, learning_rate=0.5, b1=0.0)


def test_a_state_that_came_from_elsewhere_is_checked_by_the_declared_ranges(
    monkeypatch,
):
    """As in a new process in which no transformation has made such a state."""
    state = tunable(adamx.adam(0.1), "learning_rate", "b1").init(PARAMS)
    monkeypatch.setattr(tunable_ranges, "_noted", {})
    for value, must in (
        (-1.0, "be at least 0"),
        (math.nan, "be finite and at least 0"),
    ):
        with pytest.raises(adamx.AdamxError, match=f"`learning_rate` must {must}, got"):
            replace_hyperparams(state, learning_rate=value)
    replace_hyperparams(state, learning_rate=0.5)


@pytest.mark.parametrize(
    "value", [True, 1j, "0.1", jnp.array(True), jnp.array(1j), np.bool_(True)], ids=repr
)
def test_what_is_no_real_number_is_refused(value):
    state = tunable(adamx.adam(0.1), "learning_rate").init(PARAMS)
    with pytest.raises(
        adamx.AdamxTypeError, match="`learning_rate` must be one number"
    ):
        replace_hyperparams(state, learning_rate=value)


def test_arrays_pass_as_in_the_constructor():
    state = tunable(adamx.adam(0.1), "learning_rate").init(PARAMS)
    for value in (jnp.array(0.5), np.float32(0.5), np.array(0.5), jnp.array(1)):
        new = adamx.hyperparams(replace_hyperparams(state, learning_rate=value))
        assert float(new["learning_rate"]) == float(value)


# ---- rates inside a warm-up -----------------------------------------------------


WARMED_UP = {
    "schedule_free_radam": lambda rate: adamx.schedule_free_radam(rate),
    "schedule_free_radam, loud": lambda rate: adamx.schedule_free_radam(
        rate, silent_sgd_phase=False
    ),
    "schedule_free_adamw": lambda rate: adamx.schedule_free_adamw(rate, 3),
    "schedule_free_sgd": lambda rate: adamx.schedule_free_sgd(rate, 3),
    "decay": lambda decay: adamx.schedule_free_radam(
        0.1, weight_decay=decay, silent_sgd_phase=False
    ),
}


@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf, True, 1j, "0.1"], ids=repr)
@pytest.mark.parametrize("name", WARMED_UP)
def test_a_rate_is_checked_before_it_is_wrapped_in_a_schedule(name, wrong):
    with pytest.raises(adamx.AdamxError, match=r": .* must .*, got "):
        WARMED_UP[name](wrong)


@pytest.mark.parametrize(
    ("warm_up", "arguments"),
    [
        ("alpha_warmup", {"alpha": -0.1, "warmup": 3}),
        ("alpha_warmup", {"alpha": math.nan, "warmup": 3}),
        ("alpha_warmup", {"alpha": 5.0, "warmup": 0}),
        ("b3_warmup", {"b3": 1.0, "warmup": 3}),
        ("b3_warmup", {"b3": math.nan, "warmup": 3}),
        ("b3_warmup", {"b3": 0.9, "warmup": 0}),
        ("b3_warmup", {"b3": 0.9, "warmup": 3, "b_start": 0.0}),
    ],
)
def test_the_warm_ups_of_ademamix_check_their_arguments(warm_up, arguments):
    factory = getattr(adamx.optimizers, warm_up)
    for build in (factory, lambda **words: adamx.schedule(factory, **words)):
        with pytest.raises(adamx.AdamxError, match=rf"{warm_up}: .* must .*, got "):
            build(**arguments)


@pytest.mark.parametrize("threshold", [3.0, math.nan])
def test_the_threshold_of_a_rectified_rate_is_checked(threshold):
    with pytest.raises(adamx.AdamxError, match="schedule_free_radam: `threshold` must"):
        adamx.schedule_free_radam(0.1, threshold=threshold)
    adamx.schedule_free_radam(0.1, threshold=5.0)


# ---- flax.nnx -------------------------------------------------------------------


def test_nnx_takes_a_number_that_an_array_replaces():
    """Its `tx` is static: Flax refuses an array in it before adamx is called."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="static attribute 'tx'"):
        nnx.Optimizer(model, adamx.adam(jnp.array(0.1)), wrt=nnx.Param)
    tx = tunable(adamx.adam(0.1), "learning_rate")
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.opt_state = replace_hyperparams(
        optimizer.opt_state, learning_rate=jnp.array(0.25)
    )
    before = jax.tree.map(jnp.array, nnx.as_pure(nnx.state(model, nnx.Param)))
    optimizer.update(model, nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model))
    grads = jax.tree.map(jnp.ones_like, before)
    want, _ = adamx.adam(0.25).update(grads, adamx.adam(0.25).init(before), before)
    after = nnx.as_pure(nnx.state(model, nnx.Param))
    for a, b, u in zip(*map(jax.tree.leaves, (after, before, want)), strict=True):
        np.testing.assert_allclose(a - b, u, rtol=1e-5)
    with pytest.raises(adamx.AdamxError, match="`learning_rate` must be at least 0"):
        replace_hyperparams(optimizer.opt_state, learning_rate=-1.0)
