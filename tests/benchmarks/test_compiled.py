"""The records of compiled programs: their rows, and what is above them."""

import json

from adamx.compiled import TARGETS
from benchmarks.cost import matrix_targets
from benchmarks.cost.compiled import command


def test_a_figure_above_its_record_is_named():
    known = {"target": "cpu", "tree": "2048²", "case": "adamw, float32"}
    known |= {"kernels": 6, "bytes": 40.0, "temporaries": 0.0, "collectives": 0}
    assert command.worse(dict(known), known) == []
    assert command.worse(known | {"kernels": 7, "bytes": 39.0}, known) == [
        "cpu, 2048², adamw, float32: kernels 7, on record 6"
    ]


def test_every_row_on_record_is_one_that_is_measured():
    """A row of a case that is gone would never be compared."""
    rows = json.loads(command.RECORD.read_text())["rows"]
    for row in rows:
        assert row["target"] in TARGETS
        assert row["case"] in command.cases(row["tree"], quick=False)


def test_the_cases_of_matrices_are_named_by_side_and_tree():
    names = matrix_targets.cases()
    assert {"adamx, muon, 12 × 512²", "optax, muon, GPT-2 small"} <= set(names)
    assert "adamx, soap(), 2048²" in names
