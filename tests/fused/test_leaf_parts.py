"""Parts of a leaf are computed as in the whole leaf, bit for bit."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx.engine import hyperparams
from adamx.engine.leaf_functions import Form, Inputs, leaf_functions
from adamx.engine.leaf_parts import in_parts
from adamx.engine.slot_trees import FORM
from adamx.engine.tree import start
from adamx.numerics.random_bits import word_of
from adamx.storage import Blockwise, Cast, Companded, Linear, RowColumnMeans

SMALL = functools.partial(Blockwise, min_size=0)
FP8 = Cast(jnp.float8_e4m3fn, "stochastic")


def adamw(*last: Any, **codecs: Any) -> Any:
    tx = adamx.adamw(1e-2, weight_decay=1e-2)
    return adamx.chain(adamx.store(tx, **codecs) if codecs else tx, *last)


# a transformation, the shape of a leaf that is no multiple of anything, its dtype
CASES = {
    "no codec": (adamw(adamx.stochastic_rounding()), (301,), jnp.bfloat16),
    "16 and 8 bits": (
        adamw(mu=Cast(jnp.bfloat16, "stochastic"), nu=FP8),
        (3, 7, 41),
        jnp.float32,
    ),
    "blocks of two lengths": (
        adamw(mu=SMALL(block=32), nu=SMALL(block=64, rounding="dither")),
        (5, 192),
        jnp.float32,
    ),
    "8 and 4 bits": (adamw(mu=SMALL(), nu=SMALL(4)), (3, 7, 43), jnp.float32),
    "split": (
        adamw(
            adamx.split_master(8),
            mu=SMALL(4, code=Linear()),
            nu=SMALL(code=Companded(), rounding="nearest"),
        ),
        (4, 300),
        jnp.bfloat16,
    ),
}


def leaf(tx: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """A rule in its third step, and what it is given for a leaf."""
    rule = hyperparams.at(tx.rule, jnp.int32(2))
    rng = np.random.default_rng(0)
    scale = np.exp(rng.standard_normal(shape[-1]))
    update, param = (
        jnp.asarray(rng.standard_normal(shape) * scale, dtype) for _ in range(2)
    )
    kept = start(rule, {"w": param})
    kept = {n: _without_tree(each) for n, each in kept.items()}
    x = Inputs(update, param, {}, jnp.uint32(word_of("w")))
    wide = rule._has_place("last")
    form = Form(frozenset(), None, jnp.dtype(jnp.float32 if wide else dtype))
    return rule, form, kept, x


def _without_tree(kept: Any) -> Any:
    if set(kept) == {"w"}:
        return kept["w"]
    return {part: tree["w"] for part, tree in kept.items() if part != FORM}


def as_given(rule: Any, kept: dict) -> dict:
    """Slots of one part are given in a dict, too."""
    slots = rule.slots()
    return {
        n: {"": k} if slots[n].codec and not isinstance(k, dict) else k
        for n, k in kept.items()
    }


def shared(rule: Any) -> dict:
    return rule.cast(jnp.float32).shared({}, jnp.float32(3))


def put_together(parts: Any, rule: Any, kept: dict, x: Inputs, part: tuple) -> dict:
    """Run `on_part` on parts of this shape, and write the results to whole arrays.

    Beyond the end the parts hold NaN, or the largest integer.
    """
    scalars = parts.keyed(parts.numbers(rule, shared(rule), jnp.int32(3), x))
    run = jax.jit(parts.on_part)
    arrays = {n: np.asarray(a) for n, a in parts.arrays(kept, x).items()}
    done = {n: np.empty(r.shape, r.dtype) for n, r in parts.results.items()}
    rows, columns = part
    for row in range(0, parts.shape[0], rows):
        for column in range(0, parts.shape[1], columns):
            blocks = {
                n: cut(a, row, column, part, parts.operands[n].each)
                for n, a in arrays.items()
            }
            new = run(blocks, scalars, row, column)
            for n, value in new.items():
                each = parts.results[n].each
                to = done[n][row : row + rows, column // each :][:, : columns // each]
                assert value.shape == (rows, columns // each)
                to[:] = np.asarray(value)[: to.shape[0], : to.shape[1]]
    return done


def cut(array: np.ndarray, row: int, column: int, part: tuple, each: int) -> np.ndarray:
    columns = part[1] // each
    found = array[row : row + part[0], column // each :][:, :columns]
    floats = jnp.issubdtype(array.dtype, jnp.floating)
    fill = np.nan if floats else jnp.iinfo(array.dtype).max
    whole = np.full((part[0], columns), fill, array.dtype)
    whole[: found.shape[0], : found.shape[1]] = found
    return whole


def same(a: Any, b: Any) -> None:
    a, b = np.asarray(a), np.asarray(b)
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    np.testing.assert_array_equal(a.view(f"u{a.itemsize}"), b.view(f"u{b.itemsize}"))


def after_two_steps(tx: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """What a step is given, with slots that are not zero, and what it returns."""
    rule, form, kept, x = leaf(tx, shape, jnp.dtype(dtype))
    kept = as_given(rule, kept)
    whole, given = leaf_functions(rule).apply, (shared(rule), jnp.int32(3), x)
    for _ in range(2):
        before = kept
        update, kept = whole(form, before, *given)
    return rule, form, (before, *given), (update, kept)


@pytest.mark.parametrize("case", CASES)
def test_parts_put_together_are_the_whole(case):
    """Bit for bit, whatever lies beyond the end of the leaf in its last parts."""
    rule, form, (before, *given), (update, kept) = after_two_steps(*CASES[case])
    parts = in_parts(rule, form, before, *given)
    assert not isinstance(parts, str), parts
    columns = parts.block * 2 if parts.block > 1 else 50
    done = put_together(parts, rule, before, given[-1], (2, columns))
    joined, new = parts.joined(done, before, given[-1])
    same(joined, update)
    jax.tree.map(same, new, kept)


class Own(adamx.storage.Codec):
    """A codec that says nothing of parts."""

    parts = ("",)

    def encode(self, x, uniform):
        return {"": x}

    def decode(self, kept, shape):
        return kept[""]


class Centred(adamx.Rule):
    """A rule whose scope is wrong."""

    def apply(self, update, slots, ctx):
        return update - jnp.mean(update), slots


@pytest.mark.parametrize(
    ("tx", "shape", "why"),
    [
        (adamw(mu=Own()), (2, 128), "the slot `mu` is kept whole: Own()"),
        (adamw(nu=RowColumnMeans()), (2, 128), "is kept whole: RowColumnMeans()"),
        (adamw(nu=Blockwise()), (2, 128), "float32, fewer than 4,096 elements"),
        (adamw(mu=SMALL(block=64), nu=SMALL()), (2, 3, 100), "not lie in the same"),
        (adamx.chain(Centred()), (2, 8), "uses `reduce_sum` on (2, 8)"),
        (adamx.chain(adamx.parts.GradientNoise()), (2, 8), "`random_bits`"),
        (adamw(), (1,), "it has 1 elements"),
    ],
)
def test_what_is_not_computed_in_parts_says_why(tx, shape, why):
    rule, form, kept, x = leaf(tx, shape, jnp.dtype(jnp.float32))
    kept = as_given(rule, kept)
    form = form._replace(path="w")
    assert why in in_parts(rule, form, kept, shared(rule), jnp.int32(3), x)
