"""Masks: which leaves a part acts on, by tree, callable, path predicate or path regex.

A mask is a value. `engine/tree.py` resolves it against the tree of parameters; a rule
only calls `ctx.selects(mask)`.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

import jax

from .. import errors
from .value import Value, show


def _is_none(x: Any) -> bool:
    return x is None


def path_of(keys: Any) -> str:
    """Return a leaf's path as text, such as `layers/0/kernel`."""
    return jax.tree_util.keystr(keys, simple=True, separator="/")


class Mask(Value):
    """Base class of masks: `resolve(tree)` returns bools in the structure of `tree`."""

    def resolve(self, tree: Any) -> Any:
        raise NotImplementedError


class ByTree(Mask):
    """Select leaves by a tree of bools like the parameters, or a prefix of one."""

    leaves: tuple[bool, ...]
    structure: Any

    def resolve(self, tree: Any) -> Any:
        whole = jax.tree_util.treedef_is_leaf(self.structure)
        if whole and not jax.tree_util.all_leaves([tree]):
            raise errors.AdamxError(
                f"mask: it must say which parameters, got {self.leaves[0]} for all. "
                f"Leave the part out, or pass None; inside optax.inject_hyperparams a "
                f"callable mask must be named in static_args."
            )
        return _spread(self.structure.unflatten(self.leaves), tree)

    def __repr__(self) -> str:
        return repr(self.structure.unflatten(self.leaves))


class ByCallable(Mask):
    """Select leaves by a function from the parameters to a tree of bools, as Optax."""

    function: Callable[[Any], Any]

    def resolve(self, tree: Any) -> Any:
        return _spread(self.function(tree), tree)

    def __repr__(self) -> str:
        return show(self.function)


class ByPredicate(Mask):
    """Select leaves by a predicate of their path and value."""

    function: Callable[[str, Any], bool]

    def resolve(self, tree: Any) -> Any:
        return _by_path(self.function, tree)

    def __repr__(self) -> str:
        return show(self.function)


class ByRegex(Mask):
    """Select the leaves in whose path the pattern is found (`re.search`)."""

    pattern: str

    def resolve(self, tree: Any) -> Any:
        found = re.compile(self.pattern).search
        return _by_path(lambda path, leaf: found(path) is not None, tree)

    def __repr__(self) -> str:
        return repr(self.pattern)


class Not(Mask):
    """Select the leaves that another mask does not select."""

    mask: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", as_mask("Not", self.mask))

    def resolve(self, tree: Any) -> Any:
        return jax.tree.map(lambda selected: not selected, self.mask.resolve(tree))


def _by_path(select: Callable[[str, Any], bool], tree: Any) -> Any:
    def one(keys: Any, leaf: Any) -> bool | None:
        if leaf is None:
            return None
        selected = select(path_of(keys), leaf)
        _check_bool(selected)
        return bool(selected)

    return jax.tree_util.tree_map_with_path(one, tree, is_leaf=_is_none)


def _spread(mask: Any, tree: Any) -> Any:
    """Expand the prefix tree `mask` to the structure of `tree`."""
    try:
        spread = jax.tree.broadcast(mask, tree, is_leaf=_is_none)
    except ValueError as error:
        raise errors.AdamxError(
            f"mask: it must have the structure of the parameters or be a prefix of it, "
            f"got another: {error}. Build it with jax.tree.map over the parameters."
        ) from None
    for leaf in jax.tree.leaves(spread):
        _check_bool(leaf)
    return spread


def _check_bool(leaf: Any) -> None:
    if not isinstance(leaf, bool) and type(leaf).__name__ not in ("bool", "bool_"):
        raise errors.type_error(
            "mask",
            "its leaves must be Python bools",
            repr(leaf),
            "A mask is decided while tracing; it cannot be an array.",
        )


def as_mask(where: str, mask: Any) -> Mask | None:
    """Convert what the user gave to a `Mask`; None selects every leaf."""
    if mask is None or isinstance(mask, Mask):
        return mask
    if isinstance(mask, str | re.Pattern):
        pattern = mask if isinstance(mask, str) else mask.pattern
        try:
            re.compile(pattern)
        except re.error as error:
            raise errors.AdamxError(
                f"{where}: `mask` must be a valid regular expression, got {pattern!r} "
                f"({error}). It is searched for in paths such as 'layers/0/kernel'."
            ) from None
        return ByRegex(pattern)
    if callable(mask):
        if _takes(mask, 1):
            return ByCallable(mask)
        if _takes(mask, 2):
            return ByPredicate(mask)  # pyright: ignore[reportArgumentType]
        raise errors.type_error(
            where,
            "a callable `mask` must take the parameters, or a path and a leaf",
            errors.show_callable(mask) + str(inspect.signature(mask)),
            "Write `lambda params: ...` or `lambda path, leaf: ...`.",
        )
    leaves, structure = jax.tree.flatten(mask)
    for leaf in leaves:
        _check_bool(leaf)
    return ByTree(tuple(map(bool, leaves)), structure)


def _takes(function: Callable[..., Any], number: int) -> bool:
    try:
        inspect.signature(function).bind(*range(number))
    except TypeError:
        return False
    except ValueError:  # without a signature: called with the parameters, as in Optax
        return number == 1
    return True
