"""Gradients of look-ups: those of JAX, by row, without an array of the table's size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx.sparse import lookup, value_and_grad
from tests.sparse.trees import TABLE, WIDTH, N
from tests.support.error_messages import message

PARAMS = {
    "words": jnp.asarray(TABLE, jnp.float32),
    "heads": {"tags": jnp.asarray(TABLE.reshape(N, 2, 2), jnp.float32)},
    "w": jnp.arange(1.0, 1 + WIDTH),
}
IDS = jnp.array([[3, 0], [3, 6]])


def loss(p, ids, look=lookup):
    """Two tables, one of which is read twice, by ids that are computed."""
    first = look(p["words"], ids) @ p["w"]
    again = look(p["words"], (ids + 1) % N).sum(-1)
    tags = look(p["heads"]["tags"], ids[0])
    return (first**2).sum() + (first * again).sum() + jnp.sin(tags).sum()


def indexed(p, ids):
    return loss(p, ids, lambda table, i: table[i])


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_the_gradients_are_those_of_jax(jit):
    function = value_and_grad(loss)
    value, got = (jax.jit(function) if jit else function)(PARAMS, IDS)
    want_value, want = jax.value_and_grad(indexed)(PARAMS, IDS)
    np.testing.assert_allclose(value, want_value, rtol=1e-6)
    assert got["words"].indices.shape == (N + 1,)  # 8 ids of 7 rows, and padding
    assert got["heads"]["tags"].shape == (N, 2, 2)
    for ours, theirs in (
        (got["words"].todense(), want["words"]),
        (got["heads"]["tags"].todense(), want["heads"]["tags"]),
        (got["w"], want["w"]),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_no_array_of_the_size_of_a_table_is_made():
    table = jax.ShapeDtypeStruct((100_000, 8), jnp.float32)
    ids = jax.ShapeDtypeStruct((16,), jnp.int32)

    def of_rows(t, i):
        return value_and_grad(lambda p, i: (lookup(p, i) ** 2).sum())(t, i)

    sizes = [
        v.aval.size
        for eqn in jax.make_jaxpr(of_rows)(table, ids).eqns
        for v in eqn.outvars
    ]
    assert max(sizes) < 16 * 8 * 40


def test_padding_is_zeros_and_what_is_above_is_nan():
    ids = jnp.array([-1, N, 2, -N, N + 1, 10 * N])
    got = lookup(PARAMS["words"], ids)
    np.testing.assert_array_equal(
        got[:4], [[0] * 4, [0] * 4, TABLE[2].astype("f4"), [0] * 4]
    )
    assert np.isnan(got[4:]).all()
    _, g = value_and_grad(lambda p: lookup(p, ids).sum())(PARAMS["words"])
    np.testing.assert_array_equal(g.todense(), np.eye(N)[2][:, None] * np.ones(WIDTH))
    dense = jax.grad(lambda p: lookup(p, ids[:4]).sum())(PARAMS["words"])
    np.testing.assert_array_equal(dense, g.todense())


def test_other_data_and_unsigned_ids():
    function = value_and_grad(lambda p, i: (lookup(p, i).sum(), i.size), has_aux=True)
    (value, aux), g = function(PARAMS["words"], jnp.array([2], jnp.uint8))
    assert (aux, g.indices.tolist()) == (1, [2])
    np.testing.assert_allclose(value, TABLE[2].sum(), rtol=1e-5)


def test_two_leaves_that_are_one_array_are_two_tables():
    t = PARAMS["words"]
    _, g = value_and_grad(lambda p: (lookup(p[0], 1) + 2 * lookup(p[1], 2)).sum())(
        [t, t]
    )
    assert [x.todense().sum() for x in g] == [WIDTH, 2 * WIDTH]


def test_a_leaf_without_a_look_up_has_a_dense_gradient():
    _, g = value_and_grad(lambda p: (p["words"] ** 2).sum())(PARAMS)
    np.testing.assert_allclose(g["words"], 2 * PARAMS["words"])
    assert not isinstance(g["heads"]["tags"], adamx.RowSparse)


WITHIN = {
    "vmap": lambda t, i: jax.vmap(lambda one: lookup(t, one))(i),
    "jit": lambda t, i: jax.jit(lambda one: lookup(t, one + 1))(i),
    "scan": lambda t, i: jax.lax.scan(lambda c, one: (c, lookup(t, one)), 0, i)[1],
    "checkpoint": lambda t, i: jax.checkpoint(lambda one: lookup(t, one + 1))(i),
}


@pytest.mark.parametrize("within", WITHIN.values(), ids=WITHIN)
def test_a_look_up_inside_another_trace_is_told(within):
    for ids in (IDS[0], jnp.arange(4)):
        function = jax.jit(value_and_grad(lambda p, i: within(p["words"], i).sum()))
        text = message(lambda: function(PARAMS, ids))  # noqa: B023
        assert "a table must be looked up directly in the loss" in text


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_a_table_that_is_used_in_another_way_is_told(jit):
    function = value_and_grad(lambda p: lookup(p["words"], 1).sum() + p["words"].sum())
    text = message(lambda: (jax.jit(function) if jit else function)(PARAMS))
    assert "a table must be used by `lookup` only, got `words`" in text


def wide(p):
    return lookup(p["words"].astype(jnp.bfloat16), 1).sum()


WRONG = {
    "cast": (
        lambda: value_and_grad(wide)(PARAMS),
        "must be an array of the parameters",
    ),
    "ids": (lambda: lookup(PARAMS["words"], 0.5), "`ids` must be integers"),
    "table": (lambda: lookup(jnp.arange(3), 1), "`table` must be a floating array"),
    "scalar": (lambda: lookup(jnp.ones(()), 1), "`table` must have rows"),
    "no function": (lambda: value_and_grad(3), "`loss` must be a function"),
}


@pytest.mark.parametrize(("mistake", "says"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(mistake, says):
    assert says in message(mistake)
