"""Writes the states of this version: `python -m tests.saved_states.record VERSION`."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import adamx
from tests.saved_states import FORMS, HERE, by_path, packed
from tests.support.trees import grads, params


def recorded(tx: Any) -> tuple[Any, Any]:
    """The state after two steps, and the updates of the third."""
    p, state, step = params(), tx.init(params()), jax.jit(tx.update)
    for number in range(2):
        _, state = step(grads(number), state, p)
    return state, step(grads(2), state, p)[0]


def configuration(tx: Any) -> Any:
    """Its JSON form; None for what has a part of the tests' own."""
    try:
        return adamx.to_config(tx)
    except (ValueError, TypeError):
        return None


def main(arguments: Sequence[str]) -> int:
    (version,) = arguments
    path = HERE / f"{version}.npz"
    if path.exists():
        raise SystemExit(f"record: {path.name} is there: a release is recorded once.")
    arrays: dict[str, Any] = {}
    for name, tx in FORMS.items():
        for kind, tree in zip(("state", "updates"), recorded(tx), strict=True):
            for where, array in by_path(tree).items():
                dtype, numbers = packed(array)
                arrays[f"{name}|{kind}|{where}|{dtype}"] = numbers
    configs = {name: configuration(tx) for name, tx in FORMS.items()}
    arrays["configs"] = json.dumps(configs)
    np.savez_compressed(path, **arrays)
    missing = [name for name, config in configs.items() if config is None]
    print(f"{path.name}: {len(FORMS)} forms; without a configuration: {missing}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
