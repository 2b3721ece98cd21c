"""Random trees, gradients and wrong arguments, for every optimizer.

The examples are the same in each run, and few. More, and others in each run:

    ADAMX_EXAMPLES=100 python -m pytest -q tests/laws/test_random_inputs.py

multiplies their number by 100. A failing example is printed in the form that
`@example` takes: write it there, with where it was found. The first ones are failures
that users of optimizers have reported.
"""

import inspect
import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings, strategies as st

import adamx
from tests.support.strategies import (
    NOTHING,
    WRONG,
    Leaf,
    Trees,
    keywords,
    optimizers,
    trees,
    vectors,
)
from tests.support.trees import signature
from tests.table.cases import OPTIMIZERS
from tests.table.row import kept

MORE = int(os.environ.get("ADAMX_EXAMPLES", "0"))
NAMED = {row.name: row for row in OPTIMIZERS}
STRUCT = {"w": jax.ShapeDtypeStruct((2, 3), "float32")}
STRUCT |= {"b": jax.ShapeDtypeStruct((3,), "float32")}


def examples(number):
    """So many examples, always the same unless more are asked for."""
    return settings(
        max_examples=number * max(MORE, 1),
        derandomize=not MORE,
        database=None,
        deadline=None,
        print_blob=bool(MORE),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if MORE else [])],
        suppress_health_check=list(HealthCheck),
    )


def assert_sentence(error):
    """ "Where: what must hold, got what. Remedy." """
    assert re.match(r"(?s)[\w.]+: .*(, got |is missing|fails: ).*[.?]$", str(error)), (
        error
    )


def strictly(on):
    standard = (("standard", "allow"), ("strict", "raise"))[on]
    return jax.numpy_dtype_promotion(standard[0]), jax.numpy_rank_promotion(standard[1])


def first(name):
    """The first variant of the optimizer of that name."""
    return kept(NAMED[name], NAMED[name].variants[0])


# ---- trees -------------------------------------------------------------------


@examples(90)
@given(optimizers(), trees(), st.booleans())
# Leaves without elements.
@example("muon", Trees("dict", (Leaf((0, 3)), Leaf(), Leaf())), False)
@example("adamp", Trees("dict", (Leaf((0, 3)), Leaf((0,)), Leaf())), False)
@example("shampoo", Trees("dict", (Leaf((0, 3)), Leaf((2, 0)), Leaf())), False)
@example("soap", Trees("dict", (Leaf((0, 3)), Leaf((2, 0)), Leaf())), False)
@example("adafactor", Trees("dict", (Leaf((0, 3)), Leaf((0,)), Leaf())), False)
@example("came", Trees("dict", (Leaf((0, 3)), Leaf((2, 0)), Leaf())), False)
@example("adam_mini", Trees("dict", (Leaf((0, 3)), Leaf((0,)), Leaf())), False)
# float16 gradients of float32 parameters, and the two kinds of halves in one update.
@example("adam", Trees("list", (Leaf(grad="float16"),) * 3), True)
@example("lion", Trees("list", (Leaf((), "bfloat16", "float16"),) * 3), True)
# Five axes; a frozen leaf; no parameter at all.
@example("muon", Trees("dataclass", (Leaf((2, 1, 2, 1, 3)),) * 3), False)
@example("adam", Trees("dict", (Leaf(grad=None), Leaf(), NOTHING)), False)
@example("adam", Trees("nnx state, boxed", (NOTHING,) * 3), False)
def test_every_tree_is_trained(optimizer, tree, strict):
    """Structure, shapes, dtypes; the state is a fixed point. Traced, twice."""
    tx = first(optimizer)
    params, grads, want = (tree.of(field) for field in ("param", "grad", "update"))
    dtype_mode, rank_mode = strictly(strict)
    with dtype_mode, rank_mode:
        state = jax.eval_shape(tx.init, params)
        for _ in range(2):
            updates, after = jax.eval_shape(tx.update, grads, state, params)
            assert signature(updates) == signature(want)
            assert signature(after) == signature(state)
            state = after


@examples(40)
@given(optimizers(), trees().filter(lambda tree: tree.container == "list"), st.data())
def test_a_gradient_without_a_parameter_is_refused(optimizer, tree, data):
    k = data.draw(st.integers(0, 2))
    tx = first(optimizer)
    leaves = list(tree.leaves)
    leaves[k] = Leaf(leaves[k].shape or (2,), None, "float32")
    tree = Trees("list", tuple(leaves))
    params, grads = tree.of("param"), tree.of("grad")
    state = jax.eval_shape(tx.init, params)
    with pytest.raises(adamx.AdamxError, match=r"\. \w+") as caught:
        jax.eval_shape(tx.update, grads, state, params)
    assert_sentence(caught.value)


