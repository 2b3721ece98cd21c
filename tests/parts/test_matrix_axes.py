"""Axes of matrices: how leaves are seen, how they are said, and the plan of a tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax.contrib import MuonDimensionNumbers

import adamx
from adamx.parts import MatrixAxes, Orthogonalize, axes_by_name, hidden_matrix
from adamx.parts.tree_axes import as_axes

# path: (shape, (matrices, rows, columns) of the layer, None for Adam's leaves); from
# the documentation of the layers
LAYERS = {
    "Dense_0/kernel": ((8, 6), (1, 8, 6)),  # linen: (in, out)
    "linear/w": ((8, 6), (1, 8, 6)),  # Haiku
    "layers/0/weight": ((6, 8), (1, 8, 6)),  # Equinox: (out, in)
    "MultiHeadDotProductAttention_0/query/kernel": ((8, 2, 3), (1, 8, 6)),
    "MultiHeadDotProductAttention_0/out/kernel": ((2, 3, 8), (1, 6, 8)),
    "MultiHeadDotProductAttention_0/key/bias": ((2, 3), None),
    "scan/attention/value/kernel": ((5, 8, 2, 3), (5, 8, 6)),  # linen.scan
    "attn/qkv/kernel": ((8, 3, 2, 3), (3, 8, 6)),
    "multi_head_attention/query/w": ((8, 6), (1, 8, 6)),  # Haiku
    "Conv_0/kernel": ((3, 3, 4, 8), (1, 36, 8)),
    "conv1_d/w": ((3, 4, 8), (1, 12, 8)),  # Haiku
    "experts/up": ((5, 8, 6), (5, 8, 6)),
    "layers/kernel": ((5, 8, 6), None),  # a stack or a convolution: nothing says it
    "embed/embedding": ((50, 8), None),
    "lm_head/kernel": ((8, 50), None),
    "norm/scale": ((8,), None),
}


@pytest.mark.parametrize("path", LAYERS)
def test_layers_are_seen_as_the_matrix_by_which_they_multiply(path):
    shape, sizes = LAYERS[path]
    leaf = jax.ShapeDtypeStruct(shape, jnp.float32)
    axes, why = axes_by_name(path, leaf)
    assert (axes and axes.of(shape).sizes) == sizes
    assert why
    assert hidden_matrix(path, leaf) == (sizes is not None)


def test_convolutions_of_torch_and_equinox_have_the_outputs_first():
    leaf = jax.ShapeDtypeStruct((8, 4, 3, 3), jnp.float32)
    axes, _ = axes_by_name("conv1/weight", leaf, out_axis=0)
    assert axes.of(leaf.shape).sizes == (1, 8, 36)


@pytest.mark.parametrize(
    ("axes", "shape", "equation"),
    [
        (MatrixAxes(0, 2, 1), (4, 2, 3), "rbc->brc"),
        (MatrixAxes(-1, (0, 1)), (4, 2, 3), "abr->rab"),
        (MatrixAxes((2, 0), 3), (4, 2, 3, 5), "yzxc->zxyc"),
    ],
)
def test_an_array_becomes_a_stack_and_back(axes, shape, equation):
    """By NumPy's einsum, in the order that is written."""
    x = jnp.arange(np.prod(shape)).reshape(shape)
    layout = axes.of(shape)
    stack = layout.stack(x)
    np.testing.assert_array_equal(stack.ravel(), np.einsum(equation, x).ravel())
    np.testing.assert_array_equal(layout.unstack(stack), x)


PARAMS = {"a": jnp.ones((4, 3)), "b": {"k": jnp.ones((5, 4, 3)), "v": jnp.ones(4)}}
DIMS = {
    "a": MuonDimensionNumbers(0, 1),
    "b": {"k": MuonDimensionNumbers(0, (1, 2)), "v": None},
}
SAID = {
    "tree of Optax": DIMS,
    "prefix": {"a": MatrixAxes(), "b": {"k": MatrixAxes(0, (1, 2)), "v": None}},
    "of the parameters": lambda params: DIMS,
    "of path and leaf": lambda path, leaf: {
        2: MatrixAxes(),
        3: MatrixAxes(0, (1, 2)),
    }.get(leaf.ndim),
    "patterns": {"k$": MatrixAxes(0, (1, 2))},
}


