"""Shampoo: a full-matrix preconditioner for each side of a matrix."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    is_constant,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import gathered_weight, lerp
from ..numerics.matrices import gram, product, symmetric_power
from ..numerics.norms import own, shards, whole
from ..parts.bias_correction import weight_from_count
from ..parts.learning_rate import LearningRate


class _TwoSided(Rule):
    """Keep a left and a right statistic of each matrix, for Shampoo and SOAP."""

    scope = "tensor"

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the lengths of the two sides that have a statistic, 0 for none."""
        sizes = [0, 0]
        if len(shape) >= 2:
            rows = shape[0] * shards(self.axis_name)  # pyright: ignore[reportAttributeAccessIssue]
            for n in shape[1:-1]:
                rows *= n
            sizes = [rows, shape[-1]]
        limit = self.max_dim  # pyright: ignore[reportAttributeAccessIssue]
        return tuple(n if n <= limit else 0 for n in sizes)  # pyright: ignore[reportReturnType]

    def _square(self, side: int) -> Any:
        """Return the shape of the statistic of one side."""

        def like(p: Any) -> Any:
            n = self._sides(p.shape)[side]
            return jnp.zeros((n, n) if n else (0,), p.dtype)

        return like

    def _matrix(self, x: Any) -> Any:
        x = whole(x, self.axis_name)  # pyright: ignore[reportAttributeAccessIssue]
        return x.reshape(-1, x.shape[-1])

    def _own(self, x: Any, like: Any) -> Any:
        rows = like.shape[0] * shards(self.axis_name)  # pyright: ignore[reportAttributeAccessIssue]
        return own(x.reshape(rows, *like.shape[1:]), self.axis_name)  # pyright: ignore[reportAttributeAccessIssue]


class ShampooPreconditioner(_TwoSided):
    """Precondition matrices from both sides: `L^(-1/4) G R^(-1/4)` (Shampoo).

        L = ε I + Σ G Gᵀ,    R = ε I + Σ Gᵀ G

    A vector has one statistic, ε I + Σ g gᵀ, and the power -1/2; a scalar likewise.

    Args:
        eps: ε ≥ 0, in units of the gradient squared.
        exponent: in place of -1/4 (and -1/2).
        max_dim: a longer side is not preconditioned.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568.
    """

    eps: Hyper = hyper(1e-4, allowed=NON_NEGATIVE)
    exponent: float | None = option(None, most=0, kw_only=False)
    max_dim: int = option(10_000, least=1)
    axis_name: Any = option(None)

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        if len(shape) >= 2:
            return super()._sides(shape)
        n = shape[0] * shards(self.axis_name) if shape else 1
        return (n if n <= self.max_dim else 0, 0)

    def slots(self) -> dict[str, Slot]:
        return {
            "left": Slot(shape_of=self._square(0)),
            "right": Slot(shape_of=self._square(1)),
        }

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        order = 2 if update.ndim >= 2 else 1
        sides = self._sides(update.shape)
        if order == 2:
            u = g = self._matrix(update)
        else:
            u = g = whole(jnp.atleast_1d(update), self._split(update))[:, None]
        power = -1 / (2 * order) if self.exponent is None else self.exponent
        new = {}
        for name, n, x in (("left", sides[0], g), ("right", sides[1], g.T)):
            h = slots[name]
            if n:
                h, read = self._gathered(h, gram(x), ctx)
                root = symmetric_power(read, power)
                u = product(root, u) if name == "left" else product(u, root)
            new[name] = h
        if order == 2:
            return self._own(u, update), slots | new
        u = own(u[:, 0], self._split(update)).reshape(update.shape)
        return u, slots | new

    def _split(self, x: Any) -> Any:
        return self.axis_name if x.ndim else None

    def _gathered(self, h: Any, square: Any, ctx: Context) -> tuple[Any, Any]:
        """Return the new statistic, and the matrix of which a root is taken."""
        h = self._gather(self._begun(h, ctx), square)
        return h, h

    def _begun(self, h: Any, ctx: Context) -> Any:
        start = self.eps * jnp.eye(h.shape[0], dtype=h.dtype)
        return jnp.where(ctx.count == 1, start, h)

    def _gather(self, h: Any, square: Any) -> Any:
        return h + square


class AveragedShampooPreconditioner(ShampooPreconditioner):
    """Average Shampoo's statistics instead of summing: `L ← β₂ L + (1 - β₂) G Gᵀ`.

    Args: as in `ShampooPreconditioner`, and b2: β₂ in [0, 1).

    Reference: Anil et al., "Scalable second order optimization for deep learning",
    2020, arXiv:2002.09018.
    """

    b2: Hyper = hyper(0.999, allowed=FRACTION)

    def _gather(self, h: Any, square: Any) -> Any:
        return lerp(h, square, self.b2)


