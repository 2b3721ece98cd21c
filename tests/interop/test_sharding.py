"""Sharded as unsharded: on 8 devices, in both mesh modes, and inside `shard_map`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx import chain
from adamx.parts import ClipByGlobalNorm
from tests.support.counting import counted
from tests.support.meshes import NEEDS_DEVICES
from tests.support.trees import assert_close, signature
from tests.table.cases import BASIC, PAIRS, cases, kinds, sample


def needs_the_whole(case):
    """What reads more than one element, and the basic ones."""
    return case.optimizer in BASIC or case.optimizer.scope != "element"


EVERY = pytest.mark.parametrize("case", cases(first_only=True))
WHOLE = pytest.mark.parametrize(
    "case", [param for param in kinds() if needs_the_whole(param.values[0])]
)
FIRST = pytest.mark.parametrize("case", sample())
MODES = pytest.mark.parametrize(
    "mode", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"]
)
SPECS = {
    "rows": P("d"),
    "both": P("d", "m"),
    "last": P(None, "m"),
    "whole": P(),
    "vector": P("m"),
    "scalar": P(),
}
SHAPES = {
    "rows": (8, 3),
    "both": (4, 6),
    "last": (3, 4),
    "whole": (5,),
    "vector": (6,),
    "scalar": (),
}
pytestmark = NEEDS_DEVICES


def mesh_of(mode):
    return jax.make_mesh((4, 2), ("d", "m"), axis_types=(mode, mode))


def tree(seed):
    normal = np.random.default_rng(seed).standard_normal
    return {n: jnp.asarray(normal(s), jnp.float32) for n, s in SHAPES.items()}


def placed(seed, mesh):
    """The tree of the seed, each leaf laid out by its spec."""
    shardings = {n: NamedSharding(mesh, s) for n, s in SPECS.items()}
    return jax.device_put(tree(seed), shardings)


def assert_same_sharding(got, like):
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(like), strict=True
    ):
        where = jax.tree_util.keystr(path)
        assert a.sharding.is_equivalent_to(b.sharding, a.ndim), (
            where,
            a.sharding,
            b.sharding,
        )


def slots_like_params(state, p):
    return [
        slot
        for slot in state.slots.values()
        if jax.tree.structure(slot) == jax.tree.structure(p)
    ]


@EVERY
@MODES
def test_init_keeps_the_sharding_of_the_parameters(case, mode):
    mesh = mesh_of(mode)
    p = placed(0, mesh)
    with jax.set_mesh(mesh):
        state = jax.jit(case.tx.init)(p)
    for slot in slots_like_params(state, p):
        assert_same_sharding(slot, p)
    assert len(slots_like_params(state, p)) >= len(case.optimizer.slots)


@FIRST
@MODES
def test_init_keeps_the_sharding_without_a_mesh_in_scope(case, mode):
    p = placed(0, mesh_of(mode))
    for init in (jax.jit(case.tx.init), case.tx.init):
        state = init(p)
        for slot in slots_like_params(state, p):
            assert_same_sharding(slot, p)


@WHOLE
@MODES
@pytest.mark.parametrize("kind", ["constant", "array"])
def test_the_sharded_run_is_the_unsharded_run(case, mode, kind):
    """The state's sharding is a fixed point and step 2 compiles nothing."""
    names = case.hypers if kind == "array" else ()
    tx = case.build(**{n: jnp.asarray(PAIRS[n][0]) for n in names})
    mesh = mesh_of(mode)

    @jax.jit
    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    alone = tree(0)
    alone_state = tx.init(alone)
    for k in range(1, 4):
        alone, alone_state = step(alone, alone_state, tree(k))

    gradients = [placed(k, mesh) for k in range(1, 4)]
    with jax.set_mesh(mesh):
        p = placed(0, mesh)
        state = jax.jit(tx.init)(p)
        first, after = step(p, state, gradients[0])
        assert signature(after) == signature(state)
        assert_same_sharding(after, state)
        assert_same_sharding(first, p)
        p, state = first, after
        with counted() as count:
            for g in gradients[1:]:
                p, state = step(p, state, g)
        assert (count.traces, count.compilations) == (0, 0)
        assert_same_sharding(p, first)
    got, want = (
        jax.tree.map(np.asarray, t) for t in ((p, state), (alone, alone_state))
    )
    assert_close(got, want)


@FIRST
def test_inside_shard_map(case):
    """Each device runs the rule on its own part."""
    tx, mesh = case.tx, mesh_of(AxisType.Auto)

    def step(p, g):
        state = tx.init(p)
        for _ in range(2):
            updates, state = tx.update(g, state, p)
            p = optax.apply_updates(p, updates)
        return p, state

    p, g = tree(0), tree(1)
    specs = (SPECS, jax.eval_shape(tx.init, p)._replace(count=P()))
    slots = {
        n: SPECS if jax.tree.structure(s) == jax.tree.structure(p) else P()
        for n, s in specs[1].slots.items()
    }
    state_specs = specs[1]._replace(slots=slots)
    sharded = jax.jit(
        jax.shard_map(
            step, mesh=mesh, in_specs=(SPECS, SPECS), out_specs=(SPECS, state_specs)
        )
    )
    assert_close(
        jax.tree.map(np.asarray, sharded(p, g)), jax.tree.map(np.asarray, step(p, g))
    )


@pytest.mark.parametrize("axis_name", ["d", ("d", "m")], ids=str)
def test_the_global_norm_inside_shard_map_is_that_of_the_whole(axis_name):
    """Without `axis_name` every shard clips by its own norm."""
    mesh = mesh_of(AxisType.Auto)
    spec = P("d", "m") if axis_name == ("d", "m") else P("d")
    g = {
        "w": jnp.asarray(np.random.default_rng(3).standard_normal((8, 4)), jnp.float32)
    }
    tx = chain(
        ClipByGlobalNorm(1.0, axis_name=axis_name), adamx.parts.LearningRate(1.0)
    )

    def clip(g):
        return tx.update(g, tx.init(g))[0]

    got = jax.jit(jax.shard_map(clip, mesh=mesh, in_specs=spec, out_specs=spec))(g)
    whole = chain(ClipByGlobalNorm(1.0), adamx.parts.LearningRate(1.0))
    want, _ = whole.update(g, whole.init(g))
    assert_close(jax.tree.map(np.asarray, got), jax.tree.map(np.asarray, want))
    norm = np.sqrt(np.sum(np.square(np.asarray(got["w"], np.float64))))
    np.testing.assert_allclose(norm, 1.0, rtol=1e-6)


@MODES
def test_the_global_norm_under_sharded_jit(mode):
    mesh = mesh_of(mode)
    tx = ClipByGlobalNorm(1.0)
    with jax.set_mesh(mesh):
        g = placed(1, mesh)
        got, _ = jax.jit(tx.update)(g, jax.jit(tx.init)(g))
        assert_same_sharding(got, g)
    want, _ = tx.update(tree(1), tx.init(tree(1)))
    assert_close(jax.tree.map(np.asarray, got), jax.tree.map(np.asarray, want))


@FIRST
def test_donation_of_sharded_state(case):
    mesh = mesh_of(AxisType.Auto)
    tx, p, g = case.tx, placed(0, mesh), placed(1, mesh)

    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    state = jax.jit(tx.init)(p)
    want = jax.tree.map(np.asarray, step(p, state, g))
    got = jax.jit(step, donate_argnums=(0, 1))(p, state, g)
    assert all(x.is_deleted() for x in jax.tree.leaves(p))
    assert_close(jax.tree.map(np.asarray, got), want)
