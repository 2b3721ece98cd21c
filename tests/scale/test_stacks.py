"""Scanned layers, along any axis: masks, roles and axes see a layer, not the stack."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.later import things
from adamx.parts import MatrixAxes

LAYERS, STEPS = 3, 2
SHAPES = {"kernel": (8, 6), "qkv": (4, 12), "bias": (6,)}
NORMAL = np.random.default_rng(0).standard_normal
STACK = {n: NORMAL((LAYERS, *s)).astype("f") for n, s in SHAPES.items()}
HEAD = NORMAL((4, 4)).astype("f")


def is_matrix(path, leaf):
    return len(leaf.shape) > 1


def model(axis):
    blocks = {n: jnp.moveaxis(x, 0, axis) for n, x in STACK.items()}
    return {"blocks": blocks, "head": jnp.asarray(HEAD)}


def apart():
    """The same layers as leaves of their own."""
    layers = {
        f"layer{i}": {n: jnp.asarray(x[i]) for n, x in STACK.items()}
        for i in range(LAYERS)
    }
    return layers | {"head": jnp.asarray(HEAD)}


def train(tx, p):
    def step(carry, t):
        p, state = carry
        updates, state = tx.update(jax.tree.map(jnp.sin, p), state, p)
        return (optax.apply_updates(p, updates), state), None

    return jax.lax.scan(step, (p, tx.init(p)), jnp.arange(STEPS))[0][0]


FUSED = {"kernel": MatrixAxes(), "qkv": MatrixAxes(split_columns=3)}
OPTIMIZERS = [
    adamx.muon(0.1, weight_decay=0.1, mask=is_matrix, axes=FUSED),
    adamx.adamw(0.1, weight_decay=0.1, mask=is_matrix),
    adamx.adafactor(0.1, 0),
    adamx.galore(0.1, 2),
    adamx.sm3(0.1),
]


@functools.cache
def separate():
    return jax.jit(lambda p: [train(tx, p) for tx in OPTIMIZERS])(apart())


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_stack_is_optimized_as_its_layers_are(axis):
    """Kernels are matrices, biases vectors; a mask of matrices decays no bias."""
    txs = [adamx.stacked(tx, r"blocks/", axis) for tx in OPTIMIZERS]
    got = jax.jit(lambda p: [train(tx, p) for tx in txs])(model(axis))
    for tx, one, layers in zip(OPTIMIZERS, got, separate(), strict=True):
        np.testing.assert_allclose(one["head"], layers["head"], rtol=0, atol=1e-5)
        for n in SHAPES:
            for i, x in enumerate(np.moveaxis(np.asarray(one["blocks"][n]), axis, 0)):
                np.testing.assert_allclose(
                    x, layers[f"layer{i}"][n], rtol=0, atol=1e-5, err_msg=f"{tx} {n}"
                )


def test_plain_muon_gives_scanned_kernels_to_muon_and_their_biases_to_adam():
    p = {"blocks": {"w": jnp.ones((3, 8, 6)), "b": jnp.ones((3, 6))}}
    plan = adamx.matrix_plan(adamx.stacked(adamx.muon(0.1), r"blocks/"), p)
    rows = {row.leaf: row for row in plan.rows}
    assert rows["blocks/w"].matrices == (3, 8, 6)
    assert rows["blocks/b"].rule == "Adam"
    assert "fewer than two axes" in rows["blocks/b"].why
    again = adamx.matrix_plan(
        adamx.stacked(adamx.muon(0.1), r"blocks/", axis=1),
        {"blocks": {"w": jnp.ones((8, 3, 6)), "b": jnp.ones((6, 3))}},
    )
    assert {r.leaf: r.matrices for r in again.rows} == {
        r.leaf: r.matrices for r in plan.rows
    }


def test_what_is_a_stack_by_its_name_is_not_taken_for_two():
    p = {"ScanBlock_0": {"dense": {"w": jnp.ones((3, 8, 6))}}}
    plan = adamx.matrix_plan(adamx.stacked(adamx.muon(0.1), "Scan"), p)
    assert plan.rows[0].matrices == (3, 8, 6)


def test_groups_in_a_chain_are_stacked():
    """Each matrix is orthogonalized by itself, and the frozen one not at all."""
    p = {"blocks": jnp.ones((3, 8, 6)), "frozen": jnp.ones(2)}
    groups = adamx.groups([("blocks", adamx.muon(0.1)), (..., None)])
    tx = adamx.stacked(adamx.chain(adamx.parts.Ema(0.9, name="m"), groups), "blocks")
    one = adamx.chain(adamx.parts.Ema(0.9, name="m"), adamx.muon(0.1))
    g = {"blocks": jnp.arange(144.0).reshape(3, 8, 6), "frozen": jnp.ones(2)}
    u, _ = tx.update(g, tx.init(p), p)
    for x, layer in zip(u["blocks"], g["blocks"], strict=True):
        alone, _ = one.update(layer, one.init(p["blocks"][0]), p["blocks"][0])
        np.testing.assert_allclose(x, alone, atol=1e-5)
    assert not u["frozen"].any()


def test_two_stacks_of_different_axes_and_a_tunable_rate():
    p = {"encoder": jnp.ones((3, 8, 6)), "decoder": jnp.ones((8, 3, 6))}
    tx = adamx.tunable(adamx.muon(0.1), "learning_rate")
    tx = adamx.stacked(adamx.stacked(tx, "encoder"), "decoder", axis=1)
    u, _ = tx.update(p, tx.init(p), p)
    np.testing.assert_allclose(jnp.moveaxis(u["decoder"], 1, 0), u["encoder"])


@pytest.mark.parametrize("axis", [0, 1])
def test_the_text_of_a_stack_builds_it(axis):
    names = {"Stacked": adamx.wrappers.Stacked, "OfSlice": adamx.parts.OfSlice}
    names |= things(adamx.parts)
    inside = adamx.parts.Masked(adamx.parts.ClipByNorm(1.0), "kernel")
    for tx in (
        adamx.wrappers.Stacked(inside, "blocks", axis),
        adamx.stacked(inside, "blocks", axis),
        adamx.stacked(adamx.parts.WeightDecay(0.1, "kernel"), "blocks", axis),
    ):
        assert eval(repr(tx), names) == tx


CLIP = adamx.parts.ClipByNorm(1.0)
BAD = {
    r"stacked: every leaf that `mask` selects must have the axis 1 of layers, got 1 "
    r"axes for `blocks/bias`\. Let the mask select stacks of layers only": lambda: (
        adamx.stacked(adamx.lamb(0.1), "blocks", 1).init(
            {"blocks": {"bias": jnp.ones(3)}}
        )
    ),
    r"stacked: `axis` must be an integer, the axis of layers, got \(0, 1\)": lambda: (
        adamx.stacked(adamx.lamb(0.1), "blocks", (0, 1))
    ),
    r"stacked: `mask` must say which leaves are stacks of layers, got None\. Pass for "
    r"example stacked\(tx, r'blocks/'\)": lambda: adamx.stacked(adamx.adam(0.1), None),
    r"stacked: `mask` must say which .*, got True\. Pass .* lambda path, leaf: True": (
        lambda: adamx.stacked(adamx.lamb(0.1), True)
    ),
    r"Stacked: `mask` must say which leaves are stacks, got None": lambda: (
        adamx.wrappers.Stacked(adamx.parts.ClipByNorm(1.0), None)
    ),
    r"stacked: `tx` must be rules, .*, got zero1\(.*\)\. Put it inside: zero1\("
    r"stacked\(tx, mask\), \.\.\.\)": lambda: adamx.stacked(
        adamx.groups([("blocks", adamx.zero1(CLIP)), (..., None)]), "blocks"
    ),
    r"stacked: every part must be a rule, got .*trace": lambda: adamx.stacked(
        adamx.chain(optax.trace(0.9), adamx.scale_by_lamb()), "blocks"
    ),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_is_refused_by_a_sentence(sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        BAD[sentence]()


def test_the_advice_for_a_stack_of_matrices_works():
    """It says `adamx.stacked`, and with that the leaf is accepted."""
    p = {"blocks": jnp.ones((3, 8, 6))}
    tx = adamx.muon(0.1, muon_mask="blocks")
    with pytest.raises(ValueError, match=r"adamx\.stacked the leaves \(layers, m, n\)"):
        tx.update(p, tx.init(p), p)
    better = adamx.stacked(tx, "blocks")
    better.update(p, better.init(p), p)
