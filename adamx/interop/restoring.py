"""Restoring."""

from typing import Any


def to_optax_state(optax_tx: Any, state: Any, params: Any) -> Any:
    raise NotImplementedError
