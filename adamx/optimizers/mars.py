"""MARS-AdamW: AdamW on a gradient with variance reduction."""

from typing import Any

from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slot, Slots
from ..engine.value import is_array
from ..parts.clipping import ClipByNorm
from ..parts.denominators import Eps
from ..parts.masked import Masked
from ..parts.weight_decay import Decay, decoupled, with_rate
from .adam import scale_by_adam
from .muon import _finish, _rest

_REST = {
    "adam_learning_rate": None,
    "adam_b1": 0.9,
    "adam_b2": 0.95,
    "adam_eps": 1e-8,
    "adam_weight_decay": 0.1,
}
"""The defaults of AdamW for the leaves that MARS does not update (authors' code)."""


def _check_rest(mars_mask: Any, **given: Any) -> None:
    """Raise an error if AdamW's hyperparameters are given and no leaf is AdamW's.

    The value of an array is not known: `optax.inject_hyperparams` makes one of every
    number.
    """
    if mars_mask is not None:
        return
    for name, value in given.items():
        usual = _REST[name]
        if is_array(value) and usual is not None:
            continue
        same = value is None if usual is None else isinstance(value, int | float)
        if not (same and value == usual):
            raise errors.AdamxError(
                f"mars: `{name}` must come with `mars_mask`, got {value!r} and no "
                f"mask. Without one MARS updates all leaves: pass for example "
                f"mars_mask=lambda path, leaf: leaf.ndim == 2."
            )


class MarsCorrection(Rule):
    """Apply `of` to the variance-reduced, clipped gradient c (MARS).

        c = g + γ β₁ / (1 - β₁) (g - g'),    c ← c / max(1, ‖c‖)

    Args:
        gamma: γ ≥ 0, the weight of the correction.
        of: the direction that reads c; its first moment has the decay β₁.
        clip: the bound of c.
        exact: g' is the gradient of the current batch at the previous parameters,
            passed to `update` as `gradient_before`; otherwise the gradient of the
            previous step, kept in the state, 0 at first.
    """

    gamma: Hyper = hyper(allowed=NON_NEGATIVE)
    of: Part = part()
    clip: Part = part(kw_only=True)
    exact: bool = option(False)

    def slots(self) -> dict[str, Slot]:
        kept = {} if self.exact else {"gradient_before": Slot()}
        return kept | super().slots()

    def needs(self) -> frozenset[str]:
        return super().needs() | ({"gradient_before"} if self.exact else set())

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g, b1 = update, self.of.moment.decay
        if self.exact:
            before = ctx.extra["gradient_before"].astype(g.dtype)
        else:
            before = slots["gradient_before"]
            slots = slots | {"gradient_before": g}
        c = g + self.gamma * b1 / (1 - b1) * (g - before)
        c, slots = self.clip.apply(c, slots, ctx)
        return self.of.apply(c, slots, ctx)


@checked_keywords
def scale_by_mars(
    b1: ScalarOrSchedule = 0.95,
    b2: ScalarOrSchedule = 0.99,
    gamma: ScalarOrSchedule = 0.025,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    exact: bool = False,
    axis_name: Any = None,
    mars_mask: Any = None,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule | Chain:
    """Scale gradients as MARS does: `mars` without decay, learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the corrected gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        gamma: γ ≥ 0, the weight of the correction.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        exact: see `mars`.
        axis_name: see `mars`.
        mars_mask: see `mars`.
        adam_b1: see `mars`.
        adam_b2: see `mars`.
        adam_eps: see `mars`.

    State: `gradient_before` (unless exact), `mu`, `nu`; 12 bytes per parameter.

    Reference: Yuan et al., "MARS: unleashing the power of variance reduction for
    training large models", ICML 2025, Algorithm 2, arXiv:2411.10438.
    """
    adam = scale_by_adam(b1, b2, eps)
    clip = ClipByNorm(1.0, axis_name=axis_name)
    direction = MarsCorrection(gamma, adam, clip=clip, exact=exact)
    _check_rest(mars_mask, adam_b1=adam_b1, adam_b2=adam_b2, adam_eps=adam_eps)
    if mars_mask is None:
        return direction
    rest = _rest(mars_mask, adam_b1, adam_b2, adam_eps, "adam_mu", "adam_nu")
    return chain(Masked(direction, mars_mask), rest)


@checked_keywords
def mars(
    learning_rate: ScalarOrSchedule = 3e-3,
    b1: ScalarOrSchedule = 0.95,
    b2: ScalarOrSchedule = 0.99,
    gamma: ScalarOrSchedule = 0.025,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    exact: bool = False,
    axis_name: Any = None,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    mars_mask: Any = None,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.1,
) -> Chain:
    """MARS-AdamW: AdamW on a gradient whose variance the previous gradient reduces.

        c = g + γ β₁ / (1 - β₁) (g - g'),    c ← c / max(1, ‖c‖)    for each tensor
        θ ← θ - η (u + λ θ)                   (u the step of `adam` on c)

    Args:
        learning_rate: η ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of c.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        gamma: γ ≥ 0, the weight of the correction.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        exact: g' is the gradient of the current batch at the previous parameters
            (Algorithm 2), passed as `tx.update(..., gradient_before=...)`; by default
            it is the gradient of the previous step (MARS-approx), as in the authors'
            code.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.
        weight_decay: λ ≥ 0 or a decay part; the number 0 adds none.
        mask: the leaves that decay, as in `adamw`.
        mars_mask: the leaves that MARS updates, as `mask`; the others are AdamW's. None
            for all, as in the paper; `lambda path, leaf: leaf.ndim == 2` is the default
            of the authors' code.
        adam_learning_rate: the rate of the others; None for the same.
        adam_b1: β₁ of AdamW.
        adam_b2: β₂ of AdamW.
        adam_eps: ε of AdamW, or an eps kind.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.

    State: `gradient_before` (g', from 0 as in the authors' code; not kept if exact),
    `mu`, `nu` (from 0); 12 bytes per parameter, and the count; for the leaves that are
    AdamW's `adam_mu`, `adam_nu`, 8 bytes.

    Departs from the paper: the approximation by default; the clip is over each tensor,
    as in the authors' code (the paper has one vector). That code updates by MARS the
    matrices only, biases, norms and kernels of more axes by AdamW with a decay of 0.1:
    `mars_mask`.

    Raises:
        ValueError: an argument out of its range; `gradient_before` missing; an argument
            of AdamW without `mars_mask`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Yuan et al., "MARS: unleashing the power of variance reduction for
    training large models", ICML 2025, Algorithm 2, arXiv:2411.10438.
    """
    _check_rest(
        mars_mask,
        adam_learning_rate=adam_learning_rate,
        adam_weight_decay=adam_weight_decay,
    )
    direction = scale_by_mars(
        b1,
        b2,
        gamma,
        eps,
        exact=exact,
        axis_name=axis_name,
        mars_mask=mars_mask,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps=adam_eps,
    )
    if mars_mask is None:
        decay = decoupled(weight_decay, mask)
        return chain(direction, *with_rate(learning_rate, *decay))
    return _finish(
        direction,
        mars_mask,
        learning_rate,
        weight_decay,
        mask,
        adam_learning_rate,
        adam_weight_decay,
    )
