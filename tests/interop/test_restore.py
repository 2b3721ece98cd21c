"""`adamx.restore` after the optimizer has changed: storage, wrappers, parts, files."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.storage import (
    BlockMean,
    Blockwise,
    Cast,
    Codec,
    Companded,
    DynamicMap,
    Linear,
    Logarithmic,
    Minifloat,
    RowColumnMeans,
)
from adamx.storage.forms import codec_of
from adamx.testing import kept_slot
from tests.support.trees import assert_close, assert_equal

RATE = 0.1
LABELS = {"bias": "small", "kernel": "large"}


def tree(seed):
    normal = np.random.default_rng(seed).standard_normal
    shapes = {"bias": (8,), "kernel": (16, 64)}
    return {n: jnp.asarray(normal(s), jnp.float32) for n, s in shapes.items()}


PLAIN = adamx.State(
    jnp.int32(1), {"mu": tree(1), "nu": jax.tree.map(jnp.square, tree(2))}
)


def after_one_step(tx):
    """A state with these moments, as `tx` stores them."""
    return adamx.restore(tx, PLAIN, tree(0))


def stored(**codecs):
    return adamx.store(adamx.adam(RATE), **codecs)


def eight(**changes):
    given = {"block": 32, "min_size": 16} | changes
    return stored(mu=Blockwise(**given), nu=Blockwise(**given))


def is_like(got, tx):
    """The state has the structure, shapes and dtypes that `tx` keeps."""
    assert jax.tree.map(jnp.shape, got) == jax.tree.map(jnp.shape, tx.init(tree(0)))
    same = jax.tree.map(lambda a, b: a.dtype == b.dtype, got, tx.init(tree(0)))
    assert all(jax.tree.leaves(same))


# ---- storage -------------------------------------------------------------------

# a codec for both moments, and how far it may be, in units of the largest of a block
CODECS = {
    "float32": (None, 0),
    "bfloat16": (Cast(jnp.bfloat16), 2.0**-8),
    "float8": (Cast(jnp.float8_e4m3fn), 2.0**-3),
    "minifloat": (Blockwise(block=32, min_size=16), 2.0**-3),
    "fewer bits": (Blockwise(block=32, code=Minifloat(2), min_size=16), 2.0**-2),
    "another block": (Blockwise(block=16, min_size=16), 2.0**-3),
    "companded": (Blockwise(code=Companded(), min_size=16), 2.0**-3),
    "dynamic": (Blockwise(code=DynamicMap(), min_size=16), 2.0**-3),
    "four bits": (Blockwise(4, 32, min_size=16), 2.0**-1),
}


def of_codec(name):
    codec, _ = CODECS[name]
    return adamx.adam(RATE) if codec is None else stored(mu=codec, nu=codec)


def kept(tx, state):
    names = ("mu", "nu")
    return {name: kept_slot(tx, state, name, tree(0)) for name in names}


@pytest.mark.parametrize("new", CODECS)
def test_a_state_is_read_by_the_codec_that_stored_it_and_encoded_by_the_new_one(new):
    """Every change of the form, in the code map too, from the state alone."""
    tx, names = of_codec(new), list(CODECS)
    for old in {new, "float32", names[names.index(new) - 1]}:
        before = of_codec(old)
        state = after_one_step(before)
        got = adamx.restore(tx, state, tree(0))
        is_like(got, tx)
        if old == new:
            assert_equal(got, state)
        bound = CODECS[new][1]
        for a, b in zip(
            jax.tree.leaves(kept(tx, got)),
            jax.tree.leaves(kept(before, state)),
            strict=True,
        ):
            assert np.max(np.abs(a - b)) <= bound * np.max(np.abs(b)), old


def test_another_code_map_is_refused_by_update_under_jit_and_without():
    """It was read as if nothing had changed: half of the next step was wrong."""
    state = after_one_step(eight())
    other = eight(code=Minifloat(2))
    message = (
        r"update: the slot `mu` must have been stored in the form in which it is read, "
        r"Blockwise\(block=32,code=Minifloat\(2\),min_size=16,signed=True\), got "
        r"Blockwise\(block=32,code=Minifloat\(\),min_size=16,signed=True\)\. Bring"
    )
    for update in (other.update, jax.jit(other.update)):
        with pytest.raises(ValueError, match=message):
            update(tree(2), state, tree(0))
    # how to round is no matter of reading
    jax.eval_shape(eight(rounding="dither").update, tree(2), state, tree(0))


def test_every_form_is_read_back_and_nothing_else_is_run():
    maps = (Minifloat(2), Companded(), DynamicMap(), Logarithmic(20.0), Linear())
    for codec in (
        *(Blockwise(bits, code=code, signed=True) for code in maps for bits in (8, 4)),
        Cast(jnp.float8_e5m2),
        RowColumnMeans(),
    ):
        if isinstance(codec, Blockwise) and codec.bits == 4 and codec.code == maps[0]:
            continue
        again = codec_of(codec.form())
        assert again is not None
        assert again.form() == codec.form()
    for text in (
        "print(1)",
        "Blockwise(bits=7)",
        "1",
        "Blockwise(",
        "a.b(1)",
        "Mine()",
    ):
        assert codec_of(text) is None


def of_long_ago(state):
    """The state before it kept the form of what is stored."""

    def one(slot):
        coded = isinstance(slot, dict) and "form" in slot
        return {n: x for n, x in slot.items() if n != "form"} if coded else slot

    return state._replace(slots={name: one(x) for name, x in state.slots.items()})


def test_states_saved_before_the_form_was_kept_are_read():
    tx, other = eight(), eight(code=Minifloat(2))
    old = of_long_ago(after_one_step(tx))
    assert_equal(adamx.restore(tx, old, tree(0)), after_one_step(tx))
    got = adamx.restore(other, old, tree(0), saved_by=tx)
    assert_equal(got, adamx.restore(other, after_one_step(tx), tree(0)))
    _, after = jax.eval_shape(tx.update, tree(2), old, tree(0))
    assert jax.tree.structure(after) == jax.tree.structure(old)


class Mine(Codec):
    """A codec of one's own, of two arrays."""

    def encode(self, x, uniform):
        return {"codes": jnp.sign(x).astype(jnp.int8), "scale": jnp.abs(x)}

    def decode(self, kept, shape):
        return kept["codes"] * kept["scale"]


