"""PSGD Kron: what its factors are fitted to, when, and which are diagonal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx.engine.state import is_absent
from adamx.numerics.random_bits import key_of, normal
from adamx.optimizers import annealed_probability

RNG = np.random.default_rng(18)


def shapes(shape, **keywords):
    state = jax.eval_shape(adamx.psgd_kron(**keywords).init, {"w": jnp.zeros(shape)})
    factors = (state.slots[f"{side}_factor"]["w"] for side in ("left", "right"))
    return [x.shape for x in factors if not is_absent(x)]


def test_the_update_of_gaussian_gradients_becomes_white(x64):
    """Of G = C N D it tends to have covariance I, whatever C and D."""
    normals = np.random.default_rng(18).standard_normal
    c, d = (normals((n, n)) * 2.0 ** -np.arange(n) for n in (4, 3))
    noise = normals((6000, 4, 3))
    gradients = jnp.asarray(c @ noise @ d)
    tx = adamx.scale_by_psgd_kron(
        0.0,
        preconditioner_update_probability=1.0,
        preconditioner_lr=0.03,
        damping=0.0,
        clipping_threshold=1e9,
    )

    def step(state, g):
        u, state = tx.update({"w": g}, state)
        return state, u["w"].ravel()

    start = tx.init({"w": jnp.zeros((4, 3))})
    run = jax.jit(lambda g: jax.lax.scan(step, start, g)[1])
    late = np.asarray(run(gradients))[3000:]
    values = np.linalg.eigvalsh(late.T @ late / len(late))
    before = gradients[3000:].reshape(-1, 12)
    raw = np.linalg.eigvalsh(before.T @ before / len(before))
    assert raw[-1] / raw[0] > 1e4
    assert values[0] > 0.8
    assert values[-1] < 1.25


@pytest.mark.parametrize(
    ("shape", "keywords", "wanted"),
    [
        ((5, 3), {}, [(5, 5), (3, 3)]),
        ((2, 3, 4), {}, [(6, 6), (4, 4)]),
        ((7,), {}, [(7,)]),
        ((), {}, [(1,)]),
        ((1, 3), {}, [(1,), (3, 3)]),
        ((7,), {"min_ndim_triangular": 1}, [(7, 7)]),
        ((5, 3), {"max_size_triangular": 4}, [(5,), (3, 3)]),
        ((5, 3), {"memory_save_mode": "one_diag"}, [(5,), (3, 3)]),
        ((3, 3), {"memory_save_mode": "one_diag"}, [(3, 3), (3,)]),
        ((5, 3), {"memory_save_mode": "all_diag"}, [(5,), (3,)]),
    ],
)
def test_which_factors_are_triangular(shape, keywords, wanted):
    assert shapes(shape, **keywords) == wanted


def test_factors_are_triangular_and_a_leaf_without_gradients_keeps_them():
    """In psgd_jax the factors of such a leaf grow by a tenth in each step."""
    tx = adamx.scale_by_psgd_kron()
    p = {"idle": jnp.zeros((3, 2)), "used": jnp.zeros((3, 2))}

    def step(state, g):
        u, state = tx.update({"idle": jnp.zeros((3, 2)), "used": g}, state)
        return state, u["idle"]

    g = jnp.asarray(RNG.standard_normal((50, 3, 2)), jnp.float32)
    state, idle = jax.jit(lambda g: jax.lax.scan(step, tx.init(p), g))(g)
    left = state.slots["left_factor"]
    np.testing.assert_array_equal(left["idle"], np.eye(3))
    np.testing.assert_array_equal(idle, np.zeros((50, 3, 2)))
    np.testing.assert_array_equal(left["used"], np.triu(left["used"]))
    assert np.all(np.asarray(left["used"])[np.triu_indices(3)] != 0)


def test_the_probability_of_the_authors_code():
    """precond_update_prob_schedule: n = k + 1, from 500 on falling, 0.03 at last."""
    at = [0, 499, 1499, 4100, 100_000]
    wanted = [1.0, 1.0, np.exp(-1), 0.03, 0.03]
    np.testing.assert_allclose([annealed_probability(k) for k in at], wanted, rtol=1e-6)


@pytest.mark.parametrize(("p", "fits"), [(1.0, 12), (0.5, 6), (0.3, 3), (0.0, 0)])
def test_factors_are_fitted_when_as_many_steps_have_passed(p, fits):
    tx = adamx.scale_by_psgd_kron(preconditioner_update_probability=p)
    params = {"w": jnp.ones((4,))}
    state = tx.init(params)
    update, found = jax.jit(tx.update), 0
    before = np.ones(4)
    for _ in range(12):
        _, state = update(params, state)
        after = np.asarray(state.slots["left_factor"]["w"])
        found += bool(np.any(after != before))
        before = after
    assert found == fits


def test_the_probes_are_normal_numbers():
    x = np.asarray(normal(key_of(3), (40_000,), jnp.float32))
    moments = [np.mean(x**k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.1)
    assert np.abs(x).max() < 4.4


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"`memory_save_mode` must be .* got 'half'"):
        adamx.psgd_kron(memory_save_mode="half")
    with pytest.raises(ValueError, match=r"preconditioner_lr.* got 1.5"):
        adamx.psgd_kron(preconditioner_lr=1.5)
