"""The matrix plan of every optimizer says what `init` makes."""

import collections
import inspect
import math

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx.descriptions.kinds import kind_of
from adamx.descriptions.registry import registered
from adamx.parts import LearningRate, MatrixAxes, Orthogonalize
from adamx.parts.matrix_views import MatrixView, Side

SHAPES = {
    "attention/query/kernel": (32, 4, 8),
    "conv/kernel": (3, 3, 8, 16),
    "dense/bias": (24,),
    "dense/kernel": (32, 24),
    "embed/embedding": (50, 32),
    "scale": (),
}
TREE = {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in SHAPES.items()}

NO_SIDES = {
    "adamh": "its matrices are held at their norms, and have no rows or columns",
    "adam_mini": "its blocks are of tokens, heads and neurons, whatever is a matrix",
}
OF_NEURONS = ("neuron_nu", "magnitude", "direction_norm")
"""The slots that have a number for each neuron, beside the momentum of a matrix."""
SMALL = {"rank": 4, "min_dim_size_to_factor": 8}


def build(name):
    """The optimizer at its defaults, but for what a small leaf would not meet."""
    function = registered()[name]
    known = inspect.signature(function).parameters
    given = {n: v for n, v in SMALL.items() if n in known}
    needed = [n for n, p in known.items() if p.default is p.empty and n not in given]
    return function(**given, **{n: adamx.adam() if n == "tx" else 0.1 for n in needed})


def keeps_sides(tx):
    """Whether the state of a matrix has an array that is neither like it nor a number.

    The sides are primes, so that no other size is theirs by chance.
    """
    params = {"w": jax.ShapeDtypeStruct((11, 13), jnp.float32)}
    sizes = {x.size for x in jax.tree.leaves(jax.eval_shape(tx.init, params))}
    return bool(sizes - {0, 1, 11 * 13})


def check(tx, tree=TREE):
    """Compare a plan with the state of the optimizer."""
    plan = adamx.matrix_plan(tx, tree)
    assert sorted(row.leaf for row in plan.rows) == sorted(tree)
    kept, squares = jax.eval_shape(tx.init, tree).slots, 0
    for row in plan.rows:
        shape = tree[row.leaf].shape
        assert row.shape == shape
        assert row.rule
        assert row.why
        assert row.leaf in str(plan)
        columns = {n: t[row.leaf] for n, t in kept.items() if isinstance(t, dict)}
        own = {n: x for n, x in columns.items() if hasattr(x, "shape")}
        claimed = collections.Counter()
        for side in row.sides:
            layers = row.number if "stacked" in row.why else 1
            assert layers > 1 or side.size == math.prod(shape[a] for a in side.axes)
            if side.statistic is None:
                assert side.why or not side.axes
            else:
                claimed[side.slot] += row.number * math.prod(side.statistic)
                if len(side.statistic) == 2:
                    assert own[side.slot].shape[-2:] == side.statistic
                    squares += own[side.slot].size
        assert dict(claimed) == {n: own[n].size for n in claimed}
        for n, x in own.items():
            like = x.size in (0, 1, math.prod(shape))
            named = n in claimed or n.startswith(OF_NEURONS)
            assert like or named, f"{n} of {row.leaf} is not in the plan"
        if row.block and "largest" not in row.why:
            size = row.number * math.prod(row.block)
            assert size == math.prod(shape) or "filled" in row.why
        if row.together:
            assert own["momentum"].shape == shape
            assert "mu" not in own
        if row.rule == "Adam":
            assert own["mu"].shape == own["nu"].shape == shape
            assert not row.block
    counted = sum(k * math.prod(size) for size, k in plan.statistics.items())
    assert counted == squares
    return {row.leaf: row for row in plan.rows}


