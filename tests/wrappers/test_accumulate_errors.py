"""What `adamx.accumulate` refuses, and with which words."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

import adamx
from adamx import accumulate
from tests.support.meshes import NEEDS_DEVICES, SPECS, mesh_of, tree as leaves_of
from tests.wrappers.test_accumulate import tree

ADAM = adamx.adam(0.1)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: accumulate(0.1, 2), r"`tx` must be a gradient transf.*, got 0\.1"),
        (
            lambda: accumulate(ADAM, 0),
            r"`every` must be a whole number, at least 1, got 0",
        ),
        (lambda: accumulate(ADAM, 2.5), r"`every` must be a whole number.*got 2\.5"),
        (lambda: accumulate(ADAM, True), r"`every` must be a whole number.*got True"),
        (lambda: accumulate(ADAM, 2, dtype=int), r"must be a floating dtype.*got int"),
        (
            lambda: accumulate(ADAM, 2, skip_spikes=0.5),
            r"must be a finite number, above 1, got 0\.5",
        ),
        (lambda: accumulate(ADAM, 2, weights=[1.0]), r"must be 2 numbers.*\[1\.0\]"),
        (lambda: accumulate(ADAM, 2, weights=[0, 0]), r"not all 0, got \[0\.0, 0\.0\]"),
        (lambda: accumulate(ADAM, 2, weights=3), r"name of an extra argument.*got 3"),
    ],
)
def test_bad_arguments_are_refused(build, told):
    with pytest.raises(ValueError, match=f"accumulate: .*{told}"):
        build()


def test_bad_calls_are_refused():
    tx = accumulate(ADAM, 2, weights="tokens")
    state = tx.init(tree())
    with pytest.raises(TypeError, match=r"weight `tokens` .*given to update, got no"):
        tx.update(tree(1), state, tree())
    with pytest.raises(TypeError, match=r"must be one number, got an array of shape"):
        tx.update(tree(1), state, tree(), tokens=jnp.ones(3))
    with pytest.raises(TypeError, match=r"`accumulate` returned, got State.*restore"):
        tx.update(tree(1), state.inner, tree(), tokens=1.0)
    other = tree(1) | {"bias": jnp.ones(5)}
    with pytest.raises(ValueError, match=r"got \(5,\) for `bias`, whose slot `grad"):
        tx.update(other, state, tree(), tokens=1.0)


@NEEDS_DEVICES
def test_a_weight_that_differs_between_devices_is_refused():
    tx = accumulate(adamx.adamw(0.1), 2, weights="tokens")

    def step(params, tokens):
        return tx.update(params, tx.init(params), params, tokens=tokens.sum())[0]

    mapped = jax.shard_map(
        step, mesh=mesh_of(), in_specs=(SPECS, P("x")), out_specs=SPECS
    )
    with pytest.raises(ValueError, match=r"accumulate: .*psum"):
        jax.eval_shape(mapped, leaves_of(), jnp.ones(4))
