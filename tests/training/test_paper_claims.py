"""What is concluded from the paper's experiments, and the command."""

import json

import numpy as np
import pytest

from benchmarks.cost import all_optimizers as family
from benchmarks.training import data
from benchmarks.training.paper import (
    bias,
    claim,
    command,
    contest,
    convnet,
    language,
    noise,
    regression,
    robustness,
    state,
)
from benchmarks.training.paper.training import Runs


def test_one_is_lower_where_the_pairs_say_so():
    base = [1.0, 2.0, 3.0]
    assert claim.lower(base, [1.1, 2.1, 3.11]) == 1
    assert claim.lower([1.1, 2.1, 3.11], base) == -1
    assert claim.lower(base, [1.1, 1.9, 3.0]) == 0
    assert claim.lower([1.0], [2.0]) == 0  # one seed decides nothing
    assert claim.lower(base, [1.0, None, 3.0]) == 1  # the other diverged
    assert claim.lower([None, 1.0, 1.0], [1.0, None, 1.0]) == 0


@pytest.mark.parametrize(("seeds", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776)])
def test_few_seeds_need_a_wide_interval(seeds, quantile):
    """Quantiles of Student's t from its printed tables, not the normal 2."""
    off = np.arange(seeds, dtype=float)
    error = off.std(ddof=1) / np.sqrt(seeds)
    zeros = [0.0] * seeds
    clear = off - off.mean() - 1.001 * quantile * error
    assert claim.lower(clear, zeros) == 1
    assert claim.lower(-clear, zeros) == -1
    unclear = off - off.mean() - 0.999 * quantile * error
    assert claim.lower(unclear, zeros) == 0
    assert claim.lower(clear, zeros, among=2) == 0


def test_a_verdict_needs_every_comparison():
    ahead = [1.0, 2.0, 3.0], [1.5, 2.5, 3.51]
    level = [1.0, 2.0, 3.0], [1.1, 1.9, 3.0]
    behind = ahead[::-1]
    assert claim.all_lower([ahead, ahead]) == claim.HOLDS
    assert claim.all_lower([ahead, level]) == claim.OPEN
    assert claim.all_lower([ahead, level, behind]) == claim.FAILS


def test_one_is_within_a_margin_where_all_of_its_interval_is():
    base = [1.0, 2.0, 3.0]

    def off(*by):
        return [b * (1 + share) for b, share in zip(base, by, strict=True)]

    near, above, wide = off(0.01, 0.01, 0.011), off(0.1, 0.1, 0.11), off(0, 0.05, -0.05)
    assert claim.within(near, base, 0.02) == claim.HOLDS
    assert claim.within(above, base, 0.02) == claim.FAILS
    assert claim.within(wide, base, 0.02) == claim.OPEN
    assert claim.within(base, above, 0.02) == claim.FAILS
    assert claim.within(base, above, 0.02, both=False) == claim.HOLDS
    assert claim.within(above, base, 0.02, both=False) == claim.FAILS
    assert claim.within([1.0], [1.0], 0.02) == claim.OPEN  # one seed decides nothing
    assert claim.within([None, 2.0, 3.0], base, 0.02, both=False) == claim.FAILS
    assert claim.within(base, [None, 2.0, 3.0], 0.02, both=False) == claim.HOLDS


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
    assert robustness.band(rates, np.full(3, np.inf)) == 0


def test_bands_are_compared_by_seed():
    def row(name, *losses):
        return {"optimizer": name, "rates": [1e-3, 1e-2, 1e-1], "loss": list(losses)}

    narrow = [2.0, 2.0, 2.0], [1.0, 1.0, 1.0], [None, 2.0, 2.1]
    wide = [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.05, 1.0]
    rows = [row("SGD", *narrow), row("SGD, Nesterov", *narrow), row("Adam", *wide)]
    problems = [{"problem": name, "rows": rows} for name in ("a", "b")]
    found = robustness.claims({"problems": problems})
    assert [c.verdict for c in found[::2]] == [claim.HOLDS, claim.HOLDS]
    assert len({c.sentence for c in found}) == 4  # each names its problem
    rows[2] = row("Adam", *narrow)
    assert robustness.claims({"problems": problems})[0].verdict == claim.OPEN


