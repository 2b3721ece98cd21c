"""AvaGrad: Adam with the previous step's rates, normalised over the whole model."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_divide, safe_sqrt
from ..parts.denominators import Eps, EpsOutsideRoot
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, square


class AvagradDirection(Rule):
    """Multiply a moment by the previous step's rates, scaled to an RMS of 1 (AvaGrad).

        η = 1 / (sqrt(v) + ε),    and only then  v takes in g²
        |η|_rms² = the mean of η² over all parameters

    Args:
        moment: m, such as `Ema(0.9)`.
        square: the rule that keeps v, such as `Ema(0.999, square, "nu")`.
        eps: ε > 0 in units of the gradient, or an eps kind. With 0, the rate of an
            element whose gradients were all 0 is 0.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Savarese et al., "Domain-independent dominance of adaptive methods", CVPR
    2021, Algorithm 2, arXiv:1912.01823.
    """

    scope = "tree"

    moment: Part = part()
    square: Part = part()
    eps: Hyper | Eps = hyper(
        0.1,
        allowed=NON_NEGATIVE.but("It bounds the rates; 0.1 is usual."),
        or_part=Eps,
    )
    axis_name: Any = option(None)

    def _rates(self, slots: Slots) -> Float[Array, "..."]:
        eps = self.eps if isinstance(self.eps, Eps) else EpsOutsideRoot(self.eps)
        d = eps.denominator(slots[self.square.name], 1.0)
        none = d == 0
        return jnp.where(none, 0, 1 / jnp.where(none, 1, d))

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        eta = self._rates(slots)
        return {
            "rate_squares": jnp.sum(eta * eta),
            "rate_count": jnp.asarray(eta.size, eta.dtype),
        }

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        nothing = jnp.zeros(())
        squares = totals.get("rate_squares", nothing)
        count = totals.get("rate_count", nothing)
        return {"rate_rms": safe_sqrt(safe_divide(squares, count))}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        eta = safe_divide(self._rates(slots), ctx.shared["rate_rms"])
        m, slots = self.moment.apply(update, slots, ctx)
        _, slots = self.square.apply(update, slots, ctx)
        return eta * m, slots


@checked_keywords
def scale_by_avagrad(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 0.1,
    *,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as AvaGrad does: `avagrad` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε > 0 in units of the gradient, or an eps kind.
        axis_name: see `avagrad`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Savarese et al., "Domain-independent dominance of adaptive methods", CVPR
    2021, Algorithm 2, arXiv:1912.01823.
    """
    return AvagradDirection(Ema(b1), Ema(b2, square, "nu"), eps, axis_name=axis_name)


@checked_keywords
def avagrad(
    learning_rate: ScalarOrSchedule = 0.1,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 0.1,
    *,
    axis_name: Any = None,
) -> Chain:
    """AvaGrad: Adam with the previous step's rates, normalised over the whole model.

        m ← β₁ m + (1 - β₁) g
        η = 1 / (sqrt(v) + ε)
        θ ← θ - α η / |η|_rms m,    |η|_rms² = the mean of η² over all parameters
        v ← β₂ v + (1 - β₂) g²

    Args:
        learning_rate: α ≥ 0, in units of parameter per gradient: the rates have an RMS
            of 1, so that α is about as large as SGD's, whatever ε is.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε > 0 in units of the gradient, or an eps kind: with a large one it is SGD
            with momentum, with a small one it adapts as Adam.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split, so
            that the mean is that of the whole model.

    State: `mu` (m), `nu` (v), both from zero; 8 bytes per parameter, and the count. It
    needs the whole tree: the mean is over all of its leaves.

    Departs from the paper: nothing; the first step is α m. The authors' code, which
    corrects both averages, skips the first step and normalises by the η of one step
    before, is not offered.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Savarese et al., "Domain-independent dominance of adaptive methods", CVPR
    2021, Algorithm 2, arXiv:1912.01823.
    """
    direction = scale_by_avagrad(b1, b2, eps, axis_name=axis_name)
    return chain(direction, LearningRate(learning_rate))
