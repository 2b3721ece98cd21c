"""Which slots of which optimizers each codec can hold; for the others, its error.

Every optimizer, each codec on every slot that it takes; two steps are traced, which
finds what does not fit. What is refused is refused by `adamx.store`, before anything
runs.
"""

from typing import Any

import jax
import jax.numpy as jnp

import adamx
from adamx.storage import BlockMean, Blockwise, Cast, RowColumnMeans
from benchmarks import roster

CODECS = {
    "bfloat16": Cast(jnp.bfloat16, "stochastic"),
    "float8": Cast(jnp.float8_e4m3fn, "stochastic"),
    "8 bits": Blockwise(min_size=0),
    "4 bits": Blockwise(4, min_size=0),
    "row and column means": RowColumnMeans(),
    "block means": BlockMean(),
}
PARAMS = {
    "kernel": jax.ShapeDtypeStruct((16, 32), jnp.float32),
    "bias": jax.ShapeDtypeStruct((32,), jnp.float32),
}


def slots_for(tx: Any, codec: Any) -> tuple[list[str], dict[str, str]]:
    """The slots of an optimizer that the codec takes, and the error for the others."""
    taken, refused = [], {}
    for name, slot in tx.slots().items():
        if slot.shared:
            continue
        try:
            adamx.store(tx, **{name: codec})
            taken.append(name)
        except ValueError as error:
            refused[name] = str(error)
    return taken, refused


def trace(tx: Any) -> None:
    """Two steps, without arithmetic; the state must be a fixed point."""
    extra = dict.fromkeys(roster.extra_arguments(tx), PARAMS)

    def steps(params: Any, extra: Any) -> Any:
        state = tx.init(params)
        updates, after = tx.update(params, state, params, **extra)
        shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), s) for s in (state, after)]
        if shapes[0] != shapes[1]:
            raise AssertionError(f"{tx!r}: the state changes its form: {shapes}")
        return tx.update(updates, after, params, **extra)

    jax.eval_shape(steps, PARAMS, extra)


def cell(optimizer: str, codec: Any) -> dict[str, Any]:
    tx = getattr(adamx, optimizer)(1e-3)
    taken, refused = slots_for(tx, codec)
    if taken:
        trace(adamx.store(tx, **dict.fromkeys(taken, codec)))
    return {"works": taken, "refused": sorted(refused)}


def table() -> dict[str, dict[str, Any]]:
    return {
        optimizer: {name: cell(optimizer, codec) for name, codec in CODECS.items()}
        for optimizer in roster.WITH_DIRECTION
        if any(not s.shared for s in getattr(adamx, optimizer)(1e-3).slots().values())
    }


def text(cells: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Lines of the table: the slots that work, and those refused in brackets."""

    def show(found: dict[str, Any]) -> str:
        refused = f"({', '.join(found['refused'])})" if found["refused"] else ""
        return " ".join(filter(None, [", ".join(found["works"]), refused])) or "–"

    head = ["optimizer", *CODECS]
    return [head] + [
        [optimizer, *(show(found) for found in row.values())]
        for optimizer, row in cells.items()
    ]
