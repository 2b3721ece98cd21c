"""Rows that are measured anew beside those of an earlier run."""

import json

import pytest

from benchmarks.cost import all_optimizers as family
from benchmarks.cost.harness import merge_runs as adding, report


def run(*rows, load=1.0, jax="1.0", trees=()):
    """A document; a row is (optimizer, tree, seconds)."""
    return {
        "environment": {"load": load, "jax": jax},
        "trees": [{"name": name} for name in trees],
        "rows": [{"optimizer": m, "tree": t, "seconds": s} for m, t, s in rows],
    }


def test_the_later_row_counts_and_small_trees_come_first():
    before = run(("adam", "148", 1), ("sgd", "148", 2), trees=["148"])
    now = run(("adam", "148", 3), ("adam", "1", 4), trees=["1", "148"], load=5.0)
    both = adding.together(before, now)
    wanted = [("adam", "1", 4), ("adam", "148", 3), ("sgd", "148", 2)]
    assert both == run(*wanted, trees=["1", "148"], load=5.0)


def test_a_run_on_another_machine_is_not_added_to():
    before, now = run(("adam", "1", 1)), run(("sgd", "1", 1), jax="2.0")
    with pytest.raises(
        SystemExit, match=r"must have the environment of this one, .*2\.0"
    ):
        adding.together(before, now)
    with pytest.raises(SystemExit, match="the steps of this one, 3, got None"):
        adding.together(before, {**before, "steps": 3})


def test_nothing_before_is_the_run_itself(tmp_path):
    now = run(("adam", "1", 1))
    assert adding.together(adding.earlier(tmp_path / "none.json"), now) is now


def test_rows_that_are_kept_stand_beside_the_new_ones(tmp_path, monkeypatch, capsys):
    path = tmp_path / "family.json"
    environment = report.environment
    arguments = ["--quick", "--repeats", "1", "--json", str(path), "--optimizers"]
    family.main([*arguments, "sgd"])
    first = json.loads(path.read_text())["rows"]
    family.main([*arguments, "adam", "--add"])
    both = json.loads(path.read_text())["rows"]
    assert [row["optimizer"] for row in both] == ["adam", "sgd"]
    assert both[1] == first[0]
    changed = {"jax": "0.0"}
    monkeypatch.setattr(report, "environment", lambda d: environment(d) | changed)
    with pytest.raises(SystemExit, match="measure all anew, without --add"):
        family.main([*arguments, "adam", "--add"])
    assert json.loads(path.read_text())["rows"] == both
