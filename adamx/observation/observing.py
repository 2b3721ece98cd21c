"""A transformation that is observed: `observe`, and how a step is measured.

The measurement is computed before the step, from the gradient, the state and the
parameters that the step is given, in a branch that runs at sampled steps only. The step
itself is the one without `observe`.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .. import errors
from ..engine.leaves import column
from ..engine.options import Range, whole
from ..engine.paths import leaves_by_path
from ..engine.slot_trees import is_placeholder
from ..engine.tree import shared_dtype
from ..wrappers.accumulating import Accumulating
from ..wrappers.around import Around, as_inner, inner_of, live
from ..wrappers.current_hyperparams import named, value_of
from ..wrappers.grouped import Groups
from ..wrappers.offload import Offloaded
from ..wrappers.step import step
from ..wrappers.zero1 import Zero1
from . import coded
from .nonfinite import earlier, first_bad, first_bad_of
from .rules import (
    caution_of,
    clips_in_front,
    every_link,
    is_clip,
    map_rules,
    plain,
    ratio_of,
)
from .running import Given, Seen, by_path, narrowed, run
from .state import Observed
from .statistics import ALWAYS, Noted, is_explicit, square_sum, statistics
from .thinning import (
    can_be_thinned,
    prepared,
    stride_for,
    thinned_state,
    thinned_tree,
)


class Observing(Around):
    """Keep metrics of `inner` in the state (see `observe`)."""

    every: int = 10
    elements: int | None = 2**14
    nonfinite_every: int | None = None

    def inside_shard_map(self) -> str:
        return (
            "Its norms are those of whole leaves: observe under jax.jit, outside of it."
        )

    def __repr__(self) -> str:
        given = [repr(self.inner), f"every={self.every}"]
        if self.elements != 2**14:
            given.append(f"elements={self.elements}")
        if self.nonfinite_every is not None:
            given.append(f"nonfinite_every={self.nonfinite_every}")
        return f"observe({', '.join(given)})"

    # ---- the keys ------------------------------------------------------------

    @functools.cached_property
    def _groups(self) -> Groups | None:
        """The groups, where all leaves are in some."""
        tx: Any = self.inner
        while True:
            if isinstance(tx, Groups):
                return tx
            inside = [x for x in inner_of(tx) if not hasattr(x, "apply")]
            if len(inside) != 1:
                return None
            tx = inside[0]

    @functools.cached_property
    def _also(self) -> dict[str, tuple[str, ...]]:
        """The keys beside `ALWAYS` that there are, by what is before them."""
        groups = () if self._groups is None else self._groups.groups
        each = {f"group{i + 1}/": _also(tx) for i, (_, tx) in enumerate(groups) if tx}
        return {"": _also(self.inner)} | each

    def _sets(self, paths: list[str], params: Any) -> dict[str, list[str]]:
        """Return the leaves of which there are metrics, by what is before their key."""
        sets = {"": paths}
        for i, (mask, tx) in enumerate(
            () if self._groups is None else self._groups.groups
        ):
            if tx is not None:
                chosen = _selected(mask, params)
                sets[f"group{i + 1}/"] = [p for p in paths if p in chosen]
        return sets

    def _hyperparams(self, state: Any) -> dict[str, Array]:
        """Return the learning rate, and what else changes from step to step."""
        return {
            name: value_of(name, found)
            for name, found in named(self.inner, state).items()
            if found.changes or name.split("/")[-1] == "learning_rate"
        }

    def _keys(self, inner: Any) -> list[str]:
        found = [
            prefix + key for prefix, also in self._also.items() for key in ALWAYS + also
        ]
        return [*found, *coded.keys(self.inner), *self._hyperparams(inner)]

    # ---- the state -----------------------------------------------------------

    def _init(self, params: Any) -> Observed:
        inner = self.inner.init(params)
        wide = shared_dtype()
        sampled: dict[str, Any] = {}
        sampled |= {key: jnp.zeros((), wide) for key in self._keys(inner)}
        sampled["step"] = jnp.zeros((), jnp.int32)
        none = jnp.full((), -1, jnp.int32)
        if is_placeholder(params):  # `optax.tree_map_params` asks where they are
            sampled = dict.fromkeys(sampled, False)
        zeros = [jnp.zeros((), jnp.int32) for _ in range(2)]
        return Observed(zeros[0], sampled, none, zeros[1], inner)

    # ---- one step ------------------------------------------------------------

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Observed]:
        updates, after = self._observed(updates, state, params, extra)
        new, inner = self.inner._update(updates, state.inner, params, extra)
        return new, after._replace(inner=inner)

    def _in_one_pass(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Observed]:
        updates, after = self._observed(updates, state, params, extra)
        new, inner = step(self.inner, params, updates, state.inner, **extra)
        return new, after._replace(inner=inner)

    def _observed(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Observed]:
        """Return the updates, to be used after the measurement, and the new state."""
        _check(state, params)
        taken = state.seen + 1
        given = jax.lax.stop_gradient((updates, state.inner, params))

        def measured() -> tuple[dict[str, Array], Array]:
            found, bad = self._measured(*given, extra)
            like = {key: x.dtype for key, x in state.sampled.items()}
            found["step"] = taken
            return {key: found[key].astype(dtype) for key, dtype in like.items()}, bad

        none = jnp.full((), -1, jnp.int32)
        sampled, bad = self._when(
            self.every, state, measured, lambda: (dict(state.sampled), none)
        )
        if self.nonfinite_every is not None:
            looked = self._when(
                self.nonfinite_every,
                state,
                lambda: first_bad(given[0], self._live(given[0], params)),
                lambda: none,
            )
            bad = jnp.where(bad < 0, looked, bad)
        first = (state.nonfinite_leaf < 0) & (bad >= 0)
        leaf = jnp.where(first, bad, state.nonfinite_leaf)
        when = jnp.where(first, taken, state.nonfinite_step)
        # the step waits for what is measured of its arguments, which it writes over
        updates, sampled = jax.lax.optimization_barrier((updates, sampled))
        return updates, Observed(taken, sampled, leaf, when, None)

    def _when(self, every: int, state: Observed, there: Any, otherwise: Any) -> Any:
        # at every step, too, a branch: XLA then computes it before the step, and the
        # step may write over what it has read
        now = state.seen >= 0 if every == 1 else state.seen % every == 0
        return jax.lax.cond(now, there, otherwise)

    def _live(self, updates: Any, params: Any) -> list[str]:
        """Return the paths of the leaves that are updated."""
        mask = live(self.inner)
        chosen = None if mask is None else _selected(mask, params)
        return [
            path
            for path, g in leaves_by_path(updates)
            if g is not None and g.size and (chosen is None or path in chosen)
        ]

    def _measured(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[dict[str, Array], Array]:
        """Return the metrics of the step that is about to be taken.

        And the index of the first leaf that is not finite, -1 for none.
        """
        paths = self._live(updates, params)
        found = dict(self._hyperparams(state))
        whole = by_path(updates)
        squares = {path: square_sum(whole[path]) for path in paths}
        sizes = {path: whole[path].size for path in paths}
        bad = first_bad(updates, paths, squares)
        tx, given, kept = map_rules(self.inner, plain), (updates, params), state
        stride = stride_for(list(sizes.values()), self.elements)
        split = any(is_explicit(whole[path]) for path in paths)
        if stride > 1 and not split and can_be_thinned(self.inner):
            norm = jnp.sqrt(sum(squares.values(), jnp.zeros((), shared_dtype())))
            tx = prepared(tx, updates, params, norm)
            state = thinned_state(self.inner, state, params, stride)
            given = thinned_tree(given, stride)
        else:
            state = coded.decoded_state(self.inner, state, params)
        seen = Seen({}, {}, {}, {}, {}, {})
        new, after = run(tx, given[0], state, Given(given[1], extra, seen))
        new = by_path(narrowed(new, given[0], given[1], seen))
        if coded.keys(self.inner):
            stored = self.inner._update(updates, kept, params, extra)[1]
            found |= coded.statistics(self.inner, kept, stored, after, params)
        param = by_path(_like(given[1], given[0]))
        noted = Noted(by_path(given[0]), new, param, seen, squares, sizes)
        bad = earlier(bad, first_bad_of(updates, paths, new, param))
        for before, own in self._sets(paths, params).items():
            each = statistics(noted, own, self._also[before])
            found |= {before + key: x for key, x in each.items()}
        return found, bad


def _also(tx: Any) -> tuple[str, ...]:
    """Return the keys beside `ALWAYS` that the rules of a transformation have."""
    found = list(every_link(tx))
    ratios = any(ratio_of(link) is not None for link in found)
    has = {
        "clipped": any(map(is_clip, found)),
        "clipped_norm": clips_in_front(tx),
        "cautious_masked": any(caution_of(link) is not None for link in found),
        "eps_dominates": ratios,
        "signal_to_noise": ratios,
    }
    return tuple(key for key, there in has.items() if there)


def _selected(mask: Any, params: Any) -> set[str]:
    answers = mask.resolve(params)
    pairs = zip(leaves_by_path(params), answers, strict=True)
    return {path for (path, _), yes in pairs if yes}


def _like(params: Any, updates: Any) -> Any:
    """Return the parameters in the structure of the updates, by position."""
    here = column("params", params, updates)
    paths = [path for path, _ in leaves_by_path(updates)]
    return dict(zip(paths, here, strict=True))


def _check(state: Any, params: Any) -> None:
    """Raise an error for a call that cannot be observed."""
    if not isinstance(state, Observed):
        raise errors.type_error(
            "update",
            "the state must be the one that `init` of `observe` returned",
            type(state).__name__,
            "To go on from a state that was not observed, call "
            "adamx.restore(tx, state, params).",
        )
    if params is None:
        raise errors.AdamxTypeError(
            "observe: update must be given the parameters, whose norm it reports, got "
            "params=None. Call tx.update(updates, state, params)."
        )
    manual = jax.sharding.get_abstract_mesh().manual_axes
    if manual:
        raise errors.AdamxError(
            f"observe: the norms must be those of whole leaves, got a call inside "
            f"shard_map over {', '.join(map(repr, manual))}. Run the optimizer under "
            f"jax.jit, outside shard_map."
        )


# ---- the public function -------------------------------------------------------------

_OUTSIDE = {Accumulating: "accumulate", Offloaded: "offload", Zero1: "zero1"}


def _outside(tx: Any) -> str | None:
    """Return the name of a wrapper inside `tx` that must be around `observe`."""
    name = _OUTSIDE.get(type(tx))
    return name or next(filter(None, map(_outside, inner_of(tx))), None)


def observe(
    tx: Any,
    *,
    every: Any = 10,
    elements: Any = 2**14,
    nonfinite_every: Any = None,
) -> Observing:
    """Return the same optimizer, which keeps metrics of its steps in its state.

        tx = adamx.observe(adamx.adamw(3e-4), every=10)
        ...
        log(adamx.metrics(state))

    The first step is sampled, and then every so many: a branch of the compiled program
    computes what the step will do, and keeps some numbers. The steps are those of `tx`.
    `adamx.metrics` reads the numbers, from any state that this one is in, and the page
    "Metrics" has the equation of each.

    The norm of the gradient is always that of all elements. The other metrics of an
    elementwise optimizer (Adam and its like, also with `ClipByGlobalNorm` in front) are
    those of about `elements` of them, evenly spaced, so that a sample takes about as
    long as reading the gradient. Of other optimizers, and where slots are compressed,
    the whole update is computed once more at each sampled step, and `every` should be
    larger.

    It goes into `accumulate`, `offload` and `zero1`, into `optax.partition`,
    `optax.MultiSteps` and the like, and around everything else; `fused` and `store` may
    be inside or around. A function that a transformation of Optax calls, such as a
    callback, is called twice at a sampled step.

    Args:
        tx: any gradient transformation.
        every: the steps from one sample to the next, at least 1.
        elements: about how many elements are looked at, of all leaves together; None
            for all of them.
        nonfinite_every: the steps from one look for gradients that are not finite to
            the next; None for `every`. With 1 the step where a run broke is exact, for
            which the gradient is read once more in every step.

    State: some scalars besides the state of `tx`.

    Raises:
        ValueError: `every`, `elements` or `nonfinite_every` is below 1; `tx` is already
            observed, or has `accumulate`, `offload` or `zero1` in it; in `update`, a
            call inside `shard_map`.
        TypeError: `tx` is no gradient transformation; in `update`, no parameters.
    """
    inner = as_inner("observe", tx, "Pass for example observe(adamw(1e-3)).")
    name = _outside(inner)
    if name is not None:
        raise errors.AdamxError(
            f"observe: it must be inside `{name}`, which decides when or where `tx` "
            f"runs, got {errors.shorten(repr(tx))}. Write {name}(observe(tx), ...)."
        )
    if _is_observed(inner):
        raise errors.AdamxError(
            f"observe: `tx` must not be observed already, got "
            f"{errors.shorten(repr(tx))}. Take one of the two away."
        )
    return Observing(
        inner,
        _whole("every", every),
        None if elements is None else _whole("elements", elements),
        None if nonfinite_every is None else _whole("nonfinite_every", nonfinite_every),
    )


def _whole(argument: str, value: Any) -> int:
    return whole("observe", argument, value, Range(1, advice=_WHY[argument]))


_WHY = {
    "every": "It is the number of steps from one sample to the next; 10 is usual.",
    "nonfinite_every": "With 1 the step is exact; None looks when a sample is taken.",
    "elements": "It is the number of elements that are looked at; None is for all.",
}


def _is_observed(tx: Any) -> bool:
    return isinstance(tx, Observing) or any(map(_is_observed, inner_of(tx)))
