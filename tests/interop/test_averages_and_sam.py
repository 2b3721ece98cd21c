"""`eval_params` and `schedule_free_eval_params` of both libraries' states, and SAM."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
import adamx.interop.optax as beside
from adamx.interop.optax import contrib
from tests.interop.optax_calls import RATE, data, form, matrices, run

SCHEDULE_FREE = {
    "sgd": lambda of: of.contrib.schedule_free_sgd(RATE, warmup_steps=3),
    "adamw": lambda of: of.contrib.schedule_free_adamw(RATE),
    "clipped": lambda of: of.chain(
        of.clip(1.0), of.contrib.schedule_free(of.sgd(RATE), RATE)
    ),
}
OURS = {
    "schedule_free": adamx.schedule_free_adamw(RATE),
    "lookahead": adamx.lookahead(adamx.adam(RATE)),
    "in a chain": optax.chain(optax.clip(1.0), adamx.schedule_free_sgd(RATE)),
}


@pytest.mark.parametrize("name", SCHEDULE_FREE)
@pytest.mark.parametrize("of", [optax, beside], ids=["Optax", "beside"])
def test_eval_params_of_optaxs_schedule_free(name, of, x64):
    """By Optax's own function, which wants the state alone."""
    params, grads = data(jnp.float64, 6)
    _, state, params = run(SCHEDULE_FREE[name](of), params, grads)
    alone = state[-1] if name == "clipped" else state
    wanted = optax.contrib.schedule_free_eval_params(alone, params)
    for got in (
        adamx.eval_params(state, params),
        contrib.schedule_free_eval_params(state, params),
    ):
        for a, b in zip(*map(jax.tree.leaves, (got, wanted)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", OURS)
def test_schedule_free_eval_params_of_adamx(name):
    params, grads = data(jnp.float32, 6)
    _, state, params = run(OURS[name], params, grads)
    got = contrib.schedule_free_eval_params(state, params)
    wanted = adamx.eval_params(state, params)
    assert form(got) == form(params)
    moved = [
        not np.array_equal(a, b)
        for a, b in zip(*map(jax.tree.leaves, (got, params)), strict=True)
    ]
    assert any(moved)
    for a, b in zip(*map(jax.tree.leaves, (got, wanted)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_state_without_an_average():
    params, _ = data(jnp.float32, 1)
    state = optax.adam(RATE).init(params)
    assert adamx.eval_params(state, params) is params
    with pytest.raises(TypeError, match="`state` must be that of a schedule-free"):
        contrib.schedule_free_eval_params(state, params)


@pytest.mark.parametrize(
    "optimizer",
    [
        adamx.muon(RATE, muon_mask=matrices),
        contrib.muon(RATE),
        adamx.adam(RATE),
    ],
    ids=["adamx.muon", "muon", "adamx.adam"],
)
def test_sam_keeps_the_dtypes_of_the_state(optimizer):
    """Also of the placeholder that a leaf without state has."""
    params, grads = data(jnp.float32, 5)
    tx = contrib.sam(optimizer, optax.chain(contrib.normalize(), optax.sgd(0.05)))
    _, state, moved = run(tx, params, grads)
    assert form(state) == form(tx.init(params))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(moved))
