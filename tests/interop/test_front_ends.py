"""Inside the front ends that take an Optax transformation: three steps beside Optax's.

Flax (linen and nnx), Equinox, Haiku, Optimistix and NumPyro, each with its own loop.
Every one of them trains with an optimizer of adamx and with the same one of Optax, and
must end at the same parameters, which must have moved.

Left out: Keras, whose trainer takes only optimizers of its own, and whole training
stacks such as MaxText and Levanter, which are not light.
"""

import functools

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import optax
import optimistix
import pytest
from flax import linen, nnx
from flax.training.train_state import TrainState
from numpyro import distributions
from numpyro.infer import SVI, Trace_ELBO

from tests.table.cases import OPTIMIZERS, Case

RATE = 0.05
STEPS = 3
_NAMED = {row.name: row for row in OPTIMIZERS}
CASES = [
    pytest.param(Case(_NAMED[name], variant), id=f"{name} {label}".strip())
    for name, label in (
        ("adam", ""),
        ("adamw", "torch"),
        ("sgd", "momentum"),
        ("rmsprop", ""),
        ("lion", ""),
        ("adagrad", ""),
    )
    for variant in _NAMED[name].variants
    if variant.label == label
]
X = jnp.asarray(np.random.default_rng(5).standard_normal((16, 3)), jnp.float32)
Y = jnp.sum(jnp.sin(X), axis=1, keepdims=True)


def error(predicted):
    return jnp.mean((predicted - Y) ** 2)


def linen_train_state(tx, steps):
    model = linen.Dense(1)
    trainer = TrainState.create(
        apply_fn=model.apply, params=model.init(jax.random.key(0), X), tx=tx
    )

    @jax.jit
    def step(trainer):
        g = jax.grad(lambda p: error(trainer.apply_fn(p, X)))(trainer.params)
        return trainer.apply_gradients(grads=g)

    for _ in range(steps):
        trainer = step(trainer)
    return trainer.params


def nnx_optimizer(tx, steps):
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda model: error(model(X)))(model))

    for _ in range(steps):
        step(model, optimizer)
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def equinox_filtered(tx, steps):
    model = eqx.nn.Linear(3, 1, key=jax.random.key(1))
    state = tx.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model, state):
        g = eqx.filter_grad(lambda model: error(jax.vmap(model)(X)))(model)
        arrays = eqx.filter(model, eqx.is_inexact_array)
        updates, state = tx.update(g, state, arrays)
        return eqx.apply_updates(model, updates), state

    for _ in range(steps):
        model, state = step(model, state)
    return eqx.filter(model, eqx.is_inexact_array)


def haiku_transformed(tx, steps):
    model = hk.without_apply_rng(hk.transform(lambda x: hk.Linear(1)(x)))
    params = model.init(jax.random.key(2), X)
    state = tx.init(params)

    @jax.jit
    def step(params, state):
        g = jax.grad(lambda p: error(model.apply(p, X)))(params)
        updates, state = tx.update(g, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params


def optimistix_minimiser(tx, steps):
    start = {"w": jnp.ones((3, 1)), "b": jnp.zeros(1)}
    if steps == 0:
        return start
    solver = optimistix.OptaxMinimiser(tx, rtol=1e-9, atol=1e-9)
    found = optimistix.minimise(
        lambda p, _: error(X @ p["w"] + p["b"]),
        solver,
        start,
        max_steps=steps,
        throw=False,  # it stops at `max_steps`
    )
    return found.value


def numpyro_svi(tx, steps):
    def model():
        w = numpyro.sample("w", distributions.Normal(jnp.zeros(3), 1.0).to_event(1))
        numpyro.sample("y", distributions.Normal(X @ w, 1.0), obs=Y[:, 0])

    def guide():
        mean = numpyro.param("mean", jnp.ones(3))
        numpyro.sample("w", distributions.Delta(mean).to_event(1))

    optimizer = numpyro.optim.optax_to_numpyro(tx)
    svi = SVI(model, guide, optimizer, Trace_ELBO())
    state, update = svi.init(jax.random.key(3)), jax.jit(svi.update)
    for _ in range(steps):
        state, _ = update(state)
    return svi.get_params(state)


FRONT_ENDS = (
    linen_train_state,
    nnx_optimizer,
    equinox_filtered,
    haiku_transformed,
    optimistix_minimiser,
    numpyro_svi,
)


@functools.cache
def started(train):
    """Where a front end starts, whatever the optimizer."""
    return jax.tree.leaves(train(optax.sgd(RATE), 0))


@pytest.mark.parametrize("train", FRONT_ENDS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", CASES)
def test_three_steps_are_those_of_optax(train, case):
    got, want = (
        jax.tree.leaves(train(tx, STEPS))
        for tx in (case.build(RATE), case.variant.in_optax(RATE))
    )
    for a, b, before in zip(got, want, started(train), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
        assert not np.allclose(a, before, rtol=1e-3), "it did not move"
