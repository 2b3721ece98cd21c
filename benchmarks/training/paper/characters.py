"""A causal transformer on windows of a text, one character after another."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.training import data, transformer
from benchmarks.training.data import shipped
from benchmarks.training.paper.problem import Problem

TESTED = 256  # windows, spread over the last tenth of the text


def problem(text: np.ndarray, size: transformer.Size, batch: int) -> Problem:
    """Trains on nine tenths of the text; the last one is the validation."""
    window, split = size.context + 1, len(text) * 9 // 10
    starts = np.linspace(0, len(text) - split - window, TESTED).astype(int)
    test = jnp.asarray(text[split:][starts[:, None] + np.arange(window)])

    def loss(params: Any, batch: Any, key: Any) -> Any:
        return transformer.loss(params, batch, size.heads)

    def measure(params: Any, batch: Any) -> dict[str, Any]:
        return {"loss": transformer.loss(params, batch, size.heads)}

    def pick(text: Any, at: Any) -> Any:
        return text[at[:, None] + jnp.arange(window)]

    return Problem(
        f"Shakespeare, transformer of {size.layers} × {size.width}",
        functools.partial(transformer.init, size=size),
        loss,
        jnp.asarray(text[:split]),
        split - window,
        batch,
        test,
        measure,
        pick=pick,
        test_rows=32,
    )


def plays(size: transformer.Size, batch: int) -> Problem:
    """The 38 plays."""
    text, alphabet = data.shakespeare()
    return problem(text, size._replace(alphabet=len(alphabet)), batch)


def small(batch: int = 4) -> Problem:
    """The two beginnings that ship here, with a transformer of one small layer."""
    text, alphabet = data.indexed("".join(shipped.plays()))
    size = transformer.Size(1, 16, 2, 16, len(alphabet))
    return problem(text, size, batch)
