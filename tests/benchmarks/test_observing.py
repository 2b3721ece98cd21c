"""`python -m benchmarks observe`: a row for each side, at sizes of no time."""

import json

import adamx
from benchmarks.cost import observing


def test_each_side_has_its_row(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(observing, "OPTIMIZERS", {"sgd": lambda: adamx.sgd(0.1)})
    monkeypatch.setattr(observing, "EVERY", 2)
    monkeypatch.setattr("gc.collect", lambda: 0)  # it takes long among all tests
    path = tmp_path / "run.json"
    small = ["--rows", "4", "--columns", "8", "--repeats", "1", "--json", str(path)]
    assert observing.main(small) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [row["side"] for row in rows] == list(observing.SIDES)
    assert rows[0]["of_without"] == rows[0]["of_without_cpu"] == 1
    assert "nonfinite_every=1" in capsys.readouterr().out
