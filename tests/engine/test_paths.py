"""One notion of a path: the same in `init` and `update`, in every container."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import adamx
from adamx.engine.paths import leaves_by_path, paths, plain
from adamx.parts import LearningRate, Momentum, Sign
from tests.support.trees import assert_equal


class Layer(NamedTuple):
    kernel: Any
    value: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Block:
    kernel: Any
    bias: Any


class Net(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(3, 4, rngs=rngs)])
        self.out = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        return self.out(jnp.tanh(self.layers[0](x)))


A = jnp.ones((2, 3))
BOXED = linen.Dense(
    4, kernel_init=linen.with_partitioning(linen.initializers.ones, (None, "x"))
)
LINEN = BOXED.init(jax.random.key(0), A)
NNX = nnx.state(Net(nnx.Rngs(0)), nnx.Param)
NNX_PATHS = ["layers/0/bias", "layers/0/kernel", "out/bias", "out/kernel"]

CONTAINERS = {
    "dict": ({"layer": {"kernel": A}, "b": A}, ["b", "layer/kernel"]),
    "list": ([A, [A, None]], ["0", "1/0", "1/1"]),
    "NamedTuple": (Layer(A, [A]), ["kernel", "value/0"]),
    "dataclass": ({"a": Block(A, None)}, ["a/kernel", "a/bias"]),
    "Equinox": (
        eqx.filter(eqx.nn.Linear(2, 3, key=jax.random.key(0)), eqx.is_array),
        ["weight", "bias"],
    ),
    "Haiku": ({"mlp/~/linear_0": {"w": A}}, ["mlp/~/linear_0/w"]),
    "linen": (flax.core.freeze({"params": {"kernel": A}}), ["params/kernel"]),
    "linen, boxed": (LINEN, ["params/bias", "params/kernel"]),
    "linen, unboxed": (linen.unbox(LINEN), ["params/bias", "params/kernel"]),
    "nnx, boxed": (NNX, NNX_PATHS),
    "nnx, unboxed": (nnx.as_pure(NNX), NNX_PATHS),
    "nnx, dict": (nnx.to_pure_dict(NNX), NNX_PATHS),
    "nnx, a box of a tree": ({"a": nnx.Param({"b": A})}, ["a/b"]),
    "one array": (A, ["the only leaf"]),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_paths(container):
    tree, expected = CONTAINERS[container]
    assert paths(tree) == expected
    leaves = [leaf for _, leaf in leaves_by_path(tree)]
    assert all(x is None or isinstance(x, jax.Array) for x in leaves)


def test_a_tree_without_boxes_has_one_structure():
    forms = [plain(CONTAINERS[f"nnx, {form}"][0]) for form in ("boxed", "unboxed")]
    forms.append(CONTAINERS["nnx, dict"][0])
    assert len({jax.tree.structure(form) for form in forms}) == 1


def fitted(tx, steps=3):
    """Parameters after some steps of an `nnx.Optimizer`, by path."""
    model = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((8, 3)), jnp.float32)
    for _ in range(steps):
        g = nnx.grad(lambda model: jnp.mean((model(x) - 1) ** 2))(model)
        optimizer.update(model, g)
    return dict(leaves_by_path(nnx.state(model, nnx.Param)))


def by_hand(part, mask):
    """The same with plain dicts, and a mask that is a tree."""
    tx = adamx.chain(adamx.Masked(part, mask), LearningRate(0.1))
    graph, params, rest = nnx.split(Net(nnx.Rngs(0)), nnx.Param, ...)
    pure = nnx.to_pure_dict(params)
    state = tx.init(pure)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((8, 3)), jnp.float32)

    def loss(pure):
        boxed = nnx.clone(params)
        nnx.replace_by_pure_dict(boxed, pure)
        return jnp.mean((nnx.merge(graph, boxed, rest)(x) - 1) ** 2)

    for _ in range(3):
        updates, state = tx.update(jax.grad(loss)(pure), state, pure)
        pure = optax.apply_updates(pure, updates)
    return dict(leaves_by_path(pure))


KERNELS = {"layers": {0: {"bias": False, "kernel": True}},
           "out": {"bias": False, "kernel": True}}  # fmt: skip
SAME = {
    "pattern": "kernel$",
    "predicate": lambda path, leaf: path.endswith("kernel") and leaf.ndim == 2,
    "callable": lambda params: jax.tree.map(lambda x: x.ndim == 2, params),
    "tree of dicts": KERNELS,
    "tree with boxes": jax.tree.map(lambda x: x.ndim == 2, NNX),
    "tree without boxes": jax.tree.map(lambda x: x.ndim == 2, nnx.as_pure(NNX)),
}


@pytest.mark.parametrize("mask", SAME)
@pytest.mark.parametrize("part", [Momentum(0.9), adamx.scale_by_adam()], ids=repr)
def test_a_mask_selects_the_same_leaves_under_nnx(part, mask):
    tx = adamx.chain(adamx.Masked(part, SAME[mask]), LearningRate(0.1))
    assert_equal(fitted(tx), by_hand(part, KERNELS))


def test_muon_finds_its_matrices_under_nnx():
    by_path = fitted(adamx.muon(0.1, muon_mask="layers/0/kernel"))
    by_tree = fitted(adamx.muon(0.1, muon_mask=lambda path, leaf: leaf.shape == (3, 4)))
    assert_equal(by_path, by_tree)
    other = fitted(adamx.muon(0.1, muon_mask="out/kernel"))
    assert np.any(other["out/kernel"] != by_path["out/kernel"])


@pytest.mark.parametrize("mask", SAME)
def test_every_form_of_mask_fits_trees_with_and_without_boxes(mask):
    for tree in (NNX, nnx.as_pure(NNX), nnx.to_pure_dict(NNX)):
        tx = adamx.Masked(Sign(), SAME[mask])
        updates, _ = tx.update(jax.tree.map(lambda x: x + 3.0, tree), tx.init(tree))
        signs = {path: bool(np.all(x == 1)) for path, x in leaves_by_path(updates)}
        assert signs == {path: path.endswith("kernel") for path in NNX_PATHS}


def test_random_numbers_follow_from_the_path_alone():
    """Storage with stochastic rounding keeps the same bits with and without boxes."""
    tx = adamx.store(adamx.adam(0.1), mu=adamx.storage.Cast(jnp.bfloat16))
    runs = []
    for tree in (NNX, nnx.as_pure(NNX), nnx.to_pure_dict(NNX)):
        state = tx.init(tree)
        for _ in range(3):
            _, state = tx.update(jax.tree.map(lambda x: x + 0.37, tree), state)
        runs.append([x for _, x in leaves_by_path(state.slots["mu"])])
    assert_equal(runs[0], runs[1])
    assert_equal(runs[0], runs[2])


def test_the_order_of_an_ordered_dict_is_kept():
    from collections import OrderedDict

    tree = OrderedDict(z=A, a=A)
    tx = adamx.Masked(Sign(), {"z": True, "a": False})
    updates, _ = tx.update(OrderedDict(z=3 * A, a=3 * A), tx.init(tree))
    assert (float(updates["z"][0, 0]), float(updates["a"][0, 0])) == (1.0, 3.0)
