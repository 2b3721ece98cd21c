"""Shampoo: a full-matrix preconditioner for each side of a matrix."""

from typing import Any

import jax
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
from ..numerics.matrices import HIGHEST, gram, symmetric_power
from ..parts.bias_correction import weight_from_count
from ..parts.learning_rate import LearningRate
from ..parts.two_sided import _ManySided, along, unfolded


class ShampooPreconditioner(_ManySided):
    """Precondition matrices from both sides: `L^(-1/4) G R^(-1/4)` (Shampoo).

        L = ε I + Σ G Gᵀ,    R = ε I + Σ Gᵀ G

    A vector has one statistic, ε I + Σ g gᵀ, and the power -1/2; a scalar likewise, and
    a matrix with `one_sided`.

    Args:
        eps: ε ≥ 0, in units of the gradient squared.
        exponent: in place of -1/4 (and -1/2).
        precondition_frequency: the roots are computed in every f-th step.
        start_preconditioning_step: the first step with roots; u = G before.
        max_dim: a longer side is not preconditioned.
        block_size: the side of the blocks, each with its own statistics; None for none.
        one_sided: the only side with a statistic: "left", "right" or "smaller".
        merge_dims: None for matrices, False for a statistic for each of k axes and the
            power -1 / (2 k), True for merged axes.
        precision: that of every product.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568.
    """

    plan_names = ("Shampoo", "unchanged")

    eps: Hyper = hyper(1e-4, allowed=NON_NEGATIVE)
    exponent: float | None = option(None, most=0, kw_only=False)
    precondition_frequency: int = option(1, least=1)
    start_preconditioning_step: int = option(1, least=1)

    def _has_sides(self, shape: tuple[int, ...]) -> tuple[bool, ...]:
        return super()._has_sides(shape) if len(shape) >= 2 else (True, False)

    def _keeps_roots(self) -> bool:
        return self.precondition_frequency > 1 or self.start_preconditioning_step > 1

    def slots(self) -> dict[str, Slot]:
        sides = enumerate(self._names())
        kept = {n: Slot(shape_of=self._square(i), whole=True) for i, n in sides}
        if self._keeps_roots():
            kept |= {f"{name}_root": slot for name, slot in kept.items()}
        return kept

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        order = sum(self._has_sides(update.shape))
        power = -1 / (2 * order) if self.exponent is None else self.exponent

        def step(given: dict, kept: dict, lengths: Any) -> tuple[dict, dict]:
            u, new = self._preconditioned(given["update"], kept, power, ctx)
            return {"update": u}, new

        done, new = self._mapped(step, {"update": update}, slots)
        return done["update"], slots | new

    def _preconditioned(
        self, g: Array, kept: dict, power: float, ctx: Context
    ) -> tuple[Array, dict]:
        """Return the update of one matrix, and its slots."""
        u, new = g, dict(kept)
        for axis, name in enumerate(self._names(g.ndim)):
            if kept[name].ndim < 2:
                continue
            square = gram(unfolded(g, axis), self.precision)
            h, read = self._gathered(kept[name], square, ctx)
            new[name] = h
            if self._keeps_roots():
                root = self._root(kept[f"{name}_root"], read, power, ctx)
                new[f"{name}_root"] = root
            else:
                root = symmetric_power(read, power, self.precision)
            u = along(u, axis, root, self.precision)
        return u, new

    def _root(self, before: Array, h: Array, power: float, ctx: Context) -> Array:
        """Return the root, computed anew if it is due in this step."""
        step, start = ctx.count, self.start_preconditioning_step
        due = (step > start) & (step % self.precondition_frequency == 0)
        before = jnp.where(step == 1, jnp.eye(len(h), dtype=h.dtype), before)
        return jax.lax.cond(
            due | (step == start),
            lambda h, before: symmetric_power(h, power, self.precision),
            lambda h, before: before,
            h,
            before,
        )

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
    precondition_frequency: int = 1,
    start_preconditioning_step: int = 1,
    max_dim: int = 10_000,
    block_size: int | None = None,
    one_sided: str | None = None,
    merge_dims: bool | None = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as Shampoo does: `shampoo` without learning rate and sign.

    Args: as in `shampoo`.

    State: `left`, `right`, 4 (m² + n²) bytes for an (m, n) matrix; as many for
    `left_root`, `right_root` where the roots are not computed in every step.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568.
    """
    if b2 is None and bias_correction:
        raise errors.AdamxError(
            "shampoo: `bias_correction` must come with `b2`, got b2=None. A sum has no "
            "bias: pass for example b2=0.999, or leave it out."
        )
    kind, own = ShampooPreconditioner, {}
    if b2 is not None:
        kind, own = AveragedShampooPreconditioner, {"b2": b2}
    if bias_correction:
        kind = CorrectedShampooPreconditioner
    return kind(
        eps=eps,
        exponent=exponent,
        **own,
        precondition_frequency=precondition_frequency,
        start_preconditioning_step=start_preconditioning_step,
        max_dim=max_dim,
        block_size=block_size,
        one_sided=one_sided,
        merge_dims=merge_dims,
        precision=precision,
        axis_name=axis_name,
    )


@checked_keywords
def shampoo(
    learning_rate: ScalarOrSchedule,
    eps: ScalarOrSchedule = 1e-4,
    *,
    b2: ScalarOrSchedule | None = None,
    bias_correction: bool = False,
    exponent: float | None = None,
    precondition_frequency: int = 1,
    start_preconditioning_step: int = 1,
    max_dim: int = 10_000,
    block_size: int | None = None,
    one_sided: str | None = None,
    merge_dims: bool | None = None,
    precision: Any = HIGHEST,
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
        precondition_frequency: f, the roots are computed in every f-th step and kept
            between (Shi et al.); the statistics gather every gradient.
        start_preconditioning_step: the first step with roots, in which they are
            computed; before it the update is the gradient. Shi et al. start at f.
        max_dim: a side of a leaf longer than this has no statistic.
        block_size: b, cut a matrix into blocks of b × b, from its first row and column
            on, each with its own L and R (Anil et al., Shi et al.); a rest is filled up
            with zeros, which changes no number. A vector is cut too, a side without a
            statistic is not. None for whole matrices.
        one_sided: the only side of a matrix that has a statistic: "left", `L^(-1/2) G`
            (Xie et al.), "right", `G R^(-1/2)` (An et al.), or "smaller", the shorter
            one, as in one-sided SOAP; None for both.
        merge_dims: None for the matrix of the last axis of a leaf against the others.
            False for a statistic for each axis, at most 6, but for those longer than
            `max_dim`. True merges axes that follow each other first, up to a product of
            `max_dim`, also those of a matrix.
            The power is -1 / (2 k) for k axes (Gupta et al., Algorithm 2).
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, such as `jnp.bfloat16`. Eigenvalues are
            computed in float32 (float64 for float64 leaves) whatever it is.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `left` (L), `right` (R), from ε I, which the first step adds (corrected: from
    0, and the shared `statistics_weight` where b2 is an array or a schedule):
    4 (m² + n²) bytes for an (m, n) matrix, 4 n² for a vector; 8 b² for each block, with
    an axis of blocks. With `merge_dims`, `left` is that of the first axis, `right` of
    the second, `axis_2` of the next, 4 n² bytes for each. As many bytes for
    `left_root`, `right_root`, from I, unless the roots are computed in every step.

    Departs from the paper: a tensor of more than two axes is the matrix of its last
    axis against the others (`merge_dims=False` is Algorithm 2); a scalar is a
    vector; the powers are computed from eigenvalues. No momentum, decay or grafting:
    `chain(scale_by_shampoo(), Ema(0.9), WeightDecay(λ), LearningRate(α))`, and with the
    length of Adam's step, as Shi et al.:
    `chain(graft(magnitude=scale_by_adam(0.0), direction=scale_by_shampoo(...),
    start=f), ...)`, see `graft`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568; averages: Anil et al.,
    2020, arXiv:2002.09018; their correction: Shi et al., 2023, arXiv:2309.06497; one
    side: Xie et al., "Structured preconditioners in adaptive optimization", ICML 2025,
    arXiv:2503.10537; An et al., "ASGO: adaptive structured gradient optimization",
    NeurIPS 2025, arXiv:2503.20762.
    """
    direction = scale_by_shampoo(
        eps,
        b2=b2,
        bias_correction=bias_correction,
        exponent=exponent,
        precondition_frequency=precondition_frequency,
        start_preconditioning_step=start_preconditioning_step,
        max_dim=max_dim,
        block_size=block_size,
        one_sided=one_sided,
        merge_dims=merge_dims,
        precision=precision,
        axis_name=axis_name,
    )
    return chain(direction, LearningRate(learning_rate))
