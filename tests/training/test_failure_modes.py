"""The failure-mode tasks: known outcomes, determinism, and bad input."""

import functools
import json
import re

import jax
import numpy as np
import optax
import pytest

from benchmarks.training import failure_modes
from benchmarks.training.failure_modes import TASKS
from benchmarks.training.failure_modes.candidates import candidates
from benchmarks.training.failure_modes.picture import mark, table, tally
from benchmarks.training.failure_modes.search import RATES, Cell, search
from benchmarks.training.failure_modes.task import Candidate, losses, score

SGD = Candidate("sgd", optax.sgd)
MOMENTUM = Candidate("momentum", functools.partial(optax.sgd, momentum=0.9))
ADAM = Candidate("adam", optax.adam)
SIGN = Candidate("sign", optax.sign_sgd)
STILL = Candidate("still", lambda learning_rate: optax.set_to_zero())


@pytest.mark.parametrize("name", TASKS)
def test_standing_still_passes_nothing(name):
    task = TASKS[name]
    path = jax.jit(lambda noise: losses(task, STILL, 1.0, noise))(task.noise(0))
    assert float(score(task, path)) > 1.5 * task.target
    assert path.shape == (task.steps,)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_what_it_asks_for_and_why(name):
    task = TASKS[name]
    assert task.name == name
    assert min(map(len, (task.shows, task.criterion, task.reason))) > 10
    noise = None if task.draw is None else task.noise(0)[0]
    gradient = task.slope(noise, 0, task.begin())
    shapes = jax.tree.map(np.shape, gradient)
    assert shapes == jax.tree.map(np.shape, task.begin())


# What is known of them without running them: the arithmetic in each `reason`.
@pytest.mark.parametrize(
    ("optimizer", "name", "passes"),
    [
        (SGD, "round bowl", True),
        (SIGN, "round bowl", True),
        (SGD, "rotated bowl", False),
        (MOMENTUM, "rotated bowl", True),
        (SGD, "cliff", False),
        (SIGN, "cliff", True),
        (SGD, "plateau", False),
        (ADAM, "huge gradients", True),
        (ADAM, "tiny gradients", False),
        (SIGN, "tiny gradients", True),
        (SGD, "deep and linear", False),
        (SGD, "late gradients", True),
    ],
)
def test_outcomes_that_theory_foretells(optimizer, name, passes):
    assert search(optimizer, TASKS[name]).passed == passes


def test_the_median_and_the_mean_are_two_tasks():
    """A sign follows the median: it survives heavy tails, and misses what is rare."""
    outcomes = {
        (optimizer.name, name): search(optimizer, TASKS[name]).passed
        for optimizer in (SIGN, SGD)
        for name in ("heavy tails", "rare but decisive")
    }
    assert outcomes == {
        ("sign", "heavy tails"): True,
        ("sign", "rare but decisive"): False,
        ("sgd", "heavy tails"): False,
        ("sgd", "rare but decisive"): True,
    }


def test_a_sign_knows_enough_of_heavy_tails():
    """P(|X| > x) = (1 + x)**-1.2, so the sign of s + X has the mean 1 - (1 + s)**-1.2,
    1.2 s where s is small: a gradient with noise of 1 / 1.2, less than white noise has.
    """
    task, n = TASKS["heavy tails"], 60_000
    keys = jax.random.split(jax.random.key(0), n)
    noise = np.asarray(jax.vmap(task.draw)(keys)).ravel()
    error = 5 / np.sqrt(noise.size)  # five standard errors of a mean of signs
    for x in (0.1, 1.0, 30.0):
        assert abs(np.mean(np.abs(noise) > x) - (1 + x) ** -1.2) < error
        assert abs(np.mean(np.sign(x + noise)) - (1 - (1 + x) ** -1.2)) < error
    curvature = np.logspace(-1, 0, 16)
    limit = np.sum(1 / curvature) / 1.2**2 / (2 * task.steps)
    assert 5 * limit < task.target <= TASKS["white noise"].target


def test_gradient_descent_is_what_the_closed_form_says():
    """x_T = x_0 Π (1 - r (1 - k / T) h) for each curvature of the stretched bowl."""
    task, rate = TASKS["stretched bowl"], 1.0
    path = np.asarray(jax.jit(lambda: losses(task, SGD, rate, None))())
    k = np.arange(task.steps)
    h = np.logspace(-4, 0, 16)[:, None]
    left = np.cumprod(1 - rate * (1 - k / task.steps) * h, axis=1)
    np.testing.assert_allclose(path, np.mean(left**2, axis=0), rtol=1e-3)


