"""A leaf seen through `axes=` steps as its matrices would as leaves of two axes.

`MatrixAxes` of `muon` and its kind: tests/parts/test_matrix_axes.py; of `muown`:
test_muown.py.
"""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx.engine.state import is_absent
from adamx.optimizers import NeuronEma
from adamx.parts import (
    AxesByName,
    Hyperball,
    MatrixAxes,
    TrustRatio,
    gram_newton_schulz,
    polar_express,
)
from tests.support.meshes import NEEDS_DEVICES
from tests.support.runs import run

pytestmark = [pytest.mark.usefixtures("x64"), NEEDS_DEVICES]
STEPS = 2
# all matrices are 6 × 4 or 4 × 6, so that they are iterated as one stack
SHAPES = {
    "attention/query/kernel": (6, 2, 2),
    "attention/out/kernel": (2, 2, 6),
    "conv/kernel": (3, 1, 2, 4),
    "experts/w": (3, 6, 4),
    "c_attn/kernel": (6, 12),
    "cut/kernel": (8, 6),
    "dense/weight": (4, 6),
}
GIVEN = {"c_attn": MatrixAxes(split_columns=3), "cut": MatrixAxes(split_rows=2)}
SEEN = {
    "attention/query/kernel": MatrixAxes(0, (1, 2)),
    "attention/out/kernel": MatrixAxes((0, 1), 2),
    "conv/kernel": MatrixAxes((0, 1, 2), 3),
    "experts/w": MatrixAxes(1, 2),
    "c_attn/kernel": GIVEN["c_attn"],
    "cut/kernel": GIVEN["cut"],
    "dense/weight": MatrixAxes(1, 0),
}
"""What the names of the leaves and `GIVEN` mean, written out."""
BUILT = {
    "normuon": functools.partial(adamx.normuon, 0.02, weight_decay=0.1),
    "muonh": functools.partial(adamx.muonh, 0.02),
    "scion": functools.partial(adamx.scion, 0.01, radius=2.0),
    "dion": functools.partial(adamx.dion, 0.02, rank_fraction=0.5),
    "dion2": functools.partial(adamx.dion2, 0.02, fraction=0.5),
}
KEPT = {
    "normuon": {
        "attention/query/kernel": (1, 2, 2),
        "attention/out/kernel": (1, 1, 6),
        "conv/kernel": (1, 1, 1, 4),
        "experts/w": (3, 1, 4),
        "c_attn/kernel": (1, 12),
        "cut/kernel": (2, 6),
        "dense/weight": (4, 1),
    },
    "muonh": {
        "experts/w": (3, 1, 1),
        "c_attn/kernel": (1, 3),
        "cut/kernel": (2, 1),
        **dict.fromkeys(("attention/query/kernel", "attention/out/kernel"), ()),
        **dict.fromkeys(("conv/kernel", "dense/weight"), ()),
    },
    "dion": {
        "attention/query/kernel": (6, 2),
        "attention/out/kernel": (4, 2),
        "conv/kernel": (6, 2),
        "experts/w": (3, 6, 2),
        "c_attn/kernel": (3, 6, 2),
        "cut/kernel": (2, 4, 2),
        "dense/weight": (6, 2),
    },
}
SLOT = {"normuon": "neuron_nu", "muonh": "radius", "dion": "right_factor"}


@functools.cache
def arrays(names=tuple(SHAPES)):
    """The parameters, and the gradients of all steps."""
    normal = np.random.default_rng(7).standard_normal
    p = {path: normal(SHAPES[path]) for path in names}
    return p, {path: normal((STEPS, *x.shape)) for path, x in p.items()}


def matrices(tree, of=lambda stack: stack):
    """Stacks of the matrices of every leaf, of which only the axes are known."""
    shapes = {path: SHAPES[path] for path in tree}
    stacks = {path: of(SEEN[path].of(shape).stack) for path, shape in shapes.items()}
    return {path: {"kernel": stacks[path](jnp.asarray(x))} for path, x in tree.items()}


def plain(compiled):
    """Compile without optimization: there are many small programs."""
    return compiled.compile({"xla_backend_optimization_level": 0})


