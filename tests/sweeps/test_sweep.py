"""A sweep is the loop over its runs: same numbers, in chunks of a budget."""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
import pytest

import adamx
from adamx.sweeps import program

matplotlib.use("Agg")

# Batched products may sum in another order: a few roundings of float32, over 20 steps.
close = functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-7)
RATES = np.array([1e-3, 1e-2, 1e-1])


def train(tx, key, steps=20):
    params = {"w": jax.random.normal(key, (6, 4)), "b": jnp.ones(4)}

    def loss(p):
        return jnp.mean((jnp.sin(jnp.arange(6.0)) @ p["w"] + p["b"] - 1) ** 2)

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), value

    (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), length=steps)
    return {"loss": losses, "last": loss(params)}


def scheduled(learning_rate):
    return adamx.adam(optax.cosine_decay_schedule(learning_rate, 20))


MAKERS = {
    "adamw": adamx.adamw,
    "muon": functools.partial(adamx.muon, adam_learning_rate=1e-3),
    "schedule": scheduled,
    "optax": optax.adam,
}


@pytest.fixture(scope="module")
def found():
    return adamx.sweep(train, adamx.sgd, {"learning_rate": [0.01, 0.1, 1e3]}, seeds=2)


@pytest.mark.parametrize("name", MAKERS)
def test_a_sweep_is_the_loop_over_its_runs(name):
    grid = {"learning_rate": RATES}
    width = None if name == "optax" else 4  # that of the device, or batched
    swept = adamx.sweep(train, MAKERS[name], grid, seeds=[0, 7], width=width)
    np.testing.assert_array_equal(swept["learning_rate"], np.repeat(RATES, 2))
    np.testing.assert_array_equal(swept["seed"], [0, 7] * 3)
    alone = jax.jit(lambda r, key: train(MAKERS[name](r), key))
    for i, (rate, seed) in enumerate(
        zip(swept["learning_rate"], swept["seed"], strict=True)
    ):
        one = alone(jnp.float32(rate), jax.random.key(seed))
        close(swept["loss"][i], one["loss"])
        close(swept["last"][i], one["last"])


def test_chunks_of_a_budget_give_the_same_numbers():
    grid = {"learning_rate": np.geomspace(1e-3, 1, 7)}
    whole = adamx.sweep(train, adamx.sgd(1.0), grid, width=7)
    budget = whole.bytes // 2
    parts = adamx.sweep(train, adamx.sgd(1.0), grid, width=7, max_bytes=budget)
    assert 1 <= parts.width < 7
    assert 0 < parts.bytes <= budget
    close(parts["loss"], whole["loss"])
    with pytest.raises(adamx.AdamxError, match=r"allow one run, which needs .* got 8 "):
        adamx.sweep(train, adamx.sgd, grid, max_bytes=8)


def test_diverged_runs_are_marked_and_never_the_best(found):
    np.testing.assert_array_equal(found["diverged"], [False] * 4 + [True] * 2)
    ends = found["last"].reshape(3, 2)[:2].mean(1)
    assert found.best("last") == {"learning_rate": [0.01, 0.1][int(ends.argmin())]}
    assert found.best("last", mode="max", over="mean") == {
        "learning_rate": [0.01, 0.1][int(ends.argmax())]
    }
    assert "2 of 6 runs diverged" in repr(found)
    assert "diverged" in found._repr_html_()


def test_pictures_are_drawn(found):
    assert "median of 2 seeds" in found.plot("last").axes[0].get_title("left")
    two = {"learning_rate": [0.01, 0.1], "momentum": [0.0, 0.9]}
    assert len(adamx.sweep(train, adamx.sgd, two).plot("loss").axes) == 2


