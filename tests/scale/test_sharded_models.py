"""Models whose variables carry the sharding: nnx, linen, Haliax, and what reads paths.

Each trains as it does without metadata, and what a leaf keeps that is not like its
parameter is not laid out as that.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import linen, nnx, serialization, traverse_util
from jax.sharding import NamedSharding, PartitionSpec as P

import adamx
from adamx.engine.paths import leaves_by_path
from adamx.engine.state import Absent, is_absent
from adamx.storage import Blockwise, RowColumnMeans
from tests.support.meshes import (
    EVERY_MESH,
    NEEDS_DEVICES,
    SPECS,
    mesh_of,
    placed,
    tree,
)
from tests.support.trees import assert_close, assert_equal

pytestmark = NEEDS_DEVICES
EIGHT = Blockwise(block=4, min_size=16)
OPTIMIZERS = {
    "muon": lambda: adamx.muon(0.1),
    "adafactor": lambda: adamx.adafactor(0.1, min_dim_size_to_factor=4),
    "soap": lambda: adamx.soap(0.1),
    "galore": lambda: adamx.galore(0.1, rank=4),
    "novograd": lambda: adamx.novograd(0.1),
    "sm3": lambda: adamx.sm3(0.1),
    "8 bits": lambda: adamx.store(adamx.adamw(0.1), mu=EIGHT, nu=EIGHT),
    "means": lambda: adamx.store(adamx.adamw(0.1), nu=RowColumnMeans()),
    "masked": lambda: adamx.Masked(adamx.scale_by_adam(), "kernel"),
}
EVERY = pytest.mark.parametrize("name", OPTIMIZERS)
ON_MESHES = [  # each on Auto axes, and in turn on the other meshes
    (name, kind)
    for i, name in enumerate(OPTIMIZERS)
    for kind in ("auto", ("explicit", "default")[i % 2])
]
X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 16)), jnp.float32)


class Net(nnx.Module):
    def __init__(self, named):
        init = nnx.initializers.lecun_normal()
        ones = nnx.initializers.ones
        if named:
            init = nnx.with_partitioning(init, ("x", "y"))
            ones = nnx.with_partitioning(ones, ("y",))
        self.layer = nnx.Linear(
            16, 8, kernel_init=init, bias_init=ones, rngs=nnx.Rngs(0)
        )

    def __call__(self, x):
        return self.layer(x)


def begun(make, named):
    model = Net(named)
    return model, nnx.Optimizer(model, make(), wrt=nnx.Param)


def trained(model, optimizer):
    grads = nnx.grad(lambda model: jnp.mean(model(X) ** 2))(model)
    optimizer.update(model, grads)
    return nnx.as_pure(nnx.state(model, nnx.Param))


@pytest.mark.parametrize(("name", "kind"), ON_MESHES)
def test_an_nnx_optimizer_of_a_sharded_model_lays_out_what_is_like_it(name, kind):
    with jax.set_mesh(mesh_of(kind)), nnx.use_eager_sharding(True):
        _, optimizer = begun(OPTIMIZERS[name], named=True)
        specs = dict(leaves_by_path(nnx.get_partition_spec(nnx.state(optimizer))))
        for path, x in leaves_by_path(nnx.as_pure(nnx.state(optimizer))):
            assert len(specs[path]) <= x.ndim, path
            if "/mu/" in path or "/momentum/" in path:
                whole = {(16, 8): P("x", "y"), (8,): P("y")}.get(x.shape, P())
                assert specs[path] == (P() if "/scale/" in path else whole), path


@EVERY_MESH
def test_an_nnx_optimizer_of_a_sharded_model_trains_as_without_metadata(kind):
    make = OPTIMIZERS["novograd"]
    with jax.set_mesh(mesh_of(kind)), nnx.use_eager_sharding(True):
        got = trained(*begun(make, named=True))
    want = trained(*begun(make, named=False))
    assert_close(
        jax.tree.map(np.asarray, got), jax.tree.map(np.asarray, want), ulps=256
    )


def test_averages_of_some_leaves_are_read_from_every_form_of_nnx():
    """Absent slots are in no form at all after `nnx.state`.

    Two steps, since after one the average is the parameter but for rounding.
    """
    tx = adamx.chain(adamx.sgd(0.1), adamx.Masked(adamx.parts.ParamEma(0.9), "kernel"))
    model, optimizer = begun(lambda: tx, named=False)
    trained(model, optimizer)
    params = trained(model, optimizer)
    want = adamx.eval_params(nnx.as_pure(optimizer.opt_state), params)
    assert not np.array_equal(want["layer"]["kernel"], params["layer"]["kernel"])
    for state in (
        optimizer.opt_state,
        nnx.state(optimizer),
        nnx.to_pure_dict(nnx.state(optimizer)),
        serialization.to_state_dict(nnx.as_pure(optimizer.opt_state)),
    ):
        assert_equal(adamx.eval_params(state, params), want)


# ---- linen, Haliax, paths ------------------------------------------------------

RULES = (("embed", "x"), ("mlp", "y"))
LOGICAL = {"bias": ("mlp",), "kernel": ("embed", "mlp"), "square": (None, "embed")}


@EVERY
def test_logical_axes_of_linen_are_those_of_the_slots_like_the_parameters(name):
    """As MaxText derives the sharding of its train state."""
    mesh, tx = mesh_of(), OPTIMIZERS[name]()

    def boxed(p):
        axes = LOGICAL.items()
        return {n: linen.LogicallyPartitioned(p[n], names) for n, names in axes}

    def begun(p):
        return tx.init(boxed(p))

    specs = linen.get_partition_spec(jax.eval_shape(begun, tree()))
    sharding = linen.logical_to_mesh_sharding(specs, mesh, RULES)
    state = linen.unbox(jax.jit(begun, out_shardings=sharding)(tree()))
    slot = "momentum" if name == "muon" else "mu"
    if name in ("muon", "adafactor", "8 bits") and slot in state.slots:
        kept = state.slots[slot]
        kernel = (kept["codes"] if name == "8 bits" else kept)["kernel"]
        assert kernel.sharding.spec == P("x", "y")
    # with the boxes in the update, too
    u, after = jax.eval_shape(tx.update, boxed(tree(1)), begun(tree()), boxed(tree()))
    assert jax.tree.structure(after) == jax.tree.structure(begun(tree()))
    assert jax.tree.structure(u) == jax.tree.structure(boxed(tree()))
    if name == "novograd":
        got = jax.jit(tx.update)(placed(mesh, 1), state, placed(mesh))
        assert_close(got, tx.update(tree(1), tx.init(tree()), tree()), ulps=256)


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass
class NamedArray:
    """Haliax's, as to what matters here: the shape must be that of the axes."""

    array: Any
    axes: tuple

    def __post_init__(self):
        shape = getattr(self.array, "shape", None)
        if shape is not None and shape != tuple(size for _, size in self.axes):
            raise ValueError(f"shape {shape} does not match the axes {self.axes}")

    def tree_flatten(self):
        return (self.array,), self.axes

    @classmethod
    def tree_unflatten(cls, axes, children):
        return cls(children[0], axes)


