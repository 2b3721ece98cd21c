"""Functions of one matrix: Newton-Schulz iteration, powers of symmetric matrices."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .arithmetic import safe_divide
from .norms import norm

QUINTIC = (3.4445, -4.7750, 2.0315)


def newton_schulz(
    g: Float[Array, "m n"],
    steps: int = 5,
    coefficients: tuple[float, float, float] = QUINTIC,
    eps: Any = 1e-7,
) -> Float[Array, "m n"]:
    """Orthogonalise a matrix: approximate `U Vᵀ` of `g = U S Vᵀ` by iteration.

        X ← a X + (b A + c A²) X with A = X Xᵀ

    It starts at `g / (‖g‖ + ε)`, on the transpose if g has more rows than columns.
    With the default coefficients singular values end between 0.7 and 1.2.

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
    2024, kellerjordan.github.io/posts/muon.
    """
    a, b, c = coefficients
    tall = g.shape[0] > g.shape[1]
    x = safe_divide(g, norm(g) + eps)
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def symmetric_power(s: Float[Array, "n n"], exponent: float) -> Float[Array, "n n"]:
    """Compute `S**p` of a positive semidefinite matrix by its eigenvalues; 0 stays 0.

    Eigenvalues below the rounding error of the largest are replaced by that error. The
    derivative is finite where eigenvalues coincide (Daleckii-Krein).
    """
    return _power(s, exponent)[0]


def _power(s: Array, exponent: float) -> tuple[Array, Array, Array]:
    values, vectors = jnp.linalg.eigh(s)
    floor = jnp.finfo(s.dtype).eps * values[-1]
    values = jnp.maximum(values, floor)
    positive = values > 0
    powers = jnp.where(positive, jnp.where(positive, values, 1) ** exponent, 0)
    return (vectors * powers[None, :]) @ vectors.T, values, vectors


@symmetric_power.defjvp
def _symmetric_power_jvp(
    exponent: float, primals: tuple, tangents: tuple
) -> tuple[Array, Array]:
    (s,), (ds,) = primals, tangents
    out, values, vectors = _power(s, exponent)
    positive = values > 0
    x = jnp.where(positive, values, 1)
    powers = jnp.where(positive, x**exponent, 0)
    above, below = (a[:, None] - a[None, :] for a in (powers, x))
    middle = (x[:, None] + x[None, :]) / 2
    near = jnp.abs(below) <= jnp.finfo(s.dtype).eps ** 0.5 * middle
    slope = exponent * middle ** (exponent - 1)
    divided = jnp.where(near, slope, above / jnp.where(near, 1, below))
    divided = jnp.where(positive[:, None] & positive[None, :], divided, 0)
    return out, vectors @ (divided * (vectors.T @ ds @ vectors)) @ vectors.T
