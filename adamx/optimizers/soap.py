"""SOAP: Adam in the eigenbasis of Shampoo's preconditioners.

Inside `shard_map` pass `axis_name`, the mesh axis over which the first axis of the
leaves is split; the gradients are gathered. Stacked layers: `adamx.stacked`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    is_constant,
    is_zero,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.masks import as_mask
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..engine.value import Value
from ..numerics.arithmetic import lerp, one_minus_power, safe_divide
from ..numerics.matrices import HIGHEST, gram
from ..parts.bias_correction import weight_from_count
from ..parts.denominators import Eps, EpsOutsideRoot
from ..parts.learning_rate import LearningRate
from ..parts.two_sided import _ManySided, filling, refreshed, unfolded
from ..parts.weight_decay import Decay, as_decay, with_rate


@checked_keywords
def scale_by_soap(
    b1: ScalarOrSchedule = 0.95,
    b2: ScalarOrSchedule = 0.95,
    shampoo_beta: ScalarOrSchedule | None = None,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    precondition_frequency: int = 10,
    bias_correction: bool = True,
    sort: bool = False,
    precondition_1d: bool = False,
    max_dim: int = 10_000,
    block_size: int | None = None,
    one_sided: str | None = None,
    merge_dims: bool | None = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as SOAP does: `soap` without decay, learning rate and sign.

    Args: as in `soap`.

    State: `mu`, `nu`, `left`, `right`, `left_basis`, `right_basis`.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """
    return SoapDirection(
        b1=b1,
        b2=b2,
        shampoo_beta=SameAsB2() if shampoo_beta is None else shampoo_beta,
        eps=eps,
        precondition_frequency=precondition_frequency,
        bias_correction=bias_correction,
        sort=sort,
        precondition_1d=precondition_1d,
        max_dim=max_dim,
        block_size=block_size,
        one_sided=one_sided,
        merge_dims=merge_dims,
        precision=precision,
        axis_name=axis_name,
    )


