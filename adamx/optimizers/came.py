"""CAME: Adafactor with momentum, scaled by how well it predicts the updates."""

from typing import Any

from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_divide, safe_sqrt
from ..parts.clipping import ClipByRms
from ..parts.denominators import Precondition, RootPlusEps
from ..parts.factored import FactoredSecondMoment
from ..parts.moments import Ema, Identity
from ..parts.weight_decay import Decay, as_decay, with_rate


class CameConfidence(Rule):
    """Divide momentum by `sqrt(S)`, S the factored average of `(u - m)²` (CAME).

    Args:
        moment: m, an average of the update, such as `Ema(0.9)`.
        instability: S, a `FactoredSecondMoment` average; on leaves that are not
            factored the result is m.

    Reference: Luo et al., "CAME: confidence-guided adaptive memory efficient
    optimization", ACL 2023, Algorithm 2, arXiv:2307.02047.
    """

    moment: Part = part()
    instability: Part = part()

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, ctx)
        s, slots = self.instability.apply(update - m, slots, ctx)
        return safe_divide(m, safe_sqrt(s)), slots


@checked_keywords
def scale_by_came(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    eps: ScalarOrSchedule = 1e-30,
    *,
    eps_instability: ScalarOrSchedule = 1e-16,
    clipping_threshold: ScalarOrSchedule = 1.0,
    axis_name: Any = None,
) -> Chain:
    """Scale gradients as CAME does: `came` without decay, learning rate and sign.

    Args: as in `came`.

    State: `mu`, and factors; a little over 4 bytes per parameter.

    Reference: Luo et al., "CAME: confidence-guided adaptive memory efficient
    optimization", ACL 2023, Algorithm 2, arXiv:2307.02047.
    """
    second = FactoredSecondMoment(b2, eps=eps, axis_name=axis_name)
    instability = FactoredSecondMoment(
        b3,
        name="instability",
        eps=eps_instability,
        public="b3",
        public_eps="eps_instability",
        keep_whole=False,
        axis_name=axis_name,
    )
    return chain(
        Precondition(Identity(), by=RootPlusEps(second, 0.0, public="eps_root")),
        ClipByRms(clipping_threshold, axis_name=axis_name),
        CameConfidence(Ema(b1), instability),
    )


@checked_keywords
def came(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    eps: ScalarOrSchedule = 1e-30,
    *,
    eps_instability: ScalarOrSchedule = 1e-16,
    clipping_threshold: ScalarOrSchedule = 1.0,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """CAME: Adafactor with momentum, scaled by how well it predicts the updates.

        r, c ← averages of the rows and columns of g² + ε₁ (β₂)
        u = g / sqrt(r cᵀ / mean(r)),    u ← u / max(1, RMS(u) / d)
        m ← β₁ m + (1 - β₁) u
        R, C ← averages of the rows and columns of (u - m)² + ε₂ (β₃)
        θ ← θ - α (m / sqrt(R Cᵀ / mean(R)) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of the mean of g².
        b3: β₃ in [0, 1), the decay of the instability.
        eps: ε₁ ≥ 0, in units of g².
        eps_instability: ε₂ ≥ 0, in units of u².
        clipping_threshold: d > 0, the greatest RMS of u.
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    State: `mu` (m), 4 bytes per parameter; `nu_row`, `nu_col`, `instability_row`,
    `instability_col`, one number for a row or column; `nu`, 4 bytes per parameter, for
    vectors; all from 0.

    Departs from the paper: the decay, and vectors, whose v is not factored and
    whose step is along m, are the authors' code; the algorithm has matrices only.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Luo et al., "CAME: confidence-guided adaptive memory efficient
    optimization", ACL 2023, Algorithm 2, arXiv:2307.02047.
    """
    direction = scale_by_came(
        b1,
        b2,
        b3,
        eps,
        eps_instability=eps_instability,
        clipping_threshold=clipping_threshold,
        axis_name=axis_name,
    )
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))
