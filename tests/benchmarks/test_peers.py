"""The peers benchmark: who is missing is said, and who computes otherwise is refused.

One process is really started; the others are stood in for, so that no clock is read.
"""

import dataclasses
import json
import re

import pytest

from benchmarks import __main__ as command
from benchmarks.cost.harness import measure, subprocesses as conversation
from benchmarks.cost.harness.trees import Tree
from benchmarks.cost.peers import case, jax_side, picture, worker
from benchmarks.cost.peers.process import Worker

TREE = Tree("1000", 3, 64)
SPEC = worker.Spec("adamx", "adam", "float32", TREE.leaves, TREE.size, (0,))


def moved(side, optimizer="adam", storage="float32", leaves=3, size=64):
    spec = worker.Spec(side, optimizer, storage, leaves, size, (0,))
    return worker.ten_steps(jax_side.make(spec), spec)


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_both_sides_go_to_the_same_place(optimizer):
    found = case.apart(moved("adamx", optimizer), moved("optax", optimizer))
    assert found <= case.SAME["float32"]


def test_another_rule_goes_elsewhere():
    assert case.apart(moved("adamx", "sgd"), moved("adamx")) > 0.1


def test_storage_is_what_it_is_called():
    adam = [jax_side.Jax(dataclasses.replace(SPEC, storage=s)) for s in case.SAME]
    for side in adam:
        side.load(worker.filled(SPEC, 0), worker.filled(SPEC, 1))
    wide, mixed, narrow, _ = (side.state_bytes() for side in adam)
    n = TREE.leaves * TREE.size
    assert [wide - mixed, wide - narrow] == [2 * n, 4 * n]


class Stub:
    """A worker that answers at once: what it went, and a step of so many seconds."""

    def __init__(self, went, seconds, missing=None):
        self.went, self.seconds, self.missing = went, seconds, missing

    def hello(self):
        return self.went

    def ask(self, question, *_):
        return {"wall": self.seconds, "cpu": self.seconds}


def row(workers, state=0):
    found = case.met(workers, "float32")
    missing = {side: w.missing for side, w in workers.items() if w.missing}
    here = {side: w for side, w in workers.items() if not w.missing}
    return case.judged(
        "adam",
        TREE,
        "float32",
        found,
        missing,
        dict.fromkeys(here),
        case.steps(here, case.Settings()),
        {side: {"state": state, "peak": 2**21, "base": 2**20} for side in here},
    )


def test_a_slower_side_stays_and_one_that_differs_does_not():
    found = row(
        {
            "adamx": Stub([1.0, -1.0], 2.0),
            "optax": Stub([1.0, -1.0 + 1e-6], 1.0),
            "torch fused": Stub([1.0, -0.9], 1.0),
            "torch foreach": Stub(None, 1.0, "torch is not installed"),
            "copy": Stub(None, 1.0),
        },
        state=8 * TREE.leaves * TREE.size,
    )
    assert found.results["optax"].ratio.median == 2.0
    # Adam moves 28 bytes of a parameter where the copy moves 8.
    assert found.results["optax"].of_copy == pytest.approx(28 / 8)
    assert found.results["adamx"].of_copy == pytest.approx(28 / 8 / 2)
    assert set(found.results) == {"adamx", "optax"}
    assert "not the same mathematics: 1.0e-01" in found.missing["torch fused"]
    document = {
        "rows": [dataclasses.asdict(found)],
        "trees": [dataclasses.asdict(TREE)],
    }
    shown = picture.text(json.loads(json.dumps(document)))
    assert "2000.00 (2000.00–2000.00)" in shown
    assert (
        "torch foreach is missing from 1 of 1 cases: torch is not installed." in shown
    )


def test_every_side_has_its_turns_in_mirrored_order():
    order = []
    samples = {k: lambda k=k: order.append(k) or {"wall": 1.0} for k in "abc"}
    assert measure.turns(samples, 2) == [{k: {"wall": 1.0} for k in "abc"}] * 2
    assert "".join(order) == "abccbacbaabc"


def test_a_process_of_its_own():
    one = Worker(dataclasses.replace(SPEC, side="copy", steps=False))
    try:
        assert one.hello() is None
        assert one.missing is None
        one.ask("load")
        assert one.ask("step", 1)["wall"] >= 0
        assert one.ask("sizes")["peak"] >= 2**20
    finally:
        one.end()


def test_a_runtime_that_is_not_there_is_missing(monkeypatch, capfd):
    monkeypatch.setitem(worker.MODULES, "copy", "no_such_runtime")
    monkeypatch.setattr(worker.os, "sched_setaffinity", lambda pid, cores: None)
    monkeypatch.setattr(conversation.os, "dup2", lambda old, new: None)
    spec = dataclasses.asdict(dataclasses.replace(SPEC, side="copy"))
    assert worker.main([json.dumps(spec)]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said == {"missing": "no_such_runtime is not installed"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--threads", "999"], "--threads must be at most"),
        (["--threads", "0"], "must be a positive integer, got '0'"),
        (["--optimizers", "adamz"], "must be some of adam, adamw, sgd, .* got 'adamz'"),
        (["--storages", "float8"], "must be some of float32, .* got 'float8'"),
        (["--optimizers", "sgd", "--storages", "8 bits"], "only adam"),
    ],
)
def test_a_bad_argument_is_refused(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["peers", *arguments])
    assert stopped.value.code == 2
    assert re.search(sentence, capsys.readouterr().err)


def test_the_quick_form_runs_with_whatever_is_installed(tmp_path, capsys):
    path = tmp_path / "peers.json"
    options = "--quick --optimizers sgd --trees 148 --storages float32"
    assert command.main(["peers", *options.split(), "--json", str(path)]) == 0
    (row,) = json.loads(path.read_text())["rows"]
    assert {*row["results"], *row["missing"]} == set(case.SIDES)
    assert {"adamx", "optax"} <= {*row["results"]}
    out = capsys.readouterr().out
    assert all(f"{side} is missing from 1 of 1 cases" in out for side in row["missing"])
