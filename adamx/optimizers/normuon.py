"""NorMuon: Muon that divides each neuron by the root of its second moment."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..numerics.matrices import HIGHEST, QUINTIC
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.grafting import Graft
from ..parts.iterations import as_iteration
from ..parts.layer_axes import TWO_AXES
from ..parts.masked import Masked
from ..parts.moments import Identity
from ..parts.orthogonal import NormalizeRms, Orthogonalize, ScaleByShape
from ..parts.tree_axes import AxesByName
from ..parts.weight_decay import Decay
from .adam_mini import BlockEma, by_column, by_row
from .muon import _finish, _momentum, _rest


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
    muon_mask: Any = TWO_AXES,
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
    axes = AxesByName(0)  # as stored: `out_axis` says the outputs, whatever the name
    scale = ScaleByShape(out_axis=out_axis, axes=axes, axis_name=axis_name)
    blocks = by_row if out_axis in (0, -2) else by_column
    second = BlockEma(b2, blocks, name="neuron_nu", axis_name=axis_name)
    divided = Precondition(Identity(), by=RootPlusEps(second, eps))
    if consistent_rms is None:
        same = Graft(magnitude=Identity(), direction=divided, axis_name=axis_name)
        ends = (same, scale)
    else:
        ends = (divided, NormalizeRms(consistent_rms, axis_name=axis_name))
    hidden = chain(
        _momentum(beta, nesterov),
        Orthogonalize(
            as_iteration("normuon", coefficients, ns_steps),
            public="eps_newton",
            precision=precision,
            axes=axes,
            axis_name=axis_name,
        ),
        *ends,
    )
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
    muon_mask: Any = TWO_AXES,
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
        muon_mask: the matrices, as in `muon`; by default those of two axes
            (`hidden_two_axes`).
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
        ValueError: an argument out of its range, or a Muon leaf that is no matrix.

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
        muon_mask=muon_mask,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps=adam_eps,
        precision=precision,
        axis_name=axis_name,
    )
    return _finish(
        direction,
        muon_mask,
        learning_rate,
        weight_decay,
        mask,
        adam_learning_rate,
        adam_weight_decay,
    )
