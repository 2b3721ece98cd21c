"""Curves, paths and small pictures: what is drawn, not how it looks."""

import sys

import numpy as np
import pytest

from adamx import plotting as plots


@pytest.fixture
def ax():
    """An axes that no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.subplots()


def test_curves_draw_medians_and_ranges(ax):
    plots.tidy(ax, "title", x="steps", y="loss", log="y")
    seeds = np.array([[1.0, 2, 4], [1, 3, 3], [1, 9, 5]])
    plots.curves(ax, {"one": [3, 2, 1], "many": seeds}, [10, 20, 30])
    one, many = (line for line in ax.lines if len(line.get_xdata()) == 3)
    assert one.get_ydata().tolist() == [3, 2, 1]
    assert many.get_ydata().tolist() == [1, 3, 4]
    assert many.get_xdata().tolist() == [10, 20, 30]
    (band,) = ax.collections
    assert {9.0, 2.0} <= set(band.get_paths()[0].vertices[:, 1])
    assert [text.get_text() for text in ax.texts] == ["one", "many"]
    assert (ax.get_yscale(), ax.get_title(loc="left")) == ("log", "title")


def test_a_short_logarithmic_axis_has_labels_between_powers_of_ten(ax):
    plots.tidy(ax, log="xy")
    ax.set(xlim=(1, 8), ylim=(1, 1000))
    ax.figure.draw_without_rendering()
    short, long = (
        [x for x in (t.get_text() for t in axis.get_minorticklabels()) if x]
        for axis in (ax.xaxis, ax.yaxis)
    )
    assert {"2", "5"} <= set(short)
    assert long == []


def test_names_stand_beside_the_last_number(ax):
    plots.curves(ax, {"lost": [0.0, 1, np.nan], "kept": [0.0, 2, 2]})
    heights = {text.get_text(): text.xy[1] for text in ax.texts}
    top, bottom = 2 / 2 * 0.9 + 0.05, 1 / 2 * 0.9 + 0.05
    assert heights["kept"] == pytest.approx(top, abs=0.01)
    assert heights["lost"] == pytest.approx(bottom, abs=0.01)


def test_names_are_pushed_apart():
    places = plots.apart(np.array([0.1, 0.1, 0.11, 0.9]), gap=0.05)
    assert (np.diff(places) > 0.0499).all()
    assert places[-1] == 0.9


def test_paths_over_a_surface(ax):
    plots.surface(ax, lambda at: at[0] ** 2 + at[1] ** 2, (-1, 1), (-2, 2))
    walked = {name: np.linspace([1, 1], [0, i], 5) for i, name in enumerate("ab")}
    plots.paths(ax, walked)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-2, 2))
    labels = [line.get_label() for line in ax.lines]
    assert labels[:2] == ["a", "b"]
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), walked["b"])


def test_pictures_say_which_are_right(ax):
    plots.pictures(ax, np.eye(8).reshape(1, 8, 8).repeat(2, 0), [3, 5], [True, False])
    right, wrong = ax.texts
    assert (right.get_text(), wrong.get_text()) == ("3", "5")
    assert right.get_color() != wrong.get_color()
    assert ax.images[0].get_array().shape == (8, 18)


def test_a_missing_matplotlib_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    sentence = r'need matplotlib, which is not installed; .*"adamx\[plot\]"'
    with pytest.raises(ImportError, match=sentence):
        plots.panels()
