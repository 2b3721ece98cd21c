"""Storage that cannot be: refused at the door with a sentence, and nothing silent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx import storage
from adamx.storage import BlockMean, Blockwise, Cast, RowColumnMeans
from benchmarks import roster
from benchmarks.cost.memory import combine, sizes
from benchmarks.cost.memory.forms import BY_NAME
from tests.table.cases import few

ADAM = adamx.adam(1e-3)

REFUSED = {
    r"every name must be a slot of .*, got 'nuu'\. Did you mean 'nu'": (
        lambda: adamx.store(ADAM, nuu=Blockwise())
    ),
    r"at least one slot must be named, got none\. There is 'mu', 'nu'": (
        lambda: adamx.store(ADAM)
    ),
    r"`nu` must be kept by a codec, got 8\. Pass": lambda: adamx.store(ADAM, nu=8),
    r"`tx` must be an adamx transformation": (
        lambda: adamx.store(lambda x: x, nu=Blockwise())
    ),
    r"Blockwise: `bits` must be 8 or 4, got 16": lambda: Blockwise(16),
    r"Blockwise: `block` must be an even number of elements, .* got 0": (
        lambda: Blockwise(block=0)
    ),
    r"`block` must be an even number of elements, .* got 63": (
        lambda: Blockwise(block=63)
    ),
    r"Blockwise: `code` must be a code, got 'log'": lambda: Blockwise(code="log"),
    r"Blockwise: `rounding` must be one of 'nearest', 'stochastic', 'dither', got": (
        lambda: Blockwise(rounding="up")
    ),
    r"Blockwise: `min_size` must be a number of elements, got -1": (
        lambda: Blockwise(min_size=-1)
    ),
    r"Cast: `dtype` must be one of float32, .* got int8": lambda: Cast(jnp.int8),
    r"Cast: `rounding` must be one of 'nearest', 'stochastic', got 'dither'": (
        lambda: Cast(jnp.bfloat16, "dither")
    ),
    r"Minifloat: `mantissa` must be a number of bits from 0 to 6, got 9": (
        lambda: storage.Minifloat(9)
    ),
    r"Minifloat: `mantissa` must leave 255 levels within float32, got 1": (
        lambda: adamx.store(adamx.adam(1.0), nu=Blockwise(code=storage.Minifloat(1)))
    ),
    r"Logarithmic: `octaves` must be above 0 and at most 125, got 0": (
        lambda: storage.Logarithmic(0)
    ),
    r"Blockwise\(signed=False\) must hold a slot that is never negative, got 'mu'": (
        lambda: adamx.store(ADAM, mu=Blockwise(signed=False))
    ),
    r"RowColumnMeans\(\) must hold .* is never negative, got 'mu'\. A product": (
        lambda: adamx.store(ADAM, mu=RowColumnMeans())
    ),
    r"BlockMean\(\) must hold a slot that is never negative, got 'mu'\. Signs": (
        lambda: adamx.store(ADAM, mu=BlockMean())
    ),
    r"'z' must be kept by a codec of one array, .* eval_params reads it": (
        lambda: adamx.store(adamx.schedule_free_adamw(1e-3), z=Blockwise())
    ),
    r"'left_basis' must be kept by a codec of one array.* stay orthogonal": (
        lambda: adamx.store(adamx.soap(1e-3), left_basis=Blockwise())
    ),
    r"must be one array per leaf, got 'z_share', which is one number": (
        lambda: adamx.store(adamx.schedule_free_adamw(1e-3), z_share=Blockwise())
    ),
    r"must hold real numbers, got 'residual', which holds int16 exactly": (
        lambda: adamx.store(adamx.split_master(), residual=Blockwise())
    ),
    r"check_storage: `codec` must be a storage\.Codec": (
        lambda: adamx.testing.check_storage(8)
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_refusals(sentence):
    with pytest.raises(ValueError, match=sentence):
        REFUSED[sentence]()


def test_a_state_of_another_storage_is_refused():
    p = {"w": jnp.ones((64, 128))}
    stored = adamx.store(ADAM, nu=Blockwise())
    with pytest.raises(ValueError, match=r"slot `nu` must be kept as .* got dict"):
        stored.update(p, ADAM.init(p), p)
    other = adamx.store(ADAM, nu=Blockwise(block=64)).init(p)
    with pytest.raises(ValueError, match=r"the slot `nu` must have been stored in"):
        stored.update(p, other, p)


class Careless(storage.Codec):
    """Loses what is small, and NaN with it."""

    parts = ("",)

    def encode(self, x, uniform):
        return {"": jnp.where(jnp.abs(x) > 1, x, 0.0)}

    def decode(self, kept, shape):
        return kept[""]


def test_a_careless_codec_is_found():
    with pytest.raises(ValueError, match=r"check_storage: Careless.* must"):
        adamx.testing.check_storage(Careless())


@pytest.mark.parametrize("optimizer", few(roster.WITH_DIRECTION, 20))
def test_every_optimizer_works_with_every_codec_or_says_why_not(optimizer):
    """Each slot is taken or refused with a sentence; what is taken is traced."""
    for codec in (Blockwise(min_size=0), RowColumnMeans()):
        taken, refused = combine.slots_for(getattr(adamx, optimizer)(1e-3), codec)
        assert all(sentence.startswith("store: ") for sentence in refused.values())
        if taken:
            combine.cell(optimizer, codec)


def test_the_bars_of_bytes_are_met():
    rows = [sizes.row(BY_NAME[name]) for name in (*sizes.BARS, "7 bytes")]
    assert [bar["what"] for bar in sizes.bars(rows) if not bar["met"]] == []
    assert sizes.parameters(sizes.gpt2()) == 124_439_808


def test_the_plan_says_how_each_leaf_is_kept():
    p = {"bias": jnp.ones(8), "narrow": jnp.ones((512, 10)), "w": jnp.ones((64, 128))}
    tx = adamx.store(adamx.adamw(1e-3), mu=Blockwise(), nu=Blockwise(4))
    text = str(adamx.memory_plan(tx, p))
    assert "float32, fewer than 4,096 elements" in text
    assert "last 2 axes merged" in text
    assert "Blockwise(4, signed=False)" in text
    found = adamx.memory_plan(tx, p)
    state = tx.init(p)
    assert found.bytes == sum(x.nbytes for x in jax.tree.leaves(state))
    assert found.bytes == adamx.memory_plan(tx, jax.eval_shape(lambda: p)).bytes
    assert {row.slot for row in found.rows} == {"mu", "nu"}
    assert np.isclose(found.bytes_per_parameter, found.bytes / found.parameters)


def test_the_plan_sees_through_masks_tunable_and_foreign_parts():
    import optax

    p = {"bias": jnp.ones(8), "w": jnp.ones((64, 128))}
    masked = adamx.Masked(adamx.scale_by_adam(), "w")
    tx = adamx.tunable(adamx.chain(optax.trace(0.9), masked), "b1")
    rows = adamx.memory_plan(tx, p).rows
    assert ("bias", "mu", "nothing", 0) in [
        (r.leaf, r.slot, r.kept, r.bytes) for r in rows
    ]
    assert any(r.part == "trace" and r.bytes == 4 * 64 * 128 for r in rows)
    foreign = adamx.memory_plan(optax.adam(1e-3), p)
    assert foreign.bytes == 8 * (8 + 64 * 128) + 4
