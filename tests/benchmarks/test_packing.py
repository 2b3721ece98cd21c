"""`python -m benchmarks packing`: a row for each side, at sizes of no time."""

import json

import optax

from benchmarks.cost import packing


def test_each_side_has_its_row(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(packing, "OPTIMIZERS", {"optax": lambda: optax.sgd(0.1)})
    monkeypatch.setattr(packing, "SIDES", [("optax", False), ("optax", True)])
    monkeypatch.setattr("gc.collect", lambda: 0)  # it takes long among all tests
    path = tmp_path / "run.json"
    assert packing.main(["--quick", "--repeats", "1", "--json", str(path)]) == 0
    plain, packed = json.loads(path.read_text())["rows"]
    assert plain["of optax"] == [1, 1, 1]
    assert (plain["arrays"], packed["arrays"]) == (12, 2)
    assert "6 × 8" in capsys.readouterr().out
