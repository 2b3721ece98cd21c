"""Whole-tensor optimizers: sharded as unsharded, and stacked layers as separate ones.

`SHARDED` says how each is built inside `shard_map`, where the leaves are split along
their first axis over the mesh axis `d`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx.engine.state import is_absent
from tests.support.meshes import NEEDS_DEVICES
from tests.support.trees import outline
from tests.table import OPTIMIZERS
from tests.table.cases import few
from tests.table.exemptions import SHARD

STEPS = 3
RATE = 0.05
ANY = {"muon_mask": r"kernel"}
HELD = {"hyperball_mask": r"kernel"}
BALLS = {"hidden_mask": r"kernel", "output_mask": lambda path, leaf: "wide" in path}
LOW = {"rank": 2, "update_proj_gap": 2}
# Only sides on which the first gradient has full rank get a basis: it is unique.
SHORT = {"precondition_frequency": 2, "max_dim": 6}
BUILT = {
    "lamb": functools.partial(adamx.lamb, RATE, weight_decay=0.1),
    "lars": functools.partial(adamx.lars, RATE, 0.1),
    "novograd": functools.partial(adamx.novograd, RATE, weight_decay=0.1),
    "stable_adamw": functools.partial(adamx.stable_adamw, RATE),
    "adamp": functools.partial(adamx.adamp, RATE, delta=0.5, weight_decay=0.1),
    "adafactor": functools.partial(adamx.adafactor, RATE, 0),
    "came": functools.partial(adamx.came, RATE),
    "sm3": functools.partial(adamx.sm3, RATE),
    "adam_mini": functools.partial(adamx.adam_mini, RATE),
    "muon": functools.partial(adamx.muon, RATE, **ANY),
    "adamuon": functools.partial(adamx.adamuon, RATE, **ANY),
    "normuon": functools.partial(adamx.normuon, RATE, **ANY),
    "muown": functools.partial(adamx.muown, RATE, weight_decay=0.1, **ANY),
    "scion": functools.partial(adamx.scion, RATE, **BALLS),
    "dion": functools.partial(adamx.dion, RATE, rank_fraction=0.5, dion_mask=r"kernel"),
    "dion2": functools.partial(adamx.dion2, RATE, dion_mask=r"kernel"),
    "adamh": functools.partial(adamx.adamh, RATE, **HELD),
    "muonh": functools.partial(adamx.muonh, RATE, **HELD),
    "soap": functools.partial(adamx.soap, RATE, precondition_frequency=2),
    "kl_soap": functools.partial(adamx.kl_soap, RATE, **SHORT),
    "splus": functools.partial(adamx.splus, RATE, inverse_every=2, max_dim=6),
    "shampoo": functools.partial(adamx.shampoo, RATE, 1e-2),
    "psgd_kron": functools.partial(adamx.psgd_kron, RATE, weight_decay=0.1),
    "galore": functools.partial(adamx.galore, RATE, **LOW),
    "fira": functools.partial(adamx.fira, RATE, **LOW),
    "apollo": functools.partial(adamx.apollo, RATE, **LOW),
    "apollo_mini": functools.partial(adamx.apollo_mini, RATE, 2),
}
# The first gradient of an (8, 6) matrix leaves SOAP two directions of eigenvalue 0, in
# which any basis will do: what it takes is decided by rounding.
# In the small grid half of them: tests/scale has sums and matrices on meshes, too.
SOME = few(BUILT, 14)
UNIQUE = pytest.mark.parametrize("name", [name for name in SOME if name != "soap"])
EACH = pytest.mark.parametrize("name", SOME)
# In float64, so that what a sum in another order changes is far from what matters.
pytestmark = pytest.mark.usefixtures("x64")
TOLERANCE = 1e-9


def tree(seed, layers=None):
    normal = np.random.default_rng(seed).standard_normal
    lead = () if layers is None else (layers,)
    shapes = {"kernel": (8, 6), "wide": (4, 12), "bias": (8,)}
    tree = {n: jnp.asarray(normal((*lead, *s))) for n, s in shapes.items()}
    return {"block": tree}


def run(tx, p, gradients):
    """Train; one step is traced for all of them."""

    def step(carry, g):
        p, state = carry
        updates, state = tx.update(g, state, p)
        return (optax.apply_updates(p, updates), state), None

    steps = jax.tree.map(lambda *g: jnp.stack(g), *gradients)
    return jax.lax.scan(step, (p, tx.init(p)), steps)[0][0]


@functools.cache
def unsharded(name):
    return jax.jit(functools.partial(run, BUILT[name]()))(tree(0), gradients())


def assert_near(got, want):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * np.abs(b).max())


def test_every_whole_tensor_optimizer_is_here():
    here = {row.name for row in OPTIMIZERS if SHARD.items() <= row.exempt.items()}
    assert here == {*BUILT, "adahessian"}, "adahessian: test_sophia_adahessian.py"


def gradients(layers=None):
    return [tree(k, layers) for k in range(1, STEPS + 1)]


@UNIQUE
@NEEDS_DEVICES
@pytest.mark.parametrize("mode", few([AxisType.Explicit, AxisType.Auto], 1), ids=str)
def test_under_sharded_jit_it_is_the_unsharded_run(name, mode):
    tx = BUILT[name]()
    mesh = jax.make_mesh((4, 2), ("d", "m"), axis_types=(mode, mode))
    specs = {"kernel": P("d", "m"), "wide": P(None, "m"), "bias": P("d")}
    where = {"block": {n: NamedSharding(mesh, s) for n, s in specs.items()}}
    with jax.set_mesh(mesh):
        p = jax.device_put(tree(0), where)
        g = [jax.device_put(x, where) for x in gradients()]
        sharded = jax.jit(lambda p, g: run(tx, p, g))
        got = sharded(p, g)
    assert_near(got, unsharded(name))


@EACH
@NEEDS_DEVICES
def test_inside_shard_map_with_an_axis_name_it_is_the_unsharded_run(name):
    """Also of leaves that all devices have, which are counted once."""
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    tx = BUILT[name](axis_name="d")
    specs = {"block": {"kernel": P("d"), "wide": P(), "bias": P()}}
    sharded = jax.shard_map(
        lambda p, g: run(tx, p, g),
        mesh=mesh,
        in_specs=(specs, [specs] * STEPS),
        out_specs=specs,
    )
    got = jax.jit(sharded)(tree(0), gradients())
    assert_near(got, unsharded(name))


@NEEDS_DEVICES
@pytest.mark.parametrize("name", ["lamb", "lars", "novograd", "stable_adamw", "muon"])
def test_without_the_axis_name_a_shard_is_taken_for_the_whole(name):
    """The law above is about something."""
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    tx = BUILT[name]()
    sharded = jax.shard_map(
        lambda p, g: run(tx, p, g),
        mesh=mesh,
        in_specs=(P("d"), P("d")),
        out_specs=P("d"),
    )
    got = jax.jit(sharded)(tree(0), gradients())
    with pytest.raises(AssertionError):
        assert_near(got, unsharded(name))


@EACH
def test_stacked_layers_are_separate_layers(name):
    layers = 2
    stack, steps = tree(0, layers), gradients(layers)
    tx = adamx.stacked(BUILT[name](), r"block/")
    got = jax.jit(functools.partial(run, tx))(stack, steps)
    alone = jax.jit(functools.partial(run, BUILT[name]()))
    for i in range(layers):

        def layer(tree, i=i):
            return jax.tree.map(lambda x: np.asarray(x)[i], tree)

        assert_near(layer(got), alone(layer(stack), list(map(layer, steps))))


@EACH
def test_every_slot_of_a_stack_has_the_axis_of_layers(name):
    layers = 3
    alone = jax.eval_shape(BUILT[name]().init, tree(0))
    tx = adamx.stacked(BUILT[name](), r"block/")
    stack = jax.eval_shape(tx.init, tree(0, layers))
    for slot, column in alone.slots.items():
        if outline(column) != jax.tree.structure(tree(0)):
            continue
        among = jax.tree.structure(tree(0)).flatten_up_to
        pairs = zip(among(stack.slots[slot]), among(column), strict=True)
        for many, one in pairs:
            empty = is_absent(many) and is_absent(one)
            assert empty or many.shape == (layers, *one.shape)


def numbers(name, shape, **keywords):
    """How many numbers the state of one leaf has, besides the count."""
    p = {"kernel": jnp.zeros(shape)}
    tx = BUILT[name](**keywords)
    kept = jax.tree.leaves(jax.eval_shape(tx.init, p).slots)
    return sum(x.size for x in kept if not is_absent(x))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("adafactor", 100 + 60),
        ("came", 6000 + 2 * (100 + 60)),
        ("sm3", 6000 + 100 + 60),
        ("adam_mini", 6000 + 60),
        ("novograd", 6000 + 1),
        ("muon", 6000),
        ("adamuon", 2 * 6000),
        ("normuon", 6000 + 60),
        ("muown", 6000 + 4 * 60),
        ("scion", 6000),
        ("dion", 6000 + 100 * 30),
        ("dion2", 6000),
        ("adamh", 2 * 6000 + 1),
        ("muonh", 6000 + 1),
        ("kl_soap", 2 * 6000 + 100 + 60),
        ("splus", 2 * 6000 + 2),
        ("shampoo", 100**2 + 60**2),
        ("psgd_kron", 6000 + 100**2 + 60**2 + 1),
        ("soap", 2 * 6000 + 2 * (100**2 + 60**2)),
        ("galore", 2 * 2 * 100 + 2 * 60),
        ("fira", 2 * 2 * 100 + 2 * 60 + 1),
        ("apollo", 2 * 2 * 100 + 1),
        ("apollo_mini", 2 * 100 + 1),
    ],
)
def test_the_state_of_a_matrix_is_as_small_as_the_paper_says(name, wanted):
    assert numbers(name, (100, 60)) == wanted


def test_the_blocks_of_adam_mini_follow_the_role_of_a_tensor():
    roles = {
        ("embed/embedding", (50, 8)): (50, 1),
        ("tok_embd/weight", (50, 8)): (50, 1),
        ("attention/query/kernel", (8, 4, 2)): (1, 4, 1),
        ("attention/value/kernel", (8, 4, 2)): (1, 4, 2),
        ("attention/out/kernel", (4, 2, 8)): (1, 1, 8),
        ("q_proj/kernel", (8, 8)): (1, 8),
        ("mlp/kernel", (8, 32)): (1, 32),
        ("norm/scale", (8,)): (1,),
        ("conv/kernel", (3, 3, 4, 16)): (1, 1, 1, 16),
    }
    by_role = adamx.optimizers.AdamMiniBlocks()
    assert {k: by_role(*k) for k in roles} == roles
    assert adamx.optimizers.AdamMiniBlocks(heads=4)("q_proj/kernel", (8, 8)) == (1, 4)
    p = {"q_proj": {"kernel": jnp.zeros((8, 8))}, "bias": jnp.zeros((5,))}
    state = adamx.adam_mini(blocks=adamx.optimizers.AdamMiniBlocks(heads=4)).init(p)
    assert jax.tree.map(jnp.shape, state.slots["nu"]) == {
        "q_proj": {"kernel": (1, 4)},
        "bias": (1,),
    }


def test_the_blocks_of_the_authors_code_of_adam_mini():
    """adam-mini 1.1.1: biases by element, a kernel without a known name one block."""
    roles = {
        ("tok_embd/embedding", (50, 8)): (50, 1),
        ("mlp/kernel", (8, 32)): (1, 32),
        ("mlp/bias", (32,)): (32,),
        ("norm/scale", (8,)): (1,),
        ("conv/kernel", (3, 3, 4, 16)): (1, 1, 1, 1),
        ("lm_head/kernel", (8, 50)): (1, 50),
    }
    released = adamx.optimizers.AdamMiniBlocks(released=True)
    assert {k: released(*k) for k in roles} == roles
    p = {"mlp": {"bias": jnp.zeros((5,))}}
    state = adamx.adam_mini(blocks=released).init(p)
    assert state.slots["nu"]["mlp"]["bias"].shape == (5,)


@pytest.mark.parametrize("path", ["tok_embd/embedding", "lm_head/kernel", "wte/w"])
def test_embeddings_and_heads_are_not_hidden_matrices(path):
    leaf = jnp.zeros((8, 8))
    assert not adamx.parts.hidden_matrix(path, leaf)
    assert adamx.parts.hidden_matrix("blocks/0/mlp/kernel", leaf)


def test_blocks_that_do_not_divide_a_leaf_are_refused():
    tx = adamx.adam_mini(blocks=lambda path, shape: (3,))
    sentence = r"BlockEma: `blocks` must divide .* got \(3,\) for `w` of shape \(4,\)"
    with pytest.raises(ValueError, match=sentence):
        tx.init({"w": jnp.zeros((4,))})


def test_muon_refuses_what_is_no_matrix():
    tx = adamx.muon(RATE, muon_mask="w")
    p = {"w": jnp.ones((2, 3, 4))}
    with pytest.raises(ValueError, match=r"Orthogonalize: .* two axes, got shape"):
        tx.update(p, tx.init(p), p)


def test_muon_leaves_embeddings_heads_and_vectors_to_adam():
    p = {
        "embed": {"kernel": jnp.ones((4, 3))},
        "dense": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones((3,))},
        "lm_head": {"kernel": jnp.ones((3, 4))},
    }
    slots = adamx.muon(RATE).init(p).slots
    assert {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, x in jax.tree_util.tree_leaves_with_path(slots["momentum"])
        if not is_absent(x)
    } == {"dense/kernel"}
    for name in ("mu", "nu"):
        assert is_absent(slots[name]["dense"]["kernel"])
        assert slots[name]["lm_head"]["kernel"].size == 12


@pytest.mark.parametrize("exponent", [-0.5, -0.25, 0.5])
def test_the_power_of_a_symmetric_matrix_and_its_derivative(exponent):
    from adamx.numerics.matrices import symmetric_power

    a = np.random.default_rng(3).standard_normal((5, 5))
    s = jnp.asarray(a @ a.T + np.eye(5))
    half = symmetric_power(symmetric_power(s, exponent), 1 / exponent)
    np.testing.assert_allclose(half, s, rtol=1e-11)
    direction = jnp.asarray(a + a.T)
    h = 1e-5
    _, slope = jax.jvp(lambda x: symmetric_power(x, exponent), (s,), (direction,))
    ahead, back = (symmetric_power(s + k * h * direction, exponent) for k in (1, -1))
    np.testing.assert_allclose(slope, (ahead - back) / (2 * h), rtol=1e-6, atol=1e-9)
    _, flat = jax.jvp(
        lambda x: symmetric_power(x, exponent), (jnp.eye(5),), (direction,)
    )
    np.testing.assert_allclose(flat, exponent * direction, rtol=1e-9)
    assert not np.any(symmetric_power(jnp.zeros((3, 3)), exponent))
