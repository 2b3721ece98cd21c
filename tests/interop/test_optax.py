"""Inside Optax: its wrappers around ours, its parts beside ours, its tree tools."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import chain
from adamx.engine.state import is_absent
from adamx.parts import LearningRate
from tests.support.counting import counted
from tests.support.trees import (
    assert_close,
    assert_equal,
    grads,
    params,
    signature,
    stacked,
)
from tests.table.cases import RATE, cases, few, sample

FIRST = pytest.mark.parametrize("case", sample())
COUNTERPARTS = pytest.mark.parametrize(
    "case", cases(where=lambda case: case.variant.in_optax is not None)
)
STEPS = 5


def run(tx, p=None, steps=STEPS, dtype="float32"):
    """Parameters and state after a few steps, and all updates."""
    p = params(dtype) if p is None else p

    @jax.jit
    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state, updates

    state, all_updates = jax.jit(tx.init)(p), []
    for k in range(steps):
        p, state, updates = step(p, state, grads(k, dtype))
        all_updates.append(updates)
    return p, state, stacked(all_updates)


@COUNTERPARTS
def test_the_counterpart_in_optax_with_its_keywords_gives_the_same_updates(case):
    """By the keywords of the table, to the rounding of Optax's own bias correction."""
    _, _, ours = run(case.tx)
    _, _, theirs = run(case.variant.in_optax(RATE))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        # 1 - b**t of float32 is 1.3e-5 off at b=.999: NUMERICS of Optax, not ours.
        np.testing.assert_allclose(a, b, rtol=3e-5, atol=1e-7)


@COUNTERPARTS
def test_the_counterpart_in_optax_agrees_to_rounding_in_64_bits(case, x64):
    _, _, ours = run(case.tx, dtype="float64", steps=20)
    _, _, theirs = run(case.variant.in_optax(RATE), dtype="float64", steps=20)
    assert_close(ours, theirs, ulps=1e-11 / np.finfo(np.float64).eps)


@FIRST
def test_in_an_optax_chain(case):
    """An optimizer is a link like any other, in front of and behind Optax's own."""
    tx = optax.chain(optax.clip(0.5), case.scale_by(), optax.scale(-RATE))
    clipped = chain(adamx.parts.Clip(0.5), case.scale_by(), LearningRate(RATE))
    assert_close(run(tx)[2], run(clipped)[2])


@FIRST
def test_each_part_alone_in_an_optax_chain(case):
    links = optax.chain(case.scale_by(), LearningRate(RATE))
    p, state, updates = run(links)
    assert_close(updates, run(chain(case.scale_by(), LearningRate(RATE)))[2])
    assert signature(state) == signature(links.init(p))


FOREIGN = {
    "first": (
        lambda tx: chain(optax.clip(0.5), tx),
        lambda tx: optax.chain(optax.clip(0.5), tx),
    ),
    "named": (
        lambda tx: chain(("history", optax.trace(0.9)), tx),
        lambda tx: optax.chain(optax.trace(0.9), tx),
    ),
    "last": (
        lambda tx: chain(tx, optax.ema(0.9)),
        lambda tx: optax.chain(tx, optax.ema(0.9)),
    ),
    "between": (
        lambda tx: chain(optax.clip(1.0), tx, optax.scale_by_trust_ratio()),
        lambda tx: optax.chain(optax.clip(1.0), tx, optax.scale_by_trust_ratio()),
    ),
}


@pytest.mark.parametrize("case", few(sample(), 3))
@pytest.mark.parametrize("where", FOREIGN)
def test_a_foreign_transformation_in_a_chain_of_ours(case, where):
    ours, theirs = (make(case.tx) for make in FOREIGN[where])
    p, state, updates = run(ours)
    assert_close(updates, run(theirs)[2])
    assert signature(state) == signature(ours.init(p))
    assert int(state.count) == STEPS
    if where == "named":
        assert set(state.inner) == {"history"}
        assert_equal(optax.tree.get(state, "trace"), run(theirs)[1][0].trace)


