"""SPlus: the sign of the momentum in the eigenbasis of Shampoo's statistics.

Inside `shard_map` pass `axis_name`, the mesh axis over which the first axis of the
leaves is split; the gradients are gathered. Stacked layers: `adamx.stacked`.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp
from ..numerics.matrices import HIGHEST, gram
from ..parts.parameter_averages import ParamEma
from ..parts.two_sided import (
    SIDES,
    _AsMatrix,
    _TwoSided,
    eigenbasis,
    filling,
)
from ..parts.weight_decay import Decay, decoupled, with_rate


@checked_keywords
def scale_by_splus(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    *,
    nonstandard_constant: ScalarOrSchedule = 0.001,
    inverse_every: int = 100,
    max_dim: int = 10_000,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Scale gradients as SPlus does: `splus` without decay, rate, sign and average.

    Args: as in `splus`.

    State: `mu`, `left`, `right`, `left_basis`, `right_basis`.

    Reference: Frans, Levine & Abbeel, "A stable whitening optimizer for efficient
    neural network training", 2025, arXiv:2506.07254.
    """
    return chain(
        SignInEigenbasis(
            b1=b1,
            b2=b2,
            inverse_every=inverse_every,
            max_dim=max_dim,
            precision=precision,
            axis_name=axis_name,
        ),
        ScaleBySides(
            nonstandard_constant=nonstandard_constant,
            max_dim=max_dim,
            axis_name=axis_name,
        ),
    )


