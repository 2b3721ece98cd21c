"""PSGD Kron: momentum whitened from each side by a triangular factor, fitted online.

Inside `shard_map` pass `axis_name`, the mesh axis over which the first axis of the
leaves is split; the momentum is gathered. Stacked layers: `adamx.stacked`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    NON_NEGATIVE,
    UNIT,
    Hyper,
    ScalarOrSchedule,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.state import Context, Slot, Slots
from ..numerics.matrices import HIGHEST, gram, product
from ..numerics.norms import norm
from ..numerics.random_bits import normal
from ..numerics.sharding import as_whole, unsharded
from ..numerics.splits import whole_shape
from ..parts.bias_correction import Debiased
from ..parts.clipping import ClipByRms
from ..parts.matrix_views import (
    MatrixView,
    Named,
    Side,
    as_stored,
    sides_by_others,
)
from ..parts.moments import Ema
from ..parts.two_sided import _AsMatrix
from ..parts.weight_decay import Decay, as_decay, with_rate

DAMPING = 2.0**-11.5
"""The root of the rounding error of float32, as in the authors' code."""
MODES = (None, "one_diag", "all_diag")


def annealed_probability(count: Any) -> Any:
    """Return how often Q is fitted: 1 for 500 steps, then falling to 0.03 at 4000.

    It is the default of `psgd_kron`: `exp(-(t - 500) / 1000)` within [0.03, 1], t = 1
    at the first step.
    """
    n = jnp.asarray(count, jnp.result_type(float)) + 1
    return jnp.clip(jnp.exp(-0.001 * (n - 500)), 0.03, 1.0)


