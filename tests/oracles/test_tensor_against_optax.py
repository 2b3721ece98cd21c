"""What the per-tensor oracles say of their counterparts in Optax.

Not where an oracle comes from, but whether the differences that its docstring names are
all there are: with the keywords that undo them, it is the counterpart. Optax's
Adafactor and Muon have float32 constants under x64 too.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import papers
from tests.support.runs import run

STEPS = 40
DOUBLE, SINGLE = 1e-12, 3e-6


def relative_step(k):
    return jnp.minimum(1e-2, 1 / jnp.sqrt(k + 1.0))


def single_precision(k, g):
    """Two leading singular vectors of the gradient, in float32 and by JAX, as Optax
    has them; of the gradient as it was before the oracle turned it, if it did.
    """
    g = jnp.asarray(g, jnp.float32)
    if g.shape == (5, 3):
        return jnp.linalg.svd(g.T, full_matrices=False)[2][:2].T
    return jnp.linalg.svd(g, full_matrices=False)[0][:, :2]


# name: (Optax, oracle, relative difference, matrices only)
COUNTERPARTS = {
    "lamb": (
        optax.lamb(0.01, weight_decay=0.1),
        functools.partial(papers.lamb, learning_rate=0.01, weight_decay=0.1),
        DOUBLE,
        False,
    ),
    "lars": (
        optax.lars(1.0, weight_decay=0.1),
        functools.partial(
            papers.lars, learning_rate=1.0, weight_decay=0.1, norm_of_sum=True
        ),
        DOUBLE,
        False,
    ),
    "novograd": (
        optax.novograd(0.01, weight_decay=0.1),
        functools.partial(
            papers.novograd,
            learning_rate=0.01,
            b1=0.9,
            b2=0.25,
            eps=1e-6,
            weight_decay=0.1,
        ),
        DOUBLE,
        False,
    ),
    "sm3": (
        optax.sm3(0.01),
        functools.partial(papers.sm3, learning_rate=0.01, eps=1e-8),
        DOUBLE,
        False,
    ),
    "adafactor": (
        optax.adafactor(relative_step, min_dim_size_to_factor=1),
        papers.adafactor,
        SINGLE,
        False,
    ),
    "adafactor with momentum": (
        optax.adafactor(0.01, min_dim_size_to_factor=1, momentum=0.9),
        functools.partial(papers.adafactor, learning_rate=0.01, momentum=0.9),
        SINGLE,
        False,
    ),
    "muon": (
        optax.contrib.muon(0.02),
        functools.partial(papers.muon, eps=1e-8, corrected=True, out_axis=1),
        SINGLE,
        True,
    ),
    "muon without Nesterov": (
        optax.contrib.muon(0.02, nesterov=False, consistent_rms=0.2),
        functools.partial(
            papers.muon, eps=1e-8, nesterov=False, corrected=True, consistent_rms=0.2
        ),
        SINGLE,
        True,
    ),
    "galore": (
        optax.contrib.galore(0.01, rank=2),
        functools.partial(
            papers.galore,
            rank=2,
            scale=1.0,
            larger_side=True,
            projection=single_precision,
        ),
        DOUBLE,
        True,
    ),
}


def trajectory(tx, theta, gradients):
    """The parameters after each step of an Optax transformation."""
    start = jnp.asarray(theta)
    walked = jax.jit(lambda g: run(tx, start, g)[0])
    return np.asarray(walked(jnp.asarray(gradients)))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name, (*_, matrices_only) in COUNTERPARTS.items()
        for shape in ((4, 3), (3, 5), (5,))
        if len(shape) == 2 or not matrices_only
    ],
    ids=str,
)
def test_the_named_differences_are_all(name, shape):
    tx, oracle, tolerance, _ = COUNTERPARTS[name]
    generator = np.random.default_rng(3)
    theta = generator.standard_normal(shape)
    sizes = 10.0 ** generator.uniform(-2, 1, size=shape)
    g = sizes * generator.standard_normal((STEPS, *shape))
    g[20:23] = 0.0
    expected = trajectory(tx, theta, g)
    actual = oracle(theta, lambda k, _: g[k], STEPS)
    moved = np.abs(expected - theta).max()
    assert np.abs(actual - expected).max() <= tolerance * moved
