"""`adamx.to_config` and `from_config`: a transformation as JSON, and back.

A value is `{"type": its class, ...its fields}`, a function of adamx `{"function":
name}`, a schedule `{"schedule": factory, ...arguments}`. Only names of adamx are read,
and the schedules of Optax: a configuration cannot run other code.
"""

import dataclasses
import functools
import inspect
import math
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.sharding import PartitionSpec

from .. import errors
from ..engine.chain import External, RuleSequence
from ..engine.hyperparams import Schedule, schedule
from ..engine.masks import (
    ByCallable,
    ByPredicate,
    ByRegex,
    ByTree,
    Stacks,
    as_mask,
)
from ..engine.value import Value, is_array, made_by, noted, restored, show
from ..parts.tree_axes import AxesByFunction, AxesByPattern
from ..sparse.catching_up import CatchUp
from ..sparse.row_counts import PerRow
from ..wrappers.fused import Fused
from ..wrappers.grouped import Rest
from ..wrappers.in_shard_map import InShardMap
from . import names

_UNLISTED = (RuleSequence, Fused, ByCallable, ByPredicate, ByRegex, Rest, Stacks)
_UNLISTED += (AxesByFunction, AxesByPattern, CatchUp, PerRow)
"""Classes of adamx without a public name, which functions such as `chain` make."""

_MARKS = ("type", "function", "schedule", "array", "number", "dtype", "precision")
_MARKS += ("tree", "spec")


@functools.cache
def _classes() -> dict[str, type]:
    listed = {n: x for n, x in names.public().items() if isinstance(x, type)}
    values = {n: x for n, x in listed.items() if issubclass(x, Value)}
    return values | {kind.__name__: kind for kind in _UNLISTED}


@functools.cache
def _schedules() -> dict[str, Any]:
    """Return the factories of schedules by name: those of Optax, and of adamx."""
    theirs = {
        f"optax.{name}": made
        for name, made in vars(optax.schedules).items()
        if inspect.isfunction(made) and name.endswith("schedule")
    }
    return theirs | {n: x for n, x in names.public().items() if inspect.isfunction(x)}


def to_config(tx: Any) -> dict[str, Any]:
    """Return a transformation as what `json.dumps` writes.

        text = json.dumps(adamx.to_config(adamx.adamw(1e-3)))
        tx = adamx.from_config(json.loads(text))

    All fields of all parts are written, so that a later version with other defaults
    builds the same. A schedule is written if it was made by `adamx.schedule` or is a
    function of adamx.

    Args:
        tx: an optimizer, chain, part, wrapper or codec of adamx.

    Raises:
        TypeError: something in it cannot be written: a lambda or another function of
            yours, a transformation of another library, a mesh, `in_shard_map`, a traced
            array. The message says where it is.
    """
    names.check_own("to_config", "tx", tx)
    version: str = sys.modules["adamx"].__version__
    return {"adamx": version, **_written(type(tx).__name__, tx)}


def _refused(where: str, what: str, got: str, remedy: str) -> errors.AdamxTypeError:
    return errors.type_error("to_config", f"`{where}` must be {what}", got, remedy)


def _written(where: str, x: Any) -> Any:
    if x is None or isinstance(x, bool | str):
        return x
    if isinstance(x, jax.lax.Precision):
        return {"precision": x.name}
    if isinstance(x, int):
        return x
    if isinstance(x, float):
        return x if math.isfinite(x) else {"number": repr(x)}
    if isinstance(x, Tracer):
        raise _refused(
            where, "a number", errors.shown(x), "Call to_config outside of jit."
        )
    if is_array(x):
        given = np.asarray(x)
        wide = given.astype(float) if given.dtype.kind == "V" else given
        return {"array": wide.tolist(), "dtype": str(given.dtype)}
    if isinstance(x, PartitionSpec):
        return {"spec": [_written(where, axes) for axes in x]}
    if isinstance(x, Value):
        return _written_value(where, x)
    if type(x) in (tuple, list):
        return [_written(f"{where}[{i}]", each) for i, each in enumerate(x)]
    if isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
        return {"dtype": str(np.dtype(x))}
    if callable(x):
        return _written_function(where, x)
    raise _refused(
        where,
        "of adamx, a number, a text, an array or None",
        errors.shown(x),
        "Leave it out, and add it to what from_config returns.",
    )


def _written_value(where: str, x: Value) -> dict[str, Any]:
    if isinstance(x, Schedule):
        name = _name_of(x.factory, _schedules())
        if name is None:
            raise _refused(
                where,
                "a schedule whose factory is one of optax.schedules or of adamx",
                repr(x),
                "Pass such a factory to adamx.schedule.",
            )
        given = {n: _written(f"{where}.{n}", v) for n, v in x.arguments}
        return {"schedule": name, **given}
    if isinstance(x, ByTree):
        tree = x.structure.unflatten(x.leaves)
        return {"tree": _written_tree(where, tree)}
    if isinstance(x, InShardMap):
        raise _refused(
            where,
            "a transformation without a place on a mesh",
            f"in_shard_map(..., {x.specs!r})",
            "Put adamx.in_shard_map around what from_config returns.",
        )
    if isinstance(x, External):
        raise _refused(
            where,
            "a part of adamx",
            f"{x.name!r} of another library",
            "Use the counterpart of adamx, or put it around what from_config returns.",
        )
    if _classes().get(type(x).__name__) is not type(x):
        raise _refused(
            where,
            "of adamx itself",
            f"{show(x)} of the class {type(x).__module__}.{type(x).__name__}",
            "Put your own part around what from_config returns.",
        )
    fields = {
        f.name: _written(f"{where}.{f.name}", getattr(x, f.name))
        for f in dataclasses.fields(x)
        if f.init
    }
    made = {"made_by": list(made_by(x))} if made_by(x) else {}
    return {"type": type(x).__name__, **fields, **made}


