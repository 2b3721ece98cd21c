"""The row of sophia, with given_hessian.py's estimates."""

from tests import papers
from tests.support.given_hessian import completed, estimated
from tests.table.row import Optimizer, Variant

from .exemptions import NO_KINDS

SOPHIA = estimated(papers.sophia)

OFTEN = {"update_interval": 1, "gamma": 0.5, "clip_threshold": 0.7, "b2": 0.6}

ROWS = (
    Optimizer(
        "sophia",
        (
            Variant("", oracle=SOPHIA, oracle_keywords={"eps": 1e-8}),
            Variant(
                "often",
                {**OFTEN, "weight_decay": 0.3},
                oracle=SOPHIA,
                oracle_keywords={**OFTEN, "weight_decay": 0.3, "eps": 1e-8},
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "hessian"),
        # measured: 621; what is not clipped is m < γ h, so its rounding counts 1 / γ
        float32_bound=640.0,
        exempt=NO_KINDS,
        completed=completed,
    ),
)
