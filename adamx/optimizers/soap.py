"""SOAP: Adam in the eigenbasis of Shampoo's preconditioners.

Inside `shard_map` pass `axis_name`, the mesh axis over which the first axis of the
leaves is split; the gradients are gathered. Stacked layers: `adamx.stacked`.
"""

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
from ..numerics.matrices import gram, product
from ..parts.bias_correction import weight_from_count
from ..parts.denominators import Eps, EpsOutsideRoot
from ..parts.learning_rate import LearningRate
from .shampoo import _TwoSided


@checked_keywords
def scale_by_soap(
    b1: ScalarOrSchedule = 0.95,
    b2: ScalarOrSchedule = 0.95,
    shampoo_beta: ScalarOrSchedule | None = None,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    precondition_frequency: int = 10,
    sort: bool = False,
    max_dim: int = 10_000,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as SOAP does: `soap` without decay, learning rate and sign.

    Args: as in `soap`.

    State: `mu`, `nu`, `left`, `right`, `left_basis`, `right_basis`.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """
    return SoapDirection(
        b1,
        b2,
        SameAsB2() if shampoo_beta is None else shampoo_beta,
        eps,
        precondition_frequency=precondition_frequency,
        sort=sort,
        max_dim=max_dim,
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
    weight_decay: ScalarOrSchedule = 0.01,
    mask: Any = None,
    precondition_frequency: int = 10,
    sort: bool = False,
    max_dim: int = 10_000,
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
        weight_decay: λ ≥ 0; 0.01 is the default of the authors' code.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        precondition_frequency: f.
        sort: sort the columns of Q, and V, by diag(Qᵀ L Q) before QR, as the authors'
            code does.
        max_dim: a side longer than this has no basis.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `mu` (M), `nu` (V), 8 bytes per parameter; `left` (L), `right` (R),
    `left_basis`, `right_basis`, 8 (m² + n²) bytes for an (m, n) matrix. All from 0; the
    first gradient sets L, R and, by a full eigendecomposition, the bases; the first
    step is 0.

    Departs from the paper: the first step and the default decay are those of the
    authors' code; ε and `sort` are the paper's. Their code is `chain(scale_by_soap(
    eps=EpsBeforeCorrection(1e-8), sort=True), LearningRate(α), WeightDecayAfterStep(λ,
    learning_rate=α))`, but it does not decay in the first step. A tensor of more than
    two axes is the matrix of its last axis against the others (the code: a statistic
    for each axis).

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """
    direction = SoapDirection(
        b1,
        b2,
        SameAsB2() if shampoo_beta is None else shampoo_beta,
        eps,
        weight_decay,
        mask,
        precondition_frequency=precondition_frequency,
        sort=sort,
        max_dim=max_dim,
        axis_name=axis_name,
    )
    return chain(direction, LearningRate(learning_rate))


class SameAsB2(Value):
    """Use β₂ as the decay: the default of `shampoo_beta`."""


class SoapDirection(_TwoSided):
    """Run Adam in the eigenbasis of Shampoo's statistics (SOAP).

    Leaves of fewer than two axes have no basis: Adam updates them, from the second
    gradient on.

    Args:
        b1: β₁ in [0, 1); b2: β₂ in [0, 1).
        shampoo_beta: the decay of L and R; `SameAsB2()` for β₂.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0, λ θ is added from the second gradient on; mask: the leaves
            that decay.
        precondition_frequency: the number of steps between updates of the bases.
        sort: sort the columns by diag(Qᵀ L Q) before each update (authors' code).
        max_dim: a longer side is not rotated.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    The bases are constants in derivatives.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """

    b1: Hyper = hyper(0.95, allowed=FRACTION)
    b2: Hyper = hyper(0.95, allowed=FRACTION)
    shampoo_beta: Any = hyper(SameAsB2(), allowed=FRACTION, or_part=SameAsB2)
    eps: Hyper | Eps = hyper(1e-8, allowed=NON_NEGATIVE, or_part=Eps)
    weight_decay: Hyper = hyper(0.0, allowed=NON_NEGATIVE)
    mask: Any = None
    precondition_frequency: int = option(10, least=1)
    sort: bool = option(False)
    max_dim: int = option(10_000, least=1)
    axis_name: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("SoapDirection", self.mask))

    def needs(self) -> frozenset[str]:
        decays = not is_zero(self.weight_decay)
        return super().needs() | ({"param"} if decays else set())

    def slots(self) -> dict[str, Slot]:
        slots = {"mu": Slot(), "nu": Slot(signed=False)}
        for side, name in enumerate(("left", "right")):
            slots[name] = Slot(shape_of=self._square(side))
            slots[f"{name}_basis"] = Slot(
                shape_of=self._square(side),
                single_array_because="Its columns must stay orthogonal.",
            )
        for name, decay in (("mu", self.b1), ("nu", self.b2)):
            if not is_constant(decay):
                slots[f"{name}_weight"] = Slot(
                    shared=True, signed=False, from_count=_weight_of(decay)
                )
        return slots

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        weights = {}
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
        first = ctx.count == 1
        matrix = update.ndim >= 2
        sides = self._sides(update.shape)
        bases = [slots["left_basis"], slots["right_basis"]]

        def rotate(x: Any, back: bool = False) -> Any:
            left, right = (q.T if back and matrix else q for q in bases)
            x = product(left.T, x) if matrix and sides[0] else x
            return product(x, right) if matrix and sides[1] else x

        g, m, v = update, slots["mu"], slots["nu"]
        if matrix:
            g, m, v = (self._matrix(x) for x in (g, m, v))
        m = jnp.where(first, m, lerp(m, g, self.b1))
        v = jnp.where(first, v, lerp(v, rotate(g) ** 2, self.b2))
        w1, w2 = (
            jnp.where(first, 1, ctx.shared[n]) for n in ("mu_weight", "nu_weight")
        )
        eps = self.eps if isinstance(self.eps, Eps) else EpsOutsideRoot(self.eps)
        u = rotate(safe_divide(rotate(m) / w1, eps.denominator(v / w2, w2)), back=True)
        u = jnp.where(first, 0, u)
        new = {"mu": m, "nu": v}
        if matrix:
            same = isinstance(self.shampoo_beta, SameAsB2)
            beta = self.b2 if same else self.shampoo_beta
            roots = self._roots(g, bases, slots, ctx)
            statistics = [
                lerp(slots[name], gram(x), beta) if n else slots[name]
                for name, n, x in zip(("left", "right"), sides, roots, strict=True)
            ]
            bases, v = self._refreshed(ctx.count, statistics, bases, v, sides)
            new = {"mu": self._own(m, update), "nu": self._own(v, update)}
            new |= {"left": statistics[0], "right": statistics[1]}
            u = self._own(u, update)
        if "param" in self.needs() and ctx.selects(self.mask):
            u = u + jnp.where(first, 0, self.weight_decay) * ctx.param
        new |= {"left_basis": bases[0], "right_basis": bases[1]}
        return u, slots | new

    def _roots(self, g: Any, bases: list, slots: Slots, ctx: Context) -> tuple:
        """Return what is averaged on each side: X of X Xᵀ."""
        return g, g.T

    def _refreshed(
        self, count: Any, statistics: list, bases: list, v: Any, sides: Any
    ) -> tuple[list, Any]:
        """Return the bases for the next step, and v in the order of their columns."""
        live = [side for side in (0, 1) if sides[side]]
        fixed = [jax.lax.stop_gradient(h) for h in statistics]

        def keep(bases: list, v: Any) -> tuple[list, Any]:
            return bases, v

        def begin(bases: list, v: Any) -> tuple[list, Any]:
            new = list(bases)
            for side in live:
                new[side] = jnp.linalg.eigh(fixed[side])[1][:, ::-1]
            return new, v

        def iterate(bases: list, v: Any) -> tuple[list, Any]:
            new = list(bases)
            for side in live:
                h, q = fixed[side], bases[side]
                if self.sort:
                    order = jnp.argsort(-jnp.sum(q * product(h, q), 0))
                    q, v = q[:, order], jnp.take(v, order, side)
                new[side] = jnp.linalg.qr(product(h, q))[0]
            return new, v

        due = (count - 1) % self.precondition_frequency == 0
        index = jnp.where(count == 1, 1, jnp.where(due, 2, 0))
        held = [jax.lax.stop_gradient(q) for q in bases]
        return jax.lax.switch(index, [keep, begin, iterate], held, v)


def _weight_of(decay: Any) -> Any:
    """Return the weight of an average after `count` steps, the first one skipped."""

    def weight(count: Array) -> Array:
        return weight_from_count(decay, jnp.maximum(count - 1, 0))

    return weight
