"""States of Optax that have become dicts and lists continue in adamx."""

import logging

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
import pytest
from flax import serialization

import adamx
from tests.interop.optax_calls import RATE, data, run
from tests.interop.test_restore_optax import MASK, PAIRS
from tests.support.trees import assert_equal


def as_orbax(x):
    """What Orbax returns without a target: dicts and lists, None for nothing."""
    if isinstance(x, tuple | list):
        names = getattr(x, "_fields", None)
        if names is None:
            return [as_orbax(one) for one in x]
        return {n: as_orbax(getattr(x, n)) for n in names} or None
    return {n: as_orbax(y) for n, y in x.items()} if isinstance(x, dict) else x


FORMS = {"of Orbax": as_orbax, "of Flax": serialization.to_state_dict}


@pytest.mark.parametrize("name", PAIRS)
def test_a_dict_of_an_optax_state_is_read_as_the_state(name, x64):
    theirs, ours = PAIRS[name][:2]
    params, grads = data(jnp.float64, 2)
    _, saved, moved = run(theirs, params, grads)
    want = adamx.restore(ours, saved, moved)
    for plain in FORMS.values():
        got = adamx.restore(ours, plain(saved), moved)
        assert jax.tree.structure(got) == jax.tree.structure(want)
        assert_equal(got, want)


@pytest.mark.parametrize(
    "theirs",
    [optax.adamw(RATE), optax.masked(optax.sm3(RATE), {"a": True, "b": [False, True]})],
    ids=["adamw", "masked sm3"],
)
def test_what_orbax_returns_is_what_the_tests_take_for_it(theirs, tmp_path):
    params = {"a": jnp.ones((3, 2)), "b": [jnp.ones(2), jnp.zeros(3)]}
    state = theirs.init(params)
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "state", state)
        saver.wait_until_finished()
        got = saver.restore(tmp_path / "state")
    assert_equal(got, as_orbax(state))


def test_lists_in_the_parameters_are_lists_again():
    params = {"a": jnp.ones((3, 2)), "b": [jnp.ones(2), jnp.zeros(3)]}
    state = optax.adam(RATE).init(params)
    tx = adamx.adam(RATE)
    got = adamx.restore(tx, serialization.to_state_dict(state), params)
    assert jax.tree.structure(got) == jax.tree.structure(tx.init(params))


def test_what_was_read_is_logged(caplog):
    params, grads = data(jnp.float32, 3)
    _, saved, moved = run(optax.adam(RATE), params, grads)
    with caplog.at_level(logging.INFO, "adamx"):
        adamx.restore(adamx.adam(RATE), as_orbax(saved), moved)
    (said,) = caplog.messages
    assert said == (
        "restore: read ScaleByAdamState of Optax as the slots mu, nu, after 3 steps."
    )


def test_a_dict_of_another_state_is_refused():
    params, _ = data(jnp.float32, 1)
    saved = as_orbax(optax.masked(optax.centralize(), MASK).init(params))
    with pytest.raises(TypeError, match="Optax with the same algorithm"):
        adamx.restore(adamx.adam(RATE), saved, params)
