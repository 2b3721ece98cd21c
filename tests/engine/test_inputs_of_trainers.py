"""What trainers pass: whole models, missing and empty leaves, dtypes, schedules."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from tests.support.counting import counted
from tests.support.trees import assert_close, assert_equal

ONE = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
GRADS = jax.tree.map(lambda x: jnp.cos(jnp.arange(1.0, x.size + 1)).reshape(x.shape),
                     ONE)  # fmt: skip

# ---- a model as the parameters -------------------------------------------------

MODEL = eqx.nn.MLP(2, 3, 4, 1, key=jax.random.key(0))
ARRAYS = eqx.filter(MODEL, eqx.is_inexact_array)


@eqx.filter_grad
def of_model(model):
    return jnp.sum(jax.vmap(model)(jnp.ones((5, 2))) ** 2)


WHOLE = {
    "adamw": lambda: adamx.adamw(1e-2),
    "muon": lambda: adamx.muon(1e-2),
    "in a chain with an external part": lambda: adamx.chain(
        optax.clip(1.0), adamx.adamw(1e-2)
    ),
    "tunable": lambda: adamx.tunable(adamx.adamw(1e-2), "learning_rate"),
    "schedule-free": lambda: adamx.schedule_free_adamw(1e-2),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_model_may_be_passed_to_update(name):
    tx, grads = WHOLE[name](), of_model(MODEL)
    state = tx.init(ARRAYS)
    whole = tx.update(grads, state, MODEL)
    assert_equal(whole, tx.update(grads, state, ARRAYS))
    assert_close(eqx.filter_jit(tx.update)(grads, state, MODEL), whole)
    after = eqx.apply_updates(MODEL, whole[0])
    assert after.activation is MODEL.activation


def test_a_whole_model_may_be_passed_to_step():
    tx, grads = adamx.adamw(1e-2), of_model(MODEL)
    updates, _ = tx.update(grads, tx.init(ARRAYS), MODEL)
    after, _ = adamx.step(tx, MODEL, grads, tx.init(ARRAYS))
    assert after.activation is MODEL.activation
    moved = eqx.apply_updates(MODEL, updates)
    assert_equal(eqx.filter(after, eqx.is_array), eqx.filter(moved, eqx.is_array))


def test_python_numbers_are_parameters_as_for_optax():
    for number in (1.0, {"a": 2.0, "b": jnp.ones(3)}):
        g = jax.tree.map(lambda x: 3.0 * x, number)
        ours = adamx.adamw(0.1, weight_decay=0.01)
        theirs = optax.adamw(0.1, weight_decay=0.01)
        got, state = ours.update(g, ours.init(number), number)
        want, _ = theirs.update(g, theirs.init(number), number)
        for a, b in zip(*map(jax.tree.leaves, (got, want)), strict=True):
            np.testing.assert_allclose(a, b, rtol=3e-5)  # Optax's bias correction
        assert jax.tree.leaves(state.slots["mu"])[0].dtype == jnp.float32


def test_keys_among_the_parameters_are_refused():
    with pytest.raises(TypeError, match="every parameter must be floating, `key`"):
        adamx.adam(0.1).init({"key": jax.random.key(0)})


# ---- missing and empty leaves ----------------------------------------------------


@pytest.mark.parametrize("name", ["adamw", "adam", "lamb", "prodigy", "lookahead"])
def test_a_gradient_without_a_parameter_is_refused(name):
    tx = adamx.lookahead(adamx.adam(0.1))
    if name != "lookahead":
        tx = getattr(adamx, name)(0.1)
    params = ONE | {"b": None}
    message = "a leaf without a parameter must have no gradient, `b` has one"
    with pytest.raises(adamx.AdamxError, match=message):
        tx.update(GRADS, tx.init(params), params)


def test_step_leaves_a_parameter_without_a_gradient_as_it_is():
    tx = adamx.adamw(0.1)
    state = tx.init(ONE)
    after, _ = adamx.step(tx, ONE, GRADS | {"b": None}, state)
    assert_equal(after["b"], ONE["b"])
    assert np.all(after["w"] != ONE["w"])


EMPTY = ["muon", "adamp", "shampoo", "soap", "adafactor", "came", "adam_mini", "adamw"]


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,)])
def test_leaves_of_size_0_change_nothing(name, shape):
    tx = getattr(adamx, name)(0.01)
    params, grads = ONE | {"e": jnp.ones(shape)}, GRADS | {"e": jnp.ones(shape)}
    state, alone = tx.init(params), tx.init(ONE)
    for _ in range(2):
        updates, state = tx.update(grads, state, params)
        wanted, alone = tx.update(GRADS, alone, ONE)
        assert updates.pop("e").shape == shape
        assert_equal(updates, wanted)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(state))


# ---- dtypes ----------------------------------------------------------------------


@pytest.mark.parametrize("gradient", [jnp.float16, jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("parameter", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_an_update_is_never_narrower_than_its_parameter(gradient, parameter):
    params = {"w": jnp.ones((3, 2), parameter)}
    grads = {"w": GRADS["w"].astype(gradient)}
    wider = jnp.promote_types(gradient, parameter)
    for tx in (
        adamx.adamw(1e-7),
        adamx.adam(1e-7),
        adamx.chain(optax.clip(9.0), adamx.adam(1e-7)),
        adamx.chain(adamx.adam(1e-7), optax.clip(9.0)),
    ):
        updates, _ = tx.update(grads, tx.init(params), params)
        assert updates["w"].dtype == wider
        if wider == jnp.float32:
            assert np.all(np.abs(updates["w"]) > 0.9e-7)


# ---- numbers of any size -----------------------------------------------------------


@pytest.mark.parametrize("size", [1e-45, 1e-30, 1e-19, 2e19, 3e38])
@pytest.mark.parametrize("name", ["adam", "adagrad", "lamb", "adafactor", "sm3", "sgd"])
def test_one_extreme_gradient_leaves_a_finite_state(name, size):
    tx = getattr(adamx, name)(1e-3)
    state = tx.init(ONE)
    extreme = GRADS | {"b": jnp.array([size, -1.0])}
    for grads in (GRADS, extreme, GRADS, extreme, GRADS):
        updates, state = tx.update(grads, state, ONE)
        assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((updates, state)))


def test_adam_recovers_from_an_extreme_gradient():
    """It takes steps again as soon as its average has forgotten the large square."""
    tx, p = adamx.adam(1e-3, b1=0.5, b2=0.5), jnp.float32(1)
    state = tx.init(p)
    for g in [1.0, 2e19] + 200 * [1.0]:
        updates, state = tx.update(jnp.float32(g), state, p)
    np.testing.assert_allclose(updates, -1e-3, rtol=1e-3)


def test_infinite_gradients_stay_visible():
    tx, p = adamx.adam(1e-3), jnp.ones(2)
    for bad in (jnp.inf, jnp.nan):
        updates, _ = tx.update(jnp.array([1.0, bad]), tx.init(p), p)
        assert np.isfinite(updates[0])
        assert not np.isfinite(updates[1])


def test_a_rule_that_keeps_nothing_does_not_clip():
    tx, p = adamx.sgd(1e-3), jnp.ones(1)
    updates, _ = tx.update(jnp.array([1e30]), tx.init(p), p)
    np.testing.assert_allclose(updates, -1e27, rtol=1e-6)


# ---- schedules and rates in eager calls --------------------------------------------

EAGER = {
    "if": lambda count: 1e-3 if count < 2 else 5e-4,
    "np.interp": lambda count: np.interp(count, [0, 4], [1e-3, 5e-4]),
    "math": lambda count: 1e-3 * 0.5 ** float(count),
}


@pytest.mark.parametrize("schedule", EAGER)
def test_a_schedule_of_python_works_in_eager_calls(schedule):
    ours, theirs = adamx.adam(EAGER[schedule]), optax.adam(EAGER[schedule])
    state, other = ours.init(ONE), theirs.init(ONE)
    for _ in range(4):
        updates, state = ours.update(GRADS, state, ONE)
        wanted, other = theirs.update(GRADS, other, ONE)
        for a, b in zip(*map(jax.tree.leaves, (updates, wanted)), strict=True):
            np.testing.assert_allclose(a, b, rtol=3e-5)  # Optax's bias correction


@pytest.mark.parametrize(
    "make",
    [
        adamx.adamw,
        adamx.sgd,
        adamx.lion,
        lambda rate: adamx.adam(optax.constant_schedule(rate)),
        lambda rate: adamx.adamw(1e-3, weight_decay=rate),
    ],
    ids=["adamw", "sgd", "lion", "schedules", "decay"],
)
def test_many_rates_in_a_loop_are_one_program(make):
    warm = make(0.5)
    warm.update(GRADS, warm.init(ONE), ONE)
    txs = [make(float(rate)) for rate in np.linspace(0.01, 0.1, 10)]
    states = [tx.init(ONE) for tx in txs]
    with counted() as count:
        for tx, state in zip(txs, states, strict=True):
            tx.update(GRADS, state, ONE)
    assert (count.traces, count.compilations) == (0, 0)
