"""What observed transformations compose with, and what they refuse.

The expected numbers are those of the same transformation without the wrapper.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec as P

import adamx
from adamx import accumulate, groups, observe, offload, restore, storage, store, zero1
from adamx.observation import Observed
from tests.support.error_messages import assert_told, message
from tests.support.meshes import NEEDS_DEVICES
from tests.support.trees import assert_close

PARAMS = {
    "a": np.linspace(-1, 1, 32, dtype="float32").reshape(8, 4),
    "b": np.ones(8, "float32"),
}
GRADS = jax.tree.map(lambda x: (0.1 * x + 0.05).astype("float32"), PARAMS)
LABELS = {"a": "large", "b": "small"}
NORM = float(optax.tree.norm(GRADS))


def observed(rate=0.1):
    return observe(adamx.sgd(rate), every=1)


def one_step(tx, params=PARAMS, grads=GRADS, **extra):
    return jax.jit(tx.update)(grads, tx.init(params), params, **extra)


AROUND = {
    "optax.chain": lambda: optax.chain(optax.identity(), observed()),
    "adamx.chain": lambda: adamx.chain(observed(), optax.identity()),
    "MultiSteps": lambda: optax.MultiSteps(observed(), 1),
    "accumulate": lambda: accumulate(observed(), 1, skip_nonfinite=True),
    "tunable": lambda: adamx.tunable(observed(), "learning_rate"),
    "groups": lambda: groups([("a", observed()), (..., observed())]),
    "partition": lambda: optax.partition(
        {"large": observed(), "small": observed()}, LABELS
    ),
}


@pytest.mark.parametrize("name", AROUND)
def test_metrics_are_found_in_any_state(name):
    tx = AROUND[name]()

    def step(state):
        return adamx.metrics(tx.update(GRADS, state, PARAMS)[1])

    got = jax.eval_shape(step, tx.init(PARAMS))
    before = {"groups": ["", "group2/"], "partition": ["large/", "small/"]}
    for group in before.get(name, [""]):
        assert {f"{group}grad_norm", f"{group}learning_rate"} <= set(got)
        assert got[f"{group}nonfinite_leaf"].shape == ()
    assert ("skipped" in got) == (name == "accumulate")


def test_each_label_of_a_partition_has_its_own():
    got = adamx.metrics(one_step(AROUND["partition"]())[1])
    for label, name in (("large", "a"), ("small", "b")):
        norm = np.linalg.norm(GRADS[name])
        assert float(got[f"{label}/grad_norm"]) == pytest.approx(norm)


def test_a_state_of_nnx():
    model = nnx.Linear(4, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, observed(), wrt=nnx.Param)
    grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    optimizer.update(model, grads)
    found = adamx.metrics(optimizer.opt_state)
    assert float(found["grad_norm"]) == pytest.approx(np.sqrt(10))
    pure = nnx.to_pure_dict(nnx.state(optimizer))
    assert float(adamx.metrics(pure)["grad_norm"]) == pytest.approx(np.sqrt(10))


def test_skipped_steps():
    tx = accumulate(observed(), 1, skip_nonfinite=True)
    state, update = tx.init(PARAMS), jax.jit(tx.update)
    bad = jax.tree.map(lambda x: np.full_like(x, np.nan), GRADS)
    for grads in (GRADS, bad, GRADS, bad):
        _, state = update(grads, state, PARAMS)
    assert float(adamx.metrics(state)["skipped"]) == 0.5


def test_the_step_of_fused_and_of_step_is_sampled_too():
    tx = adamx.fused(observed())
    step = jax.jit(functools.partial(adamx.step, tx))
    params, state = step(PARAMS, GRADS, tx.init(PARAMS))
    assert_close(params, jax.tree.map(lambda p, g: p - 0.1 * g, PARAMS, GRADS))
    found = adamx.metrics(state)
    assert float(found["update_norm"]) == pytest.approx(0.1 * NORM)


def test_frozen_leaves_are_left_out():
    tx = observe(groups([("a", adamx.sgd(0.1)), (..., None)]), every=1)
    _, state = one_step(tx, grads=GRADS | {"b": None})
    got = adamx.metrics(state)
    norm = np.linalg.norm(GRADS["a"])
    assert float(got["grad_norm"]) == pytest.approx(norm)
    assert float(got["update_norm"]) == pytest.approx(0.1 * norm)
    assert adamx.first_nonfinite(state, PARAMS) is None


def test_extra_arguments_and_a_bare_array():
    tx = observe(adamx.adahessian(0.1), every=1)
    params = np.float32([1.0, 2.0])
    _, state = one_step(tx, params, params, hessian=params**2)
    assert float(adamx.metrics(state)["grad_norm"]) == pytest.approx(np.sqrt(5))


# ---- the state -----------------------------------------------------------------------


def test_a_state_that_was_not_observed_is_restored_and_the_reverse():
    momentum = adamx.sgd(0.1, 0.9)
    tx = observe(momentum, every=1)
    _, state = one_step(tx)
    plain = state.inner
    fresh = restore(tx, plain, PARAMS)
    assert isinstance(fresh, Observed)
    assert_close(fresh.inner, plain)
    assert int(fresh.seen) == 0
    assert_close(restore(momentum, state, PARAMS), plain)
    again = restore(tx, state, PARAMS)
    assert_close(adamx.metrics(again), adamx.metrics(state))
    dicts = {name: getattr(state, name) for name in Observed._fields}
    dicts["inner"] = dict(count=plain.count, slots=dict(plain.slots))
    assert_close(restore(tx, dicts, PARAMS), state)
    clipped = adamx.chain(adamx.parts.Clip(1.0), momentum)
    begun = restore(observe(clipped, every=1), state, PARAMS)
    assert int(begun.sampled["step"]) == 0
    assert_close(begun.inner.slots, plain.slots)


def test_plans_know_the_state():
    tx = observe(adamx.adam(0.1), every=1)
    plan = adamx.memory_plan(tx, PARAMS)
    assert plan.rows == adamx.memory_plan(adamx.adam(0.1), PARAMS).rows
    shapes = adamx.abstract_state(tx, PARAMS)
    assert jax.tree.structure(shapes) == jax.tree.structure(tx.init(PARAMS))
    assert repr(tx).startswith("observe(chain(")
    assert repr(tx).endswith("every=1)")
    found = optax.tree_map_params(tx, lambda x: x + 1, tx.init(PARAMS))
    assert float(found.inner.mu["b"][0]) == 1
    assert int(found.seen) == 0


@NEEDS_DEVICES
def test_on_a_mesh_the_metrics_are_those_of_the_whole_leaves():
    """Some elements stand for all; the clip is by the norm of the whole gradient."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    shardings = {"a": NamedSharding(mesh, P("data")), "b": NamedSharding(mesh, P())}
    params, grads = (jax.device_put(x, shardings) for x in (PARAMS, GRADS))
    pairs = [("a", adamx.sgd(0.1)), (..., adamx.sgd(0.2))]
    tx = observe(groups(pairs, clip=0.2), every=1, elements=20)
    got = adamx.metrics(one_step(tx, params, grads)[1])
    assert float(got["grad_norm"]) == pytest.approx(NORM)
    assert float(got["clipped"]) == 1
    for i, rate in enumerate((0.1, 0.2)):
        shown = float(got[f"group{i + 1}/effective_rate_p50"])
        assert shown == pytest.approx(rate * 0.2 / NORM, rel=1e-4)
    divided = zero1(observed(), "data", mesh=mesh)

    @jax.jit
    def step(params, grads):
        return divided.update(grads, divided.init(params), params)[1]

    state = step(params, grads)
    assert float(adamx.metrics(state)["grad_norm"]) == pytest.approx(NORM)
    specs = adamx.state_sharding(divided, params)
    assert jax.tree.structure(specs) == jax.tree.structure(state)


