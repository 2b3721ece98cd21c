"""The methods of a rule as compiled functions of one leaf.

What is kept by a codec with a scale per block is computed twice on a GPU: see `twice`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..numerics.arithmetic import compute_dtype, within_range
from ..numerics.random_bits import OfRows, key_of
from .leaves import applied
from .order import dependent, zero_after
from .placement import Placed
from .slots import decoded, encoded, is_scaled, scale_of
from .state import Context, Slot


class Inputs(NamedTuple):
    """The inputs of a compiled step for one leaf."""

    update: Any
    param: Any
    extra: dict[str, Any]
    word: Any  # of its path, where random numbers are drawn
    together: Any = None  # what was computed of its matrices
    old: Any = None  # the parameter, if the new one is to be returned, not the update


class LeafFunctions(NamedTuple):
    """The methods of a rule, each a function of a form and of what a leaf has."""

    partial_sums: Any
    matrices: Any
    together: Any
    apply: Any
    step: Any  # `apply` before it is compiled, and the numbers of the rule it is given


def leaf_functions(rule: Any) -> LeafFunctions:
    """Compile the methods of a rule for a leaf, once for each form of leaf.

    A form is static: the masks that select the leaf, its path if the rule needs it, the
    dtype of the returned update, and how the leaf is split inside `shard_map`.
    """
    arrays, unflatten, enter = entrance(rule)
    at_place = Placed(rule)
    declared = kept_slots(rule)
    coded = [name for name, slot in declared.items() if slot.codec is not None]
    elementwise = rule._widest_scope() == "element"

    def declared_for(form: Any) -> dict[str, Slot]:
        slots = at_place.slots(form.place, form.selected).items()
        return {name: slot for name, slot in slots if not slot.shared}

    def seen(form: Any, kept: dict[str, Any], u: Any) -> dict[str, Any]:
        known = declared_for(form)
        return {n: decoded(known[n], s, u, form) for n, s in kept.items()}

    def partial_sums(form: Any, kept: dict[str, Any], *given: Any) -> Any:
        here, u, ctx = enter(form, *given)
        return here.partial_sums(u, seen(form, kept, u), ctx)

    def matrices(form: Any, kept: dict[str, Any], *given: Any) -> Any:
        here, u, ctx = enter(form, *given)
        return here.matrices(u, seen(form, kept, u), ctx)

    def together(arrays: list, stack: Any) -> Any:
        return unflatten(arrays).cast(stack.dtype).together(stack)

    def computed(form: Any, kept: dict[str, Any], *given: Any) -> Any:
        here, u, ctx = enter(form, *given)
        return *here.apply(u, seen(form, kept, u), ctx), ctx

    def counted(form: Any, kept: dict[str, Any], given: tuple, zero: Any) -> Any:
        # the new slots that depend on the count, computed again, later
        arrays, shared, count, x = given

        def new(shared: dict[str, Any], count: Any) -> dict[str, Any]:
            return computed(form, kept, arrays, shared, count, x)[1]

        names = dependent(new, shared, count)
        shared = {
            name: value + zero.astype(value.dtype) for name, value in shared.items()
        }
        again = new(shared, count + zero.astype(count.dtype)) if names else {}
        return {name: again[name] for name in names}

    def stepped(form: Any, scales: dict, kept: dict[str, Any], *given: Any) -> Any:
        u, new, ctx = computed(form, kept, *given)
        u, (*_, count, x) = u.astype(form.dtype), given
        key = ctx.key if coded else None
        if x.old is not None:
            u = applied(x.old, u)
            zero = zero_after(u)
            key = None if key is None else key_of(count, _later(x.word, zero))
            new |= counted(form, kept, given, zero) if elementwise else {}
        known, after = declared_for(form), {}
        leaf = None if elementwise else x.update
        for name, old in kept.items():
            draw = coded.index(name) if name in coded else 0
            slot, scale = known[name], scales.get(name)
            after[name] = encoded(slot, new[name], old, leaf, form, key, draw, scale)
        return u, after

    def twice(form: Any, kept: dict[str, Any], *given: Any) -> Any:
        # the first time only for the scales: on a GPU it takes less time to read the
        # gradient again than to write the new slots and to read them
        _, new, _ = computed(form, kept, *given)
        known = declared_for(form)
        scales = {n: scale_of(known[n], new[n], kept[n], form) for n in coded}
        *before, x = given
        kept, update = jax.lax.optimization_barrier((kept, x.update))
        return stepped(form, scales, kept, *before, x._replace(update=update))

    def apply(form: Any, kept: dict[str, Any], *given: Any) -> Any:
        once = functools.partial(stepped, form, {})
        known = declared_for(form)
        scaled = any(is_scaled(known[n], given[-1].update, form) for n in coded)
        if not scaled or not elementwise:
            return once(kept, *given)
        on_gpu = functools.partial(twice, form)
        return jax.lax.platform_dependent(
            kept, *given, cuda=on_gpu, rocm=on_gpu, default=once
        )

    def bound(function: Any) -> Any:
        compiled = jax.jit(function, static_argnums=0)
        return lambda form, kept, *given: compiled(form, kept, arrays, *given)

    whole = functools.partial(jax.jit(together), arrays)
    return LeafFunctions(
        bound(partial_sums), bound(matrices), whole, bound(apply), (apply, arrays)
    )


def kept_slots(rule: Any) -> dict[str, Any]:
    """Return the slots of which every leaf has its own."""
    return {name: slot for name, slot in rule.slots().items() if not slot.shared}


def entrance(rule: Any) -> tuple[list, Any, Any]:
    """Return the numbers of a rule, a function that puts them in, and `enter`.

    `enter(form, numbers, shared, count, inputs)` returns the rule, the update and the
    context of a leaf, in the dtype of the arithmetic.
    """
    arrays, structure = jax.tree.flatten(rule)
    # what is neither kept nor summed cannot overflow, and a step is no gradient
    first = getattr(rule, "rules", (rule,))[0]
    keeps = bool(kept_slots(rule)) or rule._widest_scope() != "element"
    bounded = keeps and first._takes() != "step"

    def enter(form: Any, arrays: list, shared: dict, count: Any, x: Inputs) -> Any:
        given = (x.update, x.param) if x.param is not None else (x.update,)
        dtype = compute_dtype(*(a.dtype for a in given))
        known = {name: value.astype(dtype) for name, value in shared.items()}
        asked_for: dict[str, Any] = {}
        if x.param is not None:
            asked_for |= {"param": x.param.astype(dtype), "dtype": x.param.dtype}
        if form.path is not None:
            asked_for["path"] = form.path
        if x.word is not None:
            asked_for["key"] = key_of(count, x.word)
        update, extra = x.update.astype(dtype), x.extra
        if bounded:
            update = within_range(update)
            extra = {name: _bounded(value, update) for name, value in extra.items()}
        if x.together is not None:
            asked_for["together"] = x.together
        ctx = Context(count, known, extra, form.selected, **asked_for)
        here = structure.unflatten(arrays).cast(dtype)
        if form.place is not None:
            here = here._placed(form.place, form.selected)
        return here, update, ctx

    return arrays, structure.unflatten, enter


def _later(word: Any, zero: Any) -> Any:
    """Return the same word of a path, computed with a zero."""
    if isinstance(word, OfRows):
        return word._replace(word=word.word + zero)
    return word + zero


def _bounded(extra: Any, update: Any) -> Any:
    """Clip an extra argument that is like the update, such as a Hessian diagonal."""
    alike = hasattr(extra, "dtype") and jnp.shape(extra) == update.shape
    if alike and jnp.issubdtype(extra.dtype, jnp.floating):
        return within_range(extra.astype(compute_dtype(extra.dtype)))
    return extra


class Form(NamedTuple):
    selected: frozenset
    path: str | None
    dtype: Any
    place: Any = None
