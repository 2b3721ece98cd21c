"""Fused steps: those of the plain path, of every elementwise optimizer and codec."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import parts, storage
from adamx.storage import Blockwise, Cast
from tests.fused.trees import assert_same, native_calls, stepping, tree
from tests.support.optimized import SAME_BITS
from tests.table import OPTIMIZERS
from tests.table.cases import SMALL
from tests.table.row import kept

NOT_NATIVE = {"diffgrad", "padam"}  # logistic and pow are XLA's own
WITH_EXTRA = {"sophia", "adahessian"}
EXCHANGED = {"adapnm"}  # its two momenta change places, for which XLA copies them
SAMPLE = {"adamw", "adadelta", "lion", "rprop", "padam"}  # of the small grid
ELEMENTWISE = [
    row
    for row in OPTIMIZERS
    if row.scope == "element" and (not SMALL or row.name in SAMPLE)
]
STOCHASTIC = Cast(jnp.bfloat16, "stochastic")
CODECS = {
    "bfloat16": STOCHASTIC,
    "float16": Cast(jnp.float16),
    "8 bits": Blockwise(min_size=0),
    "4 bits": Blockwise(4, min_size=0),
    "dither": Blockwise(min_size=0, rounding="dither", block=64),
    "nearest": Blockwise(min_size=0, rounding="nearest", code=storage.Companded()),
}


# What they round otherwise than XLA is a sum of terms of opposite signs, whose error is
# that of the terms: measured 3 units at most.
OF_CANCELLING_TERMS = ("nadam", "nadamw", "adapnm", "param_ema")


def compare(tx, params, grads, steps=2, native=1, units=2):
    """Run both, each step from the same state."""
    fused = adamx.fused(tx)
    state = tx.init(params)
    plain, native_step = stepping(tx), stepping(fused)
    assert native_calls(native_step, params, grads, state) == native
    for k in range(steps):
        given = jax.tree.map(lambda g, k=k: g * 10.0**-k, grads)
        want = plain(params, given, state)
        got = native_step(params, given, state)
        assert_same(got[0], want[0], units, beside=params)
        assert_same(got[1], want[1], units, beside=state)
        params, state = want


@SAME_BITS
@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row.name)
def test_every_elementwise_optimizer(row):
    tx = kept(row, row.variants[0])
    if row.name in WITH_EXTRA:
        pytest.skip("its step has an extra argument")
    native = 0 if row.name in NOT_NATIVE else 1
    units = 3 if row.name in OF_CANCELLING_TERMS else 2
    compare(tx, tree(0), tree(1), native=native, units=units)


@SAME_BITS
@pytest.mark.parametrize(
    "name", ["bfloat16", "8 bits", "4 bits"] if SMALL else list(CODECS)
)
def test_codecs_store_the_same_bits(name):
    codec = CODECS[name]
    tx = adamx.store(adamx.adamw(1e-2), mu=codec, nu=codec)
    shapes = {"tail": (3, 301), "merged": (2, 6, 30)}
    compare(tx, tree(0, shapes), tree(1, shapes))


def test_float64_and_low_precision_parameters(x64):
    compare(adamx.adamw(1e-3), tree(0, dtype=jnp.float64), tree(1, dtype=jnp.float64))
    half = adamx.chain(adamx.adamw(1e-3), adamx.split_master(8))
    compare(half, tree(0, dtype=jnp.bfloat16), tree(1, dtype=jnp.bfloat16))


def test_numbers_that_are_not_finite_or_subnormal():
    odd = [0.0, -0.0, jnp.inf, -jnp.inf, jnp.nan, 1e-42, -1e-40, 3e38, 1e-20]
    grads = {"w": jnp.asarray(odd * 4, jnp.float32)}
    params = {"w": jnp.linspace(-1, 1, 36)}
    for tx in (
        adamx.adam(1e-3),
        adamx.store(adamx.adam(1e-3), nu=Blockwise(min_size=0, block=4)),
    ):
        want = stepping(tx)(params, grads, tx.init(params))
        got = stepping(adamx.fused(tx))(params, grads, tx.init(params))
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


class CubeRootOfMean(adamx.Rule):
    """A rule of a user, of operations that no optimizer of adamx has in this order."""

    b1: adamx.Hyper = adamx.hyper(0.9, allowed="[0, 1)")

    def slots(self):
        return {"mean": adamx.Slot()}

    def apply(self, update, slots, ctx):
        mean = self.b1 * slots["mean"] + (1 - self.b1) * update**3
        return jnp.where(mean > 0, jnp.sqrt(mean), jnp.floor(mean)), {"mean": mean}


def test_a_rule_of_ones_own():
    compare(adamx.chain(CubeRootOfMean(), optax.scale(-0.1)), tree(0), tree(1))


def test_a_composition():
    decayed = adamx.adamw(
        optax.linear_schedule(1e-3, 0.0, 5),
        b1=jnp.float32(0.8),
        weight_decay=0.1,
        mask=r"matrix",
    )
    tx = adamx.tunable(adamx.chain(optax.clip_by_global_norm(1.0), decayed), "b2")
    compare(tx, tree(0), tree(1))


def test_many_leaves_are_few_calls():
    shapes = {f"leaf{i}": (7,) for i in range(70)}
    params, tx = tree(0, shapes), adamx.fused(adamx.sgd(1e-3, momentum=0.9))
    assert native_calls(stepping(tx), params, params, tx.init(params)) == 3


IN_PLACE = [
    pytest.param(lambda row=row: kept(row, row.variants[0]), id=row.name)
    for row in ELEMENTWISE
    if row.name not in NOT_NATIVE | WITH_EXTRA | EXCHANGED
] + [
    pytest.param(
        lambda codec=CODECS[name]: adamx.store(adamx.adamw(1e-3), mu=codec, nu=codec),
        id=f"adamw in {name}",
    )
    for name in ("8 bits", "bfloat16")
]


@pytest.mark.parametrize("make", IN_PLACE)
def test_in_place_without_temporaries(make):
    shapes = {"w": (64, 1024)}
    params, grads = tree(0, shapes), tree(1, shapes)
    tx = adamx.fused(make())
    step = jax.jit(lambda p, g, s: adamx.step(tx, p, g, s), donate_argnums=(0, 2))
    memory = step.lower(params, grads, tx.init(params)).compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 0.02 * params["w"].size


ALIASED = {
    "tied": lambda a, b: {"a": a, "b": a},
    "swapped": lambda a, b: {"a": b, "b": a},
    "apart": lambda a, b: {"a": a, "b": b},
}


@pytest.mark.parametrize("kind", ALIASED)
def test_one_array_in_several_places_is_read_before_it_is_written(kind):
    """Arrays that are not donated, given twice, and a state that is one array twice."""
    alias = ALIASED[kind]
    a, b = (jnp.asarray(np.random.default_rng(i).random(300), "f4") for i in (0, 1))
    tx = adamx.adamw(1e-2)
    params, grads = alias(a, b), {"a": b, "b": b}
    moments = {"a": a, "b": a}
    state = adamx.State(jnp.int32(3), {"mu": moments, "nu": moments})
    want = jax.jit(lambda *x: adamx.step(tx, *x))(params, grads, state)
    got = jax.jit(lambda *x: adamx.step(adamx.fused(tx), *x))(params, grads, state)
    assert_same(got[0], want[0], 2, beside=params)
    assert_same(got[1], want[1], 2, beside=state)

    def turned(params, grads, state):  # outputs in the places of other inputs
        new, state = adamx.step(adamx.fused(tx), params, grads, state)
        slots = {"mu": state.nu, "nu": state.mu}
        return {"a": new["b"], "b": new["a"]}, state._replace(slots=slots)

    separate = jax.tree.map(jnp.copy, (params, state))
    new, after = jax.jit(turned, donate_argnums=(0, 2))(separate[0], grads, separate[1])
    assert_same({"a": new["b"], "b": new["a"]}, want[0], 2, beside=params)
    assert_same({"mu": after.nu, "nu": after.mu}, want[1].slots, 2, beside=state.slots)


def test_several_threads_compile_and_run_at_once():
    def run(rate):
        tx = adamx.fused(adamx.adamw(rate, b1=1 - rate))
        params = {"w": jnp.ones(400 + int(100 * rate))}
        return tx, params, adamx.step(tx, params, params, tx.init(params))[0]

    with ThreadPoolExecutor(4) as pool:
        for tx, params, got in pool.map(run, (0.1, 0.2, 0.3, 0.4)):
            want = adamx.step(tx, params, params, tx.init(params))[0]
            np.testing.assert_array_equal(got["w"], want["w"])


def test_update_alone_and_without_jit():
    tx = adamx.adamw(1e-3)
    params, grads = tree(0), tree(1)
    state = tx.init(params)
    want = tx.update(grads, state, params)
    got = adamx.fused(tx).update(grads, state, params)
    assert_same(got[0], want[0], beside=params)
    assert_same(got[1], want[1], beside=state)
    want, got = (adamx.step(t, params, grads, state) for t in (tx, adamx.fused(tx)))
    assert_same(got[0], want[0], beside=params)


def test_leaves_without_gradient_stay():
    tx = adamx.fused(adamx.adamw(1e-3))
    params = {"w": jnp.ones(5), "still": jnp.ones(3), "none": jnp.zeros((0, 4))}
    grads = {"w": jnp.ones(5), "still": None, "none": jnp.zeros((0, 4))}
    start = tx.init({**params, "still": None})
    new, _ = adamx.step(tx, params, grads, start)
    np.testing.assert_array_equal(np.asarray(new["still"]), np.ones(3))
    assert new["none"].shape == (0, 4)
    assert (new["w"] < 1).all()


def test_the_state_is_that_of_the_plain_one():
    tx = adamx.store(adamx.adamw(1e-3), nu=Blockwise(min_size=0))
    params = tree(0)
    assert jax.tree.structure(tx.init(params)) == jax.tree.structure(
        adamx.fused(tx).init(params)
    )
    assert adamx.fused(tx) == adamx.fused(adamx.fused(tx))
    assert repr(adamx.fused(parts.Ema(0.9))) == "fused(Ema(0.9))"


def test_refuses_what_is_not_of_adamx():
    with pytest.raises(TypeError, match="fused: `tx` must be an adamx transformation"):
        adamx.fused(optax.adam(1e-3))
