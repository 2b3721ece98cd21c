"""What the comparison of matrix optimizers says of losses that are known."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.training import matrix_training as mt


def row(name, losses, **more):
    """A row of the JSON: losses (steps, seeds)."""
    validation = {str(10 * (i + 1)): list(of) for i, of in enumerate(losses)}
    end = {"at the end of the grid": False}
    return {"optimizer": name, "rate": 1.0, "decay": 0.0, "validation": validation} | (
        end | more
    )


def test_the_step_that_reaches_a_loss_is_read_between_marks():
    found = mt.reached(row("a", [[4.0, 1.0, 9.0], [2.0, 0.5, 8.0], [1.0, 0.1, 7.0]]), 3)
    assert found[:2] == [15.0, 10.0]
    assert np.isnan(found[2])


def test_pairs_are_tested_by_seed_with_holms_correction():
    """Differences of one size in every seed are told apart, those around 0 are not."""
    seeds = np.arange(5.0)
    last = {
        "a": seeds,
        "b": seeds + 1 + 0.01 * seeds,
        "c": seeds + np.array([1, -1, 1, -1, 0]),
    }
    pairs = {tuple(p["pair"]): p for p in mt.pairwise(last)}
    assert pairs["a", "b"]["difference"] == pytest.approx(-1.02)
    assert pairs["a", "b"]["p"] < 1e-6
    assert pairs["a", "c"]["p"] == 1.0
    raw = stats.ttest_rel(last["a"], last["b"]).pvalue
    assert pairs["a", "b"]["p"] == pytest.approx(3 * raw, rel=1e-2)


def test_the_table_is_best_first_and_has_steps_and_time():
    rows = [
        row("AdamW", [[3.0, 3.2], [2.0, 2.4]]),
        row("Muon", [[2.1, 2.1], [1.0, 1.2]]),
    ]
    seconds = {"AdamW": [1, 2.0, 3], "Muon": [1, 4.0, 5]}
    found = mt.summary(rows, seconds)
    assert [line["optimizer"] for line in found["table"]] == ["Muon", "AdamW"]
    assert found["target"] == 2.2
    best = found["table"][0]
    assert best["steps"] == 10
    assert best["step time"] == 2.0
    assert best["at equal time"] == 2.1  # half as many steps as AdamW
    assert len(mt.cells(found)) == 3


def test_every_entrant_has_the_same_budget():
    for entrant in mt.ENTRANTS.values():
        points = entrant.points()
        assert len(points) == len({tuple(p.values()) for p in points}) == 10
