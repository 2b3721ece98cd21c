"""The row of adahessian, with given_hessian.py's estimates."""

import numpy as np

from tests import papers
from tests.support.given_hessian import completed, estimated
from tests.table.row import Optimizer, Variant

from .exemptions import NO_KINDS, SHARD


def by_output(d):
    """The paper's spatial average where, as in JAX, the last axis is the output."""
    return np.broadcast_to(np.mean(d, 0), d.shape) if d.ndim == 2 else d


ADAHESSIAN = estimated(papers.adahessian)

ROWS = (
    Optimizer(
        "adahessian",
        (
            Variant(
                "",
                oracle=ADAHESSIAN,
                oracle_keywords={"average": by_output, "magnitude": True},
            ),
            Variant(
                "paper",
                {"magnitude": False},
                oracle=ADAHESSIAN,
                oracle_keywords={"average": by_output},
            ),
            Variant(
                "power",
                {"hessian_power": 0.5, "weight_decay": 0.3},
                oracle=ADAHESSIAN,
                oracle_keywords={
                    "magnitude": True,
                    "hessian_power": 0.5,
                    "weight_decay": 0.3,
                    "average": by_output,
                },
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        scope="tensor",
        exempt=SHARD | NO_KINDS,
        completed=completed,
    ),
)
