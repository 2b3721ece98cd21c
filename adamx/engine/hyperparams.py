"""Hyperparameters: a Python number, an array, or a schedule of the steps taken.

A number is a constant of the compiled program. An array is data: it can be traced,
mapped and differentiated. A schedule is called once per update with the number of steps
already taken (from 0, as in Optax). The metadata of a field says whether it is a
hyperparameter, and its range.
"""

import dataclasses
import inspect
import numbers
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import errors
from ..errors import Interval
from . import options
from .options import option as option
from .value import Value, is_array

if TYPE_CHECKING:
    Hyper: TypeAlias = Any
    ScalarOrSchedule: TypeAlias = (
        float | Array | np.ndarray | np.number | Callable[[Any], Any]
    )
else:
    Hyper = Annotated[Any, "number, array or schedule"]
    ScalarOrSchedule = Annotated[Any, "scalar or schedule"]
"""`Hyper` annotates a field of a rule that is a hyperparameter, `ScalarOrSchedule` the
argument of a function that becomes one. Both stand for a number, an array or a
schedule, and what is none of these is an error when the rule is built. To a type
checker a field may be anything, since its value is used in arithmetic; an argument may
not."""

FRACTION = Interval(0.0, 1.0, "[)")
UNIT = Interval(0.0, 1.0, "[]")
NON_NEGATIVE = Interval(0.0, float("inf"), "[)")
POSITIVE = Interval(0.0, float("inf"), "()")
REAL = Interval(float("-inf"), float("inf"), "()")


def hyper(
    default: Any = dataclasses.MISSING,
    *,
    allowed: Interval | str = REAL,
    public: str | Callable[[Any], str] | None = None,
    or_part: type | tuple[type, ...] = (),
    kw_only: bool = False,
    data: bool = False,
    scheduled: bool = True,
) -> Any:
    """Declare a field of a rule as a hyperparameter, with its range and public name.

        class MyRule(adamx.Rule):
            b1: adamx.Hyper = adamx.hyper(0.9, allowed="[0, 1)", public="momentum")

    A field that is annotated with `adamx.Hyper` and has a plain default, or none, is a
    hyperparameter for which every real number is allowed.

    Args:
        default: the default value: a number, an array or a schedule.
        allowed: the interval in which a Python number must lie, such as "[0, 1)",
            "(0, inf)"; the values of arrays and schedules are not checked, as they
            are not known when the rule is built.
        public: the name used by `adamx.tunable`, `adamx.hyperparams` and error
            messages; a string, a function of the rule, or None for the field's name.
        or_part: classes whose instances are also accepted.
        kw_only: whether it must be given by keyword.
        data: whether eager calls may pass a number as an array, so that another number
            needs no other program; the slots must not depend on it.
        scheduled: whether it may be a schedule; False for a number at which a slot
            starts, since `init` takes no step.

    Raises:
        ValueError: `allowed` is not an interval.
    """
    if isinstance(allowed, str):
        allowed = Interval.parse(allowed)
    metadata = {"hyper": allowed, "or_part": or_part, "public": public, "data": data}
    metadata["scheduled"] = scheduled
    return dataclasses.field(default=default, metadata=metadata, kw_only=kw_only)


def declare_hyperparams(cls: type) -> None:
    """Declare the fields of a class that are annotated with `Hyper`."""
    for name, annotation in inspect.get_annotations(cls).items():
        named = isinstance(annotation, str) and annotation.split(".")[-1] == "Hyper"
        if annotation is not Hyper and not named:
            continue
        default = cls.__dict__.get(name, dataclasses.MISSING)
        if not isinstance(default, dataclasses.Field):
            setattr(cls, name, hyper(default))


class Schedule(Value):
    """Hold a schedule as a value: `factory(**arguments)`, called when needed."""

    factory: Callable[..., Any]
    arguments: tuple[tuple[str, Any], ...]

    def __call__(self, count: Any) -> Any:
        return self.factory(**dict(self.arguments))(count)

    def __repr__(self) -> str:
        from_module = _short_module(self.factory)
        given = (f"{name}={value!r}" for name, value in self.arguments)
        return f"schedule({', '.join((from_module, *given))})"