def test_the_steps_to_a_target_are_counted_at_the_end_of_fifty():
    down = np.array([9.0, 1.0, 1.0, 1.0, 1.0, 0.9, 1.0, 1.0])
    losses = np.stack([down, down + 0.1, np.full(8, np.nan)])
    assert noise.reached(losses, 1.0).tolist() == [60, np.inf, np.inf]


def test_the_rate_under_noise_is_the_one_with_the_fewest_steps():
    never = np.inf
    steps = [
        [[50, 70], [40, 60], [40, 60]],  # a tie: the lower rate
        [[never, 60], [700, 790], [never, never]],  # never costs 1,600
        [[never, never]] * 3,
    ]
    assert noise.chosen_rates(np.array(steps), 800).tolist() == [1, 1, 0]


def test_noise_is_judged_at_the_last_level_at_which_anyone_arrives():
    def result(**steps):
        rows = [
            {"kind": kind, "level": level, "optimizer": name, "steps": of}
            for kind in noise.KINDS
            for name, by_level in steps.items()
            for level, of in enumerate(by_level)
        ]
        few = {"problem": "p", "steps": 800, "target": 0.3, "levels": (0.0, 1.0)}
        return {**few, "names": list(steps), "rows": rows}

    never, fast, slow = [None] * 3, [100, 110, 120], [300, 310, 330]
    some = [300, None, 320]
    found = noise.claims(result(Adam=[fast, fast], SGD=[fast, some]))[0]
    assert "level 1, " in found.measured
    assert "Adam 110, SGD 310 (2 of 3 seeds)" in found.measured
    assert found.verdict == claim.OPEN  # one seed that never arrives decides nothing
    found = noise.claims(result(Adam=[fast, fast], SGD=[fast, slow]))[0]
    assert found.verdict == claim.HOLDS
    found = noise.claims(result(Adam=[fast, never], SGD=[fast, slow]))[0]
    assert found.verdict == claim.FAILS
    assert "Adam never" in found.measured
    found = noise.claims(result(Adam=[never, never], SGD=[never, never]))[0]
    assert found.verdict == claim.OPEN


def contested(steps, epoch, **last):
    rows = [
        {"optimizer": name, "last": of, "measured": {"9": {"error": of}}}
        for name, of in last.items()
    ]
    budget = {"steps": steps}
    return {"problem": "p", "budget": budget, "steps in an epoch": epoch, "rows": rows}


def test_what_is_said_of_the_end_is_not_decided_early():
    low, high = [0.1, 0.11, 0.12], [0.3, 0.31, 0.33]
    last = {"Adam": low, "AdaGrad": high, "SGD, Nesterov": low}
    *ends, errors = convnet.claims({"problems": [contested(450, 10, **last)]})
    assert [c.verdict for c in ends] == [claim.HOLDS, claim.OPEN]
    assert errors.verdict == claim.OPEN
    early = convnet.claims({"problems": [contested(30, 10, **last)]})
    assert [c.verdict for c in early[1:3]] == [claim.OPEN, claim.OPEN]
    assert "last losses of 3 epochs (the paper: 45)" in early[0].measured
    assert early[0].verdict == claim.FAILS  # AdaGrad is behind SGD


def test_adagrad_runs_with_a_rate_that_falls_and_one_that_does_not():
    made = {entry.name: entry.make(1.0) for entry in regression.entries()}
    last = {}
    for name, tx in made.items():
        state = tx.init(np.ones(1, np.float32))
        for _ in range(4):  # AdaGrad's own: 1 / sqrt(4)
            updates, state = tx.update(np.ones(1, np.float32), state)
        last[name] = -float(updates[0])
    assert last["AdaGrad"] == pytest.approx(1 / 2, rel=1e-5)
    assert last[regression.DIVIDED] == pytest.approx(1 / 4, rel=1e-5)
    assert last["Adam"] == pytest.approx(1 / 2, rel=1e-5)


def test_both_forms_of_adagrad_are_judged():
    low, high = [0.1, 0.11, 0.12], [0.3, 0.31, 0.33]
    last = {"Adam": low, "AdaGrad": low, "SGD, Nesterov": low, regression.DIVIDED: high}
    problem = contested(45, 1, **last)
    found = regression.claims({"problems": [problem, problem]})
    verdicts = {c.sentence: c.verdict for c in found}
    assert verdicts["both converge faster than AdaGrad of a constant rate"] == (
        claim.OPEN
    )
    assert verdicts["both converge faster than AdaGrad whose rate falls as theirs"] == (
        claim.HOLDS
    )
    assert len(verdicts) == len(found) - 1  # the two problems have one name here


