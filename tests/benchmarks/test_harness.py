"""The benchmark harness: planted differences are found, and noise is not called one.

No test reads a real clock: time is a counter that the work itself moves on, and what a
program costs is read from the compiler.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import __main__ as command, optax_counterparts, roster
from benchmarks.cost import device, step
from benchmarks.cost.harness import compare, measure, options, parity, trees
from benchmarks.cost.harness.ratio import Ratio, ratio

TREE = trees.Tree("1000", 3, 64)
SAME = {"float64": 0.0, "float32": 0.0}


class Time:
    """A clock that stands still until somebody works."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def costs(self, seconds):
        """A sample of work that takes so long."""

        def sample():
            self.now += seconds
            return {"work": seconds}

        return sample


class Jumps:
    """A clock whose every reading is one second after the one before."""

    def __init__(self):
        self.readings = 0

    def __call__(self):
        self.readings += 1
        return float(self.readings)


def counterpart(ours, theirs=lambda: optax.adam(1e-3), moments=2):
    return optax_counterparts.Counterpart(
        "planted", moments, ours, theirs, trees=(TREE.name,)
    )


# ---- ratios --------------------------------------------------------------------------


def test_a_slow_side_is_found():
    time = Time()
    found = measure.abba(time.costs(3.0), time.costs(1.5), repeats=4)
    got = ratio([found["work"]])
    assert (got.median, got.low, got.high) == (2.0, 2.0, 2.0)
    assert (got.ours, got.theirs, got.blocks) == (3.0, 1.5, 4)


def test_a_linear_drift_takes_from_both_sides_alike():
    order = []

    def side(name, cost):
        def sample():
            order.append(name)
            return {"work": cost + 0.25 * len(order)}  # every sample slower than before

        return sample

    found = measure.abba(side("a", 4.0), side("b", 4.0), repeats=6)
    assert "".join(order) == "abbabaab" * 3
    np.testing.assert_allclose([a / b for a, b in found["work"]], 1.0, rtol=1e-12)


def test_an_interval_knows_that_blocks_of_one_round_belong_together():
    """Two rounds that disagree leave both answers in the interval."""
    disagreeing = [[(1.0, 1.0)] * 50, [(2.0, 1.0)] * 50]
    got = ratio(disagreeing)
    assert (got.low, got.high) == (1.0, 2.0)


def test_an_outlier_moves_no_median():
    got = ratio([[(1.0, 1.0)] * 9 + [(100.0, 1.0)]])
    assert got.median == 1.0


def test_steps_are_timed_per_step_and_until_they_are_ready():
    wall = Time()
    program = measure.compiled(lambda: optax.sgd(0.1), TREE.shaped())
    walked = []

    def slow(*arguments):
        wall.now += 0.5
        walked.append(arguments)
        return program(*arguments)

    host = TREE.host(0)
    clocks = measure.Clocks(wall, wall)
    grads = trees.fresh(host)
    sample = measure.steps(lambda: optax.sgd(0.1), slow, host, grads, clocks)
    assert len(walked) == 2  # the warm-up, in no sample
    assert sample(4) == measure.Seconds(0.5, 0.5)
    first, last = walked[0], walked[-1]
    assert all(x.is_deleted() for x in jax.tree.leaves(first[0]))  # donated
    assert not any(
        x.is_deleted() for x in jax.tree.leaves(last[2])
    )  # gradients are not


def test_a_first_call_is_traced_anew_each_time():
    count = []

    def planted():
        inner = jax.jit(lambda g: (count.append(1), g)[1])
        updates = optax.stateless(lambda u, p: jax.tree.map(inner, u))
        return optax.GradientTransformation(updates.init, updates.update)

    shared = planted()  # the same object: a cache that survived would show
    jumps = measure.Clocks(Jumps(), Jumps())
    sample = measure.first_call(lambda: shared, TREE, jumps, compiling=True)
    assert sample() == {"trace": 1.0, "lower": 1.0, "compile": 1.0}
    assert len(count) == 1  # three leaves of one shape
    sample()
    assert len(count) == 2


# ---- what the compiler says ----------------------------------------------------------


def wasteful():
    """Adam with a sort on the way: it needs a temporary of a leaf's size."""
    adam = optax.adam(1e-3)

    def update(updates, state, params=None):
        updates, state = adam.update(updates, state, params)
        return jax.tree.map(lambda u: u + 0 * jnp.sort(u), updates), state

    return optax.GradientTransformation(adam.init, update)


