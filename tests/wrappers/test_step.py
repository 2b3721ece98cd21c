"""`adamx.step`: Optax's two calls in one, with the moments kept in place."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

import adamx
from adamx.storage import Blockwise, Cast
from tests.support.counting import counted
from tests.support.meshes import NEEDS_DEVICES
from tests.support.trees import assert_equal, signature

HALF = Cast(jnp.bfloat16, "stochastic")
MADE = {
    "adamw": lambda: adamx.adamw(1e-2),
    "bfloat16": lambda: adamx.store(adamx.adamw(1e-2), mu=HALF, nu=HALF),
    "8 bits": lambda: adamx.store(adamx.adamw(1e-2), mu=Blockwise(), nu=Blockwise()),
    "tunable": lambda: adamx.tunable(
        adamx.store(adamx.adamw(1e-2), nu=HALF), "learning_rate"
    ),
    "optax": lambda: optax.adam(1e-2),
    "masked": lambda: optax.masked(
        adamx.store(adamx.adam(1e-2), nu=HALF), {"w": True, "b": False}
    ),
}
EVERY = pytest.mark.parametrize("name", list(MADE))


def tree(seed):
    normal = np.random.default_rng(seed).standard_normal
    return {
        "w": jnp.asarray(normal((64, 128)), "f4"),
        "b": jnp.asarray(normal(5), "f4"),
    }


def two_calls(tx):
    def both(params, grads, state):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(both)


def temporary(tx, function, n):
    """The temporary bytes a parameter of a donated step of one leaf of `n`."""
    p = jax.ShapeDtypeStruct((n,), jnp.float32)
    state = jax.eval_shape(tx.init, p)
    made = jax.jit(function, donate_argnums=(0, 2)).lower(p, p, state).compile()
    return made.memory_analysis().temp_size_in_bytes / n


@EVERY
def test_it_is_the_two_calls(name):
    """The state bit for bit; the parameters to the rounding of one program."""
    tx = MADE[name]()
    one = jax.jit(lambda p, g, s: adamx.step(tx, p, g, s))
    both = two_calls(tx)
    p, s = tree(0), tx.init(tree(0))
    q, t = tree(0), tx.init(tree(0))
    for k in range(1, 4):
        p, s = one(p, tree(k), s)
        q, t = both(q, tree(k), t)
        assert_equal(s, t)
        for a, b in zip(jax.tree.leaves(p), jax.tree.leaves(q), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    with counted() as count:
        one(p, tree(9), s)
    assert (count.traces, count.compilations) == (0, 0)
    assert signature(s) == signature(tx.init(p))


@pytest.mark.parametrize("name", ["adamw", "bfloat16"])
def test_it_needs_no_temporary_that_grows_with_the_parameters(name):
    """The mutant: the two calls copy both moments, 4 bytes a parameter."""
    tx, n = MADE[name](), 1 << 20
    assert temporary(tx, lambda p, g, s: adamx.step(tx, p, g, s), n) < 0.01
    if name == "bfloat16":
        assert temporary(tx, two_calls(tx), n) > 3


@EVERY
def test_outside_jit_it_is_the_two_calls_bit_for_bit(name):
    """The mutant: the pass of `jit`, op by op, compiles each leaf at every step."""
    tx = MADE[name]()
    p, s = tree(0), tx.init(tree(0))
    for k in range(1, 3):
        updates, t = tx.update(tree(k), s, p)
        q = optax.apply_updates(p, updates)
        p, s = adamx.step(tx, p, tree(k), s)
        assert_equal((p, s), (q, t))
    if name not in ("optax", "masked"):
        with counted() as count:
            adamx.step(tx, p, tree(9), s)
        assert (count.traces, count.compilations) == (0, 0)


# the last is a NaN whose bits are all ones but its sign
@pytest.mark.parametrize("bits", [0x7FC00000, 0xFF800000, 0x7FFFFFFF])
def test_parameters_that_are_not_finite_do_not_spoil_the_count(bits):
    tx = MADE["8 bits"]()
    value = np.uint32(bits).view(np.float32)
    p = {"w": jnp.full((64, 128), value), "b": jnp.full(5, value)}
    one = jax.jit(lambda p, g, s: adamx.step(tx, p, g, s))
    _, state = one(p, tree(1), tx.init(p))
    assert int(state.count) == 1
    clean = tree(0)
    assert_equal(state, one(clean, tree(1), tx.init(clean))[1])


@NEEDS_DEVICES
@pytest.mark.parametrize("name", ["bfloat16", "schedule_free"])
def test_it_runs_inside_shard_map_on_parameters_that_are_split(name):
    """The mutant: a zero that does not vary over the mesh as the parameter does."""
    tx = MADE["bfloat16"]()
    if name == "schedule_free":
        tx = adamx.schedule_free_adamw(1e-2)
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    p, split = tree(0), {"w": P("d"), "b": P()}

    def walk(tx, p, g):
        return adamx.step(tx, p, g, tx.init(p))[0]

    local = functools.partial(walk, adamx.in_shard_map(tx, split))
    inside = jax.shard_map(local, mesh=mesh, in_specs=(split, split), out_specs=split)
    got = jax.jit(inside)(p, tree(1))
    want = jax.jit(functools.partial(walk, tx))(p, tree(1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), got, want)


def test_extra_arguments_pass():
    tx = adamx.sophia(1e-2)
    p = tree(0)
    q, _ = adamx.step(tx, p, tree(1), tx.init(p), hessian=tree(2))
    assert np.isfinite(q["w"]).all()


def test_what_is_no_transformation_is_refused():
    with pytest.raises(TypeError, match="step: `tx` must be a gradient transformation"):
        adamx.step(tree(0), tree(0), tree(0), None)


@pytest.mark.parametrize("name", ["adamw", "bfloat16", "8 bits", "tunable"])
def test_a_leaf_is_compiled_once(name):
    """The program has no more operations a leaf than that of the two calls, but a few.

    The mutant: a second update, for the state alone, doubles them.
    """
    tx = MADE[name]()
    p = [jax.ShapeDtypeStruct((64, 128), jnp.float32)] * 4
    state = jax.eval_shape(tx.init, p)

    def operations(function):
        text = jax.jit(function).lower(p, p, state).as_text()
        return text.count(" = ")

    one = operations(lambda p, g, s: adamx.step(tx, p, g, s))
    assert one < 1.2 * operations(two_calls(tx))


def test_moments_that_depend_on_the_count_wait_for_the_parameters():
    """The mutant: with the two calls one moment is copied, 4 bytes a parameter."""
    tx, n = adamx.schedule_free_adamw(1e-2), 1 << 16
    assert temporary(tx, lambda p, g, s: adamx.step(tx, p, g, s), n) < 0.01
    assert temporary(tx, two_calls(tx), n) > 3
