"""Dion beside its own limits: full rank, rank 1, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx

RNG = np.random.default_rng(8)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
@pytest.mark.parametrize("out_axis", [0, -1])
def test_at_full_rank_all_of_the_momentum_decays(x64, shape, out_axis):
    """M = μ B = μ M + μ G, whatever the layout."""
    tx = adamx.scale_by_dion(0.5, out_axis=out_axis)
    want, state = np.zeros(shape), tx.init({"w": jnp.zeros(shape)})
    for g in RNG.standard_normal((4, *shape)):
        _, state = tx.update({"w": jnp.asarray(g)}, state)
        want = 0.5 * (want + g)
    np.testing.assert_allclose(state.slots["momentum"]["w"], want, rtol=1e-12)


def test_the_step_is_that_of_the_transpose_in_the_other_layout(x64):
    g = RNG.standard_normal((3, 4, 6))
    first, second = (
        adamx.scale_by_dion(rank_fraction=0.5, out_axis=axis) for axis in (0, -1)
    )
    one, two = first.init({"w": g[0]}), second.init({"w": g[0].T})
    for x in map(jnp.asarray, g):
        u, one = first.update({"w": x}, one)
        v, two = second.update({"w": x.T}, two)
        np.testing.assert_allclose(u["w"], v["w"].T, rtol=1e-11)
        assert np.linalg.matrix_rank(u["w"]) == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_steps_of_rank_one_reach_the_other_directions_too(dtype):
    """What the rank leaves out of one step is in a later one.

    A sum of steps along one direction leaves at least the second singular value.
    """
    target = jnp.asarray(RNG.standard_normal((6, 8)), jnp.float32)
    rate = optax.linear_schedule(0.3, 0.0, 300)
    tx = adamx.dion(rate, rank_fraction=1 / 6, weight_decay=0.0)

    def step(carry, _):
        p, state = carry
        g = {"w": (p["w"] - target).astype(dtype)}
        updates, state = tx.update(g, state, p)
        return (optax.apply_updates(p, updates), state), None

    start = {"w": jnp.zeros((6, 8), dtype)}
    run = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), None, 300)[0][0])
    left = jnp.linalg.norm(run(start)["w"].astype(jnp.float32) - target)
    assert left < jnp.linalg.svd(target)[1][1]


def test_what_is_no_matrix_and_no_share_is_refused():
    p = {"w": jnp.ones((2, 3, 4))}
    with pytest.raises(ValueError, match=r"LowRankOrthogonal: .* two axes, got shape"):
        adamx.dion(0.1, dion_mask="w").init(p)
    with pytest.raises(ValueError, match=r"dion: `rank_fraction` must .* got 0.0"):
        adamx.dion(0.1, rank_fraction=0.0)
