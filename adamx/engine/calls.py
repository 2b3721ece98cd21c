"""Errors for what stands in the wrong place of `update`.

They are raised while tracing, so the compiled step contains none.
"""

from typing import Any

import jax

from .. import errors
from .state import State

_ORDER = "Call tx.update(updates, state, params)."


def check_call(updates: Any, state: Any, params: Any) -> None:
    """Raise an error if the arguments of `update` cannot stand in this order."""
    if isinstance(updates, State):
        raise errors.type_error(
            "update", "`updates` must be the gradients", "the state", _ORDER
        )
    if isinstance(state, State) and isinstance(state.count, jax.ShapeDtypeStruct):
        raise errors.type_error(
            "update",
            "`state` must hold arrays",
            "the shapes of a state, as adamx.abstract_state returns them",
            "Restore it from a checkpoint, or call tx.init(params).",
        )
    kind = type(state)
    module = kind.__module__.split(".")[0]
    if module == "optax":
        raise errors.type_error(
            "update",
            "`state` must be the state that `init` returned",
            f"an Optax {kind.__name__}",
            "Convert it with adamx.restore(tx, state, params).",
        )
    if kind not in (dict, list, tuple, type(None)):
        return
    if isinstance(params, State):
        got = "it in the place of the parameters"
    elif kind is tuple and any(map(_is_optax, state)):
        raise errors.type_error(
            "update",
            "`state` must be the state that `init` returned",
            f"an Optax tuple of {', '.join(type(x).__name__ for x in state)}",
            "Convert it with adamx.restore(tx, state, params).",
        )
    elif state is None:
        got = "None"
    elif jax.tree.structure(state) == jax.tree.structure(updates):
        got = f"a {kind.__name__} with the structure of the updates"
    else:
        got = f"a {kind.__name__}"
    raise errors.type_error(
        "update", "`state` must be the state that `init` returned", got, _ORDER
    )


def _is_optax(x: Any) -> bool:
    return type(x).__module__.split(".")[0] == "optax"
