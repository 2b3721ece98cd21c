"""Hyperparameters and slots read from states, in any nesting and any storage."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import groups, observe, storage, store
from tests.observation.test_composition import GRADS, LABELS, PARAMS
from tests.support.trees import assert_close

# ---- hyperparameters -----------------------------------------------------------------


def halved(count):
    return 0.5**count


def test_current_hyperparams():
    tx = adamx.adamw(halved, b1=0.8)
    state = tx.init(PARAMS)
    got = adamx.current_hyperparams(tx, state)
    assert {key: float(x) for key, x in got.items()} == pytest.approx(
        {"learning_rate": 1, "b1": 0.8, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-4}
    )
    state = state._replace(count=jnp.int32(2))
    read = jax.jit(functools.partial(adamx.current_hyperparams, tx))
    assert float(read(state)["learning_rate"]) == 0.25
    tuned = adamx.tunable(adamx.adam(0.1), "learning_rate")
    changed = adamx.replace_hyperparams(tuned.init(PARAMS), learning_rate=0.3)
    got = adamx.current_hyperparams(tuned, changed)
    assert float(got["learning_rate"]) == pytest.approx(0.3)


def test_current_hyperparams_by_group():
    tx = groups([("a", adamx.sgd(halved)), (..., adamx.adam(0.2))], clip=3.0)
    got = adamx.current_hyperparams(observe(tx), observe(tx).init(PARAMS))
    assert float(got["group1/learning_rate"]) == 1
    assert float(got["group2/learning_rate"]) == pytest.approx(0.2)
    assert float(got["clip/max_norm"]) == 3
    two = adamx.chain(adamx.parts.Clip(1.0), adamx.parts.Clip(2.0))
    got = adamx.current_hyperparams(two, two.init(PARAMS))
    assert [float(got[key]) for key in ("max_delta", "max_delta_2")] == [1, 2]


def tuned(rate):
    return adamx.tunable(adamx.sgd(rate), "learning_rate")


def test_hyperparams_read_through_partition_and_groups():
    tx = optax.partition({"large": tuned(0.1), "small": tuned(0.2)}, LABELS)
    state = tx.init(PARAMS)
    got = {key: float(x) for key, x in adamx.hyperparams(state).items()}
    wanted = {"large/learning_rate": 0.1, "small/learning_rate": 0.2}
    assert got == pytest.approx(wanted)
    state = adamx.replace_hyperparams(state, **{"small/learning_rate": 0.5})
    updates, _ = jax.jit(tx.update)(GRADS, state, PARAMS)
    assert_close(updates, {"a": -0.1 * GRADS["a"], "b": -0.5 * GRADS["b"]})
    tx = groups([("a", tuned(0.1)), (..., tuned(0.2))])
    state = adamx.replace_hyperparams(
        tx.init(PARAMS), **{"group2/learning_rate": 0.5, "learning_rate": 0.3}
    )
    updates, _ = jax.jit(tx.update)(GRADS, state, PARAMS)
    assert_close(updates, {"a": -0.3 * GRADS["a"], "b": -0.5 * GRADS["b"]})


# ---- slots ---------------------------------------------------------------------------


STORED = {
    "bfloat16": lambda: store(adamx.adam(0.1), nu=storage.Cast(jnp.bfloat16)),
    "bits": lambda: store(
        adamx.adam(0.1),
        mu=storage.Blockwise(bits=8),
        nu=storage.Blockwise(bits=4, min_size=0),
    ),
    "groups": lambda: groups([("a", adamx.adam(0.1)), (..., adamx.adamw(0.1))]),
    "partition": lambda: optax.partition(
        {"large": adamx.adam(0.1), "small": tuned_adam()}, LABELS
    ),
}


def tuned_adam():
    return adamx.tunable(adamx.adam(0.1), "b1")


@pytest.mark.parametrize("name", STORED)
def test_a_slot_is_float32_whatever_its_storage(name):
    """Small leaves are kept in float32: the first moment is exact."""
    tx = STORED[name]()

    @jax.jit
    def read(state):
        _, state = tx.update(GRADS, state, PARAMS)
        return [adamx.slots(state, slot, PARAMS) for slot in ("mu", "nu")]

    m, v = read(tx.init(PARAMS))
    assert_close(m, jax.tree.map(lambda g: 0.1 * g, GRADS))
    rough = {"bfloat16": 0.01, "bits": 0.3}.get(name, 1e-5)
    for x, g in zip(jax.tree.leaves(v), jax.tree.leaves(GRADS), strict=True):
        np.testing.assert_allclose(x, 0.001 * g * g, rtol=rough, atol=rough * 1e-5)
        assert x.dtype == jnp.float32


def test_a_leaf_without_the_slot_is_none():
    tx = groups([("a", adamx.adam(0.1)), (..., adamx.sgd(0.1))])
    v = adamx.slots(tx.init(PARAMS), "nu", PARAMS)
    assert v["a"].shape == (8, 4)
    assert v["b"] is None