@pytest.mark.parametrize(
    ("tx", "grid", "says"),
    [
        (adamx.adamw, {"learning_rat": [1.0]}, "Did you mean 'learning_rate'"),
        (adamx.adamw, {"b1": [0.9]}, "missing a required argument"),
        (adamx.adamw, {"learning_rate": [-1.0]}, "adamw: .* at least 0, got -1.0"),
        (adamx.adam(1e-3), {"learning_rate": [-1.0]}, "sweep: .* at least 0"),
        (adamx.adam(1e-3), {"mu": [1.0]}, "every name must be a hyperparameter"),
        (scheduled(1.0), {"learning_rate": [1.0]}, "decided by a schedule"),
        (
            adamx.muon,
            {"ns_steps": [3]},
            "`ns_steps` must be .* may be an array .* Of muon these may be: .*'beta'",
        ),
        (adamx.adamw, {"learning_rate": []}, "at least one, got an empty"),
        (adamx.adamw, {"learning_rate": [[1.0]]}, "one dimension, got shape"),
        (adamx.adamw, {"learning_rate": ["a"]}, "must be real numbers"),
        (3, {"learning_rate": [1.0]}, "function that makes the optimizer"),
    ],
    ids=lambda x: str(x) if isinstance(x, str) else "",
)
def test_errors_at_the_door(tx, grid, says):
    with pytest.raises(adamx.AdamxError, match=says):
        adamx.sweep(train, tx, grid)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seeds": 0}, "`seeds` must be at least one, got 0"),
        ({"seeds": [0, 0]}, "`seeds` must differ"),
        ({"seeds": [-1]}, r"`seeds` must lie in \[0, 2³²\)"),
        ({"seeds": 1.5}, "`seeds` must be a number of seeds or a list"),
        ({"width": 0}, "`width` must be a whole number of runs, at least 1, got 0"),
        ({"divergence": 2.0}, "`divergence` must be a dict of factors"),
        ({"divergence": {"loss": 1.0}}, r"divergence\['loss'\].* must be above 1"),
        ({"divergence": {"last": 2.0}}, r"must be a curve .* got 'last'.* shape \(\)"),
        ({"max_bytes": 0.5}, "`max_bytes` must be a whole number of bytes"),
        ({"product": False}, "must be equally many, got .*'momentum': 2"),
        ({"progress": "yes"}, "`progress` must be True, False or None"),
    ],
    ids=lambda x: str(x) if isinstance(x, dict) else "",
)
def test_arguments_are_checked(given, says):
    grid = {"learning_rate": [0.1, 0.2, 0.3], "momentum": [0.0, 0.9]}
    with pytest.raises(adamx.AdamxError, match=says):
        adamx.sweep(train, adamx.sgd, grid, **given)


@pytest.mark.parametrize("name", ["learning_rate", "seed", "diverged"])
def test_results_must_not_have_the_names_of_other_columns(name):
    with pytest.raises(adamx.AdamxError, match=f"other names .* got '{name}'"):
        adamx.sweep(lambda tx, key: {name: 1.0}, adamx.sgd, {"learning_rate": [1.0]})


def test_rows_are_points_and_the_last_call_is_filled(monkeypatch):
    """Five runs, three at once: the sixth is a repetition, and left out."""
    calls = []

    def compiled(*given):
        made = fitting(*given)

        def call(point, seed):
            calls.append(np.asarray(point["learning_rate"]))
            return made.call(point, seed)

        return dataclasses.replace(made, call=call)

    fitting = program.fitting
    monkeypatch.setattr(program, "fitting", compiled)
    rows = {
        "learning_rate": np.array([0.3, 0.1, 0.2, 0.1, 0.05]),
        "momentum": np.array([0.0, 0.9, 0.5, 0.9, 0.2]),
    }
    found = adamx.sweep(train, adamx.sgd, rows, product=False, width=3)
    assert (found.width, found.compilations, found.runs) == (3, 1, 5)
    np.testing.assert_array_equal(
        calls, np.array([[0.3, 0.1, 0.2], [0.1, 0.05, 0.05]], np.float32)
    )
    for name, values in rows.items():
        np.testing.assert_array_equal(found[name], values)
    alone = jax.jit(lambda r, m: train(adamx.sgd(r, m), jax.random.key(0))["loss"])
    losses = [alone(*row) for row in zip(*rows.values(), strict=True)]
    close(found["loss"], losses)
    assert found.at_end("loss").shape == (5, 1)
    assert len(found.plot("loss").axes) == 2  # dots, and the scale of their colours


