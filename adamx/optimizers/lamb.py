"""LAMB: AdamW with a trust ratio for each tensor.

Inside `shard_map` pass `axis_name`, the mesh axes over which the leaves are split:
every norm is then that of the whole tensor. Stacked layers: `adamx.stacked`.
"""

from collections.abc import Callable
from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..parts.denominators import Eps
from ..parts.learning_rate import LearningRate
from ..parts.trust_ratio import TrustRatio
from ..parts.weight_decay import Decay, as_decay
from .adam import scale_by_adam


@checked_keywords
def scale_by_lamb(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    phi: Callable[[Any], Any] | None = None,
    axis_name: Any = None,
) -> Chain:
    """Scale gradients as LAMB does: `lamb` without decay, learning rate and sign.

    Args: as in `lamb`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: You et al., "Large batch optimization for deep learning: training BERT in
    76 minutes", ICLR 2020, Algorithm 2, arXiv:1904.00962.
    """
    return chain(scale_by_adam(b1, b2, eps), TrustRatio(phi=phi, axis_name=axis_name))


@checked_keywords
def lamb(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    phi: Callable[[Any], Any] | None = None,
    axis_name: Any = None,
) -> Chain:
    """LAMB: AdamW that rescales the step of each tensor to the norm of the tensor.

        u = m̂ / (sqrt(v̂) + ε) + λ θ      (m̂ and v̂ as in `adam`)
        θ ← θ - α φ(‖θ‖) / ‖u‖ u          (1 for the ratio where a norm is 0)

    Args:
        learning_rate: α ≥ 0, the norm of a step relative to that of the tensor.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        phi: φ, a function of ‖θ‖ such as `lambda z: jnp.clip(z, 0.01, 10)`; None for
            ‖θ‖ itself.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: 1 for a ratio with a zero, as in the authors' code, which
    leaves out the bias correction: `chain(Precondition(Ema(0.9),
    by=RootPlusEps(Ema(0.999, square, "nu"), 1e-6)), WeightDecay(λ), TrustRatio(),
    LearningRate(α))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: You et al., "Large batch optimization for deep learning: training BERT in
    76 minutes", ICLR 2020, Algorithm 2, arXiv:1904.00962.
    """
    return chain(
        scale_by_adam(b1, b2, eps),
        as_decay(weight_decay, mask),
        TrustRatio(phi=phi, axis_name=axis_name),
        LearningRate(learning_rate),
    )
