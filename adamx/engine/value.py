"""Values: frozen dataclasses that print, compare, pickle, and are JAX pytrees.

Rules, eps kinds, statistics, masks and schedules are all a `Value`. Fields that hold
arrays or other values are the leaves and branches of its pytree; all others are static.
"""

import dataclasses
import functools
import types
from typing import Any, ClassVar, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer


def is_array(x: Any) -> bool:
    """Return whether `x` is an array or a tracer."""
    return isinstance(x, jax.Array | np.ndarray)


def is_traced(*trees: Any) -> bool:
    """Return whether a leaf of the trees is being traced."""
    return any(isinstance(x, Tracer) for x in jax.tree.leaves(trees))


def _is_data(x: Any) -> bool:
    """Return whether a field is a branch of the pytree."""
    if isinstance(x, tuple) and not isinstance(x, Value):
        return any(map(_is_data, x))
    return isinstance(x, Value) or is_array(x)


def _split(x: Any) -> tuple[Any, Any]:
    """Split a field into (branch, static); tuples are split element by element."""
    if not _is_data(x):
        return None, x
    if isinstance(x, tuple) and not isinstance(x, Value):
        branches, statics = zip(*map(_split, x), strict=True)
        return branches, _Mixed(statics)
    return x, _DATA


def _join(branch: Any, static: Any) -> Any:
    if isinstance(static, _Mixed):
        return tuple(map(_join, branch, static.elements))
    return branch if static is _DATA else static


class _Marker:
    """Mark a field that is data, in the static half."""

    def __repr__(self) -> str:
        return "*"


_DATA = _Marker()


@dataclasses.dataclass(frozen=True)
class _Mixed:
    """The static half of a tuple field that holds data."""

    elements: tuple


@dataclass_transform(frozen_default=True)
class Value:
    """Base class of objects that are compared, printed and pickled by their fields.

    Subclasses become frozen dataclasses without a decorator. Values built by equal
    expressions are equal and have the same hash: arrays compare by shape, dtype and
    content, tracers by identity, and both hash by shape and dtype. `repr` returns the
    expression that builds the value.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]
    _fields: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # not `frozen=True`, which compiles two functions for each class
        dataclasses.dataclass(eq=False, repr=False)(cls)
        # the fields that printers of namedtuples (Equinox, treescope) show
        cls._fields = tuple(f.name for f in dataclasses.fields(cls))
        jax.tree_util.register_pytree_with_keys(
            cls, _flatten_with_keys, functools.partial(_rebuild, cls), _flatten
        )

    def __setattr__(self, name: str, value: Any) -> None:
        field = self.__dataclass_fields__.get(name)
        begins = field is not None and (
            field.init or field.default_factory is not dataclasses.MISSING
        )
        if name in self.__dict__ or not begins:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)  # once, in `__init__`

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __repr__(self) -> str:
        shown, positional = [], True
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not field.init or _is_default(field, value):
                positional = False
                continue
            positional = positional and not field.kw_only
            text = show(value)
            shown.append(text if positional else f"{field.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        (mine, shape), (theirs, other_shape) = map(jax.tree.flatten, (self, other))
        return shape == other_shape and all(map(same, mine, theirs))

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:
        if "_hash" not in self.__dict__:
            leaves, shape = jax.tree.flatten(self)
            form = tuple((np.shape(x), getattr(x, "dtype", None)) for x in leaves)
            object.__setattr__(self, "_hash", hash((shape, form)))
        return self.__dict__["_hash"]

    def __copy__(self) -> Any:
        return self

    def __reduce__(self) -> Any:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return restored, (type(self), fields)


def _is_default(field: dataclasses.Field, value: Any) -> bool:
    default = field.default
    if default is dataclasses.MISSING or is_array(value) or is_array(default):
        return False
    return type(value) is type(default) and value == default


def same(a: Any, b: Any) -> bool:
    """Return whether fields are equal: arrays by bits, tracers by identity."""
    if a is b:
        return True
    if not (is_array(a) and is_array(b)):
        return type(a) is type(b) and bool(a == b)
    if isinstance(a, Tracer) or isinstance(b, Tracer):
        return False
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


def show(x: Any) -> str:
    """Return the expression that builds `x`, if there is one."""
    if isinstance(x, Tracer):
        return f"Traced<{x.dtype}{list(x.shape)}>"
    if is_array(x):
        numbers = np.asarray(x).tolist()
        return f"jnp.array({numbers}, dtype={str(x.dtype)!r})"
    if isinstance(x, Value):
        return repr(x)
    if isinstance(x, tuple):
        return f"({', '.join(map(show, x))}{',' * (len(x) == 1)})"
    if isinstance(x, types.FunctionType | type):
        module = x.__module__.split(".")[0]
        return x.__name__ if module in ("adamx", "builtins") else _qualified(x, module)
    return repr(x)


def _qualified(function: Any, module: str) -> str:
    """Return a public name such as `optax.cosine_decay_schedule` for a function."""
    return f"{module}.{function.__qualname__}"


def restored(cls: Any, fields: dict[str, Any]) -> Any:
    """Rebuild a value without `__init__`, as its fields were checked already."""
    value = cls.__new__(cls)
    for name, field in fields.items():
        object.__setattr__(value, name, field)
    return value


_MADE_BY = "_made_by"


def noted(made: Any, *names: str) -> Any:
    """Note which functions of adamx made a value, outermost first.

    It is no field: values that were made otherwise are equal all the same, and what is
    computed from one does not have it. It tells what to cite (`adamx.describe`).
    """
    if names and isinstance(made, Value):
        known = dict.fromkeys((*names, *made_by(made)))
        object.__setattr__(made, _MADE_BY, tuple(known))
    return made


def made_by(value: Any) -> tuple[str, ...]:
    """Return which functions of adamx are known to have made a value."""
    return getattr(value, "__dict__", {}).get(_MADE_BY, ())


def _halves(value: Value) -> tuple[list, tuple]:
    known = value.__dict__.get("_statics")  # which fields are data, once unflattened
    branches, statics = [], []
    for i, name in enumerate(value._fields):
        field = getattr(value, name)
        if known is not None and known[i] is _DATA:
            branch, static = field, _DATA
        else:
            branch, static = _split(field)
        branches.append(branch)
        statics.append(static)
    return branches, tuple(statics)


def _flatten(value: Value) -> tuple[list, tuple]:
    return _halves(value)


def _flatten_with_keys(value: Value) -> tuple[list, tuple]:
    branches, statics = _halves(value)
    keys = map(jax.tree_util.GetAttrKey, value._fields)
    return list(zip(keys, branches, strict=True)), statics


def _rebuild(cls: type, statics: tuple, branches: Any) -> Any:
    names = cls._fields
    fields = map(_join, branches, statics)
    value = restored(cls, dict(zip(names, fields, strict=True)))
    object.__setattr__(value, "_statics", statics)
    return value
