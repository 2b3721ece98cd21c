"""The parameters to evaluate, for the states of Optax's schedule-free as well."""

from typing import Any

import jax
import optax

from ..engine.state import State
from ..parts import parameter_averages
from .optax_states import share_of


def _is_schedule_free(x: Any) -> bool:
    return isinstance(x, optax.contrib.ScheduleFreeState)


def _as_adamx(x: Any) -> Any:
    """Return a state of Optax's schedule-free as a state of adamx."""
    if not _is_schedule_free(x):
        return x
    slots = {"z": x.z, "z_share": share_of(x)}
    inner = _every(x.base_optimizer_state)
    return State(x.step_count - 1, slots, {"base": inner})


def _every(state: Any) -> Any:
    return jax.tree.map(_as_adamx, state, is_leaf=_is_schedule_free)


def eval_params(state: Any, params: Any) -> Any:
    """Return the averaged parameters; of a state without an average, `params`.

    It finds the averages of adamx (`schedule_free`, `lookahead`, `param_ema`) and of
    `optax.contrib.schedule_free`, inside other states too:

        x = y + (1 - 1/β₁) (z - y)      (schedule-free; y are the parameters)

    Args:
        state: the state, on its own or inside others.
        params: the parameters that are trained.

    Raises:
        ValueError: two parts average the same leaf.
    """
    return parameter_averages.eval_params(_every(state), params)


def has_average(state: Any) -> bool:
    """Return whether a state has an average of the parameters."""
    leaves = jax.tree.leaves(_every(state), is_leaf=lambda x: isinstance(x, State))
    slots = [x.slots for x in leaves if isinstance(x, State)]
    return any(name.endswith("_share") for names in slots for name in names)