@pytest.mark.parametrize("name", BUILT)
def test_a_leaf_steps_as_the_stack_of_its_matrices(name):
    """Also of `adamx.stacked`, and with the stacks spread over devices."""
    p, gradients = arrays()
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    takes = inspect.signature(BUILT[name].func).parameters
    more = {"spread": NamedSharding(mesh, P("d"))} if "spread" in takes else {}

    def both(p, gradients):
        seen, state = run(BUILT[name](axes=GIVEN, **more), p, gradients)
        stacks = adamx.stacked(BUILT[name](), ".")
        alone, _ = run(stacks, matrices(p), matrices(gradients, jax.vmap))
        return matrices(seen, jax.vmap), alone, state

    seen, alone, state = plain(jax.jit(both).lower(p, gradients))(p, gradients)
    for path, want in alone.items():
        got = seen[path]["kernel"]
        np.testing.assert_allclose(got, want["kernel"], rtol=0, atol=1e-11)
    assert not any(state.slots.get("nu", {}).values()), "no leaf is Adam's"
    if name in KEPT:
        kept = state.slots[SLOT[name]]
        assert {path: x.shape for path, x in kept.items()} == KEPT[name]


def test_a_leaf_steps_as_leaves_of_two_axes():
    """As those themselves, not a stack: heads, and the three of a fused kernel."""
    normal = np.random.default_rng(3).standard_normal
    query, fused = normal((6, 2, 2)), normal((6, 12))
    alone = {"query": query.reshape(6, 4)}
    alone |= {f"part_{i}": fused[:, 4 * i : 4 * i + 4] for i in range(3)}
    seen = {"query": {"kernel": jnp.asarray(query)}, "c_attn": jnp.asarray(fused)}
    tx = BUILT["normuon"](axes=GIVEN)
    got, _ = tx.update(jax.tree.map(jnp.sin, seen), tx.init(seen), seen)
    tx, p = BUILT["normuon"](), jax.tree.map(jnp.asarray, alone)
    want, _ = tx.update(jax.tree.map(jnp.sin, p), tx.init(p), p)
    heads = got["query"]["kernel"].reshape(6, 4)
    np.testing.assert_allclose(heads, want["query"], rtol=0, atol=1e-12)
    parts = jnp.concatenate([want[f"part_{i}"] for i in range(3)], 1)
    np.testing.assert_allclose(got["c_attn"], parts, rtol=0, atol=1e-12)


def test_each_matrix_keeps_its_own_norm():
    """Of `adamh` too; of a leaf without axes the whole has one."""
    p = {"experts": {"w": jnp.asarray(np.random.default_rng(5).normal(size=(3, 4, 2)))}}
    p["other"] = jnp.asarray([[3.0, 4.0]])[None]
    rules = (TrustRatio(axes=AxesByName()), adamx.parts.LearningRate(0.5))
    tx = adamx.chain(*rules, Hyperball(axes=AxesByName()))
    state = tx.init(p)
    g = jax.tree.map(jnp.cos, p)
    updates, _ = tx.update(g, state, p)
    after = optax.apply_updates(p, updates)
    lengths = [jnp.linalg.norm(x["experts"]["w"], axis=(1, 2)) for x in (p, after)]
    np.testing.assert_allclose(*lengths, rtol=1e-12)
    assert state.slots["radius"]["other"] == 5.0
    np.testing.assert_allclose(jnp.linalg.norm(after["other"]), 5.0, rtol=1e-12)
    held = adamx.adamh(0.5)
    updates, _ = held.update(g, held.init(p), p)
    each = jnp.linalg.norm(p["experts"]["w"] + updates["experts"]["w"], axis=(1, 2))
    np.testing.assert_allclose(each, lengths[0], rtol=1e-12)
    assert is_absent(held.init(p).slots["radius"]["other"])