MISTAKES = {
    "another shape": lambda g, s, p: ({**g, "w": jnp.ones((3, 3))}, s, p),
    "a leaf too few": lambda g, s, p: ({"w": g["w"]}, s, p),
    "a leaf too many": lambda g, s, p: ({**g, "c": jnp.ones(2)}, s, p),
    "no gradients": lambda g, s, p: (None, s, p),
    "text": lambda g, s, p: ({**g, "w": "w"}, s, p),
    "integers": lambda g, s, p: ({**g, "w": jnp.ones((2, 3), jnp.int32)}, s, p),
    "complex numbers": lambda g, s, p: (
        {**g, "w": jnp.ones((2, 3), "complex64")},
        s,
        p,
    ),
    "no state": lambda g, s, p: (g, None, p),
    "an empty state": lambda g, s, p: (g, (), p),
    "the state first": lambda g, s, p: (s, g, p),
    "the parameters as the state": lambda g, s, p: (g, p, s),
    "another tree as the parameters": lambda g, s, p: (g, s, [p]),
    "parameters of another shape": lambda g, s, p: (g, s, {**p, "b": jnp.ones(2)}),
    "slots of another optimizer": lambda g, s, p: (g, s._replace(slots={"x": p}), p),
}


@examples(60)
@given(optimizers(), st.sampled_from(sorted(MISTAKES)))
@example("adamuon", "no gradients")
@example("prodigy", "no gradients")
def test_wrong_arguments_of_update_get_a_sentence(optimizer, name):
    """Those that change nothing pass, such as slots for an optimizer without any."""
    tx = first(optimizer)
    ones = jax.tree.map(lambda x: jnp.ones(x.shape), STRUCT)
    arguments = MISTAKES[name](ones, jax.eval_shape(tx.init, STRUCT), ones)
    static = [not hasattr(x, "dtype") for x in jax.tree.leaves(arguments)]
    try:
        if any(static):
            tx.update(*arguments)
        else:
            jax.eval_shape(tx.update, *arguments)
    except adamx.AdamxError as error:
        assert_sentence(error)


# ---- arguments ---------------------------------------------------------------


def is_function(optimizer, keyword):
    """Whether an argument is a function of the user's, whose errors are its own."""
    function = NAMED[optimizer].function
    annotation = inspect.signature(function).parameters[keyword].annotation
    return "Callable" in str(annotation) and "scalar or schedule" not in str(annotation)


@st.composite
def wrong_arguments(draw):
    optimizer = draw(optimizers())
    return optimizer, draw(keywords(optimizer)), draw(st.sampled_from(sorted(WRONG)))


@examples(120)
@given(wrong_arguments())
@example(("adam", "b1", "huge"))
@example(("lookahead", "sync_period", "huge"))
@example(("shampoo", "exponent", "huge"))
@example(("adam", "learning_rate", "class"))
@example(("prodigy", "estim_lr0", "function to text"))
@example(("yogi", "initial_accumulator", "vector"))
@example(("schedule_free_radam", "learning_rate", "function to None"))
@example(("mars", "mars_mask", "empty tuple"))
@example(("lamb", "mask", "key"))
@example(("lars", "trust_ratio_mask", "dtype"))
@example(("adamp", "axis_name", "text"))
@example(("soap", "axis_name", "text"))
def test_wrong_arguments_get_a_sentence(drawn):
    """What is accepted must also work in `init` and `update`."""
    optimizer, keyword, name = drawn
    value = WRONG[name]()
    if is_function(optimizer, keyword) and callable(value):
        return
    try:
        tx = NAMED[optimizer].build(**{keyword: value})
        state = jax.eval_shape(tx.init, STRUCT)
        updates, _ = jax.eval_shape(tx.update, STRUCT, state, STRUCT)
    except adamx.AdamxError as error:
        assert_sentence(error)
    else:
        assert signature(updates) == signature(STRUCT)


# ---- numbers -----------------------------------------------------------------


def split(numbers):
    return {"w": jnp.asarray(numbers[:6]).reshape(2, 3), "s": jnp.asarray(numbers[6])}


def always(*values):
    return [np.full(7, x, np.float32) for x in values]


def assert_finite(tree):
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        where = jax.tree_util.keystr(path)
        assert np.all(np.isfinite(np.asarray(x, np.float64))), where


@pytest.mark.parametrize("optimizer", NAMED)
def test_every_number_leaves_a_finite_state(optimizer):
    """Of every size that float32 has, in three steps; compiled once."""
    tx = first(optimizer)
    start = split(np.linspace(-1, 1, 7, dtype=np.float32))
    traced = jax.eval_shape(tx.init, start)

    @examples(8)
    @given(st.lists(vectors(7), min_size=3, max_size=3), st.booleans())
    @example(always(1.0, 2e19, 1.0), False)  # adam: the square is infinite in float32
    @example(always(1e-19, 1e-19, 1e-19), False)  # sm3: the square is 0
    @example(always(0.0, 0.0, 0.0), True)
    @example(always(3e38, 3e38, 3e38), False)
    # adafactor, came: the product of the factors is below the range
    @example([np.float32([0, 1e10, 1e-45, -1, -1, 1e-13, 1e-38])] * 3, False)
    def run(gradients, from_zero):
        params = jax.tree.map(lambda x: x * (not from_zero), start)
        state = tx.init(params)
        for g in gradients:
            updates, state = tx.update(split(g), state, params)
            assert_finite((updates, state))
        assert signature(state) == signature(traced)
        assert signature(updates) == signature(params)

    run()
