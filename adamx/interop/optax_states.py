"""The states of Optax: which slot of adamx each field holds, and in which form.

`FIELDS` has one row for each class of state, by its name, since not all are public.
Most fields hold what the slot holds. The others are: SM3's maxima are a list of one
array per axis; Adafactor's factors are named after the sizes of the axes; Prodigy's
sums are divided by its first estimate of the distance; Rprop keeps a step where the
sign of a gradient is needed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from ..engine.state import is_absent
from ..engine.tree import shared_dtype

Given = Mapping[str, Any]
"""The hyperparameters of a transformation, by their public names."""
Named = Mapping[str, Any]
"""The slots of one leaf, by their names."""


class Field(NamedTuple):
    """A field that holds a slot.

    Attributes:
        slot: the name of the slot, or a function of an array like the parameter that
            returns it.
        read: `read(kept, given) -> slot`; None if the field is the slot.
        write: `write(slots, given) -> kept`, of the slots of a leaf, or those of the
            tree; None if the field is the slot.
        shared: whether it is one number for the whole tree.
    """

    slot: str | Callable[[Any], str]
    read: Callable[[Any, Given], Any] | None = None
    write: Callable[[Named, Given], Any] | None = None
    shared: bool = False

    def name(self, like: Any) -> str:
        return self.slot(like) if callable(self.slot) else self.slot


class Count(NamedTuple):
    """A field that counts the steps, from `first`."""

    first: int = 0


class Other(NamedTuple):
    """A field that is neither: `after(old)` is its value after a step."""

    after: Callable[[Any], Any] = lambda old: old


def _divided(slot: str, by: str, shared: bool = False) -> Field:
    """A field that holds a slot divided by a hyperparameter."""
    return Field(
        slot,
        lambda kept, given: kept * given[by],
        lambda slots, given: slots[slot] / given[by],
        shared,
    )


def _factor(of_rows: bool) -> Field:
    """Optax's `v_row` is the mean over the longer axis, adamx's over the last."""

    def slot(like: Any) -> str:
        tall = like.ndim > 1 and like.shape[-2] > like.shape[-1]
        return "nu_row" if of_rows != tall else "nu_col"

    return Field(slot)


_MOMENTS = {"count": Count(), "mu": Field("mu"), "nu": Field("nu")}
_UNCOUNTED = {"mu": Field("mu"), "nu": Field("nu")}

FIELDS: Mapping[str, Mapping[str, Field | Count | Other]] = {
    "ScaleByAdamState": _MOMENTS,
    "ScaleByAmsgradState": _MOMENTS | {"nu_max": Field("nu_max")},
    "ScaleByBeliefState": _MOMENTS,
    "ScaleByNovogradState": _MOMENTS,
    "ScaleByRStdDevState": _UNCOUNTED,
    "ScaleByRStdDevWithCountState": _MOMENTS,
    "ScaleByRmsState": {"nu": Field("nu")},
    "ScaleByRmsWithCountState": {"count": Count(), "nu": Field("nu")},
    "ScaleByRssState": {"sum_of_squares": Field("sum_of_squares")},
    "ScaleByLionState": {"count": Count(), "mu": Field("mu")},
    "ScaleByAdaDeltaState": {"e_g": Field("nu"), "e_x": Field("squared_steps")},
    "ScaleByAdanState": {
        "m": Field("mu"),
        "v": Field("difference"),
        "n": Field("nu"),
        "g": Field("gradient_before"),
        "t": Count(),
    },
    "ScaleByRpropState": {
        "step_sizes": Field("step_size"),
        "prev_updates": Field(
            "gradient_before",
            write=lambda slots, given: (
                jnp.sign(slots["gradient_before"]) * slots["step_size"]
            ),
        ),
    },
    "ScaleBySM3State": {
        "mu": Field("cover", lambda kept, given: jnp.concatenate(kept)),
        "nu": Field("mu"),
    },
    "FactoredState": {
        "count": Count(),
        "v_row": _factor(of_rows=True),
        "v_col": _factor(of_rows=False),
        "v": Field("nu"),
    },
    "TraceState": {"trace": Field("momentum")},
    "EmaState": {"count": Count(), "ema": Field("mu")},
    "MuonState": {"count": Count(), "mu": Field("momentum"), "ns_coeffs": Other()},
    "ScaleByAdemamixState": {
        "count": Count(),
        "count_m2": Count(),
        "m1": Field("mu"),
        "m2": Field("mu_slow"),
        "nu": Field("nu"),
    },
    "ScaleBySimplifiedAdEMAMixState": {
        "t": Count(),
        "m": Field("mu"),
        "n": Field("nu"),
    },
    "ProdigyState": {
        "exp_avg": Field("mu"),
        "exp_avg_sq": Field("nu"),
        "grad_sum": _divided("s", "estim_lr0"),
        "params0": Field("start"),
        "estim_lr": Field("d", shared=True),
        "numerator_weighted": _divided("r", "estim_lr0", shared=True),
        "count": Count(),
    },
    "DAdaptAdamWState": {
        "exp_avg": Field("mu"),
        "exp_avg_sq": Field("nu"),
        "grad_sum": Field("s"),
        "estim_lr": Field("d", shared=True),
        "numerator_weighted": Field("r", shared=True),
        "count": Count(),
    },
    "DoGState": {
        "is_init_step": Other(jnp.zeros_like),
        "init_params": Field("start"),
        "max_dist": Field("distance", shared=True),
        "sum_sq_norm_grads": Field("sum_of_square_norms", shared=True),
    },
    "DoWGState": {
        "init_params": Field("start"),
        "weighted_sq_norm_grads": Field("weighted_sum", shared=True),
        "estim_sq_dist": Field("square_distance", shared=True),
    },
    "ScheduleFreeState": {
        "b1": Other(),
        "weight_sum": Field("weight_sum", shared=True),
        "step_count": Count(1),
        "max_lr": Field("learning_rate_max", shared=True),
        "base_optimizer_state": Other(),
        "z": Field("z"),
    },
    # only counted: the states of schedules
    "ScaleByScheduleState": {"count": Count()},
    "WeightDecaySchedule": {"count": Count()},
}


BASE = "base_optimizer_state"


def is_known(x: Any) -> bool:
    """Return whether `x` is a state of Optax with a row in `FIELDS`."""
    return (
        isinstance(x, tuple)
        and type(x).__module__.split(".")[0] == "optax"
        and type(x).__name__ in FIELDS
    )


def known(state: Any) -> list[Any]:
    """Return the states with a row in `FIELDS` inside nested ones, in order."""
    return [x for x in jax.tree.leaves(state, is_leaf=is_known) if is_known(x)]


def every(state: Any) -> list[Any]:
    """Return those of `known`, and those inside the base of schedule-free."""
    found = known(state)
    bases = [x.base_optimizer_state for x in found if hasattr(x, BASE)]
    return found + [x for base in bases for x in every(base)]


def rebuilt(
    state: Any, change: Callable[[Any], Any], also: Callable[[Any], Any]
) -> Any:
    """Return a state with each known one changed, and `also` those around them."""
    if is_known(state):
        new = change(state)
        if hasattr(state, BASE):
            inner = rebuilt(getattr(state, BASE), change, also)
            new = new._replace(**{BASE: inner})
        return new
    names: Any = getattr(state, "_fields", None)
    if isinstance(state, tuple) and names is not None:
        fields = {n: rebuilt(getattr(state, n), change, also) for n in names}
        return also(type(state)(**fields))
    if isinstance(state, tuple | list):
        return type(state)(rebuilt(x, change, also) for x in state)
    if isinstance(state, dict):
        return type(state)((n, rebuilt(x, change, also)) for n, x in state.items())
    return state


def counted(state: Any, names: Any) -> list[Any]:
    """Return the states of some names around others, from the outside in."""
    found: list[Any] = []

    def note(x: Any) -> Any:
        if type(x).__name__ in names:
            found.append(x)
        return x

    rebuilt(state, lambda x: x, note)
    return found


def count_of(state: Any) -> Array | None:
    """Return the steps taken, if the state counts them."""
    for name, field in FIELDS[type(state).__name__].items():
        if isinstance(field, Count):
            return getattr(state, name) - field.first
    return None


def share_of(state: Any) -> Array:
    """Return s in x = y + s (z - y), the average of a state of schedule-free.

    Optax computes it as x = (y - (1 - β₁) z) / β₁, so s = 1 - 1/β₁.
    """
    return 1 - 1 / jnp.asarray(state.b1).astype(shared_dtype())


def scheduled_at(state: Any) -> Array:
    """Return the count at which Optax reads the schedules of this state's link."""
    for name, field in FIELDS[type(state).__name__].items():
        if isinstance(field, Count):
            return getattr(state, name)
    return jnp.zeros((), jnp.int32)


