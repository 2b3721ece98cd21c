"""The form of a refusal, and the tree on which mistakes are made."""

import re

import jax
import jax.numpy as jnp
import pytest

PARAMS = {"layer": {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}}


def step(tx, grads=PARAMS, params=PARAMS, state=None):
    return tx.update(grads, tx.init(PARAMS) if state is None else state, params)


def message(mistake):
    with pytest.raises((TypeError, ValueError)) as caught:
        mistake()
    return str(caught.value)


def assert_told(mistake, beginning, remedy):
    """ "Where: what must hold, got what. Meaning; remedy." And the same under `jit`."""
    text = message(mistake)
    assert beginning in text
    assert remedy in text
    assert re.match(r"[\w.]+: ", text), "it says where"
    assert re.search(", got |is missing|fails: ", text), "it says what it got"
    traced = message(lambda: jax.eval_shape(lambda x: (mistake(), x)[1], jnp.ones(())))
    assert beginning in traced
