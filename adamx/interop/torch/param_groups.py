"""The `state_dict` of torch's optimizers: its groups, and the state of each parameter.

A state_dict names neither the class of the optimizer nor, unless the optimizer was made
from `named_parameters()`, its parameters: it numbers them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ... import errors

StateDicts = Mapping[str, Mapping[str, Any]]
"""The state_dict of each optimizer of a run, by the name of its class in torch.optim:
`{"AdamW": optimizer.state_dict()}`."""

IGNORED = frozenset(
    {"params", "param_names", "foreach", "fused", "capturable", "differentiable"}
)
"""What says how torch computes, not what."""

OPTIONS: Mapping[str, frozenset[str]] = {
    name: frozenset({"lr", *options.split()})
    for name, options in {
        "SGD": "momentum dampening nesterov weight_decay",
        "Adam": "betas eps amsgrad weight_decay decoupled_weight_decay",
        "AdamW": "betas eps amsgrad weight_decay decoupled_weight_decay",
        "NAdam": "betas eps momentum_decay weight_decay decoupled_weight_decay",
        "RAdam": "betas eps weight_decay decoupled_weight_decay",
        "Adamax": "betas eps weight_decay",
        "RMSprop": "alpha eps momentum centered weight_decay",
        "Adagrad": "lr_decay initial_accumulator_value eps weight_decay",
        "Adadelta": "rho eps weight_decay",
        "Adafactor": "beta2_decay eps d weight_decay",
        "Muon": "momentum nesterov ns_coefficients eps ns_steps adjust_lr_fn "
        "weight_decay",
        "Rprop": "etas step_sizes",
        "SparseAdam": "betas eps",
    }.items()
}
"""The hyperparameters of each optimizer of torch.optim that adamx has."""


_TORCH = "2.13"
_NEW = frozenset({"amsgrad", "decoupled_weight_decay"})
"""Options that older releases do not have, and that are then False."""


class Group(NamedTuple):
    """One of the `param_groups`.

    Attributes:
        kind: the class of the optimizer.
        options: the hyperparameters.
        names: the names of the parameters, in the order of torch.
        numbers: what stands for them in the state_dict.
        state: the state of those that have one, by name.
        base: the rate that a scheduler of torch multiplies; None without one.
    """

    kind: str
    options: Mapping[str, Any]
    names: tuple[str, ...]
    numbers: tuple[Any, ...]
    state: Mapping[str, Mapping[str, Any]]
    base: float | None = None


def with_names(state_dict: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a `state_dict` that names its parameters.

        with_names(optimizer.state_dict(), [n for n, _ in model.named_parameters()])

    torch does it itself if the optimizer is made from `model.named_parameters()`.

    Args:
        state_dict: `optimizer.state_dict()`.
        names: the names, in the order in which the optimizer was given the parameters,
            those of the first group first.

    Raises:
        ValueError: not as many names as there are parameters.
    """
    names, groups = list(names), _groups("with_names", state_dict)
    many = sum(len(group["params"]) for group in groups)
    if len(names) != many:
        raise errors.AdamxError(
            f"with_names: `names` must have a name for each of the {many} parameters "
            f"of the optimizer, got {len(names)}. List them as they were given to it."
        )
    left = iter(names)
    named = [g | {"param_names": [next(left) for _ in g["params"]]} for g in groups]
    return {**state_dict, "param_groups": named}


def _groups(where: str, state_dict: Any) -> list[dict[str, Any]]:
    if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(
        state_dict
    ):
        raise errors.type_error(
            where,
            "a state_dict of an optimizer must have `state` and `param_groups`",
            errors.listed(state_dict)
            if isinstance(state_dict, Mapping)
            else errors.shown(state_dict),
            "Pass optimizer.state_dict().",
        )
    return [dict(group) for group in state_dict["param_groups"]]


def read_groups(where: str, optimizers: StateDicts) -> list[Group]:
    """Return the groups of all optimizers of a run.

    Raises:
        ValueError: an optimizer that adamx does not have, a group without names, an
            option without a counterpart.
    """
    if not isinstance(optimizers, Mapping) or "param_groups" in optimizers:
        raise errors.type_error(
            where,
            "`optimizers` must be a mapping from classes of torch.optim to state_dicts",
            errors.shown(optimizers),
            "Write {'AdamW': optimizer.state_dict()}.",
        )
    found = []
    for kind, state_dict in optimizers.items():
        if kind not in OPTIONS:
            raise errors.AdamxError(
                f"{where}: the optimizer must be one of torch.optim whose state adamx "
                f"reads, got {kind!r}. These are {', '.join(OPTIONS)}; start another "
                f"anew."
            )
        for group in _groups(where, state_dict):
            found.append(_read(where, kind, group, state_dict["state"]))
    seen: set[str] = set()
    for group in found:
        twice = sorted(seen & set(group.names))
        if twice:
            raise errors.AdamxError(
                f"{where}: every parameter must be in one group of one optimizer, got "
                f"{errors.listed(twice)} twice. Pass the optimizers of one run."
            )
        seen |= set(group.names)
    return found


def _read(where: str, kind: str, group: Mapping[str, Any], state: Any) -> Group:
    numbers = tuple(group["params"])
    by_name = all(isinstance(n, str) for n in numbers)
    names = tuple(group.get("param_names") or (numbers if by_name else ()))
    if len(names) != len(numbers):
        raise errors.AdamxError(
            f"{where}: the groups of {kind} must name their parameters, got numbers. "
            f"Make the optimizer from model.named_parameters(), or pass "
            f"with_names(state_dict, names)."
        )
    given = {n: x for n, x in group.items() if n not in IGNORED}
    _check_options(where, kind, given)
    options = {n: _plain(x) for n, x in given.items() if n in OPTIONS[kind]}
    own: Any = {
        name: state[number]
        for name, number in zip(names, numbers, strict=True)
        if state.get(number)
    }
    base = given.get("initial_lr")
    return Group(
        kind, options, names, numbers, own, None if base is None else float(base)
    )


def _plain(x: Any) -> Any:
    """Return an option as Python's numbers; torch may keep a rate as a tensor."""
    if isinstance(x, tuple | list):
        return tuple(map(_plain, x))
    return x if x is None or isinstance(x, bool | int | str) else float(x)


def _check_options(where: str, kind: str, options: Mapping[str, Any]) -> None:
    """Raise an error for what has no counterpart in adamx."""
    if options.get("maximize"):
        raise errors.AdamxError(
            f"{where}: `maximize` of {kind} must be False, got True. Pass the negative "
            f"gradients to adamx, and set group['maximize'] = False."
        )
    is_adamw = kind == "AdamW"
    decoupled = bool(options.get("decoupled_weight_decay", is_adamw))
    if kind in ("Adam", "AdamW") and decoupled != is_adamw:
        right = "AdamW" if decoupled else "Adam"
        raise errors.AdamxError(
            f"{where}: `decoupled_weight_decay` of {kind} must be {is_adamw}, got "
            f"{decoupled}. It is the state of {right}: pass it as that."
        )
    missing = sorted(OPTIONS[kind] - set(options) - _NEW)
    if missing:
        raise errors.AdamxError(
            f"{where}: the groups of {kind} must hold their hyperparameters, got none "
            f"for {errors.listed(missing)}. Pass optimizer.state_dict()."
        )
    known = OPTIONS[kind] | {"maximize", "initial_lr"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise errors.AdamxError(
            f"{where}: every option of {kind} must be one of torch {_TORCH}, got "
            f"{errors.listed(unknown)}. {errors.suggest(unknown[0], known)}"
        )
