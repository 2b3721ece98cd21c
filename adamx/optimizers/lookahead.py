"""Lookahead: slow weights that follow any optimizer's fast weights every k steps."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..parts.parameter_averages import LookaheadWeights


@checked_keywords
def lookahead(
    tx: Any, sync_period: int = 5, slow_step_size: ScalarOrSchedule = 0.8
) -> Chain:
    """Lookahead: move slow weights towards any optimizer's fast weights every k steps.

        each k steps:  slow ← slow + α (fast - slow),  fast ← slow

    The parameters are the fast weights; `eval_params(state, params)` gives the slow.

    Args:
        tx: the transformation that moves the fast weights, with its rate.
        sync_period: k ≥ 1.
        slow_step_size: α in [0, 1]; 0.8 is the default of the authors' code, 0.5 is
            what the paper uses in most experiments. `optax.lookahead` has no default.

    State: that of `tx`, and `slow`, from the parameters, 4 bytes per parameter, and one
    scalar.

    Departs from the paper: nothing; the inner state is kept at a synchronisation
    ("maintaining"). `optax.lookahead` can reset it, but requires pairs of
    parameters and cannot be part of a chain.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Zhang et al., "Lookahead optimizer: k steps forward, 1 step back",
    NeurIPS 2019, Algorithm 1, arXiv:1907.08610.
    """
    return chain(tx, LookaheadWeights(sync_period, slow_step_size))