def programs_of(make):
    whole, quarter = (
        measure.compiled(make, TREE.shaped(n)) for n in (4 * TREE.size, TREE.size)
    )
    return compare.program_of(whole, quarter)


def test_a_temporary_that_grows_is_found():
    assert not programs_of(lambda: optax.adam(1e-3)).grows
    assert programs_of(wasteful).grows


def test_more_work_shows_in_the_bytes():
    lean, wasted = programs_of(lambda: optax.adam(1e-3)), programs_of(wasteful)
    assert wasted.bytes_accessed > 1.2 * lean.bytes_accessed


# ---- bars ----------------------------------------------------------------------------


def exactly(value, low=None, high=None):
    low, high = (value if x is None else x for x in (low, high))
    return Ratio(value, low, high, ours=value, theirs=1.0, blocks=1)


PROGRAM = compare.Program(68, 68, 1e6, 3)


def judged(moments=2, program=PROGRAM, tree="1000", **ratios):
    good = {name: exactly(0.1) for name in ("trace", "eager")} | {"step": exactly(1.0)}
    planted = counterpart(lambda: optax.adam(1e-3), moments=moments)
    tree = dataclasses.replace(TREE, name=tree)
    bars = compare.bars(planted, tree, good | ratios, program)
    return {bar.what: bar.met for bar in bars}


def test_bars_are_met_by_what_they_ask_for():
    assert judged() == {"step": True, "temporaries": True, "trace": True, "eager": True}
    assert judged(tree="148") == {"step": True, "temporaries": True}


def test_a_step_passes_by_its_median_or_by_an_interval_around_one():
    assert judged(step=exactly(1.02, 1.01, 1.03))["step"]
    assert judged(step=exactly(1.05, 0.99, 1.10))["step"]
    assert not judged(step=exactly(1.05, 1.01, 1.10))["step"]


@pytest.mark.parametrize(
    ("moments", "stage", "limit"),
    [(2, "trace", 0.5), (2, "eager", 0.15), (1, "trace", 1.5), (1, "eager", 0.3)],
)
def test_trace_and_eager_have_their_limits(moments, stage, limit):
    assert judged(moments, **{stage: exactly(limit)})[stage]
    assert not judged(moments, **{stage: exactly(1.01 * limit)})[stage]


def test_a_growing_temporary_misses_its_bar():
    grown = dataclasses.replace(PROGRAM, temporary_bytes=1000)
    assert not judged(program=grown)["temporaries"]


@pytest.mark.parametrize(
    ("scope", "low", "median", "high", "said"),
    [
        ("element", 0.9, 1.0, 1.05, "yes"),
        ("element", 0.9, 1.05, 1.2, "by the median"),
        ("element", 1.0, 1.06, 1.2, "not by the median"),
        ("element", 1.06, 1.1, 1.2, "**no**"),
        ("tree", 1.9, 2.0, 2.1, "–"),
    ],
)
def test_a_step_is_held_to_that_of_its_counterpart(scope, low, median, high, said):
    assert step.verdict(scope, dataclasses.asdict(exactly(median, low, high))) == said


def test_a_measured_row_becomes_a_row_of_the_document():
    ratios = {
        stage: dataclasses.asdict(exactly(2.0, 1.5, 3.0)) for stage in step.STAGES
    }
    row = {"optimizer": "lamb", "tree": "148", "ratios": ratios}
    (got,) = step.lines([row])
    assert got == ("`lamb`", "148", *["2.00 (1.50–3.00)"] * 4, "–")
    assert len(got) == len(step.HEAD.split(" | "))


# ---- the same mathematics ------------------------------------------------------------


@pytest.mark.parametrize("name", optax_counterparts.COUNTERPARTS)
def test_both_sides_of_every_member_compute_the_same(name):
    member = optax_counterparts.COUNTERPARTS[name]
    found = parity.sameness(member, dtypes=("float64",))
    assert found["float64"] <= parity.SAME


def test_what_optax_has_too_is_timed_or_says_why_not():
    theirs = {
        name
        for name in roster.ALL
        if hasattr(optax, name) or hasattr(optax.contrib, name)
    }
    known = [*optax_counterparts.COUNTERPARTS, *optax_counterparts.WITHOUT]
    assert len(known) == len(set(known))
    assert set(known) == theirs


