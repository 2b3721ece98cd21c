"""Fused steps without native loops: large leaves of few bits, in blocks."""

import functools
from types import SimpleNamespace

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx.kernels import cpu
from adamx.native import compiler
from adamx.storage import Blockwise, Cast, DynamicMap
from tests.fused.trees import assert_same, stepping, tree
from tests.support.optimized import SAME_BITS

EIGHT = functools.partial(Blockwise, min_size=0)
FOUR = functools.partial(Blockwise, 4, min_size=0)
LENGTH = 512


@pytest.fixture
def short_blocks(monkeypatch):
    monkeypatch.setattr(cpu, "LENGTH", LENGTH)
    with compiler.left_out():
        yield


def adamw(mu, nu, *last):
    return adamx.chain(adamx.store(adamx.adamw(1e-2), mu=mu, nu=nu), *last)


def loops(lowered):
    return lowered.as_text().count("stablehlo.while")


SHAPES = {
    "prime": (4099,),  # the last block is short, and so is the last of the codec
    "short rows": (65, 129),  # blocks of whole rows, of which some are left
}
STORED = {
    "8 and 4 bits": (
        adamw(EIGHT(), FOUR(rounding="dither")),
        SHAPES,
        jnp.float32,
    ),
    # its random numbers are drawn for blocks of 64, and `DynamicMap` has a table
    "7 bytes": (
        adamw(
            Cast(jnp.float8_e4m3fn, "stochastic"),
            EIGHT(block=64, code=DynamicMap()),
            adamx.split_master(8),
        ),
        {"long rows": (3, 3001)},
        jnp.bfloat16,
    ),
}


@SAME_BITS
@pytest.mark.parametrize("name", STORED)
def test_blocks_have_the_bits_of_the_whole_leaf(name, short_blocks):
    tx, shapes, dtype = STORED[name]
    params, grads = tree(0, shapes, dtype), tree(1, shapes, dtype)
    plain, blocked = stepping(tx), stepping(adamx.fused(tx))
    state = plain(params, grads, jax.jit(tx.init)(params))[1]
    # one for the blocks that are equal, one for what is left; a codec may have others
    assert loops(blocked.lower(params, grads, state)) >= 2 * len(shapes)
    grads = jax.tree.map(lambda g: g * jnp.asarray(0.1, dtype), grads)
    want, got = (step(params, grads, state) for step in (plain, blocked))
    assert_same(got[0], want[0], beside=params)
    assert_same(got[1], want[1], beside=state)


@SAME_BITS
def test_without_step_the_updates_are_those_of_the_plain_path(short_blocks):
    tx = adamw(EIGHT(), EIGHT())
    params, grads = tree(0, {"w": (4099,)}), tree(1, {"w": (4099,)})
    state = tx.init(params)
    want, got = (jax.jit(t.update)(grads, state, params) for t in (tx, adamx.fused(tx)))
    assert_same(got[0], want[0], beside=params)
    assert_same(got[1], want[1], beside=state)


@pytest.mark.parametrize("codec", [EIGHT(), FOUR()], ids=["8 bits", "4 bits"])
def test_the_program_has_temporaries_of_blocks_not_of_leaves(codec, short_blocks):
    """The plain step of 8 bits has 8 bytes a parameter, that of 4 bits 13."""
    tx = adamx.fused(adamw(codec, codec))
    shapes = {"odd": (131_101,), "rows": (1025, 129)}
    params = {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in shapes.items()}
    step = jax.jit(
        lambda params, grads, state: adamx.step(tx, params, grads, state),
        donate_argnums=(0, 2),
    )
    lowered = step.lower(params, params, jax.eval_shape(tx.init, params))
    memory = lowered.compile().memory_analysis()
    assert memory is not None
    parameters = sum(x.size for x in params.values())
    assert memory.temp_size_in_bytes < 0.5 * parameters


def test_what_is_mapped_divided_or_exported_is_computed_whole(short_blocks):
    tx = adamx.fused(adamw(EIGHT(), EIGHT()))
    params = {"w": jnp.ones((8, 1024))}
    given = params, params, tx.init(params)
    step = stepping(tx)
    assert loops(step.lower(*given)) == 1
    many = jax.tree.map(lambda x: jnp.stack([x, x]), given)
    assert loops(jax.jit(jax.vmap(step)).lower(*many)) == 0
    assert "stablehlo.while" not in jax.export.export(step)(*given).mlir_module()
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))

    def divided(x):
        placed = NamedSharding(mesh, P("d") if x.ndim else P())
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placed)

    assert loops(step.lower(*jax.tree.map(divided, given))) == 0


def test_inside_shard_map_each_device_computes_its_shard_in_blocks(short_blocks):
    tx = adamx.fused(adamw(EIGHT(), EIGHT()))
    params = {"w": jnp.ones((64, 1024))}
    given = params, params, tx.init(params)
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    specs = jax.tree.map(lambda x: P("d") if x.ndim else P(), given)
    step = jax.shard_map(
        lambda *given: adamx.step(tx, *given),
        mesh=mesh,
        in_specs=specs,
        out_specs=(specs[0], specs[2]),
        check_vma=False,
    )
    assert loops(jax.jit(step).lower(*given)) == 1


def said(tx, shape):
    params = {"w": jax.ShapeDtypeStruct(shape, jnp.float32)}
    (row,) = adamx.memory_plan(adamx.fused(tx), params).leaves
    return row.computed


def test_the_plan_says_what_runs_in_blocks_and_why():
    stored = adamw(EIGHT(), EIGHT())
    with compiler.left_out():
        assert said(stored, (1024, 1024)) == (
            "in blocks of 131,072 in plain JAX: native loops are left out"
        )
        assert said(stored, (1000, 1000)) == (
            "by XLA: native loops are left out; in no blocks: it has fewer than "
            "1,048,576 elements"
        )
    unknown = adamx.store(adamx.padam(1e-3), nu=EIGHT())
    assert said(unknown, (50257, 768)) == (
        "in blocks of 131,072 in plain JAX: the operation 'pow' is not known to the "
        "native loop"
    )


@pytest.mark.parametrize("block", [2, 96, 128])
@pytest.mark.parametrize(
    "shape", [(1, 8192), (1, 8191), (7, 1300), (64, 640), (61, 500), (300, 127)]
)
def test_every_element_is_in_one_block(shape, block):
    parts = SimpleNamespace(shape=shape, block=block, whole_rows=True)
    division = cpu.divided(parts, LENGTH)
    assert not isinstance(division, str), division
    times = np.zeros(division.shape, int)
    assert times.size == np.prod(shape)
    for region in division.regions:
        high, wide = region.size
        assert region.first[1] % block == 0
        assert region.blocks[1] == 1 or wide % block == 0
        for row in range(region.blocks[0]):
            for column in range(region.blocks[1]):
                first, beside = region.first[0] + row * high, column * wide
                beside += region.first[1]
                times[first : first + high, beside : beside + wide] += 1
    assert (times == 1).all()