def read(
    state: Any, leaves: Sequence[Any], treedef: Any, given: Given
) -> tuple[dict[str, list], dict[str, Array]]:
    """Return the slots that a state holds: columns of leaves, and numbers of the tree.

    Args:
        state: one state with a row in `FIELDS`.
        leaves: arrays like the parameters.
        treedef: their structure.
        given: the hyperparameters.
    """
    columns: dict[str, list] = {}
    numbers: dict[str, Array] = {}
    for name, field in FIELDS[type(state).__name__].items():
        if not isinstance(field, Field):
            continue
        kept = getattr(state, name)
        see = field.read or (lambda kept, given: kept)
        if field.shared:
            numbers[field.name(None)] = see(kept, given).astype(shared_dtype())
            continue
        for i, one in enumerate(treedef.flatten_up_to(kept)):
            if not (leaves[i] is None or _is_hidden(one)):
                slot = columns.setdefault(field.name(leaves[i]), [None] * len(leaves))
                slot[i] = see(one, given)
    return columns, numbers


def write(
    state: Any,
    leaves: Sequence[Any],
    treedef: Any,
    given: Given,
    columns: Mapping[str, list],
    numbers: Mapping[str, Array],
    count: Array,
) -> Any:
    """Return the state with other slots, in the dtypes that it has: inverts `read`."""
    new = {}
    for name, field in FIELDS[type(state).__name__].items():
        kept = getattr(state, name)
        if isinstance(field, Count):
            new[name] = (count + field.first).astype(kept.dtype)
        elif isinstance(field, Other):
            new[name] = field.after(kept)
        elif field.shared:
            value = _written(field, None, numbers, given)
            new[name] = value.astype(kept.dtype)
        else:
            after = treedef.flatten_up_to(kept)
            for i, like in enumerate(leaves):
                if not (like is None or _is_hidden(after[i])):
                    slots = {slot: column[i] for slot, column in columns.items()}
                    value = _written(field, like, slots, given)
                    if not _is_nothing(value, after[i]):
                        after[i] = _like(name, value, after[i])
            new[name] = treedef.unflatten(after)
    return type(state)(**new)


def _is_hidden(x: Any) -> bool:
    return x is None or isinstance(x, optax.MaskedNode)


def _written(field: Field, like: Any, slots: Named, given: Given) -> Any:
    return field.write(slots, given) if field.write else slots[field.name(like)]


def _is_nothing(value: Any, kept: Any) -> bool:
    """Return whether a leaf has no such slot; Optax keeps one number in its place."""
    return is_absent(value) and getattr(kept, "size", 2) < 2


def _like(name: str, value: Any, kept: Any) -> Any:
    """Return the value in the dtype of what was kept, split like a list of arrays."""
    if isinstance(kept, list):
        ends = [sum(x.size for x in kept[: i + 1]) for i in range(len(kept))]
        parts = jnp.split(value, ends[:-1])
        return [new.astype(old.dtype) for new, old in zip(parts, kept, strict=True)]
    if value.shape != kept.shape:
        raise KeyError(f"{name} of shape {kept.shape}")
    return value.astype(kept.dtype)
