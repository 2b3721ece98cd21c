"""Which norm Scion takes for which leaf, and that its iterates stay in the balls."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.parts import LearningRate

SHAPES = {
    "embed": {"embedding": (10, 4)},
    "block": {"kernel": (4, 6), "bias": (6,)},
    "lm_head": {"kernel": (4, 10)},
    "conv": {"kernel": (3, 3, 4, 6)},
    "attention": {"query": {"bias": (2, 3)}},  # of heads: two axes, and a vector
}


def drawn(seed):
    normal = np.random.default_rng(seed).standard_normal
    is_shape = lambda x: isinstance(x, tuple)  # noqa: E731
    return jax.tree.map(lambda s: jnp.asarray(normal(s)), SHAPES, is_leaf=is_shape)


def test_each_leaf_has_the_norm_of_its_layer(x64):
    g = drawn(1)
    tx = adamx.scale_by_scion(0.0, radius=2.0, output_radius=8.0, ns_steps=30)
    got, _ = tx.update(g, tx.init(g), g)
    want = jax.tree.map(lambda x: 2.0 * x / np.sqrt(np.mean(x**2)), g)
    want["embed"]["embedding"] = 8.0 / 4 * np.sign(g["embed"]["embedding"])
    want["lm_head"]["kernel"] = 8.0 / 4 * np.sign(g["lm_head"]["kernel"])
    hidden = [(got["block"].pop("kernel"), 6 / 4), (got["conv"].pop("kernel"), 6 / 36)]
    del want["block"]["kernel"], want["conv"]["kernel"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), got, want)
    # Muon's quintic leaves singular values between 0.68 and 1.13, whatever the steps
    for kernel, ratio in hidden:  # the convolution is outputs by all the rest
        sizes = np.linalg.svd(kernel.reshape(-1, 6))[1] / (2.0 * np.sqrt(ratio))
        assert np.all((sizes > 0.68) & (sizes < 1.14))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_constrained_form_stays_in_the_balls(dtype):
    """From 0, θ is an average of corners, whatever the steps."""
    tx = adamx.scion(0.1, radius=2.0, output_radius=8.0)
    p = jax.tree.map(lambda x: jnp.zeros_like(x, dtype), drawn(0))
    normal = np.random.default_rng(3).standard_normal
    noise = jax.tree.map(lambda x: jnp.asarray(normal((40, *x.shape)), dtype), p)

    def step(carry, g):
        p, state = carry
        updates, state = tx.update(g, state, p)
        return (optax.apply_updates(p, updates), state), None

    end = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), noise)[0][0])(p)
    assert {x.dtype.name for x in jax.tree.leaves(end)} == {dtype}
    end = jax.tree.map(lambda x: np.asarray(x, np.float64), end)
    slack = 1 + 4 * float(jnp.finfo(dtype).eps)
    assert 0 < np.max(np.abs(end["embed"]["embedding"])) <= 2.0 * slack
    assert 0 < np.sqrt(np.mean(end["block"]["bias"] ** 2)) <= 2.0 * slack
    for name, ratio in (("block", 6 / 4), ("conv", 6 / 36)):
        largest = np.linalg.norm(end[name]["kernel"].reshape(-1, 6), 2)
        assert 0 < largest <= 1.14 * 2.0 * np.sqrt(ratio) * slack


def test_a_mask_that_selects_no_matrix_is_refused():
    p = {"w": jnp.ones((2, 3, 4))}
    for mask, rule in (("hidden_mask", "Orthogonalize"), ("output_mask", "SignOver")):
        tx = adamx.scion(0.1, **{mask: "w"})
        with pytest.raises(ValueError, match=rf"{rule}\w*: .* two axes, got shape"):
            tx.update(p, tx.init(p), p)


def test_the_unconstrained_form_has_no_decay():
    tx = adamx.scion(0.1, weight_decay=0.0)
    assert tx == adamx.chain(adamx.scale_by_scion(), LearningRate(0.1))
