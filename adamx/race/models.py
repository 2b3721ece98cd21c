"""The two models of the race in plain JAX: a multilayer perceptron and a convnet.

A model is a pair of functions. Its convolutions are matrix products over shifted
copies of the picture: under `vmap` over seeds those stay batched matrix products,
where XLA:CPU would turn batched kernels into slow grouped convolutions.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .usage_error import UsageError

HIDDEN = (128, 128)  # the widths of the perceptron
CHANNELS = (16, 32)  # of the convnet; each but the first halves the picture
FLAT = 64  # the width of the convnet's dense layer


class Model(NamedTuple):
    """`init(key)` gives the parameters, `apply(params, x)` the logits of a batch."""

    init: Callable[[jax.Array], Any]
    apply: Callable[[Any, jax.Array], jax.Array]


def mlp(shape: tuple[int, ...], classes: int) -> Model:
    """Dense layers of 128 and 128 with ReLU between."""
    widths = (math.prod(shape), *HIDDEN, classes)

    def init(key: jax.Array) -> list:
        keys = jax.random.split(key, len(widths) - 1)
        return [
            _dense(k, n, m) for k, n, m in zip(keys, widths, widths[1:], strict=False)
        ]

    def apply(params: list, x: jax.Array) -> jax.Array:
        x = x.reshape(len(x), -1)
        for layer in params[:-1]:
            x = jax.nn.relu(_affine(layer, x))
        return _affine(params[-1], x)

    return Model(init, apply)


def conv(shape: tuple[int, ...], classes: int) -> Model:
    """3 × 3 convolutions of 16 and 32 channels, the second of stride 2, then 64."""
    if len(shape) not in (2, 3):
        raise UsageError(
            f"--model conv: needs pictures, got rows of shape {shape}; give `x` the "
            "shape (n, height, width), or take --model mlp."
        )
    height, width, channels = (*shape, 1)[:3]
    depths = (channels, *CHANNELS)
    halvings = 2 ** (len(CHANNELS) - 1)
    flat = -(-height // halvings) * -(-width // halvings) * depths[-1]

    def init(key: jax.Array) -> dict:
        *keys, wide, last = jax.random.split(key, len(CHANNELS) + 2)
        kernels = [
            _dense(k, 9 * n, m)
            for k, n, m in zip(keys, depths, depths[1:], strict=False)
        ]
        dense = [_dense(wide, flat, FLAT), _dense(last, FLAT, classes)]
        return {"kernels": kernels, "dense": dense}

    def apply(params: dict, x: jax.Array) -> jax.Array:
        x = x.reshape(len(x), height, width, channels)
        for i, layer in enumerate(params["kernels"]):
            x = jax.nn.relu(_affine(layer, _patches(x, stride=1 if i == 0 else 2)))
        wide, last = params["dense"]
        return _affine(last, jax.nn.relu(_affine(wide, x.reshape(len(x), -1))))

    return Model(init, apply)


MODELS: dict[str, Callable[[tuple[int, ...], int], Model]] = {"mlp": mlp, "conv": conv}


def loss_and_accuracy(
    model: Model, params: Any, x: jax.Array, y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean cross entropy in nats, and the share of right answers."""
    logits = model.apply(params, x)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    right = (logits.argmax(1) == y).astype(jnp.float32)
    return -chosen.mean(), right.mean()


def _dense(key: jax.Array, n: int, m: int) -> dict[str, jax.Array]:
    """He's normal start: weights of variance 2 / n, biases of zero."""
    scale = math.sqrt(2 / n)
    return {"w": scale * jax.random.normal(key, (n, m)), "b": jnp.zeros(m)}


def _affine(layer: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return x @ layer["w"] + layer["b"]


def _patches(x: jax.Array, stride: int) -> jax.Array:
    """The 3 × 3 neighbourhood of every `stride`-th pixel, zeros beyond the rim."""
    height, width = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [
        x[:, i : i + height : stride, j : j + width : stride]
        for i in range(3)
        for j in range(3)
    ]
    return jnp.concatenate(shifted, axis=-1)
