"""`adamx.accumulate`: the step of the large batch, and micro-steps that only add."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

import adamx
from adamx import accumulate
from adamx.engine.state import ABSENT
from adamx.storage import Blockwise
from tests.support.counting import counted
from tests.support.meshes import (
    EVERY_MESH,
    NEEDS_DEVICES,
    SPECS,
    mesh_of,
    placed,
    tree as leaves_of,
)
from tests.support.trees import assert_close, assert_equal

SHAPES = {"kernel": (4, 3), "bias": (3,)}


def tree(seed=0, dtype="float32"):
    normal = np.random.default_rng(seed).standard_normal
    return {n: jnp.asarray(normal(s), dtype) for n, s in SHAPES.items()}


def stack(trees):
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


def run(tx, gradients, params=None, each=None):
    """Parameters, state and updates after every gradient, in one scan."""
    params = tree() if params is None else params
    extras = {} if each is None else {k: jnp.asarray(v) for k, v in each.items()}

    def step(carry, given):
        params, state = carry
        g, extra = given
        updates, state = tx.update(g, state, params, **extra)
        return (optax.apply_updates(params, updates), state), updates

    @jax.jit
    def whole(params):
        start = params, tx.init(params)
        return jax.lax.scan(step, start, (stack(gradients), extras))

    (params, state), updates = whole(params)
    return params, state, updates


# ---- the step of the large batch ---------------------------------------------------


def test_it_is_the_step_of_the_large_batch():
    """The mean over tokens of micro-batches of unequal lengths; Optax's AdamW."""
    draw = np.random.default_rng(1)
    x, y = draw.standard_normal((2, 12, 4)), draw.standard_normal((2, 12, 3))
    cuts = [(0, 1), (1, 5), (5, 7), (7, 12)]

    def loss(p, x, y):
        return jnp.mean((x @ p["kernel"] + p["bias"] - y) ** 2)

    small = [
        jax.grad(loss)(tree(), x[k, a:b], y[k, a:b]) for k in range(2) for a, b in cuts
    ]
    tokens = [float(b - a) for _ in range(2) for a, b in cuts]
    tx = accumulate(adamx.adamw(0.01), 4, weights="tokens")
    got, state, _ = run(tx, small, each={"tokens": tokens})
    large = [jax.grad(loss)(tree(), x[k], y[k]) for k in range(2)]
    want, _, _ = run(optax.adamw(0.01), large)
    assert_close(got, want, ulps=64)
    assert int(state.inner.count) == 2
    assert int(state.micro_step) == 0
    listed = accumulate(adamx.adamw(0.01), 4, weights=tokens[:4])
    assert_close(run(listed, small)[0], want, ulps=64)


def test_it_is_multi_steps_of_optax_and_returns_zeros_between():
    gradients = [tree(k) for k in range(1, 8)]
    got, state, updates = run(accumulate(adamx.adam(0.1), 3), gradients)
    want, other, _ = run(optax.MultiSteps(optax.adam(0.1), 3), gradients)
    assert_close(got, want, ulps=32)
    assert int(state.micro_step) == int(other.mini_step) == 1
    moved = np.any(np.asarray(updates["kernel"]) != 0, axis=(1, 2))
    assert moved.tolist() == [False, False, True, False, False, True, False]


def test_low_gradients_are_summed_in_float32_and_updates_keep_their_dtypes():
    low = [tree(k, "bfloat16") for k in range(1, 5)]
    tx = accumulate(adamx.adam(0.1), 4)
    _, state, updates = run(tx, low, tree(0, "bfloat16"))
    want = sum(np.asarray(g["kernel"], np.float64) for g in low)
    np.testing.assert_allclose(state.gradients["kernel"], want, rtol=1e-6)
    assert updates["kernel"].dtype == jnp.bfloat16
    half = accumulate(adamx.adam(0.1), 4, dtype=jnp.bfloat16).init(tree())
    assert half.gradients["kernel"].dtype == jnp.bfloat16


def test_float64_gradients_are_summed_in_float64(x64):
    state = accumulate(adamx.adam(0.1), 2).init(tree(0, "float64"))
    assert state.gradients["kernel"].dtype == jnp.float64


