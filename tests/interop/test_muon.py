"""Muon with every argument of `optax.contrib.muon`: adamx's parts, Optax's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import MuonDimensionNumbers

import adamx
import adamx.interop.optax as beside
from tests.papers.muon import newton_schulz

ROWS = ((3.4, -4.7, 2.0), (3.0, -4.0, 1.9), (2.0, -1.5, 0.5))
DIMS = {
    "a": MuonDimensionNumbers(0, 1),
    "b": {"k": MuonDimensionNumbers((0,), (1, 2)), "v": None},
}


def by_axes(params):
    def one(x):
        last = {2: MuonDimensionNumbers(), 3: MuonDimensionNumbers(-1, 0)}
        return last.get(x.ndim)

    return jax.tree.map(one, params)


CALLS = {
    "adaptive, aol": {"adaptive": True, "preconditioning": "aol"},
    "preset, schatten": {"ns_coeffs": "dion", "preconditioning": "schatten"},
    "rows, rms, mask": {
        "ns_coeffs": ROWS,
        "consistent_rms": 0.2,
        "weight_decay": 0.1,
        "weight_decay_mask": {"a": True, "b": False},
    },
    "spectral, Adam's": {
        "preconditioning": "spectral",
        "nesterov": False,
        "adam_b1": 0.8,
        "adam_eps_root": 1e-3,
        "adam_weight_decay": 0.1,
        "adam_learning_rate": 0.01,
    },
    "tree of axes": {"muon_weight_dimension_numbers": DIMS, "consistent_rms": 0.2},
    "function of axes": {"muon_weight_dimension_numbers": by_axes, "ns_steps": 3},
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CALLS)
def test_adamx_computes_what_optax_does(name):
    random = np.random.default_rng(0)
    shapes = {"a": (6, 4), "b": {"k": (5, 4, 3), "v": (4,)}}
    params, *grads = (
        jax.tree.map(
            lambda s: jnp.asarray(random.standard_normal(s)),
            shapes,
            is_leaf=lambda s: isinstance(s, tuple),
        )
        for _ in range(4)
    )
    ends = []
    for of in (beside, optax):
        tx = of.contrib.muon(0.1, **CALLS[name])
        step, state, here = jax.jit(tx.update), tx.init(params), params
        for g in grads:
            updates, state = step(g, state, here)
            here = optax.apply_updates(here, updates)
        ends.append(here)
        if of is beside:
            assert beside.implemented_by(tx, params) == "adamx"
    for x, y in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-13)


def of_two_axes(params):
    return jax.tree.map(
        lambda x: MuonDimensionNumbers(0, 1) if x.ndim == 2 else None, params
    )


def two(params):
    return {"w1": MuonDimensionNumbers(), "w2": None}


INNER = MuonDimensionNumbers((1,), (2,))
FOUR = {"a": (2, 3), "b": (2, 3)}
AS_STORED = {"w1": (10, 12), "w2": (1, 2, 3), "w3": (10, 5)}
BY_TREE = {
    "10, 10": ((10, 10), MuonDimensionNumbers(0, 1)),
    "4, 1, 10, 3": ((4, 1, 10, 3), MuonDimensionNumbers((2,), (0, 3))),
    "5, 12, 1, 2": ((5, 12, 1, 2), MuonDimensionNumbers((0, 3), (1,))),
    "1, 2, 3": ((1, 2, 3), INNER),
    "2, 3, 4": ((2, 3, 4), INNER),
    "none": ((1, 2, 3), None),
    "none as a prefix": (FOUR, None),
    "one as a prefix": (FOUR, MuonDimensionNumbers()),
    "one and none": (FOUR, {"a": MuonDimensionNumbers(), "b": None}),
}
SAID = {
    "not": (AS_STORED, {}),
    "by a tree": (
        {name: shape for name, (shape, _) in BY_TREE.items()},
        {"muon_weight_dimension_numbers": {n: d for n, (_, d) in BY_TREE.items()}},
    ),
    "by a function of axes": (
        {"w1": (10, 10), "w2": (2, 10), "w3": (4,)},
        {"muon_weight_dimension_numbers": of_two_axes},
    ),
    "by a function of names": (
        {"w1": (10, 10), "w2": (2, 10)},
        {"muon_weight_dimension_numbers": two},
    ),
}
"""The axes that Optax's tests say of their shapes, in each form that they take."""
EACH = ("frobenius", "aol", "schatten")
SETS = [
    (shapes, {"learning_rate": 1e-3, "preconditioning": how, **axes})
    for how in EACH
    for shapes, axes in SAID.values()
]
SETS += [
    ({"w": (8, 8)}, {"learning_rate": rate, "preconditioning": how, **more})
    for how in EACH
    for rate, more in ((1.0, {"weight_decay": 0.0}), (0.1, {"ns_coeffs": "dion"}))
]
SETS += [
    ({"w": (2, 2)}, {"learning_rate": 1e-2, "adaptive": adaptive, "nesterov": nesterov})
    for adaptive in (True, False)
    for nesterov in (True, False)
]
"""Every argument of `optax.contrib._muon_test`; leaves of one form are one tree."""


@pytest.mark.usefixtures("x64")
def test_the_arguments_of_optax_own_tests_give_its_numbers():
    """All in one program for each library, for real parameters.

    Complex ones are Optax's: `implemented_by` says so.
    """
    random = np.random.default_rng(2)
    params = [
        jax.tree.map(
            lambda s: jnp.asarray(random.standard_normal(s)),
            shapes,
            is_leaf=lambda s: isinstance(s, tuple),
        )
        for shapes, _ in SETS
    ]

    def updates(of):
        txs = [of.contrib.muon(**keywords) for _, keywords in SETS]
        states = [tx.init(p) for tx, p in zip(txs, params, strict=True)]

        def one(tx, p, state):
            return tx.update(p, state, p)[0]

        quick = {"xla_backend_optimization_level": 0}  # to compile
        run = jax.jit(lambda *x: list(map(one, txs, *x)), compiler_options=quick)
        return txs, run(params, states)

    txs, ours = updates(beside)
    assert {*map(beside.implemented_by, txs, params)} == {"adamx"}
    _, theirs = updates(optax)
    for (_, keywords), *both in zip(SETS, ours, theirs, strict=True):
        for x, y in zip(*map(jax.tree.leaves, both), strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-12, err_msg=str(keywords))


@pytest.mark.usefixtures("x64")
def test_rows_and_adaptive_follow_the_formulas():
    """adamx.muon itself, one step without momentum, in NumPy."""
    g = np.random.default_rng(1).standard_normal((4, 6))
    tx = adamx.muon(1.0, ROWS, beta=0.0, adaptive=True, consistent_rms=1.0)
    grads = {"w": jnp.asarray(g)}
    u = tx.update(grads, tx.init(grads), grads)[0]["w"]
    x = g / (np.sqrt(np.sum(g**2)) + 1e-8)
    for row in ROWS:
        x = newton_schulz(x, 1, row, 1 - np.sqrt(np.sum(x**2)))
    np.testing.assert_allclose(u, -np.sqrt(6) * np.sum(g * x) * x, rtol=1e-10)
