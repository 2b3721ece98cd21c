"""Dion2 beside its own limits: what is chosen, what waits, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx.optimizers import LargestSlices
from adamx.parts import ExactPolar, Orthogonalize

RANDOM = np.random.default_rng(12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("shape", "out_axis", "side"),
    [((6, 9), 0, 0), ((9, 6), -1, 1), ((6, 6), 0, 0), ((6, 6), -1, 1)],
)
def test_the_largest_slices_of_the_shorter_side_are_moved_orthogonally(
    shape, out_axis, side
):
    """A third of six; of a square matrix the outputs. The others wait undiminished."""
    rule = LargestSlices(
        Orthogonalize(ExactPolar()), 0.5, fraction=0.3, out_axis=out_axis
    )
    tx = adamx.chain(rule)
    step, state = jax.jit(tx.update), tx.init({"w": jnp.zeros(shape)})
    momentum = np.zeros(shape)
    for g in RANDOM.standard_normal((3, *shape)):
        u, state = step({"w": jnp.asarray(g)}, state)
        momentum = momentum + g
        order = np.argsort(np.abs(momentum).sum(1 - side))
        chosen, left = order[-2:], order[:-2]
        u = np.asarray(u["w"])
        moved = np.take(u, chosen, side)
        grams = moved @ moved.T if side == 0 else moved.T @ moved
        np.testing.assert_allclose(grams, np.eye(2), rtol=0, atol=1e-12)
        assert not np.any(np.take(u, left, side))
        scale = np.where(np.isin(np.arange(6), chosen), 0.5, 1.0)
        momentum = momentum * np.expand_dims(scale, 1 - side)
        np.testing.assert_allclose(state.slots["momentum"]["w"], momentum, rtol=1e-13)


@pytest.mark.usefixtures("x64")
def test_equal_shapes_are_iterated_as_one_stack():
    """The numbers are those of each leaf alone; the last is chosen by its columns."""
    shapes = {"a": (6, 8), "b": (6, 8), "c": (8, 6)}
    p = {name: jnp.asarray(RANDOM.standard_normal(s)) for name, s in shapes.items()}
    tx = adamx.dion2(0.1, fraction=0.5)
    program = jax.jit(tx.update).lower(p, tx.init(p), p).compile()
    products = program.as_text().count(" dot(") + program.as_text().count("$matmul")
    assert products <= 3
    together = program(p, tx.init(p), p)[0]
    for name, leaf in p.items():
        alone = {name: leaf}
        u = tx.update(alone, tx.init(alone), alone)[0][name]
        np.testing.assert_allclose(together[name], u, rtol=0, atol=1e-13)


def test_the_plan_shows_what_is_iterated():
    p = {"a": jnp.zeros((6, 8)), "c": jnp.zeros((8, 6)), "embed": jnp.zeros((8, 6))}
    plan = adamx.matrix_plan(adamx.dion2(0.1, fraction=0.3), p)
    assert [row.matrices for row in plan.rows] == [(1, 2, 8), (1, 8, 2), None]
    assert plan.rows[0].why == "two axes; the largest 2 of 6"
    assert plan.stacks == {(2, 8): 2}


def test_what_is_no_matrix_and_no_share_is_refused():
    p = {"w": jnp.ones((2, 3, 4))}
    tx = adamx.dion2(0.1, dion_mask="w")
    with pytest.raises(ValueError, match=r"LargestSlices: .* two axes, got shape"):
        tx.update(p, tx.init(p), p)
    with pytest.raises(ValueError, match=r"dion2: `fraction` must .* got 0.0"):
        adamx.dion2(0.1, fraction=0.0)
    with pytest.raises(TypeError, match=r"LargestSlices: `part` must be an Orthogon"):
        LargestSlices(adamx.parts.Ema(0.9))
