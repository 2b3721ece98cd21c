"""NorMuon: Muon that divides each neuron by the root of its second moment."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import FRACTION, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp
from ..numerics.matrices import HIGHEST, QUINTIC
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.grafting import Graft
from ..parts.iterations import as_iteration
from ..parts.layer_axes import HIDDEN
from ..parts.masked import Masked
from ..parts.matrix_axes import MatrixAxes
from ..parts.matrix_rules import MatrixRule, Sums
from ..parts.moments import Identity
from ..parts.orthogonal import NormalizeRms, Orthogonalize, ScaleByShape
from ..parts.tree_axes import as_axes
from ..parts.weight_decay import Decay
from .muon import _finish, _momentum, _rest, muon_leaves


@checked_keywords
def scale_by_normuon(
    beta: ScalarOrSchedule = 0.95,
    b2: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule | Eps = 1e-10,
    *,
    nesterov: bool = True,
    consistent_rms: ScalarOrSchedule | None = None,
    out_axis: int = -1,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    iteration: Any = None,
    axes: Any = None,
    spread: Any = None,
    muon_mask: Any = HIDDEN,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-10,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Scale matrices as NorMuon does and other leaves as Adam: without rate and decay.

    Args: as in `normuon`.

    State: `momentum`, `neuron_nu` for matrices; `mu`, `nu` for the others.

    Reference: Li et al., "NorMuon: making Muon more efficient and scalable", 2025,
    Algorithm 1, arXiv:2510.05491.
    """
    given, axes = axes, as_axes("normuon", axes, out_axis)
    on: dict[str, Any] = {"axes": axes, "axis_name": axis_name}
    second = NeuronEma(b2, out_axis=out_axis, **on)
    divided = Precondition(Identity(), by=RootPlusEps(second, eps))
    if consistent_rms is None:
        same = Graft(magnitude=Identity(), direction=divided, **on)
        ends = (same, ScaleByShape(out_axis=out_axis, **on))
    else:
        ends = (divided, NormalizeRms(consistent_rms, **on))
    hidden = chain(
        _momentum(beta, nesterov),
        Orthogonalize(
            as_iteration("normuon", coefficients, ns_steps, iteration),
            public="eps_newton",
            precision=precision,
            spread=spread,
            **on,
        ),
        *ends,
    )
    muon_mask = muon_leaves(muon_mask, given, axes)
    rest = _rest(muon_mask, adam_b1, adam_b2, adam_eps)
    return chain(Masked(hidden, muon_mask), rest)


