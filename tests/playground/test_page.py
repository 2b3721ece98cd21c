"""`python -m adamx playground` as its user meets it: a file, sentences, exit codes.

`python -m docs.check_playground` opens the page in a browser.
"""

import re
import webbrowser

import pytest

import adamx
from adamx.__main__ import main
from adamx.playground import page, twins
from adamx.playground.equations import live


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page, as the command wrote it."""
    path = tmp_path_factory.mktemp("page") / "p.html"
    assert main(["playground", "--no-open", "--output", str(path)]) == 0
    return path.read_text("utf-8")


@pytest.fixture
def empty(monkeypatch):
    """A page with nothing in it, at once; the addresses that a browser was given."""
    opened = []
    monkeypatch.setattr(page, "page", lambda version: "<!doctype html>")
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or False)
    return opened


def test_the_page_needs_nothing_else(written):
    assert not re.findall(r"(?:src|href)=\"(?!data:)[^\"]*", written)
    assert not re.findall(r"https?://(?!www\.w3\.org/)|@import|url\(|fetch\(", written)
    assert written.count("<script>") == written.count("</script>") == 1
    assert not re.search(r"/\*(STYLE|SCRIPT)\*/|<!--[A-Z_]+-->", written)
    assert len(written.encode()) < 1_000_000


def test_the_page_has_every_optimizer_or_says_that_it_has_not(written):
    both = [*twins.names(), *twins.left_out()]
    assert sorted(both) == adamx.list_optimizers()
    assert [n for n in twins.names() if f"\n{n}: {{\n" not in written] == []
    said = re.search(r"Left out: (.*?)\.", written)[1]
    assert said.split(", ") == twins.left_out()
    assert "muon" in said


def test_the_file_is_named_and_opened(empty, tmp_path, capsys):
    path = tmp_path / "p.html"
    assert main(["playground", "--output", str(path)]) == 0
    assert empty == [path.as_uri()]
    said = capsys.readouterr().out
    assert f"Written: {path}" in said
    assert "No browser was found here" in said
    assert main(["playground", "--no-open"]) == 0
    assert len(empty) == 1
    assert "playground.html" in capsys.readouterr().out


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("p.txt", r"--output \S*p.txt: the page is HTML; end the path in .html."),
        ("none/p.html", r"there is no folder '\S*none'; make it first."),
        ("folder.html", r"cannot be written there \(Is a directory\); give the path"),
    ],
)
def test_a_path_that_cannot_be_written(output, said, tmp_path, capsys):
    (tmp_path / "folder.html").mkdir()
    assert main(["playground", "--output", str(tmp_path / output)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("python -m adamx playground: --output ")
    assert re.search(said, shown)


def test_the_equations_have_the_numbers_of_the_sliders():
    marked = live(adamx.adam(1e-3))
    wanted = {("h", "b1"), ("rest", "b1"), ("h", "b2"), ("rest", "b2"), ("h", "eps")}
    wanted |= {("h", "learning_rate")}
    assert set(re.findall(r'<mn data-(\w+)="(\w+)">', marked)) == wanted
    assert "sliders" not in marked


def test_equations_with_computed_numbers_say_so():
    """AdaPNM has b1², of which no slider is a part."""
    shown = live(adamx.adapnm(1e-3))
    assert "those of the start, not the sliders'" in shown
    assert "<mn>0.81</mn>" in shown
    assert "data-h" not in shown


@pytest.mark.parametrize(
    ("name", "value", "scale"),
    [
        ("learning_rate", 1.0, "rate"),
        ("b2", 0.999, "fraction"),
        ("eps", 1e-8, "small"),
        ("eps", 0.0, ""),
        ("alpha", 5.0, ""),
    ],
)
def test_the_scale_of_a_slider(name, value, scale):
    assert page.scale(name, value) == scale
