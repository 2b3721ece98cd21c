"""Pictures of states, memory plans, bias correction and sweeps."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx import plotting
from adamx.parts import Ema, LearningRate, Precondition, RootPlusEps, square
from adamx.storage import Blockwise
from tests.plotting.grey import lightness

LABELS = {"row_label": "rate", "column_label": "decay", "value_label": "loss (nats)"}
PARAMS = {"a": jnp.ones((64, 96)), "b": jnp.ones(5)}


# ---- bias correction -----------------------------------------------------------------


def step_lengths(tx, steps):
    ones = jnp.ones(steps)

    def step(state, gradient):
        update, state = tx.update(gradient, state)
        return state, (-update, state.slots["mu"], state.slots["nu"])

    return jax.lax.scan(step, tx.init(ones[0]), ones)[1]


def test_bias_correction_is_that_of_adam(ax):
    b1, b2, steps = 0.8, 0.95, 60
    figure = plotting.bias_correction(b1, b2, steps, ax=ax)
    assert figure is ax.figure
    top, middle, bottom = figure.axes[2:]
    data = [
        [x.get_ydata() for x in p.lines if len(x.get_xdata()) == steps]
        for p in (top, middle, bottom)
    ]
    t = np.arange(1, steps + 1)
    np.testing.assert_allclose(data[0], [1 / (1 - b1**t), 1 / (1 - b2**t)], rtol=1e-12)

    length, _, _ = step_lengths(adamx.adam(1.0, b1, b2), steps)
    plain = Precondition(Ema(b1), by=RootPlusEps(Ema(b2, square, "nu")))
    longer, mu, nu = step_lengths(adamx.chain(plain, LearningRate(1.0)), steps)
    np.testing.assert_allclose(data[1][:2], [mu, nu], rtol=1e-5)
    np.testing.assert_allclose(data[2], [length, longer], rtol=1e-4)
    assert [p.get_ylabel() for p in (top, middle, bottom)] == [
        "factor (no unit)",
        "m in g, v in g²",
        "in learning rates",
    ]
    assert bottom.get_xlabel() == "step"
    dashes = [line._unscaled_dash_pattern for line in bottom.lines[:2]]
    assert dashes[0] != dashes[1]


# ---- heat maps -----------------------------------------------------------------------


def test_a_sweep_with_logarithmic_axes_in_any_order(ax):
    rates, decays = [1e-1, 1e-3, 1e-2], [0.1, 0.2, 0.3]
    values = np.array([[9, np.nan, np.inf], [7, 8, 6], [5.0, 3, 4]])
    figure = plotting.heat_map(jnp.asarray(values), rates, decays, **LABELS, ax=ax)
    assert figure is ax.figure
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("rate", "decay")
    assert (ax.get_yscale(), ax.get_xscale()) == ("log", "linear")
    np.testing.assert_allclose(ax.get_ylim(), [10**-3.5, 10**-0.5])
    np.testing.assert_allclose(ax.get_xlim(), [0.05, 0.35])
    (mesh,) = ax.collections
    drawn = mesh.get_array()
    np.testing.assert_array_equal(drawn.filled(-1), [[7, 8, 6], [5, 3, 4], [9, -1, -1]])
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    np.testing.assert_allclose([p.get_xy()[0] for p in hatched], [0.15, 0.25])
    np.testing.assert_allclose([p.get_xy()[1] for p in hatched], 10**-1.5)
    (star,) = ax.lines
    np.testing.assert_allclose(star.get_xydata(), [[0.2, 1e-2]])
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said == ["best: 3\n(rate 0.01, decay 0.2)", "diverged: 2 of 9"]
    assert figure.axes[-1].get_ylabel() == "loss (nats)"
    shades = [lightness(mesh.cmap(mesh.norm(x))) for x in np.linspace(3, 9, 7)]
    assert (np.diff(shades) > 5).all()


def test_a_sweep_over_names_and_uneven_numbers_for_the_largest():
    values = 10.0 ** np.arange(6).reshape(2, 3)
    betas = [0.9, 0.99, 0.999]
    figure = plotting.heat_map(
        values, ["adam", "lion"], betas, **LABELS, best="max", missing_label="failed"
    )
    ax = figure.axes[0]
    assert [x.get_text() for x in ax.get_yticklabels()] == ["adam", "lion"]
    assert [x.get_text() for x in ax.get_xticklabels()] == ["0.9", "0.99", "0.999"]
    (text,) = ax.get_legend().get_texts()
    edge = "best: 1e+05, at the edge of the grid\n(lion, decay 0.999)"
    assert text.get_text() == edge
    assert figure.axes[-1].get_ylabel() == "loss (nats), log scale"
    assert ax.lines[0].get_xydata().tolist() == [[2, 1]]


def test_values_that_are_huge_do_not_hide_the_others():
    values = np.array([[1.0, 40, 1e30]])
    figure = plotting.heat_map(values, [1], [1, 2, 3], **LABELS)
    (mesh,), bar = figure.axes[0].collections, figure.axes[1]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (1, 1e4)
    assert (
        len([patch for patch in bar.patches if patch.get_visible()]) == 1
    )  # the arrow
    bounded = plotting.heat_map(values, [1], [1, 2, 3], **LABELS, worst=50).axes[0]
    said = [text.get_text() for text in bounded.get_legend().get_texts()]
    assert said[1] == "diverged: 1 of 3"
    other = plotting.heat_map(values, [1], [1, 2, 3], **LABELS, worst=5, best="max")
    said = [text.get_text() for text in other.axes[0].get_legend().get_texts()]
    assert said[0].startswith("best: 1e+30")
    assert said[1] == "diverged: 1 of 3"


def test_a_sweep_in_which_all_diverged():
    figure = plotting.heat_map(np.full((2, 1), np.nan), [1, 2], [3], **LABELS)
    ax = figure.axes[0]
    (text,) = ax.get_legend().get_texts()
    assert text.get_text() == "diverged: 2 of 2"
    assert len(ax.lines) == 0


# ---- memory --------------------------------------------------------------------------


def pieces(ax):
    """The bytes of each piece by bar and kind, and the totals that are written."""
    bars = [text.get_text() for text in ax.get_yticklabels()]
    found = {}
    for container in ax.containers:
        for bar, patch in zip(bars, container, strict=True):
            if patch.get_width():
                found[bar, container.get_label()] = round(patch.get_width() * 1024)
    return found, [text.get_text().strip() for text in ax.texts]


def test_memory_by_leaf_and_by_slot(ax):
    plan = adamx.memory_plan(adamx.adam(1e-3), PARAMS)
    wanted = {(row.leaf, row.slot): row.bytes for row in plan.rows}
    figure = plotting.memory(plan, unit="KiB", ax=ax)
    assert figure is ax.figure
    found, totals = pieces(ax)
    assert found == wanted
    assert totals == ["48 KiB", "0.03906 KiB"]
    assert ax.get_xlabel() == "state of the optimizer (KiB)"
    assert (
        ax.get_title(loc="left") == "48.04 KiB for 6,149 parameters, 8.001 bytes each"
    )
    shades = [lightness(c.patches[0].get_facecolor()) for c in ax.containers]
    assert abs(np.diff(shades)).min() > 10
    by_slot, totals = pieces(plotting.memory(plan, by="slot").axes[0])
    assert by_slot == {(slot, leaf): size for (leaf, slot), size in wanted.items()}
    assert totals == ["24.02 KiB", "24.02 KiB"]


def test_memory_of_several_plans():
    plain = adamx.adam(1e-3)
    plans = {
        "float32": adamx.memory_plan(plain, PARAMS),
        "8 bits": adamx.memory_plan(adamx.store(plain, nu=Blockwise()), PARAMS),
    }
    found, _ = pieces(plotting.memory(plans, unit="KiB").axes[0])
    for name, plan in plans.items():
        for slot in ("mu", "nu"):
            size = sum(row.bytes for row in plan.rows if row.slot == slot)
            assert found[name, slot] == size


def test_many_leaves_are_summed_up_with_their_number():
    many = {
        f"w{i:02}": jax.ShapeDtypeStruct((99 * i + 99,), jnp.float32) for i in range(30)
    }
    ax = plotting.memory(adamx.memory_plan(adamx.adam(1e-3), many), unit="KiB").axes[0]
    bars = [text.get_text() for text in ax.get_yticklabels()]
    assert len(bars) == 20
    assert bars[-1] == "others (11)"
    found, _ = pieces(ax)
    assert found["others (11)", "mu"] == 99 * 4 * sum(range(1, 12))


# ---- histograms ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept():
    """A state whose mu is kept in 4 bits and nu in 8, of leaves of odd lengths."""
    params = {"a": jnp.ones((3, 131)), "b": jnp.ones(40)}
    codecs = [Blockwise(bits=bits, min_size=0) for bits in (4, 8)]
    tx = adamx.store(adamx.adam(1e-3), mu=codecs[0], nu=codecs[1])
    random = np.random.default_rng(0)
    grads = {k: random.standard_normal(p.shape, np.float32) for k, p in params.items()}
    grads["b"][:8] = 0
    step = jax.jit(lambda grads: tx.update(grads, tx.init(params), params)[1])
    return params, step(grads)


def test_histograms_of_slots_and_codes(kept, ax):
    params, state = kept
    figure = plotting.histograms(state, params, ax=ax)
    assert figure is ax.figure
    mu, mu_codes, nu, nu_codes = figure.axes[2:]
    values = {
        name: np.concatenate(
            [np.ravel(x) for x in jax.tree.leaves(adamx.slots(state, name, params))]
        )
        for name in ("mu", "nu")
    }
    count = 3 * 131 + 40
    for panel, name in ((mu, "mu"), (nu, "nu")):
        for bars, sign in zip(panel.containers, (1, -1), strict=False):
            sizes = np.log10(np.abs(values[name][np.sign(values[name]) == sign]))
            edges = [bar.get_x() for bar in bars]
            edges.append(edges[-1] + bars[0].get_width())
            shares = np.histogram(sizes, edges)[0] / count * 100
            heights = [sign * bar.get_height() for bar in bars]
            assert sum(heights) == pytest.approx(100 * len(sizes) / count)
            np.testing.assert_allclose(heights, shares, atol=100 * 2.1 / count)
        assert panel.get_xlabel() == f"log10 of |{name}|"
        assert panel.get_ylabel() == "elements (%)"
    assert len(nu.containers) == 1
    zeros = 100 * (values["mu"] == 0).mean()
    assert mu.get_title(loc="left") == f"mu, {count} elements, {zeros:.1f} % zero"
    up, down = (bars[0] for bars in mu.containers)
    assert not up.get_hatch()
    assert down.get_hatch()

    (bars,) = nu_codes.containers
    heights = np.array([bar.get_height() for bar in bars])
    codes = np.concatenate(
        [np.ravel(x) for x in jax.tree.leaves(state.slots["nu"]["codes"])]
    )
    np.testing.assert_allclose(heights, 100 * np.bincount(codes, minlength=256) / count)
    used = len(set(codes.tolist()))
    assert nu_codes.get_title(loc="left") == f"codes of nu, 8 bits: {used} of 256 used"

    (bars,) = mu_codes.containers
    at = [round(bar.get_x() + bar.get_width() / 2) for bar in bars]
    assert at == list(range(-7, 8))
    # a code is 0 where the decoded number is, and has its sign
    for sign in (-1, 0, 1):
        share = sum(
            bar.get_height()
            for bar, k in zip(bars, at, strict=True)
            if np.sign(k) == sign
        )
        assert share == pytest.approx(100 * (np.sign(values["mu"]) == sign).mean())


def test_histograms_of_some_slots_without_codes(kept):
    params, _ = kept
    state = adamx.adam(1e-3).init(params)
    figure = plotting.histograms(state, params, slots=["nu"])
    _, panel = figure.axes
    assert panel.get_title(loc="left") == "nu, 433 elements, 100.0 % zero"
    assert [text.get_text() for text in panel.texts] == ["nothing to draw"]


# ---- errors, and what is imported ----------------------------------------------------

PLAN = adamx.memory_plan(adamx.sgd(1e-3), PARAMS)
WRONG = {
    "shape": (
        lambda: plotting.heat_map(np.ones((2, 3)), [1, 2, 3], [1, 2], **LABELS),
        r"must have the shape \(rows, columns\) = \(3, 2\), got \(2, 3\).* values.T",
    ),
    "twice": (
        lambda: plotting.heat_map(np.ones((2, 1)), [1, 1.0], [1], **LABELS),
        r"`rows` must be different hyperparameters, got \[1.0, 1.0\]",
    ),
    "best": (
        lambda: plotting.heat_map(np.ones((1, 1)), [1], [1], **LABELS, best="low"),
        "`best` must be 'min', 'max' or None, got 'low'",
    ),
    "log": (
        lambda: plotting.heat_map(-np.ones((1, 1)), [1], [1], **LABELS, log=True),
        "`log` must be left out or False",
    ),
    "b2": (
        lambda: plotting.bias_correction(b2=1.0),
        r"`b2` must lie in \[0, 1\), got 1.0",
    ),
    "steps": (lambda: plotting.bias_correction(steps=1), "at least 2, got 1"),
    "by": (lambda: plotting.memory(PLAN, by="part"), "'leaf' or 'slot', got 'part'"),
    "unit": (lambda: plotting.memory(PLAN, unit="MB"), "`unit` .* Did you mean 'MiB'?"),
    "plan": (lambda: plotting.memory(3), "what adamx.memory_plan returned, got 3"),
    "no plans": (lambda: plotting.memory({}), "got an empty dict"),
    "slot": (
        lambda: plotting.histograms(
            adamx.adam(1e-3).init(PARAMS), PARAMS, slots=["nue"]
        ),
        "slots: `name` must be a slot .* Did you mean 'nu'?",
    ),
    "no slots": (
        lambda: plotting.histograms(adamx.sgd(1e-3).init(PARAMS), PARAMS),
        "histograms: `state` must have slots",
    ),
    "no state": (lambda: plotting.histograms(3, PARAMS), "must hold the state of"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said(wrong):
    call, says = WRONG[wrong]
    with pytest.raises(adamx.AdamxError, match=says):
        call()


def test_a_place_that_cannot_be_divided_is_refused():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    ax = pyplot.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(adamx.AdamxError, match=r"must have a place in a grid"):
        plotting.bias_correction(ax=ax)


def test_a_new_figure_is_shown_once_in_a_notebook(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    plotting.memory(PLAN)
    assert len(pyplot.get_fignums()) == 1  # for pyplot.show in a script
    monkeypatch.setattr(pyplot, "get_backend", lambda: "inline")
    plotting.memory(PLAN)
    assert len(pyplot.get_fignums()) == 1


def test_importing_adamx_imports_no_pictures():
    code = (
        "import sys, adamx; assert 'plotting' in dir(adamx); "
        "assert not {'matplotlib', 'adamx.plotting'} & set(sys.modules); "
        "adamx.plotting.SURFACES; assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
