"""The laws of a gradient transformation. Each returns what is wrong, or None.

They see `init` and `update` only, so they hold for any transformation of Optax.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .compare import not_finite, other_form, other_numbers, signature, stacked
from .examples import Example

INT32_MAX = np.iinfo(np.int32).max


class Subject:
    """A transformation, and what `update` is given besides.

    Attributes:
        tx: the transformation.
        extra: a function of parameters and gradients that returns the extra arguments.
        ulps: the rounding allowed between two programs.
        jit: `jax.jit`, or what a program that is compared is to be in its place.
        whole: whether states count too, and updates by their own largest numbers. The
            state of some, such as eigenvectors, need not be the same in two programs.
        compiled: `run` under `jit`, which several laws share.
    """

    def __init__(
        self,
        tx: Any,
        extra: Any,
        ulps: float,
        *,
        jit: Callable[[Any], Any] = jax.jit,
        whole: bool = False,
    ) -> None:
        self.tx = tx
        self.wide = optax.with_extra_args_support(tx)
        self.extra: Any = extra if callable(extra) else lambda params, g: extra or {}
        self.ulps, self.jit, self.whole = ulps, jit, whole
        self.compiled = jit(self.run)

    def init(self, params: Any) -> Any:
        return self.tx.init(params)

    def update(self, g: Any, state: Any, params: Any) -> tuple[Any, Any]:
        return self.wide.update(g, state, params, **self.extra(params, g))

    def step(self, carry: Any, g: Any) -> tuple[Any, Any]:
        params, state = carry
        updates, state = self.update(g, state, params)
        return (optax.apply_updates(params, updates), state), updates

    def run(self, params: Any, gradients: list[Any]) -> Any:
        """Return parameters and state after all steps, and the stacked updates."""
        carry, all_updates = (params, self.init(params)), []
        for g in gradients:
            carry, updates = self.step(carry, g)
            all_updates.append(updates)
        return carry, stacked(all_updates)


class Law(NamedTuple):
    """A law.

    Attributes:
        must: what must hold, after "must".
        check: a function of a subject and an example that returns what is wrong.
        remedy: the usual cause, and what to do.
        traced: whether nothing is computed, so that more examples cost little.
        dtypes: the dtypes of parameters and gradients that it is checked in.
    """

    must: str
    check: Callable[[Subject, Example], str | None]
    remedy: str
    traced: bool = False
    dtypes: tuple[tuple[str, str], ...] = (("float32", "float32"),)


def _traced(of: Subject, example: Example) -> tuple[Any, Any, Any]:
    """Return the first state, the updates and the state after, without computing."""
    p, g = example.params(), example.gradients()[0]
    state = jax.eval_shape(of.init, p)
    updates, after = jax.eval_shape(of.update, g, state, p)
    return state, updates, after


# ---- form --------------------------------------------------------------------------


def init_of_shapes(of: Subject, example: Example) -> str | None:
    p = example.params()
    return other_form(jax.eval_shape(of.init, p), of.init(p))


def _not_wide(example: Example, updates: Any) -> str | None:
    g, p = example.gradients()[0], example.params()
    with jax.numpy_dtype_promotion("standard"):  # that of the laws, not of the user
        wide = jax.tree.map(
            lambda g, p: jax.ShapeDtypeStruct(
                g.shape, jnp.promote_types(g.dtype, p.dtype)
            ),
            g,
            p,
        )
    return other_form(updates, wide)


def _other_state(after: Any, state: Any) -> str | None:
    return None if signature(after) == signature(state) else other_form(after, state)


def updates_are_like_gradients(of: Subject, example: Example) -> str | None:
    return _not_wide(example, _traced(of, example)[1])


def state_keeps_its_form(of: Subject, example: Example) -> str | None:
    state, _, after = _traced(of, example)
    return _other_state(after, state)


def form_is_kept(of: Subject, example: Example) -> str | None:
    state, updates, after = _traced(of, example)
    return _not_wide(example, updates) or _other_state(after, state)


def strict_promotion(of: Subject, example: Example) -> str | None:
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        _traced(of, example)
    return None


def empty_tree(of: Subject, example: Example) -> str | None:
    for empty in ({}, (), [], {"a": (), "b": None}):
        state = of.init(empty)
        updates, after = of.update(empty, state, empty)
        if jax.tree.structure(updates) != jax.tree.structure(empty):
            return f"the updates {updates} of {empty}"
        told = other_form(after, state)
        if told is not None:
            return told
    return None


def leaf_without_elements(of: Subject, example: Example) -> str | None:
    p, g = ({"a": t, "none": jnp.zeros((0, 3))} for t in _first(example))
    state = of.init(p)
    updates, after = of.update(g, state, p)
    return not_finite((updates, after)) or other_form(updates, g)


def _first(example: Example) -> tuple[Any, Any]:
    return example.params(), example.gradients()[0]


def holes_stay_holes(of: Subject, example: Example) -> str | None:
    p, g = _first(example)
    for hole in (None, optax.MaskedNode()):
        ps, gs = {"a": p, "hole": hole}, {"a": g, "hole": hole}
        state = of.init(ps)
        updates, after = of.update(gs, state, ps)
        got = other_form(updates, gs) or other_form(after, state)
        if got is not None:
            return f"{got}, with {hole}"
        alone, _ = of.update({"a": g}, of.init({"a": p}), {"a": p})
        got = other_numbers(updates["a"], alone["a"], of.ulps)
        if got is not None:
            return f"{got}, where a leaf is {hole}"
    return None


# ---- programs ----------------------------------------------------------------------


def _other_run(of: Subject, got: Any, want: Any) -> str | None:
    """Return how what `Subject.run` returned differs."""
    if of.whole:
        return other_numbers(got, want, of.ulps)
    (moved, state), updates = got
    (params, other), wanted = want
    told = other_numbers(moved, params, of.ulps) or _other_state(state, other)
    return told or other_numbers(updates, wanted, of.ulps, beside=params)


def jit_is_eager(of: Subject, example: Example) -> str | None:
    p, gradients = example.params(), example.gradients()
    with jax.disable_jit():
        eager = of.run(p, gradients)
    return _other_run(of, of.compiled(p, gradients), eager)


def scan_is_the_loop(of: Subject, example: Example) -> str | None:
    p, gradients = example.params(), example.gradients()

    def scanned(p: Any, gradients: Any) -> Any:
        return jax.lax.scan(of.step, (p, of.init(p)), gradients)

    loop = of.compiled(p, gradients)
    return _other_run(of, of.jit(scanned)(p, stacked(gradients)), loop)


def vmap_is_the_loop(of: Subject, example: Example) -> str | None:
    p, gradients = example.params(), example.gradients()

    def at(k: int) -> Any:
        """Return other parameters, and gradients in another order."""
        turned = gradients[k:] + gradients[:k]
        return jax.tree.map(lambda x: (x / 2**k).astype(x.dtype), (p, turned))

    each = [at(k) for k in range(3)]
    loop = stacked([of.compiled(*given) for given in each])
    return _other_run(of, of.jit(jax.vmap(of.run))(*stacked(each)), loop)


def no_tracer_leaks(of: Subject, example: Example) -> str | None:
    p, gradients = example.params(), example.gradients()
    with jax.checking_leaks():
        jax.eval_shape(lambda p, g: of.run(p, g), p, gradients)
    return None


def same_again(of: Subject, example: Example) -> str | None:
    p, g = _first(example)
    state = of.init(p)
    first = of.update(g, state, p)
    for _ in range(2):
        got = other_numbers(of.update(g, state, p), first)
        if got is not None:
            return got
    return None


def numpy_leaves(of: Subject, example: Example) -> str | None:
    p, g = _first(example)
    want = of.update(g, of.init(p), p)
    p_np, g_np = (jax.tree.map(np.asarray, t) for t in (p, g))
    return other_numbers(of.update(g_np, of.init(p_np), p_np), want, of.ulps)


# ---- memory and counts -------------------------------------------------------------


def state_owns_its_memory(of: Subject, example: Example) -> str | None:
    p = example.params()
    return _shared(of.init(p), p) or _shared(jax.jit(of.init)(p), p)


def _shared(state: Any, p: Any) -> str | None:
    arrays = [x for x in jax.tree.leaves(state) if isinstance(x, jax.Array)]
    taken = {x.unsafe_buffer_pointer(): "a parameter" for x in jax.tree.leaves(p)}
    for x in arrays:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) or not x.size:
            continue
        where = x.unsafe_buffer_pointer()
        if where in taken:
            return f"an array of shape {x.shape} that is that of {taken[where]}"
        taken[where] = "another leaf of the state"
    return None


def counters_saturate(of: Subject, example: Example) -> str | None:
    p, g = _first(example)
    state = of.init(p)

    def late(x: Any) -> Any:
        known = isinstance(x, jax.Array) and x.dtype == jnp.int32 and not x.ndim
        return jnp.full_like(x, INT32_MAX) if known else x

    _, after = of.update(g, jax.tree.map(late, state), p)
    for x in jax.tree.leaves(after):
        if jnp.result_type(x) == jnp.int32 and jnp.shape(x) == () and int(x) < 0:
            return f"the count {int(x)} after {INT32_MAX}"
    return None


# ---- numbers -----------------------------------------------------------------------


def finite_at_zero(of: Subject, example: Example) -> str | None:
    zero = jax.tree.map(jnp.zeros_like, example.params())
    g = jax.tree.map(jnp.zeros_like, example.gradients()[0])
    for p in (example.params(), zero):
        got = not_finite(of.run(p, [g] * example.steps))
        if got is not None:
            return got
    return None


def _loss(of: Subject, p: Any, gradients: list[Any]) -> Any:
    (p, _), _ = of.run(p, gradients)
    return sum(jnp.sum(jnp.cos(3 * x)) for x in jax.tree.leaves(p))


def derivative_is_the_difference_quotient(of: Subject, example: Example) -> str | None:
    with jax.enable_x64(True):
        wide = example.of("float64", "float64")
        p, gradients = wide.params(), wide.gradients()
        along = dataclasses.replace(wide, seed=wide.seed + 1000).gradients()

        @jax.jit
        def at(t: Any) -> Any:
            moved = jax.tree.map(lambda g, d: g + t * d, gradients, along)
            return _loss(of, p, moved)

        zero = jnp.zeros((), jnp.float64)
        slope = float(jax.jvp(at, (zero,), (zero + 1,))[1])
        h = 1e-6
        quotient = float(at(zero + h) - at(zero - h)) / (2 * h)
        size = max(abs(slope), abs(quotient), 1e-3)
        if not abs(slope - quotient) <= 1e-4 * size:
            return f"{slope:.7g} for {quotient:.7g}"
    return None


def derivative_at_zero_is_finite(of: Subject, example: Example) -> str | None:
    p = example.params()
    zero = [jax.tree.map(jnp.zeros_like, g) for g in example.gradients()]
    slope = jax.jit(jax.grad(lambda p, g: _loss(of, p, g), (0, 1)))
    at_zero = jax.tree.map(jnp.zeros_like, p)
    return not_finite(slope(p, zero)) or not_finite(slope(at_zero, zero))
