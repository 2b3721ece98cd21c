"""`adamx.offload`: the state in host memory between steps, with the same numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import offload
from tests.support.counting import counted
from tests.support.meshes import (
    EVERY_MESH,
    NEEDS_DEVICES,
    UNDER,
    entered,
    mesh_of,
    placed,
    tree,
)
from tests.support.trees import assert_equal


def step_of(tx):
    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    return jax.jit(step, donate_argnums=(0, 1))


def kinds(state):
    return {
        jax.tree_util.keystr(keys, simple=True, separator="/"): x.sharding.memory_kind
        for keys, x in jax.tree_util.tree_leaves_with_path(state)
    }


@NEEDS_DEVICES
@EVERY_MESH
@UNDER
def test_the_numbers_are_those_without_it_and_the_state_is_on_the_host(kind, under):
    """Sharded as before; scalars stay on the device; step 2 compiles nothing."""
    mesh, tx = mesh_of(kind), offload(adamx.adamw(0.1), select="nu")
    plain = adamx.adamw(0.1)
    with entered(mesh, under):
        p, q = placed(mesh), placed(mesh)
        state, same = jax.jit(tx.init)(p), jax.jit(plain.init)(p)
        assert kinds(tx.init(p)) == kinds(state)
        steps = step_of(tx), step_of(plain)
        for k in (1, 2):
            with counted() as count:
                p, state = steps[0](p, state, placed(mesh, k))
            assert k == 1 or count.compilations == 0
            q, same = steps[1](q, same, placed(mesh, k))
            wanted = {path: "nu" in path for path in kinds(state)}
            assert {path: "host" in x for path, x in kinds(state).items()} == wanted
    assert_equal(*(jax.tree.map(np.asarray, x) for x in ((p, state), (q, same))))
    for name, x in state.nu.items():
        assert x.sharding.spec == same.nu[name].sharding.spec
    told = adamx.state_sharding(tx, p)
    assert kinds_told(told) == kinds(state)


def kinds_told(sharding):
    return {
        jax.tree_util.keystr(keys, simple=True, separator="/"): x.memory_kind
        for keys, x in jax.tree_util.tree_leaves_with_path(sharding)
    }


def moves(tx, state):
    """The moves between memories in the traced update."""
    text = str(jax.make_jaxpr(tx.update)(tree(1), state, tree()))
    return text.count("device_put")


def test_what_is_where_it_should_be_is_not_moved():
    """An array that is on the device already goes back only."""
    tx = offload(adamx.adamw(0.1), select="nu")
    state = tx.init(tree())
    assert moves(tx, state) == 6
    assert moves(tx, adamx.adamw(0.1).init(tree())) == 3
    twice = offload(tx)
    assert (
        moves(twice, twice.init(tree())) == moves(offload(adamx.adamw(0.1)), state) + 3
    )


@pytest.mark.parametrize("where", ["chain", "groups"])
def test_inside_a_chain_or_groups(where):
    """The arrays of that part are on the host, also for what looks at shapes only."""
    inner = offload(adamx.adamw(0.1))
    wrap = {
        "chain": lambda x: adamx.chain(adamx.parts.ClipByGlobalNorm(1.0), x),
        "groups": lambda x: adamx.groups([("kernel", x), (..., adamx.sgd(0.1))]),
    }[where]
    tx, plain = wrap(inner), wrap(adamx.adamw(0.1))
    state, same = jax.jit(tx.init)(tree()), plain.init(tree())
    updates, state = jax.jit(tx.update)(tree(1), state, tree())
    assert_equal(updates, jax.jit(plain.update)(tree(1), same, tree())[0])
    held = {path for path, kind in kinds(state).items() if "host" in kind}
    assert held
    assert all("mu/" in path or "nu/" in path for path in held)
    asked = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree())
    plan = adamx.memory_plan(tx, asked)
    assert plan.bytes == sum(x.nbytes for x in jax.tree.leaves(state))
    moved = sum(
        x.nbytes for x in jax.tree.leaves(state) if "host" in x.sharding.memory_kind
    )
    assert f"Between steps {moved:,} bytes are in pinned_host (offload)." in plan.notes
    shapes = jax.tree.map(jnp.shape, adamx.abstract_state(tx, asked))
    assert shapes == jax.tree.map(jnp.shape, state)


def test_around_groups_and_store():
    groups = adamx.groups([("bias", None), (..., adamx.adamw(0.1))])
    tx = offload(adamx.store(groups, mu=adamx.storage.Cast(jnp.bfloat16)))
    state = tx.init(tree())
    step = jax.jit(functools.partial(tx.update))
    _, state = step(tree(1), state, tree())
    assert kinds(state)["slots/mu/kernel"] == "pinned_host"
    assert kinds(state)["count"] == "device"
    plan = adamx.memory_plan(tx, tree())
    size = sum(x.size for n, x in tree().items() if n != "bias")
    assert (
        f"Between steps {6 * size:,} bytes are in pinned_host (offload)." in plan.notes
    )
    assert plan.bytes == 6 * size + 4


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: offload(3), r"`tx` must be a gradient transformation, got 3"),
        (
            lambda: offload(adamx.adam(0.1), "disk"),
            r"must have it, got 'disk', where they have device, pinned_host",
        ),
        (
            lambda: offload(adamx.adam(0.1), select="nu("),
            r"`select` must be a regular expression, got 'nu\('",
        ),
        (
            lambda: offload(adamx.adam(0.1), select="velocity").init(tree()),
            r"got 'velocity'\. The paths are 'slots/mu/bias'.*scalars stay",
        ),
    ],
)
def test_bad_arguments_are_refused(build, told):
    with pytest.raises(ValueError, match=f"offload: .*{told}"):
        build()