@checked_keywords
def scale_by_psgd_kron(
    b1: ScalarOrSchedule = 0.9,
    *,
    preconditioner_update_probability: ScalarOrSchedule = annealed_probability,
    preconditioner_lr: ScalarOrSchedule = 0.1,
    preconditioner_init_scale: float = 1.0,
    damping: ScalarOrSchedule = DAMPING,
    max_size_triangular: int = 8192,
    min_ndim_triangular: int = 2,
    memory_save_mode: str | None = None,
    clipping_threshold: ScalarOrSchedule = 1.1,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Whiten momentum as PSGD Kron does: `psgd_kron` without rate, decay and sign.

    Args: as in `psgd_kron`.

    State: `mu`, `left_factor`, `right_factor`, and the shared `waited`.

    Reference: Li, "Preconditioner on matrix Lie group for SGD", ICLR 2019,
    arXiv:1809.10232.
    """
    return chain(
        Debiased(Ema(b1)),
        KronWhitening(
            rate=preconditioner_lr,
            damping=damping,
            probability=preconditioner_update_probability,
            init_scale=preconditioner_init_scale,
            max_dim=max_size_triangular,
            min_ndim_triangular=min_ndim_triangular,
            memory_save_mode=memory_save_mode,
            precision=precision,
            axis_name=axis_name,
        ),
        ClipByRms(clipping_threshold, axis_name=axis_name),
    )


@checked_keywords
def psgd_kron(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    preconditioner_update_probability: ScalarOrSchedule = annealed_probability,
    preconditioner_lr: ScalarOrSchedule = 0.1,
    preconditioner_init_scale: float = 1.0,
    damping: ScalarOrSchedule = DAMPING,
    max_size_triangular: int = 8192,
    min_ndim_triangular: int = 2,
    memory_save_mode: str | None = None,
    clipping_threshold: ScalarOrSchedule = 1.1,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """PSGD Kron: whiten the momentum by triangular factors that are fitted to it.

        M ← β₁ M + (1 - β₁) G,    H = M̂ + δ mean|M̂| V,    V of N(0, 1)
        A = Q_L H Q_Rᵀ,    Q_Lᵀ B Q_R = V
        Q_L ← Q_L - μ triu(A Aᵀ - B Bᵀ) / ‖A Aᵀ + B Bᵀ‖₂ Q_L    (Q_R: of Aᵀ and Bᵀ)
        U = Q_LᵀQ_L M̂ Q_RᵀQ_R
        θ ← θ - α (U / max(1, RMS(U) / d) + λ θ)

    The factors are fitted in some of the steps only: when at least 1 / p steps have
    passed since the last fit.

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1).
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        preconditioner_update_probability: p in [0, 1], a number, an array or a
            schedule; `annealed_probability` is 1 for 500 steps, then falls to 0.03.
        preconditioner_lr: μ in [0, 1], the rate of the fit.
        preconditioner_init_scale: the first Q_L ⊗ Q_R is this times the identity.
        damping: δ ≥ 0, the noise in what the factors are fitted to.
        max_size_triangular: a longer side has a diagonal factor.
        min_ndim_triangular: a leaf of fewer axes has diagonal factors.
        memory_save_mode: None; "one_diag" for a diagonal factor of the longer side (of
            two equal ones, the last); "all_diag" for diagonal factors only.
        clipping_threshold: d > 0, the largest RMS of a whitened tensor.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
            Triangular systems are solved in float32 (float64 for float64 leaves).
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `mu` (M), 4 bytes per parameter, from 0; `left_factor` (Q_L), `right_factor`
    (Q_R), which the first step sets: 4 (m² + n²) bytes for an (m, n) matrix, 4 n for a
    diagonal factor, of which a vector or scalar has one; the shared `waited`, the steps
    since the last fit.

    Departs from the paper: all of the form is that of `psgd_jax`, the authors' method
    in JAX, but for: a tensor of more than two axes is the matrix of its last axis
    against the others (there: a factor for each axis); the factors are balanced at
    every fit (there: in one of 100, at random), which changes rounding only; a factor
    stays where M is 0 (there: it grows without bound); V is of the engine's random
    words, a function of step, path and index, so that a restored run is the run. In
    `psgd_torch` the default is now another form, in which Q need not be triangular.

    Raises:
        ValueError: an argument out of its range, or no mode of that name.
        TypeError: an argument that is no number, array or schedule.

    Reference: Li, "Preconditioner on matrix Lie group for SGD", ICLR 2019,
    arXiv:1809.10232; Pooladzandi & Li, "Curvature-informed SGD via general purpose
    Lie-group preconditioners", 2024, arXiv:2402.04553.
    """
    direction = scale_by_psgd_kron(
        b1,
        preconditioner_update_probability=preconditioner_update_probability,
        preconditioner_lr=preconditioner_lr,
        preconditioner_init_scale=preconditioner_init_scale,
        damping=damping,
        max_size_triangular=max_size_triangular,
        min_ndim_triangular=min_ndim_triangular,
        memory_save_mode=memory_save_mode,
        clipping_threshold=clipping_threshold,
        precision=precision,
        axis_name=axis_name,
    )
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))


class KronWhitening(_AsMatrix):
    """Whiten a tensor by a Kronecker product of factors that are fitted to it (PSGD).

        A = Q_L H Q_Rᵀ,    Q_Lᵀ B Q_R = V,    V of N(0, 1)
        Q_L ← Q_L - μ triu(A Aᵀ - B Bᵀ) / ‖A Aᵀ + B Bᵀ‖₂ Q_L    (Q_R: of Aᵀ and Bᵀ)
        u = Q_LᵀQ_L G Q_RᵀQ_R,    H = G + δ mean|G| V

    The fit is that of E[A Aᵀ] = E[B Bᵀ], where u has covariance I. The norm is one
    power iteration from the longest row, a lower bound.

    Args:
        rate: μ in [0, 1].
        damping: δ ≥ 0.
        probability: p in [0, 1]: Q is fitted when 1 / p steps have passed.
        init_scale: the first Q_L ⊗ Q_R is this times the identity.
        max_dim: a longer side has a diagonal factor.
        min_ndim_triangular: a leaf of fewer axes has diagonal factors.
        memory_save_mode: None, "one_diag" or "all_diag".
        precision: that of every product.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    Reference: Li, "Preconditioner on matrix Lie group for SGD", ICLR 2019,
    arXiv:1809.10232.
    """

    rate: Hyper = hyper(0.1, allowed=UNIT, public="preconditioner_lr")
    damping: Hyper = hyper(DAMPING, allowed=NON_NEGATIVE)
    probability: Hyper = hyper(
        1.0, allowed=UNIT, public="preconditioner_update_probability"
    )
    init_scale: float = option(1.0, least=1e-9, advice="It is divided by.")
    max_dim: int = option(8192, least=0)
    min_ndim_triangular: int = option(2, least=0)
    memory_save_mode: str | None = option(None)
    precision: Any = option(HIGHEST)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory_save_mode not in MODES:
            raise errors.AdamxError(
                f"psgd_kron: `memory_save_mode` must be None, 'one_diag' or "
                f"'all_diag', got {self.memory_save_mode!r}. The first keeps a "
                f"triangular factor for each side, the last diagonals only."
            )

    def needs(self) -> frozenset[str]:
        return super().needs() | {"random"}

    def slots(self) -> dict[str, Slot]:
        because = "Its inverse is applied, and must exist."
        slots = {
            f"{name}_factor": Slot(
                shape_of=self._start(side), whole=True, single_array_because=because
            )
            for side, name in enumerate(("left", "right"))
        }
        return slots | {"waited": Slot(shared=True, signed=False)}

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        waited = kept["waited"] + 1
        p = jnp.asarray(self.probability, count.dtype)
        due = waited >= 1 / p
        return {"waited": jnp.where(due, 0, waited), "due": due.astype(count.dtype)}

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        shape, sides = tuple(leaf.shape), []
        kept, axes = self._shapes(shape), as_stored(shape)
        for name, factor, of in zip(("left", "right"), kept, axes, strict=False):
            why = "" if len(factor) == 2 else self._diagonal(shape, factor[0])
            sides.append(Side(of, factor[0], f"{name}_factor", factor, why))
        why = sides_by_others(shape)
        block = tuple(side.size for side in sides)
        return MatrixView("PSGD Kron", why, 1, block, tuple(sides))

    def _diagonal(self, shape: tuple[int, ...], n: int) -> str:
        """Say why the factor of a side of n is diagonal."""
        least = self.min_ndim_triangular
        if len(shape) < least:
            return f"diagonal, fewer axes than min_ndim_triangular={least}"
        if self.memory_save_mode == "all_diag":
            return "diagonal, memory_save_mode='all_diag'"
        if n > self.max_dim:
            return f"diagonal, longer than max_size_triangular={self.max_dim}"
        return "one entry" if n == 1 else "diagonal, the longer side"

    def _shapes(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the shapes of the factors: (n, n), or (n,) of a diagonal one."""
        shape = whole_shape(shape, self.axis_name)
        sizes = [shape[0] if shape else 1]
        if len(shape) >= 2:
            for n in shape[1:-1]:
                sizes[0] *= n
            sizes.append(shape[-1])
        full = [1 < n <= self.max_dim for n in sizes]
        if len(shape) < self.min_ndim_triangular or self.memory_save_mode == "all_diag":
            full = [False for _ in sizes]
        elif self.memory_save_mode == "one_diag":
            full[max(range(len(sizes)), key=lambda i: (sizes[i], i))] = False
        return [(n, n) if f else (n,) for n, f in zip(sizes, full, strict=True)]

    def _start(self, side: int) -> Any:
        """Return the first factor of one side, of a parameter."""

        def start(p: Any) -> Array:
            shapes = self._shapes(p.shape)
            if side >= len(shapes):
                return jnp.zeros((0,), p.dtype)
            scale, shape = self.init_scale ** (1 / len(shapes)), shapes[side]
            one = jnp.eye(*shape, dtype=p.dtype) if len(shape) == 2 else jnp.ones(shape)
            return scale * one.astype(p.dtype)

        return start

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g = as_whole(update, self.axis_name)
        v = normal(ctx.key, g.shape, g.dtype)
        g, v = (x.reshape(-1, x.shape[-1] if x.ndim >= 2 else 1) for x in (g, v))
        names = ("left_factor", "right_factor")[: len(self._shapes(update.shape))]
        factors = [
            jnp.where(ctx.count == 1, self._start(i)(update), unsharded(slots[name]))
            for i, name in enumerate(names)
        ]

        def keep(factors: list) -> list:
            return factors

        def fit(factors: list) -> list:
            return self._fitted(factors, g, v)

        factors = jax.lax.cond(ctx.shared["due"] > 0, fit, keep, factors)
        how = self.precision
        u = _each(_transposed, factors, _each(_times, factors, g, how), how)
        return self._own(u, update), slots | dict(zip(names, factors, strict=True))

    def _fitted(self, factors: list, g: Array, v: Array) -> list:
        """Return the factors after one step of the fit; as they are where g is 0."""
        h = g + self.damping * jnp.mean(jnp.abs(g)) * v
        how = self.precision
        a = _each(_times, factors, h, how)
        b = _each(_inverse_transposed, factors, v, how)
        pairs = ((a, b), (a.T, b.T))
        new = [
            q - self.rate * _relative(q, *pair, how)
            for q, pair in zip(factors, pairs[: len(factors)], strict=True)
        ]
        if len(new) == 2:
            left, right = (jnp.max(jnp.abs(q)) for q in new)
            new = [new[0] * jnp.sqrt(right / left), new[1] * jnp.sqrt(left / right)]
        some = jnp.any(g != 0)
        return [jnp.where(some, q, old) for q, old in zip(new, factors, strict=True)]


