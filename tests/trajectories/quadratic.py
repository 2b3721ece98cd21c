"""A problem whose gradient depends on the point, for methods that choose the point.

f_k(θ) = Σ h (θ - c_k)² / 2 with curvatures h from 1e-3 to 10 and a target c_k that is
another at each step, so that the gradient, h (θ - c_k), is noisy. At the steps from
ZERO_FROM to ZERO_TO it is exactly zero, and `matrix[0, 0]` never has another.

The recorders import this file by itself and write what it makes; the tests read that.
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "quadratic"
LEAVES = {"scalar": (), "vector": (3,), "matrix": (3, 2)}
STEPS = 100
ZERO_FROM, ZERO_TO = 14, 18


class Problem(NamedTuple):
    """Lists with an entry for each leaf; all but `theta` have a row for each step."""

    theta: list[np.ndarray]
    curvatures: list[np.ndarray]
    targets: list[np.ndarray]

    def gradient(self, k: int, thetas) -> list[np.ndarray]:
        """At step `k`, of each leaf, at its point in `thetas`."""
        rows = zip(thetas, self.curvatures, self.targets, strict=True)
        return [h[k] * (theta - c[k]) for theta, h, c in rows]


class Run(NamedTuple):
    """One recorded run; `paths` has a list of leaves for each sequence it records."""

    about: dict
    paths: dict[str, list[np.ndarray]]

    @property
    def options(self) -> dict:
        return self.about["options"]

    def rate(self, default: float):
        """The learning rate: a function of the step if it changed, else a number."""
        rates = self.about["rates"]
        return rates.__getitem__ if rates else self.options.get("lr", default)


def make() -> Problem:
    """The problem anew, from its seed."""
    random = np.random.default_rng(2405)
    theta, curvatures, targets = [], [], []
    for shape in LEAVES.values():
        h = 10.0 ** random.uniform(-3, 1, shape) * np.ones((STEPS, *shape))
        h[ZERO_FROM:ZERO_TO] = 0.0
        if len(shape) == 2:
            h[:, 0, 0] = 0.0
        theta.append(random.standard_normal(shape))
        curvatures.append(h)
        targets.append(0.5 + random.standard_normal((STEPS, *shape)))
    return Problem(theta, curvatures, targets)


def problem() -> Problem:
    """The recorded problem."""
    with np.load(FOLDER / "inputs.npz") as file:
        kinds = ("theta", "curvatures", "targets")
        return Problem(*([file[f"{kind}.{leaf}"] for leaf in LEAVES] for kind in kinds))


def load(name: str) -> Run:
    """The run `name`."""
    with np.load(FOLDER / f"{name}.npz") as file:
        about = json.loads(str(file["about"]))
        return Run(
            about,
            {
                sequence: [file[f"{sequence}.{leaf}"] for leaf in LEAVES]
                for sequence in about["sequences"]
            },
        )


def cosine(base: float, k: int) -> float:
    """A learning rate that falls to a tenth over the run."""
    return base * (0.1 + 0.9 * (1 + math.cos(math.pi * k / STEPS)) / 2)


def save(name: str, about: dict, paths: dict[str, list[np.ndarray]]) -> None:
    """Writes a run, or with the name "inputs" the problem, and says how large it is."""
    FOLDER.mkdir(exist_ok=True)
    about = {**about, "sequences": sorted(paths)}
    arrays = {
        f"{sequence}.{leaf}": path
        for sequence, leaves in paths.items()
        for leaf, path in zip(LEAVES, leaves, strict=True)
    }
    file = FOLDER / f"{name}.npz"
    np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)
    print(f"{file.name:<36}{file.stat().st_size:>7} bytes")
