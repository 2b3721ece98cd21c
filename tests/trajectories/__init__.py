"""Recorded trajectories of torch.optim, an implementation that is not ours.

`record_torch.py` wrote the files and says what is in them.
"""

import functools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).parent


class Recorded(NamedTuple):
    """One run: each dict has an entry for each leaf, `thetas` one row for each step."""

    optimizer: str
    options: dict  # as given
    defaults: dict  # all options, with torch's defaults
    rates: list[float] | None  # the learning rate of each step, if it changes
    torch: str  # version
    theta: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]
    thetas: dict[str, np.ndarray]


def names(folder: Path = HERE) -> list[str]:
    """Of the runs in a folder."""
    return sorted(p.stem for p in folder.glob("*.npz") if p.stem != "inputs")


@functools.cache
def load(name: str) -> Recorded:
    """The run `name`. Its arrays are shared: do not write to them."""
    with np.load(HERE / "inputs.npz") as inputs, np.load(HERE / f"{name}.npz") as run:
        leaves = [key for key in run.files if key != "about"]
        about = json.loads(str(run["about"]))
        return Recorded(
            **about,
            theta={leaf: inputs[f"{leaf}.theta"] for leaf in leaves},
            gradients={leaf: inputs[f"{leaf}.gradients"] for leaf in leaves},
            thetas={leaf: run[leaf] for leaf in leaves},
        )
