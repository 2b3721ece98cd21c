"""The forms that codecs take on a GPU or TPU, run on this machine: the same bits."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.numerics.random_bits import Uniform, key_of
from adamx.storage import Blockwise, Cast
from adamx.storage.blocks import layout
from tests.support.optimized import SAME_BITS

SHAPES = [(2, 256), (3, 301), (5, 7)]
CODECS = [
    Blockwise(min_size=0),
    Blockwise(min_size=0, rounding="dither"),
    Blockwise(4, min_size=0),
    Cast(jnp.float8_e4m3fn, "stochastic"),
    Cast(jnp.bfloat16, "stochastic"),
]


@pytest.fixture
def as_if_on(monkeypatch):
    """Return a function that makes programs take the form of another platform."""

    def choose(platform):
        def dependent(*args, default=None, **forms):
            return forms.get(platform, default)(*args)

        jax.clear_caches()
        monkeypatch.setattr(jax.lax, "platform_dependent", dependent)

    yield choose
    jax.clear_caches()


def numbers(shape, low=1e-6):
    draw = np.random.default_rng(len(shape))
    size = np.exp(draw.uniform(np.log(low), 0, shape)) * draw.choice([-1, 1], shape)
    return jnp.asarray(size, jnp.float32)


def bits(tree):
    return [np.asarray(x).tobytes() for x in jax.tree.leaves(tree)]


def trained(tx, shape):
    """Three steps of all the shapes, and what they leave."""
    params = {"w": numbers(shape)}
    state = tx.init(params)
    grads = jnp.stack([numbers(shape) * k for k in (1.0, -0.3, 0.02)])

    def step(carry, g):
        params, state = carry
        updates, state = tx.update({"w": g}, state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.jit(lambda *c: jax.lax.scan(step, c, grads)[0])(params, state)


def test_codes_are_those_of_the_cpu(as_if_on):
    """Codes, scales and what is decoded, for blocks that are whole, short or merged."""

    def trip(codec, x, signed):
        bound = codec.bind("slot", signed)
        kept = bound.encode(x if signed else jnp.abs(x), Uniform(key_of(3)))
        return kept, bound.decode(kept, x.shape)

    def trips(arrays):
        cases = itertools.product(CODECS, arrays, (True, False))
        return [trip(*case) for case in cases]

    arrays = [numbers(shape) for shape in SHAPES]
    here = bits(jax.jit(trips)(arrays))
    as_if_on("cuda")
    assert bits(jax.jit(trips)(arrays)) == here


@SAME_BITS
@pytest.mark.parametrize("shape", [(4, 256), (3, 300)])
def test_slots_computed_twice_are_those_computed_once(shape, as_if_on):
    codec = Blockwise(min_size=0)
    tx = adamx.store(adamx.adamw(1e-2), mu=codec, nu=codec)
    here = trained(tx, shape)
    as_if_on("cuda")
    there = trained(tx, shape)
    assert bits(there[1]) == bits(here[1])
    np.testing.assert_array_max_ulp(here[0]["w"], there[0]["w"], 2)


def test_only_a_gpu_computes_slots_twice(as_if_on):
    """And only where a codec needs a scale, and the rule acts on single elements."""

    def barriers(tx):
        params = {"w": jax.ShapeDtypeStruct((8, 1024), jnp.float32)}
        state = jax.eval_shape(tx.init, params)
        traced = jax.make_jaxpr(tx.update)(params, state, params)
        return str(traced).count("optimization_barrier")

    scaled = adamx.store(adamx.adamw(1e-3), mu=Blockwise())
    plain = adamx.store(adamx.adamw(1e-3), mu=Cast(jnp.bfloat16, "stochastic"))
    tensor = adamx.store(adamx.lamb(1e-3), mu=Blockwise())
    as_if_on("tpu")
    assert [barriers(tx) for tx in (scaled, plain, tensor)] == [1, 1, 1]
    as_if_on("cuda")
    assert [barriers(tx) for tx in (scaled, plain, tensor)] == [2, 1, 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_both_maxima_of_blocks_are_the_maximum(shape):
    x = np.abs(np.asarray(numbers(shape)))
    lay = layout(shape, 128)
    rows = x.reshape(-1, lay.n)
    parts = np.split(rows, range(128, lay.n, 128), axis=1)
    wanted = np.stack([part.max(1) for part in parts], -1)
    flat = jnp.asarray(x.reshape(*lay.lead, lay.n))
    for largest in (lay.largest_by_rows, lay.largest_by_windows):
        found = np.asarray(largest(flat)).reshape(wanted.shape)
        np.testing.assert_array_equal(found, wanted)


def test_zeros_are_kept_as_they_are_encoded():
    def kept(codec, x, signed):
        bound = codec.bind("slot", signed)
        known = bound.zeros(x)
        return None if known is None else (known, bound.encode(x, Uniform(key_of(0))))

    def both(arrays):
        cases = itertools.product(CODECS, arrays, (True, False))
        return [kept(*case) for case in cases]

    pairs = jax.jit(both)([jnp.zeros(shape) for shape in SHAPES])
    pairs = [pair for pair in pairs if pair is not None]
    assert len(pairs) == 4 * len(SHAPES) * 2  # not of the codec without a scale
    for known, encoded in pairs:
        assert jax.tree.map(jax.typeof, known) == jax.tree.map(jax.typeof, encoded)
        assert bits(known) == bits(encoded)


@pytest.mark.parametrize("codec", [Blockwise(), Blockwise(4), CODECS[-2]], ids=repr)
def test_init_computes_no_maxima(codec):
    """XLA would compute them when it compiles, for seconds for an embedding."""
    tx = adamx.store(adamx.adamw(1e-3), mu=codec, nu=codec)
    params = {"w": jax.ShapeDtypeStruct((64, 300), jnp.float32)}
    lowered = jax.jit(tx.init).lower(params)
    assert "reduce" not in lowered.as_text()
    assert "uint8" in str(lowered.out_info) or "float8" in str(lowered.out_info)
