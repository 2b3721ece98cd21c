"""`adamx.list_optimizers` and `adamx.create`: optimizers by name.

The optimizers are the functions of the folder `adamx/optimizers`; their kinds are in
`kinds.py`.
"""

import fnmatch
import functools
import inspect
from collections.abc import Callable
from typing import Any

from .. import errors, optimizers
from ..optimizers.adam import adam
from ..parts.layer_axes import not_vector
from ..parts.weight_decay import Decay, WeightDecay
from .costs import total_of_matrix
from .kinds import KINDS, OTHERS, kind_of


@functools.cache
def registered() -> dict[str, Callable[..., Any]]:
    """Return the optimizers by name, without the directions `scale_by_`."""
    found = {
        name: getattr(optimizers, name)
        for name in optimizers.__all__
        if not name.startswith("scale_by_")
    }
    return dict(sorted(found.items()))


@functools.cache
def bytes_of(name: str) -> float:
    """Return the bytes of state of an optimizer for each parameter.

    Those of a hidden matrix of 1024 × 1024 in float32, with the default arguments; of
    one that goes around another optimizer, those around Adam.
    """
    function = registered()[name]
    known = inspect.signature(function).parameters.values()
    needed = [p.name for p in known if p.default is p.empty]
    given = {n: adam() if n == "tx" else 1e-3 for n in needed}
    found = total_of_matrix(function(**given))
    assert found is not None  # no default mask needs to know the parameters
    return found


def list_optimizers(
    pattern: str = "*",
    *,
    kind: str | None = None,
    max_bytes: float | None = None,
) -> list[str]:
    """List the names of the optimizers, for `adamx.create`.

        adamx.list_optimizers("*adam*")
        adamx.list_optimizers(kind="Matrices", max_bytes=4)

    Args:
        pattern: a pattern that the name must match, as of files: `*adam*`.
        kind: one of the kinds of the table in the documentation, or the beginning of
            one, whatever its case: "less memory".
        max_bytes: the most bytes of state for each parameter, with the default
            arguments: of a hidden float32 matrix of 1024 × 1024. Adam has 8.

    Raises:
        ValueError: a kind that there is not, or a pattern that no name matches.
        TypeError: `max_bytes` is no number.
    """
    names = fnmatch.filter(registered(), pattern)
    if not names:
        raise errors.AdamxError(
            f"list_optimizers: `pattern` must match a name, got {pattern!r}. "
            f"{errors.suggest(pattern.strip('*'), registered())}"
        )
    if kind is not None:
        wanted = _kind(kind)
        names = [name for name in names if kind_of(name) == wanted]
    if max_bytes is not None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int | float):
            raise errors.type_error(
                "list_optimizers",
                "`max_bytes` must be a number of bytes for each parameter",
                errors.shown(max_bytes),
                "Adam has 8.",
            )
        names = [name for name in names if bytes_of(name) <= max_bytes]
    return names


def _kind(given: str) -> str:
    kinds = (*KINDS, OTHERS)
    found = [kind for kind in kinds if kind.lower().startswith(str(given).lower())]
    exact = [kind for kind in found if kind.lower() == str(given).lower()]
    if len(exact or found) != 1:
        raise errors.AdamxError(
            f"list_optimizers: `kind` must be one kind, got {given!r}. The kinds are "
            f"{'; '.join(kinds)}."
        )
    return (exact or found)[0]


def create(
    name: str, *args: Any, no_decay_for_vectors: bool = False, **keywords: Any
) -> Any:
    """Build an optimizer by its name.

        tx = adamx.create("adamw", 1e-3, weight_decay=0.1, no_decay_for_vectors=True)

    It is the same as `adamx.adamw(1e-3, ...)`; for a name that is read from a
    configuration or a command line.

    Args:
        name: one of `adamx.list_optimizers()`.
        *args: the arguments of the optimizer.
        no_decay_for_vectors: whether the weight decay leaves out leaves with fewer than
            two axes, which are biases and the scales of norms.
        **keywords: the keywords of the optimizer.

    Raises:
        ValueError: a name that there is not; `no_decay_for_vectors` for an optimizer
            without a mask of its decay, or together with `mask`.
        TypeError: `name` is no text, or an argument that the optimizer does not take.
    """
    if not isinstance(name, str):
        raise errors.type_error(
            "create",
            "`name` must be the name of an optimizer",
            errors.shown(name),
            "Pass for example 'adamw'.",
        )
    if name not in registered():
        raise errors.AdamxError(
            f"create: `name` must be one of adamx.list_optimizers(), got {name!r}. "
            f"{errors.suggest(name, registered())}"
        )
    function = registered()[name]
    if no_decay_for_vectors:
        keywords |= _without_vectors(name, function, keywords)
    return function(*args, **keywords)


def _without_vectors(
    name: str, function: Callable[..., Any], given: dict[str, Any]
) -> dict[str, Any]:
    """Return the keywords with which an optimizer does not decay vectors."""
    known = inspect.signature(function).parameters
    decay = given.get("weight_decay", 0.0)
    if "weight_decay" not in known:
        takes = [n for n, f in registered().items() if _decays(f)]
        raise errors.AdamxError(
            f"create: with `no_decay_for_vectors` the optimizer must have a weight "
            f"decay, got {name!r}. Those with one are {', '.join(takes)}."
        )
    if given.get("mask") is not None or isinstance(decay, Decay):
        raise errors.AdamxError(
            f"create: `no_decay_for_vectors` is a mask of the decay, so there must be "
            f"no other, got {'mask=' if 'mask' in given else 'weight_decay='} too. "
            f"Leave one of them out."
        )
    if "mask" in known:
        return {"mask": not_vector}
    return {"weight_decay": WeightDecay(decay, not_vector)}


def _decays(function: Callable[..., Any]) -> bool:
    return "weight_decay" in inspect.signature(function).parameters
