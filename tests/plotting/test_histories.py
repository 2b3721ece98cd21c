"""Pictures of what a run has logged: effective rates, and what clipping cut."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import plotting
from tests.plotting.grey import lightness

LIMIT, STEPS = 2.0, 12
TX = adamx.observe(
    adamx.chain(
        adamx.parts.ClipByGlobalNorm(LIMIT),
        adamx.groups([("a", adamx.adam(1e-2)), (..., adamx.sgd(1e-1))]),
    ),
    every=3,
)
PARAMS = {"a": jnp.ones((4, 5)), "b": jnp.ones(3)}


@pytest.fixture(scope="module")
def run():
    """The gradients and updates of a run, and its metrics as arrays over the steps."""

    def step(carry, key):
        params, state = carry
        k, scale = jax.random.split(key)
        grads = jax.tree.map(
            lambda p: jax.random.normal(k, p.shape) * jax.random.uniform(scale), params
        )
        grads["b"] = grads["b"].at[0].set(0.0)
        updates, state = TX.update(grads, state, params)
        rates = plotting.layer_rates(grads, updates)
        params = optax.apply_updates(params, updates)
        return (params, state), (grads, updates, adamx.metrics(state), rates)

    keys = jax.random.split(jax.random.key(0), STEPS)
    return jax.jit(lambda: jax.lax.scan(step, (PARAMS, TX.init(PARAMS)), keys)[1])()


def drawn(ax, label):
    (line,) = (line for line in ax.lines if line.get_label() == label)
    return line.get_xydata().T


def names(ax):
    return {text.get_text() for text in ax.texts}


def test_rates_of_layers_are_quantiles_of_the_quotients(run):
    grads, updates, _, rates = jax.device_get(run)
    for path in ("a", "b"):
        g, u = grads[path][4].ravel(), updates[path][4].ravel()
        quotients = np.abs(u[g != 0] / g[g != 0])
        for name, share in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95)):
            wanted = np.quantile(quotients, share, method="inverted_cdf")
            found = rates[f"{path}/effective_rate_{name}"][4]
            np.testing.assert_allclose(
                found, wanted, rtol=1e-6, err_msg=f"{path} {name}"
            )
    g = {
        "zero": np.zeros(3, np.float32),
        "many": np.arange(1, 10_001, dtype=np.float32),
    }
    u = {"zero": np.ones(3, np.float32), "many": g["many"] / 2}
    some = jax.jit(lambda g, u: plotting.layer_rates(g, u, elements=100))(g, u)
    for key, rate in some.items():
        np.testing.assert_allclose(rate, 0 if "zero" in key else 0.5, rtol=1e-6)


def test_rates_over_time_from_arrays_and_from_dicts(run, ax):
    history = jax.device_get(run[2])
    figure = plotting.effective_rates(history, ax=ax)
    assert figure is ax.figure
    assert ax.get_xlabel() == "step"
    assert "|u| / |g|" in ax.get_ylabel()
    assert "units of g" in ax.get_ylabel()
    assert ax.get_yscale() == "log"
    sampled = [1, 4, 7, 10]  # each once, though it stays in the metrics for three steps
    lines = [line for line in ax.lines if len(line.get_xdata()) == len(sampled)]
    assert [line.get_xdata().tolist() for line in lines] == [sampled] * 3
    keys = [f"{g}effective_rate_p50" for g in ("", "group1/", "group2/")]
    for line, key in zip(lines, keys, strict=True):
        np.testing.assert_allclose(line.get_ydata(), history[key][[0, 3, 6, 9]])
    assert names(ax) == {"all leaves", "group1", "group2"}
    assert len(ax.collections) == 3  # the ranges
    for one, other in itertools.pairwise(lines):
        assert one.get_marker() != other.get_marker()
        assert one._unscaled_dash_pattern != other._unscaled_dash_pattern

    rows = [{key: x[i] for key, x in history.items()} for i in range(STEPS)]
    again = plotting.effective_rates(rows).axes[0]
    others = [line for line in again.lines if len(line.get_xdata()) == len(sampled)]
    for line, other in zip(lines, others, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())


def test_a_key_that_comes_later_is_drawn_from_then_on():
    key = "effective_rate_"
    rows = [{f"{key}{n}": 1.0 for n in ("p05", "p50", "p95")} for _ in range(4)]
    for row in rows[2:]:
        row |= {f"x/{key}{n}": 2.0 for n in ("p05", "p50", "p95")}
    ax = plotting.effective_rates(rows).axes[0]
    late = [x for x in ax.lines if len(x.get_xdata()) == 4][1]
    np.testing.assert_array_equal(late.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(late.get_ydata(), [np.nan, np.nan, 2, 2])


def test_many_layers_are_cells_whose_lightness_grows():
    history = {
        f"l{i}/effective_rate_{name}": np.full(5, 10.0**i)
        for i in range(8)
        for name in ("p05", "p50", "p95")
    }
    figure = plotting.effective_rates(history)
    ax, bar = figure.axes
    (mesh,) = ax.collections
    np.testing.assert_array_equal(
        mesh.get_array(), np.repeat(10.0 ** np.arange(8), 5).reshape(8, 5)
    )
    assert [x.get_text() for x in ax.get_yticklabels()] == [f"l{i}" for i in range(8)]
    assert "log scale" in bar.get_ylabel()
    assert "units of g" in bar.get_ylabel()
    shades = [lightness(mesh.cmap(mesh.norm(10.0**i))) for i in range(8)]
    assert (np.diff(shades) > 5).all()


def test_rates_by_layer_at_a_step(run, ax):
    rates = jax.device_get(run[3])
    figure = plotting.rates_by_layer(rates, step=5, ax=ax)
    assert figure is ax.figure
    assert [x.get_text() for x in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_title(loc="left").endswith("at step 5")
    assert "units of g" in ax.get_xlabel()
    medians = [rates[f"{x}/effective_rate_p50"][4] for x in "ab"]
    np.testing.assert_allclose(ax.lines[0].get_xdata(), medians)
    low, high = ax.collections[0].get_segments()[0][:, 0]
    assert (low, high) == tuple(
        rates[f"a/effective_rate_{n}"][4] for n in ("p05", "p95")
    )
    one = {key: x[-1] for key, x in rates.items()}
    single = plotting.rates_by_layer(one).axes[0]
    last = plotting.rates_by_layer(rates).axes[0]
    np.testing.assert_array_equal(
        single.lines[0].get_xdata(), last.lines[0].get_xdata()
    )
    assert single.get_title(loc="left") == "Effective rates by layer"


def test_what_clipping_cut(run, ax):
    grads, _, history, _ = jax.device_get(run)
    figure = plotting.clipped(history, max_norm=LIMIT, ax=ax)
    assert figure is ax.figure
    above, below = figure.axes[2:]
    sampled = np.array([0, 3, 6, 9])
    before = np.sqrt((grads["a"] ** 2).sum((1, 2)) + (grads["b"] ** 2).sum(1))[sampled]
    after = np.minimum(before, LIMIT)
    assert 0 < (before > LIMIT).sum() < 4  # the run has both
    np.testing.assert_allclose(drawn(above, "before"), [sampled + 1, before], rtol=1e-5)
    np.testing.assert_allclose(drawn(above, "after"), [sampled + 1, after], rtol=1e-5)
    cut = 100 * (1 - after / before)
    found = np.nan_to_num(drawn(below, "of the norm")[1])
    np.testing.assert_allclose(found, cut, rtol=1e-3, atol=1e-3)
    assert below.get_title(loc="left") == (
        f"Clipped at {(before > LIMIT).sum()} of 4 sampled steps"
    )
    assert (below.get_xlabel(), below.get_ylabel()) == ("step", "cut (%)")
    assert "units of g" in above.get_ylabel()
    assert names(above) == {"before", "after", "max_norm"}
    assert above.collections[0].get_hatch()  # what is cut, in grey too


def test_the_norm_after_a_clip_in_front_is_that_of_the_history():
    """Of elements here: it follows from no threshold."""
    rows = [{"grad_norm": 3.0, "clipped": 0.5, "clipped_norm": x} for x in (2.0, 1.5)]
    _, above, below = plotting.clipped(rows).axes
    np.testing.assert_allclose(drawn(above, "after")[1], [2, 1.5])
    np.testing.assert_allclose(drawn(below, "of the norm")[1], [100 / 3, 50])
    assert names(above) == {"before", "after"}


def test_the_threshold_is_read_from_a_history_that_has_it():
    rows = [
        {"step": i, "grad_norm": 4.0, "clipped": 1.0, "max_norm": 4.0 / i}
        for i in range(2, 5)
    ]
    above = plotting.clipped(rows).axes[1]
    np.testing.assert_allclose(drawn(above, "after")[1], [2, 4 / 3, 1])


def test_without_a_threshold_the_norm_after_is_said_to_be_unknown():
    rows = [{"grad_norm": 3.0, "clipped": x} for x in (0.0, 0.25)]
    _, above, below = plotting.clipped(rows).axes
    assert "not known" in above.get_title(loc="left")
    assert names(above) == {"before"}
    np.testing.assert_array_equal(drawn(below, "of the elements")[1], [np.nan, 25])
    assert below.get_ylabel() == "changed (%)"


CLIPPED = [{"step": 7, "grad_norm": 3.0, "clipped": 0.0}]
WRONG = {
    "another threshold": (
        lambda: plotting.clipped(CLIPPED, max_norm=1.0),
        "got 1: at step 7 the gradient's norm is 3, and 0 % of the elements were",
    ),
    "no threshold": (
        lambda: plotting.clipped(CLIPPED, max_norm=-1),
        "`max_norm` must be above 0, got -1",
    ),
    "no clip": (
        lambda: plotting.clipped([{"grad_norm": 1.0}]),
        "keys 'grad_norm' and 'clipped', got 'grad_norm'",
    ),
    "no rates": (
        lambda: plotting.effective_rates([{"loss": 1.0}]),
        "effective_rates: `history` must have the key 'effective_rate_p50', got 'loss'",
    ),
    "no steps": (lambda: plotting.effective_rates([]), "must have a step, got none"),
    "a state": (lambda: plotting.clipped(3), "must be a list of dicts .* got 3"),
    "seeds": (
        lambda: plotting.effective_rates({"effective_rate_p50": np.zeros((2, 3))}),
        r"one number for each step, got an array of shape \(2, 3\)",
    ),
    "lengths": (
        lambda: plotting.clipped({"grad_norm": np.zeros(2), "clipped": np.zeros(3)}),
        r"as many steps of each key, got \[2, 3\]",
    ),
    "no such step": (
        lambda: plotting.rates_by_layer(
            {f"effective_rate_{n}": np.ones(2) for n in ("p05", "p50", "p95")}, step=9
        ),
        "`step` must be one that was sampled, got 9. There is 1, 2",
    ),
    "other trees": (
        lambda: plotting.layer_rates({"a": jnp.ones(2)}, {"b": jnp.ones(2)}),
        "must have the same leaves, got 'a', 'b' in one of them",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said(wrong):
    call, says = WRONG[wrong]
    with pytest.raises(adamx.AdamxError, match=says):
        call()
