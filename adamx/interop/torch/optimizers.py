"""The transformation of adamx that computes what an optimizer of torch computes."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from ... import errors
from ...engine.chain import Chain, chain
from ...engine.hyperparams import is_constant, public_name, rewrite, schedule
from ...engine.transformation import Transformation
from ...engine.value import is_array
from ...optimizers.adadelta import adadelta
from ...optimizers.adafactor import ScaleByParameterRms
from ...optimizers.adagrad import adagrad
from ...optimizers.adam import adam, adamw
from ...optimizers.adamax import adamax
from ...optimizers.amsgrad import scale_by_amsgrad
from ...optimizers.nadam import nadam, nadamw
from ...optimizers.radam import scale_by_radam
from ...optimizers.rmsprop import scale_by_rmsprop
from ...optimizers.scion import SpectralRadius
from ...optimizers.sgd import sgd
from ...parts.clipping import ClipByRms
from ...parts.denominators import (
    EpsAsFloor,
    EpsBeforeCorrection,
    EpsOutsideRoot,
    Precondition,
    RootPlusEps,
)
from ...parts.factored import FactoredSecondMoment, PowerDecaySchedule
from ...parts.iterations import as_iteration
from ...parts.learning_rate import LearningRate
from ...parts.masked import Masked
from ...parts.matrix_axes import MatrixAxes
from ...parts.moments import Ema, Identity
from ...parts.nesterov import LookAhead
from ...parts.orthogonal import Orthogonalize, ScaleByShape
from ...parts.weight_decay import IndependentWeightDecay, WeightDecay
from ...wrappers.grouped import Groups
from ...wrappers.groups import groups
from ...wrappers.tunable import Tunable
from .names import Names, Weight, resolved
from .param_groups import Group, StateDicts, read_groups

Options = Mapping[str, Any]
Rate = float | Callable[[Any], Any]


class Leaf(NamedTuple):
    """What an optimizer is told of a leaf: its place, and its dtype."""

    weight: Weight
    dtype: Any


def scaled(base: float, factor: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the schedule `base * factor(k)`, that of torch's LambdaLR."""
    return lambda k: base * factor(k)


def decayed(rate: Rate, by: float) -> Callable[[Any], Any]:
    """Return Adagrad's schedule, `rate / (1 + k by)`."""
    return lambda k: _at(rate, k) / (1.0 + k * by)


def capped(rate: Rate) -> Callable[[Any], Any]:
    """Return Adafactor's schedule, `min(rate, 1 / sqrt(t))` at the step t."""
    return lambda k: jnp.minimum(_at(rate, k), 1 / jnp.sqrt(k + 1.0))


def _at(rate: Rate, k: Any) -> Any:
    return rate(k) if callable(rate) else rate


def _times(rate: Rate, factor: float) -> Any:
    if callable(rate):
        return schedule(scaled, base=factor, factor=rate)
    return rate * factor


# ---- one function for each class of torch.optim ------------------------------------


def _l2(o: Options, tx: Any) -> Chain:
    """torch's `weight_decay` of all but AdamW: into the gradient."""
    return chain(WeightDecay(o["weight_decay"]), tx) if o["weight_decay"] else tx


def _finished(o: Options, direction: Any, rate: Rate) -> Chain:
    """Add rate and weight decay, which may be decoupled."""
    if o.get("decoupled_weight_decay") and o["weight_decay"]:
        return chain(direction, WeightDecay(o["weight_decay"]), LearningRate(rate))
    return _l2(o, chain(direction, LearningRate(rate)))


