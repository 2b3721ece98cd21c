"""Hyperball: Adam or Muon with the norm of each hidden matrix held (AdamH, MuonH)."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..numerics.matrices import HIGHEST, QUINTIC
from ..parts.denominators import Eps
from ..parts.layer_axes import HIDDEN
from ..parts.masked import Masked
from ..parts.parameter_norm import Hyperball
from ..parts.tree_axes import as_axes
from ..parts.trust_ratio import TrustRatio
from ..parts.weight_decay import Decay
from .adam import scale_by_adam
from .muon import _decay_of_rest, _ended, _rates, muon_leaves, scale_by_muon


def _held(
    direction: Rule | Chain,
    where: str,
    hyperball_mask: Any,
    learning_rate: ScalarOrSchedule,
    adam_learning_rate: ScalarOrSchedule | None,
    adam_weight_decay: ScalarOrSchedule | Decay,
    mask: Any,
    axes: Any,
    axis_name: Any,
) -> Chain:
    """Append the rates, and hold the norms of the leaves of `hyperball_mask`."""
    given, axes = axes, as_axes(where, axes)
    hyperball_mask = muon_leaves(hyperball_mask, given, axes)
    ratio, ball = (
        Masked(rule(axes=axes, axis_name=axis_name), hyperball_mask)
        for rule in (TrustRatio, Hyperball)
    )
    decays = _decay_of_rest(adam_weight_decay, mask, hyperball_mask)
    rates = _rates(learning_rate, adam_learning_rate, hyperball_mask)
    return chain(_ended(chain(direction, ratio), decays, rates), ball)


@checked_keywords
def adamh(
    learning_rate: ScalarOrSchedule = 0.02,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    axes: Any = None,
    hyperball_mask: Any = HIDDEN,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """AdamH: Adam with the norm of each hidden matrix held; Adam for other leaves.

        u = m̂ / (sqrt(v̂) + ε)            (m̂ and v̂ as in `adam`)
        θ ← R n(θ - α R n(u)),    R = ‖θ₀‖,  n(x) = x / ‖x‖

    Args:
        learning_rate: α ≥ 0, the size of a step relative to the matrix.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        axes: which axes are rows, columns and batch, as in `muon`: the norm of each
            matrix of a leaf is held, that of each layer, expert or head for itself.
        hyperball_mask: the leaves whose norm is held: a tree of bools (or a prefix of
            one), a callable on the parameters, a predicate of path and leaf, or a path
            regex; `hidden_matrix` selects those that have axes, and no embedding or
            head. By default with `axes=`, the leaves that it gives axes. Of a selected
            leaf without axes one norm is held.
        adam_learning_rate: the rate of the others, in units of the parameter; None for
            the same, which is large for Adam: pass Adam's own, such as 3e-4.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.
        mask: the leaves of the others that decay, as `hyperball_mask`.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `mu` (m), `nu` (v), from 0, 8 bytes per parameter; `radius` (R), from the
    parameters, 4 bytes per matrix whose norm is held, with the axes of a leaf that has
    several.

    Departs from the paper: nothing. The authors' code in Levanter takes ‖θ‖ before each
    step for R, which is ‖θ₀‖ but for rounding. A matrix that begins at 0 has no sphere
    and takes Adam's step as it is, where the formula would keep it at 0.

    Raises:
        ValueError: an argument out of its range, parameters missing in `update`, or
            axes that do not exist.
        TypeError: an argument that is no number, array or schedule.

    Reference: Wen et al., "From weight decay to hyperball optimization (part 1)", 2025,
    whenwen.github.io/blog/2025/weight-decay-hyperball-part-1.
    """
    return _held(
        scale_by_adam(b1, b2, eps),
        "adamh",
        hyperball_mask,
        learning_rate,
        adam_learning_rate,
        adam_weight_decay,
        mask,
        axes,
        axis_name,
    )


@checked_keywords
def muonh(
    learning_rate: ScalarOrSchedule = 0.02,
    beta: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-8,
    *,
    nesterov: bool = True,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    iteration: Any = None,
    axes: Any = None,
    spread: Any = None,
    hyperball_mask: Any = HIDDEN,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.999,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """MuonH: Muon with the norm of each hidden matrix held; Adam for other leaves.

        B ← β B + (1 - β) G,    O = NewtonSchulz(β B + (1 - β) G)
        θ ← R n(θ - α R n(O)),    R = ‖θ₀‖,  n(x) = x / ‖x‖

    Args:
        learning_rate: α ≥ 0, the size of a step relative to the matrix.
        beta: β in [0, 1), the decay of the momentum.
        eps: ε ≥ 0, added to the norm of what is orthogonalised.
        nesterov: use Nesterov momentum; without it B is orthogonalised.
        coefficients: of the iteration, as in `muon`.
        ns_steps: the number of iterations.
        iteration: in place of `coefficients` and `ns_steps`, as in `muon`.
        axes: which axes are rows, columns and batch, as in `muon`. The norm of each
            matrix of a leaf is held, not that of the leaf: a stack of layers or of
            experts, or a fused query, key and value that is cut, steps as separate
            matrices would, as under `adamx.stacked`.
        spread: the sharding of stacks, as in `muon`.
        hyperball_mask: Muon's leaves, as `muon_mask` of `muon`; by default those that
            have axes (`hidden_matrix`).
        adam_learning_rate: the rate of the others, in units of the parameter; None for
            the same, which is large for Adam: pass Adam's own, such as 3e-4.
        adam_b1: β₁ of Adam.
        adam_b2: β₂ of Adam.
        adam_eps: ε of Adam, or an eps kind.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.
        mask: the leaves of the others that decay, as `hyperball_mask`.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `momentum` (B), from 0, 4 bytes per parameter, and `radius` (R), from the
    parameters, 4 bytes per matrix, for Muon's leaves; `mu`, `nu` for the others.

    Departs from the paper: as `adamh`. Muon's factor for the shape does not matter,
    since the step is normalised. The authors' code for the NanoGPT speedrun is
    `coefficients=(2, -1.5, 0.5), ns_steps=12, eps=1e-7`, about U Vᵀ itself.

    Raises:
        ValueError: an argument out of its range, a Muon leaf that is no matrix, or axes
            that do not exist.

    Reference: Wen et al., "From weight decay to hyperball optimization (part 1)", 2025,
    whenwen.github.io/blog/2025/weight-decay-hyperball-part-1.
    """
    direction = scale_by_muon(
        coefficients,
        ns_steps,
        beta,
        eps,
        nesterov=nesterov,
        iteration=iteration,
        axes=axes,
        spread=spread,
        muon_mask=hyperball_mask,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps=adam_eps,
        precision=precision,
        axis_name=axis_name,
    )
    return _held(
        direction,
        "muonh",
        hyperball_mask,
        learning_rate,
        adam_learning_rate,
        adam_weight_decay,
        mask,
        axes,
        axis_name,
    )