NamedArray.__module__ = "haliax.core"


@EVERY
def test_named_axes_remain_on_what_has_them(name):
    tx = OPTIMIZERS[name]()

    def boxed(p):
        return {
            n: NamedArray(
                x, tuple((f"axis{i}", size) for i, size in enumerate(x.shape))
            )
            for n, x in p.items()
        }

    state = tx.init(boxed(tree()))
    u, after = jax.eval_shape(tx.update, boxed(tree(1)), state, boxed(tree()))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert jax.tree.structure(u) == jax.tree.structure(boxed(tree()))


# the slots of matrices and vectors that T5X's way takes for like their parameter
SLOTS_BY_PATH = {
    "muon": {"momentum", "mu", "nu"},
    "adafactor": {"nu"},
    "soap": {"mu", "nu", "left", "right", "left_basis", "right_basis"},
    "galore": {"mu", "nu", "projection"},
    "novograd": {"mu"},
    "sm3": {"mu", "cover"},
    "8 bits": {"mu", "nu"},
    "means": {"mu", "nu"},
    "masked": {"mu", "nu"},
}


def by_path(flat, mesh):
    """T5X's way: a slot is laid out as the parameter its path ends with, if it fits."""

    def fits(x, spec):
        pairs = zip(x.shape, spec, strict=False)
        pieces = [n % mesh.shape[name] for n, name in pairs if name is not None]
        return x.ndim == len(spec) and not any(pieces)

    named = {path: x for path, x in flat.items() if path[-1] in SPECS}
    return {p: SPECS[p[-1]] for p, x in named.items() if fits(x, SPECS[p[-1]])}


