"""Runs of torch.optim that were saved in the middle and continued.

`record_torch_states.py` wrote the files and says what is in them.
"""

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent / "torch_states"


class Run(NamedTuple):
    """One run, by the names of torch.

    Attributes:
        saved: the state_dict of each optimizer by its class, after the first steps.
        last: the same after all steps.
        start: the parameters before the first step.
        thetas: the parameters after the first steps, and after each step from there.
        gradients: those of all steps.
        rows: of gradients that are row-sparse, the rows at each step.
    """

    saved: dict[str, Any]
    last: dict[str, Any]
    start: dict[str, np.ndarray]
    thetas: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]


@functools.cache
def load(name: str) -> Run:
    """The run `name`. Its arrays are shared: do not write to them."""
    with np.load(HERE / "inputs.npz") as inputs, np.load(HERE / f"{name}.npz") as file:
        about = json.loads(str(file["about"]))
        thetas = {n[6:]: file[n] for n in file.files if n.startswith("theta/")}
        return Run(
            *(_state_dicts(file, which, about) for which in ("saved", "last")),
            start={n: inputs[f"{n}.theta"] for n in thetas},
            thetas=thetas,
            gradients={n: inputs[f"{n}.gradients"] for n in thetas},
            rows={n[5:]: file[n] for n in file.files if n.startswith("rows/")},
        )


def _state_dicts(file: Any, which: str, about: dict[str, Any]) -> dict[str, Any]:
    found = {kind: {"state": {}, "param_groups": g} for kind, g in about.items()}
    for name in file.files:
        if name.startswith(f"{which}/"):
            _, kind, number, key = name.split("/")
            found[kind]["state"].setdefault(int(number), {})[key] = file[name]
    return found