def test_only_later_members_are_later_than_adamw():
    def row(name, loss):
        measured = {"10": {"loss": loss}, "20": {"loss": loss}}
        return {"optimizer": name, "measured": measured, "loss": {"every": 3}}

    base = [1.0, 1.01, 1.02]
    rows = [row("AdamW", base), row("Adam", [0.5, 0.51, 0.52]), row("Lion", base)]
    took = {row["optimizer"]: {"median": 1.0} for row in rows}
    took["gradient alone"] = {"median": 0.95}
    result = {"rows": rows, "budget": {"steps": 20}, "seconds of a step": took}
    first, step = language.claims(result)
    assert "ahead of AdamW: none" in first.measured
    assert first.verdict == claim.OPEN  # Lion is neither ahead nor behind
    assert step.verdict == claim.HOLDS
    rows[2] = row("Lion", [2.0, 2.01, 2.03])
    assert language.claims(result)[0].verdict == claim.HOLDS
    rows[2] = row("Lion", [0.9, 0.91, 0.93])
    assert language.claims(result)[0].verdict == claim.FAILS
    # A mark at 10 was measured at the next multiple of 3.
    assert language.curve(rows[0])[0].tolist() == [12, 21]


def test_equal_time_is_that_of_the_quickest():
    def row(name, first, second):
        measured = {"100": {"loss": first}, "200": {"loss": second}}
        return {"optimizer": name, "measured": measured, "loss": {"every": 100}}

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
            without[i] = [201.0] if i % 3 else [None]
    result = {"exponents": [-4, -3, -2], "seeds": 1, "epochs": (1, 2)}
    result["losses"] = {
        "corrected": {"1": corrected, "2": corrected},
        "not corrected": {"1": without, "2": corrected},
    }
    early, best, never = bias.claims(result)
    assert early.verdict == claim.HOLDS
    assert "of 6 pairs of b1 and rate" in early.measured
    assert "after 1 epochs b2 = 0.99: 0, b2 = 0.999: 0, b2 = 0.9999: 6; " in (
        early.measured
    )
    result["losses"]["not corrected"]["1"] = corrected
    assert bias.claims(result)[0].verdict == claim.FAILS
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


def test_every_member_can_be_timed(tmp_path, capsys):
    path = tmp_path / "family.json"
    arguments = ["--quick", "--repeats", "1", "--json", str(path)]
    assert family.main([*arguments, "--optimizers", "adam,sophia,lookahead"]) == 0
    said = capsys.readouterr().out
    for name in ("`adam`", "`sophia`", "`lookahead`"):
        assert name in said
    rows = json.loads(path.read_text())["rows"]
    assert all(min(r["trace"], r["compile"], r["ms"], *r["ratio"]) > 0 for r in rows)
    row = {"optimizer": "a", "trace": 0.5, "compile": 1.0, "ms": 2.0}
    row["ratio"] = [1.0, 1.25, 1.5]
    assert family.lines([row]) == [("`a`", "0.5", "1", "2", "1.25 (1.00–1.50)")]


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
    assert command.main(["noise", "--redraw", "--to", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "noise is left out: there is no " in said
    assert "make it with `python -m benchmarks paper noise`." in said


def test_a_file_is_refused_as_folder_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(command, "made", lambda *args: pytest.fail("trained"))
    said = "--to must be a folder that can be made, got .*file.* give another"
    for name in ("file", "file/below"):
        with pytest.raises(SystemExit, match=said):
            command.main(["state", "--to", str(tmp_path / name)])


def test_what_is_redrawn_has_no_scale(capsys):
    with pytest.raises(SystemExit):
        command.main(["state", "--quick", "--redraw"])
    assert "--redraw: not allowed with argument --quick" in capsys.readouterr().err


def test_a_figure_without_its_data_is_left_out(monkeypatch, capsys):
    def fails():
        raise data.NoData("a.tgz: cannot be fetched.")

    monkeypatch.setattr(data, "mnist", fails)
    assert command.main(["perceptron"]) == 1
    assert (
        "perceptron is left out. a.tgz: cannot be fetched." in capsys.readouterr().out
    )
