"""A step of one leaf, part by part: decode, the rule's own `apply`, encode.

A leaf is given as rows, a part is a rectangle of it. The results of the parts are those
of the whole leaf, bit for bit: random numbers are drawn by an element's index in the
whole leaf, and no block of a codec is cut. `in_parts` says how, or why not.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..numerics.arithmetic import compute_dtype
from ..numerics.random_bits import Part, Uniform, key_of
from .elementwise import taken_apart
from .leaf_functions import Form, Inputs, entrance, kept_slots
from .leaves import applied
from .slots import is_kept, shape_of


class Rows(NamedTuple):
    """An array of a leaf as rows: its shape, and how many elements an entry is for."""

    shape: tuple[int, int]
    dtype: Any
    each: int = 1


class LeafParts(NamedTuple):
    """How a step of a leaf is computed part by part.

    Arrays are named `update`, `param`, `extra/<name>`, `slots/<slot>/<codec's part>`.

    Attributes:
        leaf: the shape of the leaf.
        shape: the rows and columns as which the leaf is seen.
        block: the columns of a part must be a multiple of it, also at the end.
        operands: the arrays that are read.
        results: those that are written: `update` or `param`, and the slots. What is in
            both can be written in place.
        words: which of the scalars of `numbers` are the word of the leaf's path; the
            others are the same for leaves that are alike.
        numbers: a function of the rule, the shared values, the count and the inputs of
            the leaf; it returns scalars, which are computed once.
        keyed: a function of these scalars; it returns those that every part is given:
            the keys of random numbers in the place of their words.
        on_part: a function of the parts of the operands by name, the scalars, and the
            row and column of the first element; it returns the parts of the results.
            What a part has beyond the end of the leaf may be anything.
        whole_rows: whether the next row goes on where a row ends.
    """

    leaf: tuple[int, ...]
    shape: tuple[int, int]
    block: int
    operands: dict[str, Rows]
    results: dict[str, Rows]
    words: tuple[int, ...]
    numbers: Callable[[Any, Mapping, Any, Inputs], list]
    keyed: Callable[[list], list]
    on_part: Callable[[Mapping[str, Any], list, Any, Any], dict[str, Any]]
    whole_rows: bool = True

    def of_shard(self, shape: tuple[int, int]) -> "LeafParts":
        """Return the same for a shard of a matrix, which devices hold in equal ones.

        It has two more numbers behind the others: the row and column of the shard.
        """

        def divided(like: Rows) -> Rows:
            return like._replace(shape=(shape[0], -(-shape[1] // like.each)))

        def keyed(numbers: list) -> list:
            return [*self.keyed(numbers[:-2]), *numbers[-2:]]

        def on_part(blocks: Mapping, scalars: list, row: Any, column: Any) -> dict:
            *others, first_row, first_column = scalars
            place = row + first_row, column + first_column
            return self.on_part(blocks, others, *place)

        return self._replace(
            leaf=shape,
            shape=shape,
            whole_rows=shape[1] == self.shape[1],
            operands={n: divided(like) for n, like in self.operands.items()},
            results={n: divided(like) for n, like in self.results.items()},
            keyed=keyed,
            on_part=on_part,
        )

    def arrays(self, kept: Mapping, x: Inputs, param: Any = None) -> dict[str, Any]:
        """Return the operands, as rows."""
        given = _named(kept, x, param)
        return {n: given[n].reshape(like.shape) for n, like in self.operands.items()}

    def joined(self, results: Mapping, kept: Mapping, x: Inputs) -> tuple[Any, dict]:
        """Return the update (or the parameter) of the leaf and its slots, as kept."""
        first = results["param" if "param" in self.results else "update"]
        named = {n: (n, a) for n, a in _slots_named(kept).items()}

        def after(entry: tuple[str, Any]) -> Any:
            name, old = entry
            return results[name].reshape(old.shape) if name in self.results else old

        new = {}
        for name, old in kept.items():
            new[name] = (
                {part: after(named[f"slots/{name}/{part}"]) for part in old}
                if isinstance(old, dict)
                else after(named[f"slots/{name}/"])
            )
        return first.reshape(x.update.shape), new


class Source(NamedTuple):
    """What a flat list of operands of a leaf's step is.

    Attributes:
        structure: the tree of the rule, whose leaves are numbers.
        form: the form of the leaf.
        tree: that of the operands: the slots, the numbers of the rule, the shared
            values, the count, the inputs, and the parameter or None.
    """

    structure: Any
    form: Form
    tree: Any

    def given(self, flat: Sequence) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Return the rule, the slots, the shared values, the count, and so on."""
        kept, numbers, *rest = jax.tree.unflatten(self.tree, flat)
        return self.structure.unflatten(numbers), kept, *rest

    def parts(self, flat: Sequence) -> LeafParts | str:
        """Return how the leaf is computed part by part, or why not; see `in_parts`."""
        rule, kept, shared, count, x, param = self.given(flat)
        return in_parts(rule, self.form, kept, shared, count, x, param)


