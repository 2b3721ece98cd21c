"""Muown: Muon for the directions of the neurons of a matrix, Adam for their lengths.

Inside `shard_map` pass `axis_name`, the mesh axis over which the rows are split.
Stacked layers: say with `axes=` which axis is of layers, or use `adamx.stacked`.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    is_zero,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.masks import Not, as_mask
from ..engine.rule import Part, Rule, merge_slots, part
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import safe_sqrt
from ..numerics.matrices import HIGHEST, QUINTIC
from ..parts.denominators import Eps
from ..parts.iterations import as_iteration
from ..parts.layer_axes import HIDDEN
from ..parts.learning_rate import LearningRate
from ..parts.masked import Masked
from ..parts.matrix_axes import MatrixAxes
from ..parts.matrix_rules import Sums, TensorRule, layout_of, whole_like
from ..parts.orthogonal import Orthogonalize, ScaleByShape
from ..parts.tree_axes import as_axes
from ..parts.weight_decay import Decay, DecayBeforeRate, by_place
from .muon import _adam, _decay_of_rest, _ended, _momentum, _rest, muon_leaves

_LEAST = 1e-12


@checked_keywords
def muown(
    learning_rate: ScalarOrSchedule = 3e-4,
    beta: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-7,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    nesterov: bool = True,
    consistent_rms: ScalarOrSchedule | None = 0.2,
    out_axis: int = -1,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    iteration: Any = None,
    axes: Any = None,
    spread: Any = None,
    muon_mask: Any = HIDDEN,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.0,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Muown: train the direction of each neuron by Muon, and its length by Adam.

    Each neuron, the weights of one output, is θᵢ = gᵢ vᵢ / ‖vᵢ‖, with the gradient Gᵢ:

        hᵢ = Gᵢ · vᵢ / ‖vᵢ‖,    Hᵢ = gᵢ / ‖vᵢ‖ (Gᵢ - hᵢ vᵢ / ‖vᵢ‖)
        M ← β M + (1 - β) H,    V ← V - α s NewtonSchulz((1 - β) H + β M)
        g ← g - α m̂ / (sqrt(v̂) + ε)                 (m̂ and v̂ of h, as in `adam`)
        θᵢ ← gᵢ vᵢ / ‖vᵢ‖ - α λ θᵢ,    s = 0.2 sqrt(max(out, in))
        where it decays:  gᵢ ← ‖θᵢ‖,  vᵢ ← ‖vᵢ‖ θᵢ / gᵢ

    Under Muon the lengths of the neurons grow, and the spectral norm of the matrix with
    them. Here they move by about α a step.

    Args:
        learning_rate: α ≥ 0, in units of the parameter, as AdamW's.
        beta: β in [0, 1), the decay of the momentum.
        eps: ε ≥ 0, added to the norm of what is orthogonalised.
        weight_decay: λ ≥ 0, decoupled, as AdamW's, or a decay part that acts before
            the rate, such as `CautiousWeightDecay(0.1)`. It is inside the step, since g
            must be the length of what has decayed; a part for the finished step would
            come after that, and is refused.
        mask: the leaves that decay, as in `muon`.
        nesterov: use Nesterov momentum; without it M is orthogonalised.
        consistent_rms: 0.2 in s; None for Muon's s = sqrt(max(1, out / in)).
        out_axis: the axis of the neurons: -1 for kernels stored as (in, out), whose
            columns they are, 0 for torch's (out, in).
        coefficients: of the iteration, as in `muon`.
        ns_steps: the number of iterations.
        iteration: in place of `coefficients` and `ns_steps`, as in `muon`.
        axes: which axes are rows, columns and batch, as in `muon`.
            `{"c_attn": MatrixAxes(split_columns=3)}` orthogonalises query, key and
            value of a fused kernel (d, 3 d) apart, `split_columns=3 * heads` those of
            each head; s is that of a part. A neuron has one length however its inputs
            are split.
        spread: the sharding of stacks, as in `muon`.
        muon_mask: the matrices, as in `muon`; by default those that have axes
            (`hidden_matrix`).
        adam_learning_rate: the rate of the others; None for the same.
        adam_b1: β₁ of Adam, for lengths and others.
        adam_b2: β₂ of Adam, for both.
        adam_eps: ε of Adam, for both, or an eps kind.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `momentum` (M), from 0, 4 bytes per parameter; `magnitude` (g) and
    `direction_norm` (‖v‖), from the parameters, and `magnitude_mu`, `magnitude_nu`,
    from 0, 16 bytes per neuron, for matrices; `mu`, `nu` for the others, 8 bytes. v is
    θ ‖v‖ / g, and is not kept.

    Departs from the paper: it is the authors' code, but that M is an average, which has
    the same direction (`eps=(1 - β) * 1e-7` is their ε, beside a sum), that a neuron of
    0 has the length 1e-12 (there NaN), so that its first step gives it a direction, and
    that the iteration is in float32 (there bfloat16). That code takes every matrix of
    three times as many outputs as inputs for a fused query, key and value, and
    orthogonalises three; here that is said by `axes=`.

    Raises:
        ValueError: an argument out of its range, parameters missing in `update`, a leaf
            of `muon_mask` that is no matrix, or axes that do not exist.

    Reference: Lion et al., "Muown: row-norm control for Muon optimization", 2026,
    arXiv:2605.10797, github.com/kcc-lion/muown.
    """
    decay, after = by_place(weight_decay, mask)
    if after:
        raise errors.AdamxError(
            f"muown: `weight_decay` must act before the rate, got {after[0]!r}. The "
            f"step itself decays, since the length and the direction that it keeps of "
            f"each neuron must be those after the decay: pass a number or "
            f"adamx.parts.CautiousWeightDecay(...). `adam_weight_decay` takes any part."
        )
    given, axes = axes, as_axes("muown", axes, out_axis)
    muon_mask = muon_leaves(muon_mask, given, axes)
    hidden = MuownStep(
        learning_rate,
        decay,
        mask,
        momentum=_momentum(beta, nesterov),
        orthogonal=chain(
            Orthogonalize(
                as_iteration("muown", coefficients, ns_steps, iteration),
                eps,
                precision=precision,
                axes=axes,
                spread=spread,
                axis_name=axis_name,
            ),
            ScaleByShape(
                consistent_rms, out_axis=out_axis, axes=axes, axis_name=axis_name
            ),
        ),
        adam=_adam(adam_b1, adam_b2, adam_eps, "magnitude_mu", "magnitude_nu"),
        out_axis=out_axis,
        axes=axes,
        axis_name=axis_name,
    )
    rest = _rest(muon_mask, adam_b1, adam_b2, adam_eps)
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    rates: list[Rule] = [Masked(LearningRate(rate), Not(muon_mask))]
    decays = _decay_of_rest(adam_weight_decay, mask, muon_mask)
    return _ended(chain(Masked(hidden, muon_mask), rest), decays, rates)


