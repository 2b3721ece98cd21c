"""Inside `shard_map`: norms, sums, matrices and codecs as of the whole model.

Every leaf counts as often as it is there: one that all devices have once, a split one
with all of its pieces, by `axis_name` where `shard_map` checks what varies, and by
`in_shard_map` with or without the check.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec as P

import adamx
from adamx import parts, storage
from tests.optimizers.test_sharded_and_stacked import BUILT
from tests.support import meshes
from tests.support.meshes import EVERY_MESH, NEEDS_DEVICES
from tests.table.cases import few

pytestmark = NEEDS_DEVICES
SHAPES = {"kernel": (8, 6), "bias": (8,), "one": ()}
ROWS = {"kernel": P("d"), "bias": P(), "one": P()}
ANY = {"kernel": P("m", "d"), "bias": P("d"), "one": None}
STEPS = 3
RATE = parts.LearningRate(0.1)
mesh_of = functools.partial(meshes.mesh_of, d=2, m=2)


def tree(seed, shapes=SHAPES, steps=()):
    return meshes.tree(seed, {n: (*steps, *s) for n, s in shapes.items()})


def train(tx, p, gradients):
    def step(carry, g):
        p, state = carry
        updates, state = tx.update(g, state, p)
        return (optax.apply_updates(p, updates), state), None

    return jax.lax.scan(step, (p, tx.init(p)), gradients)[0][0]


def inside(f, specs, check=True, mesh=None):
    """`f(p, gradients)` inside `shard_map`, the gradients of several steps."""
    specs = {n: P() if s is None else s for n, s in specs.items()}
    each = {n: P(None, *s) for n, s in specs.items()}
    return jax.shard_map(
        f,
        mesh=mesh or mesh_of(),
        in_specs=(specs, each),
        out_specs=specs,
        check_vma=check,
    )


def every(optimizers, p, g):
    """The results along a last axis, so that specs are those of the parameters."""
    each = [train(tx, p, g) for tx in optimizers]
    return {n: jnp.stack([x[n] for x in each], -1) for n in p}


def assert_near(got, want, rtol=1e-9, which=slice(None), where=""):
    """Of the results of several optimizers, those of one."""
    for name, b in want.items():
        a, b = (np.atleast_1d(x)[..., which] for x in (got[name], b))
        np.testing.assert_allclose(
            a, b, rtol=0, atol=rtol * np.abs(b).max(), err_msg=f"{where} {name}"
        )


# ---- every rule that sums over a leaf, or over all leaves ----------------------------


def clip(part, **keywords):
    return lambda **k: adamx.chain(part(**keywords, **k), RATE)


SUMMING = {
    "global norm": clip(parts.ClipByGlobalNorm, max_norm=1.0),
    "norm": clip(parts.ClipByNorm, max_norm=1.0),
    "rms": clip(parts.ClipByRms, clipping_threshold=0.5),
    "adaptive": clip(parts.AdaptiveClip, warmup=2),
    "growth": clip(parts.ClipNormGrowth, limit=0.5),
    "centralize": clip(parts.Centralize),
    "floor": clip(parts.UpdateFloor, ratio=2.0),
    "hyperball": lambda **k: adamx.chain(RATE, parts.Hyperball(**k)),
    "brake": lambda **k: adamx.chain(RATE, parts.RadialBrake(**k)),
    "trust ratio": lambda **k: adamx.lamb(0.1, weight_decay=0.1, **k),
    "lars": functools.partial(adamx.lars, 0.1, 0.1),
    "novograd": functools.partial(adamx.novograd, 0.1),
    "stable_adamw": functools.partial(adamx.stable_adamw, 0.1),
    "adashift": functools.partial(adamx.adashift, 0.1, 1),
    "avagrad": functools.partial(adamx.avagrad, 0.1),
    "prodigy": functools.partial(adamx.prodigy, 1.0),
    "dadapt_adamw": functools.partial(adamx.dadapt_adamw, 1.0),
    "dog": functools.partial(adamx.dog, 1.0, 0.1),
    "dowg": functools.partial(adamx.dowg, 1.0),
    "cautious": lambda **k: adamx.cautious(adamx.adam(0.1), **k),
    "graft": lambda **k: adamx.chain(
        adamx.graft(
            magnitude=adamx.scale_by_adam(), direction=parts.Ema(0.9, name="m"), **k
        ),
        RATE,
    ),
}


HOW = ("axis_name", "specs", "specs unchecked")
# in the small grid a third of the rules in each way
EVERY = few([(HOW[i], (i + j) % 3) for i in range(3) for j in range(3)], 3)


@pytest.mark.parametrize(("how", "third"), EVERY)
def test_sums_count_each_leaf_as_often_as_it_is_there(how, third, x64):
    names = list(SUMMING)[third::3]
    by_name = how == "axis_name"
    specs = ROWS if by_name else ANY
    built = [
        SUMMING[n](axis_name="d") if by_name else adamx.in_shard_map(SUMMING[n](), ANY)
        for n in names
    ]

    p, g = tree(0), tree(1, steps=(STEPS,))
    split = inside(functools.partial(every, built), specs, how != "specs unchecked")
    got = jax.jit(split)(p, g)
    want = jax.jit(functools.partial(every, [SUMMING[n]() for n in names]))(p, g)
    for i, name in enumerate(names):
        assert_near(got, want, which=i, where=name)


# ---- matrices ------------------------------------------------------------------------

# those first that differ in what they gather and sum; the others under ADAMX_GRID=full
MATRICES = (
    "adafactor",
    "psgd_kron",
    "adam_mini",
    "sm3",
    "adamp",
    "muown",
    "dion",
    "adamuon",
)
MATRICES += tuple(name for name in BUILT if name not in MATRICES)
SPLIT = {"kernel": P("d", "m"), "wide": P(None, "d"), "bias": P()}


@pytest.mark.parametrize("name", few(MATRICES, 6))
def test_matrices_split_along_any_axes_are_as_unsplit(name, x64):
    shapes = {"kernel": (8, 6), "wide": (4, 12), "bias": (8,)}
    p, g = tree(0, shapes), tree(1, shapes, (STEPS,))
    tx = adamx.in_shard_map(BUILT[name](), SPLIT)
    got = jax.jit(inside(functools.partial(train, tx), SPLIT, False))(p, g)
    assert_near(got, jax.jit(functools.partial(train, BUILT[name]()))(p, g))


def test_layers_that_are_split_are_separate_tensors(x64):
    """Their norms are not added up over the devices that have other layers."""
    shapes, specs = {"blocks": (4, 8, 6)}, {"blocks": P("d", None, "m")}
    tx = adamx.stacked(adamx.lamb(0.1, weight_decay=0.1), "blocks")
    p, g = tree(0, shapes), tree(1, shapes, (STEPS,))
    got = jax.jit(
        inside(functools.partial(train, adamx.in_shard_map(tx, specs)), specs)
    )(p, g)
    assert_near(got, jax.jit(functools.partial(train, tx))(p, g))


def test_layers_along_a_last_axis_that_is_not_split(x64):
    shapes, specs = {"blocks": (8, 6, 3)}, {"blocks": P("d", "m", None)}
    tx = adamx.stacked(adamx.lamb(0.1, weight_decay=0.1), "blocks", axis=-1)
    p, g = tree(0, shapes), tree(1, shapes, (STEPS,))
    got = jax.jit(
        inside(functools.partial(train, adamx.in_shard_map(tx, specs)), specs)
    )(p, g)
    assert_near(got, jax.jit(functools.partial(train, tx))(p, g))


GROUPS = [("kernel", adamx.lamb(0.1, weight_decay=0.1)), ("one", None)]
GROUPS = adamx.groups([*GROUPS, (..., adamx.novograd(0.1))], clip=1.0)
AROUND = {
    "accumulate": lambda tx: adamx.accumulate(tx, 2),
    "offload": adamx.offload,
    "tunable": lambda tx: adamx.tunable(tx, "b1"),
}


@pytest.mark.parametrize("name", AROUND)
def test_groups_inside_of_what_goes_around(name, x64):
    """The clip is of all leaves, and each group knows how its own are split."""
    tx = AROUND[name](adamx.in_shard_map(GROUPS, ANY))
    p, g = tree(0), tree(1, steps=(4,))
    got = jax.jit(inside(functools.partial(train, tx), ANY, False))(p, g)
    assert_near(got, jax.jit(functools.partial(train, AROUND[name](GROUPS)))(p, g))


# ---- storage -------------------------------------------------------------------------

KEPT = {
    "8 bits": storage.Blockwise(block=8, min_size=200),
    "4 bits, one draw for a block": storage.Blockwise(
        4, 8, min_size=200, rounding="dither"
    ),
    "bfloat16": storage.Cast(jnp.bfloat16, "stochastic"),
    "means": storage.RowColumnMeans(),
    "blocks": storage.BlockMean(),
}


def test_storage_keeps_of_pieces_what_it_keeps_of_the_whole():
    """`min_size` counts the whole; means are over it, and bits those of its places."""
    shapes = {"a": (16, 32), "b": (8, 4, 16), "c": (4, 16)}
    specs = {"a": P("d", "m"), "b": P(("m", "d")), "c": P(None, "d")}
    p, g = tree(0, shapes), tree(1, shapes, (STEPS,))
    stored = [
        adamx.store(adamx.adamw(0.1), nu=codec, seed=3) for codec in KEPT.values()
    ]
    placed = [adamx.in_shard_map(tx, specs) for tx in stored]
    got = jax.jit(inside(functools.partial(every, placed), specs, False))(p, g)
    want = jax.jit(functools.partial(every, stored))(p, g)
    for i, name in enumerate(KEPT):
        tolerance = 1e-5 if name in ("means", "blocks") else 1e-7
        assert_near(got, want, tolerance, i, name)


# ---- meshes, and bad input -----------------------------------------------------------


@EVERY_MESH
def test_in_every_kind_of_mesh_under_jit_and_not(kind):
    mesh = mesh_of(kind)
    p, g = tree(0), tree(1, steps=(1,))
    want = train(SUMMING["global norm"](), p, g)
    for n, spec in ROWS.items():
        p[n] = jax.device_put(p[n], NamedSharding(mesh, spec))
        g[n] = jax.device_put(g[n], NamedSharding(mesh, P(None, *spec)))
    by_name = SUMMING["global norm"](axis_name="d")
    by_spec = adamx.in_shard_map(SUMMING["global norm"](), ROWS)
    for tx in (by_name, by_spec):
        f = inside(functools.partial(train, tx), ROWS, mesh=mesh)
        assert_near(f(p, g), want, 1e-6)
        assert_near(jax.jit(f)(p, g), want, 1e-6)
        with jax.set_mesh(mesh):
            assert_near(jax.jit(f)(p, g), want, 1e-6)


def inside_with(specs, real=ROWS, check=True):
    tx = adamx.in_shard_map(adamx.lamb(0.1), specs)
    return lambda: inside(functools.partial(train, tx), real, check)(
        tree(0), tree(1, steps=(1,))
    )


FOREIGN = adamx.chain(optax.trace(0.9), adamx.scale_by_adam())
BAD = {
    r"update: `axis_name` .* got 'd' of one with check_vma=False, where `\w+` may be "
    r"split or not\. Leave check_vma=True, or .* adamx\.in_shard_map\(tx, specs\)": (
        lambda: inside(
            functools.partial(train, SUMMING["norm"](axis_name="d")), ROWS, False
        )(tree(0), tree(1, steps=(1,)))
    ),
    r"in_shard_map: the spec of `bias` must name mesh axes .* got 'x', which is none": (
        inside_with(ROWS | {"bias": P("x")})
    ),
    r"in_shard_map: the spec of `bias` must have an entry for each axis at most, got "
    r".* for a leaf of 1 axes": inside_with(ROWS | {"bias": P("d", "m")}),
    r"in_shard_map: the spec of `kernel` must name every mesh axis over which it is "
    r"split, got \(\) for a leaf that varies over 'd'": (
        inside_with(ROWS | {"kernel": P()})
    ),
    r"in_shard_map: the specs must have the structure of the parameters": (
        inside_with({"kernel": P()})
    ),
    r"in_shard_map: the spec of `\w+` must name mesh axes .* Outside jax.shard_map use "
    r"the transformation itself": lambda: adamx.in_shard_map(
        adamx.adam(0.1), ROWS
    ).init(tree(0)),
    r"in_shard_map: `specs` must be a tree of PartitionSpec .*, got 'd'": (
        lambda: adamx.in_shard_map(adamx.adam(0.1), "d")
    ),
    r"in_shard_map: `tx` must be an adamx transformation": (
        lambda: adamx.in_shard_map(optax.adam(0.1), ROWS)
    ),
    r"in_shard_map: `tx` must be rules, .*, got accumulate\(.*, 2\)\. Put it inside: "
    r"accumulate\(in_shard_map\(tx, specs\), \.\.\.\)": (
        lambda: adamx.in_shard_map(adamx.accumulate(RATE, 2), ROWS)
    ),
    r"in_shard_map: `tx` must be rules, .*, got zero1\(.*, 'd'\)\. It divides leaves "
    r"itself: zero1\(tx, 'd', specs=\.\.\.\)": (
        lambda: adamx.in_shard_map(adamx.zero1(RATE, "d"), ROWS)
    ),
    r"in_shard_map: `tx` must be rules, .*, got observe\(.*\)\. Its norms are those of "
    r"whole leaves: observe under jax.jit, outside": (
        lambda: adamx.in_shard_map(adamx.observe(RATE), ROWS)
    ),
    r"in_shard_map: every part of a chain must be a rule, got \('trace'": (
        lambda: adamx.in_shard_map(FOREIGN, ROWS)
    ),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_is_refused_by_a_sentence(sentence):
    with pytest.raises((ValueError, TypeError), match=f"(?s){sentence}"):
        BAD[sentence]()


def test_the_state_is_that_of_the_whole_and_the_text_builds_it_again():
    tx = adamx.tunable(adamx.adamw(0.1), "learning_rate")
    mapped = adamx.in_shard_map(tx, ROWS)
    assert mapped == adamx.in_shard_map(tx, ROWS)
    alone = adamx.in_shard_map(parts.Ema(0.9), P("d"))
    names = {"in_shard_map": adamx.in_shard_map, "P": P, "Ema": parts.Ema}
    assert eval(repr(alone), names) == alone
    specs = adamx.in_shard_map(adamx.adamw(0.1), ROWS)
    state = inside(lambda p, g: specs.init(p).slots["mu"], ROWS)(
        tree(0), tree(1, steps=(1,))
    )
    want = adamx.adamw(0.1).init(tree(0)).slots["mu"]
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, want)