def test_curves_that_end_high_are_diverged_if_asked():
    def curve(tx, key):
        del key
        updates, _ = tx.update(jnp.array(-1.0), tx.init(0.0), 0.0)
        return {"loss": jnp.stack([1.0, updates]), "gain": jnp.stack([-1.0, updates])}

    grid = {"learning_rate": [0.5, 1.5, 2.5]}
    assert not adamx.sweep(curve, adamx.sgd, grid)["diverged"].any()
    found = adamx.sweep(curve, adamx.sgd, grid, divergence={"loss": 2.0})
    assert found["diverged"].tolist() == [False, False, True]
    # Two units above a start of -1.
    found = adamx.sweep(curve, adamx.sgd, grid, divergence={"gain": 3.0})
    assert found["diverged"].tolist() == [False, True, True]


def test_a_bar_needs_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ImportError, match="progress=True needs rich"):
        adamx.sweep(train, adamx.sgd, {"learning_rate": [1.0]}, progress=True)


def test_train_returns_arrays():
    with pytest.raises(adamx.AdamxTypeError, match="but 'name' is none"):
        adamx.sweep(lambda tx, key: {"name": "a"}, adamx.sgd, {"learning_rate": [1.0]})


def test_a_table_for_pandas(found, monkeypatch):
    module = type("pandas", (), {"DataFrame": staticmethod(dict)})
    monkeypatch.setitem(sys.modules, "pandas", module)
    rows = found.to_pandas()
    assert list(rows) == ["learning_rate", "seed", "last", "loss", "diverged"]
    assert {len(x) for x in rows.values()} == {6}
    steps = found.to_pandas("loss")
    assert {len(x) for x in steps.values()} == {6 * 20}
    np.testing.assert_array_equal(steps["loss"], found["loss"].ravel())
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        found.to_pandas()


def test_the_range_test_stops_where_gradient_descent_is_unstable():
    """On ½ Σ λ θ² gradient descent diverges at rates above 2 / max λ."""
    curvatures = jnp.array([1.0, 4.0])
    ranged = adamx.find_rate(
        lambda p: 0.5 * jnp.sum(curvatures * p**2),
        adamx.sgd,
        jnp.ones(2),
        low=1e-4,
        high=100.0,
        smoothing=0.0,
    )
    assert ranged.diverged
    assert ranged.rates[ranged.stop] > 2 / 4
    assert ranged.suggestion < 2 / 4
    assert ranged.steepest < 2 / 4
    assert ranged.plot().axes[0].get_xscale() == "log"
    with pytest.raises(adamx.AdamxError, match="`high` must be above 1"):
        adamx.find_rate(lambda p: 0.0, adamx.sgd, 1.0, low=1.0, high=0.1)


def test_the_range_test_takes_batches_in_turn():
    """At rates of almost 0 the losses are those of the batches."""
    batches = {"x": jnp.arange(1.0, 4.0), "y": jnp.zeros(3)}

    def loss(p, batch):
        return (p * batch["x"] - batch["y"]) ** 2

    tiny = {"low": 1e-9, "high": 1e-8, "steps": 10, "divergence": 100.0}
    ranged = adamx.find_rate(loss, adamx.sgd, 1.0, batches, **tiny)
    close(ranged.losses, [1, 4, 9] * 3 + [1])
    with pytest.raises(adamx.AdamxError, match=r"one first axis .* lengths \[2, 3\]"):
        adamx.find_rate(loss, adamx.sgd, 1.0, {**batches, "y": jnp.zeros(2)})
    with pytest.raises(adamx.AdamxError, match="finite at the start, got nan"):
        adamx.find_rate(loss, adamx.sgd, jnp.nan, batches)


def test_the_page_has_the_recorded_speed():
    root = Path(__file__).parents[2]
    rows = json.loads((root / "benchmarks" / "results" / "sweep.json").read_text())
    page = (root / "docs" / "sweeps.md").read_text()
    for row in rows["rows"]:
        said = f"| {row['side']} | {row['seconds']:.1f} | {row['of_sweep']:.2f} |"
        assert said in page
