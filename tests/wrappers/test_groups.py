"""`adamx.groups`: each group as if alone, frozen ones untouched, one state for all."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import groups
from adamx.parts import ClipByGlobalNorm, LearningRate
from tests.support.trees import assert_close, assert_equal
from tests.wrappers.small_model import (
    SHAPES,
    is_shape,
    only,
    path_of,
    run,
    tree,
)

# ---- each group as if alone ------------------------------------------------------


def test_each_group_is_optimized_as_if_alone():
    """Bit for bit; what sums over the tree sums over its group."""
    parts = {
        "bias": adamx.sgd(0.1, momentum=0.9),
        "head": adamx.prodigy(1.0),
        "layers.*kernel": adamx.muon(0.02, weight_decay=0.1),
    }
    tx = groups([("embed", None), *parts.items()])
    got, state = run(tx, tree())
    assert int(state.count) == 3
    for pattern, alone in parts.items():
        keep = groups([(pattern, alone), (..., None)]).groups[0][0].resolve(tree())
        names = [path_of(k) for k, _ in jax.tree_util.tree_leaves_with_path(tree())]
        mine = {n for n, kept in zip(names, keep, strict=True) if kept}
        want, own = run(
            alone,
            only(tree(), mine.__contains__),
            3,
            lambda k, mine=mine: only(tree(k), mine.__contains__),
        )
        assert_equal(only(got, mine.__contains__), want)
        for name, slot in own.slots.items():
            if hasattr(slot, "dtype"):
                assert_equal(state.slots[name], slot)
    assert_equal(got["embed"], tree()["embed"])


def test_it_is_a_partition_of_optax_with_a_clip_before():
    """Optax's own parts: the clip's norm is that of what is not frozen."""
    tx = groups(
        [("embed", None), ("bias", adamx.sgd(0.1)), (..., adamx.adamw(0.01))], clip=0.5
    )
    labels = jax.tree_util.tree_map_with_path(
        lambda keys, _: (
            ["embed", "bias"][0]
            if "embed" in path_of(keys)
            else ("bias" if "bias" in path_of(keys) else "rest")
        ),
        tree(),
    )
    live = jax.tree.map(lambda x: x != "embed", labels)
    other = optax.chain(
        optax.masked(optax.clip_by_global_norm(0.5), live),
        optax.partition(
            {
                "embed": optax.set_to_zero(),
                "bias": optax.sgd(0.1),
                "rest": optax.adamw(0.01),
            },
            labels,
        ),
    )
    assert_close(run(tx, tree())[0], run(other, tree())[0])


def test_gradients_of_few_digits_are_clipped_in_float32():
    """As in a chain: nothing is rounded between the clip and the optimizer."""
    low = lambda seed: tree(seed, "bfloat16")  # noqa: E731
    last = adamx.chain(adamx.adam(0.01), adamx.split_master())
    clip = ClipByGlobalNorm(0.5)
    tx = groups([("bias", adamx.adam(0.01)), (..., last)], clip=clip)
    one, other = (run(x, low(0), 2, low) for x in (tx, adamx.chain(clip, last)))
    masters = [adamx.master_params(s, p)["head"] for p, s in (one, other)]
    assert_equal(*masters)
    assert_equal(one[0]["head"], other[0]["head"])
    updates = jax.eval_shape(tx.update, low(1), one[1], low(0))[0]
    assert updates["layers"][0]["bias"].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "biases",
    [
        "bias$",
        lambda path, leaf: leaf.ndim == 1,
        lambda params: jax.tree.map(lambda p: p.ndim == 1, params),
        jax.tree.map(lambda s: len(s) == 1, SHAPES, is_leaf=is_shape),
    ],
    ids=["regex", "predicate", "callable", "tree"],
)
def test_leaves_are_named_as_everywhere_in_adamx(biases):
    tx = groups([(biases, adamx.sgd(1.0)), (..., None)])
    updates, _ = tx.update(tree(1), tx.init(tree()), tree())
    for keys, u in jax.tree_util.tree_leaves_with_path(updates):
        assert bool(jnp.any(u != 0)) == ("bias" in path_of(keys))


def test_states_of_foreign_parts_and_numbers_of_a_group_have_its_number():
    steps = optax.scale_by_schedule(lambda n: 1.0 / (n + 1))
    one = adamx.chain(adamx.prodigy(1.0), ("decay", steps))
    tx = groups([("bias", one), ("head", one), (..., adamx.schedule_free_sgd(0.1))])
    state = run(tx, tree())[1]
    assert set(state.inner) == {"decay", "group2_decay"}
    assert {"d", "group2_d", "z", "mu"} <= set(state.slots)


def test_averages_of_two_groups_are_each_evaluated():
    """Each by its own share, though both are called `z`."""
    slow, fast = adamx.schedule_free_sgd(0.01), adamx.schedule_free_sgd(0.1, b1=0.5)
    tx = groups([("bias", slow), (..., fast)])
    p, state = run(tx, tree())
    got = adamx.eval_params(state, p)
    for alone, keep in ((slow, "bias".__eq__), (fast, "bias".__ne__)):
        mine = lambda path, keep=keep: keep(path.split("/")[-1])  # noqa: E731
        own = run(alone, only(tree(), mine), 3, lambda k, m=mine: only(tree(k), m))
        assert_equal(only(got, mine), adamx.eval_params(own[1], own[0]))


# ---- frozen ----------------------------------------------------------------------


def test_a_frozen_leaf_keeps_its_bits_and_has_nothing_in_the_state():
    p = tree()
    p["embed"]["table"] = jnp.asarray([[0.0, -0.0, jnp.inf, jnp.nan]] * 6)
    tx = groups([("embed", None), (..., adamx.adamw(0.1))], clip=1.0)
    after, state = run(tx, p)
    bits = lambda x: np.asarray(x).view(np.uint32)  # noqa: E731
    np.testing.assert_array_equal(
        bits(after["embed"]["table"]), bits(p["embed"]["table"])
    )
    live = {name: x for name, x in p.items() if name != "embed"}
    count = sum(x.size for x in jax.tree.leaves(live))
    assert sum(x.nbytes for x in jax.tree.leaves(state)) == 8 * count + 4


def test_a_frozen_leaf_costs_nothing():
    """The compiled step does the arithmetic of a step without the leaf."""

    def flops(tx, params):
        def loss(p):
            return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(p))

        def step(p, state):
            updates, state = tx.update(jax.grad(loss)(p), state, p)
            return optax.apply_updates(p, updates), state

        compiled = jax.jit(step).lower(params, tx.init(params)).compile()
        return compiled.cost_analysis()

    p = tree()
    kept = {name: x for name, x in p.items() if name != "embed"}
    tx = groups([("embed", None), (..., adamx.adamw(0.1))], clip=1.0)
    alone = groups([(..., adamx.adamw(0.1))], clip=1.0)
    with_it, without = flops(tx, p), flops(alone, kept)
    assert with_it["flops"] == without["flops"] > 0
    assert with_it.get("transcendentals") == without.get("transcendentals")


def test_a_leaf_without_a_gradient_stays_without_an_update():
    g = tree(1)
    g["embed"]["table"] = g["layers"][0]["kernel"] = None
    tx = groups([("embed", None), (..., adamx.adamw(0.1))], clip=1.0)
    updates, _ = jax.jit(tx.update)(g, tx.init(tree()), tree())
    assert jax.tree.structure(updates) == jax.tree.structure(g)


def test_masked_is_no_freeze():
    """The trap: leaves that a mask leaves out get their raw gradient as the update."""
    tx = adamx.Masked(adamx.scale_by_adam(), "layers")
    updates, _ = tx.update(tree(1), tx.init(tree()), tree())
    assert_equal(updates["embed"], tree(1)["embed"])


# ---- errors ------------------------------------------------------------------------

ADAM = adamx.adam(0.1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "must be a list of pairs of leaves and an optimizer, got"),
        (ADAM, "must be a list of pairs of leaves and an optimizer, got"),
        ([ADAM], "a group must be a pair of leaves and an optimizer, got"),
        ([("bias", 0.1)], r"the group 'bias' must have a gradient transf.*got 0\.1"),
        ([("bias", adamx.adam)], r"must have a gradient transf.* the function adam"),
        ([(None, ADAM)], r"must say which leaves it has, got None\. Pass `\.\.\.`"),
        ([("a", ADAM), ("a", None)], r"must have leaves of its own, got 'a' twice"),
        ([(..., ADAM), (..., None)], r"leaves of its own, got \.\.\. twice"),
        ([("a(", ADAM)], r"groups: `mask` must be a valid regular expression"),
    ],
    ids=[
        *("no list", "an optimizer", "no pair", "a number", "not called"),
        *("no leaves", "twice", "the rest twice", "no regex"),
    ],
)
def test_bad_groups_are_refused(given, told):
    with pytest.raises(ValueError, match=told):
        groups(given)


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        (-1.0, r"groups: `clip` must be above 0, got -1\.0"),
        ("1", r"groups: `clip` must be a real number"),
        (LearningRate(0.1), r"`clip` must take and return gradients, got Learn"),
        (optax.clip(1.0), r"groups: `clip` must be"),
    ],
    ids=["negative", "text", "a rate", "of Optax"],
)
def test_a_bad_clip_is_refused(clip, told):
    with pytest.raises(ValueError, match=told):
        groups([(..., ADAM)], clip=clip)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            [("layers", None), ("kernel", ADAM), (..., ADAM)],
            r"got two for 'layers/0/kernel' \(in 'layers' and 'kernel'\), "
            r"'layers/1/kernel' .*Narrow one of the patterns",
        ),
        (
            [("layers", None)],
            r"every leaf must be in a group, got none for 'embed/table', "
            r"'head/kernel'\. Add `\(\.\.\., tx\)`",
        ),
        ([("layrs", None), (..., ADAM)], r"got 'layrs', which is in none.*'layers'"),
    ],
    ids=["twice", "never", "no leaf"],
)
def test_a_leaf_in_two_groups_or_in_none_is_named(given, told):
    with pytest.raises(ValueError, match=told):
        groups(given).init(tree())
    with pytest.raises(ValueError, match=told):
        groups(given).update(tree(1), groups([(..., ADAM)]).init(tree()), tree())
