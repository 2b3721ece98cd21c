"""`adamx.groups` with the rest of the library, with trainers, and in its examples."""

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
from adamx.storage import Blockwise
from tests.support.counting import counted
from tests.support.trees import assert_close, assert_equal
from tests.wrappers.small_model import (
    FROZEN,
    path_of,
    run,
    tree,
)

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


def test_fused_groups_are_the_groups():
    tx = groups(BASIC, clip=1.0)
    fused = adamx.fused(tx)
    assert_close(run(fused, tree(), 2)[0], run(tx, tree(), 2)[0])
    plan = adamx.memory_plan(adamx.accumulate(fused, 2), tree())
    assert {row.leaf: row.computed for row in plan.leaves}["head/kernel"]


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
    with pytest.warns(UserWarning, match="nothing in the place of the slot `mu` of"):
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