@EVERY
def test_paths_and_tree_map_params_give_shardings_that_fit(name):
    """T5X's way, and Praxis's: every array can be put where they say."""
    mesh, tx, p = mesh_of(), OPTIMIZERS[name](), tree()
    state = tx.init(p)
    assert not any(is_absent(x) for x in jax.tree.leaves(state)), "no array for nothing"
    specs = optax.tree_map_params(
        tx, lambda _, spec: spec, state, SPECS, transform_non_params=lambda _: P()
    )
    shardings = jax.tree.map(lambda s: NamedSharding(mesh, s), specs)
    assert_equal(jax.device_put(state, shardings), state)
    for outer in (optax.chain(tx), optax.masked(tx, dict.fromkeys(SPECS, True))):
        state = outer.init(p)
        same = optax.tree_map_params(outer, lambda x, spec: x, state, SPECS)
        assert_equal(same, state)
    flat = traverse_util.flatten_dict(serialization.to_state_dict(tx.init(p)))
    found = by_path(flat, mesh)
    assert {path[1] for path in found} == SLOTS_BY_PATH[name]
    like = [
        path for path in flat if path[-2:] in (("mu", "kernel"), ("codes", "kernel"))
    ]
    assert {found[path] for path in like} <= {P("x", "y")}
    where = {path: NamedSharding(mesh, found.get(path, P())) for path in flat}
    assert_equal(jax.device_put(flat, where), flat)


# ---- states with the placeholders of long ago ----------------------------------


def with_arrays(state):
    """The state as it was recorded when a placeholder was one byte, False."""
    return jax.tree.map(
        lambda x: jnp.zeros((), bool) if isinstance(x, Absent) else x,
        state,
        is_leaf=lambda x: isinstance(x, Absent),
    )


@pytest.mark.parametrize("name", ["muon", "8 bits", "means", "masked"])
def test_states_with_placeholders_of_long_ago_go_on_and_keep_their_form(name):
    tx, p = OPTIMIZERS[name](), tree()
    state = tx.init(p)
    old = with_arrays(state)
    kept = jax.eval_shape(tx.update, tree(2), old, p)[1]
    assert jax.tree.structure(kept) == jax.tree.structure(old)
    assert_equal(adamx.restore(tx, old, p), state)
    if name == "masked":
        assert_equal(tx.update(tree(2), old, p)[0], tx.update(tree(2), state, p)[0])


def test_orbax_and_msgpack_take_a_state_in_which_leaves_keep_nothing(tmp_path):
    states = {name: make().init(tree()) for name, make in OPTIMIZERS.items()}
    data = serialization.to_bytes(states)
    assert_equal(serialization.from_bytes(states, data), states)
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "states", states)
        saver.wait_until_finished()
        back = saver.restore(tmp_path / "states", states)
    assert jax.tree.structure(back) == jax.tree.structure(states)
    assert_equal(back, states)