class CorrectedShampooPreconditioner(AveragedShampooPreconditioner):
    """Correct the bias of Shampoo's averages, which start at 0.

        L ← β₂ L + (1 - β₂) G Gᵀ,    L̂ = L / (1 - β₂ᵗ) + ε I

    Args: as in `AveragedShampooPreconditioner`.

    Reference: Shi et al., "A distributed data-parallel PyTorch implementation of the
    distributed Shampoo optimizer for training neural networks at-scale", 2023,
    arXiv:2309.06497.
    """

    def slots(self) -> dict[str, Slot]:
        slots = super().slots()
        if not is_constant(self.b2):
            slots["statistics_weight"] = Slot(
                shared=True, signed=False, from_count=self._from_count
            )
        return slots

    def _from_count(self, count: Array) -> Array:
        return weight_from_count(self.b2, count)

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        name = "statistics_weight"
        return {name: gathered_weight(self.b2, kept.get(name), count)}

    def _gathered(self, h: Any, square: Any, ctx: Context) -> tuple[Any, Any]:
        h = self._gather(h, square)
        least = self.eps * jnp.eye(h.shape[0], dtype=h.dtype)
        return h, h / ctx.shared["statistics_weight"] + least


@checked_keywords
def scale_by_shampoo(
    eps: ScalarOrSchedule = 1e-4,
    *,
    b2: ScalarOrSchedule | None = None,
    bias_correction: bool = False,
    exponent: float | None = None,
    max_dim: int = 10_000,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as Shampoo does: `shampoo` without learning rate and sign.

    Args: as in `shampoo`.

    State: `left`, `right`; 4 (m² + n²) bytes for an (m, n) matrix.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568.
    """
    if b2 is None:
        if bias_correction:
            raise errors.AdamxError(
                "shampoo: `bias_correction` must come with `b2`, got b2=None. A sum "
                "has no bias: pass for example b2=0.999, or leave it out."
            )
        return ShampooPreconditioner(
            eps, exponent, max_dim=max_dim, axis_name=axis_name
        )
    kind = AveragedShampooPreconditioner
    if bias_correction:
        kind = CorrectedShampooPreconditioner
    return kind(eps, exponent, b2=b2, max_dim=max_dim, axis_name=axis_name)


@checked_keywords
def shampoo(
    learning_rate: ScalarOrSchedule,
    eps: ScalarOrSchedule = 1e-4,
    *,
    b2: ScalarOrSchedule | None = None,
    bias_correction: bool = False,
    exponent: float | None = None,
    max_dim: int = 10_000,
    axis_name: Any = None,
) -> Chain:
    """Shampoo: precondition each side of a matrix by a root of its statistic.

        L ← L + G Gᵀ,  R ← R + Gᵀ G          (from ε I)
        θ ← θ - α L^(-1/4) G R^(-1/4)         (vectors: H^(-1/2) g, H ← H + g gᵀ)

    Args:
        learning_rate: α ≥ 0.
        eps: ε ≥ 0 in units of the gradient squared.
        b2: β₂ in [0, 1) of averages in place of the sums (Anil et al.); None for sums.
        bias_correction: divide the averages by 1 - β₂ᵗ and add ε I to the quotient
            (Shi et al.). Without it, as in the code of Anil et al., they start at ε I
            and are too small at first: at β₂ = .999 a matrix's first step is about 30
            times as long as with the correction.
        exponent: in place of -1/4 for matrices and -1/2 for vectors.
        max_dim: a side longer than this has no statistic.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `left` (L), `right` (R), from ε I, which the first step adds (corrected: from
    0, and the shared `statistics_weight` where b2 is an array or a schedule):
    4 (m² + n²) bytes for an (m, n) matrix, 4 n² for a vector.

    Departs from the paper: a tensor of more than two axes is the matrix of its last
    axis against the others (Algorithm 2 has a statistic for each axis); a scalar is a
    vector; the powers are computed from eigenvalues at every step. No momentum, decay
    or grafting: `chain(scale_by_shampoo(), Ema(0.9), WeightDecay(λ), LearningRate(α))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568; averages: Anil et al.,
    2020, arXiv:2002.09018; their correction: Shi et al., 2023, arXiv:2309.06497.
    """
    direction = scale_by_shampoo(
        eps,
        b2=b2,
        bias_correction=bias_correction,
        exponent=exponent,
        max_dim=max_dim,
        axis_name=axis_name,
    )
    return chain(direction, LearningRate(learning_rate))
