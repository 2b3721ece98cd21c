"""A step exported for every platform, written, read back, and run on a CPU."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax import export

import adamx
from adamx.storage import Blockwise
from tests.support.trees import assert_equal, grads, params
from tests.table.cases import OPTIMIZERS, SMALL, Case, kinds

PLATFORMS = ("cpu", "cuda", "tpu", "rocm")
EIGHT = Blockwise(block=4, min_size=8)
OTHERS = {
    "8 bits": adamx.store(adamx.rmsprop(0.1), nu=EIGHT),
    "tunable": adamx.tunable(adamx.adam(0.1), "learning_rate"),
    "accumulate": adamx.accumulate(adamx.adam(0.1), 2),
    "groups": adamx.groups([("kernel", adamx.adam(0.1)), (..., adamx.sgd(0.1))]),
    "observe": adamx.observe(adamx.adam(0.1)),
    "masked": adamx.Masked(adamx.scale_by_adam(), lambda path, x: x.ndim > 1),
}
RUN = {str(param.values[0]) for param in kinds()} | {"muon"}
CASES = [pytest.param(tx, True, id=name) for name, tx in OTHERS.items()] + [
    pytest.param(Case(row, row.variants[0]).tx, row.name in RUN, id=row.name)
    for row in OPTIMIZERS
    if not SMALL or row.name == "muon"
]


@pytest.mark.parametrize(("tx", "is_run"), CASES)
def test_an_exported_step_is_the_step_bit_for_bit(tx, is_run):
    """All are written and read back; of each kind of optimizer one is run, too."""
    p = params()

    @jax.jit
    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    state = tx.init(p)
    exported = export.export(step, platforms=PLATFORMS)(p, state, grads())
    assert exported.platforms == PLATFORMS
    again = export.deserialize(exported.serialize())
    assert again.out_tree == jax.tree.structure((p, state))
    if not is_run:
        return
    got, want = again.call(p, state, grads()), step(p, state, grads())
    assert jax.tree.structure(got) == jax.tree.structure(want)
    assert_equal(got, want)


def test_names_in_an_exported_file_are_the_public_ones():
    tx = OTHERS["tunable"]
    state = {"w": jnp.ones((2, 3))}
    exported = export.export(jax.jit(lambda x: x))(tx.init(state))
    written = bytes(exported.serialize())
    for name in (b"adamx.State", b"adamx.Tuned"):
        assert name in written
