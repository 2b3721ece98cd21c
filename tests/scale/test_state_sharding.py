"""`adamx.state_sharding` and `adamx.abstract_state` on 8 devices, in every mesh."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from jax.sharding import NamedSharding, PartitionSpec as P

import adamx
from adamx.engine.paths import leaves_by_path
from adamx.storage import Blockwise
from tests.support.counting import counted
from tests.support.meshes import (
    EVERY_MESH,
    NEEDS_DEVICES,
    SPECS,
    UNDER,
    entered,
    mesh_of,
    placed,
    tree,
)
from tests.support.trees import assert_close, assert_equal

pytestmark = NEEDS_DEVICES
NONE, X, Y = P(), P("x"), P("y")
LIKE = dict(SPECS)
EIGHT = {"mu": Blockwise(block=4, min_size=8), "nu": Blockwise(4, 4, min_size=8)}

# the optimizer, and what its slots are by their roles
ROLES = {
    "adam": (lambda: adamx.adam(0.1), {"mu": LIKE, "nu": LIKE}),
    "adafactor": (
        lambda: adamx.adafactor(0.1, min_dim_size_to_factor=4),
        {
            "nu": {"bias": Y},
            "nu_row": {"kernel": X, "square": NONE},
            "nu_col": {"kernel": Y, "square": X},
        },
    ),
    "muon": (
        lambda: adamx.muon(0.1),
        {
            "momentum": {n: s for n, s in LIKE.items() if n != "bias"},
            "mu": {"bias": Y},
            "nu": {"bias": Y},
        },
    ),
    "soap": (
        lambda: adamx.soap(0.1),
        {
            "mu": LIKE,
            "nu": LIKE,
            "left": {"kernel": X, "square": NONE},
            "left_basis": {"kernel": X, "square": NONE},
            "right": {"kernel": Y, "square": X},
            "right_basis": {"kernel": Y, "square": X},
        },
    ),
    "galore": (
        lambda: adamx.galore(0.1, rank=4),
        {
            "mu": {"bias": Y, "kernel": P(None, "x"), "square": P(None, "x")},
            "nu": {"bias": Y, "kernel": P(None, "x"), "square": P(None, "x")},
            "projection": {"kernel": Y, "square": NONE},
        },
    ),
    "novograd": (
        lambda: adamx.novograd(0.1),
        {"mu": LIKE, "nu": dict.fromkeys(SPECS, NONE)},
    ),
    "8 and 4 bits": (
        lambda: adamx.store(adamx.adamw(0.1), **EIGHT),
        {
            slot: {"codes": LIKE, "scale": LIKE | {"square": NONE}}
            for slot in ("mu", "nu")
        },
    ),
    "schedule-free": (
        lambda: adamx.schedule_free_adamw(0.1),
        {
            "z": LIKE,
            "nu": LIKE,
            "weight_sum": NONE,
            "learning_rate_max": NONE,
            "z_share": NONE,
        },
    ),
}


def equal(sharding, spec, ndim):
    return sharding.is_equivalent_to(NamedSharding(sharding.mesh, spec), ndim)


@functools.cache
def found(name):
    return adamx.state_sharding(ROLES[name][0](), placed(mesh_of()))


@pytest.mark.parametrize("name", ROLES)
def test_every_array_is_divided_by_the_role_of_its_slot(name):
    tx, roles = ROLES[name]
    state = jax.eval_shape(tx().init, tree())
    got = found(name)
    assert jax.tree.structure(got) == jax.tree.structure(state)
    wanted = dict(leaves_by_path(roles, lambda x: isinstance(x, P)))
    shapes = dict(leaves_by_path(state.slots))
    seen = dict(leaves_by_path(got.slots))
    seen = {path: s for path, s in seen.items() if "/form/" not in path}
    assert seen.keys() == wanted.keys()
    for path, sharding in seen.items():
        assert equal(sharding, wanted[path], shapes[path].ndim), (path, sharding.spec)
    assert equal(got.count, NONE, 0)


# those whose `init` lays its state out by itself, in every mesh
BY_ITSELF = ("adam", "adafactor", "novograd", "schedule-free")


@EVERY_MESH
@UNDER
def test_it_is_where_init_puts_the_state(kind, under):
    mesh = mesh_of(kind)
    with entered(mesh, under):
        p = placed(mesh)
        made = {name: ROLES[name][0]() for name in BY_ITSELF}

        def init(p):
            return {name: tx.init(p) for name, tx in made.items()}

        sharding = {n: adamx.state_sharding(tx, p) for n, tx in made.items()}
        for begun in (jax.jit(init), jax.jit(init, out_shardings=sharding)):
            state = begun(p)
            pairs = jax.tree.map(
                lambda x, s: x.sharding.is_equivalent_to(s, x.ndim), state, sharding
            )
            assert all(jax.tree.leaves(pairs)), pairs
        target = {n: adamx.abstract_state(tx, p) for n, tx in made.items()}
        same = jax.tree.map(lambda a, x: a.sharding == x.sharding, target, state)
        assert all(jax.tree.leaves(same))


def test_the_states_of_optax_are_found_by_path_and_lengths():
    p = placed(mesh_of())
    tx = optax.chain(
        optax.partition(
            {"a": adamx.soap(0.1), "b": optax.adafactor(0.1, 4)},
            {"kernel": "a", "bias": "b", "square": "b"},
        ),
        optax.MultiSteps(adamx.tunable(adamx.adam(0.1), "b1"), 2),
    )
    got = dict(leaves_by_path(adamx.state_sharding(tx, p)))
    wanted = {
        "0/inner_states/a/inner_state/slots/left/kernel": P("x", None),
        "0/inner_states/a/inner_state/slots/right/kernel": P("y", None),
        "0/inner_states/a/inner_state/slots/mu/kernel": P("x", "y"),
        "0/inner_states/b/inner_state/0/v_row/square": P(None),
        "0/inner_states/b/inner_state/0/v_col/square": P("x"),
        "0/inner_states/b/inner_state/0/v/bias": P("y"),
        "1/inner_opt_state/inner/slots/nu/square": P(None, "x"),
        "1/inner_opt_state/hyperparams/b1": P(),
        "1/acc_grads/kernel": P("x", "y"),
        "1/mini_step": P(),
    }
    assert {path: got[path].spec for path in wanted} == wanted


FOREIGN = {
    "MultiSteps": lambda: optax.MultiSteps(adamx.adamw(0.1), 2),
    "a part of a chain": lambda: adamx.chain(
        optax.scale_by_factored_rms(min_dim_size_to_factor=8),
        ("steps", optax.MultiSteps(optax.trace(0.9), 2).gradient_transformation()),
        adamx.parts.LearningRate(0.1),
    ),
}


@EVERY_MESH
@pytest.mark.parametrize("name", FOREIGN)
def test_the_states_of_optax_begin_and_stay_where_it_says(name, kind):
    """With it as `out_shardings` of `init`, and nothing said of the steps."""
    mesh, tx = mesh_of(kind), FOREIGN[name]()

    @jax.jit
    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return optax.apply_updates(p, updates), state

    with entered(mesh, kind == "explicit"):
        p = placed(mesh)
        sharding = adamx.state_sharding(tx, p)
        state = jax.jit(tx.init, out_shardings=sharding)(p)
        for k in (1, 2):
            with counted() as count:
                p, state = step(p, state, placed(mesh, k))
            assert (count.compilations == 0) == (k == 2)
        arrays = dict(leaves_by_path(state))
        for path, spec in WHERE[name].items():
            assert equal(arrays[path].sharding, spec, arrays[path].ndim), path
    alone = tree(), tx.init(tree())
    for k in (1, 2):
        alone = step(*alone, tree(k))
    assert_close(jax.tree.map(np.asarray, (p, state)), alone, 64)


def test_what_it_is_needed_for():
    """Zeros that are not computed from a parameter are whole on every device."""
    state = jax.jit(FOREIGN["MultiSteps"]().init)(placed(mesh_of("auto")))
    assert state.acc_grads["kernel"].sharding.is_fully_replicated


WHERE = {
    "MultiSteps": {
        "mini_step": NONE,
        "inner_opt_state/count": NONE,
        **{f"inner_opt_state/slots/nu/{n}": spec for n, spec in SPECS.items()},
        **{f"acc_grads/{n}": spec for n, spec in SPECS.items()},
    },
    "a part of a chain": {
        "inner/scale_by_factored_rms/v_row/kernel": Y,
        "inner/scale_by_factored_rms/v_col/kernel": X,
        **{f"inner/steps/acc_grads/{n}": spec for n, spec in SPECS.items()},
        **{f"inner/steps/inner_opt_state/trace/{n}": s for n, s in SPECS.items()},
    },
}


def test_one_more_axis_other_memory_and_exceptions():
    mesh = jax.make_mesh((2, 2, 2), ("data", "x", "y"))
    p = placed(mesh)
    tx = adamx.adam(0.1)
    got = adamx.state_sharding(tx, p, shard_over="data")
    assert got.slots["mu"]["kernel"].spec == P(("x", "data"), "y")
    assert got.slots["mu"]["square"].spec == P("data", "x")
    again = adamx.state_sharding(tx, p, shard_over="x")
    assert again.slots["mu"]["bias"].spec == P(("y", "x"))
    assert again.slots["mu"]["kernel"].spec == P("x", "y"), "it is divided by x"
    kinds = {"slots/nu": "pinned_host"}
    moved = adamx.state_sharding(tx, p, memory_kind=kinds)
    state = jax.jit(tx.init, out_shardings=moved)(p)
    assert state.nu["bias"].sharding.memory_kind == "pinned_host"
    assert state.mu["bias"].sharding.memory_kind == "device"
    every = adamx.state_sharding(tx, p, memory_kind="pinned_host")
    assert every.slots["mu"]["bias"].memory_kind == "pinned_host"
    assert every.count.memory_kind != "pinned_host", "a number stays on the device"
    chosen = adamx.state_sharding(tx, p, overrides=[("mu/kernel", P(None, "x"))])
    assert chosen.slots["mu"]["kernel"].spec == P(None, "x")
    assert chosen.slots["nu"]["kernel"].spec == P("x", "y")


def test_parameters_are_shapes_or_are_on_no_mesh_yet():
    mesh, tx = mesh_of(), adamx.adam(0.1)
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
        placed(mesh),
    )
    want = adamx.state_sharding(tx, placed(mesh))
    assert adamx.state_sharding(tx, shapes) == want
    alone = adamx.state_sharding(tx, tree(), mesh=mesh, shard_over="x")
    assert alone.slots["mu"]["kernel"].spec == P("x", None)
    turned = jax.make_mesh((2, 4), ("x", "y"))
    assert adamx.state_sharding(tx, shapes, mesh=turned).count.mesh == turned


def test_an_orbax_checkpoint_is_restored_to_where_it_was(tmp_path):
    p = placed(mesh_of())
    made = {name: ROLES[name][0]() for name in ("soap", "8 and 4 bits", "muon")}
    with pytest.warns(match="`square` must .* the 4 pieces of axis 1 do. Pass Cast"):
        state = {n: jax.device_put(tx.init(p), found(n)) for n, tx in made.items()}
    target = {n: adamx.abstract_state(tx, p) for n, tx in made.items()}
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "states", state)
        saver.wait_until_finished()
        back = saver.restore(tmp_path / "states", target)
    assert_equal(jax.tree.map(np.asarray, back), jax.tree.map(np.asarray, state))
    same = jax.tree.map(lambda a, b: a.sharding == b.sharding, back, state)
    assert all(jax.tree.leaves(same))


# ---- states without values -----------------------------------------------------

STARTED = {
    "schedule_free_adamw": lambda: adamx.schedule_free_adamw(0.1),
    "prodigy": lambda: adamx.prodigy(0.1),
    "dog": lambda: adamx.dog(0.1),
    "dowg": lambda: adamx.dowg(0.1),
    "lookahead": lambda: adamx.lookahead(adamx.adam(0.1)),
    "param_ema": lambda: adamx.param_ema(adamx.adam(0.1)),
    "gpa": lambda: adamx.gpa(adamx.adam(0.1)),
}


@pytest.mark.parametrize("name", STARTED)
def test_slots_that_start_at_the_parameters_cannot_be_begun_from_shapes(name):
    tx, p = STARTED[name](), tree()
    shapes = jax.eval_shape(lambda: p)
    with pytest.raises(
        ValueError,
        match=r"init: the slot `\w+` starts at the values of"
        r".*`bias`.*adamx\.abstract_state\(tx, params\)",
    ):
        tx.init(shapes)
    target = adamx.abstract_state(tx, shapes)
    state = tx.init(p)
    assert jax.tree.structure(target) == jax.tree.structure(state)
    assert all(x.sharding is None for x in jax.tree.leaves(target))
    message = (
        "update: `state` must hold arrays, got the shapes of a state, as adamx.abs"
    )
    with pytest.raises(TypeError, match=message):
        tx.update(p, target, p)


def test_other_slots_are_begun_from_shapes_in_every_storage():
    tx = adamx.store(adamx.adamw(0.1), **EIGHT)
    shapes = jax.eval_shape(tree)
    assert_equal(tx.init(shapes), tx.init(tree()))


# ---- what is refused -----------------------------------------------------------

REFUSED = {
    "no mesh": (
        lambda p: adamx.state_sharding(adamx.adam(0.1), tree()),
        r"state_sharding: the parameters must be on a mesh, got `bias` has none\. Pass",
    ),
    "no such axis": (
        lambda p: adamx.state_sharding(adamx.adam(0.1), p, shard_over="data"),
        r"`shard_over` must name axes of the mesh, got 'data', where the mesh has 'x',",
    ),
    "another mesh": (
        lambda p: adamx.state_sharding(
            adamx.adam(0.1), p, mesh=jax.make_mesh((8,), ("z",))
        ),
        r"the sharding of `bias` must name axes of the mesh, got 'y', where the mesh h",
    ),
    "an axis of an override": (
        lambda p: adamx.state_sharding(
            adamx.adam(0.1), p, overrides=[("mu/bias", P("z"))]
        ),
        r"the override of `slots/mu/bias` must name axes of the mesh, got 'z'",
    ),
    "an override that does not divide": (
        lambda p: adamx.state_sharding(
            adamx.adam(0.1), p | {"bias": jnp.ones(6)}, overrides=[("mu/bias", P("x"))]
        ),
        r"`slots/mu/bias`, whose axis 0 of length 6 is not divided by x = 4\. Leave",
    ),
    "an override of too many axes": (
        lambda p: adamx.state_sharding(
            adamx.adam(0.1), p, overrides=[("mu/bias", P("x", "y"))]
        ),
        r"an override must have at most the axes of the array, got .* `slots/mu/bias`",
    ),
    "a pattern that is nowhere": (
        lambda p: adamx.state_sharding(adamx.adam(0.1), p, overrides=[("w", P("x"))]),
        r"a pattern of `overrides` must be found in a path of the state, got 'w'\. The",
    ),
    "no pattern": (
        lambda p: adamx.state_sharding(adamx.adam(0.1), p, overrides=[("(", P("x"))]),
        r"`overrides` must have valid regular expressions, got '\('",
    ),
    "a memory that is not there": (
        lambda p: adamx.state_sharding(adamx.adam(0.1), p, memory_kind="disk"),
        r"`memory_kind` must be one of device, .*, got 'disk'\. Leave it out",
    ),
    "shardings of another state": (
        lambda p: adamx.abstract_state(
            adamx.adam(0.1), p, adamx.state_sharding(adamx.sgd(0.1), p)
        ),
        r"abstract_state: `sharding` must have the structure of the state, got .*",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_by_name(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call(placed(mesh_of()))
