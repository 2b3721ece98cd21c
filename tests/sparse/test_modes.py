"""Counts by row, and steps made up: against NumPy row by row, and dense runs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx import RowSparse, chain, parts, sparse
from tests.sparse.trees import (
    STEPS,
    TABLE,
    WIDTH,
    N,
    dense,
    gradient,
    sparse_adam,
)
from tests.support.error_messages import message
from tests.support.trees import stacked

RATE = 0.05
EPS = parts.EpsBeforeCorrection(1e-8)
BIAS = jnp.ones(2)


def start():
    return {"bias": BIAS, "table": jnp.asarray(TABLE)}


@functools.partial(jax.jit, static_argnums=(0, 1))
def trained(tx, is_dense=False):
    """All steps in one program."""

    def step(carry, g):
        return adamx.step(tx, carry[0], {"bias": BIAS, "table": g}, carry[1]), None

    each = [jnp.asarray(dense(i)) if is_dense else gradient(i) for i in range(STEPS)]
    p = start()
    carry, _ = jax.lax.scan(step, (p, tx.init(p)), stacked(each))
    return carry


# ---- counts by row -----------------------------------------------------------


def test_bias_is_corrected_for_the_steps_of_the_row(x64):
    tx = sparse.per_row(adamx.adam(RATE, eps=EPS), "table")
    p, state = trained(tx)
    np.testing.assert_allclose(p["table"], sparse_adam(RATE, by_row=True), rtol=1e-12)
    seen = sum((dense(step) != 0).any(1) for step in range(STEPS))
    assert state.row_steps["table"].tolist() == seen.tolist()
    assert state.count == STEPS
    alone = trained(adamx.adam(RATE, eps=EPS))[0]
    np.testing.assert_array_equal(p["bias"], alone["bias"])


@pytest.mark.parametrize(
    "made",
    [
        lambda: adamx.nadam(RATE, b2=jnp.asarray(0.99)),
        lambda: chain(parts.ClipByGlobalNorm(1e9), adamx.radam(lambda _: RATE)),
    ],
    ids=["nadam", "clipped radam with a schedule"],
)
def test_each_row_is_a_run_of_its_own(x64, made):
    p, _ = trained(sparse.per_row(made(), "table"))

    tx, rows = made(), []
    step = jax.jit(lambda p, g, state: adamx.step(tx, p, g, state))
    for i in range(N):
        q = jnp.asarray(TABLE[i])
        state = tx.init(q)
        for g in (dense(k)[i] for k in range(STEPS)):
            q, state = step(q, g, state) if g.any() else (q, state)
        rows.append(q)
    np.testing.assert_allclose(p["table"], rows, rtol=1e-7)


def test_random_numbers_of_a_row_go_by_its_place():
    """In the first step the counts agree, and so do all bits."""
    plain = chain(adamx.adam(RATE), adamx.stochastic_rounding())
    p = {"table": jnp.asarray(TABLE, jnp.bfloat16)}
    ids = RowSparse(jnp.array([5, 2]), jnp.ones((2, WIDTH)), N)
    found = []
    for tx in (plain, sparse.per_row(plain, "table")):
        for g in (ids, ids.todense()):
            new, _ = adamx.step(tx, p, {"table": g}, tx.init(p))
            found.append(np.asarray(new["table"].astype(float))[[2, 5]])
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


# ---- steps made up -----------------------------------------------------------

CLOSED = {
    "decay, a rule": lambda: (
        chain(parts.Ema(0.8), parts.WeightDecay(0.3), parts.LearningRate(RATE)).rule
    ),
    "adam without momentum": lambda: adamx.adamw(RATE, b1=0.0, weight_decay=0.2),
    "clipped": lambda: chain(
        parts.ClipByGlobalNorm(1.0),
        adamx.sgd(jnp.asarray(RATE), momentum=0.9, nesterov=True),
    ),
}


@pytest.mark.parametrize("made", CLOSED.values(), ids=CLOSED)
def test_with_a_closed_form_it_is_the_dense_run(x64, made):
    """Parameters and slots, once all rows are made up, to rounding in float64."""
    tx = sparse.catch_up(made(), "table")
    want, other = trained(made(), True)
    p, state = trained(tx)
    assert np.abs(p["table"] - want["table"]).max() > 1e-3, "rows are behind"
    p, state = jax.jit(lambda p, s: sparse.made_up(tx, p, s))(p, state)
    np.testing.assert_allclose(p["table"], want["table"], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(p["bias"], want["bias"])
    for name in other.slots:
        got, slot = state.slots[name]["table"], other.slots[name]["table"]
        np.testing.assert_allclose(got, slot, rtol=1e-12, atol=1e-14)
    assert (state.row_until["table"] == STEPS).all()
    assert state.count == STEPS


def test_the_gradients_of_rows_made_up_are_those_of_the_dense_run(x64):
    """What is looked up after `made_up` is what the dense run has there."""
    tx = sparse.catch_up(adamx.sgd(RATE, momentum=0.9), "table")
    plain = adamx.sgd(RATE, momentum=0.9)
    ids = jnp.array([[1, 4], [0, 1], [6, 6], [4, 0], [1, 6]])

    def loss(p, i):
        return (jnp.sin(sparse.lookup(p["table"], i)) * p["bias"].sum()).sum()

    def step(carry, i):
        p, state, q, other = carry
        p, state = sparse.made_up(tx, p, state, {"bias": None, "table": i})
        _, g = sparse.value_and_grad(loss)(p, i)
        p, state = adamx.step(tx, p, g, state)
        return (p, state, *adamx.step(plain, q, jax.grad(loss)(q, i), other)), None

    p = start()
    given = (p, tx.init(p), p, plain.init(p))
    (p, state, want, _), _ = jax.jit(lambda: jax.lax.scan(step, given, ids))()
    got, _ = jax.jit(lambda p, s: sparse.made_up(tx, p, s))(p, state)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-12)


def test_only_moments_and_decay_of_adamw_are_made_up(x64):
    tx = sparse.catch_up(
        adamx.adamw(RATE, eps=EPS, weight_decay=0.3), "table", exact=False
    )
    p, _ = trained(tx)
    want = sparse_adam(RATE, decay=0.3)
    np.testing.assert_allclose(p["table"], want, rtol=1e-12)


def test_long_absence(x64):
    """A power of 10,000 steps, in which momentum and the parameter have died away."""
    tx = sparse.catch_up(CLOSED["decay, a rule"](), "table")
    p, state = trained(tx)
    late = state._replace(count=jnp.int32(STEPS + 10_000))
    p, state = sparse.made_up(tx, p, late)
    assert np.abs(p["table"]).max() < 1e-40
    assert not np.any(np.asarray(state.mu["table"]) > 1e-300)


NO_FORM = {
    "adam": (lambda: adamx.adam(0.1), True, "the step must be linear"),
    "lion": (lambda: adamx.lion(0.1), True, "Pass exact=False"),
    "corrected": (lambda: chain(parts.Debiased(parts.Ema(0.9)), parts.Negate()), True,
        "the step must be linear in what an element has"),
    "maximum": (lambda: adamx.amsgrad(0.1), False, "got `nu_max` of chain("),
    "deviation": (lambda: adamx.adabelief(0.1), False, "got `nu` of chain("),
    "first step": (lambda: adamx.sgd(0.1, momentum=0.9, dampening=0.1), True,
        "got `momentum` of chain(Momentum"),
    "schedule": (lambda: adamx.sgd(lambda _: 0.1), True, "got a schedule in chain("),
    "random": (lambda: chain(adamx.sgd(0.1), adamx.stochastic_rounding()), True,
        "which needs `random` in each step"),
    "extra": (lambda: adamx.sophia(0.1), True, "which needs `hessian` in each step"),
    "masters": (lambda: adamx.param_ema(adamx.sgd(0.1), 0.9), True, "catch_up:"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "exact", "says"), NO_FORM.values(), ids=NO_FORM)
def test_an_optimizer_without_a_closed_form_is_refused_by_name(made, exact, says):
    assert says in message(lambda: sparse.catch_up(made(), "table", exact=exact))


# ---- bad input ---------------------------------------------------------------

BOTH = (sparse.per_row, sparse.catch_up)
WRONG = {
    "no tables": (lambda f: f(adamx.sgd(0.1), None), "`tables` must say which leaves"),
    "no rule": (lambda f: f(3, "table"), "`tx` must be a rule, or a chain"),
    "tunable": (
        lambda f: f(adamx.tunable(adamx.sgd(0.1), "learning_rate"), "table"),
        "Apply it before adamx.tunable",
    ),
    "two sequences": (
        lambda f: f(adamx.muon(0.1), "table"),
        "must belong to one sequence of element-wise rules",
    ),
    "other leaf": (
        lambda f: (tx := f(adamx.sgd(0.1), "bias")).update(
            {"bias": None, "table": gradient(0)}, tx.init(start()), start()
        ),
        "`tables` must select every leaf with row-sparse gradients",
    ),
}


@pytest.mark.parametrize(("mistake", "says"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("function", BOTH, ids=lambda f: f.__name__)
def test_wrong_arguments(function, mistake, says):
    assert says in message(lambda: mistake(function))


def test_what_is_shared_must_follow_from_the_count():
    class Own(adamx.Rule):
        def slots(self):
            return {"total": adamx.Slot(shared=True)}

        def apply(self, update, slots, ctx):
            return update, slots

    text = message(lambda: sparse.per_row(Own(), "table"))
    assert "must follow from the count, got the slot `total`" in text


def test_made_up_wants_an_optimizer_that_catches_up():
    tx = adamx.sgd(0.1)
    text = message(lambda: sparse.made_up(tx, start(), tx.init(start())))
    assert "must be what adamx.sparse.catch_up returned" in text