def test_a_codec_of_ones_own_is_named_by_the_caller():
    tx = stored(mu=Mine())
    state = after_one_step(tx)
    assert_equal(adamx.restore(tx, state, tree(0)), state)
    got = adamx.restore(adamx.adam(RATE), state, tree(0), saved_by=tx)
    assert_close(got.mu, after_one_step(adamx.adam(RATE)).mu)


def test_means_of_blocks_are_smaller_than_their_slot():
    tx = stored(nu=BlockMean())
    state = after_one_step(tx)
    assert_equal(adamx.restore(tx, state, tree(0)), state)
    got = adamx.restore(tx, after_one_step(adamx.adam(RATE)), tree(0))
    assert_close(got.nu, state.nu)
    back = adamx.restore(adamx.adam(RATE), state, tree(0), saved_by=tx)
    assert back.nu["kernel"].shape == (16, 64)


# ---- wrappers ------------------------------------------------------------------

WRAPPERS = {
    "chain": lambda tx: optax.chain(optax.clip(1.0), tx),
    "chain of adamx": lambda tx: adamx.chain(optax.trace(0.5), tx),
    "masked": lambda tx: optax.masked(tx, {"bias": False, "kernel": True}),
    "partition": lambda tx: optax.partition({"large": tx, "small": tx}, LABELS),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 2).gradient_transformation(),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "tunable": lambda tx: adamx.tunable(tx, "learning_rate"),
    "all": lambda tx: optax.MultiSteps(
        optax.chain(
            optax.clip(1.0), optax.partition({"large": tx, "small": tx}, LABELS)
        ),
        2,
    ).gradient_transformation(),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_inside_others_storage_and_decays_may_change(name):
    wrap = WRAPPERS[name]
    before = wrap(adamx.adam(RATE))
    state = before.init(tree(0))
    if name not in ("masked", "partition", "all"):
        state = optax.tree.set(state, **PLAIN.slots)
    for changed in (
        eight(),
        adamx.adam(RATE, b2=lambda count: 1 - 1 / (count + 2.0)),
        adamx.chain(adamx.adam(RATE), optax.identity()),
    ):
        tx = wrap(changed)
        got = adamx.restore(tx, state, tree(0))
        is_like(got, tx)
        back = adamx.restore(before, got, tree(0))
        for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True):
            a, b = np.float64(a), np.float64(b)
            assert np.max(np.abs(a - b)) <= 2.0**-3 * np.max(np.abs(b))


def test_a_part_that_keeps_nothing_may_be_added_or_removed():
    few = optax.chain(optax.trace(0.5), adamx.adam(RATE))
    many = optax.chain(
        optax.clip(1.0), optax.trace(0.5), optax.identity(), adamx.adam(RATE)
    )
    state = optax.tree.set(few.init(tree(0)), trace=tree(3), **PLAIN.slots)
    more = adamx.restore(many, state, tree(0))
    is_like(more, many)
    assert_equal(adamx.restore(few, more, tree(0)), state)
    plain = after_one_step(adamx.adam(RATE))
    inside = adamx.restore(
        optax.chain(optax.clip(1.0), adamx.adam(RATE)), plain, tree(0)
    )
    assert_equal(inside[1], plain)
    for tx in (
        adamx.chain(optax.clip(1.0), adamx.adam(RATE)),
        adamx.chain(adamx.parts.Clip(1.0), adamx.adam(RATE)),
    ):
        assert_equal(adamx.restore(tx, plain, tree(0)).slots, plain.slots)


# ---- what is missing -----------------------------------------------------------


def half(p):
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16), p)