def _short_module(factory: Callable) -> str:
    module = factory.__module__.split(".")[0]
    return factory.__qualname__ if module == "adamx" else f"{module}.{factory.__name__}"


def schedule(factory: Any, **arguments: Any) -> Schedule:
    """Make a schedule that can be printed, compared, pickled and configured.

    `schedule(optax.cosine_decay_schedule, init_value=1e-3, decay_steps=100)` is
    the function of the steps taken that `optax.cosine_decay_schedule(...)` returns,
    as a value: two such schedules with equal arguments are equal.

    Args:
        factory: a function that returns a schedule, such as those of `optax.schedules`.
        **arguments: its arguments, by keyword.

    Raises:
        TypeError: `factory` is not callable or does not take the arguments.
    """
    if not callable(factory):
        raise errors.type_error(
            "schedule",
            "`factory` must be a function that returns a schedule",
            repr(factory),
            "Pass for example optax.cosine_decay_schedule and its arguments.",
        )
    arguments = {name: _frozen(value) for name, value in arguments.items()}
    made = Schedule(factory, tuple(arguments.items()))
    try:
        function: Any = factory(**arguments)
    except TypeError as error:
        raise errors.AdamxTypeError(f"schedule: {made!r} fails: {error}.") from None
    errors.check_schedule("schedule", errors.show_callable(factory), function)
    return made


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def check_fields(value: Value) -> None:
    """Check and normalise the arguments of a value that was just built."""
    for field in dataclasses.fields(value):
        given, where = getattr(value, field.name), type(value).__name__
        try:
            if "hyper" not in field.metadata:
                kept = _checked_option(where, field, given)
            elif isinstance(given, field.metadata["or_part"]):
                continue
            else:
                if not field.metadata["scheduled"]:
                    _check_start(where, field.name, given)
                kept = normalise(where, field.name, given, field.metadata["hyper"])
        except errors.AdamxError as error:
            public = public_name(value, field.name)
            raise errors.about_argument(error, given, public)  # noqa: B904  the same
        if kept is not given:
            object.__setattr__(value, field.name, kept)


def _checked_option(where: str, field: dataclasses.Field, given: Any) -> Any:
    if "part" in field.metadata or not field.init:
        return given
    bounds = field.metadata.get("option", options.ANY)
    return options.checked(where, field.name, field.type, bounds, given)


def normalise(where: str, name: str, value: Any, allowed: Interval) -> Any:
    """Return a hyperparameter as a float, array or schedule; else raise an error."""
    if is_array(value):
        if value.ndim == 0 and jnp.issubdtype(value.dtype, jnp.integer):
            return value.astype(float)
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise errors.type_error(
                where,
                f"`{name}` must be a real number, a floating array or a schedule",
                f"an array of dtype {value.dtype}",
                f"Pass {name}.astype(float).",
            )
        return value
    if isinstance(value, numbers.Real | np.number) and not isinstance(value, bool):
        number = errors.as_float(value)
        errors.check_number(where, name, number, allowed)
        return number
    if callable(value) and not isinstance(value, type):
        errors.check_schedule(where, name, value)
        return value
    raise errors.type_error(
        where,
        f"`{name}` must be a real number, a floating array or a schedule",
        errors.shown(value),
        _instead(name, value),
    )


def _check_start(where: str, name: str, value: Any) -> None:
    """Raise an error for a schedule or several numbers where a slot starts."""
    if callable(value) or (is_array(value) and value.ndim):
        raise errors.type_error(
            where,
            f"`{name}` must be one number, at which the state starts",
            errors.shown(value),
            f"Pass a number or an array of shape (), such as {name}=0.1.",
        )


def _instead(name: str, value: Any) -> str:
    """Say what to pass in place of what is no number."""
    if isinstance(value, str):
        try:
            return f"Pass a number: {name}={float(value):g}."
        except ValueError:
            return f"Pass a number such as {name}=0.001."
    if isinstance(value, dict):
        return "Parameters are passed to `init` of what this returns."
    if isinstance(value, tuple | list):
        return f"Pass one number; several runs at once are jax.vmap over {name}."
    return "A schedule is a function of the steps already taken."


def public_name(owner: Value, field: str) -> str:
    """Return the public name of a hyperparameter."""
    public: Any = owner.__dataclass_fields__[field].metadata.get("public")
    return str((public(owner) if callable(public) else public) or field)


