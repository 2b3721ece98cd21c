"""Adam and AdamW: an average of the gradient over the root of one of its square."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, square
from ..parts.weight_decay import Decay, as_decay, with_rate


def adam_denominator(b2: ScalarOrSchedule, eps: ScalarOrSchedule | Eps) -> Rule:
    """Return Adam's denominator, sqrt(v̂) + ε, whose v is in the slot `nu`."""
    return RootPlusEps(Debiased(Ema(b2, square, "nu")), eps)


@checked_keywords
def scale_by_adam(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as Adam does: `adam` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind such as
            `EpsBeforeCorrection(1e-8)`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    Algorithm 1, arXiv:1412.6980.
    """
    return Precondition(Debiased(Ema(b1)), by=adam_denominator(b2, eps))


@checked_keywords
def adam(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Chain:
    """Adam: divide an average of the gradient by the root of an average of its square.

        m ← β₁ m + (1 - β₁) g            m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) g²           v̂ = v / (1 - β₂ᵗ)
        θ ← θ - α m̂ / (sqrt(v̂) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter: about the size of a step.
        b1: β₁ in [0, 1), the decay of m, the first moment.
        b2: β₂ in [0, 1), the decay of v, the second moment.
        eps: ε ≥ 0 in units of the gradient, or an eps kind: `EpsBeforeCorrection(1e-8)`
            is the efficient form of the paper's section 2, `EpsInsideRoot`
            TensorFlow's.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: nothing; 0 / 0 is 0 where ε is 0.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    Algorithm 1, arXiv:1412.6980.
    """
    return chain(scale_by_adam(b1, b2, eps), LearningRate(learning_rate))


@checked_keywords
def scale_by_adamw(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as AdamW does before weight decay: see `scale_by_adam`.

    Reference: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019,
    Algorithm 2, arXiv:1711.05101.
    """
    return scale_by_adam(b1, b2, eps)


@checked_keywords
def adamw(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 1e-4,
    mask: Any = None,
) -> Chain:
    """AdamW: Adam with decoupled weight decay, which does not enter the moments.

        u = m̂ / (sqrt(v̂) + ε)            (m̂ and v̂ as in `adam`)
        θ ← θ - α (u + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0, a step removes the share α λ of a parameter; or a decay
            part such as `CautiousWeightDecay(0.1)`, which is put before or after the
            rate, as it needs. The default is Optax's; torch's is 0.01.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: its listing scales λθ by the schedule multiplier only, not
    by α; here, as in torch and Optax, the decay per step is α λ. The paper's form is
    `chain(scale_by_adamw(), LearningRate(α), IndependentWeightDecay(λ))`.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019,
    Algorithm 2, arXiv:1711.05101.
    """
    direction = scale_by_adamw(b1, b2, eps)
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))
