"""Labelled rows: `sparse` and `digits`, which ship with adamx, or a user's `.npz` file.

`digits` are 8 × 8 pictures of hand-written digits with 17 grey levels. `sparse` says
the same in numbers that no single learning rate fits: a column of zeros and ones for
each pixel and each two grey levels, most of them almost always zero, beside the pixels
themselves in units that differ by 100.

A file holds two arrays: `x`, numbers of shape `(n, features)`, `(n, height, width)` or
`(n, height, width, channels)`, and `y`, `n` integer labels from 0. The split is fixed:
the rows are shuffled by NumPy's frozen `RandomState(0)`, and one fifth of them, rounded
down, is the test set (digits: 1,438 to train with, 359 to test with). Pictures are
shifted and scaled by the mean and standard deviation of all numbers in the training
set; `sparse` is taken as it is.
"""

import dataclasses
import importlib.resources
import pathlib
import zipfile

import numpy as np

from .usage_error import UsageError

TEST_SHARE = 5  # one row in so many
LAYOUT = (
    "a file made by np.savez(path, x=x, y=y): x numbers of shape (n, features), "
    "(n, height, width) or (n, height, width, channels), y n integer labels from 0"
)
SHIPPED = ("sparse", "digits")
FEWEST = 10
WHITE = 16  # the highest grey level of a digit
SCALES = (0.1, 10.0)  # the smallest and the largest unit of a pixel in `sparse`
MOST_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class Data:
    """A split data set: float32 rows and int32 labels."""

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one picture."""
        return self.x_train.shape[1:]


def load(source: str) -> Data:
    """`sparse`, `digits`, or the path of a file with the layout above."""
    if source in SHIPPED:
        held = importlib.resources.files("adamx.race") / "digits.npz"
        with importlib.resources.as_file(held) as path:
            x, y = _read(path, source)
        if source == "sparse":
            return split(source, sparse_features(x), y, scale=False)
        return split(source, x, y)
    path = pathlib.Path(source)
    if not path.is_file():
        raise UsageError(
            f"--data {source}: there is no such file; give `sparse`, `digits` or the "
            f"path of {LAYOUT}."
        )
    x, y = _read(path, source)
    _check(x, y, source)
    return split(path.stem, x, y)


def sparse_features(digits: np.ndarray) -> np.ndarray:
    """The features of `sparse`: 512 of zeros and ones, and 64 pixels in unlike units.

    Column 8 i + j is one where pixel i has the grey level 2 j + 2 or 2 j + 3 (16: the
    last). The units go from 0.1 to 10 in equal ratios, in an order that is shuffled
    once and for all.
    """
    levels = digits.reshape(len(digits), -1).astype(int)
    pairs = WHITE // 2
    rare = levels[:, :, None] // 2 == np.arange(1, pairs + 1)
    units = np.geomspace(*SCALES, levels.shape[1])
    np.random.RandomState(0).shuffle(units)
    return np.concatenate([rare.reshape(len(digits), -1), levels / WHITE * units], 1)


def split(name: str, x: np.ndarray, y: np.ndarray, *, scale: bool = True) -> Data:
    """The fixed split; `scale` shifts and scales the rows as the training set is."""
    frozen = np.random.RandomState(0)
    order = frozen.permutation(len(x))
    test, train = np.split(order, [len(x) // TEST_SHARE])
    mean, spread = 0.0, 1.0
    if scale:
        mean, spread = x[train].mean(dtype=np.float64), x[train].std(dtype=np.float64)
    if spread == 0:
        raise UsageError(
            f"--data {name}: every number of `x` is {mean:g}, so that there is nothing "
            "to learn; give pictures that differ."
        )
    scaled = ((x - mean) / spread).astype(np.float32)
    y = y.astype(np.int32)
    classes = int(y.max()) + 1
    return Data(name, scaled[train], y[train], scaled[test], y[test], classes)


def _read(path: pathlib.Path, source: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with open(path, "rb") as file:
            held = np.load(file, allow_pickle=False)
            if isinstance(held, np.ndarray):
                raise UsageError(
                    f"--data {source}: holds one bare array; give {LAYOUT}."
                )
            if missing := [key for key in ("x", "y") if key not in held.files]:
                found = ", ".join(held.files) or "nothing"
                raise UsageError(
                    f"--data {source}: lacks `{missing[0]}` (found: {found}); "
                    f"give {LAYOUT}."
                )
            return held["x"], held["y"]
    except UsageError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise UsageError(
            f"--data {source}: cannot be read as an .npz file ({reason}); "
            f"give {LAYOUT}."
        ) from error


def _check(x: np.ndarray, y: np.ndarray, source: str) -> None:
    """Refuses what cannot be trained on."""

    def refuse(what: str, remedy: str) -> None:
        raise UsageError(f"--data {source}: {what}; {remedy}.")

    if x.dtype.kind not in "buif":
        refuse(f"`x` has dtype {x.dtype}", "give real numbers")
    if y.ndim == 2 and y.shape[1] > 1 and ((y == 0) | (y == 1)).all():
        refuse(
            f"the labels `y` have shape {y.shape} and hold zeros and ones, one column "
            "for each class (one-hot)",
            "give the numbers of the classes: y.argmax(1)",
        )
    if y.ndim == 2 and y.shape[1] == 1:
        refuse(f"the labels `y` have shape {y.shape}", "give a vector: y[:, 0]")
    if y.dtype.kind not in "ui":
        refuse(f"the labels `y` have dtype {y.dtype}", "give integers: y.astype(int)")
    if x.ndim not in (2, 3, 4):
        refuse(f"`x` has shape {x.shape}", "give (n, features) or (n, height, width)")
    if y.shape != x.shape[:1]:
        refuse(
            f"`y` has shape {y.shape} where `x` has shape {x.shape}",
            f"give one label for each row, shape ({len(x)},)",
        )
    if len(x) < FEWEST or 0 in x.shape:
        refuse(f"`x` has shape {x.shape}", f"give at least {FEWEST} rows")
    if not np.isfinite(x).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        place = ", ".join(map(str, at))
        refuse(f"x[{place}] is {x[at]}", "remove or replace the rows that have it")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= MOST_CLASSES:
        refuse(
            f"the labels `y` go from {low} to {high}",
            f"number the classes from 0 and use at most {MOST_CLASSES}",
        )
    if low == high:
        refuse(f"every label of `y` is {low}", "give at least two classes")