@checked_keywords
def normuon(
    learning_rate: ScalarOrSchedule = 0.02,
    beta: ScalarOrSchedule = 0.95,
    b2: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule | Eps = 1e-10,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    nesterov: bool = True,
    consistent_rms: ScalarOrSchedule | None = None,
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
    adam_eps: ScalarOrSchedule | Eps = 1e-10,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.0,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """NorMuon: Muon that divides each neuron by the root of its second moment.

        M ← β M + (1 - β) G,    O = NewtonSchulz((1 - β) G + β M)
        v ← β₂ v + (1 - β₂) mean over a neuron's inputs of O²
        Ô = O / (sqrt(v) + ε)                       (v of its neuron)
        θ ← θ - α (sqrt(max(1, out / in)) ‖O‖ Ô / ‖Ô‖ + λ θ)

    Args:
        learning_rate: α ≥ 0, as in `muon`.
        beta: β in [0, 1), the decay of the momentum.
        b2: β₂ in [0, 1), the decay of the second moment of each neuron.
        eps: ε ≥ 0 in units of O, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part, for the matrices.
        mask: the leaves that decay, as in `muon`.
        nesterov: (1 - β) G + β M in place of M, as the authors' code; False is the
            paper's.
        consistent_rms: the RMS of a step in units of the rate, whatever the shape: 0.2
            is the paper's. None for the length of O and Muon's factor for the shape, as
            the authors' code.
        out_axis: the axis of the neurons: -1 for kernels stored as (in, out), 0 for
            torch's (out, in).
        coefficients: of the iteration, as in `muon`.
        ns_steps: the number of iterations.
        iteration: in place of `coefficients` and `ns_steps`, as in `muon`.
        axes: which axes are rows, columns and batch, as in `muon`. Each matrix of a
            batch has neurons and a length of its own; where its inputs are cut
            (`split_rows`), so are the neurons.
        spread: the sharding of stacks, as in `muon`.
        muon_mask: the matrices, as in `muon`; by default those that have axes
            (`hidden_matrix`).
        adam_learning_rate: the rate of the others; None for the same, which is large
            for Adam: the authors' code has 3e-4.
        adam_b1: β₁ of Adam.
        adam_b2: β₂ of Adam.
        adam_eps: ε of Adam, or an eps kind.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `momentum` (M), 4 bytes per parameter, and `neuron_nu` (v), 4 bytes per
    neuron, from 0, for matrices; `mu`, `nu` for the other leaves, 8 bytes.

    Departs from the paper: the defaults are those of the authors' code, which looks
    ahead (Nesterov) and keeps the length of O; `nesterov=False, consistent_rms=0.2,
    eps=1e-8` is Algorithm 1. That code iterates in bfloat16, here the iteration is in
    float32, and it adds 1e-10 to ‖Ô‖.

    Raises:
        ValueError: an argument out of its range, a Muon leaf that is no matrix, or axes
            that do not exist.

    Reference: Li et al., "NorMuon: making Muon more efficient and scalable", 2025,
    Algorithm 1, arXiv:2510.05491.
    """
    direction = scale_by_normuon(
        beta,
        b2,
        eps,
        nesterov=nesterov,
        consistent_rms=consistent_rms,
        out_axis=out_axis,
        coefficients=coefficients,
        ns_steps=ns_steps,
        iteration=iteration,
        axes=axes,
        spread=spread,
        muon_mask=muon_mask,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps=adam_eps,
        precision=precision,
        axis_name=axis_name,
    )
    return _finish(
        direction,
        muon_leaves(muon_mask, axes, as_axes("normuon", axes, out_axis)),
        learning_rate,
        weight_decay,
        mask,
        adam_learning_rate,
        adam_weight_decay,
    )


class NeuronEma(MatrixRule):
    """Keep a moving average of the mean of u² over the inputs of each neuron.

        v ← β v + (1 - β) mean over a neuron's inputs of u²

    Args:
        decay: β in [0, 1), the weight of the past.
        name: the slot that holds v, one number per neuron, with the axes of the leaf.
        out_axis: the axis of the neurons: -1 for the columns, 0 for the rows.
        axes: which axes are rows and columns, as in `Orthogonalize`.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Li et al., "NorMuon: making Muon more efficient and scalable", 2025,
    Algorithm 1, arXiv:2510.05491.
    """

    decay: Hyper = hyper(allowed=FRACTION, public="b2")
    name: str = option("neuron_nu")
    out_axis: int = option(-1, least=-2, most=1, advice="A matrix has two axes.")
    axes: Any = option(None)
    axis_name: Any = option(None)

    def slots(self) -> dict[str, Slot]:
        slot = Slot(shape_of=self._means, labelled_by=self.axes, signed=False)
        return {self.name: slot}

    def _sums(self, axes: MatrixAxes | None, x: Any) -> Sums:
        return Sums(self._layout_by(axes, x), (self._inputs,), self.axis_name)

    def _means(self, axes: MatrixAxes | None, x: Array) -> Array:
        over = self._sums(axes, x)
        return over.of(x) / over.size

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        axes = ctx.label(self.axes)
        new = self._means(axes, update * update)
        v = lerp(slots[self.name], new, self.decay)
        spread = self._sums(axes, update).spread(v, update)
        return jnp.broadcast_to(spread, update.shape), slots | {self.name: v}
