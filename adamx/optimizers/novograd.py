"""NovoGrad: momentum of normalised gradients, with one second moment per tensor."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import FRACTION, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp
from ..numerics.splits import across
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, Identity, Momentum
from ..parts.weight_decay import Decay, as_decay


class NormEma(Rule):
    """Average ‖g‖², one number per tensor, starting from the first (NovoGrad).

        first step:  v ← ‖g‖²,    then:  v ← β v + (1 - β) ‖g‖²

    Args:
        decay: β in [0, 1), the weight of the past.
        name: the slot that holds v.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Ginsburg et al., "Stochastic gradient methods with layer-wise adaptive
    moments for training of deep networks", 2019, Algorithm 1, arXiv:1905.11286.
    """

    scope = "tensor"

    decay: Hyper = hyper(allowed=FRACTION, public="b2")
    name: str = option("nu")
    axis_name: Any = option(None)

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(shape_of=jnp.sum, signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        squared = across(jnp.sum(update * update), self.axis_name)
        v = lerp(slots[self.name], squared, self.decay)
        v = jnp.where(ctx.count == 1, squared, v)
        return v, slots | {self.name: v}


@checked_keywords
def scale_by_novograd(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.25,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    averaging: bool = False,
    axis_name: Any = None,
) -> Chain:
    """Scale gradients as NovoGrad does: `novograd` without decay, rate and sign.

    Args: as in `novograd`, with Optax's own default of ε.

    State: `nu`, one number per tensor, `mu`; 4 bytes per parameter.

    Reference: Ginsburg et al., "Stochastic gradient methods with layer-wise adaptive
    moments for training of deep networks", 2019, Algorithm 1, arXiv:1905.11286.
    """
    return chain(_normalised(b2, eps, axis_name), _moment(b1, averaging))


def _normalised(
    b2: ScalarOrSchedule, eps: ScalarOrSchedule | Eps, axis_name: Any
) -> Rule:
    return Precondition(
        Identity(), by=RootPlusEps(NormEma(b2, axis_name=axis_name), eps)
    )


def _moment(b1: ScalarOrSchedule, averaging: bool) -> Rule:
    return Ema(b1) if averaging else Momentum(b1, name="mu", public="b1")


@checked_keywords
def novograd(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.25,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    averaging: bool = False,
    axis_name: Any = None,
) -> Chain:
    """NovoGrad: divide each tensor's gradient by its running norm, then add momentum.

        first step:  v ← ‖g‖²
        then:        v ← β₂ v + (1 - β₂) ‖g‖²
        m ← β₁ m + (g / (sqrt(v) + ε) + λ θ)
        θ ← θ - α m

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m; the authors' experiments have 0.95.
        b2: β₂ in [0, 1), the decay of v; Optax's default, the paper has 0.98 for most.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `EpsInsideRoot(ε)` is the
            authors' code.
        weight_decay: λ ≥ 0 or a decay part; it enters m.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        averaging: make m an average: the term added to it is multiplied by 1 - β₁.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `mu` (m), from 0, 4 bytes per parameter; `nu` (v), from the first ‖g‖², one
    number per tensor; the count.

    Departs from the paper: ε is used in the first step too.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Ginsburg et al., "Stochastic gradient methods with layer-wise adaptive
    moments for training of deep networks", 2019, Algorithm 1, arXiv:1905.11286.
    """
    return chain(
        _normalised(b2, eps, axis_name),
        as_decay(weight_decay, mask),
        _moment(b1, averaging),
        LearningRate(learning_rate),
    )
