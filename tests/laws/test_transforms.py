"""Laws of transformation: jit, vmap, scan, cond change the program, not the result."""

import jax
import jax.numpy as jnp
import optax
import pytest

from tests.support.trees import (
    PARAM_DTYPES,
    assert_close,
    assert_equal,
    grads,
    params,
    signature,
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
    """bfloat16 parameters with float32 gradients too: the carry keeps its dtypes."""
    tx, p = case.tx, params(param_dtype)
    gradients = [grads(k) for k in range(STEPS)]
    carry, updates = jax.lax.scan(
        lambda c, g: step(tx, c, g), (p, tx.init(p)), stacked(gradients)
    )
    wanted = run(tx, p, gradients)
    assert signature(carry) == signature(wanted[0])
    # One place of bfloat16 may be lost where two float32 differ in their last one.
    assert_close((carry, updates), wanted)


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
    tx, seeds = case.tx, range(3)
    ps = [jax.tree.map(lambda x, s=s: x * (1 + s), params()) for s in seeds]
    gs = [[grads(10 * s + k) for k in range(STEPS)] for s in seeds]
    got = jax.vmap(lambda p, g: run(tx, p, g))(
        stacked(ps), [stacked(list(at)) for at in zip(*gs, strict=True)]
    )
    wanted = stacked([run(tx, p, g) for p, g in zip(ps, gs, strict=True)])
    assert_close(got, wanted, ulps=8 * case.optimizer.amplifies)


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
