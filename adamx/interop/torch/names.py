"""Which array of torch is which leaf of the JAX tree, and how its axes are ordered.

    names = {
        "fc.weight": linear("fc/kernel"),
        "fc.bias": "fc/bias",
        "conv.weight": conv("conv/kernel"),
        "embed.weight": "embed/embedding",
        "head.weight": "embed/embedding",  # tied
    }

A parameter keeps its name and its axes in the state of its optimizer.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ... import errors
from ...engine.paths import flatten, leaves_by_path, plain
from ...engine.value import Value


class Weight(Value):
    """The place of an array of torch in the JAX tree.

    Attributes:
        path: the path of the leaf, such as `layers/0/kernel`.
        axes: the axes of torch's array in the order of the leaf's, as for
            `jnp.transpose`; None for the same order.
        shape: torch's shape, where the leaf has other axes than torch's array, such as
            an axis of heads: `Weight("query/kernel", (1, 0), shape=(64, 32))` is a leaf
            of (32, 4, 16). None for the same axes.
    """

    path: str
    axes: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        axes = None if self.axes is None else tuple(self.axes)
        if axes is not None and sorted(axes) != list(range(len(axes))):
            raise errors.AdamxError(
                f"Weight: `axes` must be the numbers of all axes of torch's array, got "
                f"{self.axes!r}. (1, 0) transposes a matrix."
            )
        object.__setattr__(self, "axes", axes)
        if self.shape is not None:
            object.__setattr__(self, "shape", tuple(self.shape))

    def from_torch(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of torch in the order and the shape of the leaf."""
        turned = array if self.axes is None else _turned(self, array)
        fits = turned.shape == shape
        if self.shape is not None:
            fits = array.shape == self.shape and turned.size == math.prod(shape)
        if not fits:
            raise errors.AdamxError(
                f"Weight: torch's array for `{self.path}` must have the shape of the "
                f"leaf, {shape}, with its axes in the order {self.axes}, got "
                f"{array.shape}. {_remedy(array.shape, shape)}"
            )
        return turned.reshape(shape)

    def to_torch(self, leaf: Any) -> np.ndarray:
        """Invert `from_torch`."""
        array = np.asarray(leaf)
        if self.axes is None:
            return array if self.shape is None else array.reshape(self.shape)
        if self.shape is not None:
            array = array.reshape([self.shape[a] for a in self.axes])
        return np.ascontiguousarray(np.transpose(array, np.argsort(self.axes)))


def _turned(weight: Weight, array: np.ndarray) -> np.ndarray:
    if array.ndim != len(weight.axes or ()):
        raise errors.AdamxError(
            f"Weight: the axes of `{weight.path}` must be those of torch's array, got "
            f"{weight.axes} for the shape {array.shape}. Name each of its axes once."
        )
    return np.transpose(array, weight.axes)