def in_parts(
    rule: Any,
    form: Form,
    kept: Mapping,
    shared: Mapping,
    count: Any,
    x: Inputs,
    param: Any = None,
) -> LeafParts | str:
    """Return how a leaf is computed part by part, or why not.

    It is given what `leaf_functions(rule).apply` is: the form of the leaf, its slots,
    the shared values, the count and the inputs. It may be given the parameter, too: the
    first result is then the new parameter and not the update. The shapes and dtypes
    decide; no array is computed.
    """
    given = (dict(kept), dict(shared), count, x, param)
    if not all(map(_is_array, jax.tree.leaves(given))):
        return "an extra argument is no array"
    return _parts(rule, form, *jax.tree.map(_abstract, given))


def _parts(
    rule: Any, form: Form, kept: dict, shared: dict, count: Any, x: Inputs, param: Any
) -> LeafParts | str:
    shape = x.update.shape
    if form.place is not None:
        return "it is a piece of a leaf inside shard_map"
    if x.together is not None:
        return "its matrices are computed together with those of other leaves"
    declared = kept_slots(rule)
    live = {n: declared[n] for n in kept if is_kept(declared[n], form.selected)}
    coders = {}
    for name, slot in live.items():
        if shape_of(slot, x.update, form.selected, form.path) != shape:
            return f"the slot `{name}` has another shape than the leaf"
        if slot.codec is not None:
            coders[name] = slot.codec.as_kept(kept[name], shape).divided(shape)
            if coders[name] is None:
                return f"the slot `{name}` is kept whole: {slot.codec.note(shape)}"
    rows = _rows(shape, [each for each in coders.values() if each.row is not None])
    if rows is None:
        return "the blocks of its codecs do not lie in the same rows"
    if rows[1] >= 2**31:
        return f"it has rows of {rows[1]:,} elements, 2,147,483,647 at most"
    block = math.lcm(*(each.block for each in coders.values()))
    operands = {}
    for name, array in _named(kept, x, param).items():
        kind, slot, part = (*name.split("/"), "", "")[:3]
        if (kind == "slots" and slot not in live) or (
            kind == "extra" and array.shape != shape
        ):
            continue
        each = _each(coders[slot].codec, part, block) if slot in coders else 1
        like = Rows((rows[0], -(-rows[1] // each)), array.dtype, each) if each else None
        if like is None or math.prod(like.shape) != array.size:
            return f"the codec of `{slot}` does not keep `{part}` along the rows"
        operands[name] = like
    step = _Step(rule, form, kept, live, coders, rows[1], block, param is not None)
    numbers = step.numbers_of(rule, shared, count, x)
    arrays = {n: a for n, a in _named({}, x, param).items() if n in operands}
    decoded = jax.ShapeDtypeStruct(shape, step.dtype_of(arrays))
    arrays |= {f"slots/{name}": decoded for name in live}
    apart = taken_apart(step.arithmetic, shape, numbers, arrays)
    if isinstance(apart, str):
        return apart
    word = len(jax.tree.leaves(numbers)) - 1 if x.word is not None else None
    first = {"update": Rows(rows, jnp.dtype(form.dtype))}
    if param is not None:
        first = {"param": operands["param"]}
    return LeafParts(
        shape,
        rows,
        block,
        operands,
        first | {n: like for n, like in operands.items() if n.startswith("slots/")},
        tuple(i for i, given in enumerate(apart.given) if given == word),
        functools.partial(step.numbers, apart),
        apart.integers,
        functools.partial(step.on_part, apart, decoded.dtype),
    )


class _Step(NamedTuple):
    """What is known of a leaf's step before it is computed."""

    rule: Any
    form: Form
    kept: dict[str, Any]
    live: dict[str, Any]  # the slots that this leaf has
    coders: dict[str, Any]  # how those with a codec are coded
    row: int
    block: int
    applied: bool  # whether the new parameter is returned

    def dtype_of(self, arrays: Mapping) -> Any:
        """Return the dtype of the arithmetic."""
        given = ("update", "param") if self.reads_param else ("update",)
        return compute_dtype(*(arrays[name].dtype for name in given))

    @property
    def reads_param(self) -> bool:
        return "param" in self.rule.needs()

    def numbers_of(self, rule: Any, shared: Mapping, count: Any, x: Inputs) -> dict:
        extra = {n: a for n, a in x.extra.items() if a.shape != x.update.shape}
        return {
            "rule": jax.tree.leaves(rule),
            "shared": dict(shared),
            "count": count,
            "extra": extra,
            "word": x.word,  # the last, as the names are sorted
        }

    def arithmetic(self, numbers: Any, arrays: Any) -> list:
        """Return the update or the parameter, and the new slots."""
        _, unflatten, enter = entrance(self.rule)
        extra = numbers["extra"] | {
            name.removeprefix("extra/"): array
            for name, array in arrays.items()
            if name.startswith("extra/")
        }
        param = arrays["param"] if self.reads_param else None
        x = Inputs(arrays["update"], param, extra, numbers["word"])
        given = numbers["rule"], numbers["shared"], numbers["count"], x
        here, update, ctx = enter(self.form, *given)
        empty = jnp.zeros((0,), update.dtype)
        slots = {name: arrays.get(f"slots/{name}", empty) for name in self.kept}
        update, new = here.apply(update, slots, ctx)
        first = update.astype(self.form.dtype)
        if self.applied:
            first = applied(arrays["param"], first)
        seeds = {n: slot.seed for n, slot in unflatten(numbers["rule"]).slots().items()}
        keys = [key_of(seeds[name], ctx.key) for name in self.coders]
        return [first, *(new[name] for name in self.live), *keys]

    def numbers(
        self, apart: Any, rule: Any, shared: Mapping, count: Any, x: Inputs
    ) -> list:
        return apart.numbers(self.numbers_of(rule, shared, count, x))

    def on_part(
        self, apart: Any, dtype: Any, blocks: Mapping, scalars: list, *first: Any
    ) -> dict[str, Any]:
        shape = blocks["update"].shape
        part = Part(self.row, shape[1], *first)
        arrays = {n: a for n, a in blocks.items() if not n.startswith("slots/")}
        for name in self.live:
            if name in self.coders:
                kept = _parts_of(name, blocks)
                decoded = self.coders[name].codec.decode(kept, shape)
            else:
                decoded = blocks[f"slots/{name}/"]
            arrays[f"slots/{name}"] = decoded.astype(dtype)
        result, *new = apart.elements(scalars, arrays, part.indices)
        results = {"param" if self.applied else "update": result}
        coded = [n for n, slot in kept_slots(self.rule).items() if slot.codec]
        key_for = dict(zip(self.coders, new[len(self.live) :], strict=True))
        for name, value in zip(self.live, new[: len(self.live)], strict=True):
            if name not in self.coders:
                old = blocks[f"slots/{name}/"]
                results[f"slots/{name}/"] = value.astype(old.dtype)
                continue
            uniform = Uniform(key_for[name], coded.index(name), part)
            value = self._ended(value, first[1])
            kept = self.coders[name].codec.encode(value, uniform)
            results |= {f"slots/{name}/{n}": array for n, array in kept.items()}
        return results

    def _ended(self, value: Any, first_column: Any) -> Any:
        """Put zeros beyond the end of the rows, where that is inside a block."""
        if self.row % self.block == 0:
            return value
        left = self.row - jnp.asarray(first_column).astype(jnp.int32)
        column = jax.lax.broadcasted_iota(jnp.int32, value.shape, 1)
        return jnp.where(column < left, value, jnp.zeros((), value.dtype))


def _named(kept: Mapping, x: Inputs, param: Any) -> dict[str, Any]:
    """Return the arrays of a leaf by name."""
    param = x.param if param is None else param
    named = {"update": x.update} | ({} if param is None else {"param": param})
    named |= {f"extra/{name}": value for name, value in x.extra.items()}
    return named | _slots_named(kept)


def _slots_named(kept: Mapping) -> dict[str, Any]:
    named = {}
    for name, old in kept.items():
        each = old if isinstance(old, dict) else {"": old}
        named |= {f"slots/{name}/{part}": array for part, array in each.items()}
    return named


def _parts_of(name: str, blocks: Mapping) -> dict[str, Any]:
    start = f"slots/{name}/"
    return {n.removeprefix(start): a for n, a in blocks.items() if n.startswith(start)}


def _rows(shape: tuple[int, ...], asked: list) -> tuple[int, int] | None:
    """Return the rows and columns that suit all codecs that ask for some, or None."""
    row = max((each.row for each in asked), default=shape[-1] if shape else 1)
    if any(each.row != row and each.row % each.block for each in asked):
        return None
    return math.prod(shape) // max(row, 1), row


def _each(codec: Any, part: str, block: int) -> int:
    """Return for how many elements of a row a number that a codec keeps is, or 0."""
    shape = _kept_of_block(codec, block)[part]
    return block // shape[1] if len(shape) == 2 and shape[1] else 0


@functools.lru_cache(maxsize=256)
def _kept_of_block(codec: Any, block: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what a codec keeps of one block; it is traced once."""
    one = jax.ShapeDtypeStruct((1, block), jnp.float32)
    kept = jax.eval_shape(lambda x: codec.encode(x, Uniform(jnp.uint32(0))), one)
    return {part: getattr(x, "shape", ()) for part, x in kept.items()}


def _abstract(x: Any) -> Any:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _is_array(x: Any) -> bool:
    return hasattr(x, "dtype") and hasattr(x, "shape")
