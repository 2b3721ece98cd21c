"""The state of torch's optimizers, to the state of adamx and back."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ... import errors
from ...engine.slot_trees import column_of
from ...engine.slots import join
from ...engine.state import State, absent, is_absent
from ...wrappers.grouped import Groups
from ...wrappers.tunable import Tuned
from ..nests import as_state, inside as states_inside, is_ours
from ..restoring import restore
from .agreement import check_computes_alike, inside, unit_of
from .factors import (
    KEYS as FACTORS,
    mean_from_torch,
    mean_to_torch,
    slot_of,
)
from .names import Names, Weight, as_array, exported, like_params, resolved
from .optimizers import leaves_of
from .param_groups import Group, StateDicts, read_groups

_MOMENTS = {"exp_avg": "mu", "exp_avg_sq": "nu"}
_SLOTS: Mapping[str, Mapping[str, str]] = {
    "SGD": {"momentum_buffer": "momentum"},
    "Adam": _MOMENTS | {"max_exp_avg_sq": "nu_max"},
    "AdamW": _MOMENTS | {"max_exp_avg_sq": "nu_max"},
    "NAdam": _MOMENTS,
    "RAdam": _MOMENTS,
    "Adamax": {"exp_avg": "mu", "exp_inf": "nu"},
    "RMSprop": {"square_avg": "nu", "grad_avg": "mu", "momentum_buffer": "momentum"},
    "Adagrad": {"sum": "sum_of_squares"},
    "Adadelta": {"square_avg": "nu", "acc_delta": "squared_steps"},
    "Adafactor": {"row_var": "nu_row", "col_var": "nu_col", "variance": "nu"},
    "Muon": {"momentum_buffer": "momentum"},
    "Rprop": {"prev": "gradient_before", "step_size": "step_size"},
    "SparseAdam": _MOMENTS,
}
"""The slots in which adamx keeps what torch keeps of a parameter."""

_ASKED = {
    "nu_max": lambda o: o.get("amsgrad", False),
    "mu": lambda o: o.get("centered", True),
    "momentum": lambda o: o["momentum"] != 0,
}
"""The slots that an option asks for."""

UNCOUNTED = ("SGD", "Muon")
"""The optimizers that do not count their steps."""


def _slots(group: Group, ndim: int) -> dict[str, str]:
    """Return the slots of a parameter of so many axes, by their names in torch."""
    asked = {
        key: slot
        for key, slot in _SLOTS[group.kind].items()
        if slot not in _ASKED or _ASKED[slot](group.options)
    }
    if group.kind == "Adafactor":
        return {k: s for k, s in asked.items() if (k == "variance") == (ndim < 2)}
    return asked


def _placed(key: str, slot: str, weight: Weight, ndim: int) -> str:
    """Return the slot of a leaf: Adafactor's rows are its columns in a transpose."""
    return slot_of(key, weight, ndim) if key in FACTORS else slot


# ---- from torch --------------------------------------------------------------------


def state_from_torch(
    tx: Any,
    optimizers: StateDicts,
    params: Any,
    names: Mapping[str, Any],
    *,
    steps: int | None = None,
    check: bool = True,
) -> Any:
    """Return the state from which `tx` continues a run of torch.

        optimizers = {"AdamW": optimizer.state_dict()}
        tx = transformation(optimizers, params, names)
        state = state_from_torch(tx, optimizers, params, names)

    The moments are brought into the order of the leaves' axes, and into the dtypes and
    codecs of `tx`, as by `adamx.restore`. torch's `mu_product` of NAdam is one minus
    the slot `mu_weight`; the rows of Adafactor are the columns of a transposed weight;
    Rprop's `step_size` is the slot times the rate.

    Args:
        tx: the transformation that continues: that of `transformation`, or one with the
            same slots.
        optimizers: the state_dict of each optimizer of the run, by its class in
            torch.optim. Its arrays are tensors, or arrays of any library.
        params: the parameters, as for `init`.
        names: for each name of torch the path of its leaf, or a `Weight`.
        steps: the steps taken, where torch does not count them: in a run with SGD or
            Muon only.
        check: whether the hyperparameters of `tx` must be those of the groups. What is
            a schedule, an array or tunable in `tx` is not compared.

    Raises:
        ValueError: other hyperparameters; parameters that have taken different numbers
            of steps; a moment that is missing, left over or of another shape; what
            `transformation` refuses.
    """
    where = "state_from_torch"
    known = resolved(where, names, params)
    read = read_groups(where, optimizers)
    check_computes_alike(where, tx, read, known, check)
    count = _count(where, read, known, steps)
    if count == 0:
        return tx.init(params)
    columns, products = _columns(where, read, known)
    slots: dict[str, Any] = {}
    for name, column in _outer(tx, known, columns).items():
        slots[name] = like_params(
            known.tree, lambda path, _, column=column: column.get(path, absent())
        )
    slots |= _outer_weights(where, tx, known, products)
    return restore(tx, State(jnp.asarray(count, jnp.int32), slots), params)


