"""States that a released form of adamx saved, with what the next step made of them.

`python -m tests.saved_states.record VERSION` writes `VERSION.npz`: for every optimizer,
storage and wrapper its configuration, its state after two steps, by path, and the
updates of the third. A file is written once for each release, and never again.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

import adamx
from adamx.parts import ClipByGlobalNorm
from adamx.storage import (
    BlockMean,
    Blockwise,
    Cast,
    DynamicMap,
    Logarithmic,
    RowColumnMeans,
)
from tests.table.cases import OPTIMIZERS, Case

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.npz"))
EIGHT, FOUR = (Blockwise(bits=bits, block=4, min_size=8) for bits in (8, 4))


def adam(**codecs: Any) -> Any:
    return adamx.store(adamx.adam(0.1), **codecs)


OTHERS = {
    "bfloat16": adam(mu=Cast(jnp.bfloat16), nu=Cast(jnp.bfloat16)),
    "8 bits": adam(mu=EIGHT, nu=EIGHT),
    "4 bits": adam(mu=FOUR, nu=FOUR),
    "dynamic map": adam(mu=Blockwise(block=4, min_size=8, code=DynamicMap())),
    "logarithmic": adam(nu=Blockwise(block=4, min_size=8, code=Logarithmic())),
    "rows and columns": adam(nu=RowColumnMeans()),
    "block means": adam(nu=BlockMean()),
    "tunable": adamx.tunable(adamx.adamw(0.1), "learning_rate"),
    "accumulate": adamx.accumulate(adamx.adam(0.1), 2),
    "observe": adamx.observe(adamx.adam(0.1), every=2),
    "groups": adamx.groups(
        [("dense", adamx.adamw(0.1)), ("blocks", None), ("gain", adamx.sgd(0.1, 0.9))]
    ),
    "stacked": adamx.stacked(adamx.muon(0.1), "blocks"),
    "clip and 8 bits": adamx.chain(ClipByGlobalNorm(1.0), adam(mu=EIGHT, nu=EIGHT)),
}
FORMS = {row.name: Case(row, row.variants[0]).tx for row in OPTIMIZERS} | OTHERS


class Saved(NamedTuple):
    """A state as nested dicts, the updates after it, and what made both."""

    config: dict | None  # None where a part is the tests' own
    state: dict[str, Any]
    updates: list[np.ndarray]


def by_path(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a tree by their paths."""
    found = jax.tree.leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(x)
        for path, x in found
    }


def packed(array: np.ndarray) -> tuple[str, np.ndarray]:
    """The name of a dtype, and the array in one that NumPy's files have."""
    name = str(array.dtype)
    known = array.dtype.kind in "fiub"
    return name, array if known else array.view(f"u{array.dtype.itemsize}")


def unpacked(name: str, array: np.ndarray) -> np.ndarray:
    return array.view(getattr(ml_dtypes, name)) if hasattr(ml_dtypes, name) else array


def load(file: Path) -> dict[str, Saved]:
    """What a file holds, by the name of the form."""
    found: dict[str, Saved] = {}
    with np.load(file) as held:
        for name, config in json.loads(str(held["configs"])).items():
            found[name] = Saved(config, {}, [])
        for key in held.files:
            if key == "configs":
                continue
            name, kind, path, dtype = key.split("|")
            array = unpacked(dtype, held[key])
            if kind == "updates":
                found[name].updates.append(array)
                continue
            *above, last = path.split("/")
            node = found[name].state
            for step in above:
                node = node.setdefault(step, {})
            node[last] = array
    return found
