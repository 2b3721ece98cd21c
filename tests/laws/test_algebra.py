"""Laws of arithmetic: symmetry, scale, exact zeros, derivatives."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.testing.laws import derivative_at_zero_is_finite
from tests.support.laws import assert_law
from tests.support.trees import GRAD_DTYPES, PARAM_DTYPES, assert_equal, grads, params
from tests.table.cases import PAIRS, Case, cases, grid, kinds, law_cases, sampled

EVERY = pytest.mark.parametrize("case", law_cases())
FIRST = pytest.mark.parametrize("case", cases(first_only=True))
DIVIDERS = cases(first_only=True, where=lambda case: "eps" in case.optimizer.hypers)
DIVIDING = pytest.mark.parametrize("case", DIVIDERS)
# An eps meets the gradient in float32, whatever it came as: one compilation for each
# kind of eps is spent on every optimizer in float32 and on a sample in the others.
DIVIDED = [
    pytest.param(*row.values, dtype, id=f"{row.id}-{dtype}")
    for row in DIVIDERS
    for dtype in GRAD_DTYPES
    if dtype == "float32" or row.values[0].optimizer in sampled()
]
EPS_KINDS = {
    "number": 1e-8,
    "zero": 0.0,
    "add": adamx.parts.EpsOutsideRoot(1e-8),
    "add zero": adamx.parts.EpsOutsideRoot(0.0),
    "hat": adamx.parts.EpsBeforeCorrection(1e-8),
    "hat zero": adamx.parts.EpsBeforeCorrection(0.0),
    "root": adamx.parts.EpsInsideRoot(1e-8),
    "root zero": adamx.parts.EpsInsideRoot(0.0),
    "root both": adamx.parts.EpsInsideRoot(1e-16, 1e-8),
    "max": adamx.parts.EpsAsFloor(1e-8),
    "max zero": adamx.parts.EpsAsFloor(0.0),
    "array": jnp.asarray(1e-8),
    "array zero": jnp.asarray(0.0),
}


def trajectory(tx, p, gradients, follow=False):
    """All updates over the steps; `follow` applies them to the parameters."""
    state, all_updates = tx.init(p), []
    for g in gradients:
        updates, state = tx.update(g, state, p)
        if follow:
            p = optax.apply_updates(p, updates)
        all_updates.append(updates)
    return all_updates


def negated(tree):
    return jax.tree.map(jnp.negative, tree)


@pytest.mark.parametrize(("case", "dtype"), grid(PARAM_DTYPES))
def test_the_negative_gradient_gives_the_negative_update(case, dtype):
    """With the parameters reflected too, since decay reads them."""
    tx = case.tx
    steps = [grads(k, dtype) for k in range(3)]
    ahead = trajectory(tx, params(dtype), steps, follow=True)
    back = trajectory(
        tx, negated(params(dtype)), [negated(g) for g in steps], follow=True
    )
    for one, other in zip(ahead, back, strict=True):
        assert_equal(negated(other), one)


def adaptive(case: Case):
    known = inspect.signature(case.optimizer.function).parameters
    start: Any = known.get("initial_accumulator")
    start = case.keywords.get("initial_accumulator", start.default if start else 0.0)
    return case.optimizer.scale_free_from is not None and start == 0.0


@pytest.mark.parametrize(
    "case",
    law_cases(adaptive),
)
def test_scale_invariance_without_eps(case):
    """A power of two is exact in float32, so the invariance is bit for bit."""
    tx, p, first = case.scale_by(eps=0.0), params(), case.optimizer.scale_free_from
    steps = [grads(k) for k in range(first + 3)]
    for factor in (2.0**-40, 2.0**12):
        scaled = [jax.tree.map(lambda x, c=factor: x * c, g) for g in steps]
        pairs = zip(trajectory(tx, p, steps), trajectory(tx, p, scaled), strict=True)
        for one, other in list(pairs)[first - 1 :]:
            assert_equal(other, one)


@pytest.mark.parametrize("case", cases(first_only=True, where=adaptive))
def test_scale_invariance_as_eps_vanishes(case):
    """u(c g) - u(g) shrinks in proportion to eps."""
    first, p = case.optimizer.scale_free_from, params()
    steps = [grads(k) for k in range(first + 1)]
    tripled = [jax.tree.map(lambda x: 3 * x, g) for g in steps]
    gaps = []
    for eps in (1e-1, 1e-3, 1e-5):
        tx = case.scale_by(eps=eps)
        one, other = (trajectory(tx, p, s)[-1] for s in (steps, tripled))
        one, other = (np.asarray(t["dense"]["kernel"]) for t in (one, other))
        gaps.append(np.max(np.abs(one - other)) / np.max(np.abs(one)))
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2]


def all_zero(tree):
    return all(not np.any(np.asarray(x, np.float64)) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(("case", "dtype"), grid(GRAD_DTYPES))
def test_a_zero_gradient_from_a_zero_state_gives_exactly_zero(case, dtype):
    tx, p = case.scale_by(), params(dtype)
    zero = jax.tree.map(jnp.zeros_like, p)
    for updates in trajectory(tx, p, [zero] * 3):
        assert all_zero(updates)


@pytest.mark.parametrize(("case", "dtype"), DIVIDED)
def test_zero_over_zero_is_zero_in_every_kind_of_eps(case, dtype):
    @jax.jit
    def of_each_kind(zero):
        return {
            name: trajectory(case.scale_by(eps=kind), zero, [zero] * 2)
            for name, kind in EPS_KINDS.items()
        }

    for name, updates in of_each_kind({"w": jnp.zeros((3,), dtype)}).items():
        assert all_zero(updates), name


def unrolled(case: Case, p, eps):
    """A loss of three unrolled updates of gradients that are zero wherever `p` is."""
    tx = case.build(0.1, eps=eps)
    state = tx.init(p)
    for _ in range(3):
        updates, state = tx.update(p, state, p)
        p = optax.apply_updates(p, updates)
    return sum(jnp.sum(x + x**2) for x in jax.tree.leaves(p))


@EVERY
def test_the_derivative_through_updates_at_a_zero_gradient_is_finite(case):
    zero = {"w": jnp.zeros((3,))}
    assert_law(derivative_at_zero_is_finite, case.tx, zero, [zero] * 3)


@pytest.mark.parametrize(
    "case", [param for param in kinds() if "eps" in param.values[0].optimizer.hypers]
)
def test_the_derivative_at_zero_is_finite_in_every_kind_of_eps(case):
    @jax.jit
    def of_each_kind(p):
        return {
            name: jax.grad(lambda p, kind=kind: unrolled(case, p, kind))(p)
            for name, kind in EPS_KINDS.items()
        }

    for name, slope in of_each_kind({"w": jnp.zeros((3,))}).items():
        assert np.all(np.isfinite(slope["w"])), name


@FIRST
def test_the_derivative_by_each_hyperparameter_is_the_difference_quotient(case, x64):
    """Meta-learning differentiates updates: by rate, decays, eps, weight decay."""
    names = [n for n in ("learning_rate", *case.hypers) if n != "threshold"]
    p, *steps = (jnp.sin(jnp.arange(1.0, 5.0) * (1 + 2 * k)) for k in range(5))

    def loss(values):
        moved = trajectory(case.build(**values), p, steps, follow=True)
        return jnp.sum(jnp.cos(7 * p) * sum(moved))

    at = {n: jnp.asarray(PAIRS[n][1], "float64") for n in names}
    slopes = jax.jit(jax.grad(loss))(at)
    loss = jax.jit(loss)
    for name in names:
        h = 1e-5 * float(at[name])
        up, down = ({**at, name: at[name] + s * h} for s in (1, -1))
        quotient = (loss(up) - loss(down)) / (2 * h)
        np.testing.assert_allclose(slopes[name], quotient, rtol=1e-6, err_msg=name)


@FIRST
def test_the_derivative_by_an_array_hyperparameter_at_zero_gradients_is_finite(case):
    names = ("learning_rate", *case.hypers)
    zero = jnp.zeros((3,))

    def loss(values):
        return jnp.sum(sum(trajectory(case.build(**values), zero + 1, [zero] * 2)))

    values = {n: jnp.asarray(PAIRS[n][0]) for n in names}
    for name, slope in jax.jit(jax.grad(loss))(values).items():
        assert np.isfinite(slope), name