def test_a_foreign_part_gets_the_extra_arguments():
    """optax.scale_by_polyak wants `value`; the rules beside it want nothing."""
    tx = chain(adamx.scale_by_adam(), optax.scale_by_polyak(max_learning_rate=1.0))
    counterpart = optax.chain(
        adamx.scale_by_adam(), optax.scale_by_polyak(max_learning_rate=1.0)
    )
    p = params()
    for value in (0.1, 3.0):
        got, _ = tx.update(grads(), tx.init(p), p, value=value)
        want, _ = counterpart.update(grads(), counterpart.init(p), p, value=value)
        assert_close(got, want)


@FIRST
def test_unknown_extra_arguments_are_let_through(case):
    """A trainer hands all of them to every optimizer."""
    for tx in (case.tx, optax.chain(optax.clip(1.0), case.tx)):
        p = params()
        got, _ = tx.update(grads(), tx.init(p), p, value=1.0, grad_fn=None)
        want, _ = tx.update(grads(), tx.init(p), p)
        assert_equal(got, want)


MASK = {"dense": {"kernel": True}, "blocks": [False], "gain": True}


@FIRST
def test_masked(case):
    """The unmasked leaves pass through, and keep no state."""
    tx = optax.masked(case.tx, MASK)
    _, state, updates = run(tx)
    _, _, every = run(case.tx)
    for on, masked, full, g in zip(
        jax.tree.leaves(MASK),
        jax.tree.leaves(updates),
        jax.tree.leaves(every),
        jax.tree.leaves(stacked([grads(k) for k in range(STEPS)])),
        strict=True,
    ):
        np.testing.assert_allclose(masked, full if on else g, rtol=1e-6)
    kept = state.inner_state.slots
    for name in case.optimizer.slots:
        assert len(jax.tree.leaves(kept[name], is_leaf=is_absent)) == 2


@FIRST
def test_partition_with_an_empty_group(case):
    labels = {"dense": {"kernel": "a"}, "blocks": ["a"], "gain": "b"}
    tx = optax.partition(
        {"a": case.tx, "b": case.build(0.001), "c": case.build(0.1)}, labels
    )
    p, state, updates = run(tx)
    assert signature(state) == signature(tx.init(p))
    one, two = run(case.tx)[2], run(case.build(0.001))[2]
    for label, got, a, b in zip(
        *map(jax.tree.leaves, (labels, updates, one, two)), strict=True
    ):
        np.testing.assert_allclose(got, a if label == "a" else b, rtol=1e-6, atol=1e-9)


@FIRST
def test_inject_hyperparams(case):
    tx = optax.inject_hyperparams(case.optimizer.function)(
        learning_rate=RATE, **case.keywords
    )
    p, state, updates = run(tx)
    assert_close(updates, run(case.tx)[2], ulps=300)
    assert signature(state) == signature(tx.init(p))
    state.hyperparams["learning_rate"] = jnp.asarray(0.0)
    stopped, _ = tx.update(grads(), state, p)
    assert all(not np.any(u) for u in jax.tree.leaves(stopped))


@FIRST
def test_inject_hyperparams_changes_without_a_recompile(case):
    tx = optax.inject_hyperparams(case.optimizer.function)(learning_rate=RATE)
    p = params()
    step, state = jax.jit(tx.update), tx.init(p)
    _, state = step(grads(), state, p)
    state.hyperparams["learning_rate"] = jnp.float32(0.01)
    with counted() as count:
        step(grads(), state, p)
    assert (count.traces, count.compilations) == (0, 0)


@FIRST
def test_multi_steps(case):
    """Two half steps are one step on the mean gradient."""
    tx = optax.MultiSteps(case.tx, 2)
    p = params()
    state = tx.init(p)
    still, state = tx.update(grads(0), state, p)
    assert all(not np.any(u) for u in jax.tree.leaves(still))
    got, _ = tx.update(grads(1), state, p)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, grads(0), grads(1))
    want, _ = case.tx.update(mean, case.tx.init(p), p)
    assert_close(got, want, ulps=64)


