"""Dion on a mesh: the numbers of one device, and what the devices send each other."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from tests.support.meshes import NEEDS_DEVICES

pytestmark = [pytest.mark.usefixtures("x64"), NEEDS_DEVICES]
RANK, LAYERS = 4, 8
SHAPES = {"rows": (96, 64), "columns": (72, 64), "both": (64, 80)}
SHAPES |= {"layers": (LAYERS, 64, 48)}
PLACES = {"rows": P("d", None), "columns": P(None, "d"), "both": P("d", "m")}
PLACES |= {"layers": P(("d", "m"), None, None)}
SKETCH = 128
"""The rows of a sketch for few columns, in the authors' code."""


def build(randomized, out_axis=-1, **keywords):
    keywords |= {"rank_fraction": RANK / 64, "dion_mask": "."}
    return adamx.dion(0.1, randomized=randomized, out_axis=out_axis, **keywords)


@functools.cache
def arrays(names):
    """The parameters, and the gradients of three steps."""
    normal = np.random.default_rng(11).standard_normal
    return (
        {name: normal(SHAPES[name]) for name in names},
        {name: normal((3, *SHAPES[name])) for name in names},
    )


def train(tx, p, gradients):
    def step(carry, g):
        p, state = carry
        updates, state = tx.update(g, state, p)
        return (jax.tree.map(jnp.add, p, updates), state), None

    return jax.lax.scan(step, (p, tx.init(p)), gradients)[0][0]


def collectives(program):
    """The arrays that a compiled program sends, as their shapes."""
    sent = r"= (.*?) (?:all-\w+|collective-\w+|reduce-scatter)(?:-start)?\("
    each = [found for line in program.splitlines() for found in re.findall(sent, line)]
    return [
        tuple(map(int, filter(None, dims.split(","))))
        for types in each
        for dims in re.findall(r"\w+\[([\d,]*)\]", types)
    ]


def check_narrow(sent, shapes):
    """Nothing is sent that is wider than a factor, and no factor more than once."""
    assert sent
    for shape in sent:
        assert len(shape) < 2 or min(shape) <= RANK, shape
    for_one = RANK * SKETCH + RANK**2 + 2 * RANK + 4  # and norms, and whether B is 0
    factors = sum(RANK * (2 * sum(shape)) + for_one for shape in shapes)
    assert sum(map(math.prod, sent)) <= factors < sum(map(math.prod, shapes)) / 3


@functools.cache
def on_one_device(names):
    """By QR: what the randomized form computes too, up to rounding."""
    tx = adamx.stacked(build(False), "layers") if "layers" in names else build(False)
    return jax.jit(functools.partial(train, tx))(*arrays(names))


@pytest.mark.parametrize(
    ("mode", "randomized"),
    [(AxisType.Auto, False), (AxisType.Auto, True), (AxisType.Explicit, True)],
    ids=str,
)
def test_split_matrices_are_updated_as_whole_ones_and_not_gathered(mode, randomized):
    """By rows, columns and both; and a stack by its layers, for which nothing is sent.

    That stack alone has three axes, so that what is sent for it would be seen. QR on
    Explicit axes: test_sharded_and_stacked.py.
    """
    names = tuple(SHAPES)
    tx = adamx.stacked(build(randomized), "layers")
    mesh = jax.make_mesh((4, 2), ("d", "m"), axis_types=(mode, mode))
    first = {name: NamedSharding(mesh, PLACES[name]) for name in names}
    each = {name: NamedSharding(mesh, P(None, *PLACES[name])) for name in names}
    p, gradients = map(jax.device_put, arrays(names), (first, each))
    with jax.set_mesh(mesh):
        program = jax.jit(functools.partial(train, tx)).lower(p, gradients).compile()
        got = program(p, gradients)
    for name, want in on_one_device(names).items():
        np.testing.assert_allclose(got[name], want, rtol=0, atol=1e-12)
    sent = collectives(program.as_text())
    assert all(len(shape) < 3 for shape in sent)
    check_narrow(sent, [s for s in SHAPES.values() if len(s) == 2])


@pytest.mark.parametrize(("randomized", "out_axis"), [(False, -1), (True, 0)])
def test_inside_shard_map_matrices_are_not_gathered(randomized, out_axis):
    tx = build(randomized, out_axis, axis_name="d")
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    p, gradients = arrays(("rows", "columns"))
    step = jax.shard_map(
        functools.partial(train, tx),
        mesh=mesh,
        in_specs=(P("d"), P(None, "d")),
        out_specs=P("d"),
    )
    program = jax.jit(step).lower(p, gradients).compile()
    want = jax.jit(functools.partial(train, build(False, out_axis)))(p, gradients)
    for name, got in program(p, gradients).items():
        np.testing.assert_allclose(got, want[name], rtol=0, atol=1e-12)
    check_narrow(collectives(program.as_text()), [SHAPES[name] for name in p])


def test_a_gradient_of_lower_rank_leaves_the_other_columns_of_the_factor():
    """Randomised: a step of the rank that there is, and the rest of Q begins anew."""
    random = np.random.default_rng(4)
    left, right = random.standard_normal((12, 2)), random.standard_normal((9, 2))
    tx = adamx.scale_by_dion(0.9, 0.0, rank_fraction=0.5, randomized=True, out_axis=0)
    state = tx.init({"w": jnp.zeros((12, 9))})
    nothing, state = tx.update({"w": jnp.zeros((12, 9))}, state)
    begun = np.asarray(state.slots["right_factor"]["w"])
    u, state = tx.update({"w": jnp.asarray(left @ right.T)}, state)
    factor = np.asarray(state.slots["right_factor"]["w"])
    assert not np.any(nothing["w"])
    assert begun.shape == (9, 5)
    np.testing.assert_array_equal(factor[:, 2:], begun[:, 2:])
    np.testing.assert_allclose(np.linalg.norm(factor[:, :2], axis=0), 1, rtol=1e-12)
    assert np.linalg.matrix_rank(u["w"]) == 2
    momentum = state.slots["momentum"]["w"]  # all of it was found: M = μ B
    np.testing.assert_allclose(momentum, 0.9 * left @ right.T, rtol=1e-9)
