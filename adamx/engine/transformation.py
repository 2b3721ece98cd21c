"""The base class of values that are Optax gradient transformations."""

import contextlib
import contextvars
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import jax
import optax
from jaxtyping import Array

from .. import errors
from . import divisions, hyperparams, row_updates, tree, tree_checks
from .calls import check_call
from .value import Value, is_traced, restored

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

    takes_rows: ClassVar[bool] = True
    """Whether row-sparse gradients may be given to it, if its rules take them."""

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

    def _has_one_pass(self) -> bool:
        """Return whether `_in_one_pass` returns something, traced or fused."""
        return False

    def _in_one_pass(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any] | None:
        """Return the new parameters and the new state, computed in one pass over them.

        None if it has no such pass: its updates are then applied by another.
        """
        return None

    def _check_call(self, updates: Any, state: Any, params: Any) -> None:
        """Raise an error if the arguments of `update` cannot stand in this order."""
        check_call(updates, state, params)

    def _is_eager(self, state: Any) -> bool:
        """Return whether the count is known, so that schedules can be evaluated now."""
        return False

    def _at(self, state: Any) -> Any:
        """Return the transformation with its schedules evaluated at the known count."""
        return self

    def _in_order(self) -> Iterator[tuple[Any, frozenset]]:
        """Yield the rules that act one after another, each with its masks.

        A transformation that is no rule, and not made of rules, yields None.
        """
        yield None, frozenset()

    def steps(self, state: Any) -> Array:
        """Return the number of steps taken, from the state."""
        return state.count

    def cast(self, dtype: Any) -> Any:
        """Return a copy with its array hyperparameters in `dtype`."""
        return hyperparams.cast(self, dtype)


def is_transformation(x: Any) -> bool:
    """Return whether `x` is a gradient transformation, of adamx or another library."""
    return all(callable(getattr(x, name, None)) for name in ("init", "update"))


def check_transformation(where: str, tx: Any, remedy: str) -> None:
    """Raise TypeError if `tx` is no gradient transformation."""
    if not is_transformation(tx):
        raise errors.type_error(
            where, "`tx` must be a gradient transformation", errors.shown(tx), remedy
        )


# ---- which transformation made a state ------------------------------------------

_made: contextvars.ContextVar[list | None] = contextvars.ContextVar(
    "made", default=None
)


@contextlib.contextmanager
def noted() -> Iterator[list[tuple[Any, Any, Any]]]:
    """Note each transformation whose `init` is called, its parameters and its state.

    So a transformation is known that one of Optax has around it, and hides.
    """
    made: list[tuple[Any, Any, Any]] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


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
        scheduled = hyperparams.has_schedules(tx)

        def on_rows(updates: Any, state: Any, params: Any, extra: dict) -> Any:
            return update(updates, state, params, **extra)

        @functools.cache
        def numbers(dtype: Any) -> tuple[list, Any]:
            return jax.tree.flatten(hyperparams.as_data(tx, dtype))

        def init(params: Any) -> Any:
            params = tree_checks.as_arrays(params)
            state, made = tx._init(params), _made.get()
            if made is not None:
                made.append((tx, params, state))
            return state

        def update(
            updates: Any, state: Any, params: Any = None, **extra: Any
        ) -> tuple[Any, Any]:
            tx._check_call(updates, state, params)
            if row_updates.has_rows(updates):
                return row_updates.update(tx, updates, state, params, extra, on_rows)
            updates = tree_checks.as_arrays(updates)
            tree_checks.check_updates(updates)
            params = tree_checks.with_gradients(updates, params)
            now, here = arrays, program
            if tx._is_eager(state):
                wide = tree.shared_dtype()
                known = numbers(wide)
                if scheduled:
                    known = jax.tree.flatten(hyperparams.as_data(tx._at(state), wide))
                now, here = known[0], _eager_program(known[1])
            run = here.compiled if _all_data(extra) else here.run
            # seen here, and not where it is traced, if the axes of a mesh are Auto
            pieces = divisions.known_of(updates if params is None else params)
            with divisions.told(pieces, warns=True):
                return run(now, updates, state, params, extra)

        self.init, self.update = init, update
        init.pair = update.pair = self  # pyright: ignore[reportFunctionMemberAccess]


@functools.lru_cache(maxsize=128)
def _eager_program(form: Any) -> _Program:
    """Return the program of eager calls whose transformations differ in numbers only.

    It outlives them, since a loop over rates makes one transformation after another.
    """
    return _Program(form)


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
        twin = restored(type(tx), fields)  # the key must not hold the pair
        pair = _Pair(twin) if is_traced(tx) else _interned(_pairs, twin, _Pair)
        object.__setattr__(tx, "_pair", pair)
    return tx.__dict__["_pair"]
