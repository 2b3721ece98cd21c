"""Inside the trainers of Flax and Equinox, and their ways of naming parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import adamx
from tests.support.counting import counted
from tests.support.trees import assert_close, assert_equal, grads, params, signature
from tests.table.cases import PAIRS, sample

FIRST = pytest.mark.parametrize("case", sample())
X = jnp.asarray(np.random.default_rng(5).standard_normal((16, 3)), jnp.float32)
Y = jnp.sum(jnp.sin(X), axis=1, keepdims=True)


def tunable(case):
    names = ("learning_rate", *(n for n in case.hypers if n in ("b1", "b2", "eps")))
    return names, adamx.tunable(case.build(), *names)


@FIRST
def test_flax_train_state(case):
    tx = case.tx
    trainer = TrainState.create(apply_fn=None, params=params(), tx=tx)
    step = jax.jit(lambda trainer, g: trainer.apply_gradients(grads=g))
    after = step(trainer, grads(0))
    with counted() as count:
        after = step(after, grads(1))
    assert (count.traces, count.compilations) == (0, 0)
    p, state = params(), tx.init(params())
    for k in range(2):
        updates, state = tx.update(grads(k), state, p)
        p = optax.apply_updates(p, updates)
    assert_close((after.params, after.opt_state), (p, state))


@FIRST
def test_flax_train_state_of_an_equal_transform_is_not_traced_again(case):
    """`tx` is a static field, so equality is what the cache is asked for."""
    step = jax.jit(lambda trainer, g: trainer.apply_gradients(grads=g))
    for k in range(2):
        trainer = TrainState.create(apply_fn=None, params=params(), tx=case.build())
        with counted() as count:
            step(trainer, grads(k))
    assert (count.traces, count.compilations) == (0, 0)


@FIRST
def test_flax_train_state_with_tunable_hyperparameters(case):
    names, tx = tunable(case)
    trainer = TrainState.create(apply_fn=None, params=params(), tx=tx)
    step = jax.jit(lambda trainer, g: trainer.apply_gradients(grads=g))
    trainer = step(trainer, grads())
    changed = trainer.replace(
        opt_state=adamx.replace_hyperparams(
            trainer.opt_state, **{n: PAIRS[n][1] for n in names}
        )
    )
    one = step(trainer, grads(1))
    with counted() as count:
        two = step(changed, grads(1))
    assert (count.traces, count.compilations) == (0, 0)
    assert not jnp.array_equal(one.params["gain"], two.params["gain"])


class Net(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(3, 4, rngs=rngs)
        self.out = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        return self.out(jnp.tanh(self.hidden(x)))


def fitted(tx, steps=3, between=lambda optimizer: None):
    model = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        g = nnx.grad(lambda model: jnp.mean((model(X) - Y) ** 2))(model)
        optimizer.update(model, g)

    for _ in range(steps):
        step(model, optimizer)
        between(optimizer)
    return jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param))), optimizer


@FIRST
def test_nnx_optimizer(case):
    got, _ = fitted(case.tx)
    start, _ = fitted(case.tx, steps=0)
    assert any(np.any(a != b) for a, b in zip(got, start, strict=True))
    if case.variant.in_optax is None:
        return
    want, _ = fitted(case.variant.in_optax(0.05))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@FIRST
def test_nnx_optimizer_with_tunable_hyperparameters(case):
    """Read and changed through the optimizer's own state; no recompile."""
    _, tx = tunable(case)
    model = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    g = nnx.grad(lambda model: jnp.mean((model(X) - Y) ** 2))(model)

    @nnx.jit
    def step(model, optimizer, g):
        optimizer.update(model, g)

    step(model, optimizer, g)
    read = adamx.hyperparams(optimizer.opt_state)
    assert float(read["learning_rate"]) == pytest.approx(0.05)
    optimizer.opt_state = adamx.replace_hyperparams(
        optimizer.opt_state, learning_rate=0.0
    )
    before = [np.asarray(x) for x in jax.tree.leaves(nnx.state(model, nnx.Param))]
    with counted() as count:
        step(model, optimizer, g)
    assert count.compilations == 0
    after = [np.asarray(x) for x in jax.tree.leaves(nnx.state(model, nnx.Param))]
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a, b)