def test_late_gradients_are_of_ten_steps_before():
    task = TASKS["late gradients"]
    rate = 0.05
    path = np.asarray(jax.jit(lambda: losses(task, SGD, rate, None))())[:30]
    h = np.logspace(-1, 0, 16)
    xs = [np.ones(16)]
    for k in range(30):
        old = xs[max(k - task.delay, 0)]
        xs.append(xs[-1] - rate * (1 - k / task.steps) * h * old)
    expected = [0.5 * np.sum(h * x**2) for x in xs[1:]]
    np.testing.assert_allclose(path, expected, rtol=1e-4)


def test_the_same_run_gives_the_same_scores():
    first, second = (search(ADAM, TASKS["wrong signs"], RATES[6:8]) for _ in range(2))
    assert first.scores == second.scores


def test_what_diverges_fails_and_what_refuses_says_so():
    def refuses(learning_rate):
        raise ValueError("needs a Hessian estimate")

    diverged = search(SGD, TASKS["huge gradients"], [1.0])
    assert diverged.scores == (float("inf"),)
    refused = search(Candidate("refuses", refuses), TASKS["round bowl"], [1.0])
    assert refused.error == "ValueError: needs a Hessian estimate"
    assert not refused.passed
    assert [mark(diverged), mark(refused)] == ["-", "x"]
    assert table([diverged, refused]).splitlines()[-1].split()[-2:] == ["0", "0"]


def test_the_command_writes_the_map(tmp_path, capsys):
    pytest.importorskip("matplotlib")  # of the extra `plot`
    data, plot = tmp_path / "map.json", tmp_path / "map.png"
    words = ["--tasks", "round bowl,plateau", "--rates", "0.1,1"]
    words += ["--json", str(data), "--plot", str(plot)]
    assert failure_modes.main(words, {"sgd": SGD, "adam": optax.adam}) == 0
    cells = json.loads(data.read_text())["cells"]
    assert [(c["optimizer"], c["task"], c["passed"]) for c in cells] == [
        ("sgd", "round bowl", True),
        ("sgd", "plateau", False),
        ("adam", "round bowl", True),
        ("adam", "plateau", True),
    ]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "tasks passed" in capsys.readouterr().out


def test_a_run_resumes_where_it_was_stopped(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    data, plot = str(tmp_path / "map.json"), str(tmp_path / "map.png")
    words = ["--tasks", "round bowl", "--json", data, "--plot", plot, "--resume"]
    assert failure_modes.main(words, {"sgd": SGD}) == 0
    first = capsys.readouterr()
    assert failure_modes.main(words, {"sgd": SGD, "sign": SIGN}) == 0
    second = capsys.readouterr()
    assert first.err.startswith("sgd, round bowl")
    assert second.err.startswith("sign, round bowl")
    cells = json.loads((tmp_path / "map.json").read_text())["cells"]
    assert [cell["optimizer"] for cell in cells] == ["sgd", "sign"]
    assert cells[0]["scores"][-1] is None  # the rate 10 diverges, and stays infinite


def test_passes_are_counted_by_members_and_by_tasks():
    cells = [
        {"optimizer": optimizer, "task": task, "passed": passed}
        for optimizer, task, passed in [
            ("a", "easy", True),
            ("a", "hard", True),
            ("b", "easy", True),
            ("b", "hard", False),
            ("c", "easy", False),
            ("c", "hard", False),
        ]
    ]
    assert tally(cells, "optimizer") == [("2", "a"), ("1", "b"), ("0", "c")]
    assert tally(cells, "task") == [("2", "easy"), ("1", "hard")]


def test_the_kept_map_has_every_task_of_each_optimizer_in_it():
    kept = json.loads((failure_modes.RESULTS / "failure_modes.json").read_text())
    cells = [
        Cell("none", name, t.target, (1.0,), (0.0,), 0.0) for name, t in TASKS.items()
    ]
    assert kept["tasks"] == failure_modes.record(cells)["tasks"]
    found = [(cell["optimizer"], cell["task"]) for cell in kept["cells"]]
    names = list(dict.fromkeys(name for name, _ in found))
    assert found == [(name, task) for name in names for task in TASKS]
    assert set(names) <= set(candidates())  # a new one is searched with --resume


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tasks", "no such"], "tasks must be some of .*; got 'no such'"),
        (["--optimizers", "adm"], "optimizers must be some of sgd; got 'adm'"),
        (["--rates", "-1"], "rates must be positive; got '-1'"),
        (["--rates", "fast"], "rates must be numbers separated by commas; got 'fast'"),
    ],
)
def test_bad_input_gets_a_sentence(words, sentence, capsys):
    with pytest.raises(SystemExit) as stopped:
        failure_modes.main(words, {"sgd": SGD})
    assert stopped.value.code == 2
    error = " ".join(capsys.readouterr().err.split())
    assert re.search(sentence, error)
