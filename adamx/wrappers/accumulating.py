"""Running an optimizer once for several micro-batches.

A micro-step adds the gradient to a sum in the state; only the last one of a step runs
the optimizer, on the mean.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .. import errors
from ..engine import tree_checks
from ..engine.leaves import applied_to_all, slot_column
from ..engine.paths import flatten, leaves_by_path
from ..engine.slot_trees import is_placeholder, start_tree, with_columns
from ..engine.slots import full
from ..engine.state import Slot, is_absent, serializable
from ..engine.tree import dtypes_of, shared_dtype
from ..numerics.arithmetic import compute_dtype
from ..numerics.splits import varying
from .around import Around, inner_of, live
from .grouped import Groups, with_shapes
from .placing import Place
from .zero1 import Zero1

JUDGED_AFTER = 10
"""So many steps are taken before one may be skipped as a spike."""
LONGEST = 100
"""The average of the norms is that of all steps, from then on with 1 / LONGEST."""


COUNTED = ("skipped_nonfinite", "skipped_spikes", "norm", "norms")


@serializable
class Accumulated(NamedTuple):
    """The state of an optimizer with accumulation.

    Attributes:
        micro_step: the micro-batches in the sum.
        weight: the sum of their weights.
        gradients: the weighted sum of their gradients, a tree like the parameters. If
            `micro_step` is 0, it is that of the step before, which is not used.
        skipped_nonfinite: the steps that were skipped since a gradient was not finite,
            or all weights were 0.
        skipped_spikes: the steps that were skipped since their norm was a spike.
        norm: the average norm of the steps before.
        norms: of how many steps it is the average.
        inner: the state of the optimizer.
    """

    micro_step: Any
    weight: Any
    gradients: Any
    skipped_nonfinite: Any
    skipped_spikes: Any
    norm: Any
    norms: Any
    inner: Any


class Accumulating(Around):
    """Run `inner` once for `every` micro-batches (see `accumulate`)."""

    every: int
    weights: Any = None
    dtype: Any = np.dtype("float32")
    skip_nonfinite: bool = False
    skip_spikes: float | None = None

    def __repr__(self) -> str:
        given = [repr(self.inner), str(self.every)]
        for name in ("weights", "skip_spikes"):
            if getattr(self, name) is not None:
                given.append(f"{name}={getattr(self, name)!r}")
        if self.dtype != np.dtype("float32"):
            given.append(f"dtype={self.dtype.name!r}")
        given += ["skip_nonfinite=True"] * self.skip_nonfinite
        return f"accumulate({', '.join(given)})"

    @property
    def slot(self) -> Slot:
        """The sum of the gradients, as a slot of every leaf that is not frozen."""
        mask = live(self.inner)
        dtype = None if self.dtype == np.dtype("float32") else self.dtype
        return Slot(dtype=dtype, masks=() if mask is None else (mask,))

    def own_slots(self) -> dict[str, Slot]:
        return {"gradients": self.slot}

    def _init(self, params: Any) -> Accumulated:
        slot, n = self.slot, len(flatten(params)[0])
        chosen = [frozenset(slot.masks)] * n
        if slot.masks and not is_placeholder(params):
            (mask,) = slot.masks
            chosen = [frozenset({mask} if x else ()) for x in mask.resolve(params)]
        begun = start_tree(slot, params, chosen, [""] * n, [slot] * n)
        wide = shared_dtype()
        numbers = {  # each an array of its own, since a state may be donated
            name: jnp.zeros((), wide if name in ("weight", "norm") else jnp.int32)
            for name in Accumulated._fields
            if name not in ("gradients", "inner")
        }
        inner = self.inner.init(params)
        return Accumulated(gradients=begun, inner=inner, **numbers)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Accumulated]:
        dtypes = dtypes_of(updates, params)
        rules = (rule for rule, _ in self._in_order() if rule is not None)
        if any(rule._has_place("last") for rule in rules):
            dtypes = [d if d is None else compute_dtype(d) for d in dtypes]

        def each(change: Callable[[Any, Any], Any], tree: Any) -> Any:
            leaves, treedef = flatten(tree)
            pairs = zip(leaves, dtypes, strict=True)
            return treedef.unflatten(
                [x if x is None else change(x, d) for x, d in pairs]
            )

        return self._run(
            updates,
            state,
            params,
            extra,
            lambda new: each(lambda u, d: u.astype(d), new),
            lambda: each(lambda g, d: full(g, 0, d), updates),
        )

    def _in_one_pass(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Accumulated]:
        """Return the new parameters, which micro-batches without a step do not read."""
        given = updates, state, params, extra
        return self._run(
            *given, lambda new: applied_to_all(params, new), lambda: params
        )

    def _run(
        self,
        updates: Any,
        state: Any,
        params: Any,
        extra: dict[str, Any],
        finish: Callable[[Any], Any],
        nothing: Callable[[], Any],
    ) -> tuple[Any, Accumulated]:
        """Return `finish(updates)` after a step, else `nothing()`; and the state."""
        if not isinstance(state, Accumulated):
            raise errors.type_error(
                "update",
                "the state must be the one that `init` of `accumulate` returned",
                type(state).__name__,
                "To go on from a state without accumulation, call "
                "adamx.restore(tx, state, params, missing='init').",
            )
        weight = self._weight(state.micro_step, extra)
        leaves, treedef = flatten(updates)
        held = slot_column("gradients", self.slot, state.gradients, updates)
        each = [{"gradients": self.slot}] * len(leaves)
        tree_checks.check_slots(each, {"gradients": held}, leaves, updates)
        total = state.weight + (1 if weight is None else weight)
        divisor = (
            jnp.asarray(float(self.every), total.dtype) if weight is None else total
        )

        # outside the two branches, or XLA would copy the sum; it stays as it is after a
        # step, until the next one begins
        first = state.micro_step == 0
        column = [_sum(s, g, weight, first) for s, g in zip(held, leaves, strict=True)]
        column = self._as_begun(column, with_shapes(updates, params))

        def means() -> list[Any]:
            pairs = zip(column, leaves, strict=True)
            return [_mean(s, g, divisor) for s, g in pairs]

        def whole() -> tuple[Any, Any]:
            given = treedef.unflatten(means())
            new, inner = self.inner._update(given, state.inner, params, extra)
            return finish(new), inner

        is_last = state.micro_step >= self.every - 1
        steps, counts = self._judged(is_last, means, total, state)
        if steps is True:
            new, inner = whole()
        else:
            new, inner = jax.lax.cond(steps, whole, lambda: (nothing(), state.inner))
        kept = with_columns(self.slot, state.gradients, column)
        after = Accumulated(
            micro_step=jnp.where(is_last, 0, state.micro_step + 1),
            weight=jnp.where(is_last, 0, total),
            gradients=kept,
            inner=inner,
            **counts,
        )
        return new, after

    def _as_begun(self, column: list[Any], params: Any) -> list[Any]:
        """Return the sums where `init` began them, like the parameters.

        XLA would divide them as `zero1` does their mean, and compile the second step
        anew.
        """
        places = _places(self.inner, params)
        if not places:
            return column
        known = [places.get(path) for path, _ in leaves_by_path(params)]
        return [
            x if place is None or x is None or is_absent(x) else place.undivided(x)
            for place, x in zip(known, column, strict=True)
        ]

    def _weight(self, micro_step: Any, extra: dict[str, Any]) -> Any:
        """Return the weight of this micro-batch; None where all have the same."""
        if self.weights is None:
            return None
        if not isinstance(self.weights, str):
            return jnp.asarray(self.weights, shared_dtype())[micro_step]
        if self.weights not in extra:
            raise errors.AdamxTypeError(
                f"accumulate: the weight `{self.weights}` of the micro-batch must be "
                f"given to update, got {sorted(extra) or 'no extra argument'}. Call "
                f"tx.update(updates, state, params, {self.weights}=...)."
            )
        weight = extra[self.weights]
        if jnp.shape(weight) or not jnp.isrealobj(weight):
            raise errors.type_error(
                "accumulate",
                f"the weight `{self.weights}` of a micro-batch must be one number",
                errors.shown(weight),
                "Pass the number of its tokens, such as mask.sum().",
            )
        if differing := sorted(varying(jnp.asarray(weight))):
            raise errors.AdamxError(
                f"accumulate: the weight `{self.weights}` must be that of all devices, "
                f"got one for each along {', '.join(map(repr, differing))}. Pass "
                f"jax.lax.psum({self.weights}, {differing[0]!r})."
            )
        return jnp.asarray(weight).astype(shared_dtype())

    def _judged(
        self,
        is_last: Any,
        means: Callable[[], list[Any]],
        total: Any,
        state: Accumulated,
    ) -> tuple[Any, dict[str, Any]]:
        """Return whether a step is taken (True for always), and what is counted."""
        counts = {name: getattr(state, name) for name in COUNTED}
        taken = True if self.every == 1 else is_last
        given = isinstance(self.weights, str)  # else the total is above 0
        if not given and not (self.skip_nonfinite or self.skip_spikes):
            return taken, counts
        _check_one_decision(self)

        def seen() -> tuple[Any, Any]:
            live = [x for x in means() if x is not None]
            finite = _all_finite(live) if self.skip_nonfinite else jnp.array(True)
            norm = _norm(live) if self.skip_spikes else jnp.zeros(())
            return finite, norm.astype(state.norm.dtype)

        # a condition of its own, of two numbers: one inside that of the step would make
        # XLA copy the state
        finite, norm = jax.lax.cond(
            is_last, seen, lambda: (jnp.array(True), jnp.zeros_like(state.norm))
        )
        bad = is_last & ((total == 0) | ~finite)
        spike = jnp.zeros_like(bad)
        if self.skip_spikes:
            limit = self.skip_spikes * state.norm
            known = state.norms >= JUDGED_AFTER
            spike = is_last & known & ~(norm <= limit) & ~bad
            share = 1 / (jnp.minimum(state.norms, LONGEST - 1) + 1).astype(norm.dtype)
            # of a spike the limit counts: if the norms stay high, they are accepted
            told = jnp.where(spike, limit, norm)
            counted = is_last & jnp.isfinite(told) & ~bad
            change = jnp.where(counted, share * (told - state.norm), 0)
            counts |= {"norm": state.norm + change, "norms": state.norms + counted}
        counts |= {
            "skipped_nonfinite": state.skipped_nonfinite + bad,
            "skipped_spikes": state.skipped_spikes + spike,
        }
        return is_last & ~(bad | spike), counts


def _divides(tx: Any) -> bool:
    """Return whether there is a `zero1` in a transformation."""
    return isinstance(tx, Zero1) or any(map(_divides, inner_of(tx)))


def _places(tx: Any, params: Any) -> dict[str, Place]:
    """Return where the outermost `zero1` around each leaf has it, by path.

    One inside groups has the leaves of its group.
    """
    if not _divides(tx):
        return {}
    if isinstance(tx, Zero1):
        pairs = zip(leaves_by_path(params), tx.places_of(params), strict=True)
        return {path: place for (path, _), place in pairs if place is not None}
    inside = inner_of(tx)
    each = [params] * len(inside)
    if isinstance(tx, Groups):
        each = tx.params_of_members(params)
    found: dict[str, Place] = {}
    for part, own in zip(inside, each, strict=True):
        found = _places(part, own) | found
    return found


def _check_one_decision(tx: Accumulating) -> None:
    """Raise an error where each device would decide for itself what to leave out."""
    manual = jax.sharding.get_abstract_mesh().manual_axes
    if manual and (tx.skip_nonfinite or tx.skip_spikes is not None):
        raise errors.AdamxError(
            f"accumulate: steps must be left out on all devices or on none, got "
            f"`{'skip_nonfinite' if tx.skip_nonfinite else 'skip_spikes'}` inside "
            f"shard_map over {', '.join(map(repr, manual))}. Run the optimizer under "
            f"jax.jit, outside shard_map."
        )


def _sum(held: Any, g: Any, weight: Any, first: Any) -> Any:
    """Add a gradient to the sum that is held of a leaf, in at least float32."""
    if g is None or held is None or is_absent(held):
        return held
    wide = compute_dtype(held.dtype)
    added = g.astype(wide) if weight is None else g.astype(wide) * weight.astype(wide)
    before = held.astype(wide)
    return (jnp.where(first, jnp.zeros_like(before), before) + added).astype(held.dtype)


def _mean(held: Any, g: Any, divisor: Any) -> Any:
    """Return the mean gradient; that of a frozen leaf is not kept and not used."""
    if g is None or held is None or is_absent(held):
        return g
    wide = held.astype(compute_dtype(held.dtype))
    return wide / divisor.astype(wide.dtype)


def _all_finite(leaves: list[Any]) -> Bool[Array, ""]:
    # the largest is not finite if one is not: `all(isfinite(x))` writes bools on a CPU
    each = [jnp.isfinite(jnp.max(jnp.abs(x), initial=0)) for x in leaves]
    return functools.reduce(jnp.logical_and, each, jnp.array(True))


def _norm(leaves: list[Any]) -> Float[Array, ""]:
    squares = [jnp.sum(jnp.square(x.astype(compute_dtype(x.dtype)))) for x in leaves]
    return jnp.sqrt(sum(squares, jnp.zeros(())))
