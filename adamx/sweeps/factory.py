"""A function of hyperparameters that makes the transformation, and its checks.

Users give a constructor, such as `adamx.adamw`, a function of their own, or a ready
transformation in which hyperparameters are replaced.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import errors
from ..engine.hyperparams import by_name, interval_of
from ..engine.transformation import Transformation
from ..wrappers.tunable import Tunable, tunable

Factory = Callable[..., Any]


def factory(where: str, tx: Any, names: tuple[str, ...]) -> Factory:
    """Return `tx` as a function of the hyperparameters `names`.

    Raises:
        ValueError: `tx` does not take one of the names, or needs another argument.
        TypeError: `tx` is neither callable nor a transformation of adamx.
    """
    if isinstance(tx, Transformation):
        return _replacing(where, tx, names)
    if not callable(tx):
        raise errors.type_error(
            where,
            "`tx` must be a function that makes the optimizer, such as adamx.adamw, "
            "or a transformation of adamx",
            errors.shown(tx),
            "For one of Optax write a function: lambda learning_rate: "
            "optax.adam(learning_rate).",
        )
    _check_signature(where, tx, names)
    return tx


def _replacing(where: str, tx: Transformation, names: tuple[str, ...]) -> Factory:
    bare = tx.inner if isinstance(tx, Tunable) else tx
    try:
        held = tunable(bare, *names)
    except errors.AdamxError as error:
        raise type(error)(str(error).replace("tunable", where, 1)) from None
    for name, value in held._given.items():
        if callable(value):
            raise errors.AdamxError(
                f"{where}: {name!r} must not be decided by a schedule of `tx`, but it "
                f"is. Pass a function that makes the schedule, such as lambda peak: "
                f"adamw(cosine_decay_schedule(peak, 1000)), and the grid of `peak`."
            )

    intervals = by_name(bare, interval_of)

    def make(**values: Any) -> Any:
        for name, value in values.items():
            for allowed in intervals[name] if isinstance(value, float) else ():
                errors.check_number(where, name, value, allowed)
        return held._with({name: jnp.asarray(x) for name, x in values.items()})

    return make


def _check_signature(where: str, make: Factory, names: tuple[str, ...]) -> None:
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):  # a builtin without a signature
        return
    shown = errors.show_callable(make)
    kinds = inspect.Parameter
    known = [
        p.name
        for p in signature.parameters.values()
        if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    ]
    open_ended = any(p.kind is kinds.VAR_KEYWORD for p in signature.parameters.values())
    for name in names:
        if name not in known and not open_ended:
            raise errors.AdamxError(
                f"{where}: every name of the grid must be an argument of {shown}, got "
                f"{name!r}. {errors.suggest(name, known)}"
            )
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        raise errors.AdamxError(
            f"{where}: {shown} must need no argument beside those of the grid, got "
            f"{listed_names(names)}: {error}. Put it into the grid, or bind it with "
            f"functools.partial({shown}, ...)."
        ) from None


def listed_names(names: tuple[str, ...]) -> str:
    return errors.listed(names) if names else "none"


def check_traceable(where: str, make: Factory, point: Mapping[str, float]) -> None:
    """Raise an error if the optimizer cannot be built with traced values.

    Raises:
        ValueError: such a name; the error names what may be swept.
    """
    failed = _refusal(make, {}, tuple(point))
    if failed is None:
        return
    alone = {name: _refusal(make, point, (name,)) for name in point}
    guilty = [name for name, error in alone.items() if error is not None]
    name = guilty[0] if guilty else next(iter(point))
    error = alone[name] or failed
    may = _traceable(make, point)
    those = f"Of {errors.show_callable(make)} these may be: {errors.listed(may)}. "
    raise errors.AdamxError(
        f"{where}: `{name}` must be a hyperparameter that may be an array (a rate, "
        f"decay, eps or weight), but the optimizer needs a Python value for it. "
        f"{those if may else ''}Call {where} once for each value instead. It said: "
        f"{errors.shorten(str(error), 200)}"
    ) from error


def _refusal(
    make: Factory, point: Mapping[str, float], names: tuple[str, ...]
) -> Exception | None:
    """Return the error of building the optimizer with `names` traced."""

    def built(*values: Any) -> int:
        make(**{**point, **dict(zip(names, values, strict=True))})
        return 0

    number = jax.ShapeDtypeStruct((), jnp.result_type(float))
    try:
        jax.eval_shape(built, *[number] * len(names))
    except Exception as error:
        return error
    return None


def _traceable(make: Factory, point: Mapping[str, float]) -> list[str]:
    """Return the arguments whose default is a float, or of the grid, that may be."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return []
    given = [p.name for p in parameters if p.name in point or type(p.default) is float]
    fixed = {
        p.name: point[p.name]
        for p in parameters
        if p.default is inspect.Parameter.empty and p.name in point
    }
    return [name for name in given if _refusal(make, fixed, (name,)) is None]


def check_values(make: Factory, points: list[dict[str, float]]) -> None:
    """Build the optimizer at each point, so that it refuses what is out of range.

    Under a trace values are not known, and would pass.
    """
    for point in points:
        make(**point)


def as_points(columns: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """Return columns as one dict of Python numbers for each row."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
