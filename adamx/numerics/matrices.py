"""Functions of matrices: products, Newton-Schulz iteration, symmetric powers.

Every product has an explicit precision. Left to the backend, float32 products are
rounded to 10 bits (TF32) on recent GPUs and to 8 bits (bfloat16) on TPUs. `eigh`, `qr`,
`svd` and triangular solves take no precision: they compute in the dtype of the
arithmetic, at least float32.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from .. import errors
from .arithmetic import safe_divide, safe_sqrt

HIGHEST = jax.lax.Precision.HIGHEST
"""Full float32 (float64): the precision of every product, unless one is given."""

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Muon's coefficients of one iteration (Jordan et al., 2024)."""


ROUNDED_TO = ("bfloat16", "float16", "float32")
"""The dtypes to which the operands of products may be rounded."""


def as_precision(where: str, given: Any) -> Any:
    """Return a `jax.lax.Precision` or a dtype of operands, or raise an error.

    "bfloat16" is the dtype. JAX has the name for its default precision too, which is
    TF32 on recent GPUs.
    """
    if isinstance(given, str) and given == "bfloat16":
        given = jnp.bfloat16
    if isinstance(given, str | jax.lax.Precision):
        try:
            return jax.lax.Precision(given)
        except ValueError:
            pass
    elif given is not None:
        try:
            dtype = jnp.dtype(given)
        except TypeError:
            dtype = None
        if dtype is not None and dtype.name in ROUNDED_TO:
            return dtype.type
    raise errors.AdamxError(
        f"{where}: `precision` must be a jax.lax.Precision, its name or a dtype of "
        f"operands, got {errors.shown(given)}. Pass 'highest', 'high', 'default' or "
        f"jnp.bfloat16."
    )


def _operands(precision: Any, *given: Array) -> tuple[tuple[Array, ...], dict]:
    """Return the operands of a product as they are rounded, and its keywords."""
    if not isinstance(precision, type):
        return given, {"precision": precision}
    wide = jnp.result_type(*given)
    kept = tuple(x.astype(precision) for x in given)
    return kept, {"precision": HIGHEST, "preferred_element_type": wide}


def product(a: Array, b: Array, precision: Any = HIGHEST) -> Array:
    """Multiply matrices, or stacks of them.

    With a dtype for `precision` the operands are rounded to it, and the sums are in the
    dtype that they had.
    """
    (a, b), how = _operands(precision, a, b)
    return jnp.matmul(a, b, **how)


def narrow_product(
    a: Float[Array, "m n"], b: Float[Array, "n r"], precision: Any = HIGHEST
) -> Array:
    """Multiply a matrix by one of few columns, whose rows are sharded as needed.

    On a mesh of Explicit axes the result has the sharding of the rows of `a`; only
    arrays of r columns are sent. Elsewhere it is `product`.
    """
    rows, columns = split_axes(a)
    if rows is None and columns is None:
        return product(a, b, precision)
    b = jax.sharding.reshard(b, PartitionSpec(columns, None))
    placed = PartitionSpec(rows, None)
    (a, b), how = _operands(precision, a, b)
    return jnp.einsum("ij,jk->ik", a, b, out_sharding=placed, **how)


def split_axes(x: Float[Array, "m n"]) -> tuple[Any, ...]:
    """Return the Explicit axes of a mesh over which rows and columns are sharded."""
    return tuple(jax.typeof(x).sharding.spec) if x.ndim else ()


def placed_as(x: Array, like: Array) -> Array:
    """Give an array the sharding that is part of the type of another."""
    if jax.typeof(x).sharding.spec == jax.typeof(like).sharding.spec:
        return x
    return jax.sharding.reshard(x, jax.typeof(like).sharding.spec)


def orthonormal(p: Float[Array, "m r"]) -> Float[Array, "m r"]:
    """Compute Q of the QR decomposition, on every device that has some of the rows."""
    rows, columns = split_axes(p)
    if rows is None and columns is None:
        return _orthonormal_columns(p)
    whole = jax.sharding.reshard(p, PartitionSpec(None, None))
    return placed_as(orthonormal(whole), p)


