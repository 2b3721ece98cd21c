"""`adamx.restore` of states that have become dicts and lists in files and trainers."""

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx, serialization

import adamx
from tests.interop.test_restore import RATE, WRAPPERS, eight, tree
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
