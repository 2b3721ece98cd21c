"""A small causal transformer over characters, in plain JAX: pre-norm, GELU, tied."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Size(NamedTuple):
    """`layers` blocks of `width` with `heads` heads, over `context` characters."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    context: int = 64
    alphabet: int = 81


def init(key: Array, size: Size) -> dict[str, Any]:
    """Normal(0, .02) kernels, those into the residual stream over sqrt(2 L)."""
    keys = iter(jax.random.split(key, 2 + 4 * size.layers))
    w, deep = size.width, 1 / math.sqrt(2 * size.layers)

    def kernel(*shape: int, scale: float = 1.0) -> Array:
        return 0.02 * scale * jax.random.normal(next(keys), shape)

    def norm() -> dict[str, Array]:
        return {"scale": jnp.ones(w), "bias": jnp.zeros(w)}

    def block() -> dict[str, Any]:
        return {
            "norm_1": norm(),
            "qkv": {"kernel": kernel(w, 3 * w), "bias": jnp.zeros(3 * w)},
            "out": {"kernel": kernel(w, w, scale=deep), "bias": jnp.zeros(w)},
            "norm_2": norm(),
            "up": {"kernel": kernel(w, 4 * w), "bias": jnp.zeros(4 * w)},
            "down": {"kernel": kernel(4 * w, w, scale=deep), "bias": jnp.zeros(w)},
        }

    return {
        "embed": kernel(size.alphabet, w),
        "position_embed": kernel(size.context, w),
        "blocks": [block() for _ in range(size.layers)],
        "norm": norm(),
    }


def _norm(p: dict[str, Array], x: Array) -> Array:
    x = x - x.mean(-1, keepdims=True)
    x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    return x * p["scale"] + p["bias"]


def _affine(p: dict[str, Array], x: Array) -> Array:
    return x @ p["kernel"] + p["bias"]


def _attention(p: dict[str, Any], x: Array, heads: int) -> Array:
    batch, length, width = x.shape
    q, k, v = jnp.split(_affine(p["qkv"], x), 3, -1)
    q, k, v = (
        a.reshape(batch, length, heads, -1).transpose(0, 2, 1, 3) for a in (q, k, v)
    )
    scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1])
    past = jnp.tril(jnp.ones((length, length), bool))
    weights = jax.nn.softmax(jnp.where(past, scores, -jnp.inf), -1)
    mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(batch, length, width)
    return _affine(p["out"], mixed)


def logits(params: dict[str, Any], x: Array, heads: int) -> Array:
    """The logits of the character after each of `x`, (batch, length)."""
    h = params["embed"][x] + params["position_embed"][: x.shape[1]]
    for p in params["blocks"]:
        h = h + _attention(p, _norm(p["norm_1"], h), heads)
        h = h + _affine(p["down"], jax.nn.gelu(_affine(p["up"], _norm(p["norm_2"], h))))
    return _norm(params["norm"], h) @ params["embed"].T


def loss(params: dict[str, Any], x: Array, heads: int) -> Array:
    """The mean cross-entropy, in nats a character, of `x` (batch, length + 1)."""
    x = x.astype(jnp.int32)
    p = jax.nn.log_softmax(logits(params, x[:, :-1], heads))
    return -jnp.take_along_axis(p, x[:, 1:, None], -1).mean()
