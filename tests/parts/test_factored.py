"""Factored second moments over other axes than the last two (`axes=` of Adafactor).

With the last two every optimizer is checked against its paper; here a kernel is to step
as the same numbers with their axes in the usual order.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx.parts import FactoredSecondMoment, MatrixAxes
from tests.support.trees import assert_close

SHAPE = (3, 4, 2, 5)


def last(x):
    """The spatial axes behind the others, as in torch."""
    return jnp.moveaxis(x, (0, 1), (2, 3))


def flat(x):
    """Inputs by outputs."""
    return x.reshape(-1, x.shape[-1])


USUAL = {
    "spatial": (MatrixAxes(0, 1), last, (3, 2, 5), (4, 2, 5)),
    "swapped": (
        MatrixAxes(1, -4),
        lambda x: jnp.moveaxis(x, (1, 0), (2, 3)),
        (4, 2, 5),
        (3, 2, 5),
    ),
    "inputs": (MatrixAxes((0, 1, 2), 3), flat, (3, 4, 2), (5,)),
}


@pytest.mark.parametrize("name", USUAL)
def test_a_kernel_steps_as_with_its_axes_in_the_usual_order(name):
    axes, turned, rows, columns = USUAL[name]
    rng = np.random.default_rng(3)
    kernel, *gradients = jnp.asarray(rng.standard_normal((4, *SHAPE)), jnp.float32)
    dense = jnp.asarray(rng.standard_normal((4, 6)), jnp.float32)
    own = adamx.adafactor(0.1, 0, axes=axes, eps_scale=0.5)
    usual = adamx.adafactor(0.1, 0, eps_scale=0.5)

    @jax.jit
    def trained():
        both = ({"k": kernel, "d": dense}, {"k": turned(kernel), "d": dense})
        states = [tx.init(p) for tx, p in zip((own, usual), both, strict=True)]
        sizes = [states[0].slots[s]["k"].shape for s in ("nu_row", "nu_col")]
        assert sizes == [rows, columns]
        params = list(both)
        for g in gradients:
            given = ({"k": g, "d": dense}, {"k": turned(g), "d": dense})
            for i, tx in enumerate((own, usual)):
                params[i], states[i] = adamx.step(tx, params[i], given[i], states[i])
        return params[0] | {"k": turned(params[0]["k"])}, params[1]

    assert_close(*trained())


WRONG = {
    "no axes": (
        lambda: adamx.adafactor(axes=(0, 1)),
        r"`axes` must be MatrixAxes or None, got \(0, 1\). Pass for example Matrix",
    ),
    "a split": (
        lambda: adamx.adafactor(axes=MatrixAxes(0, 1, split_columns=3)),
        "`axes` must not split the rows or the columns, got MatrixAxes",
    ),
    "an axis that is not there": (
        lambda: FactoredSecondMoment(0.9, axes=MatrixAxes(1, 3)).init(
            {"w": jnp.zeros((2, 3, 4))}
        ),
        r"every axis must be in the array, got axis 3 of MatrixAxes\(\(1,\)",
    ),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_axes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_axes_are_said_and_read_back():
    tx = adamx.adafactor(0.1, 0, axes=MatrixAxes((0, 1, 2), 3))
    said = "at least 0; of more than two axes, rows are 0, 1, 2 and columns 3:"
    assert said in str(adamx.describe(tx))
    assert adamx.from_config(adamx.to_config(tx)) == tx
    stacked = adamx.stacked(tx, "layers")
    state = stacked.init({"layers": jnp.zeros((7, *SHAPE))})
    assert state.slots["nu_row"]["layers"].shape == (7, 3, 4, 2)
