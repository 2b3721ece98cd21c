"""The row of kl_soap."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER
from .soap import CONSTANT, HEAVY, SKIPS

CODE = {"init_factor": 2.0, "max_clamp_value": 3.0, "shampoo_beta": 0.8}
RELEASED = {"bias_correction": False, "weight_decay": 0.0}

ROWS = (
    Optimizer(
        "kl_soap",
        (
            Variant("", oracle_keywords={"weight_decay": 0.01}),
            Variant("heavy", {**HEAVY, **CODE}),
            Variant(
                "released",
                RELEASED,
                oracle_keywords={"bias_correction": False},
            ),
            Variant("blocks", {**HEAVY, "block_size": 2}, oracle="kl_soap_in_blocks"),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=(
            *("mu", "nu", "left", "right", "left_basis", "right_basis"),
            *("left_values", "right_values"),
        ),
        scope="tensor",
        exempt=SHARD | SMALLER | CONSTANT | SKIPS,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "kl_soap: neither side whitened, as in SOAP": (
        (papers.kl_soap, {}),
        lambda: adamx.soap(RATE, 0.9, 0.98, weight_decay=0.0),
    ),
    "kl_soap: blocks whitened by the sides of the whole": (
        (papers.kl_soap_in_blocks, {**HEAVY, "block_size": 2}),
        lambda: adamx.kl_soap(RATE, **HEAVY),
    ),
    "kl_soap: from other eigenvalues": (
        (papers.kl_soap, {}),
        lambda: adamx.kl_soap(RATE, init_factor=0.2, weight_decay=0.0),
    ),
    "kl_soap: the averages corrected": (
        (papers.kl_soap, {"bias_correction": False}),
        lambda: adamx.kl_soap(RATE, weight_decay=0.0),
    ),
    "kl_soap: bases refreshed one step too often": (
        (papers.kl_soap, {}),
        lambda: adamx.kl_soap(RATE, precondition_frequency=9, weight_decay=0.0),
    ),
}
