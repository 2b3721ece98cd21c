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
from adamx.engine.tree import start
from adamx.numerics.random_bits import word_of
from adamx.storage import Blockwise, Cast, Companded, DynamicMap, Linear

HALF = Cast(jnp.bfloat16, "stochastic")
SMALL = functools.partial(Blockwise, min_size=0)


def adamw(*last: Any, **codecs: Any) -> Any:
    tx = adamx.adamw(1e-2, weight_decay=1e-2)
    return adamx.chain(adamx.store(tx, **codecs) if codecs else tx, *last)


def both(codec: Any) -> Any:
    return adamw(mu=codec, nu=codec)


CASES = {
    "float32": (adamw(), (5, 130), jnp.float32),
    "float32, one axis": (adamw(), (301,), jnp.float32),
    "bfloat16": (both(HALF), (3, 7, 41), jnp.float32),
    "8 bits": (both(SMALL()), (6, 300), jnp.float32),
    "8 bits, merged axes": (both(SMALL()), (5, 7, 37), jnp.float32),
    "8 bits, other blocks": (
        adamw(mu=SMALL(block=32), nu=SMALL(block=64)),
        (5, 192),
        jnp.float32,
    ),
    "dither": (both(SMALL(rounding="dither", block=64)), (4, 200), jnp.float32),
    "nearest": (both(SMALL(code=Companded(), rounding="nearest")), (3, 256), "float32"),
    "4 bits": (both(SMALL(4)), (5, 300), jnp.float32),
    "4 bits, odd rows": (both(SMALL(4, block=32)), (4, 77), jnp.float32),
    "4 bits, linear": (both(SMALL(4, code=Linear())), (2, 256), jnp.float32),
    "dynamic": (both(SMALL(code=DynamicMap())), (2, 256), jnp.float32),
    "fp8": (both(Cast(jnp.float8_e4m3fn, "stochastic")), (3, 200), jnp.float32),
    "split": (
        adamw(adamx.split_master(8), mu=SMALL(), nu=SMALL()),
        (4, 300),
        "bfloat16",
    ),
    "rounded": (adamw(adamx.stochastic_rounding()), (3, 100), jnp.bfloat16),
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
    return {part: tree["w"] for part, tree in kept.items()}


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


@pytest.mark.parametrize("case", CASES)
def test_parts_put_together_are_the_whole(case):
    tx, shape, dtype = CASES[case]
    rule, form, kept, x = leaf(tx, shape, jnp.dtype(dtype))
    kept = as_given(rule, kept)
    whole, given = leaf_functions(rule).apply, (shared(rule), jnp.int32(3), x)
    for _ in range(2):  # of slots that are not zero
        before = kept
        update, kept = whole(form, before, *given)
    parts = in_parts(rule, form, before, *given)
    assert not isinstance(parts, str), parts
    columns = parts.block * 2 if parts.block > 1 else 50
    done = put_together(parts, rule, before, x, (2, columns))
    joined, new = parts.joined(done, before, x)
    same(joined, update)
    jax.tree.map(same, new, kept)
