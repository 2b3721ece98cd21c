"""RowSparse: what it holds, how rows are added, and who may not compute with it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import RowSparse
from tests.sparse.trees import IDS, STEPS, WIDTH, N, dense, gradient
from tests.support.error_messages import message

PARAMS = {"table": jnp.zeros((N, WIDTH)), "w": jnp.ones(2)}
GRADS = {"table": gradient(0, jnp.float32), "w": jnp.ones(2)}


@pytest.mark.parametrize("step", range(STEPS))
def test_duplicates_are_added_and_padding_is_left_out(step):
    kept = gradient(step, jnp.float32).coalesce()
    known = sorted({i for i in IDS[step].tolist() if 0 <= i < N})
    assert kept.indices.tolist() == known + [N] * (3 - len(known))
    np.testing.assert_allclose(kept.todense(), dense(step), rtol=1e-6)
    assert kept.coalesce() is kept


@pytest.mark.parametrize("step", range(STEPS))
def test_united_rows_are_in_the_order_given_with_zeros_for_padding(step):
    given = gradient(step, jnp.float32)
    kept = given.united()
    first = {i: IDS[step].tolist().index(i) for i in IDS[step].tolist() if 0 <= i < N}
    indices = np.full(3, N)
    indices[list(first.values())] = list(first)
    assert kept.indices.tolist() == indices.tolist()
    np.testing.assert_array_equal(kept.rows[indices == N], 0)
    np.testing.assert_array_equal(kept.todense(), given.coalesce().todense())
    assert kept.united() is kept
    known = kept.coalesce().indices
    assert known.tolist() == given.coalesce().indices.tolist()


def test_ids_may_be_constants_of_a_compiled_function():
    ids = jnp.array([2, 0, 2])
    got = jax.jit(lambda rows: RowSparse(ids, rows, 4).todense())(jnp.ones((3, 1)))
    assert got.ravel().tolist() == [1, 0, 2, 0]


def test_it_has_at_most_one_row_more_than_the_table():
    kept = RowSparse(jnp.arange(20) % 3, jnp.ones((20, 2)), 3).coalesce()
    assert kept.indices.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(kept.todense(), [[7, 7], [7, 7], [6, 6]])


def test_rows_of_few_digits_are_added_in_float32():
    rows = jnp.full((256, 1), 1.0078125, jnp.bfloat16)
    kept = RowSparse(jnp.zeros(256, jnp.int32), rows, 2).coalesce()
    assert kept.rows[0, 0] == jnp.bfloat16(258)
    assert kept.dtype == jnp.bfloat16


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)], ids=str)
def test_a_row_may_have_any_shape(shape):
    rows = jnp.ones((3, *shape))
    got = RowSparse(jnp.array([2, 0, 2]), rows, 4).todense()
    np.testing.assert_array_equal(
        got, jnp.zeros((4, *shape)).at[jnp.array([2, 0, 2])].add(rows)
    )


def test_no_row():
    empty = RowSparse(jnp.zeros(0, jnp.int32), jnp.zeros((0, WIDTH)), N)
    tx = adamx.adam(0.1)
    params, _ = adamx.step(tx, PARAMS, {**GRADS, "table": empty}, tx.init(PARAMS))
    np.testing.assert_array_equal(params["table"], PARAMS["table"])


def test_it_passes_through_jit_scan_and_maps_of_leaves():
    g = gradient(1, jnp.float32)
    there = jax.jit(lambda x: x)(g)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), g, g)
    _, each = jax.lax.scan(lambda c, x: (c, x.todense()), 0, stacked)
    moved = jax.device_put(g, jax.devices()[-1])
    for same in (there.todense(), each[0], each[1], moved.todense()):
        np.testing.assert_array_equal(same, g.todense())
    shapes = jax.eval_shape(lambda: g)
    assert shapes.shape == g.shape
    assert not any(jax.tree.leaves(jax.tree.map(lambda x: None, g)))


def test_adding_to_a_table_keeps_the_wider_dtype():
    g = gradient(0, jnp.float32)
    narrow = jnp.ones((N, WIDTH), jnp.bfloat16)
    assert (narrow + g).dtype == jnp.float32
    want = optax.apply_updates({"t": narrow}, {"t": g.todense()})
    got = optax.apply_updates({"t": narrow}, {"t": g})
    mine = adamx.sparse.apply_updates({"t": narrow}, {"t": g})
    for x in (got["t"], mine["t"]):
        assert x.dtype == jnp.bfloat16
        np.testing.assert_array_equal(x.astype(float), want["t"].astype(float))
    np.testing.assert_array_equal(np.ones((N, WIDTH)) + g, 1 + g.todense())


# ---- who may not compute with it ---------------------------------------------

LEFT = "the indices of rows must be left as they are"
MISREADING = {
    "scale": (optax.scale(-1.0), LEFT),
    "scale by an integer": (optax.scale(2), LEFT),
    "clip": (optax.clip(1.0), LEFT),
    "global norm": (optax.clip_by_global_norm(1.0), LEFT),
    "sign": (optax.scale_by_sign(), "bool"),
    "negation": (optax.stateless(lambda u, p: jax.tree.map(lambda x: -x, u)), "bool"),
    "moments": (optax.scale_by_adam(), "RowSparse"),
    "decay": (optax.add_decayed_weights(0.1), "RowSparse"),
}


@pytest.mark.parametrize(("tx", "says"), MISREADING.values(), ids=MISREADING)
def test_a_foreign_transformation_raises_before_and_after(tx, says):
    """Whatever it is given, no index is ever changed silently."""
    ours = adamx.adam(0.1)
    for both in (optax.chain(tx, ours), optax.chain(ours, tx)):
        assert says in message(lambda: both.update(GRADS, both.init(PARAMS), PARAMS))  # noqa: B023
    within = adamx.chain(adamx.scale_by_adam(), tx)
    text = message(lambda: within.update(GRADS, within.init(PARAMS), PARAMS))
    assert "every part of a chain must know row-sparse gradients, got" in text


def test_one_that_multiplies_in_the_dtype_of_each_array_is_right():
    tx = optax.chain(adamx.sgd(0.1), optax.scale_by_schedule(lambda _: 0.5))
    updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["table"].todense(), -0.05 * dense(0), rtol=1e-6)


# ---- bad input ---------------------------------------------------------------

ONE, ROW = jnp.array([1]), jnp.ones((1, 2))
WRONG = {
    "float ids": ((jnp.ones(1), ROW, 3), "`indices` must be integers"),
    "integer rows": ((ONE, jnp.ones((1, 2), int), 3), "`rows` must be a floating"),
    "ranks": (
        (ONE[None], ROW, 3),
        "one row for each index, got indices of shape (1, 1",
    ),
    "lengths": ((ONE, jnp.ones((2, 2)), 3), "one row for each index"),
    "no rows": ((ONE, ROW, 0), "`num_rows` must be an integer in [1, 2**31), got 0"),
    "no number": ((ONE, ROW, 3.0), "`num_rows` must be an integer"),
    "too many": ((ONE, ROW, 2**31), "`num_rows` must be an integer"),
    "above": ((ONE, ROW, 0 + 1), None),
    "out of range": ((jnp.array([4]), ROW, 3), "at most num_rows=3, got 4"),
}


@pytest.mark.parametrize(("given", "says"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(given, says):
    if says is None:  # `num_rows` itself is padding
        assert not np.any(RowSparse(*given).todense())
    else:
        assert says in message(lambda: RowSparse(*given))


def test_inside_jit_an_index_out_of_range_is_padding():
    got = jax.jit(lambda i: RowSparse(i, ROW, 3).todense())(jnp.array([4]))
    assert not np.any(got)


def test_adding_to_another_table():
    text = message(lambda: jnp.ones((N + 1, WIDTH)) + gradient(0))
    assert f"must have the shape ({N}, {WIDTH})" in text