def test_one_micro_batch_is_the_optimizer_itself():
    gradients = [tree(k) for k in range(1, 4)]
    got = run(accumulate(adamx.adam(0.1), 1), gradients)[0]
    assert_equal(got, run(adamx.adam(0.1), gradients)[0])


def test_a_leaf_may_have_no_gradient():
    tx = accumulate(adamx.adam(0.1), 2)
    state, g = tx.init(tree()), tree(1) | {"bias": None}
    for _ in range(2):
        updates, state = tx.update(g, state, tree())
    assert updates["bias"] is None
    assert bool(jnp.any(updates["kernel"] != 0))


# ---- what a micro-step costs -------------------------------------------------------


def compiled(tx, step, shape=(64, 96)):
    params = {f"layer{i}": jax.ShapeDtypeStruct(shape, jnp.float32) for i in range(3)}
    state = jax.eval_shape(tx.init, params)
    run = jax.jit(step, donate_argnums=(0, 1))
    return run.lower(params, state, params).compile(), 3 * shape[0] * shape[1]


def two_calls(tx, params, state, g):
    updates, state = tx.update(g, state, params)
    return optax.apply_updates(params, updates), state


def one_call(tx, params, state, g):
    return adamx.step(tx, params, g, state)


CALLED = r"(?:calls|to_apply|body|condition)=%?([\w.\-]+)"


def reached(text, name):
    """The text of a computation of a compiled program and of all that it calls."""
    bodies = dict(re.findall(r"^%?([\w.\-]+) \(.*?\{\n(.*?)^\}", text, re.M | re.S))
    found, ahead = {}, [name]
    while ahead:
        one = ahead.pop()
        if one in bodies and one not in found:
            found[one] = bodies[one]
            ahead += re.findall(CALLED, bodies[one])
    return "\n".join(found.values())


@pytest.mark.parametrize("step", [two_calls, one_call])
def test_a_micro_step_orthogonalizes_nothing(step):
    tx = accumulate(adamx.muon(0.02), 4)
    program, _ = compiled(tx, functools.partial(step, tx))
    text = program.as_text()
    ((micro, last),) = re.findall(
        r"conditional\(.*branch_computations=\{%?([\w.\-]+), %?([\w.\-]+)\}", text
    )
    product = r" (dot|while|custom-call)\("
    assert re.search(product, reached(text, last))
    assert not re.search(product, reached(text, micro))
    assert not re.search(product, text[text.index("ENTRY") :])


@pytest.mark.parametrize(
    ("step", "options", "most"),
    [
        (two_calls, {}, 4),
        (one_call, {}, 0),
        (two_calls, {"skip_nonfinite": True, "skip_spikes": 10.0}, 4),
    ],
    ids=["update", "step", "skip"],
)
def test_the_temporaries_are_at_most_the_updates(step, options, most):
    """In bytes for each parameter; `adamx.step` needs no updates."""
    tx = accumulate(adamx.adamw(0.1), 4, **options)
    program, size = compiled(tx, functools.partial(step, tx), (256, 256))
    memory = program.memory_analysis()
    assert memory.temp_size_in_bytes <= most * size + 4096
    assert memory.alias_size_in_bytes >= 16 * size


def test_step_gives_the_same_numbers():
    tx = accumulate(adamx.adamw(0.1), 2)
    two, one = (tree(), tx.init(tree())), (tree(), tx.init(tree()))
    each = [jax.jit(functools.partial(f, tx)) for f in (two_calls, one_call)]
    for k in range(1, 5):
        two, one = each[0](*two, tree(k)), each[1](*one, tree(k))
    assert_close(one, two)


def test_step_leaves_what_is_no_array_as_it_is():
    """Models of Equinox have functions among their leaves."""
    params = tree() | {"act": jax.nn.relu}
    grads = tree(1) | {"act": None}
    arrays = tree() | {"act": None}
    tx = accumulate(adamx.adamw(0.1), 2)
    state = tx.init(arrays)
    for _ in range(2):
        params, state = adamx.step(tx, params, grads, state)
    assert params.pop("act") is jax.nn.relu
    want = accumulate(adamx.adamw(0.1), 2)
    two = tree(), want.init(tree())
    for _ in range(2):
        two = one_call(want, *two, tree(1))
    assert_close(params, two[0])


