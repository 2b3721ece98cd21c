"""GPA: generalized primal averaging of the iterates of any optimizer."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..parts.parameter_averages import PrimalAveraging


@checked_keywords
def gpa(
    tx: Any, mu_y: ScalarOrSchedule = 0.7, mu_x: ScalarOrSchedule = 0.9967
) -> Chain:
    """GPA: apply generalized primal averaging to the iterates of any optimizer.

        z ← z + u(∇L(y)),    x ← μ_x x + (1 - μ_x) z,    y = μ_y x + (1 - μ_y) z

    The parameters are y; `eval_params(state, params)` gives x.

    Args:
        tx: the transformation whose steps u move z, with its rate.
        mu_y: μ_y in (0, 1], how much of x is in y.
        mu_x: μ_x in [0, 1), the weight of the past in x.

    State: that of `tx`, and `z`, 4 bytes per parameter, and one scalar. Both z and x
    start from the parameters.

    Departs from the paper: weight decay inside `tx` acts on y, where its listing has z.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Defazio et al., "Smoothing DiLoCo with primal averaging for faster
    training of LLMs", 2025, arXiv:2512.17131.
    """
    return chain(tx, PrimalAveraging(mu_y, mu_x))
