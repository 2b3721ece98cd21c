"""Masks: which leaves a part acts on, by tree, callable, path predicate or path regex.

A mask is a value. `engine/tree.py` resolves it against the tree of parameters; a rule
only calls `ctx.selects(mask)`.
"""

import difflib
import inspect
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from .. import errors
from .paths import flatten, leaves_by_path, plain
from .value import Value, is_array, show


class Mask(Value):
    """Base class of masks: `resolve(tree)` returns a bool for each leaf, in order."""

    def resolve(self, tree: Any) -> list[bool]:
        raise NotImplementedError

    def labels(self, tree: Any) -> list[Any]:
        """Return for each leaf what `ctx.label` tells a rule; None, False for no leaf.

        A label is static, such as the axes of a matrix. Plain masks have True.
        """
        return self.resolve(tree)

    def as_tree(self, tree: Any) -> Any:
        """Return the bools in the structure of `tree`, as Optax wants them."""
        return flatten(tree)[1].unflatten(self.resolve(tree))


class ByTree(Mask):
    """Select leaves by a tree of bools like the parameters, or a prefix of one."""

    leaves: tuple[bool, ...]
    structure: Any

    def resolve(self, tree: Any) -> list[bool]:
        whole = self.leaves and jax.tree_util.treedef_is_leaf(self.structure)
        if whole and not jax.tree_util.all_leaves([tree]):
            raise errors.AdamxError(
                f"mask: it must say which parameters, got {self.leaves[0]} for all. "
                f"Leave the part out, or pass None for all; inside "
                f"optax.inject_hyperparams a callable mask must be named in "
                f"static_args."
            )
        return _spread(self.structure.unflatten(self.leaves), tree)

    def __repr__(self) -> str:
        return repr(self.structure.unflatten(self.leaves))


class ByCallable(Mask):
    """Select leaves by a function from the parameters to a tree of bools, as Optax."""

    function: Callable[[Any], Any]

    def resolve(self, tree: Any) -> list[bool]:
        # computed now, also where the step is being traced: `jnp.array(True)` is True
        with jax.ensure_compile_time_eval():
            return _spread(self.function(tree), tree)

    def __repr__(self) -> str:
        return show(self.function)


class ByPredicate(Mask):
    """Select leaves by a predicate of their path and value."""

    function: Callable[[str, Any], bool]

    def resolve(self, tree: Any) -> list[bool]:
        def one(path: str, leaf: Any) -> bool:
            return leaf is not None and as_bool(self.function(path, leaf))

        with jax.ensure_compile_time_eval():
            return [one(path, leaf) for path, leaf in leaves_by_path(tree)]

    def __repr__(self) -> str:
        return show(self.function)


class ByRegex(Mask):
    """Select the leaves in whose path the pattern is found (`re.search`)."""

    pattern: str

    def resolve(self, tree: Any) -> list[bool]:
        found = re.compile(self.pattern).search
        leaves = leaves_by_path(tree)
        answers = [leaf is not None and bool(found(path)) for path, leaf in leaves]
        if leaves and not any(answers):
            self._check_found(tree)
        return answers

    def _check_found(self, tree: Any) -> None:
        """Raise an error if no path has the pattern, those of hidden leaves included.

        Hidden are `None`, and what `optax.masked` and `optax.partition` leave out.
        """
        paths = [path for path, _ in leaves_by_path(tree, _is_hidden)]
        if any(map(re.compile(self.pattern).search, paths)):
            return
        hint = _hint(self.pattern, paths)
        raise errors.AdamxError(
            f"mask: the pattern must be found in the path of a parameter, got "
            f"{self.pattern!r}, which is in none. {hint}The paths "
            f"are {errors.listed(paths)}."
        )

    def __repr__(self) -> str:
        return repr(self.pattern)


def _is_hidden(x: Any) -> bool:
    return isinstance(x, optax.MaskedNode)


def _hint(pattern: str, paths: list[str]) -> str:
    """Return a question with the word of the paths that is nearest to the pattern."""
    words = list(dict.fromkeys(word for path in paths for word in path.split("/")))
    for sought in re.findall(r"\w+", pattern):
        near = difflib.get_close_matches(sought, words, 1)
        if near and near[0] != sought:
            return f"Did you mean {near[0]!r}? "
    return ""


class Not(Mask):
    """Select the leaves that another mask does not select."""

    mask: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", as_mask("Not", self.mask))

    def resolve(self, tree: Any) -> list[bool]:
        return [not selected for selected in self.mask.resolve(tree)]


class Stacks(Mask):
    """The leaves that are stacks of layers along an axis: `mask` selects them."""

    mask: Any
    axis: int = 0

    def __repr__(self) -> str:
        return repr(self.mask)

    def resolve(self, tree: Any) -> list[bool]:
        answers = self.mask.resolve(tree)
        for yes, (path, leaf) in zip(answers, leaves_by_path(tree), strict=True):
            n = len(leaf.shape) if yes else 0
            if yes and not -n <= self.axis < n:
                raise errors.AdamxError(
                    f"stacked: every leaf that `mask` selects must have the axis "
                    f"{self.axis} of layers, got {n} axes for `{path}`. Let the mask "
                    f"select stacks of layers only, or pass another axis=."
                )
        return answers


class Slice(jax.ShapeDtypeStruct):
    """The shape and dtype of one layer of a stack, as masks inside `stacked` see it."""