def test_a_tunable_rate_around_it():
    tx = adamx.tunable(accumulate(adamx.sgd(0.1), 2), "learning_rate")
    state = tx.init(tree())
    state = adamx.replace_hyperparams(state, learning_rate=1.0)
    params = tree()
    for _ in range(2):
        params, state = jax.jit(functools.partial(one_call, tx))(params, state, tree(1))
    assert_close(params, jax.tree.map(lambda p, g: p - g, tree(), tree(1)))


# ---- steps that are left out --------------------------------------------------------


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_step_that_is_not_finite_is_left_out_whole_and_counted(every, bad):
    """As if its micro-batches had never been."""
    tx = accumulate(adamx.adamw(0.1), every, skip_nonfinite=True)
    good = [tree(k) for k in range(1, 2 * every + 1)]
    spoilt = [tree(k) for k in range(50, 50 + every)]
    spoilt[0]["bias"] = spoilt[0]["bias"].at[1].set(bad)
    got, state, updates = run(tx, [*good[:every], *spoilt, *good[every:]])
    want, other, _ = run(tx, good)
    assert_equal(got, want)
    assert_equal(state.inner, other.inner)
    assert (int(state.skipped_nonfinite), int(other.skipped_nonfinite)) == (1, 0)
    assert not np.any(updates["kernel"][every : 2 * every])


def test_a_spike_is_left_out_and_norms_that_stay_high_are_accepted():
    tx = accumulate(adamx.sgd(1.0), 1, skip_spikes=3.0)
    ones = jax.tree.map(jnp.ones_like, tree())

    def of(size):
        return jax.tree.map(lambda x: size * x, ones)

    early = [of(1.0), of(50.0)]  # not judged yet
    _, state, updates = run(tx, [*early, *[of(1.0)] * 18, of(100.0), of(1.0)])
    assert int(state.skipped_spikes) == 1
    steps = -updates["bias"][:, 0]
    np.testing.assert_allclose(steps[1], 50.0)
    np.testing.assert_allclose(steps[20:], [0.0, 1.0])
    _, state, updates = run(tx, [*[of(1.0)] * 20, *[of(10.0)] * 60])
    skipped = int(state.skipped_spikes)
    assert 10 < skipped < 50
    np.testing.assert_allclose(-updates["bias"][20 + skipped :, 0], 10.0)


def test_an_infinite_norm_is_a_spike_and_not_in_the_average():
    tx = accumulate(adamx.sgd(1.0), 1, skip_spikes=3.0)
    bad = jax.tree.map(lambda x: jnp.inf * jnp.ones_like(x), tree())
    ones = jax.tree.map(jnp.ones_like, tree())
    got, state, _ = run(tx, [*[ones] * 12, bad, ones])
    assert int(state.skipped_spikes) == 1
    assert bool(jnp.isfinite(state.norm))
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in got.values())


def test_a_step_without_weight_is_left_out():
    tx = accumulate(adamx.adamw(0.1), 2, weights="tokens")
    gradients = [tree(k) for k in range(1, 5)]
    got, state, _ = run(tx, gradients, each={"tokens": [0.0, 0.0, 1.0, 0.0]})
    want = run(adamx.adamw(0.1), gradients[2:3])[0]
    assert_close(got, want)
    assert int(state.skipped_nonfinite) == 1


# ---- with the rest of the library ---------------------------------------------------


def test_groups_inside_keep_no_sum_of_what_is_frozen():
    inner = adamx.groups([("bias", None), (..., adamx.adamw(0.1))], clip=1.0)
    tx = accumulate(inner, 2)
    state = tx.init(tree())
    assert state.gradients["bias"] == ABSENT
    got, after, _ = run(tx, [tree(k) for k in range(1, 5)])
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert_equal(got["bias"], tree()["bias"])
    half = lambda a, b: (a + b) / 2  # noqa: E731
    means = [jax.tree.map(half, tree(k), tree(k + 1)) for k in (1, 3)]
    assert_close(got, run(inner, means)[0])
    rows = {(row.leaf, row.slot) for row in adamx.memory_plan(tx, tree()).rows}
    assert ("kernel", "gradients") in rows