@pytest.mark.parametrize(
    "other",
    [
        lambda: optax.adam(1e-3, eps=1e-7),
        lambda: optax.adam(1e-3, eps=0.0, eps_root=1e-16),
        lambda: optax.adam(1e-3, b2=0.9991),
        lambda: optax.adamw(1e-3, weight_decay=1e-6),
        lambda: optax.nadam(1e-3),
    ],
    ids=["eps", "eps inside the root", "b2", "decay", "nesterov"],
)
def test_different_sides_are_not_timed(other):
    planted = counterpart(other)
    clocks = measure.Clocks(None, None)  # a call would fail
    (row,) = compare.run([planted], [TREE], compare.QUICK, lambda text: None, clocks)
    assert not row.same
    assert not row.ratios
    assert [bar.met for bar in row.bars] == [False]


def test_two_devices_of_one_kind_agree():
    place = jax.devices()[1]
    assert parity.device_difference(lambda: optax.adam(1e-3), place, 5) == 0.0


# ---- the command line ----------------------------------------------------------------


@pytest.fixture
def still(monkeypatch):
    """The harness with clocks that jump by a second a reading."""
    jumps = measure.Clocks(Jumps(), Jumps())
    monkeypatch.setattr(
        compare, "compare", lambda *a, whole=compare.compare: whole(*a[:4], jumps)
    )


def test_step_prints_its_table_and_writes_its_figures(still, tmp_path, capsys):
    path = tmp_path / "deep" / "step.json"
    wanted = ["--quick", "--optimizers", "adam", "--trees", "148", "--json", str(path)]
    assert command.main(["step", *wanted]) == 0
    printed = capsys.readouterr().out
    assert "6 × 1,000 parameters" in printed
    assert "No bar is judged" in printed
    document = json.loads(path.read_text())
    (row,) = document["rows"]
    assert (row["optimizer"], row["tree"]) == ("adam", "148")
    assert row["ratios"]["step"]["median"] == 1.0  # every reading costs one second
    assert row["sameness"]["float64"] <= parity.SAME
    assert row["ours"]["temporary_bytes"] == row["ours"]["temporary_bytes_quartered"]
    assert document["environment"]["platform"] == "cpu"


def test_device_says_that_there_is_none(capsys):
    assert device.main(["--quick"]) == 0
    assert capsys.readouterr().out == (
        "JAX finds no accelerator here, so there is nothing to measure.\n"
    )


def test_device_measures_and_compares(still, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(device, "accelerator", lambda: jax.devices()[1])
    path = tmp_path / "device.json"
    asked = ["--quick", "--optimizers", "sgd", "--trees", "1", "--steps", "3"]
    assert device.main([*asked, "--json", str(path)]) == 0
    assert "against CPU, float32, 3 steps" in capsys.readouterr().out
    document = json.loads(path.read_text())
    assert document["parity"] == {"sgd": {"adamx": 0.0, "optax": 0.0}}


def test_optimizers_have_their_trees_unless_trees_are_asked_for(monkeypatch):
    monkeypatch.setattr(
        compare, "compare", lambda member, tree, *_: (member.name, tree)
    )
    monkeypatch.setattr(compare, "sameness", lambda member: SAME)

    def measured(*argv):
        given = options.parser("step", "").parse_args(
            ["--optimizers", "adam,dog", *argv]
        )
        chosen, on, settings, _ = options.chosen(given, "step")
        rows = compare.run(chosen, on, settings, lambda text: None)
        return [(name, tree.name) for name, tree in rows]

    every = [("adam", "1"), ("adam", "148"), ("dog", "148"), ("adam", "1000")]
    assert measured() == every
    assert measured("--trees", "1000") == [("adam", "1000"), ("dog", "1000")]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--optimizers", "adam,adan"], "must be some of sgd, adagrad"),
        (["--trees", "7"], "must be some of 1, 148, 1000, got '7'"),
        (["--repeats", "0"], "must be a positive integer, got '0'"),
    ],
)
def test_bad_options_get_a_sentence(argv, sentence, capsys):
    with pytest.raises(SystemExit) as stopped:
        step.main(argv)
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_an_unknown_benchmark_gets_a_sentence(capsys):
    assert command.main(["speed"]) == 2
    assert "must be one of step, device" in capsys.readouterr().err
    assert command.main([]) == 0
    assert "usage: python -m benchmarks" in capsys.readouterr().out


def test_a_quick_run_writes_nothing_unless_asked():
    parser = options.parser("step", "")
    quick, full = parser.parse_args(["--quick"]), parser.parse_args([])
    assert options.chosen(quick, "step")[3] is None
    assert options.chosen(full, "step")[3] == options.RESULTS / "step.json"
