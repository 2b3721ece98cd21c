"""The optimizers of `optax.contrib` that adamx has too, made of its parts."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from optax import contrib as optax_contrib

from ... import errors, optimizers
from ...engine.chain import chain
from ...engine.value import Value
from ...numerics.matrices import QUINTIC
from ...parts import parameter_averages
from ...parts.bias_correction import Debiased
from ...parts.denominators import EpsInsideRoot
from ...parts.iterations import Iteration, as_iteration
from ...parts.matrix_axes import MatrixAxes
from ...parts.moments import Ema, Identity
from ...parts.nesterov import Nesterov
from ...parts.orthogonal import Orthogonalize, ScaleByShape
from ...parts.parameter_averages import ScheduleFree
from ...parts.tree_axes import as_axes
from .. import parts
from ..builders import Unbuilt, counterpart, rule_of
from ..compound import Around, Groups
from . import aliases, directions

Links = tuple[Any, ...]


def __getattr__(name: str) -> Any:
    """Return Optax's own object for a name that is not made of adamx's parts."""
    return getattr(optax_contrib, name)


def __dir__() -> list[str]:
    return dir(optax_contrib)


@counterpart(optax_contrib.scale_by_ademamix)
def scale_by_ademamix(
    b1: Any, b2: Any, b3: Any, alpha: Any, eps: Any, eps_root: Any, mu_dtype: Any
) -> Any:
    """`optax.contrib.scale_by_ademamix` by `adamx.scale_by_ademamix`."""
    kind = EpsInsideRoot(eps_root, eps)
    return optimizers.scale_by_ademamix(b1, b2, b3, alpha, kind)


@counterpart(optax_contrib.ademamix, chained=True)
def ademamix(learning_rate: Any, weight_decay: Any, mask: Any, **given: Any) -> Links:
    """`optax.contrib.ademamix` by the parts of `adamx.ademamix`."""
    return aliases.decayed(scale_by_ademamix, learning_rate, weight_decay, mask, given)


@counterpart(optax_contrib.scale_by_simplified_ademamix)
def scale_by_simplified_ademamix(
    b1: Any, b2: Any, alpha: Any, eps: Any, eps_root: Any
) -> Any:
    """`optax.contrib.scale_by_simplified_ademamix` by the function of adamx."""
    kind = EpsInsideRoot(eps_root, eps)
    return optimizers.scale_by_simplified_ademamix(b1, b2, alpha, kind)


@counterpart(optax_contrib.simplified_ademamix, chained=True)
def simplified_ademamix(
    learning_rate: Any, weight_decay: Any, mask: Any, **given: Any
) -> Links:
    """`optax.contrib.simplified_ademamix` by the parts of the one of adamx."""
    direction = scale_by_simplified_ademamix
    return aliases.decayed(direction, learning_rate, weight_decay, mask, given)


@counterpart(optax_contrib.scale_by_adopt)
def scale_by_adopt(
    b1: Any,
    b2: Any,
    eps: Any,
    mu_dtype: Any,
    nesterov: bool,
    use_clipping: bool,
    clip_value_fn: Callable[..., Any],
) -> Any:
    """`optax.contrib.scale_by_adopt` by `adamx.scale_by_adopt`."""
    if nesterov:
        raise Unbuilt("scale_by_adopt: adamx has no Nesterov form, got nesterov=True.")
    return optimizers.scale_by_adopt(
        b1, b2, eps, use_clipping=use_clipping, clip_value_fn=clip_value_fn
    )


@counterpart(optax_contrib.adopt, chained=True)
def adopt(learning_rate: Any, **given: Any) -> Links:
    """`optax.contrib.adopt` by the parts of `adamx.adopt`."""
    return aliases.followed(scale_by_adopt, learning_rate, given)


@counterpart(optax_contrib.prodigy)
def prodigy(**given: Any) -> Any:
    """`optax.contrib.prodigy` by `adamx.prodigy`."""
    return optimizers.prodigy(**given)


@counterpart(optax_contrib.dadapt_adamw)
def dadapt_adamw(**given: Any) -> Any:
    """`optax.contrib.dadapt_adamw` by `adamx.dadapt_adamw`."""
    return optimizers.dadapt_adamw(**given)


@counterpart(optax_contrib.dog, chained=True)
def dog(
    learning_rate: Any, init_step: Any, eps: Any, weight_decay: Any, mask: Any
) -> Links:
    """`optax.contrib.dog` by the rule of `adamx.dog`."""
    kind, size = init_step
    if kind != "heuristic":
        raise Unbuilt(f"dog: adamx starts from the heuristic only, got {kind!r}.")
    direction = optimizers.dog(1.0, size, eps).parts[0]
    return _decay(weight_decay, mask), direction, parts.rate(learning_rate)


@counterpart(optax_contrib.dowg, chained=True)
def dowg(
    learning_rate: Any, init_estim_sq_dist: Any, eps: Any, weight_decay: Any, mask: Any
) -> Links:
    """`optax.contrib.dowg` by the rule of `adamx.dowg`."""
    first = eps if init_estim_sq_dist is None else init_estim_sq_dist
    direction = optimizers.dowg(1.0, first, eps).parts[0]
    return _decay(weight_decay, mask), direction, parts.rate(learning_rate)


def _decay(weight_decay: Any, mask: Any) -> Any:
    return Identity() if weight_decay is None else parts.decay(weight_decay, mask)


# ---- Muon ----------------------------------------------------------------------


# Optax's presets of `ns_coeffs`; "dion" is of Emerging Optimizers and of Dion's code
PRESETS = {
    "standard": QUINTIC,
    "dion": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
}


def _iteration(
    where: str, ns_coeffs: Any, ns_steps: Any, preconditioning: str
) -> Iteration:
    """Return the iteration of Optax's arguments; raise where Optax refuses them."""
    if isinstance(ns_coeffs, str):
        if ns_coeffs not in PRESETS:
            raise Unbuilt(f"{where}: Optax has no preset {ns_coeffs!r}.")
        ns_coeffs = PRESETS[ns_coeffs]
    if not isinstance(ns_coeffs, tuple | list):
        ns_coeffs = np.asarray(ns_coeffs).tolist()
    return as_iteration(where, ns_coeffs, ns_steps, start=preconditioning)


