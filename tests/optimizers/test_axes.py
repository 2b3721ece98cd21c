"""A leaf seen through `axes=` steps as its matrices would as leaves of two axes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.engine.state import is_absent
from adamx.parts import (
    CautiousWeightDecay,
    IndependentWeightDecay,
    MatrixAxes,
    gram_newton_schulz,
    muon_quintic,
)

pytestmark = pytest.mark.usefixtures("x64")
STEPS = 3
SHAPES = {
    "attention/query/kernel": (6, 2, 2),
    "attention/out/kernel": (2, 2, 6),
    "conv/kernel": (3, 1, 2, 4),
    "experts/w": (3, 6, 4),
    "c_attn/kernel": (6, 12),
    "cut/kernel": (8, 6),
    "dense/weight": (4, 6),
}
GIVEN = {"c_attn": MatrixAxes(split_columns=3), "cut": MatrixAxes(split_rows=2)}
AXES = {
    "attention/query/kernel": MatrixAxes(0, (1, 2)),
    "attention/out/kernel": MatrixAxes((0, 1), 2),
    "conv/kernel": MatrixAxes((0, 1, 2), 3),
    "experts/w": MatrixAxes(1, 2),
    "c_attn/kernel": GIVEN["c_attn"],
    "cut/kernel": GIVEN["cut"],
    "dense/weight": MatrixAxes(1, 0),
}
DECAYED = {"weight_decay": CautiousWeightDecay(0.1)}
BUILT = {
    "normuon": functools.partial(adamx.normuon, 0.02, **DECAYED),
    "normuon-rms": functools.partial(adamx.normuon, 0.02, consistent_rms=0.2),
    "muonh": functools.partial(adamx.muonh, 0.02),
    "adamh": functools.partial(adamx.adamh, 0.02),
    "scion": functools.partial(adamx.scion, 0.01, radius=2.0),
    "dion": functools.partial(adamx.dion, 0.02, rank_fraction=0.5),
    "dion-randomized": functools.partial(
        adamx.dion, 0.02, rank_fraction=0.5, randomized=True
    ),
    "dion2": functools.partial(adamx.dion2, 0.02, fraction=0.5),
}


@functools.cache
def arrays():
    """The parameters, and the gradients of all steps."""
    normal = np.random.default_rng(7).standard_normal
    p = {path: normal(shape) for path, shape in SHAPES.items()}
    return p, {path: normal((STEPS, *x.shape)) for path, x in p.items()}


def matrices(tree, lead=0):
    """The matrices of every leaf, each a leaf of two axes; `lead` axes come first."""
    found = {}
    for path, x in tree.items():
        stack = AXES[path].of(x.shape[lead:]).stack
        found[path] = {"kernel": (jax.vmap(stack) if lead else stack)(jnp.asarray(x))}
    return found


def run(tx, p, gradients):
    """The parameters after each step, and the last state."""

    def step(carry, g):
        p, state = carry
        updates, state = tx.update(g, state, p)
        p = optax.apply_updates(p, updates)
        return (p, state), p

    (_, state), each = jax.lax.scan(step, (p, tx.init(p)), gradients)
    return each, state


@pytest.mark.parametrize("name", BUILT)
def test_a_leaf_steps_as_its_matrices(name):
    p, gradients = arrays()

    def both(p, gradients):
        seen, state = run(BUILT[name](axes=GIVEN), p, gradients)
        stacks = adamx.stacked(BUILT[name](), ".")
        alone, _ = run(stacks, matrices(p), matrices(gradients, 1))
        return matrices(seen, 1), alone, state

    seen, alone, state = jax.jit(both)(p, gradients)
    for path, want in alone.items():
        got = seen[path]["kernel"]
        np.testing.assert_allclose(got, want["kernel"], rtol=0, atol=1e-11, err_msg=path)
    print({k: {n: x.shape for n, x in v.items() if not is_absent(x)} for k, v in state.slots.items()})
