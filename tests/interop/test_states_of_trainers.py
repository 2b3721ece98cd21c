"""Averages and hyperparameters read from what trainers keep: boxes, dicts, nests."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from flax import nnx, serialization

import adamx
from adamx.engine.paths import leaves_by_path
from tests.support.trees import assert_equal


class Net(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(3, 4, rngs=rngs)])
        self.out = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        return self.out(self.layers[0](x))


def trained(tx, steps=3):
    model = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    for _ in range(steps):
        loss = lambda model: jnp.mean(model(jnp.ones((2, 3))) ** 2)  # noqa: E731
        optimizer.update(model, nnx.grad(loss)(model))
    return nnx.state(model, nnx.Param), optimizer


STATES = {
    "opt_state": lambda optimizer: optimizer.opt_state,
    "nnx.state": nnx.state,
    "pure dict": lambda optimizer: nnx.to_pure_dict(nnx.state(optimizer)),
    "without boxes": lambda optimizer: nnx.as_pure(nnx.state(optimizer)),
    "state dict": lambda optimizer: serialization.to_state_dict(
        nnx.as_pure(optimizer.opt_state)
    ),
}
PARAMS = {
    "boxed": lambda params: params,
    "unboxed": nnx.as_pure,
    "pure dict": nnx.to_pure_dict,
    "state dict": lambda params: serialization.to_state_dict(nnx.to_pure_dict(params)),
}
AVERAGED = {
    "schedule-free": lambda: adamx.schedule_free_adamw(0.1),
    "in optax.chain": lambda: optax.chain(
        optax.clip(1.0), adamx.schedule_free_adamw(0.1)
    ),
    "tunable": lambda: adamx.tunable(adamx.schedule_free_adamw(0.1), "b2"),
    "lookahead": lambda: adamx.lookahead(adamx.adam(0.1)),
    "Optax's": lambda: optax.contrib.schedule_free_adamw(0.1),
}
PLAIN = {
    "adam": lambda: adamx.adam(0.1),
    "sgd": lambda: adamx.sgd(0.1),
    "Optax's adam": lambda: optax.adam(0.1),
    "Optax's sgd": lambda: optax.sgd(0.1),
}


@pytest.mark.parametrize("name", [*AVERAGED, *PLAIN])
def test_eval_params_reads_every_form_of_state_and_parameters(name):
    params, optimizer = trained((AVERAGED | PLAIN)[name]())
    pure = nnx.as_pure(params)
    want = dict(
        leaves_by_path(adamx.eval_params(nnx.as_pure(optimizer.opt_state), pure))
    )
    moved = any(np.any(want[path] != x) for path, x in leaves_by_path(pure))
    assert moved == (name in AVERAGED)
    for state in STATES.values():
        for form in PARAMS.values():
            given = form(params)
            got = adamx.eval_params(state(optimizer), given)
            assert jax.tree.structure(got) == jax.tree.structure(given)
            assert_equal(dict(leaves_by_path(got)), want)


def test_eval_params_of_optax_is_that_of_optax():
    tx, p = optax.contrib.schedule_free_adamw(0.1), {"w": jnp.arange(1.0, 4.0)}
    state = tx.init(p)
    for _ in range(3):
        updates, state = tx.update({"w": jnp.cos(p["w"])}, state, p)
        p = optax.apply_updates(p, updates)
    want = optax.contrib.schedule_free_eval_params(state, p)
    got = adamx.eval_params(state, p)
    np.testing.assert_allclose(got["w"], want["w"], rtol=1e-6)


@pytest.mark.parametrize("form", STATES)
def test_hyperparameters_are_read_and_replaced_in_every_form(form):
    _, optimizer = trained(adamx.tunable(adamx.adam(0.1), "learning_rate", "b1"))
    state = STATES[form](optimizer)
    np.testing.assert_allclose(adamx.hyperparams(state)["learning_rate"], 0.1)
    changed = adamx.replace_hyperparams(state, learning_rate=0.2)
    assert jax.tree.structure(changed) == jax.tree.structure(state)
    assert {n: round(float(x), 6) for n, x in adamx.hyperparams(changed).items()} == {
        "learning_rate": 0.2,
        "b1": 0.9,
    }
    with pytest.raises(ValueError, match=r"`b1` must lie in \[0, 1\), got 1.0"):
        adamx.replace_hyperparams(state, b1=1.0)


@pytest.mark.parametrize("form", STATES)
def test_masters_are_read_from_every_form(form):
    tx = adamx.chain(adamx.adam(1e-4), adamx.split_master())
    model = Net(nnx.Rngs(0))
    nnx.update(
        model,
        jax.tree.map(lambda x: x.astype(jnp.bfloat16), nnx.state(model, nnx.Param)),
    )
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    for _ in range(3):
        loss = lambda model: jnp.mean(model(jnp.ones((2, 3))) ** 2)  # noqa: E731
        optimizer.update(model, nnx.grad(loss)(model))
    params = nnx.state(model, nnx.Param)
    want = adamx.master_params(nnx.as_pure(optimizer.opt_state), nnx.as_pure(params))
    got = adamx.master_params(STATES[form](optimizer), params)
    assert_equal(dict(leaves_by_path(got)), dict(leaves_by_path(want)))
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(got))


@pytest.mark.parametrize("state", [{"a": jnp.ones(3)}, [jnp.ones(2)], 3.0], ids=str)
@pytest.mark.parametrize("read", [adamx.eval_params, adamx.master_params])
def test_what_cannot_be_read_is_refused(read, state):
    message = f"{read.__name__}: `state` must hold the state of an optimizer, got "
    with pytest.raises(TypeError, match=message):
        read(state, {"w": jnp.ones(3)})


def test_the_state_of_other_parameters_is_refused():
    _, optimizer = trained(adamx.schedule_free_sgd(0.1))
    message = "eval_params: the state must be that of these parameters, got 'layers/0/b"
    with pytest.raises(ValueError, match=message):
        adamx.eval_params(optimizer.opt_state, {"x": jnp.ones(2)})


def test_memory_plan_counts_boxed_parameters_by_path():
    params, _ = trained(adamx.adam(0.1), steps=0)
    boxed = adamx.memory_plan(adamx.adam(0.1), params)
    assert boxed == adamx.memory_plan(adamx.adam(0.1), nnx.to_pure_dict(params))
    assert boxed.rows[0].leaf == "layers/0/bias"


def test_a_slot_is_an_attribute_of_the_state():
    params = {"w": jnp.ones(3)}
    tx = adamx.adamw(0.1)
    _, state = tx.update(params, tx.init(params), params)
    assert state.mu is state.slots["mu"]
    assert state.nu is state.slots["nu"]
    assert optax.tree.get(state, "nu") is state.nu
    again = pickle.loads(pickle.dumps(state))
    np.testing.assert_array_equal(again.mu["w"], state.mu["w"])
    assert not hasattr(state, "z")


def test_optaxs_own_schedule_free_eval_params_says_what_reads_our_states():
    params = {"w": jnp.ones(3)}
    state = adamx.schedule_free_sgd(0.1).init(params)
    with pytest.raises(AttributeError, match=r"read by adamx\.eval_params"):
        optax.contrib.schedule_free_eval_params(state, params)
