"""The norm of a parameter, held and braked, and the floor of a step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.parts import Hyperball, LearningRate, RadialBrake, TrustRatio, UpdateFloor

RNG = np.random.default_rng(5)
W, U = RNG.standard_normal((2, 4, 3))


def moved(tx, w, u):
    """w after one step of `tx` given u."""
    w, u = jnp.asarray(w), jnp.asarray(u)
    updates, _ = tx.update(u, tx.init(w), w)
    return np.asarray(w + updates)


@pytest.mark.parametrize("size", [0.1, 10.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_brake_lets_its_share_of_the_change_through(x64, size, sign):
    brake, step = RadialBrake(0.3, 0.6), sign * size * W + U / 9
    before, after = np.linalg.norm(W), np.linalg.norm(W + step)
    share = 0.3 if after > before else 0.6
    got = moved(brake, W, step)
    want = (W + step) * (before + share * (after - before)) / after
    np.testing.assert_allclose(got, want, rtol=1e-12)
    np.testing.assert_allclose(moved(RadialBrake(1.0, 1.0), W, step), W + step)


@pytest.mark.parametrize("size", [1e-3, 10.0])
def test_the_floor_lengthens_what_is_shorter(x64, size):
    u = size * U
    ratio = np.linalg.norm(u) / np.linalg.norm(W)
    tx = UpdateFloor(0.35)
    got, _ = tx.update(jnp.asarray(u), tx.init(W), jnp.asarray(W))
    np.testing.assert_allclose(got, u * max(1.0, 0.35 / ratio), rtol=1e-12)
    nothing, _ = tx.update(jnp.zeros((4, 3)), tx.init(W), jnp.asarray(W))
    assert not np.any(nothing)


def test_a_step_of_hyperball_is_the_formula(x64):
    tx = adamx.chain(TrustRatio(), LearningRate(0.1), Hyperball())
    radius = np.linalg.norm(W)
    inside = W - 0.1 * radius * U / np.linalg.norm(U)
    want = radius * inside / np.linalg.norm(inside)
    np.testing.assert_allclose(moved(tx, W, U), want, rtol=1e-12)


def test_a_tensor_that_begins_at_zero_takes_its_steps():
    step = U.astype(np.float32)
    np.testing.assert_array_equal(moved(Hyperball(), np.zeros_like(step), step), step)
    np.testing.assert_allclose(
        moved(RadialBrake(0.5), np.zeros_like(step), step), step / 2, rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("build", [adamx.adamh, adamx.muonh])
def test_the_norm_stays_for_a_thousand_steps(dtype, build):
    """Also in bfloat16: its rounding is 2^-9 of a parameter, the steps are 1e-2."""
    tx = build(0.01)
    start = {"kernel": jnp.asarray(RNG.standard_normal((16, 12)), dtype)}
    noise = jnp.asarray(RNG.standard_normal((1000, 16, 12)), dtype)

    def step(carry, g):
        p, state = carry
        updates, state = tx.update({"kernel": g}, state, p)
        return (optax.apply_updates(p, updates), state), None

    run = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), noise)[0][0])
    end = run(start)
    assert end["kernel"].dtype == dtype
    before, after = (
        np.linalg.norm(np.asarray(p["kernel"], np.float64)) for p in (start, end)
    )
    bound = 1e-6 if dtype == "float32" else 2.0**-9
    assert abs(after / before - 1) < bound
    turned = np.sum(np.asarray(start["kernel"] * end["kernel"], np.float64))
    assert turned / before**2 < 0.9, "it did not move"


def test_stacked_layers_have_a_norm_each(x64):
    tx = adamx.chain(TrustRatio(), LearningRate(0.1), Hyperball(), RadialBrake(0.5))
    stack = jnp.stack([W, 3 * U])
    got = moved(adamx.stacked(tx, lambda path, leaf: True), stack, jnp.stack([U, W]))
    for layer, (w, u) in zip(got, [(W, U), (3 * U, W)], strict=True):
        np.testing.assert_allclose(layer, moved(tx, w, u), rtol=1e-12)


def test_a_share_above_one_and_a_direction_are_refused():
    with pytest.raises(ValueError, match=r"RadialBrake: `outward` must .* got 1.5"):
        RadialBrake(1.5)
    with pytest.raises(ValueError, match=r"Hyperball\(\) must be given a finished"):
        adamx.chain(adamx.scale_by_adam(), Hyperball())
    with pytest.raises(ValueError, match=r"UpdateFloor: `ratio` must"):
        UpdateFloor(-1.0)