@pytest.mark.parametrize("name", registered())
def test_every_optimizer_explains_itself_or_is_refused(name):
    tx = build(name)
    matrices = kind_of(name) in ("Matrices", "Low rank")
    if name in NO_SIDES or not (matrices or keeps_sides(tx)):
        with pytest.raises(TypeError, match="matrix_plan: `tx` must see leaves as mat"):
            adamx.matrix_plan(tx, TREE)
        return
    rows = check(tx)
    assert rows["dense/kernel"].block
    assert rows["scale"].why in ("fewer than two axes", "a scalar")


VARIANTS = {
    "blocks": adamx.soap(block_size=10, precondition_1d=True),
    "every axis": adamx.soap(merge_dims=False, max_dim=20),
    "merged": adamx.soap(merge_dims=True, max_dim=24),
    "merged, of blocks": adamx.shampoo(1.0, merge_dims=True, block_size=7),
    "one side": adamx.shampoo(1.0, one_sided="smaller"),
    "one side that is long": adamx.soap(one_sided="left", max_dim=30),
    "all sides are long": adamx.splus(max_dim=20),
    "values without a basis": adamx.kl_soap(merge_dims=False, max_dim=20),
    "roots": adamx.shampoo(1.0, precondition_frequency=5, b2=0.9),
    "one diagonal": adamx.psgd_kron(memory_save_mode="one_diag"),
    "diagonals": adamx.psgd_kron(memory_save_mode="all_diag"),
    "long and diagonal": adamx.psgd_kron(max_size_triangular=30),
    "low rank": adamx.dion(0.1, rank_fraction=0.25),
    "inputs last": adamx.dion(0.1, rank_fraction=0.25, out_axis=0),
    "axes of factors": adamx.adafactor(
        0.1, min_dim_size_to_factor=8, axes=MatrixAxes((0, 1), -1, batch=None)
    ),
    "stacked": adamx.stacked(adamx.soap(), "conv"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_claimed_is_kept(name):
    check(VARIANTS[name])


def test_a_plan_is_of_whole_leaves_also_where_a_shard_map_splits_them():
    for one in (adamx.soap, adamx.psgd_kron, adamx.dion, adamx.galore):
        plans = [adamx.matrix_plan(one(0.1, axis_name=n), TREE) for n in (None, "d")]
        assert plans[0] == plans[1]


def sides(row):
    return {side.slot: side.statistic for side in row.sides}


def test_sides_are_those_of_the_arguments():
    """By hand: 72 × 16 in 10s is 8 × 2 blocks; 3 · 3 ≤ 24 < 3 · 3 · 8."""
    conv = "conv/kernel"
    row = check(VARIANTS["blocks"])[conv]
    assert (row.number, row.block, row.seen) == (16, (10, 10), "16 × (10 × 10)")
    assert row.why.endswith("blocks of at most 10, the last filled up with zeros")
    row = check(VARIANTS["merged"])[conv]
    assert row.block == (9, 8, 16)
    assert [side.axes for side in row.sides[::2]] == [(0, 1), (2,), (3,)]
    squares = {"left": (9, 9), "right": (8, 8), "axis_2": (16, 16)}
    assert sides(row) == squares | {f"{n}_basis": s for n, s in squares.items()}
    assert row.reason == "merge_dims=True: axes merged: (0, 1)"
    row = check(VARIANTS["one side"])[conv]
    assert sides(row) == {"": None, "right": (16, 16)}
    assert row.reason.endswith("axes 0, 1, 2: left out by one_sided='smaller'")
    row = check(VARIANTS["all sides are long"])["embed/embedding"]
    assert (row.rule, row.seen) == ("sign", "elements")
    assert row.reason == (
        "two axes; axis 0: longer than max_dim=20; axis 1: longer than max_dim=20"
    )
    assert check(VARIANTS["stacked"])[conv].seen == "3 × (24 × 16)"
    row = check(VARIANTS["low rank"])["dense/kernel"]
    assert (row.matrices, sides(row)) == ((1, 32, 24), {"right_factor": (32, 6)})
    row = check(VARIANTS["inputs last"])["dense/kernel"]
    assert sides(row) == {"right_factor": (24, 6)}


def test_the_table_says_what_is_kept():
    text = str(adamx.matrix_plan(adamx.soap(max_dim=40), TREE)).splitlines()
    words = [line.split() for line in text]
    assert words[0] == ["leaf", "shape", "seen", "as", "kept", "rule", "why"]
    assert text[4].split(maxsplit=1)[0] == "dense/kernel"
    kept = "left and left_basis 32 × 32, right and right_basis 24 × 24"
    assert f"32 × 24   {kept}  SOAP  two axes" in text[4]
    assert "right and right_basis 32 × 32" in text[5]
    assert text[5].endswith("SOAP  two axes; axis 0: longer than max_dim=40")
    sums = "Kept: 2 of 8 × 8, 2 of 16 × 16, 4 of 32 × 32, 2 of 24 × 24."
    assert text[-1] == sums
    low = adamx.matrix_plan(adamx.galore(0.1, rank=4), {"w": TREE["dense/kernel"]})
    assert low.rows[0].kept == "projection 24 × 4, mu and nu 4 × 32"
    assert low.statistics == {(24, 4): 1, (4, 32): 2}
    none = adamx.matrix_plan(adamx.muon(0.1), {"b": TREE["dense/bias"]})
    assert str(none).endswith("No leaf is seen as a matrix.")


def test_what_is_left_out_has_its_reason_and_its_rule():
    rows = check(adamx.scion(0.1, hidden_mask="dense/kernel"))
    rest = {leaf: (row.rule, row.why) for leaf, row in rows.items() if not row.block}
    why = "the mask 'dense/kernel' leaves it out"
    assert rest["embed/embedding"] == ("SignOverInputs", why)
    assert rest["dense/bias"] == ("NormalizeRms", why)
    groups = [("conv", adamx.soap()), ("embed", None), (..., adamx.adamw(0.1))]
    plan = adamx.matrix_plan(adamx.groups(groups), TREE)
    said = {row.leaf: (row.rule, row.reason) for row in plan.rows}
    assert said["conv/kernel"][0] == "SOAP"
    assert said["embed/embedding"] == ("frozen", "its group has no optimizer")
    assert said["dense/kernel"] == ("Adam", "the mask 'conv' leaves it out")
    rest = adamx.groups([("conv", adamx.adamw(0.1)), (..., adamx.normuon())])
    said = {row.leaf: (row.rule, row.why) for row in adamx.matrix_plan(rest, TREE).rows}
    assert said["conv/kernel"] == ("Adam", "it is in the group 'conv'")
    assert said["dense/kernel"] == ("Muon", "two axes")
    alone = adamx.chain(adamx.Masked(Orthogonalize(), "dense/k"), LearningRate(0.1))
    plan = adamx.matrix_plan(alone, TREE)
    assert {r.rule for r in plan.rows if not r.block} == {"unchanged"}


ONE = Orthogonalize()
TWICE = {
    "groups": adamx.groups(
        [("conv", tx := adamx.muon(0.1)), ("dense", tx), (..., adamx.adamw(0.1))]
    ),
    "groups of soap": adamx.groups(
        [("conv", tx := adamx.soap()), ("dense", tx), (..., adamx.adamw(0.1))]
    ),
    "chain": adamx.chain(
        adamx.Masked(ONE, "conv"), adamx.Masked(ONE, "dense/k"), LearningRate(0.1)
    ),
    "stacked once": adamx.chain(
        adamx.Masked(adamx.stacked(ONE, "conv"), "conv"), adamx.Masked(ONE, "dense/k")
    ),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_rule_that_occurs_twice_is_asked_at_each_place(name):
    rows = {row.leaf: row for row in adamx.matrix_plan(TWICE[name], TREE).rows}
    rule = "SOAP" if name == "groups of soap" else "Muon"
    layers = (3, 24, 16) if name == "stacked once" else (1, 72, 16)
    assert (rows["conv/kernel"].rule, rows["conv/kernel"].matrices) == (rule, layers)
    assert rows["dense/kernel"].matrices == (1, 32, 24)
    assert "also" not in rows["dense/kernel"].why
    why = "the mask 'conv' leaves it out; the mask 'dense"
    assert rows["embed/embedding"].why.startswith(why)
    assert not rows["embed/embedding"].block


def test_a_leaf_that_only_the_mask_takes_for_a_matrix_has_that_reason():
    tree = {"head": TREE["dense/kernel"], "embed": TREE["embed/embedding"]}
    by_mask = "two axes, selected by the mask"
    for tx in (
        adamx.normuon(muon_mask="head|embed"),
        adamx.dion(0.1, rank_fraction=0.25, dion_mask="head|embed"),
    ):
        rows = adamx.matrix_plan(tx, tree).rows
        assert all(row.block and row.why.startswith(by_mask) for row in rows)
    layers = {"head": jax.ShapeDtypeStruct((3, 32, 24), jnp.float32)}
    tx = adamx.stacked(adamx.muon(0.1, muon_mask="head"), "head")
    (row,) = adamx.matrix_plan(tx, layers).rows
    assert (row.matrices, row.why) == ((3, 32, 24), f"{by_mask}; stacked")
    alone = adamx.chain(Orthogonalize(), LearningRate(0.1))
    assert {row.why for row in adamx.matrix_plan(alone, tree).rows} == {"two axes"}


def test_what_optax_holds_cannot_be_looked_into():
    inner = adamx.muon(0.1)
    wrapped = (
        optax.chain(optax.clip(1.0), inner),
        optax.multi_transform({"a": inner}, lambda p: jax.tree.map(lambda _: "a", p)),
        optax.masked(inner, True),
        optax.inject_hyperparams(adamx.muon)(0.1),
        adamx.chain(optax.chain(inner)),
    )
    for tx in wrapped:
        with pytest.raises(TypeError, match="Optax cannot be looked into") as refused:
            adamx.matrix_plan(tx, TREE)
        assert "use adamx.chain for optax.chain, adamx.groups" in str(refused.value)
        assert "or plan the optimizer inside" in str(refused.value)
        assert "adamx.muon(0.02)" not in str(refused.value)
    with pytest.raises(TypeError, match=r"looked into.*Pass for example adamx\.muon"):
        adamx.matrix_plan(adamx.chain(optax.clip(1.0), adamx.adamw(0.1)), TREE)
    for own in (adamx.adamw(0.1), 3):
        with pytest.raises(TypeError, match=r"Pass for example adamx\.muon") as refused:
            adamx.matrix_plan(own, TREE)
        assert "Optax" not in str(refused.value)


class Rows(adamx.Rule):
    """Keep a number for each row, and say so."""

    scope = "tensor"

    def matrix_view(self, leaf, named):
        m, n = leaf.shape
        sides = (Side((0,), m, "rows", (m,)),)
        return MatrixView("Rows", "because it is one", 1, (m, n), sides)

    def slots(self):
        return {"rows": adamx.Slot(shape_of=lambda p: p[:, 0])}

    def apply(self, update, slots, ctx):
        return update, slots


def test_a_rule_of_your_own_explains_itself_also_beside_others():
    tree = {"w": TREE["dense/kernel"]}
    row = check(Rows(), tree)["w"]
    assert (row.rule, row.matrices) == ("Rows", (1, 32, 24))
    both = adamx.chain(adamx.scale_by_soap(), Rows(), optax.scale(0.1))
    plan = adamx.matrix_plan(both, tree)
    assert plan.rows[0].why == "two axes; also Rows: 32 × 24, because it is one"
    note = "`scale` is not adamx's: how it treats leaves is not listed."
    assert plan.notes == (note,)
