"""`adamx.zero1` on 8 virtual devices: the state in pieces, the numbers of one."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec as P

import adamx
from adamx import zero1
from adamx.engine.paths import leaves_by_path
from adamx.wrappers.placing import varying
from tests.support import meshes
from tests.support.counting import counted
from tests.support.meshes import EVERY_MESH, NEEDS_DEVICES, UNDER, entered
from tests.support.trees import assert_close

pytestmark = NEEDS_DEVICES
SHAPES = {"kernel": (16, 8), "wide": (4, 24), "bias": (3,)}
WHOLE, ROWS, COLUMNS = P(None), P("data", None), P(None, "data")
PIECES = {"kernel": ROWS, "wide": COLUMNS, "bias": WHOLE}
X = np.random.default_rng(9).standard_normal((32, 16)).astype("float32")
EVERYWHERE = {n: P(*[None] * len(s)) for n, s in SHAPES.items()}

mesh_of = functools.partial(meshes.mesh_of, data=8)
tree = functools.partial(meshes.tree, shapes=SHAPES)
placed = functools.partial(meshes.placed, specs=EVERYWHERE, shapes=SHAPES)


def loss(p, x):
    hidden = jnp.tanh(x @ p["kernel"]).mean(-1) + p["bias"].sum()
    return jnp.mean(hidden**2) + jnp.mean(jnp.tanh(x[:, :4] @ p["wide"]))


def train_step(tx, p, state, x):
    updates, state = tx.update(jax.grad(loss)(p, x), state, p)
    return optax.apply_updates(p, updates), state


@functools.cache
def alone(steps=3):
    """AdamW with a clip on one device."""
    tx = optimizer()
    step = jax.jit(functools.partial(train_step, tx))
    p, state = tree(), tx.init(tree())
    for _ in range(steps):
        p, state = step(p, state, X)
    return jax.tree.map(np.asarray, (p, state))


def optimizer():
    return adamx.chain(adamx.parts.ClipByGlobalNorm(0.1), adamx.adamw(0.1))


def assert_pieces(state):
    for slot in state.slots.values():
        for name, x in slot.items():
            want = NamedSharding(x.sharding.mesh, PIECES[name])
            assert x.sharding.is_equivalent_to(want, x.ndim), (name, x.sharding)


@EVERY_MESH
@UNDER
def test_the_steps_are_those_of_one_device(kind, under):
    """The state stays in pieces, the parameters whole, and step 2 compiles nothing."""
    mesh, tx = mesh_of(kind), zero1(optimizer(), "data")
    with entered(mesh, under):
        p = placed(mesh)
        assert_pieces(tx.init(p))
        state = jax.jit(tx.init)(p)
        assert_pieces(state)
        step = jax.jit(functools.partial(train_step, tx))
        x = jax.device_put(X, NamedSharding(mesh, P("data", None)))
        for k in range(3):
            with counted() as count:
                p, state = step(p, state, x)
            assert (count.compilations == 0) == (k > 0)
    assert_pieces(state)
    for name, leaf in p.items():
        assert leaf.sharding.is_fully_replicated, name
    assert_close(jax.tree.map(np.asarray, (p, state)), alone(), ulps=64)


SHAPE = r"(\w+\[[\d,]*\])"


@EVERY_MESH
def test_one_gather_of_updates_for_each_leaf_and_none_of_moments(kind):
    """In the compiled program, beside the sum of the gradients."""
    mesh, tx = mesh_of(kind), zero1(adamx.adamw(0.1), "data")
    p = placed(mesh)
    state = jax.jit(tx.init)(p)
    x = jax.device_put(X, NamedSharding(mesh, P("data", None)))
    step = jax.jit(functools.partial(train_step, tx), donate_argnums=(0, 1))
    compiled = step.lower(p, state, x).compile()
    text = compiled.as_text()
    gathered = re.findall(rf"= \(?{SHAPE}\S* all-gather(?:-start)?\(", text)
    assert len(gathered) == 2
    assert not re.search(r" (all-to-all|collective-permute)(-start)?\(", text)
    assert len(re.findall(r" (all-reduce|reduce-scatter)(-start)?\(", text)) == 1
    # 8 bytes of moments for each parameter, an eighth of them where a leaf is divided
    held = compiled.memory_analysis().argument_size_in_bytes
    whole = sum(4 * int(np.prod(s)) for s in SHAPES.values())
    moments = 2 * (whole - 12) // 8 + 2 * 12
    assert held - whole - X.nbytes // 8 <= moments + 64
    here = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))
    assert here == moments + 4


def test_gradients_that_are_not_summed_are_summed_into_pieces():
    """`unreduced` on an Explicit mesh; Optax raises on it."""
    mesh = mesh_of("explicit")
    tx = zero1(adamx.adamw(0.1), "data")
    with jax.set_mesh(mesh):
        p = placed(mesh)
        state = jax.jit(tx.init)(p)
        x = jax.device_put(X, NamedSharding(mesh, P("data", None)))

        @jax.jit
        def step(p, state, x):
            reduced = {
                n: jax.sharding.reshard(v, P(None, None, reduced={"data"}))
                for n, v in p.items()
                if n != "bias"
            }
            g = jax.grad(loss)(p | reduced, x)
            assert "data" in jax.typeof(g["kernel"]).sharding.spec.unreduced
            updates, state = tx.update(g, state, p)
            return optax.apply_updates(p, updates), state

        for _ in range(2):
            p, state = step(p, state, x)
    plain = adamx.adamw(0.1)
    q, s = tree(), plain.init(tree())
    for _ in range(2):
        q, s = jax.jit(functools.partial(train_step, plain))(q, s, X)
    assert_close(jax.tree.map(np.asarray, p), jax.tree.map(np.asarray, q), ulps=64)


@pytest.mark.parametrize("summed", [True, False], ids=["summed", "not summed"])
def test_inside_shard_map(summed):
    """Gradients that differ between devices are summed into the pieces."""
    mesh, tx = mesh_of(), zero1(adamx.adamw(0.1), "data")
    p = placed(mesh)
    state = jax.jit(tx.init)(p)
    specs = jax.tree.map(lambda s: s.spec, adamx.state_sharding(tx, p))
    whole = {n: P() for n in SHAPES}

    def step(p, state, x):
        if summed:  # JAX sums gradients of what is the same on all devices
            g = jax.grad(lambda p: jax.lax.pmean(loss(p, x), "data"))(p)
        else:
            mine = jax.lax.pcast(p, "data", to="varying")
            g = jax.tree.map(lambda g: g / 8, jax.grad(loss)(mine, x))
            assert "data" in varying(g["kernel"])
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(whole, specs, P("data")),
        out_specs=(whole, specs),
    )
    run = jax.jit(mapped)
    if not summed:
        text = run.lower(p, state, X).compile().as_text()
        assert len(re.findall(r" reduce-scatter(?:-start)?\(", text)) == 2
        assert len(re.findall(r" all-gather(?:-start)?\(", text)) == 2
    for _ in range(2):
        p, state = run(p, state, X)
    plain = adamx.adamw(0.1)
    q, s = tree(), plain.init(tree())
    for _ in range(2):
        q, s = jax.jit(functools.partial(train_step, plain))(q, s, X)
    assert_close(
        jax.tree.map(np.asarray, (p, state)), jax.tree.map(np.asarray, (q, s)), 64
    )


def test_beside_tensor_parallel_parameters():
    """They keep their axes; on an Auto mesh `specs` says which."""
    mesh = meshes.mesh_of("auto", data=4, model=2)
    specs = {"kernel": P("model", None), "wide": P(None, "model"), "bias": P()}
    p = jax.device_put(tree(), {n: NamedSharding(mesh, s) for n, s in specs.items()})
    with pytest.raises(ValueError, match=r"`kernel` over 'model' .*Pass specs="):
        zero1(adamx.adamw(0.1)).init(p)
    tx = zero1(adamx.adamw(0.1), specs=specs)
    state = jax.jit(tx.init)(p)
    want = {"kernel": P(("model", "data")), "wide": P("data", "model"), "bias": P()}
    step = jax.jit(functools.partial(train_step, tx))
    after, state = step(p, state, X)
    for name, x in state.mu.items():
        assert x.sharding.is_equivalent_to(NamedSharding(mesh, want[name]), x.ndim)
        assert after[name].sharding.is_equivalent_to(p[name].sharding, x.ndim)
    told = adamx.state_sharding(tx, p).slots["mu"]
    assert told["kernel"].spec == P(("model", "data"), None)
    assert told["wide"].spec == want["wide"]


def test_memory_plan_says_what_is_whole_and_the_bytes_of_a_device():
    mesh, tx = mesh_of(), zero1(adamx.adamw(0.1), "data")
    p = placed(mesh)
    state = jax.jit(tx.init)(p)
    here = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))
    text = str(adamx.memory_plan(tx, p))
    assert f"On each of the 8 devices of 'data' are {here:,} bytes (zero1)." in text
    assert "as 8 divides none of their axes (zero1): 'bias'." in text
    assert "not known: pass parameters that are on a mesh" in str(
        adamx.memory_plan(tx, tree())
    )


def grouped(within=lambda tx: tx, first=lambda tx: tx, rest=lambda tx: tx):
    """Groups, `within` something; `kernel` and `wide` are in one each."""
    two = adamx.Masked(adamx.parts.ClipByNorm(0.05), "wide"), adamx.adamw(0.1)
    pairs = [("kernel", first(adamx.adamw(0.1))), ("bias", None)]
    pairs.append((..., rest(adamx.chain(*two))))
    return within(adamx.groups(pairs, clip=0.1))


def in_groups(tx):
    """Groups of groups."""
    return adamx.groups([("wide|bias", None), (..., adamx.chain(tx))])


# where `zero1` is, and which leaves it divides
NESTS = {
    "around groups": (lambda: grouped(zero1), {"kernel", "wide"}),
    "in a chain": (lambda: adamx.chain(zero1(adamx.adamw(0.1))), {"kernel", "wide"}),
    "in one group": (lambda: grouped(first=zero1), {"kernel"}),
    "in each group": (lambda: grouped(first=zero1, rest=zero1), {"kernel", "wide"}),
    "in a group of a group, tunable": (
        lambda: adamx.tunable(
            grouped(first=lambda x: in_groups(zero1(x))), "weight_decay"
        ),
        {"kernel"},
    ),
}


# on Auto axes XLA would move the sum; on Explicit ones its type holds it
EACH = [(name, "auto") for name in NESTS]
EACH += [("in a chain", "explicit"), ("in each group", "default")]


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_inside_accumulate_the_sum_stays_where_it_begins(name, kind):
    """Wherever `zero1` is, and for leaves that it does not have, too."""
    build, divided = NESTS[name]
    tx, mesh = adamx.accumulate(build(), 2), mesh_of(kind)
    q = placed(mesh)
    state = jax.jit(tx.init)(q)
    step = jax.jit(functools.partial(train_step, tx))
    for k in range(2):
        with counted() as count:
            q, state = step(q, state, X)
        assert (count.compilations == 0) == (k > 0)
        for n in ("kernel", "wide"):
            assert state.gradients[n].sharding.is_fully_replicated
    named = [(path, x) for path, x in leaves_by_path(state) if x is not None]
    mu = {path.split("/")[-1]: x for path, x in named if "/mu/" in path}
    for n in ("kernel", "wide"):
        want = NamedSharding(mesh, PIECES[n] if n in divided else WHOLE)
        assert mu[n].sharding.is_equivalent_to(want, 2), n
    want = without_zero1(grouped() if "group" in name else adamx.adamw(0.1))
    assert_close(jax.tree.map(np.asarray, q), want, 64)


@functools.cache
def without_zero1(tx):
    """One step on one device."""
    p, _ = jax.jit(functools.partial(train_step, tx))(tree(), tx.init(tree()), X)
    return jax.tree.map(np.asarray, p)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: zero1(0.1), r"`tx` must be a gradient transformation, got 0\.1"),
        (lambda: zero1(optimizer(), 3), r"`axis` must be the name.*got 3"),
        (
            lambda: zero1(optimizer(), "model", mesh=mesh_of()),
            r"must be an axis of the mesh, got 'model', where the mesh has 'data'",
        ),
        (
            lambda: zero1(optimizer(), specs={"kernel": "data"}),
            r"`specs` must be PartitionSpecs, `kernel` is not, got 'data'",
        ),
        (
            lambda: zero1(
                optimizer(), mesh=mesh_of(), specs={"kernels": P("data")}
            ).init(tree()),
            r"must be a tree like the parameters, got one for `kernels`",
        ),
        (
            lambda: zero1(optimizer()).init(tree()),
            r"a mesh with the axis 'data' must be known, got none for `bias`.*mesh=",
        ),
    ],
)
def test_bad_arguments_are_refused(build, told):
    with pytest.raises(ValueError, match=f"zero1: .*{told}"):
        build()


def test_what_needs_a_whole_leaf_is_refused_inside_shard_map():
    tx = zero1(adamx.lamb(0.1))
    run = jax.shard_map(tx.init, mesh=mesh_of(), in_specs=P(), out_specs=P())
    with pytest.raises(ValueError, match=r"every element must be updated by itself"):
        jax.eval_shape(run, tree())
