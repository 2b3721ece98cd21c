"""Tunable hyperparameters: kept in the state, read and changed between steps.

They are for trainers that hold the transformation as static (Flax `TrainState`,
`nnx.Optimizer`): values in the state can be changed without a recompile.
"""

import functools
import numbers
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import errors
from ..engine.hyperparams import by_name, public_name, rewrite
from ..engine.nested import check_readable, find_by_group, map_by_group
from ..engine.paths import path_of
from ..engine.state import Slot, State, serializable
from ..engine.transformation import Transformation
from ..engine.tree import shared_dtype
from ..engine.value import Value, is_array, same
from . import tunable_ranges
from .around import Around


@serializable
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


class Tunable(Around):
    """Keep the hyperparameters `names` of `inner` in the state (see `tunable`)."""

    names: tuple[str, ...]

    takes_rows = True

    def __repr__(self) -> str:
        return f"tunable({', '.join(map(repr, (self.inner, *self.names)))})"

    @functools.cached_property
    def _given(self) -> dict[str, Any]:
        known = by_name(self.inner)  # `tunable` has checked that they are equal
        return {name: known[name][0] for name in self.names}

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

    def slots(self) -> dict[str, Slot]:
        return self._with(self._free()).slots()

    def _init(self, params: Any) -> Tuned:
        free = self._free()
        inner = self._with(free)._init(params)
        begun = Tuned(free, self._scheduled(self.inner.steps(inner)), inner)
        tunable_ranges.note(self.inner, begun)
        return begun

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Tuned]:
        now = self._now(state)
        updates, inner = now._update(updates, state.inner, params, extra)
        return updates, self._after(state, inner)

    def _has_one_pass(self) -> bool:
        return self.inner._has_one_pass()

    def _in_one_pass(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Tuned] | None:
        found = self._now(state)._in_one_pass(updates, state.inner, params, extra)
        return None if found is None else (found[0], self._after(state, found[1]))

    def _now(self, state: Any) -> Any:
        tunable_ranges.note(self.inner, state)
        return self._with(state.hyperparams)

    def _after(self, state: Any, inner: Any) -> Tuned:
        scheduled = self._scheduled(self.steps(state))
        return Tuned(state.hyperparams, scheduled, inner)


def tunable(tx: Any, *names: Any) -> Tunable:
    """Return the same optimizer with the named hyperparameters in its state.

    `hyperparams(state)` reads them, and `replace_hyperparams(state, learning_rate=…)`
    changes them without a recompile. A named schedule stays a schedule: its value at
    the last step can be read, but not replaced. A name that stands in several parts
    with equal values (schedules made by `adamx.schedule` compare by their arguments)
    is one hyperparameter.

    `flax.nnx.Optimizer` and other holders of a static transformation take no arrays in
    it: write `tunable(adam(1e-3), "learning_rate")`, with a number, and replace it in
    the state by the array.

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
    known = by_name(tx)
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
        first, *others = known[name]
        if not all(same(first, other) for other in others):
            raise errors.AdamxError(
                f"tunable: {name!r} must mean one value in {tx!r}, got "
                f"{known[name]}. Make the parts tunable one by one."
            )
    return Tunable(tx, tuple(dict.fromkeys(names)))


def hyperparams(state: Any) -> dict[str, Array]:
    """Return the hyperparameters in a state, by public name, in any nesting.

    A name in a group of `optax.partition` has its label before it, as in
    `decay/learning_rate`. In `adamx.groups` the first group that has a name tunable
    keeps it; that of another group has the group's number, `group2/learning_rate`.

    Raises:
        ValueError: the state holds none, or one name in two places.
    """
    check_readable("hyperparams", state, (Tuned, State))
    values: dict[str, Array] = {}
    for group, tuned in find_by_group(state, Tuned):
        boxed = tuned.hyperparams | tuned.scheduled  # nnx keeps them in variables
        here = {group + name: jax.tree.leaves(box)[0] for name, box in boxed.items()}
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


def _is_number(value: Any) -> bool:
    real = isinstance(value, numbers.Real | np.floating | np.integer)
    return real and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return is_array(value) and value.dtype != bool and not jnp.iscomplexobj(value)


def _like(value: Any, old: Array) -> Array:
    return jnp.asarray(value, old.dtype)


def replace_hyperparams(state: Any, **values: Any) -> Any:
    """Replace hyperparameters in a state, with the same structure and dtypes.

    Args:
        state: a state in which `tunable` transformations keep theirs, in any nesting.
        **values: new values by the names of `hyperparams`: numbers or scalar arrays. A
            number must lie in the range that the constructor allows; an array is not
            checked, as in the constructor. In a group:
            `**{"decay/learning_rate": 0.1}`.

    Raises:
        ValueError: a name the state does not hold or a schedule decides, or a number
            out of its range.
        TypeError: a value that is not one number.
    """
    known = hyperparams(state)
    holders = {
        group + name: (tuned, name)
        for group, tuned in find_by_group(state, Tuned)
        for name in tuned.hyperparams
    }
    for name, value in values.items():
        if name not in known:
            raise errors.AdamxError(
                f"replace_hyperparams: every name must be in the state, got {name!r}. "
                f"{errors.suggest(name, known)}"
            )
        if name not in holders:
            raise errors.AdamxError(
                f"replace_hyperparams: {name!r} must not be decided by a schedule, but "
                f"it is. Give the transformation a number instead of the schedule."
            )
        number = _is_number(value)
        array = _is_real(value) and jnp.shape(value) == known[name].shape
        if not (number or array):
            raise errors.type_error(
                "replace_hyperparams",
                f"`{name}` must be one number, like the one in the state",
                repr(value),
                "Pass a Python number or an array of the same shape.",
            )
        if number:
            holder, own = holders[name]
            tunable_ranges.check("replace_hyperparams", holder, own, float(value))

    def changed(fields: dict[str, Any], group: str) -> dict[str, Any]:
        def one(keys: Any, old: Any) -> Any:
            name = group + path_of(keys[:1])
            return _like(values[name], old) if name in values else old

        old = fields["hyperparams"]
        return {"hyperparams": jax.tree_util.tree_map_with_path(one, old)}

    return map_by_group(state, Tuned, changed)