def _sgd(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    if not o["momentum"]:
        return _l2(o, sgd(rate))
    keywords = {name: o[name] for name in ("momentum", "nesterov", "dampening")}
    return _l2(o, sgd(rate, **keywords))


def _adam(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    if o.get("amsgrad"):
        direction = scale_by_amsgrad(*o["betas"], o["eps"], largest_first=True)
        return _finished(o, direction, rate)
    if o.get("decoupled_weight_decay"):
        return adamw(rate, *o["betas"], o["eps"], weight_decay=o["weight_decay"])
    return _l2(o, adam(rate, *o["betas"], o["eps"]))


def _adamw(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    return _adam({**o, "decoupled_weight_decay": True}, rate, leaves)


def _nadam(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    keywords = {"momentum_decay": o["momentum_decay"]}
    if o.get("decoupled_weight_decay"):
        keywords["weight_decay"] = o["weight_decay"]
        return nadamw(rate, *o["betas"], o["eps"], **keywords)
    return _l2(o, nadam(rate, *o["betas"], o["eps"], **keywords))


def _radam(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    """torch adds eps to the uncorrected root."""
    scaled = scale_by_radam(*o["betas"], EpsBeforeCorrection(o["eps"]))
    return _finished(o, scaled, rate)


def _adamax(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    return _l2(o, adamax(rate, *o["betas"], o["eps"]))


def _rmsprop(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    keywords = {"momentum": o["momentum"]} if o["momentum"] else {}
    eps, centered = EpsOutsideRoot(o["eps"]), o["centered"]
    scaled = scale_by_rmsprop(o["alpha"], eps, centered=centered, **keywords)
    return _l2(o, chain(scaled, LearningRate(rate)))


def _adagrad(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    if o["lr_decay"]:
        rate = schedule(decayed, rate=rate, by=o["lr_decay"])
    start, eps = o["initial_accumulator_value"], EpsOutsideRoot(o["eps"])
    return _l2(o, adagrad(rate, start, eps))


def _adadelta(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    return _l2(o, adadelta(rate, o["rho"], o["eps"]))


def _adafactor(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    """torch's ε₁ is the least mean(r) and the least root of v, and nothing is added."""
    least, eps_scale = o["eps"]
    dtypes = {jnp.dtype(leaf.dtype) for leaf in leaves}
    if least is None and len(dtypes) > 1:
        raise errors.AdamxError(
            f"transformation: the parameters of a group of Adafactor must have one "
            f"dtype where `eps` is None, which is of the dtype, got "
            f"{sorted(d.name for d in dtypes)}. Make a group for each."
        )
    least = float(jnp.finfo(dtypes.pop()).eps) if least is None else least
    moment = FactoredSecondMoment(
        PowerDecaySchedule(-o["beta2_decay"]), eps=0.0, least_mean=least
    )
    rate_now = schedule(capped, rate=rate)
    decay = o["weight_decay"]
    return chain(
        Precondition(Identity(), by=RootPlusEps(moment, EpsAsFloor(least))),
        ClipByRms(o["d"]),
        ScaleByParameterRms(eps_scale),
        LearningRate(rate_now),
        *([IndependentWeightDecay(_times(rate, decay))] if decay else []),
    )


def _muon(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    """torch divides by max(‖M‖, ε): ε matters only where ‖M‖ < ε."""
    average = Ema(o["momentum"], name="momentum", public="beta")
    coefficients = tuple(o["ns_coefficients"])
    iteration = as_iteration("muon", coefficients, o["ns_steps"], None, "frobenius")
    turned = {leaf.weight.path: leaf.weight.axes == (1, 0) for leaf in leaves}
    scales = [
        (_scale(o["adjust_lr_fn"], axis), [p for p, t in turned.items() if t == is_t])
        for axis, is_t in ((0, False), (-1, True))
    ]
    scales = [(scale, paths) for scale, paths in scales if paths]
    if len(scales) > 1:
        each = [Masked(scale, pattern_of(paths)) for scale, paths in scales]
    else:
        each = [scale for scale, _ in scales]
    return chain(
        LookAhead(average) if o["nesterov"] else average,
        Orthogonalize(iteration, 0.0, axes=MatrixAxes()),
        *each,
        *([WeightDecay(o["weight_decay"])] if o["weight_decay"] else []),
        LearningRate(rate),
    )


def _scale(adjust: str | None, out_axis: int) -> Any:
    if adjust in (None, "original"):
        return ScaleByShape(out_axis=out_axis, axes=MatrixAxes())
    if adjust == "match_rms_adamw":
        return ScaleByShape(0.2, out_axis=out_axis, axes=MatrixAxes())
    if adjust == "spectral_unclamped":
        return SpectralRadius(1.0, out_axis=out_axis)
    raise errors.AdamxError(
        f"transformation: `adjust_lr_fn` of Muon must be original, match_rms_adamw or "
        f"spectral_unclamped, got {adjust!r}. adamx knows those of torch 2.13."
    )


MEMBERS: Mapping[str, Callable[[Options, Rate, list[Leaf]], Chain]] = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adamw,
    "NAdam": _nadam,
    "RAdam": _radam,
    "Adamax": _adamax,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Adadelta": _adadelta,
    "Adafactor": _adafactor,
    "Muon": _muon,
}


# ---- a run -------------------------------------------------------------------------


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
        ValueError: an option that adamx does not have, `maximize`, a rate that a
            scheduler changed without `factor`, a name without a leaf; a leaf of more
            than two axes, or with others than torch's, where Adafactor or Muon would
            see other matrices.
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
        leaves = leaves_of(where, group, known)
        tx = MEMBERS[group.kind](group.options, _rate(where, group, factor), leaves)
        paths = [leaf.weight.path for leaf in leaves]
        alike = [have for other, have in made if other == tx]
        if alike:
            alike[0].extend(paths)
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


def pattern_of(paths: list[str]) -> str:
    """Return the pattern that is found in these paths only."""
    return f"^({'|'.join(map(re.escape, paths))})$"


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
    return [Leaf(w, known.leaves[w.path].dtype) for w in weights]


def _check_matrix(where: str, kind: str, weight: Weight, leaf: Any) -> None:
    least = 2 if kind == "Muon" else 0
    if weight.shape is not None or not least <= leaf.ndim <= 2:
        raise errors.AdamxError(
            f"{where}: a leaf of {kind} must be a matrix as in torch"
            f"{'' if least else ', or a vector'}, got {weight!r} of shape "
            f"{leaf.shape}. It would be other matrices here: start its optimizer anew."
        )


def _rate(where: str, group: Group, factor: Callable[[Any], Any] | None) -> Rate:
    lr = group.options["lr"]
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
    found: dict[str, list] = {}

    def note(owner: Any, field: str, value: Any) -> Any:
        found.setdefault(public_name(owner, field), []).append(value)
        return value

    rewrite(tx, note)
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
