"""AdaShift: Adam whose second moment excludes the gradients that it divides."""

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
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp, safe_divide
from ..numerics.splits import largest_across
from ..parts.denominators import Eps, EpsOutsideRoot
from ..parts.learning_rate import LearningRate

_SQUARES = ("nu", "nu_weight")


class TemporalShift(Rule):
    """Divide the mean of the last n gradients by the RMS of those before them.

        m = Σ_{i<n} β₁ⁱ g_{t-i} / Σ_{i<n} β₁ⁱ
        v ← β₂ v + (1 - β₂) φ(g²_{t-n})
        u = m / (sqrt(v / w) + ε),    w the sum of the weights in v since it is not 0

    φ is the largest square of the tensor, or with `elementwise` the square itself.

    Args:
        n: the number of gradients in m, at least 1.
        b1: β₁ in [0, 1), the weight of a gradient relative to that of the next one.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        elementwise: divide each element by its own root, not by the tensor's largest.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `gradient_1` (the last) to `gradient_n`, `nu`, and `nu_weight`, from zero;
    the last two are one number for each tensor, or with `elementwise` for each element.

    Reference: Zhou et al., "AdaShift: decorrelation and convergence of adaptive
    learning rate methods", ICLR 2019, arXiv:1810.00143.
    """

    n: int = option(
        10, least=1, kw_only=False, advice="It is how many are kept; 10 is usual."
    )
    b1: Hyper = hyper(0.9, allowed=FRACTION.but("It weighs the older gradients."))
    b2: Hyper = hyper(0.999, allowed=FRACTION.but("It is the weight of the past."))
    eps: Hyper | Eps = hyper(
        1e-10,
        allowed=NON_NEGATIVE.but("It keeps the division finite; 1e-10 is usual."),
        or_part=Eps,
    )
    elementwise: bool = option(False)
    axis_name: Any = option(None)

    @property
    def scope(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return "element" if self.elementwise else "tensor"

    def slots(self) -> dict[str, Slot]:
        like = None if self.elementwise else jnp.sum
        past = {f"gradient_{i}": Slot() for i in range(1, self.n + 1)}
        return past | {name: Slot(shape_of=like, signed=False) for name in _SQUARES}

    def _squares(self, g: Float[Array, "..."]) -> Float[Array, "..."]:
        if self.elementwise:
            return g * g
        return largest_across(jnp.max(g * g, initial=0.0), self.axis_name)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        past = [update, *(slots[f"gradient_{i}"] for i in range(1, self.n + 1))]
        v = lerp(slots["nu"], self._squares(past[-1]), self.b2)
        v = jnp.where(ctx.count > self.n, v, slots["nu"])
        w = slots["nu_weight"]
        started = (w > 0) | (v > 0)
        w = jnp.where(started, lerp(w, jnp.ones_like(w), self.b2), 0)
        weight = jnp.where(started, w, 1)
        eps = self.eps if isinstance(self.eps, Eps) else EpsOutsideRoot(self.eps)
        root = eps.denominator(v / weight, weight)

        shares = [self.b1**i if i else 1.0 for i in range(self.n)]
        total: Any = sum(c * g for c, g in zip(shares, past[:-1], strict=True))
        m = total / sum(shares)
        u = jnp.where(started, safe_divide(m, root), 0)
        new = {f"gradient_{i}": g for i, g in enumerate(past[:-1], 1)}
        return u, slots | new | {"nu": v, "nu_weight": w}


@checked_keywords
def scale_by_adashift(
    n: int = 10,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-10,
    *,
    elementwise: bool = False,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as AdaShift does: `adashift` without learning rate and sign.

    Args:
        n: how many gradients are kept.
        b1: β₁ in [0, 1), the weight of a gradient relative to that of the next one.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        elementwise: see `adashift`.
        axis_name: see `adashift`.

    State: `gradient_1` to `gradient_n`, 4 n bytes per parameter; `nu`, `nu_weight`.

    Reference: Zhou et al., "AdaShift: decorrelation and convergence of adaptive
    learning rate methods", ICLR 2019, arXiv:1810.00143.
    """
    return TemporalShift(n, b1, b2, eps, elementwise=elementwise, axis_name=axis_name)


@checked_keywords
def adashift(
    learning_rate: ScalarOrSchedule = 1e-3,
    n: int = 10,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-10,
    *,
    elementwise: bool = False,
    axis_name: Any = None,
) -> Chain:
    """AdaShift: Adam whose second moment excludes the gradients that it divides.

        m = Σ_{i<n} β₁ⁱ g_{t-i} / Σ_{i<n} β₁ⁱ
        v ← β₂ v + (1 - β₂) max(g²_{t-n})            v̂ = v / (1 - β₂ᵗ⁻ⁿ)
        θ ← θ - α m / (sqrt(v̂) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        n: how many gradients are kept, at least 1. The first n steps are 0.
        b1: β₁ in [0, 1), the weight of a gradient relative to that of the next one.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        elementwise: divide each element by its own squares (the paper's non-AdaShift)
            and not by the largest of the tensor (max-AdaShift).
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split, so
            that the largest is that of the whole tensor.

    State: `gradient_1` (the last) to `gradient_n`, 4 n bytes per parameter; `nu` (v)
    and `nu_weight`, one number for each tensor (`elementwise`: 8 bytes per parameter);
    all from zero; and the count.

    Departs from the paper: ε, the correction, and the wait until v is positive, which
    are those of the authors' code; the listing takes n gradients before the first step.
    The defaults are those of that code too, but for `elementwise`, which it has by
    default and its experiments have not.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zhou et al., "AdaShift: decorrelation and convergence of adaptive
    learning rate methods", ICLR 2019, arXiv:1810.00143.
    """
    direction = scale_by_adashift(
        n, b1, b2, eps, elementwise=elementwise, axis_name=axis_name
    )
    return chain(direction, LearningRate(learning_rate))