MISSING = {
    "a new residual": (
        lambda: adamx.chain(adamx.adam(RATE), adamx.split_master()),
        lambda: adamx.adam(RATE).init(half(tree(0))),
        half,
        "the slot `residual`",
    ),
    "a new parameter": (
        lambda: adamx.adam(RATE),
        lambda: adamx.adam(RATE).init({"bias": tree(0)["bias"]}),
        lambda p: p,
        "the slot `mu` of `kernel`; the slot `nu` of `kernel`",
    ),
    "a new wrapper": (
        lambda: optax.MultiSteps(adamx.adam(RATE), 2).gradient_transformation(),
        lambda: adamx.adam(RATE).init(tree(0)),
        lambda p: p,
        "`acc_grads`; `gradient_step`; `mini_step`",
    ),
    "a new part of another library": (
        lambda: adamx.chain(optax.trace(0.5), adamx.adam(RATE)),
        lambda: adamx.adam(RATE).init(tree(0)),
        lambda p: p,
        "the state `inner/trace`",
    ),
    "a new link": (
        lambda: optax.chain(optax.trace(0.5), adamx.adam(RATE)),
        lambda: optax.chain(adamx.adam(RATE)).init(tree(0)),
        lambda p: p,
        "`0`",
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_an_error_or_is_begun_anew_and_listed(name):
    make, saved, cast, listed = MISSING[name]
    tx, p = make(), cast(tree(0))
    first = listed.split("; ")[0]
    with pytest.raises(ValueError, match=f"restore: the saved state must hold {first}"):
        adamx.restore(tx, saved(), p)
    message = f"restore: the saved state did not hold {listed}. It is begun anew"
    with pytest.warns(UserWarning, match=message):
        got = adamx.restore(tx, saved(), p, missing="init")
    assert_equal(got, tx.init(p))
    tx.update(p, got, p)


def test_what_a_frozen_leaf_had_is_left_out_and_listed():
    tx = adamx.groups([("kernel", adamx.adam(RATE)), (..., None)])
    message = "keeps nothing in the place of the slot `mu` of `bias`; the slot `nu` of"
    with pytest.warns(UserWarning, match=message):
        got = adamx.restore(tx, after_one_step(adamx.adam(RATE)), tree(0))
    is_like(got, tx)
    assert_equal(got.mu["kernel"], PLAIN.slots["mu"]["kernel"])


# ---- refused -------------------------------------------------------------------


def changed(state, slot, part, value):
    kept = state.slots[slot] | {part: value}
    return state._replace(slots=state.slots | {slot: kept})


REFUSED = {
    "a word for missing": (
        lambda: adamx.restore(adamx.adam(RATE), {}, tree(0), missing="skip"),
        r"restore: `missing` must be 'raise' or 'init', got 'skip'\.",
    ),
    "a newer version": (
        lambda: adamx.restore(
            eight(),
            changed(
                after_one_step(eight()), "mu", "form", {"Blockwise(8)": np.uint8(9)}
            ),
            tree(0),
        ),
        r"the form of the slot `mu` must have a version up to 1, got 9\. It was saved",
    ),
    "an unknown codec": (
        lambda: adamx.restore(
            adamx.adam(RATE), after_one_step(stored(mu=Mine())), tree(0)
        ),
        r"the slot `mu` must have been stored by a codec of adamx\.storage or of `tx`, "
        r"got Mine\(\)\. Pass saved_by= the transformation that stored it",
    ),
    "an array of no parameter": (
        lambda: adamx.restore(
            adamx.adam(RATE), after_one_step(adamx.adam(RATE)), {"bias": jnp.ones(8)}
        ),
        r"the slot `mu` must have .* got an array at 'kernel', where the parameters "
        r"are 'bias'\. Pass the parameters the state was made for",
    ),
    "another shape of one leaf": (
        lambda: adamx.restore(
            eight(), after_one_step(eight()), tree(0) | {"bias": jnp.ones(9)}
        ),
        r"the slot `mu` of `bias` must have the shape .* got .*\[8\].* for .*\[9\]",
    ),
    "another shape in a wrapper": (
        lambda: adamx.restore(
            optax.chain(optax.trace(0.5), adamx.adam(RATE)),
            optax.chain(optax.trace(0.5), adamx.adam(RATE)).init(tree(0)),
            tree(0) | {"bias": jnp.ones(9)},
        ),
        r"got \(8,\) for \(9,\) at `0/trace/bias`\. Pass the parameters",
    ),
    "parts of another kind": (
        lambda: adamx.restore(
            optax.chain(optax.trace(0.5), adamx.adam(RATE), optax.trace(0.5)),
            optax.chain(optax.ema(0.5), optax.scale_by_schedule(lambda _: 1.0)).init(
                tree(0)
            ),
            tree(0),
        ),
        r"`saved` must be built like the state of `tx`, got tuple with \[0, 1\]",
    ),
    "means of blocks without their codec": (
        lambda: adamx.restore(
            adamx.adam(RATE), after_one_step(stored(nu=BlockMean())), tree(0)
        ),
        r"the slot `nu` of `bias` must have the shape .* pass saved_by= the tr",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_by_name(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()