@pytest.mark.parametrize("name", ["muonh", "dion"])
def test_inside_shard_map_it_is_the_run_on_one_device(name):
    """Experts split one from another, rows of a kernel that is cut by its columns."""
    names = ("attention/query/kernel", "c_attn/kernel", "experts/w")
    p, gradients = arrays(names)
    mesh = jax.make_mesh((3,), ("d",), axis_types=(AxisType.Auto,))
    each, steps = P("d"), P(None, "d")
    split = jax.shard_map(
        lambda p, g: run(BUILT[name](axes=GIVEN, axis_name="d"), p, g)[0],
        mesh=mesh,
        in_specs=(each, steps),
        out_specs=steps,
    )
    got = plain(jax.jit(split).lower(p, gradients))(p, gradients)
    whole = jax.jit(lambda p, g: run(BUILT[name](axes=GIVEN), p, g)[0])
    want = plain(whole.lower(p, gradients))(p, gradients)
    for path in names:
        np.testing.assert_allclose(got[path], want[path], rtol=0, atol=1e-12)


def test_dion_refuses_a_split_for_which_it_would_have_to_gather():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,))
    cases = {
        "cut/kernel": (
            P("d"),
            r"LowRankOrthogonal: .*\(8, 6\) with the rows \(0,\)\. Split it",
        ),
        "attention/query/kernel": (P(None, None, "d"), r"columns \(1, 2\)\. Split it"),
    }
    for path, (spec, sentence) in cases.items():
        p, _ = arrays((path,))
        tx = adamx.in_shard_map(adamx.dion(0.1, axes=GIVEN), {path: spec})
        begin = jax.shard_map(
            lambda p, tx=tx: tx.init(p).slots["momentum"],
            mesh=mesh,
            in_specs=({path: spec},),
            out_specs={path: spec},
        )
        with pytest.raises(ValueError, match=sentence):
            jax.eval_shape(begin, p)


def test_iterations_are_taken_and_axes_that_do_not_exist_refused():
    iteration = gram_newton_schulz(polar_express(5))
    p = {"w": jnp.ones((3, 4))}
    for name in ("normuon", "muonh", "muown", "scion", "dion2"):
        build = getattr(adamx, name)
        assert repr(iteration) in repr(build(0.1, iteration=iteration))
        with pytest.raises(ValueError, match="`iteration` must come without"):
            build(0.1, iteration=iteration, ns_steps=7)
    for name in (*BUILT, "adamh"):
        tx = getattr(adamx, name)(0.1, axes=MatrixAxes(0, 2))
        with pytest.raises(ValueError, match=r"must be in the array, got axis 2"):
            tx.update(p, tx.init(p), p)
    with pytest.raises(ValueError, match=r"NeuronEma: `out_axis` must .*got 3"):
        NeuronEma(0.9, out_axis=3)
    with pytest.raises(ValueError, match=r"NeuronEma: every leaf .* got shape \(2, 3"):
        adamx.normuon(muon_mask="w").init({"w": jnp.ones((2, 3, 4))})


def test_the_plan_shows_the_matrices_of_each():
    p, _ = arrays()
    stored = {path: jax.ShapeDtypeStruct(x.shape, jnp.float32) for path, x in p.items()}
    want = {path: SEEN[path].of(SHAPES[path]).sizes for path in p}
    for name in ("muon", "adamuon", "muown", "normuon", "muonh", "scion", "dion"):
        rows = adamx.matrix_plan(getattr(adamx, name)(0.1, axes=GIVEN), stored).rows
        assert {row.leaf: row.matrices for row in rows} == want, name


def test_muown_is_the_same_with_its_stacks_spread():
    """The masks, the lengths of neurons and `spread` see the same matrices."""
    p, gradients = arrays()
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    spread = NamedSharding(mesh, P("d"))
    here, there = (
        run(adamx.muown(0.1, axes=GIVEN, **more), p, gradients)[0]
        for more in ({}, {"spread": spread})
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), here, there
    )


def test_the_first_axis_has_two_names():
    """`out_axis=-2` is 0, as with every axis of an array."""
    p = {"w": jnp.arange(12.0).reshape(3, 4) + jnp.eye(3, 4)}
    gradients = jax.tree.map(lambda x: x[None], p)
    for name in ("muon", "normuon", "muown", "scion", "dion", "dion2"):
        first, same = (
            getattr(adamx, name)(0.1, out_axis=axis, axes=MatrixAxes())
            for axis in (0, -2)
        )
        one, two = (run(tx, p, gradients)[0]["w"] for tx in (first, same))
        np.testing.assert_array_equal(one, two)