def _count(where: str, read: list[Group], known: Names, steps: int | None) -> int:
    """Return the steps taken, of which every parameter must have taken all."""
    found: dict[int, str] = {}
    for group in read:
        if group.kind in UNCOUNTED:
            continue
        for name in group.names:
            if known.leaves[known.place(where, name).path] is None:
                continue
            kept = group.state.get(name)
            step = 0 if kept is None else int(as_array(where, "step", kept["step"]))
            found.setdefault(step, name)
    if steps is not None:
        found.setdefault(steps, "steps=")
    if len(found) > 1:
        told = ", ".join(f"{step} ({name})" for step, name in sorted(found.items()))
        raise errors.AdamxError(
            f"{where}: all parameters must have taken the same steps, since adamx has "
            f"one count, got {told}. Convert each of them by itself, with params that "
            f"hold None for the others."
        )
    if not found:
        kinds = " and ".join(dict.fromkeys(group.kind for group in read))
        raise errors.AdamxError(
            f"{where}: `steps` must be given, since torch does not count the steps of "
            f"{kinds}, got None. Pass steps=, the number of calls of optimizer.step()."
        )
    return next(iter(found))


def _columns(
    where: str, read: list[Group], known: Names
) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Return the slots, with an array for each path, and each `mu_product` by path."""
    columns: dict[str, dict[str, Any]] = {}
    products: dict[str, float] = {}
    for group in read:
        leaves_of(where, group, known)  # checks them
        for name, kept in group.state.items():
            weight = known.place(where, name)
            leaf = known.leaves[weight.path]
            if leaf is None:
                continue
            kept = {key: x for key, x in kept.items() if x is not None}
            slots = _slots(group, leaf.ndim)
            unknown = sorted(kept.keys() - slots.keys() - {"step", "mu_product"})
            if unknown:
                raise errors.AdamxError(
                    f"{where}: the state of {name!r} must be that of {group.kind} with "
                    f"these options, got {errors.listed(unknown)} too. Pass the "
                    f"state_dict by the class of its optimizer."
                )
            for key in slots.keys() & kept.keys():
                array = as_array(where, f"{name}.{key}", kept[key])
                slot = _placed(key, slots[key], weight, leaf.ndim)
                columns.setdefault(slot, {})[weight.path] = _moment(
                    group, key, weight, array, leaf
                )
            if "mu_product" in kept:
                product = as_array(where, "mu_product", kept["mu_product"])
                products[weight.path] = float(product)
    return columns, products


def _moment(
    group: Group, key: str, weight: Weight, array: np.ndarray, leaf: Any
) -> Any:
    if key in FACTORS:
        return mean_from_torch(key, weight, array, leaf)
    if key == "step_size":
        array = array / unit_of("state_from_torch", group)
    return jnp.asarray(weight.from_torch(array, leaf.shape))


def _outer(
    tx: Any, known: Names, columns: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the columns by the names that the slots have in the state of `tx`."""
    of = _names_by_path(tx, known)
    found: dict[str, dict[str, Any]] = {}
    for name, column in columns.items():
        for path, array in column.items():
            found.setdefault(of[path].get(name, name), {})[path] = array
    return found


def _names_by_path(tx: Any, known: Names) -> dict[str, Mapping[str, str]]:
    """Return for each leaf the names in the state of the slots of its group."""
    inner = inside(tx)
    if not isinstance(inner, Groups):
        return {path: {} for path in known.leaves}
    names = {member.group: member.names for member in inner.members}
    by_leaf = inner.layout(known.tree).by_leaf
    pairs = zip(known.leaves, by_leaf, strict=True)
    return {path: names.get(number, {}) for path, number in pairs}


def _outer_weights(
    where: str, tx: Any, known: Names, products: Mapping[str, float]
) -> dict[str, Any]:
    """Return `mu_weight` of NAdam by its names in the state, one for each group."""
    of = _names_by_path(tx, known)
    found: dict[str, float] = {}
    for path, product in products.items():
        outer = of[path].get("mu_weight", "mu_weight")
        if found.setdefault(outer, product) != product:
            raise errors.AdamxError(
                f"{where}: the leaves of one group of NAdam must have one "
                f"`mu_product`, got {found[outer]} and {product}. Give each group of "
                f"torch a group of adamx, as transformation does."
            )
    return {name: jnp.asarray(1 - x, jnp.float32) for name, x in found.items()}


# ---- to torch ----------------------------------------------------------------------


