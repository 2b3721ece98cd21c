"""What is concluded from the paper's experiments, and the command."""

import json

import numpy as np
import pytest

from benchmarks import data, share
from benchmarks.paper import (
    bias,
    claim,
    command,
    contest,
    language,
    noise,
    robustness,
    state,
)
from benchmarks.paper.training import Runs


def test_one_is_lower_where_the_pairs_say_so():
    base = [1.0, 2.0, 3.0]
    assert claim.lower(base, [1.1, 2.1, 3.11]) == 1
    assert claim.lower([1.1, 2.1, 3.11], base) == -1
    assert claim.lower(base, [1.1, 1.9, 3.0]) == 0
    assert claim.lower([1.0], [2.0]) == 0  # one seed decides nothing
    assert claim.lower(base, [1.0, None, 3.0]) == 1  # the other diverged
    assert claim.lower([None, 1.0, 1.0], [1.0, None, 1.0]) == 0


def test_a_verdict_needs_every_comparison():
    assert claim.all_of([1, 1]) == claim.HOLDS
    assert claim.all_of([1, 0]) == claim.OPEN
    assert claim.all_of([1, 0, -1]) == claim.FAILS


def test_a_run_that_diverged_has_no_score():
    losses = np.ones((1, 2, 10))
    losses[0, 0, 8:] = 0.5
    losses[0, 1, 3] = np.nan
    found = contest.score(Runs(losses, 1, {}))
    assert found[0, 0] == 0.5
    assert np.isinf(found[0, 1])


def test_a_band_ends_where_the_loss_is_a_tenth_above():
    rates = [1e-3, 1e-2, 1e-1]
    # 1.1 lies half way from 1 to 1.2, and a quarter of the way to 1.4.
    assert robustness.band(rates, np.array([1.2, 1.0, 1.4])) == pytest.approx(0.75)
    assert robustness.band(rates, np.array([1.05, 1.0, np.inf])) == pytest.approx(1)
    assert robustness.band(rates, np.array([1.0, 1.0, 1.05])) == pytest.approx(2)


def test_the_steps_to_a_target_are_counted_at_the_end_of_fifty():
    down = np.array([9.0, 1.0, 1.0, 1.0, 1.0, 0.9, 1.0, 1.0])
    losses = np.stack([down, down + 0.1, np.full(8, np.nan)])
    assert noise.reached(losses, 1.0).tolist() == [60, np.inf, np.inf]


def test_equal_time_is_that_of_the_quickest():
    def row(name, first, second):
        measured = {"100": {"loss": first}, "200": {"loss": second}}
        return {"optimizer": name, "measured": measured}

    result = {
        "rows": [row("a", [3.0], [2.0]), row("b", [2.0], [1.0])],
        "seconds of a step": {"a": {"median": 1.0}, "b": {"median": 4 / 3}},
    }
    # After 200 s b has made 150 steps.
    assert language.at_equal_time(result) == {"a": [2.0], "b": [1.5]}


def test_the_claims_of_the_grid_are_read_from_it():
    points = len(bias.B1) * len(bias.B2) * 3
    corrected = [[100.0]] * points
    without = [[100.0]] * points
    for i in range(points):
        if i // 3 % len(bias.B2) == len(bias.B2) - 1:  # b2 = .9999
            without[i] = [150.0]
    result = {"exponents": [-4, -3, -2], "seeds": 1, "epochs": (1, 2)}
    result["losses"] = {
        "corrected": {"1": corrected, "2": corrected},
        "not corrected": {"1": without, "2": corrected},
    }
    early, best, never = bias.claims(result)
    assert early.verdict == claim.HOLDS
    assert "b2 = 0.99: 0%" in early.measured
    assert "b2 = 0.9999: 100%" in early.measured
    assert best.verdict == claim.OPEN
    assert never.verdict == claim.HOLDS
    result["losses"]["corrected"]["2"] = [[150.0]] * points
    assert bias.claims(result)[2].verdict == claim.FAILS


def test_bytes_are_those_of_the_arrays():
    result = state.run("quick", print)
    held = state.of_tree(result, "transformer of 5 × 128")
    assert held["Adam"] == pytest.approx(8, abs=1e-4)
    assert held["SGD, Nesterov"] == pytest.approx(4, abs=1e-4)
    assert held["AdamW, 8 bits"] < 2.2
    assert state.claims(result)[0].verdict == claim.HOLDS


def test_the_share_of_the_optimizer_is_beyond_the_gradient(capsys):
    assert share.main(["--quick", "--repeats", "1", "--steps", "1"]) == 0
    said = capsys.readouterr().out
    for name in ("AdamW", "optax.adamw", share.ALONE):
        assert said.count(f"  {name}  ") == 2
    row = {"model": "m, 8", "parameters": 1000, "optimizer": "SGD"}
    row |= {"seconds": [0.001, 0.002, 0.003], "share": [0.1, 0.25, 0.3]}
    cells = ("m, 8", "1,000", "SGD", "2.00 (1.00–3.00)", "25% (10% to 30%)")
    assert share.lines([row]) == [cells]


def test_an_unknown_figure_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["convent"])
    said = capsys.readouterr().err
    assert "figure must be one of regression, perceptron, convnet" in said
    assert "got 'convent'; give none for all" in said


def test_a_figure_is_written_drawn_and_judged(tmp_path, capsys):
    assert command.main(["state", "--to", str(tmp_path)]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "paper_state.json",
        "paper_state.png",
    }
    assert "holds: Adam keeps two extra vectors" in capsys.readouterr().out
    kept = json.loads((tmp_path / "paper_state.json").read_text())
    assert kept["scale"] == "default"
    (tmp_path / "paper_state.png").unlink()
    assert command.main(["state", "--redraw", "--to", str(tmp_path)]) == 0
    assert (tmp_path / "paper_state.png").exists()


def test_a_figure_without_its_data_is_left_out(monkeypatch, capsys):
    def fails():
        raise data.NoData("a.tgz: cannot be fetched.")

    monkeypatch.setattr(data, "mnist", fails)
    assert command.main(["perceptron"]) == 1
    assert (
        "perceptron is left out. a.tgz: cannot be fetched." in capsys.readouterr().out
    )
