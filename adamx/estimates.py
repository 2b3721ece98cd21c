"""Estimates of the Hessian's diagonal, for the members that divide by it.

Each is a function of the loss, the parameters and a key, and returns a tree like the
parameters: `tx.update(grads, state, params, hessian=hutchinson_estimate(...))`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def _like(key: Any, params: Any, draw: Callable[..., Any]) -> Any:
    """One draw for each element of a tree."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves)) if leaves else []
    drawn = [draw(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    return structure.unflatten(drawn)


def hutchinson_estimate(
    loss: Callable[[Any], Any],
    params: Any,
    key: Any,
    *,
    draw: Callable[..., Any] = jax.random.rademacher,
) -> Any:
    """`z ⊙ (H z)`, whose mean over z is the diagonal of the Hessian H of the loss.

    One product of the Hessian and a vector: about the cost of two more gradients. It
    may be negative.

    Args:
        loss: a function of the parameters alone that returns a number.
        params: where H is taken.
        key: a key of `jax.random`; another one at every call.
        draw: z from `draw(key, shape, dtype)`, with mean 0 and variance 1: signs (the
            default, as AdaHessian), or `jax.random.normal` (as Sophia).

    Reference: Hutchinson, "A stochastic estimator of the trace of the influence matrix
    for Laplacian smoothing splines", 1989; Liu et al., "Sophia", ICLR 2024, Algorithm
    1, arXiv:2305.14342.
    """
    z = _like(key, params, draw)
    _, product = jax.jvp(jax.grad(loss), (params,), (z,))
    return jax.tree.map(jnp.multiply, z, product)


def gauss_newton_bartlett_estimate(
    logits: Callable[[Any], Any], params: Any, key: Any
) -> Any:
    """`B ĝ ⊙ ĝ`, with ĝ the gradient on labels that the model draws itself.

    Its mean is the diagonal of the Gauss-Newton matrix of the mean cross-entropy. Never
    negative; one more gradient.

    Args:
        logits: a function of the parameters alone that returns the logits of the batch,
            classes last; B is the number of the examples before.
        params: where the estimate is taken.
        key: a key of `jax.random`; another one at every call.

    Reference: Liu et al., "Sophia: a scalable stochastic second-order optimizer for
    language model pre-training", ICLR 2024, Algorithm 2, arXiv:2305.14342.
    """
    scores, back = jax.vjp(logits, params)
    classes = scores.shape[-1]
    size = scores.size // classes
    drawn = jax.nn.one_hot(
        jax.random.categorical(key, scores), classes, dtype=scores.dtype
    )
    # the gradient of the mean cross-entropy by the logits
    (gradient,) = back((jax.nn.softmax(scores) - drawn) / size)
    return jax.tree.map(lambda g: size * g * g, gradient)
