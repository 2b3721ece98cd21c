"""The paper's models in plain JAX: softmax regression, perceptron, convnet, VAE.

Weights start at normal(0, 2 / fan-in), those of the VAE at normal(0, 1 / fan-in), where
the second is the variance; biases at zero. The pooling of the convnet is a maximum of
shifted copies: XLA:CPU's own reduce_window has a gradient several times slower.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax


def dense(key: Any, n: int, m: int, gain: float = 2.0) -> dict[str, Any]:
    kernel = math.sqrt(gain / n) * jax.random.normal(key, (n, m))
    return {"kernel": kernel, "bias": jnp.zeros(m)}


def affine(p: dict[str, Any], x: Any) -> Any:
    return x @ p["kernel"] + p["bias"]


def cross_entropy(logits: Any, labels: Any) -> Any:
    each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return each.mean()


def scores(logits: Any, labels: Any) -> dict[str, Any]:
    """Loss and share of errors of a batch."""
    wrong = (logits.argmax(-1) != labels).mean()
    return {"loss": cross_entropy(logits, labels), "error": wrong}


def dropout(key: Any, x: Any, rate: float) -> Any:
    """Zeros a share `rate` of the elements, in 256ths, and scales the others up."""
    dropped = round(256 * rate)
    if dropped == 0:
        return x
    kept = jax.random.bits(key, x.shape, jnp.uint8) >= dropped
    return jnp.where(kept, x * (256 / (256 - dropped)), 0)


def perceptron(key: Any, widths: Sequence[int]) -> list[Any]:
    keys = jax.random.split(key, len(widths) - 1)
    return [dense(k, n, m) for k, n, m in zip(keys, widths, widths[1:], strict=False)]


def perceive(params: list[Any], x: Any, key: Any = None, rate: float = 0.0) -> Any:
    """Logits; dropout after every hidden layer where a key is given."""
    x = x.reshape(len(x), -1)
    for i, layer in enumerate(params[:-1]):
        x = jax.nn.relu(affine(layer, x))
        if key is not None:
            x = dropout(jax.random.fold_in(key, i), x, rate)
    return affine(params[-1], x)


CHANNELS = (64, 64, 128)
FLAT = 1000


def convnet(
    key: Any, shape: Sequence[int], classes: int, channels: Sequence[int] = CHANNELS
) -> dict[str, Any]:
    """c64-c64-c128-1000: 5 × 5 convolutions, each with 3 × 3 pooling of stride 2."""
    height, width, depth = shape
    keys = iter(jax.random.split(key, len(channels) + 2))
    convolutions = []
    for count in channels:
        flat = dense(next(keys), 25 * depth, count)
        kernel = flat["kernel"].reshape(5, 5, depth, count)
        convolutions.append({"kernel": kernel, "bias": flat["bias"]})
        height, width, depth = -(-height // 2), -(-width // 2), count
    hidden = dense(next(keys), height * width * depth, FLAT)
    return {
        "conv": convolutions,
        "hidden": hidden,
        "out": dense(next(keys), FLAT, classes),
    }


def pooled(x: Any) -> Any:
    """The maximum over 3 × 3 with stride 2, padded as "SAME"."""
    _, h, w, _ = x.shape
    out = -(-h // 2), -(-w // 2)
    both = [max(0, 2 * m + 1 - n) for n, m in zip((h, w), out, strict=True)]
    pads = ((0, 0), *((n // 2, n - n // 2) for n in both), (0, 0))
    x = jnp.pad(x, pads, constant_values=-jnp.inf)
    shifted = [
        x[:, i : i + 2 * out[0] - 1 : 2, j : j + 2 * out[1] - 1 : 2]
        for i in range(3)
        for j in range(3)
    ]
    return functools.reduce(jnp.maximum, shifted)


def convolve(params: dict[str, Any], x: Any, key: Any = None, rate: float = 0.0) -> Any:
    """Logits; dropout of the input and of the dense layer where a key is given."""
    keys = None if key is None else jax.random.split(key)
    if keys is not None:
        x = dropout(keys[0], x, rate)
    for layer in params["conv"]:
        x = jax.lax.conv_general_dilated(
            x,
            layer["kernel"],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = pooled(jax.nn.relu(x + layer["bias"]))
    x = jax.nn.relu(affine(params["hidden"], x.reshape(len(x), -1)))
    if keys is not None:
        x = dropout(keys[1], x, rate)
    return affine(params["out"], x)


HIDDEN, LATENT = 500, 50


def autoencoder(key: Any, pixels: int) -> dict[str, Any]:
    """500 softplus units each way, 50 Gaussian latents: section 6.4."""
    keys = jax.random.split(key, 4)
    return {
        "encode": dense(keys[0], pixels, HIDDEN, 1.0),
        "latent": dense(keys[1], HIDDEN, 2 * LATENT, 1.0),
        "decode": dense(keys[2], LATENT, HIDDEN, 1.0),
        "pixels": dense(keys[3], HIDDEN, pixels, 1.0),
    }


def bound(params: dict[str, Any], x: Any, key: Any) -> Any:
    """The negative variational bound in nats a picture, with one sample of the latent.

    Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014, eq. 10.
    """
    x = x.reshape(len(x), -1)
    hidden = jax.nn.softplus(affine(params["encode"], x))
    mean, log_variance = jnp.split(affine(params["latent"], hidden), 2, -1)
    noise = jax.random.normal(key, mean.shape)
    z = mean + jnp.exp(log_variance / 2) * noise
    logits = affine(params["pixels"], jax.nn.softplus(affine(params["decode"], z)))
    likelihood = -optax.sigmoid_binary_cross_entropy(logits, x).sum(-1)
    divergence = 0.5 * (mean**2 + jnp.exp(log_variance) - log_variance - 1).sum(-1)
    return (divergence - likelihood).mean()
