"""Arrays of more than 2³¹ elements: places of random bits, and abstract steps."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx.numerics.random_bits import OfRows, Part, _index_in, bits
from adamx.storage import Blockwise, Cast

KEY = np.uint64(0x12345678)
LOW = np.uint64(2**32 - 1)


def mixed(x, salt):
    """`random_bits.mixed` in 64 bits, of which 32 are kept."""
    x = x ^ (x >> np.uint64(16))
    x = (x * np.uint64(0x7FEB352D) + salt) & LOW
    x = x ^ (x >> np.uint64(15))
    x = (x * np.uint64(0x846CA68B)) & LOW
    return x ^ (x >> np.uint64(16))


def reference(index):
    salt = mixed(KEY, np.uint64(0xC2B2AE35))
    return mixed((index & LOW) ^ KEY, salt)


def drawn(shape, index):
    return np.asarray(bits(jnp.uint32(KEY), shape, index)).astype(np.uint64)


def places(first, row, shape):
    """The indices of a piece of a matrix with rows of this length."""
    down, across = (np.arange(n, dtype=np.uint64) for n in shape)
    rows, columns = (np.uint64(n) for n in first)
    return (down[:, None] + rows) * np.uint64(row) + across + columns


# around the indices 2³¹, 2³², and 5 · 2³⁰
@pytest.mark.parametrize("row", [1, 3, 4], ids=["2**31", "2**32", "5 * 2**30"])
def test_bits_are_those_of_the_index_in_64_bits(row):
    length, shape, first = 2**30, (2, 8), (row, 2**30 - 4)
    index = places(first, length, shape)
    assert index[0, 4] == (row + 1) * 2**30
    starts = [jnp.int32(n) for n in first]
    part = Part(length, shape[1], *starts)
    for found in (
        drawn(shape, part.indices),
        drawn(shape, lambda shape: _index_in(shape, (7, length), starts)),
    ):
        np.testing.assert_array_equal(found, reference(index))
    assert len(np.unique(found)) == found.size


def test_the_bits_of_rows_are_those_of_the_table():
    rows = np.array([1, 2**29, 2**31 - 1])
    key = OfRows(jnp.uint32(KEY), jnp.asarray(rows, jnp.int32))
    found = np.asarray(bits(key, (3, 8)))
    index = rows.astype(np.uint64)[:, None] * np.uint64(8) + np.arange(8, dtype="u8")
    np.testing.assert_array_equal(found, reference(index))


def test_a_draw_for_several_elements_of_a_row_counts_the_draws():
    """As dither has one for each block."""
    row, block = 2**31 - 128, 128
    part = Part(row, 8 * block, jnp.int32(300), jnp.int32(2**30))
    index = places((300, 2**30 // block), row // block, (1, 8))
    np.testing.assert_array_equal(drawn((1, 8), part.indices), reference(index))
    whole = Part(129, 129, jnp.int32(1), jnp.int32(0))  # two blocks, one of them short
    found = drawn((3, 2), whole.indices)
    np.testing.assert_array_equal(found, reference(places((1, 0), 2, (3, 2))))


HALF = Cast(jnp.bfloat16, "stochastic")
STORED = {
    "8 bits": adamx.store(adamx.adamw(1e-3), mu=Blockwise(), nu=Blockwise()),
    "4 bits": adamx.store(adamx.adamw(1e-3), nu=Blockwise(4, rounding="dither")),
    "bfloat16": adamx.store(adamx.adamw(1e-3), mu=HALF, nu=HALF),
    "stochastic": adamx.chain(adamx.adamw(1e-3), adamx.stochastic_rounding()),
    "adafactor": adamx.adafactor(1e-3),
    "stable_adamw": adamx.stable_adamw(1e-3),
}
LARGE = [(3, 2**30), (2**31 + 8,), (2**32 + 24,)]


@pytest.mark.parametrize("shape", LARGE, ids=str)
@pytest.mark.parametrize("name", STORED)
def test_a_step_of_a_large_array(name, shape):
    tx = STORED[name]
    dtype = jnp.bfloat16 if name == "stochastic" else jnp.float32
    params = {"w": jax.ShapeDtypeStruct(shape, dtype)}
    state = jax.eval_shape(tx.init, params)
    updates, after = jax.eval_shape(tx.update, params, state, params)
    assert updates["w"].shape == shape
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    new, _ = jax.eval_shape(lambda *x: adamx.step(tx, *x), params, params, state)
    assert (new["w"].shape, new["w"].dtype) == (shape, dtype)
    assert adamx.memory_plan(tx, params).parameters == math.prod(shape)


@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_the_plan_says_that_kernels_do_not_count_so_far(shape):
    tx = adamx.fused(STORED["8 bits"])
    params = {"w": jax.ShapeDtypeStruct(shape, jnp.float32)}
    (row,) = adamx.memory_plan(tx, params).leaves
    assert row.computed == "in one native loop"
    has = "it has" if len(shape) > 1 else "it has rows of"
    most = f"{math.prod(shape):,} elements, 2,147,483,647 at most"
    assert row.on_gpu == f"by XLA: {has} {most}"
    assert row.on_tpu.startswith("by XLA: it has ")