def test_store_tunable_memory_plan_and_restore_look_inside():
    tx = accumulate(adamx.adamw(0.1), 2)
    low = adamx.store(tx, nu=Blockwise(block=4, min_size=4))
    state = low.init(tree())
    assert state.inner.nu["codes"]["kernel"].dtype == jnp.uint8
    plan = adamx.memory_plan(low, tree())
    assert plan.bytes == sum(x.nbytes for x in jax.tree.leaves(state))
    assert sum(r.bytes for r in plan.rows if r.slot == "gradients") == 4 * 15
    for changing in (
        adamx.tunable(tx, "learning_rate"),
        accumulate(adamx.tunable(adamx.adamw(0.1), "learning_rate"), 2),
    ):
        state = changing.init(tree())
        step = jax.jit(changing.update)
        step(tree(1), state, tree())
        with counted() as count:
            step(tree(1), adamx.replace_hyperparams(state, learning_rate=0.2), tree())
        assert (count.traces, count.compilations) == (0, 0)
    plain = run(adamx.adamw(0.1), [tree(1)])[1]
    with pytest.warns(UserWarning, match="did not hold.*gradients"):
        begun = adamx.restore(tx, plain, tree(), missing="init")
    assert_equal(begun.inner, plain)
    assert_equal(adamx.restore(adamx.adamw(0.1), begun, tree()), plain)
    assert_equal(adamx.restore(tx, begun, tree()), begun)


def test_a_schedule_counts_steps_and_an_optimizer_of_optax_may_be_inside():
    rates = optax.piecewise_constant_schedule(1.0, {1: 0.1})
    gradients = [jax.tree.map(jnp.ones_like, tree())] * 4
    for inner in (adamx.sgd(rates), optax.sgd(rates)):
        updates = run(accumulate(inner, 2), gradients)[2]
        np.testing.assert_allclose(updates["bias"][:, 0], [0, -1, 0, -0.1], rtol=1e-6)


@NEEDS_DEVICES
@EVERY_MESH
def test_the_sum_lies_where_the_parameters_lie(kind):
    """And the second step compiles nothing."""
    mesh = mesh_of(kind)
    tx = accumulate(adamx.adamw(0.1), 2)
    params = placed(mesh)
    state = jax.jit(tx.init)(params)
    step = jax.jit(functools.partial(two_calls, tx))
    first = params, state
    for k in (1, 2, 3, 4):
        with counted() as count:
            first = step(*first, placed(mesh, k))
        assert (k == 1) == (count.compilations > 0)
        for name, x in first[1].gradients.items():
            assert x.sharding.is_equivalent_to(params[name].sharding, x.ndim)
    alone = leaves_of(), tx.init(leaves_of())
    for k in (1, 2, 3, 4):
        alone = step(*alone, leaves_of(k))
    assert_close(*(jax.tree.map(np.asarray, x[0]) for x in (first, alone)))
    sharding = adamx.state_sharding(tx, params)
    assert sharding.gradients["kernel"].spec == params["kernel"].sharding.spec


@NEEDS_DEVICES
def test_inside_shard_map():
    mesh = mesh_of()
    tx = accumulate(adamx.adamw(0.1), 2)

    def both(tx, params, *gradients):
        state = tx.init(params)
        for g in gradients:
            params, state = two_calls(tx, params, state, g)
        return params

    def mapped(tx):
        of = functools.partial(both, tx)
        specs = {"in_specs": (SPECS,) * 3, "out_specs": SPECS}
        return jax.jit(jax.shard_map(of, mesh=mesh, **specs))

    given = leaves_of(), leaves_of(1), leaves_of(2)
    want = jax.jit(functools.partial(both, tx))(*given)
    assert_close(*(jax.tree.map(np.asarray, x) for x in (mapped(tx)(*given), want)))
    with pytest.raises(ValueError, match=r"on all devices or.*shard_map over 'x'"):
        mapped(accumulate(adamx.adamw(0.1), 2, skip_nonfinite=True))(*given)
    assert P("x", "y") == SPECS["kernel"]