@checked_keywords
def soap(
    learning_rate: ScalarOrSchedule = 3e-3,
    b1: ScalarOrSchedule = 0.95,
    b2: ScalarOrSchedule = 0.95,
    shampoo_beta: ScalarOrSchedule | None = None,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.01,
    mask: Any = None,
    precondition_frequency: int = 10,
    bias_correction: bool = True,
    sort: bool = False,
    precondition_1d: bool = False,
    max_dim: int = 10_000,
    block_size: int | None = None,
    one_sided: str | None = None,
    merge_dims: bool | None = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """SOAP: run Adam in the eigenbasis of Shampoo's preconditioners.

        M ← β₁ M + (1 - β₁) G
        V ← β₂ V + (1 - β₂) (Q_Lᵀ G Q_R)²
        θ ← θ - α (Q_L (Q_Lᵀ M̂ Q_R / (sqrt(V̂) + ε)) Q_Rᵀ + λ θ)
        L ← β L + (1 - β) G Gᵀ,  R ← β R + (1 - β) Gᵀ G
        every f steps:  Q_L ← QR(L Q_L),  Q_R ← QR(R Q_R)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        shampoo_beta: β in [0, 1); None for β₂.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `EpsBeforeCorrection(1e-8)`
            is the authors' code.
        weight_decay: λ ≥ 0, from the second gradient on, or a decay part, which decays
            in the first step too; 0.01 is the default of the authors' code.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        precondition_frequency: f.
        bias_correction: divide M and V by 1 - β₁ᵗ and 1 - β₂ᵗ (the code's
            `correct_bias`).
        sort: sort the columns of Q, and V, by diag(Qᵀ L Q) before QR, as the authors'
            code does.
        precondition_1d: vectors have a basis too, of g gᵀ, as in the authors' code.
        max_dim: a side of a leaf longer than this has no basis.
        block_size: b, cut a matrix into blocks of b × b, from its first row and column
            on, each with its own bases, as `shampoo` does; a rest is filled up with
            zeros, which changes no number. A side without a basis is not cut. None for
            whole matrices.
        one_sided: the only side of a matrix that has a basis: "left", "right" or
            "smaller" (the paper's one-sided form, section 7.1); None for both.
        merge_dims: None for the matrix of the last axis of a leaf against the others.
            False for a statistic for each axis, at most 6, but for those longer than
            `max_dim`. True merges axes that follow each other first, up to a product of
            `max_dim`, also those of a matrix; what is merged to one axis has one
            basis.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, such as `jnp.bfloat16`. Eigenvectors and QR
            are computed in float32 (float64 for float64 leaves) whatever it is.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    For a TPU, XLA takes minutes to compile the eigendecomposition of a side above 256:
    set `block_size=256`, or a `max_dim=` that leaves long sides out (`python -m
    benchmarks matrices --part targets` compiles one leaf of 2048² with each).

    State: `mu` (M), `nu` (V), 8 bytes per parameter; `left` (L), `right` (R),
    `left_basis`, `right_basis`, 8 (m² + n²) bytes for an (m, n) matrix, 16 b² for each
    block, with an axis of blocks. With `merge_dims`, `left` is that of the first axis,
    `right` of the second, `axis_2` of the next, 8 n² bytes for each. All from 0; the
    first gradient sets the statistics and, by a full eigendecomposition, the bases; the
    first step is 0.

    Departs from the paper: the first step and the default decay are those of the
    authors' code; ε and `sort` are the paper's. Their code is `chain(scale_by_soap(
    eps=EpsBeforeCorrection(1e-8), sort=True), LearningRate(α), WeightDecayAfterStep(λ,
    learning_rate=α))`, but it does not decay in the first step; its `normalize_grads`
    is `NormalizeRms(1.0)` after `scale_by_soap(bias_correction=False, sort=True)`, and
    a rate of α sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) for its `correct_bias`, t from the second
    gradient. That code has `merge_dims=False`; its True merges axes in the order of the
    leaf, from the first on, as here: (out, in, height, width) of torch are other groups
    than (height, width, in, out) of JAX.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """
    direction = functools.partial(
        SoapDirection,
        b1=b1,
        b2=b2,
        shampoo_beta=SameAsB2() if shampoo_beta is None else shampoo_beta,
        eps=eps,
        precondition_frequency=precondition_frequency,
        bias_correction=bias_correction,
        sort=sort,
        precondition_1d=precondition_1d,
        max_dim=max_dim,
        block_size=block_size,
        one_sided=one_sided,
        merge_dims=merge_dims,
        precision=precision,
        axis_name=axis_name,
    )
    return _with_decay(direction, learning_rate, weight_decay, mask)


def _with_decay(
    direction: Callable[..., Rule],
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule | Decay,
    mask: Any,
) -> Chain:
    """Give the direction its λ, or the rate a part that decays beside it."""
    decay = as_decay(weight_decay, mask)
    if isinstance(weight_decay, Decay):
        return chain(direction(), *with_rate(learning_rate, decay))
    one = direction(weight_decay=weight_decay, mask=mask)
    return chain(one, LearningRate(learning_rate))


class SameAsB2(Value):
    """Use β₂ as the decay: the default of `shampoo_beta`."""


class SoapDirection(_ManySided):
    """Run Adam in the eigenbasis of Shampoo's statistics (SOAP).

    Leaves without a basis are updated by Adam, from the second gradient on.

    Args:
        b1: β₁ in [0, 1); b2: β₂ in [0, 1).
        shampoo_beta: the decay of L and R; `SameAsB2()` for β₂.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0, λ θ is added from the second gradient on; mask: the leaves
            that decay.
        precondition_frequency: the number of steps between updates of the bases.
        bias_correction: correct the bias of M and V.
        sort: sort the columns by diag(Qᵀ L Q) before each update (authors' code).
        precondition_1d: give vectors a basis.
        max_dim: a longer side is not rotated.
        block_size: the side of the blocks, each with its own bases; None for none.
        one_sided: the only side that is rotated: "left", "right" or "smaller".
        merge_dims: None for matrices, False for a basis for each axis, True for merged
            axes.
        precision: that of every product.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    The bases are constants in derivatives.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """

    plan_names = ("SOAP", "Adam")

    b1: Hyper = hyper(0.95, allowed=FRACTION)
    b2: Hyper = hyper(0.95, allowed=FRACTION)
    shampoo_beta: Any = hyper(SameAsB2(), allowed=FRACTION, or_part=SameAsB2)
    eps: Hyper | Eps = hyper(1e-8, allowed=NON_NEGATIVE, or_part=Eps)
    weight_decay: Hyper = hyper(0.0, allowed=NON_NEGATIVE)
    mask: Any = None
    precondition_frequency: int = option(10, least=1)
    bias_correction: bool = option(True)
    sort: bool = option(False)
    precondition_1d: bool = option(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("SoapDirection", self.mask))

    def needs(self) -> frozenset[str]:
        decays = not is_zero(self.weight_decay)
        return super().needs() | ({"param"} if decays else set())

    def _has_sides(self, shape: tuple[int, ...]) -> tuple[bool, ...]:
        vector = self.precondition_1d and len(shape) == 1
        return (True, False) if vector else super()._has_sides(shape)

    def slots(self) -> dict[str, Slot]:
        slots = {"mu": Slot(), "nu": Slot(signed=False)}
        for side, name in enumerate(self._names()):
            slots[name] = Slot(shape_of=self._square(side), whole=True)
            slots[f"{name}_basis"] = Slot(
                shape_of=self._square(side),
                whole=True,
                single_array_because="Its columns must stay orthogonal.",
            )
        for name, decay in (("mu", self.b1), ("nu", self.b2)):
            if self.bias_correction and not is_constant(decay):
                slots[f"{name}_weight"] = Slot(
                    shared=True, signed=False, from_count=_weight_of(decay)
                )
        return slots

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        weights = {}
        if not self.bias_correction:
            return weights
        for name, decay in (("mu_weight", self.b1), ("nu_weight", self.b2)):
            if name in kept:
                more = lerp(kept[name], jnp.ones_like(count), decay)
                weights[name] = jnp.where(count > 1, more, kept[name])
            else:
                weights[name] = one_minus_power(decay, count - 1)
        return weights

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        given = {"update": update, "mu": slots["mu"], "nu": slots["nu"]}

        def step(x: dict, kept: dict, lengths: Any) -> tuple[dict, dict]:
            return self._step(x, kept, lengths, ctx)

        if not any(self._has_sides(update.shape)):
            done, new = step(given, self._of_sides(slots), ())
        else:
            done, new = self._mapped(step, given, slots)
        u = done.pop("update")
        if "param" in self.needs() and ctx.selects(self.mask):
            u = u + jnp.where(ctx.count == 1, 0, self.weight_decay) * ctx.param
        return u, slots | done | new

    def _step(
        self, x: dict, kept: dict, lengths: tuple, ctx: Context
    ) -> tuple[dict, dict]:
        """Run a step on one matrix and the slots of its sides, without the decay."""
        first = ctx.count == 1
        g, m, v = (x[name] for name in ("update", "mu", "nu"))
        names = self._names(g.ndim if lengths else 0)
        bases = [kept[f"{name}_basis"] for name in names]

        rotate = functools.partial(self._rotated, bases=bases)
        m = jnp.where(first, m, lerp(m, g, self.b1))
        v = jnp.where(first, v, lerp(v, rotate(g) ** 2, self.b2))
        w1, w2 = self._weights(ctx)
        eps = self.eps if isinstance(self.eps, Eps) else EpsOutsideRoot(self.eps)
        u = rotate(safe_divide(rotate(m) / w1, eps.denominator(v / w2, w2)), back=True)
        u, new = jnp.where(first, 0, u), {}
        if lengths:
            beta = self._shampoo_beta()
            roots = self._roots(g, bases, kept, lengths, ctx)
            statistics = [kept[name] for name in names]
            for side, q in enumerate(bases):
                if q.ndim == 2:
                    square = gram(roots[side], self.precision)
                    statistics[side] = lerp(statistics[side], square, beta)
            empty = [filling(n, k) for n, k in zip(lengths, g.shape, strict=True)]
            bases, v = refreshed(self, ctx.count, statistics, bases, v, empty)
            for side, name in enumerate(names):
                new[name], new[f"{name}_basis"] = statistics[side], bases[side]
        return {"update": u, "mu": m, "nu": v}, new

    def _weights(self, ctx: Context) -> Any:
        """Return what M and V are divided by, 1 in the first step."""
        if not self.bias_correction:
            return 1, 1
        names = ("mu_weight", "nu_weight")
        return (jnp.where(ctx.count == 1, 1, ctx.shared[n]) for n in names)

    def _shampoo_beta(self) -> Any:
        same = isinstance(self.shampoo_beta, SameAsB2)
        return self.b2 if same else self.shampoo_beta

    def _roots(
        self, g: Any, bases: list, kept: dict, lengths: tuple, ctx: Context
    ) -> tuple:
        """Return what is averaged on each side: X of X Xᵀ."""
        return tuple(unfolded(g, axis) for axis in range(g.ndim))


def _weight_of(decay: Any) -> Any:
    """Return the weight of an average after `count` steps, the first one skipped."""

    def weight(count: Array) -> Array:
        return weight_from_count(decay, jnp.maximum(count - 1, 0))

    return weight
