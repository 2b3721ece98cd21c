"""SNOO: an outer step with Nesterov's momentum on what any optimizer did in k steps."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..parts.parameter_averages import OuterNesterov


@checked_keywords
def snoo(
    tx: Any,
    sync_period: int = 28,
    outer_learning_rate: ScalarOrSchedule = 0.68,
    outer_momentum: ScalarOrSchedule = 0.37,
) -> Chain:
    """SNOO: an outer step with Nesterov's momentum on what an optimizer did in k steps.

        each k steps:  Δ = slow - fast,  B ← μ B + Δ
                       slow ← slow - η (Δ + μ B),  fast ← slow

    The parameters are the fast weights; `eval_params(state, params)` gives the slow.
    With `tx=muon(...)` it is MuLoCo on one worker, with μ = 0 `lookahead`.

    Args:
        tx: the transformation that moves the fast weights, with its rate.
        sync_period: k ≥ 1.
        outer_learning_rate: η ≥ 0; 1 with μ = 0 changes nothing.
        outer_momentum: μ in [0, 1). DiLoCo has η = 0.7 and μ = 0.9.

    State: that of `tx`, `slow`, from the parameters, and `slow_momentum` (B), from 0, 8
    bytes per parameter, and one scalar.

    Departs from the paper: nothing; the inner state is kept at an outer step. The
    authors' code for the NanoGPT speedrun, whose numbers are the defaults, makes the
    first outer step after the first inner one, and then after k more.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Kallusky et al., "SNOO: step-K Nesterov outer optimizer", 2025,
    arXiv:2510.15830; Thérien et al., "MuLoCo: Muon is a practical inner optimizer for
    DiLoCo", 2025, arXiv:2505.23725; Douillard et al., "DiLoCo", 2023, Algorithm 1,
    arXiv:2311.08105.
    """
    return chain(tx, OuterNesterov(sync_period, outer_learning_rate, outer_momentum))
