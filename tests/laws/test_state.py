"""Laws of the state: it keeps its form, owns its memory, and takes any tree."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adamx.engine.state import is_absent
from adamx.testing.laws import (
    empty_tree,
    form_is_kept,
    numpy_leaves,
    state_owns_its_memory,
)
from tests.support.laws import assert_law
from tests.support.trees import (
    GRAD_DTYPES,
    PARAM_DTYPES,
    assert_equal,
    grads,
    outline,
    params,
    signature,
)
from tests.table.cases import OPTIMIZERS, PAIRS, grid, kinds, law_cases

DTYPES = pytest.mark.parametrize(
    ("param_dtype", "grad_dtype"),
    [
        (p, g)
        for p in PARAM_DTYPES
        for g in GRAD_DTYPES
        if g != "float16" or p == "float32"
    ],
)
EVERY = pytest.mark.parametrize("case", law_cases())
FIRST = pytest.mark.parametrize("case", kinds())
INT32_MAX = np.iinfo(np.int32).max


def dtypes(tree):
    return jax.tree.map(lambda x: jnp.dtype(x.dtype).name, tree)


@EVERY
@DTYPES
def test_the_state_is_a_fixed_point_and_updates_have_the_wider_dtype(
    case, param_dtype, grad_dtype
):
    """Traced in every pair of dtypes, and for the first variant computed in two.

    What is computed has the dtypes of what was traced, so the others add no more than
    a compilation: float32 with float32, and both in bfloat16.
    """
    tx, p, g = case.tx, params(param_dtype), grads(0, grad_dtype)
    assert_law(form_is_kept, tx, p, [g])
    if case.first and param_dtype == grad_dtype:
        state, (updates, after) = tx.init(p), tx.update(g, tx.init(p), p)
        assert signature(state) == signature(jax.eval_shape(tx.init, p))
        assert signature(after) == signature(state)
        assert dtypes(updates) == dtypes(g)


@FIRST
@pytest.mark.parametrize("kind", ["array", "schedule"])
def test_a_varying_hyperparameter_keeps_the_fixed_point(case, kind):
    """Each of them alone, traced; all of them together, computed."""
    names = ("learning_rate", *case.hypers)
    values = {n: jnp.asarray(PAIRS[n][0]) for n in names}
    if kind == "schedule":
        values = {n: (lambda k, x=x: x) for n, x in values.items()}
    p = params()
    for name in names:
        tx = case.build(**{name: values[name]})
        state = jax.eval_shape(tx.init, p)
        updates, after = jax.eval_shape(tx.update, grads(), state, p)
        assert signature(after) == signature(state), name
        assert dtypes(updates) == dtypes(grads()), name
    tx = case.build(**values)
    state = tx.init(p)
    updates, after = tx.update(grads(), state, p)
    assert signature(after) == signature(state)
    assert dtypes(updates) == dtypes(grads())


def dtypes_kept(slots):
    """The dtypes of what is kept, where something is."""
    return {x.dtype.name for x in jax.tree.leaves(slots) if not is_absent(x)}


@FIRST
@pytest.mark.parametrize("param_dtype", PARAM_DTYPES)
def test_moments_are_float32_and_named_by_their_role(case, param_dtype):
    p = params(param_dtype)
    state = case.tx.init(p)
    slots = dict(state.slots)
    for name in case.optimizer.shared:
        assert slots.pop(name).shape == ()
    assert set(slots) == set(case.optimizer.slots)
    for name, slot in slots.items():
        assert outline(slot) == jax.tree.structure(p)
        assert dtypes_kept(slot) <= {"float32"}
        assert optax.tree.get(state, name) is slot
    assert dtypes_kept(state.slots) == ({"float32"} if state.slots else set())
    assert state.count.dtype == jnp.int32
    assert int(optax.tree.get(state, "count")) == 0


def test_moments_of_float64_parameters_are_float64(x64):
    """Traced: a dtype does not depend on what is computed."""
    for optimizer in OPTIMIZERS:
        tx, p = optimizer.build(), params("float64")
        state = jax.eval_shape(tx.init, p)
        updates, state = jax.eval_shape(tx.update, grads(0, "float64"), state, p)
        assert dtypes_kept(state.slots) <= {"float64"}
        assert {x.dtype.name for x in jax.tree.leaves(updates)} == {"float64"}


@EVERY
def test_no_leaf_of_the_state_aliases_a_parameter_or_another_leaf(case):
    assert_law(state_owns_its_memory, case.tx, params(), [])


@FIRST
def test_parameters_and_state_may_be_donated_right_after_init(case):
    tx, p = case.tx, params()

    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    wanted = step(p, tx.init(p), grads())
    got = jax.jit(step, donate_argnums=(0, 1))(p, tx.init(p), grads())
    assert all(x.is_deleted() for x in jax.tree.leaves(p))
    assert signature(got) == signature(wanted)
    got, wanted = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)])
                   for t in (got, wanted))  # fmt: skip
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("case", "grad_dtype"), grid(GRAD_DTYPES))
def test_the_counter_saturates_and_the_update_stays_finite(case, grad_dtype):
    tx, p, g = case.tx, params(), grads(0, grad_dtype)
    _, state = tx.update(g, tx.init(p), p)
    state = state._replace(count=jnp.asarray(INT32_MAX, jnp.int32))
    for _ in range(2):
        updates, state = tx.update(g, state, p)
        assert int(state.count) == INT32_MAX
        for leaf in jax.tree.leaves((updates, state)):
            assert np.all(np.isfinite(np.asarray(leaf, np.float64)))
    assert any(np.any(np.asarray(u, np.float64)) for u in jax.tree.leaves(updates))


@FIRST
def test_an_empty_tree(case):
    for changes in ({}, {n: jnp.asarray(PAIRS[n][0]) for n in case.hypers}):
        tx = case.build(**changes)
        assert_law(empty_tree, tx, {}, [])
        assert int(tx.update({}, tx.init({}), {})[1].count) == 1


@EVERY
def test_init_takes_shapes_without_values(case):
    p = params()
    shapes = jax.eval_shape(lambda: p)
    assert_equal(case.tx.init(shapes), case.tx.init(p))


@FIRST
@pytest.mark.parametrize("hole", [None, optax.MaskedNode()], ids=["None", "Masked"])
def test_holes_in_the_tree_stay_holes(case, hole):
    tx = case.tx
    p, g = {"a": params(), "frozen": hole}, {"a": grads(), "frozen": hole}
    state = tx.init(p)
    updates, after = tx.update(g, state, p)
    assert jax.tree.structure(updates) == jax.tree.structure(g)
    assert signature(after) == signature(state)
    alone, alone_state = tx.update(grads(), tx.init(params()), params())
    assert_equal(updates["a"], alone)
    for name, slot in after.slots.items():
        if outline(slot) == jax.tree.structure(p):
            assert_equal(slot["a"], alone_state.slots[name])


@FIRST
def test_a_missing_gradient_freezes_its_leaf(case):
    """`None` where the parameter is an array: Equinox's filtered gradients."""
    tx, p = case.tx, {"a": params(), "frozen": jnp.ones((2, 3))}
    g = {"a": grads(), "frozen": None}
    state = tx.init(p)
    for _ in range(2):
        updates, after = tx.update(g, state, p)
        assert updates["frozen"] is None
        assert signature(after) == signature(state)
        for name, slot in after.slots.items():
            if outline(slot) == jax.tree.structure(p):
                assert_equal(slot["frozen"], state.slots[name]["frozen"])
        state = after


@FIRST
def test_numpy_leaves_are_arrays_too(case):
    assert_law(numpy_leaves, case.tx, params(), [grads()])


@FIRST
def test_optimizers_without_decay_need_no_parameters(case):
    tx = case.scale_by()
    state = tx.init(params())
    assert_equal(tx.update(grads(), state), tx.update(grads(), state, params()))