@counterpart(optax_contrib.scale_by_muon)
def scale_by_muon(
    ns_coeffs: Any,
    ns_steps: Any,
    beta: Any,
    eps: Any,
    mu_dtype: Any,
    nesterov: bool,
    adaptive: bool,
    preconditioning: str,
    weight_dimension_numbers: Any,
) -> Any:
    """`optax.contrib.scale_by_muon` by the parts of `adamx.scale_by_muon`."""
    average = Debiased(Ema(beta, name="momentum", public="beta"))
    average = Nesterov(average) if nesterov else average
    two = MatrixAxes(0, 1, batch=())
    dims = weight_dimension_numbers
    axes = as_axes("scale_by_muon", two if dims is None else dims)
    orthogonal = Orthogonalize(
        _iteration("scale_by_muon", ns_coeffs, ns_steps, preconditioning),
        eps,
        axes=axes,
        adaptive=adaptive,
    )
    return chain(average, orthogonal)


@counterpart(optax_contrib.muon)
def muon(
    learning_rate: Any,
    ns_coeffs: Any,
    ns_steps: Any,
    beta: Any,
    eps: Any,
    weight_decay: Any,
    weight_decay_mask: Any,
    mu_dtype: Any,
    nesterov: bool,
    adaptive: bool,
    preconditioning: Any,
    adam_b1: Any,
    adam_b2: Any,
    adam_eps_root: Any,
    adam_weight_decay: Any,
    adam_learning_rate: Any,
    muon_weight_dimension_numbers: Any,
    consistent_rms: Any,
) -> Any:
    """`optax.contrib.muon` by the parts of `adamx.muon`, in Optax's two groups.

    The leaves with two axes are in the first group, and AdamW has the others.
    """
    direction = scale_by_muon(
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov=nesterov,
        adaptive=adaptive,
        preconditioning=preconditioning,
        weight_dimension_numbers=muon_weight_dimension_numbers,
    )
    dims = muon_weight_dimension_numbers
    axes = as_axes("muon", MatrixAxes() if dims is None else dims)
    matrices = (
        rule_of(direction),
        ScaleByShape(consistent_rms, out_axis=1, axes=axes),
        parts.decay(weight_decay, weight_decay_mask),
        parts.rate(learning_rate),
    )
    others = aliases.adamw(
        learning_rate if adam_learning_rate is None else adam_learning_rate,
        adam_b1,
        adam_b2,
        eps,
        adam_eps_root,
        mu_dtype,
        adam_weight_decay,
        nesterov=nesterov,
    )
    rule_of(others)  # or the reason why there is none
    by_label = (("muon", matrices), ("adam", others))
    return Groups(by_label, MuonLabels(None if dims is None else axes))


