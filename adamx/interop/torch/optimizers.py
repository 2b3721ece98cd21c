"""The transformation of adamx that computes what the optimizers of a torch run do."""

from collections.abc import Callable, Mapping
from typing import Any

from ... import errors
from ...engine.hyperparams import schedule
from ...engine.transformation import Transformation
from ...wrappers.groups import groups
from .forms import MEMBERS, Leaf, Rate, alike, scaled
from .names import Names, Weight, pattern_of, resolved
from .param_groups import Group, StateDicts, read_groups


def transformation(
    optimizers: StateDicts,
    params: Any,
    names: Mapping[str, Any],
    *,
    factor: Callable[[Any], Any] | None = None,
) -> Transformation:
    """Return the transformation that computes what torch's optimizers compute.

        tx = transformation({"AdamW": optimizer.state_dict()}, params, names)

    Groups with other hyperparameters, and the optimizers of one run, become
    `adamx.groups`; leaves that no optimizer has are frozen.

    Args:
        optimizers: the state_dict of each optimizer of the run, by its class.
        params: the parameters.
        names: for each name of torch the path of its leaf, or a `Weight`.
        factor: where a scheduler of torch changed the rate, the schedule of the factor
            of `initial_lr`, as for LambdaLR: a function of the steps taken.

    Departs from torch: Muon iterates in float32, torch in bfloat16. `foreach`, `fused`,
    `capturable` and `differentiable` say how torch computes, and change nothing here.

    Raises:
        ValueError: an optimizer or an option that adamx does not have, `maximize`, a
            rate that a scheduler changed without `factor`, a name without a leaf; a
            leaf of Muon that is no matrix, or one of Adafactor or Muon with other axes
            than in torch, where they would see other matrices.
    """
    where = "transformation"
    known = resolved(where, names, params)
    read = read_groups(where, optimizers)
    return _of_groups(where, read, known, factor)


def _of_groups(
    where: str, read: list[Group], known: Names, factor: Callable[[Any], Any] | None
) -> Transformation:
    made: list[tuple[Transformation, list[str]]] = []
    for group in read:
        rate = _rate(where, group, factor)
        for leaves in alike(group.kind, leaves_of(where, group, known)):
            tx = MEMBERS[group.kind](group.options, rate, leaves)
            paths = [leaf.weight.path for leaf in leaves]
            same = [have for other, have in made if other == tx]
            if same:
                same[0].extend(paths)
            elif paths:
                made.append((tx, paths))
    taken = {path for _, paths in made for path in paths}
    frozen = [p for p, x in known.leaves.items() if x is not None and p not in taken]
    if not made:
        raise errors.AdamxError(
            f"{where}: the optimizers must have a parameter, got none. Pass the "
            f"state_dict of the optimizer of the model."
        )
    if len(made) == 1 and not frozen:
        return made[0][0]
    pairs = [(pattern_of(paths), tx) for tx, paths in made]
    return groups([*pairs, *([(pattern_of(frozen), None)] if frozen else [])])


def leaves_of(where: str, group: Group, known: Names) -> list[Leaf]:
    """Return the leaves of a group that are not frozen in the JAX tree."""
    places = [known.place(where, name) for name in group.names]
    weights = [w for w in places if known.leaves[w.path] is not None]
    paths = [weight.path for weight in weights]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise errors.AdamxError(
            f"{where}: each leaf must be one parameter of torch's optimizer, got two "
            f"for {errors.listed(twice)}. They are not tied in torch: give each a leaf."
        )
    if group.kind in ("Adafactor", "Muon"):
        for weight in weights:
            _check_matrix(where, group.kind, weight, known.leaves[weight.path])
    return [
        Leaf(w, known.leaves[w.path].dtype, known.leaves[w.path].ndim) for w in weights
    ]


def _check_matrix(where: str, kind: str, weight: Weight, leaf: Any) -> None:
    is_muon = kind == "Muon"
    if weight.shape is not None or (is_muon and leaf.ndim != 2):
        raise errors.AdamxError(
            f"{where}: a leaf of {kind} must {'be a matrix as' if is_muon else ''}"
            f"{'' if is_muon else 'have the axes that it has'} in torch, got "
            f"{weight!r} of shape {leaf.shape}. It would be other matrices here: start "
            f"its optimizer anew."
        )


def _rate(where: str, group: Group, factor: Callable[[Any], Any] | None) -> Rate:
    lr = group.options["lr"]
    if group.kind == "Rprop":  # torch reads its rate at the first step only
        return lr
    if factor is not None:
        base = lr if group.base is None else group.base
        return schedule(scaled, base=base, factor=factor)
    if group.base is not None:
        raise errors.AdamxError(
            f"{where}: a rate that a scheduler of torch has changed must have a "
            f"schedule, got lr={lr!r} and initial_lr={group.base!r} without. Pass "
            f"factor=, a function of the steps taken that multiplies initial_lr, or "
            f"take initial_lr out of the group to keep the rate."
        )
    return lr
