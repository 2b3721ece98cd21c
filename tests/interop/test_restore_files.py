"""`adamx.restore` of states from files, trainers and devices, and of stacked layers."""

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx, serialization
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import adamx
from adamx.storage import Cast
from tests.interop.test_restore import (
    RATE,
    WRAPPERS,
    after_one_step,
    eight,
    is_like,
    tree,
)
from tests.support.trees import assert_equal


@pytest.mark.parametrize("name", ["chain", "partition", "MultiSteps", "tunable"])
def test_what_orbax_returns_without_a_target_and_other_dicts(name, tmp_path):
    tx = WRAPPERS[name](eight())
    state = tx.init(tree(3))
    forms = [serialization.to_state_dict(state)]
    if name in ("chain", "partition"):
        with ocp.StandardCheckpointer() as saver:
            saver.save(tmp_path / "state", state)
            saver.wait_until_finished()
            forms.append(saver.restore(tmp_path / "state"))
    for form in forms:
        assert_equal(adamx.restore(tx, form, tree(0)), state)


def test_states_of_nnx_are_read_with_and_without_boxes():
    model = nnx.Linear(16, 64, rngs=nnx.Rngs(0))
    tx = optax.chain(optax.clip(1.0), adamx.muon(RATE))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    params = nnx.state(model, nnx.Param)
    optimizer.update(model, nnx.grad(lambda model: jnp.sum(model.kernel**2))(model))
    want = nnx.as_pure(optimizer.opt_state)
    for form in (
        optimizer.opt_state,
        nnx.state(optimizer),
        nnx.to_pure_dict(nnx.state(optimizer)),
    ):
        for p in (params, nnx.to_pure_dict(params)):
            got = nnx.as_pure(adamx.restore(tx, form, p))
            assert_equal(jax.tree.leaves(got), jax.tree.leaves(want))


def test_more_than_ten_links_are_read_in_order():
    """A dict that was a list has the names "0", "1", …, "11"."""
    tx = optax.chain(*(optax.trace(0.1 * i) for i in range(11)), adamx.adam(RATE))
    state = tx.init(tree(0))
    state = tuple(
        jax.tree.map(lambda x, i=i: jnp.full_like(x, i), one)
        for i, one in enumerate(state)
    )
    saved = {str(i): serialization.to_state_dict(x) for i, x in enumerate(state)}
    assert_equal(adamx.restore(tx, saved, tree(0)), state)


def test_a_slot_of_stacked_layers_is_encoded():
    stacked = adamx.stacked(adamx.novograd(RATE), "kernel")
    plain = stacked.init(tree(0))
    coded = adamx.store(stacked, mu=Cast(jnp.bfloat16), nu=Cast(jnp.float16))
    got = adamx.restore(coded, plain, tree(0))
    is_like(got, coded)
    assert got.nu["kernel"].shape[0] == 16


def test_orbax_dicts_of_adamx_are_read_by_optax():
    state = after_one_step(adamx.adam(RATE))
    form = serialization.to_state_dict(state)
    got, want = (adamx.restore(optax.adam(RATE), x, tree(0)) for x in (form, state))
    assert_equal(got, want)


def test_a_state_is_put_where_the_transformation_keeps_it():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    params = jax.device_put(tree(0), NamedSharding(mesh, PartitionSpec()))
    tx = adamx.zero1(adamx.adam(RATE), "d", mesh=mesh)
    saved = adamx.adam(RATE).init(params)
    got, fresh = adamx.restore(tx, saved, params), tx.init(params)
    for a, b in zip(*map(jax.tree.leaves, (got, fresh)), strict=True):
        assert a.sharding == b.sharding
    assert got.mu["kernel"].sharding.spec[0] == "d"
