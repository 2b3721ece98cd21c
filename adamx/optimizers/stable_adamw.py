"""StableAdamW: AdamW with update clipping for each tensor."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    NON_NEGATIVE,
    ScalarOrSchedule,
    hyper,
    is_zero,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.masks import as_mask
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_divide, safe_sqrt
from ..numerics.norms import rms
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps
from ..parts.moments import Ema
from ..parts.weight_decay import Decay, DecayBeforeRate, by_place, decay_term, with_rate
from .adam import adam_denominator


class UpdateClipping(Rule):
    """Divide Adam's step and decay by max(1, ρ), ρ = RMS(g / sqrt(v̂)) (StableAdamW).

        ρ = RMS(g / max(sqrt(v̂), ε))
        u = (m̂ / (sqrt(v̂) + ε) + λ θ) / max(1, ρ)

    Args:
        moment: m̂, such as `Debiased(Ema(0.9))`.
        denominator: sqrt(v̂) + ε, such as `RootPlusEps(Debiased(Ema(0.99, square,
            "nu")), 1e-6)`; the `eps` of an eps kind is the ε of ρ.
        weight_decay: λ ≥ 0; for the number 0 `update` needs no parameters.
        mask: the leaves that decay.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Wortsman et al., "Stable and low-precision training for large-scale
    vision-language models", NeurIPS 2023, Algorithm 2, arXiv:2304.13013.
    """

    scope = "tensor"

    moment: Part = part()
    denominator: Part = part()
    weight_decay: Any = hyper(0.0, allowed=NON_NEGATIVE, or_part=DecayBeforeRate)
    mask: Any = None
    axis_name: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("UpdateClipping", self.mask))

    def needs(self) -> frozenset[str]:
        decays = not is_zero(self.weight_decay)
        return super().needs() | ({"param"} if decays else set())

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, ctx)
        d, slots = self.denominator.apply(update, slots, ctx)
        second, eps = self.denominator.moment, self.denominator.eps  # pyright: ignore[reportAttributeAccessIssue]
        weight = ctx.shared.get(f"{second.name}_weight", 1.0)
        floor = eps.eps if isinstance(eps, Eps) else eps  # pyright: ignore[reportAttributeAccessIssue]
        v = slots[second.name] / weight
        ratio = safe_divide(update, jnp.maximum(safe_sqrt(v), floor))
        u = safe_divide(m, d)
        if "param" in self.needs():
            u = u + decay_term(self.weight_decay, self.mask, u, ctx)
        return u / jnp.maximum(rms(ratio, self.axis_name), 1), slots


def _stable(
    b1: ScalarOrSchedule,
    b2: ScalarOrSchedule,
    eps: ScalarOrSchedule | Eps,
    decay: ScalarOrSchedule,
    mask: Any,
    axis_name: Any,
) -> Rule:
    root = adam_denominator(b2, eps)
    return UpdateClipping(Debiased(Ema(b1)), root, decay, mask, axis_name=axis_name)


@checked_keywords
def scale_by_stable_adamw(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as StableAdamW does: `stable_adamw` without decay, rate and sign.

    Args: as in `stable_adamw`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Wortsman et al., "Stable and low-precision training for large-scale
    vision-language models", NeurIPS 2023, Algorithm 2, arXiv:2304.13013.
    """
    return _stable(b1, b2, eps, 0.0, None, axis_name)


@checked_keywords
def stable_adamw(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.2,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """StableAdamW: AdamW that clips the update of each tensor by its RMS.

        ρ = RMS(g / max(sqrt(v̂), ε))       (m̂ and v̂ as in `adam`)
        η = α / max(1, ρ)                    (one for each tensor)
        θ ← θ - η (m̂ / (sqrt(v̂) + ε) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind, whose `eps` is the ε of ρ.
        weight_decay: λ ≥ 0 or a decay part, which is clipped too if it comes before the
            rate; 0.2 is that of the paper's experiments.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: nothing; its corrected decays β̂ are Adam's correction.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Wortsman et al., "Stable and low-precision training for large-scale
    vision-language models", NeurIPS 2023, Algorithm 2, arXiv:2304.13013.
    """
    decay, after = by_place(weight_decay, mask)
    direction = _stable(b1, b2, eps, decay, mask, axis_name)
    return chain(direction, *with_rate(learning_rate, *after))
