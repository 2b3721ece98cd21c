"""KL-SOAP: what its factors tend to, and how small its eigenvalues may become."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx.engine.state import is_absent

KEYS = ("left", "right")


def after(tx, gradients):
    start = tx.init({"w": jnp.zeros(gradients.shape[1:])})

    def step(state, g):
        return tx.update({"w": g}, state)[1], None

    run = jax.jit(lambda g: jax.lax.scan(step, start, g)[0])
    return {name: x["w"] for name, x in run(jnp.asarray(gradients)).slots.items()}


@pytest.mark.parametrize("name", ["kl_soap", "soap"])
def test_the_factors_tend_to_the_covariance_that_soap_misses(x64, name):
    """Of G = A N B, N white, it is L ⊗ R = A Aᵀ ⊗ Bᵀ B, in its scale too.

    The gradients are so large that no eigenvalue is below its bound.

    SOAP's L is tr(Bᵀ B) A Aᵀ, and its R likewise: too large by tr(A Aᵀ) tr(Bᵀ B).
    """
    normal = np.random.default_rng(9).standard_normal
    a, b = (10 * normal((n, n)) * 2.0 ** -np.arange(n) for n in (5, 4))
    gradients = a @ normal((8000, 5, 4)) @ b
    build = getattr(adamx, f"scale_by_{name}")
    kept = after(build(0.0, 0.999), gradients)
    got = np.kron(kept["left"], kept["right"])
    want = np.kron(a @ a.T, b.T @ b)
    got = got / (np.trace(want) if name == "soap" else 1.0)
    np.testing.assert_allclose(got, want, rtol=0, atol=0.1 * np.abs(want).max())
    if name == "kl_soap":
        for side in KEYS:
            basis, values = kept[f"{side}_basis"], kept[f"{side}_values"]
            spectrum = np.diag(basis.T @ kept[side] @ basis)
            np.testing.assert_allclose(values, spectrum, rtol=0.1)


@pytest.mark.parametrize(
    ("shape", "cap", "wanted"),
    [((4, 30), 4000.0, (10, 30)), ((4, 30), 20.0, (10, 20)), ((30, 4), 2.0, (10, 10))],
)
def test_eigenvalues_do_not_fall_below_the_bound(shape, cap, wanted):
    """Without one, a leaf that gets no gradient for long would divide by 0."""
    tx = adamx.scale_by_kl_soap(0.0, 0.5, max_clamp_value=cap)
    kept = after(tx, np.zeros((200, *shape), np.float32))
    for side, most in zip(KEYS, wanted, strict=True):
        np.testing.assert_allclose(kept[f"{side}_values"], most**-2.0, rtol=1e-6)


def test_a_side_without_a_basis_is_whitened_by_a_diagonal():
    """Only the right side of a (9, 3) matrix is rotated where `max_dim` is 4."""
    normal = np.random.default_rng(2).standard_normal
    gradients = (normal((60, 9, 3)) * np.arange(1, 10)[:, None]).astype(np.float32)
    kept = after(adamx.scale_by_kl_soap(max_dim=4), gradients)
    assert is_absent(kept["left"])
    assert is_absent(kept["left_basis"])
    assert kept["right"].shape == kept["right_basis"].shape == (3, 3)
    values = np.asarray(kept["left_values"])
    assert values.shape == (9,)
    assert values[-3:].min() > 3 * values[:3].max()


def test_the_state_is_that_of_soap_and_a_number_for_each_row_and_column():
    """tests/optimizers/test_sharded_and_stacked.py has that of SOAP."""
    p = {"w": jnp.zeros((100, 60))}
    one, two = (jax.eval_shape(f().init, p) for f in (adamx.soap, adamx.kl_soap))
    sizes = (sum(x.size for x in jax.tree.leaves(s.slots)) for s in (two, one))
    assert next(sizes) - next(sizes) == 100 + 60


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"kl_soap: `init_factor` must .* got 0.0"):
        adamx.kl_soap(init_factor=0.0)
    with pytest.raises(ValueError, match=r"kl_soap: `max_clamp_value` must .* got -1"):
        adamx.kl_soap(max_clamp_value=-1)