@checked_keywords
def splus(
    learning_rate: ScalarOrSchedule = 0.1,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.01,
    mask: Any = None,
    ema_decay: ScalarOrSchedule = 0.999,
    nonstandard_constant: ScalarOrSchedule = 0.001,
    inverse_every: int = 100,
    max_dim: int = 10_000,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """SPlus: take the sign in an eigenbasis that is seldom computed; average θ.

        M ← β₁ M + (1 - β₁) G
        θ ← θ - α s (Q_L sign(Q_Lᵀ M Q_R) Q_Rᵀ + λ θ),    s = 2 / (m + n)
        L ← β₂ L + (1 - β₂) G Gᵀ,  R ← β₂ R + (1 - β₂) Gᵀ G
        at step 1 and every f steps:  Q_L, Q_R ← eigenvectors of L, R
        θ̄ ← γ θ̄ + (1 - γ) θ,    evaluate at θ̄ / (1 - γᵗ)

    Shampoo divides by the roots of eigenvalues that are as old as the basis; the sign
    is of this step, so a step stays bounded however old the basis is. Leaves without
    two axes take sign(M), with s = c. `adamx.eval_params(state, params)` is the
    average. In a direction in which there never was a gradient the entry of M is a
    rounding error, and so is its sign: a matrix of low rank steps there too.

    Args:
        learning_rate: α ≥ 0; a step of a matrix has the Frobenius norm
            2 α sqrt(m n) / (m + n), at most α.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        weight_decay: λ ≥ 0, times the rate and s, as in the authors' code; or a decay
            part: one that comes before the rate is scaled by s, the others are not.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        ema_decay: γ in [0, 1), the authors' `ema_rate`.
        nonstandard_constant: c ≥ 0, s for leaves that are no matrix or have a side
            longer than `max_dim`, such as embeddings.
        inverse_every: f.
        max_dim: a side longer than this has no basis.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`. Eigenvectors are computed in
            float32 (float64 for float64 leaves).
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `mu` (M, from 0), `average` (θ̄, from θ), 8 bytes per parameter; `left` (L),
    `right` (R), `left_basis`, `right_basis`, from 0, 8 (m² + n²) bytes for an (m, n)
    matrix; `average_share`, `average_weight`. The bases of the first step are I.

    Departs from the paper: nothing in a step, which is that of the authors' code for
    Optax; their code for torch decays after it, `chain(scale_by_splus(),
    LearningRate(α), WeightDecayAfterStep(λ, learning_rate=α * s))` on leaves of one s.
    θ is averaged after the step and its decay; the code for torch averages it between
    the two, that for Optax before both. Both add 1e-30 to the diagonals of L and R,
    which changes no number here, and give a side of exactly `max_dim` no basis. Their
    first commits had other scales: a quarter of s for torch, 1 / m for Optax. As there,
    a tensor of more than two axes is no matrix, and the defaults are those of the code
    for torch.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Frans, Levine & Abbeel, "A stable whitening optimizer for efficient
    neural network training", 2025, arXiv:2506.07254.
    """
    direction, scale = scale_by_splus(
        b1,
        b2,
        nonstandard_constant=nonstandard_constant,
        inverse_every=inverse_every,
        max_dim=max_dim,
        precision=precision,
        axis_name=axis_name,
    ).parts
    decays = decoupled(weight_decay, mask)
    before = [decay for decay in decays if decay.takes == "direction"]
    after = [decay for decay in decays if decay.takes == "step"]
    rate = with_rate(learning_rate, *after)
    return chain(direction, *before, scale, *rate, ParamEma(ema_decay))


class SignInEigenbasis(_TwoSided):
    """Take the sign of the momentum in the eigenbasis of Shampoo's statistics (SPlus).

    Leaves without two axes take the sign of the momentum.

    Args:
        b1: β₁ in [0, 1); b2: β₂ in [0, 1), the decay of L and R.
        inverse_every: the number of steps between eigendecompositions; the first is at
            step 1, for step 2.
        max_dim: a longer side is not rotated.
        block_size: the side of the blocks, each with its own bases; None for none.
        one_sided: the only side that is rotated: "left", "right" or "smaller".
        precision: that of every product.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    The bases are constants in derivatives.

    Reference: Frans, Levine & Abbeel, "A stable whitening optimizer for efficient
    neural network training", 2025, arXiv:2506.07254.
    """

    plan_names = ("SPlus", "sign")

    b1: Hyper = hyper(0.9, allowed=FRACTION)
    b2: Hyper = hyper(0.999, allowed=FRACTION)
    inverse_every: int = option(100, least=1)

    def _has_sides(self, shape: tuple[int, ...]) -> tuple[bool, ...]:
        return super()._has_sides(shape if len(shape) == 2 else ())

    def slots(self) -> dict[str, Slot]:
        because = "Its columns must stay orthogonal."
        slots = {"mu": Slot()}
        for side, name in enumerate(SIDES):
            like = self._square(side)
            slots[name] = Slot(shape_of=like, whole=True)
            slots[f"{name}_basis"] = dataclasses.replace(
                slots[name], single_array_because=because
            )
        return slots

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not any(self._has_sides(update.shape)):
            m = lerp(slots["mu"], update, self.b1)
            return jnp.sign(m), slots | {"mu": m}
        given = {"update": update, "mu": slots["mu"]}
        done, new = self._mapped(functools.partial(self._step, ctx), given, slots)
        return done.pop("update"), slots | done | new

    def _step(
        self, ctx: Context, x: dict, kept: dict, lengths: tuple
    ) -> tuple[dict, dict]:
        """Run a step on one matrix and the slots of its sides."""
        g, new = x["update"], {}
        m = lerp(x["mu"], g, self.b1)
        bases = [kept[f"{name}_basis"] for name in SIDES]
        now = [jnp.where(ctx.count == 1, _identity(q), q) for q in bases]
        u = self._rotated(jnp.sign(self._rotated(m, now)), now, back=True)
        for name, q, root, n in zip(SIDES, bases, (g, g.T), lengths, strict=True):
            h = kept[name]
            if q.ndim == 2:
                h = lerp(h, gram(root, self.precision), self.b2)
                q = self._refreshed(ctx.count, h, q, filling(n, len(h)))
            new[name], new[f"{name}_basis"] = h, q
        return {"update": u, "mu": m}, new

    def _refreshed(self, count: Any, statistic: Array, basis: Array, empty: Any) -> Any:
        """Return the basis of the next step; `empty` is where a block is filled up."""
        due = (count == 1) | (count % self.inverse_every == 0)
        fixed, held = map(jax.lax.stop_gradient, (statistic, basis))
        begin, keep = lambda h, q: eigenbasis(h, empty), lambda h, q: q
        return jax.lax.cond(due, begin, keep, fixed, held)


def _identity(basis: Array) -> Array:
    return jnp.eye(len(basis), dtype=basis.dtype) if basis.ndim == 2 else basis


class ScaleBySides(_AsMatrix):
    """Scale matrices by 2 over the sum of their sides, other leaves by a constant.

        u ← 2 / (m + n) u,    or  u ← c u

    The authors find that the best rate is then about the same for all widths.

    Args:
        nonstandard_constant: c ≥ 0, for leaves without two axes or with a side longer
            than `max_dim`.
        max_dim: the longest side of a matrix.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    Reference: Frans, Levine & Abbeel, "A stable whitening optimizer for efficient
    neural network training", 2025, arXiv:2506.07254.
    """

    takes = "either"

    nonstandard_constant: Hyper = hyper(0.001, allowed=NON_NEGATIVE)
    max_dim: int = option(10_000, least=1)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        sides = self._matrix_shape(update.shape)
        if update.ndim == 2 and max(sides) <= self.max_dim:
            return 2 / sum(sides) * update, slots
        return self.nonstandard_constant * update, slots
