"""Labelled rows and a model as a problem: cross-entropy, with dropout in training."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from benchmarks.training import data
from benchmarks.training.paper import models
from benchmarks.training.paper.problem import Problem


def classify(
    name: str,
    labelled: data.Labelled,
    init: Callable[[Any], Any],
    logits: Callable[..., Any],
    batch: int,
    dropped: float = 0.0,
    **others: Any,
) -> Problem:
    """`logits(params, x)`, and with `(key, rate)` behind them where a share is dropped.

    Measured without dropout: the loss and the share of errors.
    """
    x, y, x_test, y_test = (jnp.asarray(a) for a in labelled)

    def loss(params: Any, batch: Any, key: Any) -> Any:
        noise = (key, dropped) if dropped else ()
        return models.cross_entropy(logits(params, batch[0], *noise), batch[1])

    def measure(params: Any, batch: Any) -> Any:
        return models.scores(logits(params, batch[0]), batch[1])

    test = x_test, y_test
    return Problem(name, init, loss, (x, y), len(x), batch, test, measure, **others)
