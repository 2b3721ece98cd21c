"""The transformation of adamx for each class of torch.optim, from its options.

The tests compare them with recorded runs of torch.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from ... import errors
from ...engine.chain import Chain, chain
from ...engine.hyperparams import schedule
from ...optimizers.adadelta import adadelta
from ...optimizers.adafactor import ScaleByParameterRms
from ...optimizers.adagrad import adagrad
from ...optimizers.adam import adam, adamw
from ...optimizers.adamax import adamax
from ...optimizers.amsgrad import scale_by_amsgrad
from ...optimizers.nadam import nadam, nadamw
from ...optimizers.radam import scale_by_radam
from ...optimizers.rmsprop import scale_by_rmsprop
from ...optimizers.rprop import rprop
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
from .factors import factored_axes
from .names import Weight, pattern_of

Options = Mapping[str, Any]
Rate = float | Callable[[Any], Any]


class Leaf(NamedTuple):
    """What an optimizer is told of a leaf: its place, its dtype and its axes."""

    weight: Weight
    dtype: Any
    ndim: int


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
    b1, b2 = o["betas"]
    if o.get("amsgrad"):
        direction = scale_by_amsgrad(b1, b2, o["eps"], largest_first=True)
        return _finished(o, direction, rate)
    if o.get("decoupled_weight_decay"):
        return adamw(rate, b1, b2, o["eps"], weight_decay=o["weight_decay"])
    return _l2(o, adam(rate, b1, b2, o["eps"]))


def _adamw(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    return _adam({**o, "decoupled_weight_decay": True}, rate, leaves)


def _nadam(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    (b1, b2), keywords = o["betas"], {"momentum_decay": o["momentum_decay"]}
    if o.get("decoupled_weight_decay"):
        keywords["weight_decay"] = o["weight_decay"]
        return nadamw(rate, b1, b2, o["eps"], **keywords)
    return _l2(o, nadam(rate, b1, b2, o["eps"], **keywords))


def _radam(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    """torch adds eps to the uncorrected root."""
    b1, b2 = o["betas"]
    direction = scale_by_radam(b1, b2, EpsBeforeCorrection(o["eps"]))
    return _finished(o, direction, rate)


def _adamax(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    b1, b2 = o["betas"]
    return _l2(o, adamax(rate, b1, b2, o["eps"]))


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
    """torch's ε₁ is the least mean(r) and the least root of v, and nothing is added.

    The leaves are those of `alike`: they have one `axes`.
    """
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
        PowerDecaySchedule(-o["beta2_decay"]),
        eps=0.0,
        least_mean=least,
        axes=next(iter(_factored(leaves)), None),
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


def _factored(leaves: list[Leaf]) -> dict[Any, None]:
    """Return the `axes` of the leaves of more than two axes, each once."""
    more = [leaf for leaf in leaves if leaf.ndim > 2]
    return dict.fromkeys(factored_axes(leaf.weight, leaf.ndim) for leaf in more)


def alike(kind: str, leaves: list[Leaf]) -> list[list[Leaf]]:
    """Return the leaves that one transformation can have: all, but for Adafactor.

    It has one `axes` for leaves of more than two; the others are in the first part.
    """
    if kind != "Adafactor":
        return [leaves]
    found: dict[Any, list[Leaf]] = {axes: [] for axes in _factored(leaves)}
    for leaf in leaves:
        many = leaf.ndim > 2
        axes = (
            factored_axes(leaf.weight, leaf.ndim) if many else next(iter(found), None)
        )
        found.setdefault(axes, []).append(leaf)
    return list(found.values()) or [[]]


def _rprop(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    """adamx keeps step sizes in units of the rate, torch in those of the parameter."""
    (eta_minus, eta_plus), (least, most) = o["etas"], o["step_sizes"]
    return rprop(rate, eta_minus, eta_plus, least, most)


def _sparse_adam(o: Options, rate: Rate, leaves: list[Leaf]) -> Chain:
    """torch adds eps to the uncorrected root."""
    b1, b2 = o["betas"]
    return adam(rate, b1, b2, EpsBeforeCorrection(o["eps"]))


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
    "Rprop": _rprop,
    "SparseAdam": _sparse_adam,
}
