"""The state_dicts of optimizers in safetensors files."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

from ... import errors
from .names import as_array
from .param_groups import StateDicts

GROUPS = "param_groups"


def save_optimizers(path: str | Path, optimizers: StateDicts) -> None:
    """Write the state_dicts of a run into one safetensors file.

    The arrays are named `AdamW/0/exp_avg`: the class of the optimizer, the number or
    name of the parameter, and torch's name. The groups are in the metadata, as JSON.

    Args:
        path: the file.
        optimizers: the state_dict of each optimizer of the run, by its class.

    Raises:
        ImportError: the package safetensors is not installed.
        TypeError: an option of a group is not a number, a text, or a tuple of them.
    """
    arrays: dict[str, np.ndarray] = {}
    for kind, state_dict in optimizers.items():
        for number, kept in state_dict["state"].items():
            for key, x in kept.items():
                if x is None:
                    continue
                name = f"{kind}/{number}/{key}"
                array = as_array("save_optimizers", name, x)
                arrays[name] = np.array(array, order="C")
    groups = {kind: list(sd[GROUPS]) for kind, sd in optimizers.items()}
    metadata = {GROUPS: json.dumps(groups, default=_plain)}
    _package("save_optimizers").save_file(arrays, path, metadata)


def load_optimizers(path: str | Path) -> dict[str, dict[str, Any]]:
    """Return the state_dicts that `save_optimizers` wrote, with arrays of NumPy.

    Args:
        path: the file.

    Raises:
        ImportError: the package safetensors is not installed.
        ValueError: the file holds no groups.
    """
    package = _package("load_optimizers")
    with package.safe_open(path, "np") as file:
        groups = (file.metadata() or {}).get(GROUPS)
    if groups is None:
        raise errors.AdamxError(
            f"load_optimizers: the file must be one of save_optimizers, got {path} "
            f"without groups in its metadata. The weights of a model are read by "
            f"safetensors.numpy.load_file."
        )
    made: dict[str, dict[str, Any]] = {
        kind: {"state": {}, GROUPS: kept} for kind, kept in json.loads(groups).items()
    }
    for name, array in package.load_file(path).items():
        kind, rest = name.split("/", 1)
        number, key = rest.rsplit("/", 1)
        at = int(number) if number.isdecimal() else number
        made[kind]["state"].setdefault(at, {})[key] = array
    return made


def _plain(x: Any) -> Any:
    if hasattr(x, "__float__"):  # a rate that is a tensor
        return float(x)
    raise errors.type_error(
        "save_optimizers",
        "an option of a group must be a number or a text",
        errors.shown(x),
        "Take it out of the group.",
    )


def _package(where: str) -> Any:
    """Return the part of safetensors for NumPy."""
    if importlib.util.find_spec("safetensors") is None:
        raise ImportError(
            f"{where}: the package safetensors must be installed, got none. "
            f"Run: pip install 'adamx[safetensors]'."
        )
    return importlib.import_module("safetensors.numpy")
