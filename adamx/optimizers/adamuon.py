"""AdaMuon: Muon that divides its direction by the root of a second moment, as Adam."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..numerics.matrices import HIGHEST, QUINTIC
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.directions import Sign
from ..parts.iterations import as_iteration
from ..parts.layer_axes import HIDDEN
from ..parts.masked import Masked
from ..parts.moments import Ema, Identity, square
from ..parts.orthogonal import NormalizeRms, Orthogonalize
from ..parts.tree_axes import as_axes
from ..parts.weight_decay import Decay
from .muon import _finish, _momentum, _rest, muon_leaves


@checked_keywords
def scale_by_adamuon(
    beta: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    nesterov: bool = True,
    sign: bool = True,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    eps_rms: ScalarOrSchedule = 1e-8,
    iteration: Any = None,
    precision: Any = HIGHEST,
    axes: Any = None,
    spread: Any = None,
    muon_mask: Any = HIDDEN,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    axis_name: Any = None,
) -> Chain:
    """Scale matrices as AdaMuon does and other leaves as Adam: without rate and decay.

    Args: as in `adamuon`.

    State: `momentum`, `orthogonal_nu` for matrices, `mu`, `nu` for the others; 8 bytes.

    Reference: Si, Zhang & Shen, "AdaMuon: adaptive Muon optimizer", 2025, Algorithm 1,
    arXiv:2507.11005.
    """
    second = Ema(beta, square, "orthogonal_nu", public="beta")
    given, axes = axes, as_axes("adamuon", axes)
    hidden = chain(
        _momentum(beta, nesterov),
        *((Sign(),) if sign else ()),
        Orthogonalize(
            as_iteration("adamuon", coefficients, ns_steps, iteration),
            precision=precision,
            axes=axes,
            spread=spread,
            public="eps_newton",
            axis_name=axis_name,
        ),
        Precondition(Identity(), by=RootPlusEps(second, eps)),
        NormalizeRms(0.2, eps_rms, axes=axes, axis_name=axis_name),
    )
    muon_mask = muon_leaves(muon_mask, given, axes)
    rest = _rest(muon_mask, adam_b1, adam_b2, adam_eps)
    return chain(Masked(hidden, muon_mask), rest)


@checked_keywords
def adamuon(
    learning_rate: ScalarOrSchedule = 0.02,
    beta: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.01,
    mask: Any = None,
    nesterov: bool = True,
    sign: bool = True,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    eps_rms: ScalarOrSchedule = 1e-8,
    iteration: Any = None,
    precision: Any = HIGHEST,
    axes: Any = None,
    spread: Any = None,
    muon_mask: Any = HIDDEN,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.0,
    axis_name: Any = None,
) -> Chain:
    """AdaMuon: Muon that divides its direction by the root of a second moment, as Adam.

        M ← β M + (1 - β) G,    O = NewtonSchulz(sign((1 - β) G + β M))
        V ← β V + (1 - β) O²,   Ô = O / (sqrt(V) + ε)
        θ ← θ - α (0.2 Ô / RMS(Ô) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter. The RMS of a step is 0.2 α
            whatever the gradient, about that of AdamW at the same rate; so tune it as
            AdamW's: the authors' GPT-2 runs have 6e-4. The default is their class's.
        beta: β in [0, 1), the decay of both averages.
        eps: ε ≥ 0 in units of O, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part, for the matrices; the authors' class has
            0.01, their GPT-2 and Megatron runs 0.1.
        mask: the leaves that decay, as in `muon`.
        nesterov: (1 - β) G + β M in place of M, as the authors' code; False is the
            paper's.
        sign: orthogonalise sign(M); False for M itself, version 1 of the paper.
        coefficients: of the iteration, as in `muon`.
        ns_steps: the number of iterations.
        eps_rms: added to ‖Ô‖, as the authors' code does; 0 is the paper's.
        iteration: in place of `coefficients` and `ns_steps`, as in `muon`.
        precision: that of every product, as in `muon`.
        axes: which axes are rows, columns and batch, as in `muon`; each matrix of a
            batch has an RMS of 0.2.
        spread: the sharding of stacks, as in `muon`.
        muon_mask: the matrices, as in `muon`.
        adam_learning_rate: the rate of the others; None for the same.
        adam_b1: β₁ of Adam.
        adam_b2: β₂ of Adam.
        adam_eps: ε of Adam, or an eps kind.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `momentum` (M), `orthogonal_nu` (V), from 0, for matrices; `mu`, `nu` for the
    other leaves; 8 bytes per parameter.

    Departs from the paper: M is an average, which has the same sign; Nesterov's term
    inside the sign, ε in ‖Ô‖ + ε, and the defaults, which are those of the authors'
    code (Adam's β₂ of 0.95 is that of their Megatron code). That code iterates in
    bfloat16; here the iteration is in float32. Their class for Megatron is the same
    method; outside of its distributed mode it does not store V.

    Raises:
        ValueError: an argument out of its range, or a Muon leaf that is no matrix.

    Reference: Si, Zhang & Shen, "AdaMuon: adaptive Muon optimizer", 2025, Algorithm 1,
    arXiv:2507.11005.
    """
    direction = scale_by_adamuon(
        beta,
        eps,
        nesterov=nesterov,
        sign=sign,
        coefficients=coefficients,
        ns_steps=ns_steps,
        eps_rms=eps_rms,
        iteration=iteration,
        precision=precision,
        axes=axes,
        spread=spread,
        muon_mask=muon_mask,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps=adam_eps,
        axis_name=axis_name,
    )
    return _finish(
        direction,
        muon_leaves(muon_mask, axes, as_axes("adamuon", axes)),
        learning_rate,
        weight_decay,
        mask,
        adam_learning_rate,
        adam_weight_decay,
    )