def _remedy(given: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if sorted(given) != sorted(shape):
        return "Pass `shape=` where the leaf has other axes, or correct the name."
    return {
        2: "Use linear(path), the transpose, for the weight of torch's Linear.",
        3: "Use conv(path, 1) for the weight of torch's Conv1d.",
        4: "Use conv(path, 2) for the weight of torch's Conv2d.",
        5: "Use conv(path, 3) for the weight of torch's Conv3d.",
    }.get(len(given), "Pass `axes=` in their order.")


def linear(path: str) -> Weight:
    """Return the place of a `torch.nn.Linear` weight, (out, in), in an (in, out) leaf.

    Args:
        path: the path of the leaf.
    """
    return Weight(path, (1, 0))


def conv(path: str, spatial: int = 2) -> Weight:
    """Return the place of a convolution of torch, (out, in, ...), in (..., in, out).

    Args:
        path: the path of the leaf.
        spatial: the number of spatial axes: 1 for Conv1d, 2 for Conv2d, 3 for Conv3d.
    """
    return Weight(path, (*range(2, 2 + spatial), 1, 0))


class Names(NamedTuple):
    """The names of torch, against the leaves of the JAX tree.

    Attributes:
        weights: the place of each name of torch.
        leaves: the leaves by path; None for a frozen one.
        tree: the parameters, without boxes.
        params: the parameters as they were given.
    """

    weights: Mapping[str, Weight]
    leaves: Mapping[str, Any]
    tree: Any
    params: Any

    def place(self, where: str, name: str) -> Weight:
        """Return where the array of this name goes."""
        if name not in self.weights:
            raise errors.AdamxError(
                f"{where}: every parameter of torch's optimizer must be in `names`, "
                f"got {name!r}. {errors.suggest(name, self.weights)}"
            )
        return self.weights[name]


def resolved(where: str, names: Mapping[str, Any], params: Any) -> Names:
    """Check the names against the parameters.

    Raises:
        ValueError: a path is no leaf; a leaf has no name.
    """
    if not isinstance(names, Mapping):
        raise errors.type_error(
            where,
            "`names` must be a mapping from names of torch to paths",
            errors.shown(names),
            "Write {'fc.weight': linear('fc/kernel'), 'fc.bias': 'fc/bias'}.",
        )
    weights = {
        name: place if isinstance(place, Weight) else Weight(place)
        for name, place in names.items()
    }
    tree = plain(params)
    leaves = dict(leaves_by_path(tree))
    for name, weight in weights.items():
        if weight.path not in leaves:
            raise errors.AdamxError(
                f"{where}: `names` must lead to leaves of the parameters, got "
                f"{weight.path!r} for {name!r}. {errors.suggest(weight.path, leaves)}"
            )
    named = {weight.path for weight in weights.values()}
    missing = [p for p, x in leaves.items() if x is not None and p not in named]
    if missing:
        raise errors.AdamxError(
            f"{where}: `names` must name every leaf of the parameters, got none for "
            f"{errors.listed(missing)}. Add its name in torch."
        )
    return Names(weights, leaves, tree, params)


def as_array(where: str, name: str, given: Any) -> np.ndarray:
    """Return an array, or a tensor of torch, as an array of NumPy, without torch."""
    kind = type(given)
    if kind.__module__.split(".")[0] == "torch" and hasattr(given, "detach"):
        given = given.detach().cpu()
        if str(given.dtype) == "torch.bfloat16":
            given = given.float()  # NumPy has no bfloat16; this is exact
    array = np.asarray(given)
    if array.dtype == object:
        raise errors.type_error(
            where,
            f"`{name}` must be an array",
            errors.shown(given),
            "Pass the tensors of a state_dict, or NumPy's arrays.",
        )
    return array


def exported(array: Any) -> np.ndarray:
    """Return an array as torch can read it: bfloat16 as float32, which holds it."""
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def params_from_torch(
    state_dict: Mapping[str, Any], params: Any, names: Mapping[str, Any]
) -> Any:
    """Return the parameters of a torch model as a tree like `params`.

    Args:
        state_dict: `model.state_dict()`: tensors, or any arrays, by name. What
            `safetensors.numpy.load_file` returns is one.
        params: the tree, with arrays or `jax.ShapeDtypeStruct`s. The result has its
            dtypes.
        names: for each name of torch the path of its leaf, or a `Weight`. Several names
            of one leaf are tied; they must hold the same numbers.

    Raises:
        ValueError: a leaf without a name, a name without an array, another shape, tied
            weights that differ.
    """
    where = "params_from_torch"
    known = resolved(where, names, params)
    found: dict[str, np.ndarray] = {}
    for name, weight in known.weights.items():
        leaf = known.leaves[weight.path]
        if leaf is None:
            continue
        if name not in state_dict:
            raise errors.AdamxError(
                f"{where}: `state_dict` must hold {name!r}, got "
                f"{errors.listed(state_dict)}. {errors.suggest(name, state_dict)}"
            )
        array = as_array(where, name, state_dict[name])
        new = weight.from_torch(array, leaf.shape)
        old = found.setdefault(weight.path, new)
        if not np.array_equal(old, new, equal_nan=True):
            raise errors.AdamxError(
                f"{where}: the weights tied in `{weight.path}` must hold the same "
                f"numbers, got others in {name!r}. They are not tied in torch: give "
                f"each a leaf."
            )
    return like_params(params, lambda path, p: jnp.asarray(found[path], p.dtype))


def params_to_torch(
    params: Any, names: Mapping[str, Any], *, array: Callable[[Any], Any] = np.asarray
) -> dict[str, Any]:
    """Return parameters as the `state_dict` of a torch model, which loads it.

        model.load_state_dict(params_to_torch(params, names, array=torch.tensor))

    Args:
        params: the tree.
        names: for each name of torch the path of its leaf, or a `Weight`.
        array: what each array is given to: `torch.tensor` for tensors. bfloat16 is
            given as float32.

    Raises:
        ValueError: a leaf without a name, a name without a leaf.
    """
    known = resolved("params_to_torch", names, params)
    return {
        name: array(exported(weight.to_torch(known.leaves[weight.path])))
        for name, weight in known.weights.items()
        if known.leaves[weight.path] is not None
    }


def like_params(params: Any, of: Callable[[str, Any], Any]) -> Any:
    """Return a tree with `of(path, leaf)` for each leaf of the parameters."""
    tree = plain(params)
    _, treedef = flatten(tree)
    pairs = leaves_by_path(tree)
    return treedef.unflatten([None if p is None else of(path, p) for path, p in pairs])


def pattern_of(paths: list[str]) -> str:
    """Return the pattern that is found in these paths only."""
    return f"^({'|'.join(map(re.escape, paths))})$"
