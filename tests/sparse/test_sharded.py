"""Tables that are split over 8 devices, by rows or by columns, in both mesh modes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx import sparse, storage
from tests.support.meshes import NEEDS_DEVICES

N, WIDTH, K = 512, 32, 8
PARAMS = {
    "table": np.random.default_rng(0).standard_normal((N, WIDTH)).astype("f4"),
    "w": np.ones((WIDTH, 2), "f4"),
}
IDS = jnp.array([3, 500, 3, 77, -1, N, 130, 64])
TX = sparse.catch_up(
    adamx.store(adamx.adamw(0.1), nu=storage.Blockwise(block=4, min_size=0)),
    "table",
    exact=False,
)


def loss(p, ids):
    return ((sparse.lookup(p["table"], ids) @ p["w"]) ** 2).sum()


def step(p, state, ids):
    _, grads = sparse.value_and_grad(loss)(p, ids)
    return adamx.step(TX, p, grads, state)


@pytest.fixture(scope="module")
def alone():
    p = jax.tree.map(jnp.asarray, PARAMS)
    return jax.tree.map(np.asarray, jax.jit(step)(p, TX.init(p), IDS))


@NEEDS_DEVICES
@pytest.mark.parametrize("spec", [P("d"), P(None, "d")], ids=["rows", "columns"])
@pytest.mark.parametrize("mode", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_a_split_table_is_stepped_where_it_is(alone, mode, spec):
    """The result is that of one device, and only rows go between devices."""
    mesh = jax.make_mesh((8,), ("d",), axis_types=(mode,))
    kept = {"table": NamedSharding(mesh, spec), "w": NamedSharding(mesh, P())}
    p = jax.device_put(PARAMS, kept)
    with jax.set_mesh(mesh):
        state = jax.jit(TX.init)(p)
        ids = jax.device_put(IDS, NamedSharding(mesh, P()))
        compiled = jax.jit(step).lower(p, state, ids).compile()
        got = compiled(p, state, ids)
    assert got[0]["table"].sharding.is_equivalent_to(kept["table"], 2)
    assert got[1].mu["table"].sharding.is_equivalent_to(kept["table"], 2)
    for a, b in zip(*map(jax.tree.leaves, (got, alone)), strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-4, atol=1e-4)
    moved = re.findall(r"= (.*?) (?:all-|collective-|reduce-)", compiled.as_text())
    sizes = [
        np.prod([int(n) for n in shape.split(",")])
        for found in moved
        for shape in re.findall(r"\[([\d,]+)\]", found)
    ]
    assert max(sizes) <= K * WIDTH
