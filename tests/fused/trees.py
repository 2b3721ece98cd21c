"""Trees and comparisons for the tests of fused steps."""

import jax
import jax.numpy as jnp
import numpy as np

import adamx

SHAPES = {"matrix": (9, 300), "vector": (37,), "one": (1,)}


def tree(seed, shapes=SHAPES, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return {
        name: jnp.asarray(rng.standard_normal(shape), dtype)
        for name, shape in shapes.items()
    }


def stepping(tx):
    """One step of `adamx.step`, compiled, with the state and the parameters kept."""
    return jax.jit(lambda params, grads, state: adamx.step(tx, params, grads, state))


def native_calls(function, *given):
    return function.lower(*given).as_text().count("custom_call @adamx_fused")


def assert_same(got, want, units=2, beside=None):
    """Integers and low-bit numbers are equal; floats within units in the last place.

    The unit is that of the larger of the number and what it was added to (`beside`).
    """
    beside = want if beside is None else beside
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b, old in zip(*map(jax.tree.leaves, (got, want, beside)), strict=True):
        a, b, old = np.asarray(a), np.asarray(b), np.asarray(old)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if a.dtype not in (np.float32, np.float64):
            np.testing.assert_array_equal(a, b)
            continue
        size = np.maximum(np.abs(b), np.abs(old) if old.shape == b.shape else 0)
        np.testing.assert_array_less(
            np.abs(a - b), (units + 0.5) * np.spacing(size), strict=False
        )
