"""Whether a transformation has the hyperparameters of torch's `param_groups`."""

from collections.abc import Mapping
from typing import Any

from ... import errors
from ...engine.hyperparams import by_name, is_constant
from ...engine.transformation import Transformation
from ...engine.value import Value, is_array
from ...wrappers.grouped import Groups
from ...wrappers.tunable import Tunable
from ..counterpart import hyperparams_of
from .factors import check_factors
from .forms import MEMBERS
from .names import Names
from .optimizers import leaves_of
from .param_groups import Group


def check_computes_alike(
    where: str, tx: Any, read: list[Group], known: Names, check: bool
) -> None:
    """Raise an error if `tx` computes otherwise than the optimizers of the groups.

    `check` says whether the hyperparameters count too.
    """
    if check:
        check_alike(where, tx, read, known)
    for group in read:
        if group.kind == "Rprop":
            unit_of(where, group)
        if group.kind != "Adafactor":
            continue
        for leaf in leaves_of(where, group, known):
            for own in members(tx, [leaf.weight.path], known):
                check_factors(where, own, leaf.weight, known.leaves[leaf.weight.path])


def unit_of(where: str, group: Group) -> float:
    """Return what adamx's step sizes of Rprop are counted in: the rate of the group."""
    if group.options["lr"] > 0:
        return float(group.options["lr"])
    raise errors.AdamxError(
        f"{where}: `lr` of Rprop must be above 0, since adamx keeps the step sizes in "
        f"units of it, got {group.options['lr']!r}. Set group['lr'] to the first rate."
    )


def check_alike(where: str, tx: Any, read: list[Group], known: Names) -> None:
    """Raise an error if the hyperparameters of `tx` are not those of the groups.

    What is an array, a schedule or tunable in `tx` is not compared.
    """
    for group in read:
        leaves = leaves_of(where, group, known)
        if not leaves:
            continue
        made = MEMBERS[group.kind](group.options, group.options["lr"], leaves)
        wanted = values_of(made)
        if group.kind == "Muon":  # where its ε matters is said in `_muon`
            wanted.pop("eps")
        for own in members(tx, [leaf.weight.path for leaf in leaves], known):
            _check_values(where, group.kind, values_of(own), wanted)


def _check_values(
    where: str, kind: str, given: Mapping[str, list], wanted: Mapping[str, list]
) -> None:
    differ = []
    for name, values in wanted.items():
        own = given.get(name, [0.0] if name in _ZERO else [None])
        if not all(_agree(one, values) for one in own):
            differ.append(f"{name}={own[0]!r} for {values[0]!r} in torch")
    for name in _ZERO & (given.keys() - wanted.keys()):
        if not all(_agree(one, [0.0]) for one in given[name]):
            differ.append(f"{name}={given[name][0]!r} for 0.0 in torch")
    if differ:
        raise errors.AdamxError(
            f"{where}: the hyperparameters of `tx` must be those of {kind} in the "
            f"state_dict, got {', '.join(differ)}. Use transformation(optimizers, "
            f"params, names), or pass check=False to go on with others."
        )


_ZERO = frozenset({"weight_decay", "momentum", "dampening"})
"""The hyperparameters whose part is left out where they are 0."""


def values_of(tx: Any) -> dict[str, list]:
    """Return all values of each hyperparameter, without those that are tunable."""
    found = by_name(tx)
    for name, value in hyperparams_of(tx).items():
        if isinstance(value, Value):  # a kind of ε, and not its number only
            found[name] = [value]
    tuned = tx.names if isinstance(tx, Tunable) else ()
    return {name: [_VARIES] if name in tuned else x for name, x in found.items()}


_VARIES = object()


def _agree(given: Any, wanted: list) -> bool:
    """Return whether a value is one of those wanted, or is not known."""
    if given is _VARIES or is_array(given) or is_schedule(given):
        return True
    return any(
        is_schedule(one)
        or (
            abs(given - one) <= 1e-6 * abs(one)
            if is_constant(given) and is_constant(one)
            else given == one
        )
        for one in wanted
    )


def is_schedule(x: Any) -> bool:
    return callable(x) and not isinstance(x, Transformation)


def members(tx: Any, paths: list[str], known: Names) -> list[Any]:
    """Return the optimizers that have the leaves of these paths: one without groups."""
    inner = inside(tx)
    if not isinstance(inner, Groups):
        return [tx]
    of = dict(zip(known.leaves, inner.layout(known.tree).by_leaf, strict=True))
    numbers = dict.fromkeys(of[path] for path in paths)
    return [inner.groups[n][1] for n in numbers if n is not None]


def inside(tx: Any) -> Any:
    """Return the transformation whose hyperparameters are tunable."""
    return inside(tx.inner) if isinstance(tx, Tunable) else tx
