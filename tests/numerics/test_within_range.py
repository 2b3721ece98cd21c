"""The limit of entering gradients: bits, derivative, and that XLA writes none of it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.numerics.arithmetic import within_range

BOUND = {np.float32: 2.0**48, np.float64: 2.0**384}


def draws(dtype):
    """Random bits, which are numbers of every size, and the ends of the range."""
    word = np.uint32 if dtype == np.float32 else np.uint64
    random = np.random.default_rng(0)
    most = np.iinfo(word).max
    bits = random.integers(0, most, 100_000, dtype=word, endpoint=True)
    bound, large = BOUND[dtype], np.finfo(dtype).max
    ends = [0.0, 1.0, bound, np.nextafter(dtype(bound), dtype(np.inf)), large, np.inf]
    ends = np.array([*ends, *(-x for x in ends), np.nan], dtype)
    return np.concatenate([bits.view(dtype), ends])


@pytest.mark.parametrize("dtype", BOUND)
def test_finite_numbers_are_clipped_and_the_others_remain(dtype, x64):
    x = draws(dtype)
    got = np.asarray(jax.jit(within_range)(jnp.asarray(x)))
    assert got.dtype == dtype
    with np.errstate(invalid="ignore"):
        want = np.where(np.isfinite(x), np.clip(x, -BOUND[dtype], BOUND[dtype]), x)
    normal = ~(np.abs(x) < np.finfo(dtype).tiny)  # XLA may take others for 0
    np.testing.assert_array_equal(got[normal], want[normal])
    np.testing.assert_array_equal(
        np.signbit(got[~np.isnan(x)]), np.signbit(x[~np.isnan(x)])
    )
    np.testing.assert_allclose(got[~normal], want[~normal], atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("dtype", BOUND)
def test_its_derivative_is_that_of_the_clip(dtype, x64):
    x = jnp.asarray([0.0, 1.0, -1.0, 3.0 * BOUND[dtype], -np.inf, np.nan], dtype)
    slope = jax.vmap(jax.grad(within_range))(x)
    np.testing.assert_array_equal(slope, [1, 1, 1, 0, 1, 1])


@pytest.mark.parametrize("name", ["rmsprop", "adagrad", "adam"])
def test_a_step_has_no_temporary_of_a_leaf(name):
    """Where the limited gradient is read in two loops, it is computed in both."""
    tx = getattr(adamx, name)(0.1)
    p = jax.ShapeDtypeStruct((1 << 20,), jnp.float32)

    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    program = jax.jit(step, donate_argnums=(0, 1))
    compiled = program.lower(p, jax.eval_shape(tx.init, p), p).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4096
