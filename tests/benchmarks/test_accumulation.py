"""`python -m benchmarks accumulate`: a row for each side, at sizes of no time."""

import json

import adamx
from benchmarks.cost import accumulation


def test_each_side_has_its_row(tmp_path, capsys, monkeypatch):
    small_one = {"sgd": lambda: adamx.sgd(0.1)}
    monkeypatch.setattr(accumulation, "OPTIMIZERS", small_one)
    monkeypatch.setattr("gc.collect", lambda: 0)  # it takes long among all tests
    path = tmp_path / "run.json"
    small = ["--leaves", "1", "--size", "8", "--repeats", "1", "--json", str(path)]
    assert accumulation.main(small) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [row["side"] for row in rows] == list(accumulation.SIDES)
    assert all(row["micro_ms"] > 0 for row in rows)
    assert "accumulate, adamx.step" in capsys.readouterr().out