@FIRST
def test_nnx_trees_are_trees(case):
    """The state of an nnx module goes straight into `init`."""
    _, p = nnx.split(Net(nnx.Rngs(0)))
    tx = case.tx
    state = tx.init(p)
    g = jax.tree.map(jnp.ones_like, p)
    updates, after = tx.update(g, state, p)
    assert jax.tree.structure(updates) == jax.tree.structure(p)
    assert signature(after) == signature(state)


def test_masks_see_the_paths_of_flax():
    _, p = nnx.split(Net(nnx.Rngs(0)))
    tx = adamx.parts.WeightDecay(1.0, mask=r"out.*kernel")
    zero = jax.tree.map(jnp.zeros_like, p)
    updates, _ = tx.update(zero, tx.init(p), p)
    moved = {
        jax.tree_util.keystr(path): bool(np.any(u))
        for path, u in jax.tree_util.tree_leaves_with_path(updates)
    }
    assert sum(moved.values()) == 1
    assert all(("out" in k and "kernel" in k) == v for k, v in moved.items())


def equinox_loss(model):
    return jnp.mean((jax.vmap(model)(X) - Y) ** 2)


@FIRST
def test_an_equinox_model_filtered(case):
    model = eqx.nn.MLP(3, 1, 4, 1, key=jax.random.key(0))
    tx = case.tx
    state = tx.init(eqx.filter(model, eqx.is_array))

    @eqx.filter_jit
    def step(model, state):
        g = eqx.filter_grad(equinox_loss)(model)
        updates, state = tx.update(g, state, eqx.filter(model, eqx.is_array))
        return eqx.apply_updates(model, updates), state

    after, new_state = step(model, state)
    assert signature(eqx.filter(new_state, eqx.is_array)) == signature(
        eqx.filter(state, eqx.is_array)
    )
    with counted() as count:
        last, _ = step(after, new_state)
    assert (count.traces, count.compilations) == (0, 0)
    assert not jnp.array_equal(last.layers[0].weight, model.layers[0].weight)
    if case.variant.in_optax is not None:
        counterpart = case.variant.in_optax(0.05)
        g = eqx.filter_grad(equinox_loss)(model)
        p = eqx.filter(model, eqx.is_array)
        want, _ = counterpart.update(g, counterpart.init(p), p)
        got, _ = tx.update(g, tx.init(p), p)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=3e-5, atol=1e-7)


@FIRST
def test_an_equinox_layer_unfiltered(case):
    """eqx.nn.Linear has array leaves only: the model itself is the tree."""
    model = eqx.nn.Linear(3, 2, key=jax.random.key(1))
    tx = case.tx
    state = tx.init(model)
    g = jax.tree.map(jnp.ones_like, model)
    updates, after = tx.update(g, state, model)
    assert isinstance(updates, eqx.nn.Linear)
    assert signature(after) == signature(state)
    moved = eqx.apply_updates(model, updates)
    assert not jnp.array_equal(moved.weight, model.weight)


@FIRST
def test_frozen_equinox_leaves_have_no_gradient(case):
    """`filter_grad` gives None for what is frozen, while `params` holds the array."""
    model = eqx.nn.Linear(3, 2, key=jax.random.key(1))
    frozen = eqx.tree_at(lambda m: m.bias, model, None, is_leaf=lambda x: x is None)
    g = jax.tree.map(jnp.ones_like, frozen)
    assert g.bias is None
    tx = case.tx
    state = tx.init(model)
    updates, after = tx.update(g, state, model)
    assert updates.bias is None
    assert signature(after) == signature(state)
    alone, _ = tx.update(g, tx.init(frozen), frozen)
    assert_equal(updates.weight, alone.weight)


@FIRST
def test_a_transform_is_a_leaf_of_an_equinox_module(case):
    """Kept in a module, filtered and jitted as any other field."""

    class Trainer(eqx.Module):
        tx: optax.GradientTransformation
        state: tuple

    tx = case.build(jnp.float32(0.1))
    trainer = Trainer(tx, tx.init(params()))

    @eqx.filter_jit
    def step(trainer, g):
        return trainer.tx.update(g, trainer.state, params())

    assert_close(step(trainer, grads()), tx.update(grads(), trainer.state, params()))
