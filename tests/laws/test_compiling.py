"""Laws of compiling: a transform is traced once, whatever changes that is only data."""

import gc
import inspect
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from tests.support.counting import counted
from tests.support.trees import (
    GRAD_DTYPES,
    PARAM_DTYPES,
    assert_close,
    grads,
    params,
)
from tests.table.cases import BASIC, PAIRS, Case, grid, kinds, law_cases

EVERY = pytest.mark.parametrize("case", law_cases())
FIRST = pytest.mark.parametrize("case", kinds())


def as_arrays(case: Case, which=0):
    """The optimizer with every hyperparameter, the rate too, given as an array."""
    names = ("learning_rate", *case.hypers)
    return case.build(**{n: jnp.asarray(PAIRS[n][which]) for n in names})


@pytest.mark.parametrize(("case", "param_dtype"), grid(PARAM_DTYPES))
def test_the_second_step_compiles_nothing(case, param_dtype):
    """With gradients of both dtypes for the basic ones: the state is the same."""
    tx = case.tx

    @jax.jit
    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    for dtype in GRAD_DTYPES[:2] if case.optimizer in BASIC else ("float32",):
        p = params(param_dtype)
        p, state = step(p, tx.init(p), grads(0, dtype))
        with counted() as count:
            step(p, state, grads(1, dtype))
        assert (count.traces, count.compilations) == (0, 0), dtype


@FIRST
def test_an_eager_update_is_one_compiled_program(case):
    tx, p, g = case.build(0.0419), params(), grads()
    state = tx.init(p)
    with counted() as first:
        _, state = tx.update(g, state, p)
    assert first.compilations <= 1  # none if a test before had an equal form
    with counted() as second:
        tx.update(g, state, p)
    assert (second.traces, second.compilations) == (0, 0)


def test_eager_calls_of_one_transform_in_32_and_in_64_bits():
    """The first inside `lax.cond`, where the count is known and its program traced."""

    def step(tx, dtype):
        p = {"matrix": jnp.ones((8, 6), dtype)}
        return tx.update(p, tx.init(p), p)[0]["matrix"]

    step(optax.apply_if_finite(adamx.adafactor(0.05, 0), 2), jnp.float32)
    with jax.enable_x64(True):
        wide = step(adamx.adafactor(0.05, 0), jnp.float64)
        jitted = jax.jit(step, static_argnums=(0, 1))
        np.testing.assert_allclose(
            wide, jitted(adamx.adafactor(0.05, 0), jnp.float64), rtol=1e-15
        )


@FIRST
def test_jit_of_update_on_equal_transforms_traces_once(case):
    p, g = params(), grads()
    state = case.build().init(p)
    jax.jit(case.build().update)(g, state, p)
    with counted() as count:
        jax.jit(case.build().update)(g, state, p)
        jax.jit(case.build().update)(g, state, p)
    assert (count.traces, count.compilations) == (0, 0)


@FIRST
def test_jit_of_update_on_equal_transforms_with_arrays_traces_once(case):
    p, g = params(), grads()
    state = as_arrays(case).init(p)
    kept = as_arrays(case)
    wanted = jax.jit(kept.update)(g, state, p)
    with counted() as count:
        got = jax.jit(as_arrays(case).update)(g, state, p)
    assert (count.traces, count.compilations) == (0, 0)
    assert_close(got, wanted, ulps=0)
    with counted() as count:
        other = jax.jit(as_arrays(case, 1).update)(g, state, p)
    assert count.traces > 0, "other values are another transform"
    assert not jnp.array_equal(got[0]["gain"], other[0]["gain"])


def test_the_body_of_an_equal_transform_runs_once():
    """The same law, seen from inside: a schedule is called only while tracing."""
    calls = []

    def rate(count):
        calls.append(count)
        return 0.1

    p, g = params(), grads()
    state = adamx.adam(rate).init(p)
    calls.clear()
    for _ in range(3):
        jax.jit(adamx.adam(rate).update)(g, state, p)
    assert len(calls) == 1


@EVERY
def test_equal_transforms_share_their_functions(case):
    one, two = case.build(), case.build()
    assert one.init is two.init
    assert one.update is two.update
    assert one.update is one.update
    other = case.build(learning_rate=0.123)
    assert other.update is not one.update


def test_the_functions_are_not_kept_for_ever():
    """All in one collection, which takes long where much has been compiled."""
    refs = {}
    for case in (param.values[0] for param in kinds()):
        for how in ("constants", "arrays"):
            arrays = how == "arrays"
            tx = as_arrays(case) if arrays else case.build(learning_rate=0.0371)
            tx.update(grads(), tx.init(params()), params())
            jax.block_until_ready(
                jax.jit(tx.update)(grads(), tx.init(params()), params())
            )
            refs[f"{case} of {how}"] = weakref.ref(tx.init), weakref.ref(tx.update)
            del tx
    gc.collect()
    kept = [name for name, both in refs.items() if any(r() is not None for r in both)]
    assert kept == []


@FIRST
def test_arrays_of_a_transform_that_is_an_argument_change_without_a_recompile(case):
    p, g = params(), grads()
    step = jax.jit(lambda tx, g, state, p: tx.update(g, state, p))
    state = as_arrays(case).init(p)
    one, _ = step(as_arrays(case), g, state, p)
    changed = as_arrays(case, 1)
    with counted() as count:
        two, _ = step(changed, g, state, p)
    assert (count.traces, count.compilations) == (0, 0)
    wanted, _ = changed.update(g, state, p)
    assert_close(two, wanted)
    assert not jnp.array_equal(one["gain"], two["gain"])


@FIRST
def test_tunable_hyperparameters_change_without_a_recompile(case):
    names = ("learning_rate", *(n for n in case.hypers if n in case.keywords))
    names += tuple(n for n in case.hypers if n not in names and not adds(case, n))
    tx = adamx.tunable(case.build(), *names)
    p, g = params(), grads()
    state = tx.init(p)
    assert set(adamx.hyperparams(state)) >= set(names)
    step = jax.jit(tx.update)
    _, state = step(g, state, p)
    new = {n: PAIRS[n][1] for n in names}
    changed = adamx.replace_hyperparams(state, **new)
    with counted() as count:
        got, after = step(g, changed, p)
    assert (count.traces, count.compilations) == (0, 0)
    read = adamx.hyperparams(after)
    assert {n: float(read[n]) for n in names} == pytest.approx(new, rel=1e-6)
    untouched, _ = step(g, state, p)
    assert not jnp.array_equal(got["gain"], untouched["gain"])


def adds(case, name):
    """At 0 or None, its default, it may build no part, so nothing is to tune."""
    known = inspect.signature(case.optimizer.function).parameters
    return name in known and known[name].default in (0.0, None)