@NEEDS_DEVICES
def test_on_an_explicit_mesh_and_in_strict_modes():
    """All elements are looked at: there JAX takes no parts of an axis that is split."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    tx = observe(adamx.sgd(0.1), every=1, elements=20)
    strict = jax.numpy_dtype_promotion("strict")
    with jax.set_mesh(mesh), strict, jax.numpy_rank_promotion("raise"):
        specs = {"a": P("data", None), "b": P("data")}
        shardings = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
        params, grads = (jax.device_put(x, shardings) for x in (PARAMS, GRADS))
        got = adamx.metrics(one_step(tx, params, grads)[1])
    assert float(got["update_norm"]) == pytest.approx(0.1 * NORM)
    assert float(got["effective_rate_p95"]) == pytest.approx(0.1)


# ---- mistakes ------------------------------------------------------------------------


class Unknown(storage.Codec):
    """A codec of somebody's own."""

    parts = ("twice", "none")

    def encode(self, x, uniform):
        return {"twice": 2 * x, "none": x[..., :1]}

    def decode(self, kept, shape):
        return kept["twice"] / 2


PLAIN = adamx.adam(0.1)
STATE = PLAIN.init(PARAMS)
INNER = "Write {}(observe(tx), ...)."
TOLD = {
    "every": (lambda: observe(PLAIN, every=0), "observe: `every` must be", "10 is"),
    "a bool": (lambda: observe(PLAIN, every=True), "observe: `every`", "10 is usual"),
    "elements": (lambda: observe(PLAIN, elements=0), "`elements` must be", "None is"),
    "nonfinite_every": (
        lambda: observe(PLAIN, nonfinite_every=0.5),
        "`nonfinite_every` must be a whole number",
        "With 1 the step is exact",
    ),
    "no transformation": (lambda: observe(3), "observe: `tx` must be", "Pass for"),
    "twice": (lambda: observe(observed()), "must not be observed", "Take one"),
    "accumulate": (
        lambda: observe(accumulate(PLAIN, 2)),
        "must be inside `accumulate`",
        INNER.format("accumulate"),
    ),
    "offload": (
        lambda: observe(offload(PLAIN)),
        "must be inside `offload`",
        INNER.format("offload"),
    ),
    "zero1": (
        lambda: observe(adamx.chain(zero1(PLAIN), optax.identity())),
        "must be inside `zero1`",
        INNER.format("zero1"),
    ),
    "no parameters": (
        lambda: observed().update(GRADS, observed().init(PARAMS)),
        "must be given the parameters",
        "Call tx.update(updates, state, params)",
    ),
    "a plain state": (
        lambda: observed().update(GRADS, STATE, PARAMS),
        "the state must be the one",
        "adamx.restore(tx, state, params)",
    ),
    "metrics": (
        lambda: adamx.metrics(STATE),
        "must come from adamx.observe",
        "observe(tx, every=10)",
    ),
    "no slot": (lambda: adamx.slots(STATE, "nue", PARAMS), "must be a slot", "'nu'"),
    "other parameters": (
        lambda: adamx.slots(STATE, "nu", {"c": PARAMS["a"]}),
        "slots: the slot `nu` must have the structure",
        "Pass the parameters",
    ),
    "a number": (
        lambda: adamx.slots(adamx.prodigy().init(PARAMS), "d", PARAMS),
        "must be an array for each leaf",
        "state.slots['d']",
    ),
    "two": (
        lambda: adamx.slots((STATE, STATE), "nu", PARAMS),
        "one state must have 'nu' for each leaf",
        "Pass the part",
    ),
    "a codec": (
        lambda: adamx.slots(store(PLAIN, nu=Unknown()).init(PARAMS), "nu", PARAMS),
        "must be kept by a codec of adamx.storage",
        "adamx.restore(tx, state, params)",
    ),
    "optax": (
        lambda: adamx.current_hyperparams(optax.adam(0.1), STATE),
        "`tx` must be an adamx transformation",
        "pass the transformation and the state inside it",
    ),
    "a state of another": (
        lambda: adamx.current_hyperparams(PLAIN, optax.adam(0.1).init(PARAMS)),
        "`state` must be the state of",
        "Pass what its init or update returned",
    ),
    "two observed": (
        lambda: adamx.metrics((observed().init(PARAMS), observed().init(PARAMS))),
        "each key must stand in one place",
        "Pass the part",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_a_mistake_is_told(name):
    assert_told(*TOLD[name])


def test_the_name_of_a_leaf_needs_a_number():
    state = observed().init(PARAMS)
    text = message(
        lambda: jax.jit(lambda s: adamx.first_nonfinite(s, PARAMS)[1])(state)
    )
    assert "Call it outside jax.jit" in text


@NEEDS_DEVICES
def test_inside_shard_map_it_is_refused():
    mesh = jax.make_mesh((8,), ("data",))
    tx = observed()

    def inside(grads):
        return tx.update(grads, tx.init(grads), grads)[0]

    mapped = jax.shard_map(inside, mesh=mesh, in_specs=P("data"), out_specs=P("data"))
    given = jax.device_put({"b": np.ones(8, "float32")}, NamedSharding(mesh, P("data")))
    text = message(lambda: jax.jit(mapped)(given))
    assert "must be those of whole leaves" in text
    assert "outside shard_map" in text
