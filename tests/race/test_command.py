"""`python -m adamx race` as its user meets it: tables, files, sentences, exit codes."""

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import adamx
from adamx.__main__ import main
from adamx.race import (
    command,
    interrupt,
    optimizers,
    plot,
    progress,
    report,
    table,
    training,
)
from benchmarks.training import race_rates

TINY = ["race", "--steps", "3", "--seeds", "2", "--batch", "8"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The path of a data file of 50 rows."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    x = np.random.default_rng(0).normal(size=(50, 3, 3))
    np.savez(path, x=x, y=np.arange(50) % 3)
    return str(path)


def run(name="adam", train=(2.0, 0.5, 0.25), diverged_at=(0, 0, 0)):
    """A run as `train` returns it, with made-up curves."""
    curve = np.tile(np.array(train), (3, 1)) * np.array([[0.9], [1.0], [1.1]])
    return training.Run(
        name,
        learning_rate=0.1,
        transformation="",
        steps=np.arange(len(train)),
        train_loss=curve,
        train_accuracy=curve / 4,
        test_loss=2 * curve,
        test_accuracy=curve / 4,
        diverged_at=np.array(diverged_at),
        steps_per_second=1234.5,
        compile_seconds=1.0,
        parameters=100,
        state_bytes=804,
    )


@pytest.fixture
def untrained(monkeypatch):
    """Runs with made-up curves, at once."""
    monkeypatch.setattr(training, "train", lambda name, *_, **__: run(name))


def test_the_six_by_default(small, capsys, tmp_path):
    written = tmp_path / "race.json"
    assert main([*TINY, "--data", small, "--json", str(written)]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    shown = [row[0] for row in rows if row and row[0] in optimizers.OPTIMIZERS]
    assert shown == list(optimizers.SIX)
    assert all(f"{name}" in err for name in optimizers.SIX)
    assert "small, 40 rows to train with and 10 to test with; mlp of" in out
    assert "3 steps of 8; 2 seeds." in out

    kept = json.loads(written.read_text())
    assert kept["seeds"] == [0, 1]
    assert [run["name"] for run in kept["optimizers"]] == list(optimizers.SIX)
    adam = kept["optimizers"][3]
    assert adam["transformation"] == repr(adamx.adam(adam["learning_rate"]))
    assert adam["curves"]["steps"] == [0, 1, 2, 3]
    assert np.shape(adam["curves"]["test_loss"]) == (2, 4)
    ends = np.array(adam["curves"]["train_loss"])[:, -1]
    assert adam["final"]["train_loss"]["mean"] == pytest.approx(ends.mean())
    assert adam["final"]["train_loss"]["deviation"] == pytest.approx(ends.std(ddof=1))
    assert adam["state_bytes_per_parameter"] == pytest.approx(8, abs=0.01)


@pytest.mark.usefixtures("untrained")
def test_json_to_the_standard_output_is_alone(small, capsys):
    assert main([*TINY, "--data", small, "--optimizers", "adam", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "mlp"


def test_rates_and_divergence(small, capsys, tmp_path):
    """A run that diverges says so in its row, in the file and in the picture."""
    written, drawn = tmp_path / "race.json", tmp_path / "race.svg"
    files = ["--json", str(written), "--plot", str(drawn)]
    who = ["--optimizers", "sgd,adam", "--lr", "sgd=1e30, adam=.02", "--model", "conv"]
    assert main([*TINY, "--data", small, *who, *files]) == 0
    out = capsys.readouterr().out
    assert "diverged" in out
    assert "at step 2" in out
    assert "0.02" in out
    sgd, adam = json.loads(written.read_text())["optimizers"]
    assert sgd["diverged_at"] == [2, 2]
    assert sgd["final"]["train_loss"] is None
    assert sgd["curves"]["train_loss"][0][-1] is None
    assert adam["diverged_at"] == [None, None]
    assert adam["final"]["train_loss"]["mean"] > 0
    assert drawn.read_text().startswith("<?xml")


REFUSED = {
    (
        "--optimizers",
        "adamv",
    ): "there is no optimizer 'adamv'; did you mean 'adam'? Choose",
    ("--optimizers", "zzz"): "there is no optimizer 'zzz'; Choose from sgd, adagrad,",
    ("--optimizers", "adam,adam"): "'adam' is named twice; name each one once.",
    ("--optimizers", ""): "there is no optimizer ''",
    ("--lr", "adam=-1"): "a learning rate must be a number above 0, got -1;",
    ("--lr", "adam=0"): "a learning rate must be a number above 0, got 0;",
    ("--lr", "adam=nan"): "a learning rate must be a number above 0, got nan;",
    ("--lr", "adam=fast"): "'fast' is not a number; write it as name=rate,",
    ("--lr", "adam"): "--lr adam: write it as name=rate, such as adam=1e-3.",
    ("--lr", "adamm=1"): "--lr adamm=1: there is no optimizer 'adamm'; did you mean",
    ("--optimizers", "sgd", "--lr", "adam=1"): "'adam' is not in this race; add it to",
    ("--steps", "0"): "--steps: must be at least 1, got 0.",
    ("--steps", "ten"): "--steps: must be an integer, got 'ten'; write it in digits",
    ("--seeds", "-2"): "--seeds: must be at least 1, got -2.",
    ("--seed", "-1"): "--seed: must lie in [0, 2**31 - 10**6), got -1.",
    ("--batch", "0"): "--batch: must be at least 1, got 0.",
    ("--batch", "9999"): "--batch 9999: the training set of sparse has 1438 rows; give",
    ("--model", "cnn"): "--model cnn: there is no such model; take mlp or conv.",
    ("--data", "nope.npz"): "--data nope.npz: there is no such file; give `sparse`,",
    ("--json", "no/where/r.json"): "there is no folder 'no/where'; make it first.",
    ("--json", "."): "--json .: is a folder; give the path of a file.",
    ("--plot", "race.txt"): "'txt' is no picture format; end it in .png, .svg or .pdf.",
    ("--plot", "race"): "'no ending' is no picture format",
    ("--stepz", "3"): "unrecognized arguments: --stepz 3",
}


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_bad_input_is_one_sentence(arguments, capsys):
    try:
        code = main(["race", *arguments])
    except SystemExit as left:
        code = left.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert REFUSED[arguments] in err
    assert err.startswith("python -m adamx")
    assert err.count("\n") == 1


def test_a_file_that_may_not_be_written(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command.os, "access", lambda *_: False)
    assert main(["race", "--json", str(tmp_path / "race.json")]) == 2
    assert "may not be written; give a path that you may" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        ("rich", [], 'install it with pip install "adamx[race]".'),
        (
            "matplotlib",
            ["--plot", "r.png"],
            'install it with pip install "adamx[plot]".',
        ),
    ],
)
def test_a_missing_extra(module, arguments, sentence, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["race", *arguments]) == 2
    err = capsys.readouterr().err
    assert f"need {module}, which is not installed; {sentence}" in err
    assert err.count("\n") == 1


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    assert "race" in capsys.readouterr().err


def test_ctrl_c_shows_what_is_finished(small, capsys, monkeypatch):
    def interrupted(name, rate, tx, course, on_chunk, estimate):
        if name == "rmsprop":
            signal.raise_signal(signal.SIGINT)
        on_chunk(1, [np.ones(1)] * 4, 1.0)
        return run(name)

    monkeypatch.setattr(training, "train", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert main([*TINY, "--data", small]) == 130
    assert signal.getsignal(signal.SIGINT) is before
    out, err = capsys.readouterr()
    assert "Stopping soon; press Ctrl-C again to stop at once." in err
    assert "Stopped by Ctrl-C. Finished: sgd, adagrad." in err
    assert "adagrad" in out
    assert "rmsprop" not in out


def test_ctrl_c_is_held_back_once():
    heard = []
    with interrupt.held_back(lambda: heard.append("first")) as check:
        check()
        signal.raise_signal(signal.SIGINT)
        assert heard == ["first"]
        with pytest.raises(KeyboardInterrupt):
            check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_figures_of_the_table():
    values = np.array([0.9, 1.0, 1.1])
    assert table.figure(values, "train_loss") == "1.0000 ± 0.1000"
    assert table.figure(values / 1e4, "train_loss") == "1.0e-04 ± 1e-05"
    assert table.figure(values / 2, "test_accuracy") == "50.0 ± 5.0"
    assert table.figure(values[:1], "test_loss") == "0.9000"
    assert table.figure(values[:0], "test_loss") == ""


def test_the_table_fits_a_terminal(capsys):
    """80 columns hold every figure, and what is said of a divergence."""
    longest = run("schedule_free_radam", (2.0, 0.05, 1e-4))
    runs = [longest, run("sgd", diverged_at=(0, 7, 5))]
    Console(width=80).print(table.final_table(runs))
    out = capsys.readouterr().out
    assert "1.0e-04 ± 1e-05  0.0 ± 0.0" in out
    assert "2 of 3 diverged" in out
    assert "from step 5 on" in out
    assert "…" not in out


def test_the_table_says_who_reached_which_loss_when(capsys):
    """By the median seed; a loss that all have from the start, or never, is no mark."""
    fast = run("adam", (2.0, 0.09, 0.0009))
    slow = run("sgd", (2.0, 0.12, 0.09))
    assert fast.reached(0.1).tolist() == [1, 1, 1]
    assert slow.reached(0.1).tolist() == [2, 2, 2]
    assert slow.reached(0.09).tolist() == [2, 2, np.inf]
    assert table.milestones([fast, slow]) == [0.1, 0.01, 0.001]
    assert table.milestones([slow]) == [0.1]
    late = run("lion", (2.0, 1.5, 0.9))
    assert table.milestones([fast, late]) == [1, 0.1, 0.01]
    lost = run("lars", (2.0, 9.0, 9.0), (1, 1, 1))
    assert table.milestones([fast, slow, lost]) == [0.1, 0.01, 0.001]
    assert table.milestones([lost]) == []
    Console(width=80).print(table.final_table([fast, slow]))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    ends = {row[0]: row[-3:] for row in rows if row and row[0] in ("adam", "sgd")}
    assert ends == {"adam": ["1", "2", "2"], "sgd": ["2", "–", "–"]}
    kept = report._of(slow, [0.1, 0.09])["steps_to_train_loss"]
    assert kept == {"0.1": [2, 2, 2], "0.09": [2, 2, None]}


def test_every_optimizer_races_from_the_best_rate_that_was_recorded():
    assert sorted(optimizers.OPTIMIZERS) == adamx.list_optimizers()
    held = json.loads(race_rates.RESULTS.read_text())
    assert held["rates"] == list(race_rates.GRID)
    for data, found in held["losses"].items():
        assert set(found) == set(optimizers.OPTIMIZERS), data
        for name, run in found.items():
            best = race_rates.best_of(run["training_loss"])
            assert optimizers.OPTIMIZERS[name].rates[data] == best, name


def test_the_rates_that_the_documents_have_from_the_race():
    table = Path(__file__).parents[2] / "docs" / "starting_rates.csv"
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if "race" in row["from"]]
    assert len(rows) >= 5
    for row in rows:
        rate = optimizers.OPTIMIZERS[row["optimizer"]].rates["digits"]
        assert float(row["rate"]) == rate, row["optimizer"]


def test_bars_in_a_terminal():
    """What the live bars say of a run that waits, goes, and diverges."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress.progress(screen, ["sgd", "adam"], 10) as bars:
        assert type(bars) is progress.Bars
        heard = bars.begin("sgd")
        heard(5, [np.array([0.5])] * 3 + [np.array([0.875])], 1000.0)
        assert bars._bars.tasks[0].completed == 5
        said = bars._bars.tasks[0].fields["says"]
        assert said == "train loss 0.5000  test 87.5%  1,000 steps/s"
        bars.end(run("sgd", diverged_at=(3, 3, 3)))
        said = [task.fields["says"] for task in bars._bars.tasks]
    assert said == ["[red]diverged at step 3", "waiting"]


def test_the_picture_has_every_line_and_band():
    runs = [run(), run("sgd"), run("adamw", (2.0, np.nan, np.nan), (2, 2, 2))]
    figure = plot.draw(runs, "title")
    left, right = figure.axes
    for ax in (left, right):
        assert ax.get_yscale() == "log"
        assert len(ax.collections) == 3
        names = [text.get_text() for text in ax.texts]
        assert sorted(names) == ["adam", "adamw (diverged)", "sgd"]
    np.testing.assert_allclose(left.lines[0].get_ydata(), [2.0, 0.5, 0.25])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [4.0, 1.0, 0.5])


def test_a_diverged_line_does_not_take_the_room():
    figure = plot.draw([run(), run("sgd", (2.0, 1e9, 1e12), (2, 2, 2))], "title")
    low, high = figure.axes[0].get_ylim()
    assert low < 0.25
    assert high == pytest.approx(6.6)
    (name,) = (t for t in figure.axes[0].texts if t.get_text() == "sgd (diverged)")
    assert name.xy[1] <= 1.0


def test_looks_differ():
    looks = [tuple(plot.style(name).items()) for name in optimizers.OPTIMIZERS]
    assert len(set(map(str, looks))) == len(looks)


def in_a_process(*arguments):
    command = [sys.executable, "-m", "adamx", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_process_runs(small):
    done = in_a_process(*TINY, "--data", small, "--optimizers", "radam")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "radam" in done.stdout


def test_the_process_refuses():
    done = in_a_process("race", "--optimizers", "sdg")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "did you mean 'sgd'?" in done.stderr
    assert done.stderr.count("\n") == 1
