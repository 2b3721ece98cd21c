"""JAX's strict modes: no dtype and no rank is promoted implicitly, in any optimizer.

Traced under `jax_numpy_dtype_promotion="strict"` and
`jax_numpy_rank_promotion="raise"`, which raise while tracing: nothing is computed. A
schedule of Optax, or of the user, runs in the mode of the user, and
`optax.cosine_decay_schedule` itself raises in it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.numerics.matrices import symmetric_power
from adamx.storage import (
    BlockMean,
    Blockwise,
    Cast,
    Companded,
    DynamicMap,
    Linear,
    Logarithmic,
    Minifloat,
    RowColumnMeans,
)
from adamx.testing.laws import form_is_kept, state_keeps_its_form
from tests.support.laws import assert_law
from tests.table.cases import OPTIMIZERS, PAIRS, rows

CODECS = {
    "bfloat16": Cast(jnp.bfloat16, "stochastic"),
    "float16": Cast(jnp.float16, "stochastic"),
    "float8": Cast(jnp.float8_e4m3fn, "stochastic"),
    "nearest": Blockwise(8, rounding="nearest", min_size=0),
    "stochastic": Blockwise(8, rounding="stochastic", min_size=0),
    "dither": Blockwise(4, rounding="dither", min_size=0),
    **{
        repr(code): Blockwise(8, code=code, min_size=0)
        for code in (Companded(), DynamicMap(), Linear(), Logarithmic(), Minifloat())
    },
    "means": RowColumnMeans(),
    "block means": BlockMean(),
}


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def tree(dtype):
    """A matrix by the name that a mask of the table asks for, a tensor, a scalar."""
    shapes = {"matrix": (3, 4), "tensor": (2, 1, 3), "gain": ()}
    return {name: jax.ShapeDtypeStruct(s, dtype) for name, s in shapes.items()}


def assert_traced(tx, param_dtype="float32", grad_dtype="float32", law=form_is_kept):
    """`init` and a step, whose state is of the form that it was given."""
    assert_law(law, tx, tree(param_dtype), [tree(grad_dtype)])


def test_the_modes_are_on():
    with pytest.raises(ValueError, match="no available implicit dtype promotion"):
        jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.bfloat16)
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 2)) + jnp.ones(2)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda row: row.name)
def test_every_optimizer(optimizer):
    for variant in optimizer.variants:
        assert_traced(optimizer.build(**variant.keywords))
    assert_traced(
        optimizer.scale_by(**optimizer.variants[0].keywords), "bfloat16", "float16"
    )


@pytest.mark.parametrize("optimizer", rows(), ids=lambda row: row.name)
def test_hyperparameters_that_are_arrays(optimizer):
    names = ("learning_rate", *optimizer.hypers)
    assert_traced(optimizer.build(**{n: jnp.asarray(PAIRS[n][0]) for n in names}))


@pytest.mark.parametrize("pair", [("bfloat16", "float32"), ("float32", "float16")])
def test_the_wider_of_two_dtypes_is_still_the_updates(pair):
    assert_traced(adamx.adam(0.1), *pair)


@pytest.mark.parametrize("name", CODECS)
def test_codecs(name):
    slots = ["nu"] if "means" in name else ["mu", "nu"]
    assert_traced(adamx.store(adamx.adam(0.1), **dict.fromkeys(slots, CODECS[name])))


@pytest.mark.parametrize(
    "around",
    [
        adamx.cautious,
        adamx.grams,
        lambda tx: adamx.tunable(tx, "learning_rate", "b1"),
        lambda tx: adamx.stacked(tx, "tensor"),
        lambda tx: adamx.chain(adamx.parts.ClipByGlobalNorm(1.0), tx),
        lambda tx: adamx.chain(tx, adamx.stochastic_rounding()),
        lambda tx: adamx.chain(tx, adamx.split_master()),
        lambda tx: adamx.chain(optax.clip_by_global_norm(1.0), tx),
    ],
)
def test_wrappers_and_chains(around):
    """What rounds the parameters gives steps that are wider than they are."""
    tx = around(adamx.adamw(0.1))
    assert_traced(tx, "bfloat16", "bfloat16", law=state_keeps_its_form)


def test_stochastic_rounding_of_float16():
    assert_traced(adamx.chain(adamx.adam(0.1), adamx.stochastic_rounding()), "float16")


def test_a_step_is_the_two_calls_in_the_standard_mode():
    """`optax.apply_updates` refuses float32 updates of bfloat16 parameters here."""
    tx = adamx.adam(0.1)
    p = {"w": jnp.asarray(np.linspace(-1.0, 1.0, 6), jnp.bfloat16)}
    g = {"w": jnp.asarray(np.linspace(2.0, -1.0, 6), jnp.float32)}
    got, _ = adamx.step(tx, p, g, tx.init(p))
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = tx.update(g, tx.init(p), p)
        want = optax.apply_updates(p, updates)
    assert got["w"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(got["w"], want["w"])


def test_the_derivative_of_a_matrix_power():
    s = jnp.diag(jnp.asarray([4.0, 9.0]))
    slope = jax.jacfwd(lambda x: symmetric_power(x * s, -0.5))(jnp.ones(()))
    np.testing.assert_allclose(slope, jnp.diag(jnp.asarray([-0.25, -1 / 6])), rtol=1e-6)


@pytest.mark.parametrize("steps", [16, jnp.int32(16), np.int32(16)], ids=repr)
def test_the_bound_of_adopt_takes_integers(steps):
    assert float(adamx.optimizers.adopt_clip_value(steps)) == 2.0