def state_to_torch(
    tx: Any,
    state: Any,
    params: Any,
    names: Mapping[str, Any],
    like: StateDicts,
    *,
    array: Callable[[Any], Any] = np.asarray,
    check: bool = True,
) -> dict[str, dict[str, Any]]:
    """Return the state_dicts from which torch continues a run of adamx.

        like = {"AdamW": optimizer.state_dict()}  # of a new optimizer
        found = state_to_torch(tx, state, params, names, like, array=torch.tensor)
        optimizer.load_state_dict(found["AdamW"])

    Args:
        tx: the transformation that made the state.
        state: its state, alone or inside others.
        params: the parameters.
        names: for each name of torch the path of its leaf, or a `Weight`.
        like: the state_dict of each optimizer of torch, by its class, with the groups
            and hyperparameters that torch is to have; what it holds of the state is not
            read.
        array: what each array is given to: `torch.tensor` for tensors, which
            `load_state_dict` needs.
        check: whether the hyperparameters of `tx` must be those of the groups. What is
            a schedule, an array or tunable in `tx` is not compared.

    Raises:
        ValueError: other hyperparameters; a moment that torch keeps and `state` does
            not hold; what `transformation` refuses.
        TypeError: `state` holds no state of adamx, or several.
    """
    where = "state_to_torch"
    known = resolved(where, names, params)
    read = read_groups(where, like)
    check_computes_alike(where, tx, read, known, check)
    kept = _own(where, state)
    count = int(kept.count)
    columns = _kept_columns(tx, kept, known)
    own = _names_by_path(tx, known)
    made = {kind: {"state": {}, **_groups_of(like[kind])} for kind in like}
    for group in read:
        if count == 0 and group.kind != "Adagrad":  # torch begins at the first step
            continue
        for name, number in zip(group.names, group.numbers, strict=True):
            weight = known.place(where, name)
            leaf = known.leaves[weight.path]
            if leaf is None:
                continue
            found: dict[str, Any] = {}
            if group.kind not in UNCOUNTED:
                # SparseAdam counts in Python's ints, and computes with what it is given
                found["step"] = (
                    count if group.kind == "SparseAdam" else np.float32(count)
                )
            if group.kind == "NAdam":
                outer = own[weight.path].get("mu_weight", "mu_weight")
                weighed = _known(
                    where, group, weight, outer, kept.slots.get(outer), kept
                )
                found["mu_product"] = np.float32(1 - weighed)
            for key, slot in _slots(group, leaf.ndim).items():
                slot = _placed(key, slot, weight, leaf.ndim)
                outer = own[weight.path].get(slot, slot)
                value = columns.get(outer, {}).get(weight.path)
                value = _known(where, group, weight, slot, value, kept)
                found[key] = _torch_moment(group, key, weight, value)
            if found:
                made[group.kind]["state"][number] = {
                    key: x if x is count else array(exported(x))
                    for key, x in found.items()
                }
    return made


def _known(
    where: str, group: Group, weight: Weight, slot: str, value: Any, kept: State
) -> Any:
    """Return a value, or raise the error that the state does not hold it."""
    if value is not None:
        return value
    raise errors.AdamxError(
        f"{where}: the state must hold `{slot}` of {weight.path!r}, which {group.kind} "
        f"keeps, got {sorted(kept.slots)}. Pass the state of the same algorithm."
    )


def _groups_of(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    return {"param_groups": [dict(group) for group in state_dict["param_groups"]]}


def _torch_moment(group: Group, key: str, weight: Weight, value: Any) -> np.ndarray:
    if key in FACTORS:
        return mean_to_torch(key, weight, value)
    array = weight.to_torch(value)
    return array * unit_of("state_to_torch", group) if key == "step_size" else array


def _own(where: str, state: Any) -> State:
    """Return the one state of adamx in `state`."""
    found = [state] if is_ours(state) else states_inside(state, is_ours)
    if len(found) != 1:
        raise errors.type_error(
            where,
            "`state` must hold one state of adamx",
            f"{len(found)} in {type(state).__name__}",
            "Pass the part of it that belongs to `tx`.",
        )
    own = as_state(found[0])
    return as_state(own.inner) if isinstance(own, Tuned) else own


def _kept_columns(tx: Any, kept: State, known: Names) -> dict[str, dict[str, Any]]:
    """Return the slots of a state, decoded, with an array for each path."""
    found: dict[str, dict[str, Any]] = {}
    for name, slot in tx.slots().items():
        if slot.shared or name not in kept.slots:
            continue
        column = join(
            slot, kept.slots[name], lambda tree: column_of(tree, known.params)
        )
        for (path, p), x in zip(known.leaves.items(), column, strict=True):
            value = x.get("") if isinstance(x, dict) and slot.codec is None else x
            parts = value.values() if isinstance(value, dict) else [value]
            if p is None or all(part is None or is_absent(part) for part in parts):
                continue
            if slot.codec is not None:
                value = slot.codec.decode(value, p.shape)
            found.setdefault(name, {})[path] = value
    return found
