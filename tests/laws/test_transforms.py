"""Laws of transformation: jit, vmap, scan, cond change the program, not the result."""

import jax
import jax.numpy as jnp
import optax
import pytest

from adamx.testing.laws import scan_is_the_loop, vmap_is_the_loop
from tests.support.laws import assert_law
from tests.support.trees import (
    PARAM_DTYPES,
    assert_close,
    assert_equal,
    grads,
    params,
    stacked,
)
from tests.table.cases import PAIRS, few, grid, kinds, law_cases

EVERY = pytest.mark.parametrize("case", law_cases())
FIRST = pytest.mark.parametrize("case", kinds())
STEPS = 4


def step(tx, carry, g):
    p, state = carry
    updates, state = tx.update(g, state, p)
    return (optax.apply_updates(p, updates), state), updates


def run(tx, p, gradients):
    carry, all_updates = (p, tx.init(p)), []
    for g in gradients:
        carry, updates = step(tx, carry, g)
        all_updates.append(updates)
    return carry, stacked(all_updates)


@EVERY
def test_jit_changes_nothing(case):
    """Traced inside a larger program, alone, and operation by operation."""
    tx, p, gradients = case.tx, params(), [grads(k) for k in range(2)]
    eager, ulps = run(tx, p, gradients), 8 * case.optimizer.amplifies
    assert_close(jax.jit(lambda p, gs: run(tx, p, gs))(p, gradients), eager, ulps)
    if case.first:
        with jax.disable_jit():
            assert_close(run(tx, p, gradients), eager, ulps)


@pytest.mark.parametrize(("case", "param_dtype"), grid(PARAM_DTYPES))
def test_scan_is_the_loop(case, param_dtype):
    """bfloat16 parameters with float32 gradients too: the carry keeps its dtypes.

    One place of bfloat16 may be lost where two float32 differ in their last one.
    """
    gradients = [grads(k) for k in range(STEPS)]
    assert_law(
        scan_is_the_loop, case.tx, params(param_dtype), gradients, ulps=8, jit=None
    )


@FIRST
def test_cond_takes_a_step_or_leaves_it(case):
    tx, p = case.tx, params()

    @jax.jit
    def maybe(take, carry, g):
        return jax.lax.cond(take, lambda c: step(tx, c, g)[0], lambda c: c, carry)

    start = (p, tx.init(p))
    assert_equal(maybe(False, start, grads()), start)
    assert_close(maybe(True, start, grads()), step(tx, start, grads())[0])


@FIRST
def test_vmap_over_seeds_is_the_loop(case):
    ulps, gradients = 8 * case.optimizer.amplifies, [grads(k) for k in range(STEPS)]
    assert_law(vmap_is_the_loop, case.tx, params(), gradients, ulps, jit=None)


@FIRST
@pytest.mark.parametrize("how", few(["the rate", "all"], 1))
def test_vmap_over_the_hyperparameters_of_a_rule_is_the_loop(case, how):
    """The transform itself is the mapped argument: it is a pytree."""
    names = ("learning_rate", *case.hypers)
    p, gradients = params(), [grads(k) for k in range(STEPS)]
    varied = names if how == "all" else names[:1]
    txs = [case.build(**{n: jnp.asarray(PAIRS[n][i]) for n in varied}) for i in (0, 1)]
    got = jax.vmap(lambda tx: run(tx, p, gradients))(stacked(txs))
    wanted = stacked([run(tx, p, gradients) for tx in txs])
    assert_close(got, wanted, ulps=16)


@FIRST
def test_init_under_vmap_and_jit_is_init(case):
    tx, p = case.tx, params()
    assert_equal(jax.jit(tx.init)(p), tx.init(p))
    many = stacked([p, p, p])
    got = jax.vmap(tx.init)(many)
    assert_equal(got, stacked([tx.init(p)] * 3))
