"""A statistic for each axis of a tensor, or for axes merged: Shampoo, SOAP, KL-SOAP."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import adamx
from adamx.engine.state import is_absent
from adamx.parts.two_sided import merged
from tests import papers
from tests.papers.shampoo import merged_shape

STEPS = 5
QUICKLY = {"xla_backend_optimization_level": 0}
"""A program runs for milliseconds, and half of its compilation is optimization."""
SHAMPOO = {"eps": 1e-3, "b2": 0.9, "precondition_frequency": 2}
SOAP = {"precondition_frequency": 2, "sort": True}
KL_SOAP = {"precondition_frequency": 2}
MOST = 5  # (6, 2, 3) has no statistic of its first axis, (2, 2, 3, 4) is (4, 3, 4)
SHAPES = {"conv": (2, 2, 3, 4), "long": (6, 2, 3), "v": (3,)}
OF_SOAP = functools.partial(papers.soap, released=False, **SOAP)
IN_BLOCKS = functools.partial(papers.soap_in_blocks, released=False, **SOAP)
MERGED = functools.partial(papers.soap_merged, released=False, **SOAP)
CASES = {
    "shampoo": (
        adamx.scale_by_shampoo,
        {**SHAMPOO, "max_dim": MOST},
        functools.partial(papers.shampoo, **SHAMPOO, max_dim=MOST),
    ),
    "shampoo merged": (
        adamx.scale_by_shampoo,
        {**SHAMPOO, "merge_dims": True, "max_dim": 12},  # (2, 2, 3, 4) is (12, 4)
        functools.partial(papers.shampoo_merged, **SHAMPOO, max_dim=12),
    ),
    "soap": (
        adamx.scale_by_soap,
        {**SOAP, "max_dim": MOST},
        functools.partial(OF_SOAP, max_dim=MOST),
    ),
    "soap merged": (
        adamx.scale_by_soap,
        {**SOAP, "merge_dims": True, "max_dim": MOST},
        functools.partial(MERGED, max_dim=MOST),
    ),
    "soap in blocks": (
        adamx.scale_by_soap,
        {**SOAP, "block_size": 2},
        functools.partial(IN_BLOCKS, block_size=2),
    ),
    "kl_soap": (
        adamx.scale_by_kl_soap,
        KL_SOAP,
        functools.partial(papers.kl_soap, **KL_SOAP),
    ),
}


def runner(tx, like):
    """A function of the gradients that returns all updates."""

    def step(state, g):
        updates, state = tx.update(g, state)
        return state, updates

    start = tx.init(like)
    return lambda gradients: jax.lax.scan(step, start, gradients)[1]


compiled = functools.partial(jax.jit, compiler_options=QUICKLY)


def normal(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal((STEPS, *shape))


def wanted(oracle, g):
    """The updates of an oracle: its steps from 0 at the rate 1."""
    start = np.zeros(g.shape[1:])
    path = oracle(start, lambda k, _: g[k], len(g), learning_rate=1.0)
    return -np.diff(path, axis=0, prepend=0)


def near(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-9 * np.abs(want).max())


@pytest.mark.parametrize("case", CASES)
def test_each_axis_has_a_statistic_as_in_the_papers(x64, case):
    """No first statistic has two eigenvalues of 0, so that all bases are unique."""
    build, keywords, oracle = CASES[case]
    shapes = SHAPES if "block_size" not in keywords else {"t": (3, 4, 3)}
    tx = build(**{"merge_dims": False, **keywords})
    g = {name: normal(*shape) for name, shape in shapes.items()}
    updates = compiled(runner(tx, jax.tree.map(lambda x: jnp.zeros(x.shape[1:]), g)))(g)
    for name, x in g.items():
        near(updates[name], wanted(oracle, x))


def test_matrices_are_the_same_with_a_statistic_for_each_axis():
    """In numbers and in the state, which has two sides either way."""
    like = {"m": jnp.zeros((5, 4))}
    for name in ("soap", "kl_soap", "shampoo"):
        build = getattr(adamx, f"scale_by_{name}")
        kept = [
            jax.tree.leaves(jax.eval_shape(tx.init, like))
            for tx in (build(), build(merge_dims=False))
        ]
        assert [x.shape for x in kept[0]] == [x.shape for x in kept[1]]
    pair = adamx.scale_by_soap(), adamx.scale_by_soap(merge_dims=False)
    g = {"m": normal(5, 4).astype(np.float32)}
    both = compiled(lambda g: [runner(tx, like)(g)["m"] for tx in pair])(g)
    np.testing.assert_array_equal(*both)


@pytest.mark.skipif(jax.device_count() < 4, reason="needs 4 devices")
def test_tensors_are_gathered_in_shard_map_and_stacks_are_layers(x64):
    """A split first axis is made whole; a layer of a stack is a tensor of its own."""
    g = normal(4, 3, 2)
    tx = adamx.scale_by_soap(**SOAP, merge_dims=False, axis_name="d")
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    split = P(None, "d")
    sharded = jax.shard_map(
        lambda g: runner(tx, g[0])(g), mesh=mesh, in_specs=split, out_specs=split
    )
    near(compiled(sharded)(g), wanted(OF_SOAP, g))
    layers = np.stack([g, normal(4, 3, 2, seed=4)], 1)
    stacked = adamx.stacked(adamx.scale_by_soap(**SOAP, merge_dims=False), "w")
    run = compiled(runner(stacked, {"w": jnp.zeros((2, 4, 3, 2))}))
    found = run({"w": layers})["w"]
    for i in range(2):
        near(found[:, i], wanted(OF_SOAP, layers[:, i]))


@pytest.mark.parametrize(
    ("keywords", "sides"),
    [
        ({}, [(576, 576), (128, 128), None, None]),
        ({"merge_dims": False}, [(3, 3), (3, 3), (64, 64), (128, 128)]),
        ({"merge_dims": False, "max_dim": 64}, [(3, 3), (3, 3), (64, 64), None]),
        ({"merge_dims": True}, [(576, 576), (128, 128), None, None]),
        ({"merge_dims": True, "max_dim": 100}, [(9, 9), (64, 64), None, None]),
        ({"merge_dims": True, "max_dim": 80_000}, [(73_728,) * 2, None, None, None]),
        ({"merge_dims": False, "block_size": 32}, [(8, 3, 3)] * 2 + [(8, 32, 32)] * 2),
    ],
)
def test_the_state_of_a_convolution(keywords, sides):
    """Of (3, 3, 64, 128): merged axes are (9, 64, 128) or (576, 128), or one."""
    p = {"conv": jnp.zeros((3, 3, 64, 128)), "v": jnp.zeros(7)}
    names = ("left", "right", "axis_2", "axis_3")
    for build in (adamx.soap, functools.partial(adamx.shampoo, 0.1)):
        slots = jax.eval_shape(build(**keywords).init, p).slots
        kept = [slots[name]["conv"] if name in slots else None for name in names]
        got = [None if x is None or is_absent(x) else x.shape for x in kept]
        assert got == sides


def test_axes_are_merged_as_the_authors_describe_it():
    random = np.random.default_rng(0)
    for _ in range(200):
        shape = tuple(
            map(int, random.choice([1, 2, 3, 5, 8, 30], random.integers(1, 6)))
        )
        most = int(random.choice([2, 6, 10, 40, 1000]))
        assert list(merged(shape, most)) == merged_shape(shape, most)


REFUSED = {
    r"soap: `merge_dims` must be True or False, got 'all'": (
        lambda: adamx.soap(merge_dims="all")
    ),
    r"shampoo: `one_sided` must be None with `merge_dims`, got 'left' and False": (
        lambda: adamx.shampoo(0.1, one_sided="left", merge_dims=False)
    ),
    r"kl_soap: `merge_dims` must be None or False, got True. Its factors": (
        lambda: adamx.kl_soap(merge_dims=True)
    ),
    r"SoapDirection: a leaf must have at most 6 axes .* got 7 of the shape \(2, 2,": (
        lambda: adamx.soap(merge_dims=False).init({"w": jnp.zeros((2,) * 7)})
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_bad_arguments_are_refused(sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        REFUSED[sentence]()
