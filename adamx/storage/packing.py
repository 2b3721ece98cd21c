"""Packing: many small parameters as few arrays."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import errors
from ..engine.masks import as_mask
from ..engine.paths import flatten, leaves_by_path
from ..engine.state import is_absent
from ..engine.value import Value
from ..wrappers.placing import known_spec

MOST = 64
"""So many leaves are in one pack at most: compilers take long over more."""


class Packed(Value):
    """One array that holds several leaves, one after another.

    Attributes:
        path: its path in the packed tree.
        leaves: the places of its leaves in the tree of parameters.
    """

    path: str
    leaves: tuple[int, ...]


class Packing(Value):
    """Which parameters are kept together in one array (see `packing`).

    Attributes:
        structure: the structure of the parameters.
        paths: the paths of all leaves.
        shapes: their shapes; None for a leaf that is None.
        packs: the arrays that hold several leaves.
    """

    structure: Any
    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...] | None, ...]
    packs: tuple[Packed, ...]

    @property
    def alone(self) -> tuple[int, ...]:
        """The places of the leaves that are arrays of their own."""
        packed = {i for pack in self.packs for i in pack.leaves}
        return tuple(i for i in range(len(self.paths)) if i not in packed)

    @property
    def names(self) -> set[str]:
        """The paths of the packed tree."""
        alone = {self.paths[i] for i in self.alone}
        return alone | {pack.path for pack in self.packs}

    def __repr__(self) -> str:
        return (
            f"<packing of {len(self.paths):,} leaves as "
            f"{len(self.packs) + len(self.alone):,} arrays>"
        )

    def __str__(self) -> str:
        lines = [repr(self)[1:-1] + ":"]
        for pack in self.packs:
            size = sum(self._size(i) for i in pack.leaves)
            lines.append(f"{pack.path}: {len(pack.leaves)} leaves, {size:,} elements")
        rest = len(self.alone)
        lines.append(
            "1 leaf stays as it is."
            if rest == 1
            else f"{rest:,} leaves stay as they are."
        )
        return "\n".join(lines)

    def pack(self, tree: Any) -> dict[str, Any]:
        """Return parameters, gradients or another tree like them as packed arrays.

        Returns:
            A dict from paths to arrays: of each pack one of shape `(elements,)`, and
            the other leaves as they are.

        Raises:
            ValueError: the tree has other leaves than the parameters, or a leaf of a
                pack has another shape or is None.
        """
        named = _leaves(tree)
        if tuple(path for path, _ in named) != self.paths:
            raise errors.AdamxError(
                f"Packing.pack: the tree must have the leaves of the parameters, got "
                f"{errors.listed([path for path, _ in named]) or 'none'}, where the "
                f"parameters have {errors.listed(self.paths)}. Call adamx.packing for "
                f"these parameters."
            )
        leaves = [leaf for _, leaf in named]
        found = {self.paths[i]: leaves[i] for i in self.alone}
        for pack in self.packs:
            found[pack.path] = self._joined(pack, [leaves[i] for i in pack.leaves])
        return found

    def unpack(self, packed: Mapping[str, Any]) -> Any:
        """Return the tree of parameters for packed arrays.

        Its derivative is `pack`: the gradient with respect to packed parameters is
        packed.

        Raises:
            ValueError: the arrays are not those that `pack` returns.
        """
        if not isinstance(packed, Mapping) or set(packed) != self.names:
            given = list(packed) if isinstance(packed, Mapping) else [type(packed)]
            raise errors.AdamxError(
                f"Packing.unpack: the packed parameters must be the dict that `pack` "
                f"returns, got {errors.listed(map(str, given)) or 'an empty one'}. "
                f"Call packing.pack(params) first."
            )
        leaves: list[Any] = [None] * len(self.paths)
        for i in self.alone:
            leaves[i] = packed[self.paths[i]]
        for pack in self.packs:
            for i, leaf in zip(pack.leaves, self._cut(pack, packed), strict=True):
                leaves[i] = leaf
        return self.structure.unflatten(leaves)

    def pack_state(self, state: Any) -> Any:
        """Return a state of the parameters as the state of the packed parameters.

        Every tree like the parameters in it is packed: of any Optax transformation, and
        of adamx where the leaves of packs are kept as they are. To go on with another
        storage, give the result to `adamx.restore(tx, state, packed)`.

        Raises:
            ValueError: a slot is stored in codes.
        """
        if any(map(_is_coded, jax.tree.leaves(state, is_leaf=_is_coded))):
            raise errors.AdamxError(
                "Packing.pack_state: the slots must be stored as numbers, got one in "
                "codes, whose small leaves are kept otherwise than a pack. Call "
                "adamx.restore with the optimizer without `store` first, then "
                "pack_state, then adamx.restore with `store`."
            )
        return jax.tree.map(
            lambda x: self.pack(x) if self._is_like(x) else x,
            state,
            is_leaf=self._is_like,
        )

    def unpack_state(self, state: Any) -> Any:
        """Return a state of packed parameters as the state of the parameters.

        Raises:
            ValueError: a pack is kept in codes.
        """
        known = self.names

        def is_packed(x: Any) -> bool:
            return isinstance(x, Mapping) and set(x) == known

        return jax.tree.map(
            lambda x: self.unpack(x) if is_packed(x) else x, state, is_leaf=is_packed
        )

    def _is_like(self, x: Any) -> bool:
        """Return whether a part of a state is a tree like the parameters."""
        return tuple(path for path, _ in _leaves(x)) == self.paths

    def _size(self, i: int) -> int:
        return math.prod(self.shapes[i] or ())

    def _joined(self, pack: Packed, leaves: list[Any]) -> Any:
        """Return the leaves of one pack as one array."""
        shapes = [None if leaf is None else _shape(leaf) for leaf in leaves]
        fits = [a == self.shapes[i] for i, a in zip(pack.leaves, shapes, strict=True)]
        if not any(fits) and all(map(is_absent, leaves)):
            return leaves[0]  # a slot that none of them has
        for i, shape, good in zip(pack.leaves, shapes, fits, strict=True):
            if not good:
                got = "None" if shape is None else f"the shape {shape}"
                raise errors.AdamxError(
                    f"Packing.pack: a leaf of a pack must have the shape of the "
                    f"parameter, got {got} for `{self.paths[i]}` of shape "
                    f"{self.shapes[i]}. Codes cannot be packed: store the slot as it "
                    f"is. Leave out leaves without gradient: adamx.packing(params, "
                    f"select=...)."
                )
        if isinstance(leaves[0], jax.ShapeDtypeStruct):
            size = sum(map(self._size, pack.leaves))
            return jax.ShapeDtypeStruct((size,), leaves[0].dtype)
        return jnp.concatenate([jnp.reshape(leaf, -1) for leaf in leaves])

    def _cut(self, pack: Packed, packed: Mapping[str, Any]) -> list[Any]:
        """Return the leaves of one pack."""
        x, sizes = packed[pack.path], [self._size(i) for i in pack.leaves]
        if is_absent(x):
            return [x] * len(sizes)
        if tuple(x.shape) != (sum(sizes),):
            raise errors.AdamxError(
                f"Packing.unpack: `{pack.path}` must have {sum(sizes):,} elements, got "
                f"the shape {tuple(x.shape)}. Codes cannot be unpacked: store the slot "
                f"as it is."
            )
        shapes = [self.shapes[i] or () for i in pack.leaves]
        if isinstance(x, jax.ShapeDtypeStruct):
            return [jax.ShapeDtypeStruct(shape, x.dtype) for shape in shapes]
        pieces = jax.lax.split(jnp.asarray(x), sizes)  # its transpose: concatenate
        return [
            jnp.reshape(piece, shape)
            for piece, shape in zip(pieces, shapes, strict=True)
        ]


def packing(
    params: Any,
    *,
    select: Any = None,
    max_size: int = 16_384,
    by: Callable[[str], str] | None = None,
) -> Packing:
    """Keep many small parameters in few arrays, for models with many small leaves.

    Each array that a compiled step is given and returns costs time, and each leaf a
    loop or a kernel, however small it is. Train the packed parameters instead: one
    array for the biases of all layers, one for their scales.

        packing = adamx.packing(params)
        packed = packing.pack(params)
        state = tx.init(packed)

        def loss(packed, batch):
            return model_loss(packing.unpack(packed), batch)

        grads = jax.grad(loss)(packed, batch)  # packed too
        updates, state = tx.update(grads, state, packed)

    A pack has the leaves whose paths differ in numbers only, at most 64 of them:
    `layers/0/bias`, `layers/1/bias`, … are `layers/*/bias`. So masks that are patterns
    without numbers, such as `"bias"`, select the same as before. Where the leaves do
    not fit into one pack, the packs are `layers/*1/bias`, `layers/*2/bias`, …, and
    those of several dtypes `layers/*float32/bias`, `layers/*bfloat16/bias`.

    Optimizers that treat each element by itself take the same steps as on `params`, to
    rounding. A norm or a mean of a leaf is now one of the pack (`lamb`, `ClipByNorm`),
    and a block of a codec may reach over two leaves.

    Args:
        params: the parameters, arrays or `jax.ShapeDtypeStruct`s.
        select: the leaves that may be packed, as a mask: a tree of bools, a callable
            on the parameters, a predicate of path and leaf, or a path regex. By
            default those with at most one axis, so that matrices stay matrices.
        max_size: the most elements that a leaf in a pack has.
        by: what is packed together: a function from the path of a leaf to a name. By
            default each number in the path becomes `*`. A name without `*` gets what
            tells several packs apart at its end.

    Returns:
        A `Packing`, with `pack`, `unpack`, `pack_state` and `unpack_state`; `print` it
        for a list of the packs. Leaves of other dtypes, leaves that are divided over
        devices, and leaves that would be alone in a pack stay as they are.

    Raises:
        TypeError: `max_size` is no integer; `by` returns no text.
        ValueError: `max_size` is below 1; the parameters are one array; the name of a
            pack is the path of a leaf.
    """
    if not isinstance(max_size, int | np.integer) or isinstance(max_size, bool):
        raise errors.type_error(
            "packing",
            "`max_size` must be an integer, a number of elements",
            errors.shown(max_size),
            "Pass for example max_size=16_384.",
        )
    if max_size < 1:
        raise errors.AdamxError(
            f"packing: `max_size` must be at least 1, got {max_size}. Pass the most "
            f"elements that a leaf in a pack has, for example 16_384."
        )
    named = leaves_by_path(params)
    if [path for path, _ in named] == [""]:
        raise errors.AdamxError(
            "packing: the parameters must be a tree with several leaves, got one "
            "array. Give it to the optimizer as it is."
        )
    mask = as_mask("packing", select)
    chosen = (
        [leaf is not None and len(leaf.shape) < 2 for _, leaf in named]
        if mask is None
        else mask.resolve(params)
    )
    found: dict[tuple[str, Any], list[int]] = {}
    for i, (path, leaf) in enumerate(named):
        if chosen[i] and _may_be_packed(leaf, max_size):
            found.setdefault((_name(by, path), leaf.dtype), []).append(i)
    packs = tuple(
        Packed(path, leaves) for path, leaves in _chunks(found) if len(leaves) > 1
    )
    taken = {i for pack in packs for i in pack.leaves}
    for pack in packs:
        if any(
            path == pack.path for i, (path, _) in enumerate(named) if i not in taken
        ):
            raise errors.AdamxError(
                f"packing: the name of a pack must not be the path of a leaf, got "
                f"{pack.path!r}. Let `by` return another name."
            )
    shapes = tuple(None if x is None else tuple(x.shape) for _, x in named)
    structure = flatten(params)[1]
    return Packing(structure, tuple(path for path, _ in named), shapes, packs)


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    """Return the leaves of a tree by path, and those that a slot does not have."""
    return leaves_by_path(tree, is_absent)


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(getattr(leaf, "shape", ()))


def _is_coded(x: Any) -> bool:
    """Return whether a part of a state is what a codec keeps in codes."""
    return isinstance(x, Mapping) and {"codes", "scale"} <= set(x)


def _may_be_packed(leaf: Any, max_size: int) -> bool:
    return (
        jnp.issubdtype(leaf.dtype, jnp.floating)
        and 0 < math.prod(leaf.shape) <= max_size
        and not any(_spec(leaf))
    )


def _spec(leaf: Any) -> tuple:
    """Return how a leaf is divided over devices, as far as it is known."""
    if getattr(leaf, "sharding", None) is None:
        return ()
    return tuple(known_spec(leaf) or ())


def _name(by: Callable[[str], str] | None, path: str) -> str:
    """Return the name of the pack that a leaf belongs to."""
    name = re.sub(r"\d+", "*", path) if by is None else by(path)
    if not isinstance(name, str):
        raise errors.type_error(
            "packing",
            f"`by` must return a text, the name of a pack, for `{path}`",
            errors.shown(name),
            "Return for example path.split('/')[-1].",
        )
    return name


def _chunks(
    found: Mapping[tuple[str, Any], list[int]],
) -> list[tuple[str, tuple[int, ...]]]:
    """Return packs of at most `MOST` leaves, each with a path of its own."""
    found = {key: leaves for key, leaves in found.items() if len(leaves) > 1}
    dtypes: dict[str, int] = {}
    for name, _ in found:
        dtypes[name] = dtypes.get(name, 0) + 1
    chunks = []
    for (name, dtype), leaves in found.items():
        n = math.ceil(len(leaves) / MOST)
        for k in range(n):
            marks = [jnp.dtype(dtype).name] if dtypes[name] > 1 else []
            marks += [str(k + 1)] if n > 1 else []
            part = tuple(leaves[k * MOST : (k + 1) * MOST])
            chunks.append((_marked(name, ".".join(marks)), part))
    return chunks


def _marked(name: str, mark: str) -> str:
    """Return the name with a mark at the first `*`, so that patterns find it as before.

    A name without `*`, of `by`, has the mark at its end.
    """
    if "*" in name or not mark:
        return name.replace("*", f"*{mark}", 1)
    return f"{name} *{mark}"