@FIRST
def test_apply_if_finite(case):
    tx = optax.apply_if_finite(case.tx, 3)
    p = params()
    _, state = tx.update(grads(0), tx.init(p), p)
    bad = jax.tree.map(lambda x: x * np.nan, grads(1))
    skipped, after = tx.update(bad, state, p)
    assert all(not np.any(u) for u in jax.tree.leaves(skipped))
    assert_equal(after.inner_state, state.inner_state)
    _, went_on = tx.update(grads(1), after, p)
    _, want = case.tx.update(grads(1), state.inner_state, p)
    assert_close(went_on.inner_state, want)


@FIRST
def test_lookahead(case):
    tx = optax.lookahead(case.tx, sync_period=2, slow_step_size=0.5)
    fast = params()
    both = optax.LookaheadParams.init_synced(fast)
    state = tx.init(both)
    for k in range(2):
        updates, state = tx.update(grads(k), state, both)
        both = optax.apply_updates(both, updates)
    p, inner = fast, case.tx.init(fast)
    for k in range(2):
        updates, inner = case.tx.update(grads(k), inner, p)
        p = optax.apply_updates(p, updates)
    half_way = jax.tree.map(lambda slow, fast: slow + 0.5 * (fast - slow), params(), p)
    assert_close(both.slow, half_way)


@FIRST
def test_tree_map_params(case):
    """It finds exactly the leaves of the state that are like the parameters."""
    tx, p = case.tx, params()
    state = tx.init(p)
    seen = optax.tree_map_params(
        tx, lambda leaf: "slot", state, transform_non_params=lambda leaf: "other"
    )
    assert seen.count == "other"
    for slot in seen.slots.values():
        assert set(jax.tree.leaves(slot)) == {"slot"}
    moved = optax.tree_map_params(
        tx, lambda leaf, param: leaf + param, state, p, is_leaf=None
    )
    for name in case.optimizer.slots:
        assert_close(
            moved.slots[name], jax.tree.map(jnp.add, state.slots[name], p), ulps=0
        )


@pytest.mark.parametrize(
    "wrap", [optax.chain, chain, lambda tx: optax.masked(tx, True)]
)
def test_tree_get_and_set(wrap):
    tx, p = wrap(adamx.adam(RATE)), params()
    _, state = tx.update(grads(), tx.init(p), p)
    assert int(optax.tree.get(state, "count")) == 1
    assert jax.tree.structure(optax.tree.get(state, "mu")) == jax.tree.structure(p)
    state = optax.tree.set(state, count=jnp.asarray(7, jnp.int32), nu=params())
    assert int(optax.tree.get(state, "count")) == 7
    assert_equal(optax.tree.get(state, "nu"), params())
    _, state = tx.update(grads(), state, p)
    assert int(optax.tree.get(state, "count")) == 8


def test_schedules_of_optax_and_their_counting():
    """A schedule sees the steps already taken, from 0, as in Optax."""
    warmup = optax.linear_schedule(0.0, 1.0, 4)
    _, _, ours = run(chain(LearningRate(warmup)))
    _, _, theirs = run(optax.scale_by_learning_rate(warmup))
    assert_close(ours, theirs, ulps=1)
    assert not np.any(ours["gain"][0])


def test_weights_by_a_wrapper_that_passes_extra_arguments():
    tx = optax.with_extra_args_support(adamx.adam(RATE))
    assert tx is adamx.adam(RATE) or isinstance(
        tx, optax.GradientTransformationExtraArgs
    )
    init, update = adamx.adam(RATE)
    p = params()
    got, _ = update(grads(), init(p), p)
    want, _ = tx.update(grads(), tx.init(p), p)
    assert_equal(got, want)


def test_schedule_free_of_optax_follows_its_counterpart():
    ours = optax.contrib.schedule_free(adamx.adam(RATE, b1=0.0), RATE, b1=0.9)
    theirs = optax.contrib.schedule_free(optax.adam(RATE, b1=0.0), RATE, b1=0.9)
    for a, b in zip(
        *(jax.tree.leaves(run(tx)[2]) for tx in (ours, theirs)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
