"""MARS with the second gradient of Algorithm 2: of this sample, at the point before."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from tests import papers

STEPS = 66
START = np.linspace(-1.0, 1.5, 6).reshape(2, 3)
WORDS = {"b1": 0.9, "b2": 0.95, "gamma": 0.4, "eps": 1e-6, "weight_decay": 0.1}


def rate(k):
    return 0.05 / (1.0 + 0.1 * k)


def gradient(k, theta):
    """Of a quadratic and a wave, each sample another; none in every ninth step."""
    place = np.arange(theta.size).reshape(theta.shape)
    return (np.sin(1.7 * k + place) * (1 + theta**2) + theta) * (k % 9 != 4)


def walk(before):
    """The parameters of each step; `before(k, θ, θ before)` is the second gradient."""
    tx = adamx.mars(rate, exact=True, **WORDS)
    theta = last = jnp.asarray(START)
    state, update, seen = tx.init(theta), jax.jit(tx.update), []
    for k in range(STEPS):
        here, there = np.asarray(theta), np.asarray(last)
        updates, state = update(
            jnp.asarray(gradient(k, here)),
            state,
            theta,
            gradient_before=jnp.asarray(before(k, here, there)),
        )
        theta, last = optax.apply_updates(theta, updates), theta
        seen.append(np.asarray(theta))
    return np.stack(seen)


def wanted():
    path = papers.mars(START, gradient, STEPS, learning_rate=rate, **WORDS)
    return np.stack(list(path))


@pytest.mark.oracle
@pytest.mark.usefixtures("x64")
def test_it_follows_algorithm_2():
    theirs = wanted()
    ours = walk(lambda k, here, there: gradient(k, there))
    assert np.abs(ours - theirs).max() <= 1e-12 * np.abs(theirs).max()


@pytest.mark.oracle
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "before",
    [
        lambda k, here, there: gradient(max(k - 1, 0), there),  # the sample before
        lambda k, here, there: gradient(k, here),  # the point of now
    ],
    ids=["the sample before", "the point of now"],
)
def test_another_second_gradient_is_seen(before):
    assert np.abs(walk(before) - wanted()).max() > 1e-3


def test_the_second_gradient_must_be_given():
    tx = adamx.mars(1e-3, exact=True)
    p = jnp.ones(3)
    with pytest.raises(TypeError, match=r"`gradient_before` must be given"):
        tx.update(p, tx.init(p), p)
    assert "gradient_before" not in tx.init(p).slots
