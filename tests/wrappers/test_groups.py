"""`adamx.groups`: each group as if alone, frozen ones untouched, one state for all."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import adamx
from adamx import groups
from adamx.engine.state import ABSENT
from adamx.parts import ClipByGlobalNorm, LearningRate
from adamx.storage import Blockwise
from tests.support.counting import counted
from tests.support.trees import assert_close, assert_equal

SHAPES = {
    "embed": {"table": (6, 4)},
    "layers": [{"kernel": (4, 4), "bias": (4,)}, {"kernel": (4, 4), "bias": (4,)}],
    "head": {"kernel": (4, 3)},
}
FROZEN = {"embed/table"}


def is_shape(x):
    return type(x) is tuple


def tree(seed=0, dtype="float32"):
    normal = np.random.default_rng(seed).standard_normal
    draw = lambda shape: jnp.asarray(normal(shape), dtype)  # noqa: E731
    return jax.tree.map(draw, SHAPES, is_leaf=is_shape)


def path_of(keys):
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def only(tree, keep):
    """The tree with `None` where `keep(path)` is false."""
    return jax.tree_util.tree_map_with_path(
        lambda keys, x: x if keep(path_of(keys)) else None, tree
    )


def run(tx, params, steps=3, gradients=tree):
    """The parameters and the state after some steps, in one compiled program."""

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (optax.apply_updates(params, updates), state), None

    each = [gradients(k + 1) for k in range(steps)]
    stack = jax.tree.map(lambda *x: jnp.stack(x), *each)

    @jax.jit
    def whole(params):
        return jax.lax.scan(step, (params, tx.init(params)), stack)[0]

    return whole(params)


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


# ---- seen by the rest of the library -----------------------------------------------

BASIC = [("embed", None), ("bias", adamx.adam(0.1)), (..., adamx.adamw(0.01))]


def test_memory_plan_lists_each_leaf_once_and_says_what_is_frozen():
    tx = groups(BASIC, clip=1.0)
    plan = adamx.memory_plan(tx, tree())
    state = tx.init(tree())
    assert plan.bytes == sum(x.nbytes for x in jax.tree.leaves(state))
    assert not FROZEN & {row.leaf for row in plan.rows}
    leaves = {row.leaf: row for row in plan.leaves}
    assert leaves["embed/table"].left_out_by == "groups: frozen"
    assert leaves["embed/table"].clipped == leaves["layers/0/bias"].decays == "no"
    assert leaves["head/kernel"].clipped == "ClipByGlobalNorm"
    assert leaves["head/kernel"].decays != "no"
    assert plan.notes == ()


def test_store_keeps_the_slots_of_every_group_and_of_one():
    low = Blockwise(block=4, min_size=8)
    every = adamx.store(groups(BASIC), nu=low)
    p, state = run(every, tree(), 2)
    assert state.nu["codes"]["head"]["kernel"].dtype == jnp.uint8
    assert state.nu["codes"]["embed"]["table"] == ABSENT
    alone = adamx.store(adamx.adamw(0.01), nu=low)
    assert_equal(p["head"], run(alone, tree(), 2)[0]["head"])
    one = groups(
        [("bias", adamx.adam(0.1)), (..., adamx.store(adamx.adam(0.1), nu=low))]
    )
    apart = one.init(tree())
    assert set(apart.slots) == {"mu", "nu", "group2_nu"}
    sharding = adamx.state_sharding(one, tree(), mesh=mesh())
    assert jax.tree.structure(sharding) == jax.tree.structure(apart)


def mesh():
    return jax.make_mesh((1,), ("x",), devices=jax.devices()[:1])


def test_a_rate_that_all_groups_share_is_read_and_changed():
    half = adamx.chain(adamx.adamw(0.01), optax.scale(0.5))
    each = groups([("bias", half), (..., adamx.adamw(0.01))])
    tx = adamx.tunable(each, "learning_rate")
    p, step = tree(), jax.jit(tx.update)
    state = tx.init(p)
    before, _ = step(tree(1), state, p)
    assert_close(adamx.hyperparams(state), {"learning_rate": jnp.float32(0.01)})
    state = adamx.replace_hyperparams(state, learning_rate=0.02)
    with counted() as count:
        after, _ = step(tree(1), state, p)
    assert (count.traces, count.compilations) == (0, 0)
    assert_close(after, jax.tree.map(lambda x: 2 * x, before))


def test_stacked_layers_in_groups():
    stack = {"blocks": jnp.stack([tree()["layers"][i]["kernel"] for i in range(2)])}
    g = {"blocks": jnp.stack([tree(1)["layers"][i]["kernel"] for i in range(2)])}
    tx = adamx.stacked(groups([("blocks", adamx.lamb(0.1))]), "blocks")
    updates, _ = tx.update(g, tx.init(stack), stack)
    alone = adamx.lamb(0.1)
    for i in range(2):
        one = jax.tree.map(lambda x, i=i: x[i], (g, stack))
        want, _ = alone.update(one[0], alone.init(one[1]), one[1])
        assert_close(updates["blocks"][i], want["blocks"])


def test_the_state_of_one_optimizer_becomes_that_of_groups_of_it():
    plain = adamx.adamw(0.01)
    p, state = run(plain, tree())
    tx = groups([("bias", adamx.adamw(0.001)), (..., adamx.adamw(0.01))])
    assert_equal(adamx.restore(tx, state, p), state)
    frozen = adamx.restore(groups(BASIC), state, p)
    assert jax.tree.structure(frozen) == jax.tree.structure(groups(BASIC).init(p))
    assert_equal(frozen.mu["head"], state.mu["head"])


def test_orbax_saves_and_restores_the_state(tmp_path):
    tx = groups(BASIC, clip=1.0)
    state = run(tx, tree())[1]
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        target = adamx.abstract_state(tx, tree())
        assert_equal(checkpointer.restore(tmp_path / "state", target), state)


def test_tree_map_params_finds_what_is_like_the_parameters():
    tx = groups([("bias", adamx.adam(0.1)), (..., adamx.adamw(0.01))])
    names = jax.tree.map(lambda _: "param", tree())
    got = optax.tree_map_params(
        tx, lambda _, n: n, tx.init(tree()), names, transform_non_params=lambda _: "no"
    )
    assert got.slots == {"mu": names, "nu": names}
    frozen = groups(BASIC)
    got = optax.tree_map_params(
        frozen, lambda x: x, frozen.init(tree()), transform_non_params=lambda _: "no"
    )
    assert got.slots == {"mu": "no", "nu": "no"}


def test_inside_nnx():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    tx = groups([("bias", None), ("kernel", adamx.adamw(0.1))], clip=1.0)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    before = jax.tree.map(jnp.copy, nnx.state(model, nnx.Param))

    @nnx.jit
    def step(model, optimizer):
        grads = nnx.grad(lambda m: jnp.sum(m(jnp.ones((4, 3))) ** 2))(model)
        optimizer.update(model, grads)

    for _ in range(2):
        step(model, optimizer)
    after = nnx.state(model, nnx.Param)
    assert_equal(after["bias"], before["bias"])
    assert bool(jnp.any(after["kernel"][...] != before["kernel"][...]))


def test_it_is_a_value():
    tx, same = groups(BASIC, clip=1.0), groups(BASIC, clip=1.0)
    assert tx == same
    assert tx.update is same.update
    plain = groups([("bias", None), (..., adamx.adamw(0.01))], clip=1.0)
    assert pickle.loads(pickle.dumps(plain)) == plain
    assert repr(plain).startswith("groups([('bias', None), (..., chain(")
    assert repr(plain).endswith("clip=ClipByGlobalNorm(1.0))")


# ---- examples of the documentation -------------------------------------------------


def test_the_rate_of_a_layer_decays_with_its_depth():
    """Layer-wise rate decay (Clark et al. 2020): η dᴸ⁻ˡ, the head at η."""
    rate, decay, depth = 0.1, 0.5, 2
    tx = groups(
        [("embed", adamx.sgd(rate * decay ** (depth + 1)))]
        + [
            (rf"^layers/{i}/", adamx.sgd(rate * decay ** (depth - i)))
            for i in range(depth)
        ]
        + [(..., adamx.sgd(rate))]
    )
    updates, _ = tx.update(tree(1), tx.init(tree()), tree())
    rates = {"embed": 0.0125, "layers": [0.025, 0.05], "head": 0.1}
    want = {
        "embed": jax.tree.map(lambda g: -rates["embed"] * g, tree(1)["embed"]),
        "layers": [
            jax.tree.map(lambda g, r=r: -r * g, layer)
            for r, layer in zip(rates["layers"], tree(1)["layers"], strict=True)
        ],
        "head": jax.tree.map(lambda g: -rates["head"] * g, tree(1)["head"]),
    }
    assert_close(updates, want)


def test_the_rates_of_mup():
    """Yang et al. 2022, Table 8, Adam: matrices of two growing axes at η / m."""
    m = 4.0
    tx = groups([("embed|bias", adamx.adam(0.1)), (..., adamx.adam(0.1 / m))])
    ones = jax.tree.map(jnp.ones_like, tree())
    updates, _ = tx.update(ones, tx.init(ones), ones)
    for keys, u in jax.tree_util.tree_leaves_with_path(updates):
        wide = "kernel" in path_of(keys)
        np.testing.assert_allclose(u, -0.1 / (m if wide else 1), rtol=1e-6)


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
    ids=str,
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
    ids=str,
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
