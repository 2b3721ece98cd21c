"""A sweep is the loop over its runs: same numbers, in chunks of a budget."""

import functools
import sys

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
import pytest

import adamx

matplotlib.use("Agg")

# Batched products may sum in another order: a few roundings of float32, over 20 steps.
CLOSE = {"rtol": 2e-5, "atol": 1e-7}
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
    swept = adamx.sweep(train, MAKERS[name], {"learning_rate": RATES}, seeds=[0, 7])
    np.testing.assert_array_equal(swept["learning_rate"], np.repeat(RATES, 2))
    np.testing.assert_array_equal(swept["seed"], [0, 7] * 3)
    alone = jax.jit(lambda r, key: train(MAKERS[name](r), key))
    for i, (rate, seed) in enumerate(
        zip(swept["learning_rate"], swept["seed"], strict=True)
    ):
        one = alone(jnp.float32(rate), jax.random.key(seed))
        np.testing.assert_allclose(swept["loss"][i], one["loss"], **CLOSE)
        np.testing.assert_allclose(swept["last"][i], one["last"], **CLOSE)


def test_chunks_of_a_budget_give_the_same_numbers():
    grid = {"learning_rate": np.geomspace(1e-3, 1, 7)}
    whole = adamx.sweep(train, adamx.sgd(1.0), grid, width=7)
    budget = whole.bytes // 2
    parts = adamx.sweep(train, adamx.sgd(1.0), grid, width=7, max_bytes=budget)
    assert 1 <= parts.width < 7
    assert 0 < parts.bytes <= budget
    np.testing.assert_allclose(parts["loss"], whole["loss"], **CLOSE)
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
