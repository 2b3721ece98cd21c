"""Tunable hyperparameters: kept in the state, read and changed between steps.

They are for trainers that hold the transformation as static (Flax `TrainState`,
`nnx.Optimizer`): values in the state can be changed without a recompile.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .. import errors
from ..engine.hyperparams import is_constant, public_name, rewrite
from ..engine.state import Slot, find_states
from ..engine.transformation import Transformation
from ..engine.tree import shared_dtype
from ..engine.value import Value, is_array


class Tuned(NamedTuple):
    """The state of a tunable transformation.

    Attributes:
        hyperparams: the current values by public name, which may be replaced.
        scheduled: the values of schedules at the last step; read only.
        inner: the state of the transformation.
    """

    hyperparams: dict[str, Array]
    scheduled: dict[str, Array]
    inner: Any


def _collect(tx: Transformation) -> dict[str, Any]:
    """Collect every hyperparameter of a transformation by its public name."""
    found: dict[str, list] = {}

    def note(owner: Value, field: str, value: Any) -> Any:
        found.setdefault(public_name(owner, field), []).append(value)
        return value

    rewrite(tx, note)
    return {name: _agreed(name, values) for name, values in found.items()}


class _Ambiguous:
    """Several hyperparameters of one name and different values."""

    def __init__(self, values: list) -> None:
        self.values = values


def _agreed(name: str, values: list) -> Any:
    first = values[0]
    same = all(v is first or (is_constant(v) and v == first) for v in values)
    return first if same else _Ambiguous(values)


class Tunable(Transformation):
    """Keep the hyperparameters `names` of `inner` in the state (see `tunable`)."""

    inner: Transformation
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"tunable({', '.join(map(repr, (self.inner, *self.names)))})"

    @functools.cached_property
    def _given(self) -> dict[str, Any]:
        known = _collect(self.inner)
        return {name: known[name] for name in self.names}

    def _with(self, values: dict[str, Array]) -> Any:
        def put(owner: Value, field: str, old: Any) -> Any:
            name = public_name(owner, field)
            return values.get(name, old)

        return rewrite(self.inner, put)

    def _free(self) -> dict[str, Array]:
        """Return the initial values of those that are not schedules."""
        dtype = shared_dtype()
        given = self._given.items()
        return {n: jnp.array(h, dtype) for n, h in given if not callable(h)}

    def _scheduled(self, count: Any) -> dict[str, Array]:
        dtype = shared_dtype()
        given = self._given.items()
        return {n: jnp.asarray(h(count), dtype) for n, h in given if callable(h)}

    def _in_order(self) -> Iterator[tuple[Any, frozenset]]:
        return self.inner._in_order()

    def slots(self) -> dict[str, Slot]:
        return self._with(self._free()).slots()

    def steps(self, state: Tuned) -> Array:
        return self.inner.steps(state.inner)

    def _init(self, params: Any) -> Tuned:
        free = self._free()
        inner = self._with(free)._init(params)
        return Tuned(free, self._scheduled(self.inner.steps(inner)), inner)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Tuned]:
        now = self._with(state.hyperparams)
        scheduled = self._scheduled(self.steps(state))
        updates, inner = now._update(updates, state.inner, params, extra)
        return updates, Tuned(state.hyperparams, scheduled, inner)


def tunable(tx: Any, *names: Any) -> Tunable:
    """Return the same optimizer with the named hyperparameters in its state.

    `hyperparams(state)` reads them, and `replace_hyperparams(state, learning_rate=…)`
    changes them without a recompile. A named schedule stays a schedule: its value at
    the last step can be read, but not replaced.

    Args:
        tx: an adamx transformation.
        *names: public names of hyperparameters, such as "learning_rate", "b1".

    Raises:
        ValueError: no name, a name that the transformation does not have, or one that
            means several different values.
        TypeError: `tx` is not an adamx transformation.
    """
    if not isinstance(tx, Transformation):
        raise errors.type_error(
            "tunable",
            "`tx` must be an adamx transformation",
            repr(tx),
            "For others there is optax.inject_hyperparams.",
        )
    known = _collect(tx)
    if not names:
        raise errors.AdamxError(
            f"tunable: at least one hyperparameter must be named, got none. "
            f"{errors.suggest('', known)}"
        )
    for name in names:
        if name not in known:
            raise errors.AdamxError(
                f"tunable: every name must be a hyperparameter of {tx!r}, "
                f"got {name!r}. "
                f"{errors.suggest(name, known)}"
            )
        if isinstance(known[name], _Ambiguous):
            raise errors.AdamxError(
                f"tunable: {name!r} must mean one value in {tx!r}, got "
                f"{known[name].values}. Make the parts tunable one by one."
            )
    return Tunable(tx, tuple(dict.fromkeys(names)))


def _is_tuned(x: Any) -> bool:
    return isinstance(x, Tuned)


def hyperparams(state: Any) -> dict[str, Array]:
    """Return the hyperparameters in a state, by public name, in any nesting.

    Raises:
        ValueError: the state holds none, or one name in two places.
    """
    values: dict[str, Array] = {}
    for tuned in find_states(state, Tuned):
        boxed = tuned.hyperparams | tuned.scheduled  # nnx keeps them in variables
        here = {name: jax.tree.leaves(box)[0] for name, box in boxed.items()}
        twice = sorted(values.keys() & here.keys())
        if twice:
            raise errors.AdamxError(
                f"hyperparams: each name must stand in one place of the state, got "
                f"{twice[0]!r} twice. Pass the part of the state that is meant."
            )
        values |= here
    if not values:
        raise errors.AdamxError(
            f"hyperparams: the state must come from adamx.tunable, got "
            f"{type(state).__name__}. Wrap the transformation: "
            f"tunable(tx, 'learning_rate')."
        )
    return values


def _like(value: Any, old: Array) -> Array:
    return jnp.asarray(value, old.dtype)


def replace_hyperparams(state: Any, **values: Any) -> Any:
    """Replace hyperparameters in a state, with the same structure and dtypes.

    Args:
        state: a state in which `tunable` transformations keep theirs, in any nesting.
        **values: new values by public name: numbers or scalar arrays.

    Raises:
        ValueError: a name the state does not hold or a schedule decides.
        TypeError: a value that is not one number.
    """
    known = hyperparams(state)
    free = {name for tuned in find_states(state, Tuned) for name in tuned.hyperparams}
    for name, value in values.items():
        if name not in known:
            raise errors.AdamxError(
                f"replace_hyperparams: every name must be in the state, got {name!r}. "
                f"{errors.suggest(name, known)}"
            )
        if name not in free:
            raise errors.AdamxError(
                f"replace_hyperparams: {name!r} must not be decided by a schedule, but "
                f"it is. Give the transformation a number instead of the schedule."
            )
        number = isinstance(value, float | int) and not isinstance(value, bool)
        array = is_array(value) and jnp.shape(value) == known[name].shape
        if not (number or array):
            raise errors.type_error(
                "replace_hyperparams",
                f"`{name}` must be one number, like the one in the state",
                repr(value),
                "Pass a Python number or an array of the same shape.",
            )

    def one(x: Any) -> Any:
        if not _is_tuned(x):
            return x
        new = {
            n: jax.tree.map(functools.partial(_like, values[n]), old)
            if n in values
            else old
            for n, old in x.hyperparams.items()
        }
        inner = jax.tree.map(one, x.inner, is_leaf=_is_tuned)
        return Tuned(new, x.scheduled, inner)

    return jax.tree.map(one, state, is_leaf=_is_tuned)