def randomized_orthonormal(
    p: Float[Array, "m r"], sketch: Float[Array, "k m"]
) -> Float[Array, "m r"]:
    """Compute Q of the QR decomposition by products: a randomised Cholesky QR.

        S P = Q₁ R₁,    P₁ = P R₁⁻¹,    P₁ᵀ P₁ = R₂ᵀ R₂,    Q = P₁ R₂⁻¹

    Q is that of `orthonormal` up to the signs of columns. Where the rows are split over
    devices, only arrays of r columns and of at most k rows are sent. Columns of P that
    depend on those before them, to rounding, are 0.

    Reference: Ahn et al., "Dion: distributed orthonormalized updates", 2025,
    arXiv:2504.05295.
    """
    reflectors, _ = jnp.linalg.qr(narrow_product(p.T, sketch.T).T, mode="raw")
    r = p.shape[1]
    small = reflectors.T[:r] * np.triu(np.ones((r, r), p.dtype))
    diagonal = jnp.abs(jnp.diag(small))
    floor = jnp.finfo(p.dtype).eps * max(p.shape) * jnp.max(diagonal)
    dead = diagonal <= floor
    first = narrow_product(p, _inverse(jnp.where(dead[:, None], _unit(small), small)))
    first = jnp.where(dead, 0, first)
    square = narrow_product(first.T, first) + jnp.diag(dead.astype(p.dtype))
    second = jnp.linalg.cholesky(square).T
    return narrow_product(first, _inverse(second))


def _unit(x: Array) -> Array:
    return jnp.eye(len(x), dtype=x.dtype)


def _inverse(upper: Float[Array, "r r"]) -> Float[Array, "r r"]:
    return jax.scipy.linalg.solve_triangular(upper, _unit(upper))


def gram(x: Float[Array, "... m n"], precision: Any = HIGHEST) -> Array:
    """Compute `X Xᵀ` of a matrix, or of each matrix of a stack."""
    (x,), how = _operands(precision, x)
    return jnp.einsum("...ik,...jk->...ij", x, x, **how)


def _norms(x: Float[Array, "k m n"]) -> Float[Array, "k 1 1"]:
    """Compute ‖X‖_F of each matrix of a stack."""
    return safe_sqrt(jnp.sum(x * x, (1, 2), keepdims=True))


@jax.custom_batching.custom_vmap
def orthonormal_in_turn(x: Float[Array, "m n"]) -> Float[Array, "m n"]:
    """Compute Q of X = Q R: the columns of X, made orthonormal from the first on.

    A stack is taken one matrix after another: XLA takes minutes to compile the QR of a
    stack for TPUs, and other backends factorise one at a time anyway. One whose
    matrices are split over Explicit axes of a mesh is taken together.
    """
    return jnp.linalg.qr(x)[0]


@orthonormal_in_turn.def_vmap
def _(axis_size: int, batched: Any, x: Array) -> tuple[Array, bool]:
    if any(jax.typeof(x).sharding.spec):
        return _orthonormal_columns(x), True
    return jax.lax.map(orthonormal_in_turn, x), True


def _orthonormal_columns(x: Array) -> Array:
    """Compute Q, in two steps: a stack on Explicit axes has no decomposition in one."""
    reflectors, scales = jnp.linalg.qr(x, mode="raw")
    return jax.lax.linalg.householder_product(reflectors.mT, scales)


def by_frobenius(x: Array, eps: Any, precision: Any, factor: float) -> Array:
    """Start at `X / (c ‖X‖_F + ε)`: all singular values are at most 1 / c."""
    return safe_divide(x, factor * _norms(x) + eps)


def by_spectral(x: Array, eps: Any, precision: Any, factor: float) -> Array:
    """Start at `X / (c ‖X‖₂ + ε)`, with the norm from a singular value decomposition.

    The norm is a constant in derivatives.
    """
    fixed = jax.lax.stop_gradient(x)
    largest = jnp.linalg.svd(fixed, compute_uv=False)[:, :1, None]
    return safe_divide(x, factor * largest + eps)


def by_schatten(x: Array, eps: Any, precision: Any, factor: float) -> Array:
    """Start at `X / (c max(‖X Xᵀ‖_F, ε)^½)`, the Schatten 4-norm."""
    length = jnp.maximum(_norms(gram(x, precision)), eps)
    return safe_divide(x, factor * safe_sqrt(length))


def by_rows(x: Array, eps: Any, precision: Any, factor: float) -> Array:
    """Start at `S X / c`, `s_i = max(Σ_j |X Xᵀ|_ij, ε)^-½`: almost orthogonal layer."""
    sums = jnp.sum(jnp.abs(gram(x, precision)), -1, keepdims=True)
    return safe_divide(x, factor * safe_sqrt(jnp.maximum(sums, eps)))


def newton_schulz(
    x: Float[Array, "k m n"],
    table: Sequence[Sequence[float]],
    precision: Any = HIGHEST,
) -> Float[Array, "k m n"]:
    """Iterate `X ← a X + (b A + c A²) X`, `A = X Xᵀ`, on a stack of matrices.

    `table` has a row (a, b, c) for each step. It is a loop: the program and its memory
    do not grow with the steps. A step takes 3 products, 2 where every c is 0. The
    matrices should not have more rows than columns, for speed.
    """
    cubic = all(row[2] == 0 for row in table)

    def step(x: Array, row: Array) -> tuple[Array, None]:
        a, b, c = row
        square = gram(x, precision)
        inner = b * square
        if not cubic:
            inner = inner + c * product(square, square, precision)
        return a * x + product(inner, x, precision), None

    return jax.lax.scan(step, x, jnp.asarray(table, x.dtype))[0]


