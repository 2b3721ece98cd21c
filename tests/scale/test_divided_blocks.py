"""Blocks that end where the pieces of a sharded axis do: `Blockwise(shards=...)`."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec as P

import adamx
from adamx.storage import Blockwise
from tests.support import meshes
from tests.support.meshes import EVERY_MESH, NEEDS_DEVICES
from tests.support.trees import assert_equal, assert_same_codes

pytestmark = NEEDS_DEVICES
SHAPE, PIECES = (8, 768), 8  # 96 elements on each device, in which no 128 end
WIDE = {"w": P(None, "m")}
COLLECTIVE = re.compile(r"all-gather|all-reduce|all-to-all|collective-permute")
mesh_of = functools.partial(meshes.mesh_of, m=PIECES)


def leaves(seed, sharding=None):
    x = np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)
    return {"w": jax.device_put(x, sharding)}


def stored(bits, shards=1):
    codec = Blockwise(bits, min_size=0, shards=shards)
    return adamx.store(adamx.adamw(0.1), mu=codec, nu=codec)


@functools.cache
def alone(bits):
    """Two steps on one device."""
    return run(stored(bits, shards=PIECES), None)[0]


def second(tx, p, g):
    """The second update by the same gradient."""
    _, state = tx.update(g, tx.init(p), p)
    return tx.update(g, state, p)[0]


def run(tx, sharding):
    p, step = leaves(0, sharding), jax.jit(tx.update)
    state = jax.jit(tx.init)(p)
    grads = [leaves(seed, sharding) for seed in (1, 2)]
    compiled = step.lower(grads[0], state, p).compile()
    updates = None
    for g in grads:
        updates, state = step(g, state, p)
    return (updates, state), compiled


@EVERY_MESH
@pytest.mark.parametrize("bits", [8, 4])
def test_codes_lie_where_their_elements_do(kind, bits):
    """Nothing is sent, and the codes are those of the run on one device."""
    sharding = NamedSharding(mesh_of(kind), WIDE["w"])
    (updates, state), compiled = run(stored(bits, shards=PIECES), sharding)
    assert updates is not None
    assert not COLLECTIVE.findall(str(compiled.as_text()))
    kept = [x for x in jax.tree.leaves(state) if x.size > 1]
    here = sum(x.addressable_shards[0].data.nbytes for x in kept)
    assert here / np.prod(SHAPE) <= 2 * (bits / 8 + 4 / 96) / PIECES
    expected, expected_state = alone(bits)
    assert_same_codes(state, expected_state)
    np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-6)


def test_what_it_prevents():
    """Blocks of 128 of the same array are sent around; the plan says where none fit."""
    sharding = NamedSharding(mesh_of("auto"), WIDE["w"])
    tx = stored(8)
    _, compiled = run(tx, sharding)
    assert COLLECTIVE.findall(str(compiled.as_text()))
    fits = str(adamx.memory_plan(stored(8, shards=PIECES), leaves(0, sharding)))
    assert "do not end" not in fits
    assert "blocks of 96" in fits
    short = {"w": jax.device_put(jnp.ones((768, 64)), sharding)}  # rows are merged
    for shards in (1, PIECES):
        said = str(adamx.memory_plan(stored(8, shards=shards), short))
        assert "blocks do not end where the 8 pieces of the last axis do" in said
        assert "do, but with Cast(jnp.bfloat16, 'stochastic')" in said


def test_the_largest_even_block_that_divides_a_piece():
    x = jnp.asarray(leaves(0)["w"])
    half = functools.partial(jnp.full, fill_value=0.5)
    for shards, most, block in [
        (8, 128, 96),
        (16, 128, 48),
        (4, 128, 96),
        (2, 128, 128),
        (8, 64, 48),
        (64, 128, 128),  # 12 would be less than 16
        (7, 128, 128),
    ]:
        fitted = Blockwise(block=most, min_size=0, shards=shards)
        fitted = fitted.bind("mu", True).encode(x, half)
        plain = Blockwise(min_size=0, block=block).bind("mu", True).encode(x, half)
        assert_equal(fitted, plain)
    note = Blockwise(shards=64).bind("mu", True).note(SHAPE)
    assert note.endswith("no block fits 64 shards")
    assert (
        Blockwise().form() == Blockwise(shards=1).form() != Blockwise(shards=8).form()
    )


def test_inside_shard_map_blocks_are_those_of_the_whole():
    mesh = mesh_of("auto")
    tx = adamx.in_shard_map(stored(8, shards=PIECES), WIDE)

    mapped = jax.shard_map(
        functools.partial(second, tx),
        mesh=mesh,
        in_specs=(WIDE, WIDE),
        out_specs=WIDE,
        check_vma=False,
    )
    p, g = leaves(0), leaves(1)
    plain = jax.jit(functools.partial(second, stored(8, shards=PIECES)))
    got, expected = jax.jit(mapped)(p, g), plain(p, g)
    np.testing.assert_allclose(got["w"], expected["w"], rtol=1e-6)


@pytest.mark.parametrize("shards", [0, -1])
def test_shards_that_are_no_number_of_pieces(shards):
    with pytest.raises(adamx.errors.AdamxError, match=r"`shards` must be the number"):
        Blockwise(shards=shards)
