"""The race's data: what ships, how it is split, and every file that is refused."""

import hashlib
import importlib.resources

import numpy as np
import pytest

from adamx.race import data
from adamx.race.usage_error import UsageError

FOLDER = importlib.resources.files("adamx.race")


def test_digits_ship_with_their_licence():
    held = FOLDER / "digits.npz"
    assert len(held.read_bytes()) < 100_000
    licence = (FOLDER / "LICENSE-digits").read_text()
    assert "BSD 3-Clause License" in licence
    assert "The scikit-learn developers" in licence


def test_digits_are_split_once_and_for_all():
    """The labels of the split, in order: another shuffle would be another race."""
    digits = data.load("digits")
    assert (len(digits.x_train), len(digits.x_test)) == (1438, 359)
    assert (digits.shape, digits.classes) == ((8, 8), 10)
    labels = np.concatenate([digits.y_test, digits.y_train]).astype(np.uint8)
    digest = hashlib.sha256(labels.tobytes()).hexdigest()
    assert digest.startswith("0f9ffd7948cafb39")
    assert np.bincount(digits.y_test).min() >= 27


def test_sparse_says_the_same_in_rare_columns_and_unlike_units():
    """Built here from one picture at a time."""
    digits, sparse = data.load("digits"), data.load("sparse")
    assert (sparse.shape, sparse.classes) == ((576,), 10)
    np.testing.assert_array_equal(sparse.y_test, digits.y_test)
    with np.load(FOLDER / "digits.npz") as held:
        pictures = held["x"].reshape(-1, 64)
    rows = {row.tobytes() for row in np.concatenate([sparse.x_train, sparse.x_test])}
    units = []
    for picture in pictures[:20].astype(int):
        expected = np.zeros(512)
        for pixel, level in enumerate(picture):
            if level >= 2:
                expected[8 * pixel + min(level, 16) // 2 - 1] = 1
        (row,) = [
            np.frombuffer(held, np.float32)
            for held in rows
            if (np.frombuffer(held, np.float32)[:512] == expected).all()
        ]
        lit = picture > 0
        unit = np.full(64, np.nan)
        unit[lit] = 16 * row[512:][lit] / picture[lit]
        assert (row[512:][~lit] == 0).all()
        units.append(unit)
    units = np.stack(units)
    seen = ~np.isnan(units).all(0)
    assert np.nanmax(units[:, seen], 0) == pytest.approx(np.nanmin(units[:, seen], 0))
    lowest, highest = np.nanmin(units), np.nanmax(units)
    assert lowest >= 0.0999
    assert highest <= 10.0001
    assert highest / lowest > 50


def test_split_keeps_every_row_once():
    x = np.random.default_rng(0).normal(size=(53, 4))
    held = data.split("rows", x, np.arange(53))
    assert sorted([*held.y_train, *held.y_test]) == list(range(53))
    assert len(held.y_test) == 10
    mean, spread = x[held.y_train].mean(), x[held.y_train].std()
    np.testing.assert_allclose(held.x_test * spread + mean, x[held.y_test], atol=1e-6)
    np.testing.assert_allclose(held.x_train.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(held.x_train.std(), 1, atol=1e-6)


def test_a_file_is_read(tmp_path):
    path = tmp_path / "mine.npz"
    x = np.arange(120, dtype=np.uint8).reshape(20, 2, 3, 1)
    np.savez(path, x=x, y=np.arange(20, dtype=np.int64) % 3)
    held = data.load(str(path))
    assert (held.name, held.shape, held.classes) == ("mine", (2, 3, 1), 3)
    assert held.x_train.dtype == np.float32
    assert held.y_train.dtype == np.int32


X, Y = np.arange(40.0).reshape(20, 2), np.arange(20) % 4


def with_nan(value):
    x = X.copy()
    x[3, 1] = value
    return x


REFUSED = {
    "lacks x": ({"images": X, "y": Y}, r"lacks `x` \(found: images, y\); give a file"),
    "lacks y": ({"x": X}, r"lacks `y` \(found: x\); give a file"),
    "nan": ({"x": with_nan(np.nan), "y": Y}, r"x\[3, 1\] is nan; remove or replace"),
    "inf": ({"x": with_nan(np.inf), "y": Y}, r"x\[3, 1\] is inf; remove or replace"),
    "rank": ({"x": X[:, 0], "y": Y}, r"`x` has shape \(20,\); give \(n, features\)"),
    "rows": ({"x": X, "y": Y[:7]}, r"`y` has shape \(7,\) where .* shape \(20,\)"),
    "onehot": (
        {"x": X, "y": np.eye(4, dtype=int)[Y]},
        r"`y` have shape \(20, 4\) and hold zeros and ones, .*; .* y\.argmax\(1\)",
    ),
    "column": (
        {"x": X, "y": Y[:, None]},
        r"`y` have shape \(20, 1\); give a vector: y\[:, 0\]",
    ),
    "float labels": ({"x": X, "y": Y / 2}, r"`y` have dtype float64; give integers"),
    "negative": (
        {"x": X, "y": Y - 1},
        "labels `y` go from -1 to 2; number the classes",
    ),
    "many": ({"x": X, "y": Y * 1000}, "from 0 to 3000; .* use at most 1000"),
    "one class": ({"x": X, "y": Y * 0}, "every label of `y` is 0; give at least two"),
    "text": ({"x": X.astype(str), "y": Y}, "`x` has dtype <U32; give real numbers"),
    "few": ({"x": X[:3], "y": Y[:3]}, r"`x` has shape \(3, 2\); give at least 10 rows"),
    "constant": ({"x": X * 0 + 7, "y": Y}, "every number of `x` is 7, .* that differ"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_on_is_refused(case, tmp_path):
    arrays, sentence = REFUSED[case]
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(UsageError, match=sentence):
        data.load(str(tmp_path / "mine.npz"))


@pytest.mark.parametrize("contents", [b"", b"no archive", b"PK\3\4cut"])
def test_malformed_files_are_refused(contents, tmp_path):
    (tmp_path / "bad.npz").write_bytes(contents)
    with pytest.raises(
        UsageError, match=r"bad\.npz: cannot be read as an \.npz file \("
    ):
        data.load(str(tmp_path / "bad.npz"))


def test_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path / "bad.npz", x=np.array([{}] * 20), y=Y)
    with pytest.raises(UsageError, match=r"cannot be read .*Object arrays"):
        data.load(str(tmp_path / "bad.npz"))


def test_one_bare_array_is_refused(tmp_path):
    np.save(tmp_path / "bad.npy", X)
    with pytest.raises(
        UsageError, match=r"bad\.npy: holds one bare array; give a file"
    ):
        data.load(str(tmp_path / "bad.npy"))


def test_a_missing_file_is_refused():
    with pytest.raises(
        UsageError, match=r"nope\.npz: there is no such file; give `sparse`"
    ):
        data.load("nope.npz")