@pytest.mark.parametrize("way", SAID)
def test_axes_are_said_in_five_ways(way):
    plan = adamx.matrix_plan(adamx.muon(0.1, axes=SAID[way]), PARAMS)
    assert [row.matrices for row in plan.rows] == [(1, 4, 3), (1, 5, 12), None]
    assert plan.stacks == {(3, 4): 1, (5, 12): 1}


def test_the_plan_lists_every_leaf_and_why():
    params = {path: jnp.zeros(shape) for path, (shape, _) in LAYERS.items()}
    plan = adamx.matrix_plan(adamx.muon(0.1), params)
    assert {r.leaf: r.matrices for r in plan.rows} == {
        path: sizes for path, (_, sizes) in LAYERS.items()
    }
    rows = {row.leaf: row for row in plan.rows}
    assert rows["layers/kernel"].rule == "Adam"
    assert "pass axes=" in rows["layers/kernel"].why
    text = str(plan)
    assert "5 × (8 × 6)" in text
    assert "Stacks: " in text
    masked = adamx.matrix_plan(adamx.muon(0.1, muon_mask="Dense"), params)
    assert [r.leaf for r in masked.rows if r.matrices] == ["Dense_0/kernel"]
    stack = adamx.stacked(adamx.muon(0.1, muon_mask="w"), "w")
    row = adamx.matrix_plan(stack, {"w": jnp.ones((5, 4, 3))}).rows[0]
    assert row.matrices == (5, 4, 3)
    assert "stacked" in row.why


def update(params, **keywords):
    tx = adamx.muon(0.1, **keywords)
    return tx.update(params, tx.init(params), params)


REFUSED = {
    r"Orthogonalize: every axis must be in the array, got axis 3 .* \(4, 3\)": lambda: (
        update({"a": PARAMS["a"]}, axes=MatrixAxes(0, 3))
    ),
    r"Orthogonalize: every axis must be named once, got .*rows=\(0, 0\)|\(0, 0\)": (
        lambda: update({"a": PARAMS["a"]}, axes=MatrixAxes((0, 0), 1))
    ),
    r"Orthogonalize: every leaf it acts on must have two axes, got shape \(5, 4": (
        lambda: update({"a": PARAMS["b"]["k"]}, muon_mask="a")
    ),
    r"MatrixAxes: a matrix must have rows and columns": lambda: MatrixAxes((), 1),
    r"MatrixAxes: `split_rows` must be a whole number, at least 1, got 0": lambda: (
        MatrixAxes(split_rows=0)
    ),
    r"Orthogonalize: `split_columns` must divide the columns, got 2 for the 3 col": (
        lambda: update({"a": PARAMS["a"]}, axes=MatrixAxes(split_columns=2))
    ),
    r"axes: Optax's dimension numbers must be whole axes, got MatrixAxes\(split_c": (
        lambda: as_axes("muon", MatrixAxes(split_columns=3)).as_dimension_numbers(
            {"a": PARAMS["a"]}
        )
    ),
    r"MatrixAxes: `rows` must be an axis or a tuple of axes, got 'in'": lambda: (
        MatrixAxes("in", 1)
    ),
    r"axes: a tree of axes must have the structure": lambda: update(
        PARAMS, axes={"c": {"d": MatrixAxes()}, "a": None}
    ),
    r"axes: the axes of a leaf must be MatrixAxes": lambda: update(
        PARAMS, axes=lambda path, leaf: 5
    ),
    r"matrix_plan: `tx` must see leaves as matrices, or keep": lambda: (
        adamx.matrix_plan(adamx.adam(0.1), PARAMS)
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_bad_axes_are_refused(sentence):
    with pytest.raises(ValueError, match=sentence):
        REFUSED[sentence]()


def test_the_plan_shows_each_leaf_as_the_rule_that_selects_it_does():
    """Two rules with axes of their own, each for one of the leaves."""
    p = {"a": jnp.zeros((2, 3, 4)), "b": jnp.zeros((2, 3, 4))}
    first = Orthogonalize(axes=MatrixAxes(0, (1, 2)))
    second = Orthogonalize(axes=MatrixAxes(1, 2, 0))
    tx = adamx.chain(adamx.Masked(first, "a"), adamx.Masked(second, "b"))
    sizes = {row.leaf: row.matrices for row in adamx.matrix_plan(tx, p).rows}
    assert sizes == {"a": (1, 2, 12), "b": (2, 3, 4)}
