"""Blocks that `init` fits to the sharding of a leaf, and that the state tells."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import export
from jax.sharding import NamedSharding, PartitionSpec as P

import adamx
from adamx.engine.divisions import told
from adamx.storage import Blockwise, Cast
from adamx.storage.blocks import block_of, fitted_block, layout
from tests.support import meshes
from tests.support.meshes import NEEDS_DEVICES, UNDER, entered
from tests.support.trees import assert_close, assert_equal, assert_same_codes

pytestmark = NEEDS_DEVICES
PIECES = 8
STORED = ("codes", "scale")
mesh_of = functools.partial(meshes.mesh_of, m=PIECES)
COLLECTIVE = re.compile(r"all-gather|all-reduce|all-to-all|collective-permute")
SHAPES = {"wide": (8, 768), "rows": (200, 64)}  # whose rows are merged
SPECS = {"wide": P(None, "m"), "rows": P("m")}
PIECES_OF = {"wide": (1, 8), "rows": (8, 1)}
BLOCKS = {"wide": 96, "rows": 100}
EIGHT, FOUR = Blockwise(min_size=0), Blockwise(4, min_size=0, rounding="dither")
FLOAT8 = Cast(jnp.float8_e4m3fn, "stochastic")
TX = adamx.store(adamx.adamw(0.1), mu=EIGHT, nu=FOUR)
IN_FLOAT8 = adamx.store(adamx.adamw(0.1), mu=FLOAT8)


def leaves(seed, mesh=None):
    draw = np.random.default_rng(seed).standard_normal
    tree = {name: draw(shape).astype(np.float32) for name, shape in SHAPES.items()}
    if mesh is None:
        return jax.tree.map(jnp.asarray, tree)
    return jax.device_put(tree, {n: NamedSharding(mesh, s) for n, s in SPECS.items()})


def two_steps(tx, state, mesh=None):
    """Return the updates, the state and the compiled step."""
    p, updates = leaves(0, mesh), None
    step = jax.jit(tx.update).lower(leaves(1, mesh), state, p).compile()
    for seed in (1, 2):
        updates, state = step(leaves(seed, mesh), state, p)
    return updates, state, step


def begun(tx):
    """A state on one device with the layout of a mesh."""
    with told(PIECES_OF):
        return tx.init(leaves(0))


@functools.cache
def alone(tx):
    """The updates and states of two steps on one device."""
    step, state, done = jax.jit(tx.update), begun(tx), []
    for seed in (1, 2):
        updates, state = step(leaves(seed), state, leaves(0))
        done.append((updates, state))
    return done


def shapes(state):
    return jax.tree.map(lambda x: (x.shape, x.dtype), state)


def bytes_here(kept, leaf):
    """The bytes on one device of what is kept of a leaf, for each of its parameters."""
    here = sum(kept[n][leaf].addressable_shards[0].data.nbytes for n in STORED)
    return here / np.prod(SHAPES[leaf])


CASES = [(kind, TX) for kind in meshes.KINDS] + [
    ("explicit", IN_FLOAT8),
    ("auto", adamx.fused(TX)),
]
NAMES = [*meshes.KINDS, "float8", "fused"]


@pytest.mark.parametrize(("kind", "tx"), CASES, ids=NAMES)
def test_nothing_is_sent_and_the_codes_are_those_of_one_device(kind, tx):
    mesh = mesh_of(kind)
    first = tx.init(leaves(0, mesh))
    updates, state, step = two_steps(tx, first, mesh)
    assert not COLLECTIVE.findall(str(step.as_text()))
    assert shapes(first) == shapes(state)
    for leaf in ("wide", "rows"):
        each = [x for x in state.slots.values() if "codes" in x]
        assert sum(bytes_here(kept, leaf) for kept in each) <= 0.15 * len(each)
    expected, expected_state = alone(IN_FLOAT8 if tx is IN_FLOAT8 else TX)[-1]
    assert_same_codes(state, expected_state)
    assert_close(updates, expected)


@pytest.mark.parametrize("codec", [EIGHT, FOUR, FLOAT8], ids=["8", "4", "float8"])
def test_the_layout_is_that_of_the_same_block_given_by_hand(codec):
    codec = codec.bind("mu", True)
    half = functools.partial(jnp.full, fill_value=0.5)
    fitted = {n: codec.fitted(SHAPES[n], PIECES_OF[n]) for n in SHAPES}
    assert fitted == {n: codec.of_block(block) for n, block in BLOCKS.items()}

    @jax.jit
    def read(x):
        kept = {n: fitted[n].encode(x[n], half) for n in x}
        both = [(codec, fitted[n]) for n in x]
        return [
            [one.decode(kept[n], x[n].shape) for one in pair]
            for n, pair in zip(x, both, strict=True)
        ]

    for by_shape, by_hand in read(leaves(3)):
        assert_equal(by_shape, by_hand)


def test_the_shape_of_the_scales_tells_the_block():
    """For every short axis and every number of pieces."""
    found = set()
    for n, pieces in itertools.product(range(32, 1200, 16), (2, 4, 8)):
        shape, divided = (3, n), (1, pieces)
        block = None if n % pieces else fitted_block(shape, 128, divided)
        if block is None:
            continue
        lay = layout(shape, block)
        assert lay.cut(divided) is None
        assert block_of(shape, 128, lay.ranked(lay.blocks)) == block
        assert block == 128 or (n // pieces) % block == 0
        found.add(block)
    assert {128, 96, 24, 16} <= found
    assert fitted_block((8, 944), 128, (1, 8)) is None  # 8 blocks of 118, or of 128
    assert fitted_block((8, 800), 128, (1, 4)) == 50  # 2 of 100 in a piece, or of 128
    assert fitted_block((4096, 96), 128, (1, 4)) == 24  # rows are not merged then
    assert fitted_block((8, 8, 96), 128, (1, 8, 1)) == 96
    assert fitted_block((8, 768), 128, (8, 1)) == 128  # rows are divided only
    assert fitted_block((), 128, ()) == 128


@UNDER
def test_explicit_axes_say_it_under_jit(under):
    mesh = mesh_of("explicit")
    with entered(mesh, under):
        p = leaves(0, mesh)
        eager, traced = TX.init(p), jax.jit(TX.init)(p)
        assert_equal(eager, traced)
        assert shapes(adamx.abstract_state(TX, p)) == shapes(eager)


def test_all_that_looks_at_a_state_sees_the_same():
    """On Auto axes, where a warning says that `jit` does not see the sharding."""
    p = leaves(0, mesh_of("auto"))
    state = TX.init(p)
    said = (
        r"the layout of the slot `mu` of `rows` \(and 3 more\) follows the 8 pieces of "
        r"axis 0, .* outside jax\.jit, or .* all meshes: Cast\(jnp\.bfloat16"
    )
    with pytest.warns(match=f"state_sharding: {said}"):
        sharding = adamx.state_sharding(TX, p)
    with pytest.warns(match=f"abstract_state: {said}"):
        target = adamx.abstract_state(TX, p)
    assert shapes(target) == shapes(state)
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(sharding), strict=True)
    assert all(x.sharding.is_equivalent_to(s, x.ndim) for x, s in pairs if x.ndim)
    plan = adamx.memory_plan(TX, p)
    assert plan.bytes == sum(x.nbytes for x in jax.tree.leaves(state))
    assert "block=96, min_size=0, signed=True), as the mesh" in str(plan)
    assert "begun so by tx.init outside jit" in str(plan)
    shown = adamx.slots(state, "nu", p)
    assert {n: x.shape for n, x in shown.items()} == SHAPES
    assert_equal(optax.tree_map_params(TX, lambda x: x, state), state)


def test_restore_brings_a_state_into_the_layout_of_another_mesh():
    mesh = mesh_of("explicit")
    p, g, here = ({"wide": leaves(*x)["wide"]} for x in ((0,), (1,), (0, mesh)))
    tx = adamx.store(adamx.sgd(0.1, momentum=0.9), momentum=EIGHT)
    with told(PIECES_OF):
        first = tx.init(p)
    _, first = jax.jit(tx.update)(g, first, p)
    one = adamx.restore(tx, first, p)
    fresh = tx.init(here)
    assert shapes(one) == shapes(tx.init(p)) != shapes(first)
    assert_equal(adamx.restore(tx, first, here), first)  # in that layout already
    where = jax.tree.map(lambda x: x.sharding, fresh)
    assert_equal(adamx.restore(tx, jax.device_put(first, where), p), one)
    assert shapes(adamx.restore(tx, one, here)) == shapes(fresh)
    before, after = (adamx.slots(x, "momentum", p) for x in (first, one))
    for leaf, x in before.items():  # levels are within 1/8 of each other
        np.testing.assert_allclose(after[leaf], x, rtol=0.13, atol=1e-4)


def test_shards_that_are_given_win():
    tx = adamx.store(adamx.adamw(0.1), mu=Blockwise(min_size=0, shards=16))
    p = {"wide": leaves(0, mesh_of("auto"))["wide"]}
    assert tx.init(p).slots["mu"]["scale"]["wide"].shape == (8, 768 / 48)
    one = Blockwise(min_size=0, shards=1)
    assert one.fitted((8, 768), (1, 8)) == one
    assert one.form() == EIGHT.form() != Blockwise(min_size=0, shards=8).form()
    kept = {"scale": jnp.ones((8, 8))}
    assert one.as_kept(kept, (8, 768)).block == 96  # restored from another mesh


def test_zero1_knows_how_it_divides_under_jit():
    """Rows of 25 on each device are merged into blocks of 100."""
    mesh, tx = mesh_of("auto"), adamx.zero1(IN_FLOAT8, "m")
    p = jax.device_put(leaves(0), NamedSharding(mesh, P()))
    state = tx.init(p)
    assert state.slots["mu"]["scale"]["rows"].shape == (128, 1)
    assert shapes(jax.jit(tx.init)(p)) == shapes(state)
    assert shapes(adamx.abstract_state(tx, p)) == shapes(state)


def test_in_shard_map_begins_and_reads_the_state_of_the_whole():
    mesh, p = mesh_of("auto"), leaves(0, mesh_of("auto"))
    first = TX.init(p)
    inside = adamx.in_shard_map(TX, SPECS)
    specs = jax.tree.map(lambda x: x.sharding.spec if x.ndim else P(), first)
    mapped = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)
    made = jax.jit(mapped(inside.init, in_specs=(SPECS,), out_specs=specs))(p)
    assert_equal(made, first)
    given, returned = (SPECS, specs, SPECS), (SPECS, specs)
    step = mapped(inside.update, in_specs=given, out_specs=returned)
    updates, after = jax.jit(step)(leaves(1, mesh), made, p)
    expected, expected_state = alone(TX)[0]
    assert_same_codes(after, expected_state)
    assert_close(updates, expected)


def test_an_exported_step_reads_the_layout():
    given = leaves(1), begun(TX), leaves(0)
    made = export.export(jax.jit(TX.update))(*given)
    got = export.deserialize(made.serialize()).call(*given)
    assert_equal(got, alone(TX)[0])


# ---- where no layout fits, or it was not seen ---------------------------------------

NO_FIT = (
    r"init: what is kept of the slot `mu` of `w` must be divided as the leaf is, got "
    r"Blockwise\(.*\), in which no blocks of the shape \(64, 96\) end where the 8 "
    r"pieces of axis 1 do\. Pass Cast\(jnp\.bfloat16, 'stochastic'\)\."
)


def test_no_layout_fits():
    tx = adamx.store(adamx.adamw(0.1), mu=EIGHT)

    def narrow(kind):
        where = NamedSharding(mesh_of(kind), P(None, "m"))
        return {"w": jax.device_put(jnp.ones((64, 96)), where)}

    with pytest.warns(match=NO_FIT + " Until then devices keep more"):
        tx.init(narrow("auto"))
    for init in (tx.init, jax.jit(tx.init)):
        with pytest.raises(adamx.errors.AdamxError, match=NO_FIT):
            init(narrow("explicit"))
    said = str(adamx.memory_plan(tx, narrow("auto")))
    assert "8 pieces of the last axis do, but with Cast(jnp.bfloat16" in said


@pytest.mark.parametrize("kind", ["auto", "explicit"])
def test_a_state_that_was_begun_without_the_mesh(kind):
    """As `init` under `jit` begins it on Auto axes."""
    mesh, tx = mesh_of(kind), adamx.store(adamx.adamw(0.1), mu=EIGHT)
    where = NamedSharding(mesh, SPECS["wide"])
    p = {"wide": jax.device_put(leaves(0)["wide"], where)}
    state = tx.init({"wide": leaves(0)["wide"]})
    state = jax.device_put(state, NamedSharding(mesh, P()))
    said = (
        r"update: what is kept of the slot `mu` of `wide` must .* where the 8 pieces "
        r"of axis 1 do: .* Call adamx\.restore\(tx, state, params\) outside jit, or "
        r"pass Blockwise\(shards=8\)\."
    )
    if kind == "auto":
        with pytest.warns(match=said):
            tx.update(p, state, p)
    else:
        with pytest.raises(adamx.errors.AdamxError, match=said):
            jax.jit(tx.update)(p, state, p)
        after = adamx.restore(tx, state, p)
        jax.eval_shape(tx.update, p, after, p)  # and no error
