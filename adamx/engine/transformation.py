"""The base class of values that are Optax gradient transformations."""

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import optax
from jax.core import Tracer
from jaxtyping import Array

from . import hyperparams
from .calls import check_call
from .tree_checks import check_updates
from .value import Value, _restore

if TYPE_CHECKING:
    Init: TypeAlias = optax.TransformInitFn
    Update: TypeAlias = optax.TransformUpdateExtraArgsFn
else:  # protocols that cannot be checked at run time
    Init = Update = Callable


class Transformation(Value, optax.GradientTransformationExtraArgs):
    """Base of values that are `optax.GradientTransformationExtraArgs`.

    Equal transformations have the *same* `init` and `update` functions, so that
    `jax.jit(tx.update)` of equal ones traces once. Subclasses write `_init`, `_update`
    and, if their state is not a `State`, `steps`.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return tuple.__new__(cls, (None, None))  # the pair is the two properties below

    def __post_init__(self) -> None:
        hyperparams.check_fields(self)

    def __iter__(self) -> Iterator[Callable]:
        return iter((self.init, self.update))

    def __getitem__(self, i: Any) -> Any:
        return (self.init, self.update)[i]

    def _asdict(self) -> dict[str, Callable]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return {"init": self.init, "update": self.update}

    def _replace(self, **functions: Callable) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return optax.GradientTransformationExtraArgs(**self._asdict() | functions)

    @property
    def init(self) -> Init:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Initialise the state: `init(params) -> state`."""
        return _pair(self).init

    @property
    def update(self) -> Update:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Transform gradients: `update(updates, state, params=None, **extra)`.

        Returns the updates and the new state.
        """
        return _pair(self).update

    def _init(self, params: Any) -> Any:
        raise NotImplementedError

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        raise NotImplementedError

    def steps(self, state: Any) -> Array:
        """Return the number of steps taken, from the state."""
        return state.count

    def cast(self, dtype: Any) -> Any:
        """Return a copy with its array hyperparameters in `dtype`."""
        return hyperparams.cast(self, dtype)


# ---- one pair of functions for equal transformations -------------------------


class _Program:
    """The compiled update of all transformations that differ in arrays only."""

    def __init__(self, form: Any) -> None:
        def update(arrays: list, updates: Any, state: Any, params: Any, extra: Any):
            return form.unflatten(arrays)._update(updates, state, params, extra)

        self.run = update
        # inlined under jit; an eager call runs as one compiled program
        self.compiled = jax.jit(update, inline=True)


class _Pair:
    """The functions `init` and `update` of one transformation."""

    def __init__(self, tx: Transformation) -> None:
        arrays, form = jax.tree.flatten(tx)
        program = _interned(_programs, form, _Program)

        def init(params: Any) -> Any:
            return tx._init(params)

        def update(
            updates: Any, state: Any, params: Any = None, **extra: Any
        ) -> tuple[Any, Any]:
            check_call(updates, state, params)
            check_updates(updates)
            run = program.compiled if _all_data(extra) else program.run
            return run(arrays, updates, state, params, extra)

        self.init, self.update = init, update
        init.pair = update.pair = self  # pyright: ignore[reportFunctionMemberAccess]


def _all_data(extra: dict[str, Any]) -> bool:
    """Return whether a compiled program can take extra arguments (functions: no)."""
    return not extra or all(
        isinstance(x, jax.Array | float | int) or hasattr(x, "__array__")
        for x in jax.tree.leaves(extra)
    )


# weak: a pair lives as long as an equal transformation, or one of its functions, does
_pairs: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


_programs: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def _interned(known: Any, key: Any, make: Callable) -> Any:
    found = known.get(key)
    if found is None:
        found = known[key] = make(key)
    return found


def _pair(tx: Transformation) -> _Pair:
    if "_pair" not in tx.__dict__:
        fields = {name: getattr(tx, name) for name in tx._fields}
        twin = _restore(type(tx), fields)  # the key must not hold the pair
        traced = any(isinstance(x, Tracer) for x in jax.tree.leaves(tx))
        pair = _Pair(twin) if traced else _interned(_pairs, twin, _Pair)
        object.__setattr__(tx, "_pair", pair)
    return tx.__dict__["_pair"]