class MuonLabels(Value):
    """The groups of Optax's Muon: a function of the tree."""

    axes: Any = None

    def __call__(self, tree: Any) -> Any:
        """Return the groups: "muon" for two axes, or where axes are said."""
        if self.axes is None:
            return jax.tree.map(lambda x: "muon" if x.ndim == 2 else "adam", tree)
        found = self.axes.as_tree(tree)
        return jax.tree.map(lambda chosen: "muon" if chosen else "adam", found)


# ---- schedule-free, and other wrappers -----------------------------------------


@counterpart(optax_contrib.schedule_free)
def schedule_free(
    base_optimizer: Any,
    learning_rate: Any,
    b1: Any,
    weight_lr_power: Any,
    state_dtype: Any,
) -> Around:
    """`optax.contrib.schedule_free` by the rule of `adamx.schedule_free`."""
    return Around(base_optimizer, ScheduleFree(learning_rate, b1, weight_lr_power))


def _warmed_up(learning_rate: Any, warmup_steps: Any) -> Any:
    if warmup_steps is None:
        return learning_rate
    return optax.warmup_constant_schedule(0, learning_rate, warmup_steps)


@counterpart(optax_contrib.schedule_free_sgd)
def schedule_free_sgd(
    learning_rate: Any,
    warmup_steps: Any,
    b1: Any,
    weight_decay: Any,
    weight_lr_power: Any,
    state_dtype: Any,
) -> Around:
    """`optax.contrib.schedule_free_sgd` by the parts of the one of adamx."""
    rate = _warmed_up(learning_rate, warmup_steps)
    base = aliases.sgd(rate)
    if weight_decay is not None:
        base = optax.chain(optax.add_decayed_weights(weight_decay), base)
    return Around(base, ScheduleFree(rate, b1, weight_lr_power))


@counterpart(optax_contrib.schedule_free_adamw)
def schedule_free_adamw(
    learning_rate: Any,
    warmup_steps: Any,
    b1: Any,
    b2: Any,
    eps: Any,
    weight_decay: Any,
    weight_lr_power: Any,
    state_dtype: Any,
) -> Around:
    """`optax.contrib.schedule_free_adamw` by the parts of the one of adamx."""
    rate = _warmed_up(learning_rate, warmup_steps)
    base = optax.chain(
        directions.scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(rate),
    )
    return Around(base, ScheduleFree(rate, b1, weight_lr_power))


def schedule_free_eval_params(state: Any, params: Any) -> Any:
    """Return the average: of a state of Optax or of adamx, inside others or not.

    Raises:
        ValueError: the state has no average.
    """
    if not parameter_averages.has_average(state):
        raise errors.type_error(
            "schedule_free_eval_params",
            "`state` must be that of a schedule-free optimizer",
            type(state).__name__,
            "Pass the state that `schedule_free(...).init` returned.",
        )
    return parameter_averages.eval_params(state, params)


@functools.wraps(optax_contrib.sam)
def sam(*args: Any, **kwargs: Any) -> optax.GradientTransformationExtraArgs:
    """`optax.contrib.sam`, around optimizers of adamx too.

    It picks one of two states by `c * a + (1 - c) * b`, which makes an integer of the
    bool that a leaf without state has; here each leaf keeps its dtype.
    """
    init, update = optax_contrib.sam(*args, **kwargs)

    def kept(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        updates, after = update(updates, state, params, **extra)
        return updates, jax.tree.map(lambda x, old: x.astype(old.dtype), after, state)

    return optax.GradientTransformationExtraArgs(init, kept)