def gram_newton_schulz(
    x: Float[Array, "k m n"],
    table: Sequence[Sequence[float]],
    restarts: Sequence[int],
    precision: Any = HIGHEST,
) -> Float[Array, "k m n"]:
    """Run `newton_schulz` on the m × m matrix `R = X Xᵀ` only.

        P = a I + b R + c R²,    Q ← P Q,    R ← P R P;    X ← Q X at the end

    The steps commute with R in exact arithmetic, so the result is the same. A restart
    before the steps `restarts` (counted from 0) applies Q to X, and begins again with
    X Xᵀ: what is rounded in R is not in X.
    """
    table = [tuple(row) for row in table]
    inside = [r for r in restarts if 0 < r < len(table)]
    bounds = [0, *sorted(set(inside)), len(table)]
    for first, last in itertools.pairwise(bounds):
        x = product(
            _factor(gram(x, precision), table[first:last], precision), x, precision
        )
    return x


def _factor(r: Array, table: list, precision: Any) -> Array:
    """Return Q, the product of the polynomials of some steps."""
    identity = jnp.broadcast_to(jnp.eye(r.shape[-1], dtype=r.dtype), r.shape)

    def polynomial(r: Array, row: Any) -> Array:
        a, b, c = row
        return a * identity + b * r + c * product(r, r, precision)

    def step(kept: tuple[Array, Array], row: Array) -> tuple[tuple[Array, Array], None]:
        q, r = kept
        p = polynomial(r, row)
        r = product(product(p, r, precision), p, precision)
        return (product(p, q, precision), r), None

    rows = jnp.asarray(table, r.dtype)
    q = polynomial(r, rows[0])
    if len(table) == 1:
        return q
    # the first step has no Q to multiply, the last one no R to pass on
    r = product(product(q, r, precision), q, precision)
    (q, r), _ = jax.lax.scan(step, (q, r), rows[1:-1])
    return product(polynomial(r, rows[-1]), q, precision)


def polar(x: Float[Array, "k m n"], eps: Any, precision: Any = HIGHEST) -> Array:
    """Compute `U Vᵀ` of `X = U S Vᵀ` by a singular value decomposition; 0 stays 0.

    Singular values of at most ε, or of the rounding error of the largest, count as 0.
    """
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    least = jnp.finfo(x.dtype).eps * max(x.shape[-2:]) * s[:, :1]
    kept = (s > jnp.maximum(least, eps)).astype(x.dtype)
    return product(u * kept[:, None, :], vt, precision)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def symmetric_power(
    s: Float[Array, "n n"], exponent: float, precision: Any = HIGHEST
) -> Float[Array, "n n"]:
    """Compute `S**p` of a positive semidefinite matrix by its eigenvalues; 0 stays 0.

    Eigenvalues below the rounding error of the largest are replaced by that error. The
    derivative is finite where eigenvalues coincide (Daleckii-Krein).
    """
    return _power(s, exponent, precision)[0]


def _power(s: Array, exponent: float, precision: Any) -> tuple[Array, Array, Array]:
    values, vectors = jnp.linalg.eigh(s)
    floor = jnp.finfo(s.dtype).eps * values[-1]
    values = jnp.maximum(values, floor)
    positive = values > 0
    powers = jnp.where(positive, jnp.where(positive, values, 1) ** exponent, 0)
    root = product(vectors * powers[None, :], vectors.T, precision)
    return root, values, vectors


@symmetric_power.defjvp
def _symmetric_power_jvp(
    exponent: float, precision: Any, primals: tuple, tangents: tuple
) -> tuple[Array, Array]:
    (s,), (ds,) = primals, tangents
    out, values, vectors = _power(s, exponent, precision)
    positive = values > 0
    x = jnp.where(positive, values, 1)
    powers = jnp.where(positive, x**exponent, 0)
    above, below = (a[:, None] - a[None, :] for a in (powers, x))
    middle = (x[:, None] + x[None, :]) / 2
    near = jnp.abs(below) <= jnp.finfo(s.dtype).eps ** 0.5 * middle
    slope = exponent * middle ** (exponent - 1)
    divided = jnp.where(near, slope, above / jnp.where(near, 1, below))
    divided = jnp.where(positive[:, None] & positive[None, :], divided, 0)
    inner = product(product(vectors.T, ds, precision), vectors, precision)
    outer = product(vectors, divided * inner, precision)
    return out, product(outer, vectors.T, precision)
