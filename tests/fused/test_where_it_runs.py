"""Fused steps under JAX's transformations, on several devices, and without llvmlite."""

import jax
import jax.export
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx.native import compiler
from adamx.storage import Blockwise, DynamicMap
from tests.fused.trees import assert_same, native_calls, stepping, tree

SHAPES = {"rows": (8, 24), "vector": (7,)}
TX = adamx.adamw(1e-3)
FUSED = adamx.fused(TX)
PARAMS, GRADS = tree(0, SHAPES), tree(1, SHAPES)
STATE = TX.init(PARAMS)


def step(params, grads, state):
    return adamx.step(FUSED, params, grads, state)


@pytest.fixture(scope="module")
def expected():
    return stepping(TX)(PARAMS, GRADS, STATE)


def pairs(one):
    return jax.tree.map(lambda x: jnp.stack([x, x]), one)


def test_vmap_falls_back(expected):
    given = pairs((PARAMS, GRADS, STATE))
    mapped = jax.jit(jax.vmap(step))
    assert native_calls(mapped, *given) == 0
    assert_same(mapped(*given)[0], pairs(expected[0]), beside=given[0])


def test_derivatives_fall_back():
    def loss(tx):
        return lambda g: sum(
            x.sum() for x in jax.tree.leaves(adamx.step(tx, PARAMS, g, STATE)[0])
        )

    got, want = (jax.jit(jax.grad(loss(tx)))(GRADS) for tx in (FUSED, TX))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert jnp.allclose(a, b, rtol=1e-4, atol=1e-9)


def test_exported_programs_need_nothing(expected):
    done = jax.export.export(jax.jit(step))(PARAMS, GRADS, STATE)
    assert "adamx_fused" not in done.mlir_module()
    assert_same(done.call(PARAMS, GRADS, STATE), expected, beside=(PARAMS, STATE))


def placed(mesh, given):
    def put(x):
        spec = P("d") if x.shape == SHAPES["rows"] else P()
        return jax.device_put(x, NamedSharding(mesh, spec))

    return jax.tree.map(put, given)


@pytest.mark.parametrize("mode", [AxisType.Auto, AxisType.Explicit])
def test_divided_by_the_compiler_it_is_plain_and_nothing_is_gathered(mode, expected):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(mode,))
    given = placed(mesh, (PARAMS, GRADS, STATE))
    with jax.set_mesh(mesh):
        compiled = jax.jit(step).lower(*given).compile()
        got = compiled(*given)
    assert "adamx_fused" not in compiled.as_text()
    assert "all-gather" not in compiled.as_text()
    assert got[0]["rows"].sharding.spec[0] == "d"
    assert_same(got, expected, beside=(PARAMS, STATE))


@pytest.mark.parametrize("checked", [True, False])
def test_inside_shard_map(checked, expected):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    given = (PARAMS, GRADS, STATE)
    specs = jax.tree.map(lambda x: P("d") if x.ndim == 2 else P(), given)
    divided = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=specs,
        out_specs=(specs[0], specs[2]),
        check_vma=checked,
    )
    # with checked types, the arrays of a device are for the compiler to follow
    assert native_calls(jax.jit(divided), *given) == (0 if checked else 1)
    assert_same(jax.jit(divided)(*given), expected, beside=(PARAMS, STATE))


def test_without_llvmlite_it_is_plain_and_the_plan_says_so(monkeypatch, expected):
    monkeypatch.setattr(compiler, "is_installed", lambda: False)
    tx = adamx.fused(adamx.adamw(1e-3, b1=0.8))  # of which no loop is known yet
    compiled = jax.jit(lambda p, g, s: adamx.step(tx, p, g, s))
    assert native_calls(compiled, PARAMS, GRADS, STATE) == 0
    plan = adamx.memory_plan(tx, PARAMS)
    assert {x.computed for x in plan.leaves} == {
        "by XLA: llvmlite is not installed: adamx[fused]"
    }
    assert "computed on a CPU" in str(plan)


@pytest.mark.parametrize(
    ("tx", "said"),
    [
        (adamx.adamw(1e-3), "in one native loop"),
        (adamx.padam(1e-3), "by XLA: the operation 'pow' is not known"),
        (adamx.lamb(1e-3), "by XLA: its rules need the whole leaf"),
        (adamx.muon(1e-3), "by XLA: its rules need the whole leaf; in one native loop"),
        (adamx.sophia(1e-3), "not known: update: the extra argument `hessian`"),
        (
            adamx.store(adamx.adam(1e-3), nu=Blockwise(min_size=0, code=DynamicMap())),
            "by XLA: it has an array of constants",
        ),
        (
            adamx.store(
                adamx.adam(1e-3),
                mu=Blockwise(min_size=0, block=4),
                nu=Blockwise(min_size=0, block=6),
            ),
            "by XLA: its slots have blocks of different sizes",
        ),
    ],
    ids=["adamw", "padam", "lamb", "muon", "sophia", "dynamic", "two blocks"],
)
def test_the_plan_says_which_leaf_runs_how_and_why(tx, said):
    plan = adamx.memory_plan(adamx.fused(tx), {"w": jnp.zeros((4, 6))})
    assert plan.leaves[0].computed.startswith(said)
    assert adamx.memory_plan(tx, {"w": jnp.zeros((4, 6))}).leaves[0].computed == ""


def test_a_leaf_of_one_number_is_left_to_xla():
    plan = adamx.memory_plan(FUSED, {"s": jnp.zeros(())})
    assert plan.leaves[0].computed == "by XLA: a leaf of one number"