def _read_axes(axes: Any) -> Any:
    return tuple(axes) if isinstance(axes, list) else axes


def _written_tree(where: str, tree: Any) -> Any:
    if isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        return {key: _written_tree(where, each) for key, each in tree.items()}
    if type(tree) is list:
        return [_written_tree(where, each) for each in tree]
    if tree is None or isinstance(tree, bool):
        return tree
    raise _refused(
        where,
        "a tree of dicts, lists and bools",
        errors.shown(tree),
        "Write the mask as a pattern of paths.",
    )


def _written_function(where: str, x: Callable[..., Any]) -> dict[str, Any]:
    name = _name_of(x, names.public())
    if name is None:
        raise _refused(
            where,
            "a function of adamx",
            errors.shown(x),
            "Write a schedule by adamx.schedule and its factory, a mask as a pattern.",
        )
    return {"function": name}


def _name_of(x: Any, known: dict[str, Any]) -> str | None:
    return next((name for name, thing in known.items() if thing is x), None)


def from_config(config: Any) -> Any:
    """Build the transformation that `to_config` wrote.

    Args:
        config: what `to_config` returned, also after `json.dumps` and `json.loads`.

    Raises:
        ValueError: a name or a field that adamx does not have, or a value out of its
            range; the message has the nearest name.
        TypeError: it is no such dict.
    """
    if not isinstance(config, dict) or "adamx" not in config or "type" not in config:
        raise errors.type_error(
            "from_config",
            "`config` must be what adamx.to_config returned",
            errors.shown(config),
            "Read a text by json.loads first.",
        )
    node = {name: x for name, x in config.items() if name != "adamx"}
    return _read(str(config["type"]), node)


def _read(where: str, x: Any) -> Any:
    if isinstance(x, list):
        return tuple(_read(f"{where}[{i}]", each) for i, each in enumerate(x))
    if not isinstance(x, dict):
        return x
    mark = next((name for name in _MARKS if name in x), None)
    readers = {
        "type": _read_value,
        "schedule": _read_schedule,
        "function": lambda where, x: _known(where, x["function"], names.public()),
        "array": lambda where, x: jnp.asarray(x["array"], _dtype(where, x)),
        "number": lambda where, x: float(x["number"]),
        "dtype": _dtype,
        "precision": lambda where, x: jax.lax.Precision[x["precision"]],
        "tree": lambda where, x: as_mask(where, x["tree"]),
        "spec": lambda where, x: PartitionSpec(*map(_read_axes, x["spec"])),
    }
    if mark is None:
        raise errors.AdamxError(
            f"from_config: `{where}` must have one of the keys "
            f"{', '.join(map(repr, _MARKS))}, got {errors.shown(x)}. Write it by "
            f"adamx.to_config."
        )
    return readers[mark](where, x)


def _dtype(where: str, x: dict[str, Any]) -> Any:
    try:
        return jnp.dtype(x["dtype"])
    except (TypeError, KeyError):
        raise errors.AdamxError(
            f"from_config: `{where}` must have a dtype of JAX, got "
            f"{errors.shown(x.get('dtype'))}. Write for example 'float32'."
        ) from None


def _known(where: str, name: Any, table: dict[str, Any]) -> Any:
    if not isinstance(name, str) or name not in table:
        raise errors.AdamxError(
            f"from_config: `{where}` must be a name of adamx, got "
            f"{errors.shown(name)}. {errors.suggest(str(name), table)}"
        )
    return table[name]


def _read_schedule(where: str, x: dict[str, Any]) -> Schedule:
    factory = _known(where, x["schedule"], _schedules())
    given = {n: _read(f"{where}.{n}", v) for n, v in x.items() if n != "schedule"}
    return schedule(factory, **given)


def _read_value(where: str, x: dict[str, Any]) -> Any:
    kind = _known(where, x["type"], _classes())
    known = [f.name for f in dataclasses.fields(kind) if f.init]
    given = {}
    for name, value in x.items():
        if name in ("type", "made_by"):
            continue
        if name not in known:
            raise errors.AdamxError(
                f"from_config: `{where}` must have fields of {kind.__name__}, got "
                f"{name!r}. {errors.suggest(name, known)}"
            )
        given[name] = _read(f"{where}.{name}", value)
    made = [n for n in x.get("made_by", ()) if n in names.public()]
    try:
        checked = kind(**given)
    except TypeError as error:
        if isinstance(error, errors.AdamxTypeError):
            raise
        raise errors.AdamxError(
            f"from_config: `{where}` must have all fields of {kind.__name__}, got "
            f"{', '.join(given) or 'none'}. Its fields are {', '.join(known)}."
        ) from None
    # what was written had been made fit already, and is not put into a mask again
    kept = {n: x for n, x in given.items() if isinstance(x, Value)}
    fields = {name: getattr(checked, name) for name in kind._fields}
    return noted(restored(kind, fields | kept), *made)
