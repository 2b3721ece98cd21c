"""Blocks of matrices, one side, and intervals: Shampoo, SOAP, KL-SOAP.

tests/table has their variants against the papers; here are layouts, states, the limits
of float32, and what is refused.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import adamx
from adamx.engine.state import is_absent
from adamx.parts.two_sided import Blocks
from tests import papers

SIZE, STEPS = 3, 5
SHAPE = (8, 5)  # its blocks are (3, 3), (3, 2), (2, 3) and (2, 2)
SHAMPOO = {"eps": 1e-12, "b2": 0.9, "bias_correction": True}
SOAP = {"precondition_frequency": 2, "sort": True}
KL_SOAP = {"precondition_frequency": 2}
BUILT = {
    "shampoo": functools.partial(adamx.scale_by_shampoo, **SHAMPOO),
    "soap": functools.partial(adamx.scale_by_soap, **SOAP),
    "kl_soap": functools.partial(adamx.scale_by_kl_soap, **KL_SOAP),
}
ORACLES = {
    "shampoo": functools.partial(papers.shampoo_in_blocks, **SHAMPOO),
    "soap": functools.partial(papers.soap_in_blocks, released=False, **SOAP),
    "kl_soap": functools.partial(papers.kl_soap_in_blocks, **KL_SOAP),
}
EACH = pytest.mark.parametrize("name", BUILT)


def runner(tx, like):
    """A compiled function of the gradients: the last state, all updates."""

    def step(state, g):
        updates, state = tx.update(g, state)
        return state, updates

    start = tx.init(like)
    return jax.jit(lambda gradients: jax.lax.scan(step, start, gradients))


def normal(*shape, seed=0):
    """Of each block the first one leaves at most one direction of eigenvalue 0, so that
    the bases are unique."""
    return np.random.default_rng(seed).standard_normal((STEPS, *shape))


def wanted(name, gradients, block_size=SIZE):
    """The updates of an oracle: its steps from 0 at the rate 1."""
    path = ORACLES[name](
        np.zeros(gradients.shape[1:]),
        lambda k, _: gradients[k],
        STEPS,
        learning_rate=1.0,
        block_size=block_size,
    )
    return -np.diff(path, axis=0, prepend=0)


def near(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-9 * np.abs(want).max())


@pytest.mark.parametrize(
    ("shape", "block"), [((7, 5), (3, 2)), ((6, 4), (3, 4)), ((2, 9), (2, 9))]
)
def test_blocks_are_cut_row_by_row_and_put_together(shape, block):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    cut = Blocks(shape, block)
    stack = cut.stack(jnp.asarray(x))
    assert stack.shape == (cut.number, *block)
    rows, columns = cut.lengths(jnp.float32)
    of_block = np.broadcast_to(rows, cut.number), np.broadcast_to(columns, cut.number)
    starts = [
        (i, j)
        for i in range(0, shape[0], block[0])
        for j in range(0, shape[1], block[1])
    ]
    for got, (i, j), m, n in zip(stack, starts, *of_block, strict=True):
        want = x[i : i + block[0], j : j + block[1]]
        assert want.shape == (int(m), int(n))
        np.testing.assert_array_equal(got[: int(m), : int(n)], want)
        assert np.count_nonzero(got) == np.count_nonzero(want), "filled up with 0"
    np.testing.assert_array_equal(cut.unstack(stack), x)


@EACH
def test_each_block_is_a_matrix_of_its_own(x64, name):
    """Of every shape that a rest can have, whatever the size of the gradient.

    tests/table has a vector with SOAP; here its first basis would not be unique.
    """
    shapes = {"m": SHAPE} | ({"v": (4,)} if name == "shampoo" else {})
    tx = BUILT[name](block_size=SIZE)
    run = runner(tx, {n: jnp.zeros(s) for n, s in shapes.items()})
    for scale in (1.0, 1e-9):
        g = {n: scale * normal(*s) for n, s in shapes.items()}
        _, updates = run(g)
        for leaf, x in g.items():
            near(updates[leaf], wanted(name, x))


@pytest.mark.skipif(jax.device_count() < 4, reason="needs 4 devices")
def test_blocks_inside_shard_map_are_those_of_the_whole(x64):
    g = normal(*SHAPE)
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    tx = BUILT["soap"](block_size=SIZE, axis_name="d")
    split = P(None, "d")
    sharded = jax.shard_map(
        lambda g: runner(tx, g[0])(g)[1], mesh=mesh, in_specs=split, out_specs=split
    )
    near(jax.jit(sharded)(g), wanted("soap", g))


def test_stacked_layers_are_cut_each_on_its_own(x64):
    g = normal(2, *SHAPE)
    tx = adamx.stacked(BUILT["kl_soap"](block_size=SIZE), "m")
    state, got = runner(tx, {"m": jnp.zeros((2, *SHAPE))})({"m": g})
    assert state.slots["left"]["m"].shape == (2, 6, SIZE, SIZE)
    for i in range(2):
        near(got["m"][:, i], wanted("kl_soap", g[:, i]))


@EACH
def test_a_matrix_of_bfloat16_is_updated_with_products_of_bfloat16(name):
    """The state and the decompositions are float32, and a filling does not mix.

    The direction is that of float64 to what 8 bits leave of roots and bases.
    """
    like = {"m": jnp.zeros(SHAPE, jnp.bfloat16)}
    tx = BUILT[name](block_size=SIZE, precision=jnp.bfloat16)
    g = jnp.asarray(1e-6 * normal(*SHAPE), jnp.bfloat16)
    state, updates = runner(tx, like)({"m": g})
    assert updates["m"].dtype == jnp.bfloat16
    assert {x["m"].dtype.name for x in state.slots.values()} == {"float32"}
    got = np.asarray(updates["m"], np.float64)[-1]
    want = wanted(name, np.asarray(g, np.float64))[-1]
    assert np.sum(got * want) > 0.9 * np.linalg.norm(got) * np.linalg.norm(want)
    if name == "shampoo":
        return
    for side, rest in (("left", 4), ("right", 1)):  # a block with one of 2
        q = np.asarray(state.slots[f"{side}_basis"]["m"], np.float64)
        np.testing.assert_allclose(q @ q.mT, [np.eye(SIZE)] * len(q), atol=1e-5)
        np.testing.assert_array_equal(np.abs(q[rest, 2]), [0, 0, 1])
        np.testing.assert_array_equal(q[rest, :2, 2], 0)


SHAPES = {"m": (7, 5), "t": (2, 3, 4), "v": (4,), "s": ()}


@pytest.mark.parametrize(
    ("keywords", "left", "right"),
    [
        ({}, (7, 7), (5, 5)),
        ({"block_size": 7}, (7, 7), (5, 5)),
        ({"block_size": 3}, (6, 3, 3), (6, 3, 3)),
        ({"block_size": 6}, (2, 6, 6), (2, 5, 5)),
        ({"one_sided": "smaller"}, None, (5, 5)),
        ({"one_sided": "left"}, (7, 7), None),
        ({"one_sided": "right", "block_size": 3}, None, (2, 3, 3)),
        ({"max_dim": 5, "block_size": 3}, None, (2, 3, 3)),
        ({"max_dim": 4, "block_size": 3}, None, None),
    ],
)
def test_the_state_has_a_statistic_for_each_side_of_each_block(keywords, left, right):
    """A side without one is not cut: (7, 5) is then cut into columns only."""
    params = {name: jnp.zeros(shape) for name, shape in SHAPES.items()}
    for build in (adamx.soap, functools.partial(adamx.shampoo, 0.1)):
        slots = jax.eval_shape(build(**keywords).init, params).slots
        for name, wanted in (("left", left), ("right", right)):
            kept = slots[name]["m"]
            assert (None if is_absent(kept) else kept.shape) == wanted
    soap = jax.eval_shape(adamx.soap(block_size=4).init, params).slots
    assert soap["left"]["t"].shape == (2, 4, 4), "a tensor is (6, 4)"
    assert is_absent(soap["left"]["v"])
    vectors = jax.eval_shape(adamx.soap(precondition_1d=True).init, params).slots
    assert vectors["left_basis"]["v"].shape == (4, 4)
    assert is_absent(vectors["left_basis"]["s"])


def test_roots_are_kept_between_the_steps_in_which_they_are_due():
    """At step 2, then at 3 and 6; before they are I. Every gradient is gathered."""
    tx = adamx.scale_by_shampoo(
        1.0, precondition_frequency=3, start_preconditioning_step=2
    )
    assert set(adamx.scale_by_shampoo().slots()) == {"left", "right"}
    p = {"m": jnp.zeros((3, 2))}
    state, roots, statistics = tx.init(p), [], []
    step = jax.jit(tx.update)
    for k in range(6):
        _, state = step({"m": jnp.full((3, 2), k + 1.0)}, state)
        roots.append(np.asarray(state.slots["left_root"]["m"]))
        statistics.append(float(state.slots["left"]["m"][0, 1]))
    np.testing.assert_array_equal(roots[0], np.eye(3))
    changed = [np.any(a != b) for a, b in itertools.pairwise(roots)]
    assert changed == [True, True, False, False, True]
    squares = 2 * np.arange(1, 7) ** 2
    np.testing.assert_allclose(statistics, np.cumsum(squares))


REFUSED = {
    r"soap: `one_sided` must be None, 'smaller', 'left' or 'right', got 'up'": (
        lambda: adamx.soap(one_sided="up")
    ),
    r"shampoo: `one_sided` must be .* got 'both'. None has a statistic for both": (
        lambda: adamx.shampoo(0.1, one_sided="both")
    ),
    r"soap: `block_size` must be a whole number, at least 1, got 0": (
        lambda: adamx.soap(block_size=0)
    ),
    r"kl_soap: `block_size` must be a whole number, at least 1, got -4": (
        lambda: adamx.kl_soap(block_size=-4)
    ),
    r"shampoo: `precondition_frequency` must be .* at least 1, got 0": (
        lambda: adamx.shampoo(0.1, precondition_frequency=0)
    ),
    r"shampoo: `start_preconditioning_step` must be .* at least 1, got 0": (
        lambda: adamx.shampoo(0.1, start_preconditioning_step=0)
    ),
    r"soap: `precondition_1d` must be True or False, got 1": (
        lambda: adamx.soap(precondition_1d=1)
    ),
    r"`weight_decay` must be a number, .* or a weight decay, got Ema": (
        lambda: adamx.soap(weight_decay=adamx.parts.Ema(0.9))
    ),
    r"`mask` must be given to the part that decays, got both": (
        lambda: adamx.kl_soap(weight_decay=adamx.parts.WeightDecay(0.1), mask="w")
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_bad_arguments_are_refused(sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        REFUSED[sentence]()
