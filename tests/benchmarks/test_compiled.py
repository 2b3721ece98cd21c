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


def test_the_rows_on_record_are_those_that_are_measured():
    """A row of a case that is gone would never be compared, a new one always fail."""
    rows = json.loads(command.RECORD.read_text())["rows"]
    measured = {
        (target, tree, case)
        for target in TARGETS
        for tree in command.TREES
        for case in command.cases(tree, quick=False, target=target)
    }
    assert {command.key(row) for row in rows} == measured
    assert len(rows) == len(measured)


def test_the_quick_form_has_all_optimizers_on_a_cpu_and_adamw_elsewhere():
    quick = {t: command.cases("2048²", quick=True, target=t) for t in TARGETS}
    assert {"adopt", "lamb", "adamw, 8 bits, fused step"} <= set(quick["cpu"])
    assert "adopt" not in quick["h100"]
    assert "adamw, 8 bits, fused step" in quick["h100"]


def test_the_cases_of_matrices_are_named_by_side_and_tree():
    names = matrix_targets.cases()
    assert {"adamx, muon, 12 × 512²", "optax, muon, GPT-2 small"} <= set(names)
    assert "adamx, soap(), 2048²" in names
