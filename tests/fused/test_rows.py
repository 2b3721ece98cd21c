"""Rows of a table, stepped in the table by a native loop."""

from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx import RowSparse, sparse
from adamx.native import compiler
from adamx.storage import Blockwise, Cast
from tests.fused.trees import assert_same, native_calls
from tests.support.meshes import NEEDS_DEVICES
from tests.support.optimized import SAME_BITS

N, WIDTH, STEPS = 60, 16, 2
IDS = np.array([7, 0, 7, N, 59, -1, 7, 31, 0, 12, N + 5, 3], np.int32)
TOUCHED = np.unique(IDS[(IDS >= 0) & (IDS < N)])
RANDOM = np.random.default_rng(5)
PARAMS = {
    "bias": jnp.ones(5),
    "table": jnp.asarray(RANDOM.standard_normal((N, WIDTH)), jnp.float32),
}
ROWS = jnp.asarray(RANDOM.standard_normal((STEPS, len(IDS), WIDTH)), jnp.float32)

CODED = {
    "mu": Blockwise(4, block=16, min_size=0, rounding="dither"),
    "nu": Cast(jnp.bfloat16, "stochastic"),
}
MADE = {
    "tunable": adamx.tunable(adamx.adamw(lambda count: 1e-2 / (1 + count)), "b1"),
    "coded": adamx.store(adamx.adamw(1e-2), **CODED),
    "no slots": adamx.sgd(0.1),
}
UPDATED = {
    "clipped": adamx.chain(adamx.parts.ClipByGlobalNorm(1.0), adamx.lion(1e-3)),
    "groups": adamx.groups([("table", adamx.adamw(1e-2)), (..., adamx.sgd(0.1))]),
}
PLAIN = adamx.sgd(0.1, momentum=0.9)


def gradient(ids, rows):
    return {"bias": rows[0, :5], "table": RowSparse(ids, rows, N)}


def stepping(tx):
    def step(params, state, ids, rows):
        return adamx.step(tx, params, gradient(ids, rows), state)

    return jax.jit(step)


def updating(tx):
    def update(params, state, ids, rows):
        updates, state = tx.update(gradient(ids, rows), state, params)
        return sparse.apply_updates(params, updates), state

    return jax.jit(update)


def native_rows(function, *given):
    """The calls whose first operand is the indices."""
    text = function.lower(*given).as_text()
    calls = [x for x in text.splitlines() if "custom_call @adamx_fused" in x]
    return sum(f": (tensor<{len(IDS)}xi32>" in x for x in calls)


@SAME_BITS
@pytest.mark.parametrize("name", MADE)
def test_rows_in_the_table_are_those_of_the_plain_path(name):
    """Ids that come again are added, padding is left out, and other rows remain."""
    tx = MADE[name]
    plain, fused = stepping(tx), stepping(adamx.fused(tx))
    params, state = PARAMS, tx.init(PARAMS)
    assert native_rows(fused, params, state, IDS, ROWS[0]) == 1
    for rows in ROWS:
        got, want = (step(params, state, IDS, rows) for step in (fused, plain))
        assert_same(got[0], want[0], beside=params)
        assert_same(got[1], want[1], beside=state)
        others = np.setdiff1d(np.arange(N), TOUCHED)
        before, after = params["table"][others], got[0]["table"][others]
        np.testing.assert_array_equal(before, after)
        assert not (got[0]["table"] == params["table"])[TOUCHED].all(1).any()
        params, state = want


@SAME_BITS
@pytest.mark.parametrize("name", UPDATED)
def test_without_step_the_slots_are_in_the_table(name):
    tx = UPDATED[name]
    plain, fused = updating(tx), updating(adamx.fused(tx))
    state = tx.init(PARAMS)
    assert native_rows(fused, PARAMS, state, IDS, ROWS[0]) == 1
    got, want = (step(PARAMS, state, IDS, ROWS[0]) for step in (fused, plain))
    assert_same(got, want, beside=(PARAMS, state))


def test_nothing_of_the_size_of_the_table_or_the_rows_is_copied():
    """The one temporary array is that of the rows, each id once."""
    n, ids, width = 5000, 500, 32
    tx = adamx.fused(adamx.adamw(1e-3))
    params = {"table": jnp.ones((n, width))}
    state = tx.init(params)

    def step(params, state, ids, rows):
        grads = {"table": RowSparse(ids, rows, n)}
        return adamx.step(tx, params, grads, state)

    given = jnp.arange(ids, dtype=jnp.int32) // 2, jnp.ones((ids, width))
    lowered = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, *given)
    analysis: Any = lowered.compile().memory_analysis()
    assert analysis.temp_size_in_bytes < 1.5 * 4 * ids * width
    assert analysis.alias_size_in_bytes >= 3 * 4 * n * width


def test_what_has_no_loop_of_rows_is_stepped_as_before():
    """A rule that counts by row, vmap, an exported program, no compiler, many ids."""
    state = PLAIN.init(PARAMS)
    plain, fused = stepping(PLAIN), stepping(adamx.fused(PLAIN))
    given = PARAMS, state, IDS, ROWS[0]
    want = plain(*given)
    assert native_rows(fused, *given) == 1

    pair = jax.tree.map(lambda x: jnp.stack([x, x]), given)
    mapped = jax.jit(jax.vmap(fused))
    assert native_calls(mapped, *pair) == 0
    first = jax.tree.map(lambda x: x[1], mapped(*pair))
    assert_same(first, want, beside=given[:2])

    exported = jax.export.export(fused)(*given)
    assert "adamx_fused" not in exported.mlir_module()

    with compiler.left_out():
        alone = stepping(adamx.fused(PLAIN))
        assert native_calls(alone, *given) == 0
        assert_same(alone(*given), want, beside=given[:2])

    given = *given[:2], np.tile(IDS, 6), jnp.concatenate([ROWS[0]] * 6) / 6
    assert native_rows(fused, *given) == 0
    assert_same(fused(*given), plain(*given), beside=given[:2])

    by_row = sparse.per_row(PLAIN, "table")
    given = PARAMS, by_row.init(PARAMS), IDS, ROWS[0]
    counted = stepping(adamx.fused(by_row))
    assert native_rows(counted, *given) == 0
    assert_same(counted(*given), stepping(by_row)(*given), beside=given[:2])


@NEEDS_DEVICES
def test_a_table_that_says_how_it_is_split_is_stepped_where_it_is():
    """The rows that are taken out of it are whole on each device, and say so."""
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Explicit,))
    spec = {"bias": P(), "table": P("d")}
    places = jax.tree.map(lambda one: NamedSharding(mesh, one), spec)
    want = stepping(PLAIN)(PARAMS, PLAIN.init(PARAMS), IDS, ROWS[0])
    with jax.set_mesh(mesh):
        params = jax.device_put(PARAMS, places)
        given = jax.device_put((IDS, ROWS[0]), NamedSharding(mesh, P()))
        fused = stepping(adamx.fused(PLAIN))
        got = fused(params, PLAIN.init(params), *given)
    assert got[0]["table"].sharding.is_equivalent_to(places["table"], 2)
    got = jax.tree.map(np.asarray, got)
    assert_same(got, want, beside=(PARAMS, PLAIN.init(PARAMS)))