def _each(by: Callable, factors: list, x: Array, precision: Any) -> Array:
    """Apply `by(Q, X)` from the left, and for the right factor to the transpose."""
    x = by(factors[0], x, precision)
    return x if len(factors) == 1 else by(factors[1], x.T, precision).T


def _times(q: Array, x: Array, precision: Any) -> Array:
    """Multiply by a factor."""
    return q[:, None] * x if q.ndim == 1 else product(q, x, precision)


def _transposed(q: Array, x: Array, precision: Any) -> Array:
    """Multiply by the transpose of a factor."""
    return _times(q if q.ndim == 1 else q.T, x, precision)


def _inverse_transposed(q: Array, x: Array, precision: Any) -> Array:
    """Multiply by the transposed inverse of a factor; solves have no precision."""
    if q.ndim == 1:
        return x / q[:, None]
    return jax.scipy.linalg.solve_triangular(q, x, trans=1, lower=False)


def _relative(q: Array, a: Array, b: Array, precision: Any) -> Array:
    """Return `triu(A Aᵀ - B Bᵀ) / ‖A Aᵀ + B Bᵀ‖₂ Q`, which the fit subtracts."""
    if q.ndim == 1:
        s, t = jnp.sum(a * a, 1), jnp.sum(b * b, 1)
        return (s - t) / jnp.max(s + t) * q
    s, t = gram(a, precision), gram(b, precision)
    bound = _norm_bound(s + t, precision)
    return _times(jnp.triu(s - t) / bound, q, precision)


def _norm_bound(s: Float[Array, "n n"], precision: Any) -> Float[Array, ""]:
    """Bound the spectral norm of a positive semidefinite matrix that is not 0 below."""
    largest = jnp.max(jnp.abs(s))
    s = s / largest
    longest = s[jnp.argmax(jnp.sum(s * s, 1))][:, None]
    once = _times(s, longest, precision)
    return largest * norm(_times(s, once, precision)) / norm(once)
