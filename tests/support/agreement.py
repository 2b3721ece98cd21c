"""One check for optimizers and mutants alike: does a transform follow an oracle?

The gradients depend on the parameters, span four orders of magnitude, are exactly
zero at some steps (the first of all among them) and always zero in one element. In the
middle the state is turned into NumPy arrays, pickled, and read back into an equal
transform.
"""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests import papers

STEPS = 66
COUPLED = (papers.avagrad,)  # oracles of the whole tree
ZERO = (0, 9, 10, 11, 30, 31, 40)
TOLERANCE = 1e-12
SHAPES = {"matrix": (3, 2), "vector": (4,), "scalar": ()}

_random = np.random.default_rng(1412)
START = {n: _random.standard_normal(s) for n, s in SHAPES.items()}
SIZE = {n: 10.0 ** _random.uniform(-3, 1, s) for n, s in SHAPES.items()}
NOISE = {n: 0.3 + _random.standard_normal((STEPS, *s)) for n, s in SHAPES.items()}
SIZE["matrix"][0, 0] = 0.0


def on(k):
    """0 at a step without a gradient, 1 at the others."""
    return 1.0 - float(k in ZERO)


def slope(size, point, noise, on):
    """The same arithmetic for NumPy and for JAX."""
    return on * size * (0.5 * point + noise)


def couples_leaves(oracle):
    """Whether an oracle, or the optimizer it is of, needs the whole tree."""
    optimizer = getattr(getattr(oracle, "__self__", None), "optimizer", None)
    return oracle in COUPLED or getattr(optimizer, "scope", "") == "tree"


def wanted(oracle, **keywords):
    """The trajectory of an oracle, leaf by leaf where leaves are independent."""
    if couples_leaves(oracle):

        def slopes(k, points):
            leaves = zip(SHAPES, points, strict=True)
            return [slope(SIZE[n], p, NOISE[n][k], on(k)) for n, p in leaves]

        paths = oracle([START[n] for n in SHAPES], slopes, STEPS, **keywords)
        return dict(zip(SHAPES, paths, strict=True))
    return {
        name: oracle(
            START[name],
            lambda k, at, name=name: slope(SIZE[name], at, NOISE[name][k], on(k)),
            STEPS,
            **keywords,
        )
        for name in SHAPES
    }


def from_disk(tx, state, params):
    """The state as a checkpoint would bring it back."""
    return jax.tree.map(jnp.asarray, pickle.loads(pickle.dumps(state)))


def followed(make, restore=from_disk):
    """The trajectory of the transform that `make` builds, interrupted in the middle."""

    def step(tx, carry, inputs):
        params, state = carry
        noise, on = inputs
        grads = {n: slope(SIZE[n], params[n], noise[n], on) for n in SHAPES}
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    @jax.jit
    def leg(params, state, inputs):
        tx = make()
        return jax.lax.scan(
            lambda carry, inputs: step(tx, carry, inputs), (params, state), inputs
        )

    inputs = (NOISE, np.array([on(k) for k in range(STEPS)]))
    half = STEPS // 2
    first, second = (
        jax.tree.map(lambda x, at=at: jnp.asarray(x[at]), inputs)
        for at in (slice(None, half), slice(half, None))
    )
    params = jax.tree.map(jnp.asarray, START)
    (params, state), before = leg(params, make().init(params), first)
    saved = jax.tree.map(np.asarray, state)
    state = restore(make(), saved, params)
    _, after = leg(params, state, second)
    return {n: np.concatenate([before[n], after[n]]) for n in SHAPES}


def assert_follows(make, expected, tolerance=TOLERANCE, restore=from_disk):
    """Within `tolerance` of the largest parameter of each leaf, at every step.

    Needs 64-bit arithmetic. `make` builds the transform, and is called again after the
    interruption.
    """
    got = followed(make, restore)
    for name in SHAPES:
        assert got[name].dtype == np.float64
        np.testing.assert_allclose(
            got[name],
            expected[name],
            rtol=0,
            atol=tolerance * np.max(np.abs(expected[name])),
            err_msg=name,
        )