class OfSlice(Mask):
    """Ask a mask about one layer of each leaf that is a stack of layers.

    What `mask` is given has the shape of a slice across the axis of layers for the
    leaves that `stacks` selects, and is the leaf itself for others. `adamx.stacked`
    puts it around the masks of an optimizer.
    """

    mask: Any
    stacks: Any
    axis: Any = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", as_mask("OfSlice", self.mask))
        if not isinstance(self.stacks, Stacks):
            stacks = Stacks(as_mask("OfSlice", self.stacks), self.axis)
            object.__setattr__(self, "stacks", stacks)

    def resolve(self, tree: Any) -> list[bool]:
        return self.mask.resolve(self.slices(tree))

    def labels(self, tree: Any) -> list[Any]:
        return self.mask.labels(self.slices(tree))

    def explained(self, tree: Any) -> list[tuple[Any, str]]:
        """Return the axes of each slice and the reason, for a mask that gives axes."""
        return self.mask.explained(self.slices(tree))

    def slices(self, tree: Any) -> Any:
        """Return the tree with one layer in the place of each stack."""
        leaves, treedef = flatten(tree)
        pairs = zip(leaves, self.stacks.resolve(tree), strict=True)
        each = [_slice(x, self.stacks.axis) if yes else x for x, yes in pairs]
        return treedef.unflatten(each)


def _slice(x: Any, axis: int) -> Slice:
    n = axis % len(x.shape)
    return Slice((*x.shape[:n], *x.shape[n + 1 :]), x.dtype)


def _spread(mask: Any, tree: Any) -> list[bool]:
    """Expand the prefix tree `mask` to the leaves of `tree`."""
    answers = spread("mask: it", mask, tree, lambda x: x is None)
    return [x is not None and as_bool(x) for x in answers]


def spread(what: str, given: Any, tree: Any, is_leaf: Any) -> list[Any]:
    """Expand a prefix tree to the leaves of `tree`; None for a leaf that is None."""
    leaves, treedef = flatten(tree)
    # each leaf is its index, None for a frozen one: the order of `plain` may differ
    numbered = [None if x is None else i for i, x in enumerate(leaves)]
    numbers = plain(treedef.unflatten(numbered))
    try:
        expanded = jax.tree.broadcast(plain(given), numbers, is_leaf=is_leaf)
    except ValueError as error:
        raise errors.AdamxError(
            f"{what} must have the structure of the parameters or be a prefix "
            f"of it, got another: {errors.shorten(str(error))}. Build it with "
            f"jax.tree.map over the parameters."
        ) from None
    answers: list[Any] = [None] * len(leaves)
    found = jax.tree.leaves(expanded, is_leaf=is_leaf)
    for i, answer in zip(flatten(numbers)[0], found, strict=True):
        if i is not None:
            answers[i] = answer
    return answers


def is_bool(x: Any) -> bool:
    """Return whether `x` is True or False: also of NumPy or JAX, or the number 1 or 0.

    A tracer is not, since its value is not known.
    """
    if isinstance(x, bool | np.bool_):
        return True
    if isinstance(x, int | np.integer):
        return x in (0, 1)
    if isinstance(x, Tracer) or not is_array(x) or x.shape:
        return False
    return x.dtype == bool or (jnp.issubdtype(x.dtype, jnp.integer) and x in (0, 1))


def as_bool(x: Any) -> bool:
    """Return an answer of a mask as a Python bool, or raise an error."""
    if not is_bool(x):
        raise errors.type_error(
            "mask",
            "its leaves must be True or False",
            errors.shown(x),
            "A mask is decided while tracing: compute it from shapes and paths, not "
            "from the values of parameters.",
        )
    return bool(x)


def as_mask(where: str, mask: Any) -> Mask | None:
    """Convert what the user gave to a `Mask`; None selects every leaf."""
    if mask is None or isinstance(mask, Mask):
        return mask
    if isinstance(mask, str | re.Pattern):
        return _by_regex(where, mask if isinstance(mask, str) else mask.pattern)
    leaves, structure = jax.tree.flatten(mask)
    if mask is True or mask is np.True_:
        return None
    if leaves and all(map(is_bool, leaves)):
        # a tree, also one whose class can be called, as a filtered module of Equinox
        return ByTree(tuple(map(as_bool, leaves)), structure)
    if isinstance(mask, type):
        raise errors.type_error(
            where,
            "`mask` must be a tree of bools, a pattern or a function",
            errors.shown(mask),
            "Write for example `lambda path, leaf: leaf.ndim > 1`.",
        )
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
    for leaf in leaves:
        as_bool(leaf)
    return ByTree((), structure)


def _by_regex(where: str, pattern: str) -> ByRegex:
    try:
        re.compile(pattern)
    except re.error as error:
        raise errors.AdamxError(
            f"{where}: `mask` must be a valid regular expression, got {pattern!r} "
            f"({error}). It is searched for in paths such as 'layers/0/kernel'."
        ) from None
    if not pattern:
        raise errors.AdamxError(
            f"{where}: `mask` must not be empty, got {pattern!r}, which is found in "
            f"every path. Pass None to select every leaf."
        )
    return ByRegex(pattern)


def _takes(function: Callable[..., Any], number: int) -> bool:
    try:
        inspect.signature(function).bind(*range(number))
    except TypeError:
        return False
    except ValueError:  # without a signature: called with the parameters, as in Optax
        return number == 1
    return True
