"""The row of one compiled step in a record."""

import os
from typing import Any

import jax

from adamx.compiled import Target, compiled


def prepare() -> None:
    """Look for no accelerator. Call it before any array is made."""
    jax.config.update("jax_platforms", "cpu")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def row(
    tx: Any, shaped: Any, target: Target, step: Any = None
) -> tuple[dict[str, Any], str]:
    """The figures, and the text of the program; all bytes are per parameter."""
    done = compiled(tx, shaped, target, step)
    return {
        "kernels": done.kernels,
        "kernels run": done.kernels_run,
        "products": done.products,
        "products run": done.products_run,
        "collectives": done.collectives,
        "bytes": done.bytes,
        "ideal": done.ideal,
        "temporaries": done.temporaries,
        "seconds": done.seconds,
        "compile": done.compile_seconds,
    }, done.text