def hyper_fields(value: Value) -> Iterator[str]:
    """Yield the field names of a value's own hyperparameters."""
    for field in dataclasses.fields(value):
        if "hyper" in field.metadata:
            yield field.name


def is_constant(x: Any) -> bool:
    """Return whether a hyperparameter is a number known when the program is built."""
    return isinstance(x, float)


def is_zero(x: Any) -> bool:
    """Return whether a hyperparameter is the number 0, so that its part is left out."""
    return is_constant(x) and x == 0.0


def rewrite(x: Any, change: Callable[[Value, str, Any], Any]) -> Any:
    """Replace every hyperparameter `h` of `x` and of its parts.

    `change(owner, field, h)` returns the new one. Unchanged parts are shared, and
    nothing is checked again.
    """
    if isinstance(x, Value):
        own = set(hyper_fields(x))
        new, changed = {}, False
        for name in x._fields:
            old = getattr(x, name)
            is_part = isinstance(old, Value) and not callable(old)
            if name in own and old is not None and not is_part:
                new[name] = change(x, name, old)
            else:
                new[name] = rewrite(old, change)
            changed = changed or new[name] is not old
        if not changed:
            return x
        made = type(x).__new__(type(x))
        for name, field in new.items():
            object.__setattr__(made, name, field)
        return made
    if isinstance(x, tuple) and type(x) is tuple:
        elements = tuple(rewrite(e, change) for e in x)
        same = all(a is b for a, b in zip(elements, x, strict=True))
        return x if same else elements
    return x


def interval_of(owner: Value, field: str, h: Any) -> errors.Interval:
    """Return where the hyperparameter in a field must lie, whatever it is now."""
    return owner.__dataclass_fields__[field].metadata["hyper"]


def by_name(
    x: Any, of: Callable[[Value, str, Any], Any] = lambda owner, field, h: h
) -> dict[str, list]:
    """Return every hyperparameter of `x` and of its parts, by its public name.

    Or of each what `of(owner, field, h)` returns, such as `interval_of`.
    """
    found: dict[str, list] = {}

    def note(owner: Value, field: str, h: Any) -> Any:
        found.setdefault(public_name(owner, field), []).append(of(owner, field, h))
        return h

    rewrite(x, note)
    return found


def at(x: Any, count: Array) -> Any:
    """Replace every schedule in `x` by its value at `count` steps taken."""

    def value(owner: Value, name: str, h: Any) -> Any:
        if is_array(h) or is_constant(h):
            return h
        return scheduled(type(owner).__name__, name, h, count)

    return rewrite(x, value)


def scheduled(where: str, name: str, schedule: Callable, count: Any) -> Array:
    """Return the value of a schedule, or raise an error if it is not one number."""
    returned = schedule(count)
    try:
        value = jnp.asarray(returned)
    except (TypeError, ValueError):
        value = None
    if value is None or value.shape or value.dtype == bool:
        raise errors.type_error(
            where,
            f"the schedule for `{name}` must return one number",
            repr(returned),
            "A hyperparameter is a scalar; use jax.vmap to run several.",
        )
    return value


def has_schedules(x: Any) -> bool:
    """Return whether a hyperparameter of `x` is a schedule."""
    found = False

    def look(owner: Value, name: str, h: Any) -> Any:
        nonlocal found
        found = found or not (is_array(h) or is_constant(h))
        return h

    rewrite(x, look)
    return found


def as_data(x: Any, dtype: Any) -> Any:
    """Replace the numbers of `x` that may be data by arrays, for eager calls.

    Programs of transformations that differ in them are then the same. `dtype` is
    float64 under x64 only: with a float64 array in a trace without x64, JAX 0.12 gives
    the program of a later call under x64 an argument of the wrong size.
    """

    def one(owner: Value, name: str, h: Any) -> Any:
        field = owner.__dataclass_fields__[name]
        return (
            np.asarray(h, dtype) if is_constant(h) and field.metadata.get("data") else h
        )

    return rewrite(x, one)


def cast(x: Any, dtype: Any) -> Any:
    """Cast the array hyperparameters of `x` to `dtype`."""
    return jax.tree.map(lambda a: a.astype(dtype), x)