class MuownStep(TensorRule):
    """Step in the direction and in the length of each neuron of a matrix (Muown).

        θᵢ = gᵢ vᵢ / ‖vᵢ‖,    V ← V - α O,    g ← g - α a

    With h and H the gradients of g and V, O is what `orthogonal` makes of the momentum
    of H, and a what `adam` makes of h. The rule contains the learning rate, since the
    step of θ is not the sum of the two.

    Args:
        learning_rate: α ≥ 0.
        weight_decay: λ ≥ 0: α λ θ is taken from the new θ, whose rows then give g and
            the direction of V; or a part that says what is taken, which reads the sign
            of the step; mask: the leaves that decay.
        momentum: what is averaged of H, such as `Ema(0.95, name="momentum")`.
        orthogonal: what is made of it, such as `Orthogonalize()`.
        adam: what is made of h, a direction; its slots have one number per neuron.
        out_axis: the axis of the neurons, -1 for the columns, 0 for the rows.
        axes: which axes are rows and columns, as in `Orthogonalize`, which must have
            the same; None for leaves of two axes, as they are stored.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Lion et al., "Muown: row-norm control for Muon optimization", 2026,
    arXiv:2605.10797.
    """

    place = "step"

    learning_rate: Hyper = hyper(allowed=NON_NEGATIVE)
    weight_decay: Any = hyper(0.0, allowed=NON_NEGATIVE, or_part=DecayBeforeRate)
    mask: Any = None
    momentum: Part = part(kw_only=True)
    orthogonal: Part = part(kw_only=True)
    adam: Part = part(kw_only=True)
    out_axis: int = option(-1, least=-2, most=1, advice="A matrix has two axes.")
    axes: Any = option(None)
    axis_name: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("MuownStep", self.mask))

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def slots(self) -> dict[str, Slot]:
        slots = merge_slots(self)
        lengths = self._lengths_as_stored if self.axes is None else self._lengths
        for name, slot in self.adam.slots().items():
            if not slot.shared:
                slots[name] = dataclasses.replace(
                    slot, shape_of=lengths, labelled_by=self.axes
                )
        because = "The parameter is divided by it."
        for name in ("magnitude", "direction_norm"):
            slots[name] = Slot(
                init=lengths, labelled_by=self.axes, single_array_because=because
            )
        return slots

    def _over_inputs(self, axes: MatrixAxes | None, x: Array) -> Array:
        """Sum over the inputs of each neuron."""
        layout = layout_of(self, whole_like(x, self.axis_name), axes)
        uncut = layout._replace(split_rows=1, split_columns=1)
        inputs = "rows" if self.out_axis in (-1, 1) else "columns"
        return Sums(uncut, (inputs,), self.axis_name).of(x)

    def _lengths(self, axes: MatrixAxes | None, x: Array) -> Array:
        """Return the length of each neuron, at least 1e-12."""
        return jnp.maximum(safe_sqrt(self._over_inputs(axes, x * x)), _LEAST)

    def _lengths_as_stored(self, x: Array) -> Array:
        return self._lengths(None, x)

    def _axes(self, ctx: Context) -> MatrixAxes | None:
        return None if self.axes is None else ctx.label(self.axes)

    def _gradients(self, update: Array, slots: Slots, ctx: Context) -> tuple:
        """Return the gradients of the lengths and of the directions."""
        g, v_norm = slots["magnitude"], slots["direction_norm"]
        unit = ctx.param / g
        h = self._over_inputs(self._axes(ctx), update * unit)
        return h, g / v_norm * (update - h * unit)

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"] | None:
        _, of_v = self._gradients(update, slots, ctx)
        m, slots = self.momentum.apply(of_v, slots, ctx)
        return self.orthogonal.matrices(m, slots, ctx)

    def together(self, stack: Float[Array, "k m n"]) -> Float[Array, "k m n"]:
        return self.orthogonal.together(stack)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g, v_norm = slots["magnitude"], slots["direction_norm"]
        h, of_v = self._gradients(update, slots, ctx)
        o, slots = self.momentum.apply(of_v, slots, ctx)
        o, slots = self.orthogonal.apply(o, slots, ctx)
        u, slots = self.adam.apply(h, slots, ctx)
        step = self.learning_rate * o
        axes = self._axes(ctx)
        v_length = self._lengths(axes, ctx.param * (v_norm / g) - step)
        length = g - self.learning_rate * u
        length = jnp.where(jnp.abs(length) < _LEAST, _LEAST, length)
        kept = length / g * (v_norm / v_length)
        moved = (self._over_inputs(axes, jnp.abs(step)) > 0) | (length != g)
        step = (kept - 1) * ctx.param - length / v_length * step
        # without a step what is left is the rounding of the two norms
        step = jnp.where(moved, step, 0)
        decay = self.weight_decay
        part = isinstance(decay, DecayBeforeRate)
        if not is_zero(decay) and ctx.selects(decay.mask if part else self.mask):
            pull = self.learning_rate * (decay.weight_decay if part else decay)
            if part:
                step = step - self.learning_rate * decay.term(-step, ctx)
            else:
                step = step - pull * ctx.param
            length = jnp.where(pull > 0, self._lengths(axes, ctx.param + step), length)
        return step, slots | {"magnitude": length, "direction_norm": v_length}
