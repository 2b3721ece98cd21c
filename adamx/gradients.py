"""Sharpness-aware gradients (SAM), and estimates of the Hessian's diagonal.

SAM changes the point at which the gradient is taken, so it wraps the gradient function
and works with any optimizer. The estimates are extra arguments of `sophia` and
`adahessian`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from . import errors
from .numerics.arithmetic import compute_dtype, safe_divide, safe_sqrt
from .numerics.splits import across, split_of


def sharpness_aware(
    grad: Callable[..., Any],
    rho: Any = 0.05,
    *,
    adaptive: bool = False,
    axis_name: Any = None,
) -> Callable[..., Any]:
    """Wrap `grad`, so that it is taken at the worst point within distance ρ (SAM).

        ε̂ = ρ g / ‖g‖,    returns ∇L(θ + ε̂)
        adaptive:  ε̂ = ρ T² g / ‖T g‖ with T = |θ|        (ASAM)

    It costs a second gradient. The norm is over all leaves, in float32.

    Args:
        grad: a gradient function `grad(params, *args, **kwargs)`, such as
            `jax.grad(loss)`, without auxiliary output.
        rho: ρ ≥ 0, in units of the parameters.
        adaptive: scale the neighbourhood by the size of each parameter.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    Raises:
        ValueError: `rho` is negative.

    Reference: Foret et al., "Sharpness-aware minimization for efficiently improving
    generalization", ICLR 2021, Algorithm 1, arXiv:2010.01412; Kwon et al.,
    "ASAM: adaptive sharpness-aware minimization for scale-invariant learning of deep
    neural networks", ICML 2021, arXiv:2102.11600.
    """
    if isinstance(rho, float | int):
        allowed = errors.Interval(0.0, float("inf"), "[)", "0.05 is usual.")
        errors.check_number("sharpness_aware", "rho", rho, allowed)

    def sharp(params: Any, *args: Any, **kwargs: Any) -> Any:
        def scaled(g: Any, p: Any) -> Any:
            wide = compute_dtype(g.dtype, p.dtype)
            return g.astype(wide) * (jnp.abs(p).astype(wide) if adaptive else 1)

        def square(x: Any, p: Any) -> Any:
            of_shard = jnp.sum(x * x)
            if axis_name is None:
                return of_shard
            return across(of_shard, split_of(axis_name, (x, p), lambda: "params"))

        tg = jax.tree.map(scaled, grad(params, *args, **kwargs), params)
        norm = safe_sqrt(
            jnp.asarray(sum(jax.tree.leaves(jax.tree.map(square, tg, params))))
        )

        def moved(p: Any, g: Any) -> Any:
            step = rho * safe_divide(scaled(g, p), norm.astype(g.dtype))
            return (p.astype(g.dtype) + step).astype(p.dtype)

        return grad(jax.tree.map(moved, params, tg), *args, **kwargs)

    return sharp


def _like(key: Any, params: Any, draw: Callable[..., Any]) -> Any:
    """Draw one number for each element of a tree."""
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
    """Estimate the diagonal of the Hessian H of the loss by `z ⊙ (H z)` (Hutchinson).

    The mean over z is the diagonal. It takes one product of the Hessian and a vector:
    about the cost of two more gradients. It may be negative.

    Args:
        loss: a function of the parameters alone that returns a number.
        params: the parameters at which H is taken.
        key: a key of `jax.random`, a new one at every call.
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
    """Estimate the Gauss-Newton diagonal by `B ĝ ⊙ ĝ` (Gauss-Newton-Bartlett).

    ĝ is the gradient with labels that are drawn from the model. The mean is the
    diagonal of the Gauss-Newton matrix of the mean cross-entropy. It is never negative
    and takes one more gradient.

    Args:
        logits: a function of the parameters alone that returns the logits of the batch,
            classes last; B is the number of the examples before.
        params: the parameters at which it is taken.
        key: a key of `jax.random`, a new one at every call.

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
