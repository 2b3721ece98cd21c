"""Named surfaces, and paths of optimizers over them, drawn and animated."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import plotting
from tests.plotting.grey import lightness

PAIR = {"SGD": adamx.sgd(0.02), "Adam": adamx.adam(0.1)}


def hand_walked(height, tx, start, steps):
    """The same path as two lines of a trainer, step by step."""
    at = jnp.asarray(start, jnp.float32)
    state, path = tx.init(at), [at]
    for _ in range(steps):
        updates, state = tx.update(jax.grad(height)(at), state, at)
        path.append(at := optax.apply_updates(at, updates))
    return np.stack(path)


FORMULAS = {
    # what each formula is at (2, -1), by hand, and at the lowest points
    "rosenbrock": ((1 - 2) ** 2 + 100 * (-1 - 4) ** 2, 0),
    "beale": ((1.5 - 2 - 2) ** 2 + (2.25 - 2 + 2) ** 2 + (2.625 - 2 - 2) ** 2, 0),
    "himmelblau": ((4 - 1 - 11) ** 2 + (2 + 1 - 7) ** 2, 0),
    "rastrigin": (20 + 4 - 10 + 1 - 10, 0),
    "ill_conditioned": ((4 + 100) / 2, 0),
    "saddle": (4 / 2 + 1 / 4 - 1 / 2, -1 / 4),
}


def test_each_surface_is_its_formula():
    assert FORMULAS.keys() == plotting.SURFACES.keys()
    points = {
        name: np.array([(2.0, -1.0), surface.start, *surface.minima]).T
        for name, surface in plotting.SURFACES.items()
    }
    every = plotting.SURFACES.items()
    found = jax.jit(lambda at: {name: s.height(at[name]) for name, s in every})(points)
    for name, (at_point, lowest) in FORMULAS.items():
        surface, heights = plotting.SURFACES[name], found[name]
        np.testing.assert_allclose(heights[0], at_point, rtol=1e-5)
        np.testing.assert_allclose(heights[2:], lowest, atol=1e-4, err_msg=name)
        for (low, high), places in zip(
            (surface.x, surface.y), points[name], strict=True
        ):
            assert (low < places[1:]).all(), name
            assert (places[1:] < high).all(), name
        assert np.isfinite(heights[1])
        assert getattr(plotting, name) is surface.height


def test_a_path_is_that_of_a_trainer():
    path = plotting.trajectory("beale", adamx.adam(0.1), steps=5)
    start = plotting.SURFACES["beale"].start
    by_hand = hand_walked(plotting.beale, adamx.adam(0.1), start, 5)
    np.testing.assert_allclose(path, by_hand, rtol=1e-5)
    rates = jnp.array([0.1, 0.2])
    both = jax.vmap(lambda r: plotting.trajectory("beale", adamx.adam(r), steps=5))(
        rates
    )
    assert both.shape == (2, 6, 2)
    np.testing.assert_allclose(both[0], path, rtol=1e-5)


def test_a_line_search_is_given_what_it_asks_for():
    path = plotting.trajectory("ill_conditioned", optax.lbfgs(), steps=12)
    np.testing.assert_allclose(path[-1], [0, 0], atol=1e-3)


def test_paths_and_names_are_drawn(ax):
    figure = plotting.surface_paths("beale", PAIR, steps=20, ax=ax, heights=False)
    assert figure is ax.figure
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert (ax.get_xlim(), ax.get_ylim()) == plotting.SURFACES["beale"][1:3]
    assert [text.get_text() for text in ax.texts] == ["start", "SGD", "Adam"]
    lines = {line.get_label(): line for line in ax.lines}
    for name, tx in PAIR.items():
        path = plotting.trajectory("beale", tx, steps=20)
        np.testing.assert_array_equal(lines[name].get_xydata(), path)
    looks = [(lines[n].get_marker(), lines[n]._unscaled_dash_pattern) for n in PAIR]
    assert looks[0][0] != looks[1][0]
    assert looks[0][1] != looks[1][1]
    stars = [
        line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "*"
    ]
    assert stars == [[[3.0, 0.5]]]
    # names do not cover each other
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_ground_gets_lighter_with_height_and_has_a_scale():
    figure = plotting.surface_paths("saddle", PAIR, steps=2)
    ax, bar = figure.axes
    assert bar.get_ylabel() == "height above the lowest shown"
    assert [t.get_text() for t in bar.get_yticklabels()] == [
        "0.001",
        "0.01",
        "0.1",
        "1",
    ]
    filled = ax.collections[0]
    shades = [lightness(filled.cmap(filled.norm(x))) for x in (1e-4, 0.01, 0.1, 1)]
    assert (np.diff(shades) > 3).all()


def test_a_function_of_the_user_is_shown_around_its_paths():
    def bowl(at):
        return jnp.sum(at**2, axis=0)

    figure = plotting.surface_paths(
        bowl,
        {"in": adamx.sgd(0.9), "far": adamx.sgd(5.0), "nan": adamx.sgd(1e30)},
        (1, 2),
        3,
        x=(-3, 3),
    )
    ax = figure.axes[0]
    assert ax.get_xlim() == (-3, 3)
    down = plotting.trajectory(bowl, adamx.sgd(0.9), (1, 2), 3)[:, 1]
    low, high = ax.get_ylim()
    margin = 0.15 * (2 - down.min())
    np.testing.assert_allclose([low, high], [down.min() - margin, 2 + margin])
    said = [text.get_text() for text in ax.texts]
    assert said == ["start", "in", "far (left the picture)", "nan (diverged)"]


def test_an_animation_shows_the_paths_up_to_each_step():
    film = plotting.surface_animation(
        "beale", {"start": adamx.adam(0.1)}, steps=10, frames=3, seconds=1.5
    )
    ax = film._fig.axes[0]
    line = next(line for line in ax.lines if line.get_label() == "start")
    path = plotting.trajectory("beale", adamx.adam(0.1), steps=10)
    assert list(film.new_frame_seq()) == [0, 5, 10]
    assert film._interval == 500
    film._func(5)
    np.testing.assert_array_equal(line.get_xydata(), path[:6])
    assert ax.get_title(loc="right") == "step 5 of 10"

    page = film._repr_html_()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page.replace("http://www.w3.org", "")
    assert 'class="fa ' not in page
    assert {"‖", "▶", "◀"} <= set(page)


def test_an_animation_is_saved_by_pillow(tmp_path):
    image = pytest.importorskip("PIL.Image")
    film = plotting.surface_animation("beale", PAIR, steps=4, frames=2)
    film.save(tmp_path / "paths.gif", writer="pillow", dpi=40)
    saved = image.open(io.BytesIO((tmp_path / "paths.gif").read_bytes()))
    assert saved.n_frames == 2


WRONG = {
    "unknown surface": (
        lambda: plotting.surface_paths("rosenbrok", PAIR),
        "surface_paths: `surface` .* 'rosenbrok'. Did you mean 'rosenbrock'?",
    ),
    "no surface": (
        lambda: plotting.surface_paths(3, PAIR),
        "a function of .x, y., got 3",
    ),
    "one optimizer": (
        lambda: plotting.surface_paths("beale", adamx.adam(0.1)),
        r'`optimizers` must be a dict .* Pass for example {"Adam": adamx.adam\(0.1\)}',
    ),
    "no optimizer": (
        lambda: plotting.surface_paths("beale", {"Adam": adamx.adam}),
        r"`optimizers\['Adam'\]` must be a gradient transformation",
    ),
    "no start": (
        lambda: plotting.surface_paths(lambda at: at[0], PAIR),
        r"`start` must be a point \(x, y\), got None",
    ),
    "no steps": (
        lambda: plotting.trajectory("beale", PAIR["SGD"], steps=0),
        "least 1, got 0",
    ),
    "no range": (
        lambda: plotting.surface_paths("beale", PAIR, x=(2, 2)),
        r"`x` must be a range \(low, high\), got \(2, 2\)",
    ),
    "one frame": (
        lambda: plotting.surface_animation("beale", PAIR, frames=1),
        "surface_animation: `frames` must be an integer of at least 2, got 1",
    ),
    "no time": (
        lambda: plotting.surface_animation("beale", PAIR, seconds=0),
        "`seconds` must be above 0, got 0",
    ),
    "axes": (
        lambda: plotting.surface_paths("beale", PAIR, ax=np.zeros(2)),
        "`ax` must be one axes of Matplotlib, got an array .* one of them",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said(wrong):
    call, says = WRONG[wrong]
    with pytest.raises(adamx.AdamxError, match=says):
        call()
