"""The models of `share` in torch, from the parameters that JAX has.

Names are the paths of JAX's trees. Kernels are transposed, as torch has them. The
losses are those of `paper.models` and `transformer` in benchmarks/training.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Params = dict[str, Tensor]


def parameters(arrays: Mapping[str, np.ndarray]) -> Params:
    """A leaf for each array, in torch's layout."""
    made = {}
    for name, array in arrays.items():
        own = array.T if name.endswith("kernel") else array
        made[name] = torch.nn.Parameter(torch.from_numpy(own.copy(order="C")))
    return made


def _affine(p: Params, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, p[f"{name}/kernel"], p[f"{name}/bias"])


def _norm(p: Params, name: str, x: Tensor) -> Tensor:
    return functional.layer_norm(
        x, x.shape[-1:], p[f"{name}/scale"], p[f"{name}/bias"], 1e-5
    )


def _depth(p: Params, prefix: str) -> int:
    """How many layers have names that begin so."""
    rest = (n.removeprefix(prefix) for n in p if n.startswith(prefix))
    return len({n.split("/")[0] for n in rest})


def perceptron(p: Params, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of pictures and labels, without dropout."""
    x, labels = batch
    x, last = x.flatten(1), _depth(p, "") - 1
    for layer in range(last):
        x = functional.relu(_affine(p, str(layer), x))
    return functional.cross_entropy(_affine(p, str(last), x), labels.long())


def _attention(p: Params, name: str, x: Tensor, heads: int) -> Tensor:
    batch, length, width = x.shape
    qkv = _affine(p, f"{name}/qkv", x).view(batch, length, 3, heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    mixed = mixed.transpose(1, 2).reshape(batch, length, width)
    return _affine(p, f"{name}/out", mixed)


def transformer(p: Params, batch: tuple[Tensor], heads: int) -> Tensor:
    """Cross-entropy, in nats a character, of windows (batch, length + 1)."""
    windows = batch[0].long()
    x, following = windows[:, :-1], windows[:, 1:]
    h = functional.embedding(x, p["embed"]) + p["position_embed"][: x.shape[1]]
    for layer in range(_depth(p, "blocks/")):
        name = f"blocks/{layer}"
        h = h + _attention(p, name, _norm(p, f"{name}/norm_1", h), heads)
        up = _affine(p, f"{name}/up", _norm(p, f"{name}/norm_2", h))
        h = h + _affine(p, f"{name}/down", functional.gelu(up, approximate="tanh"))
    logits = functional.linear(_norm(p, "norm", h), p["embed"])
    return functional.cross_entropy(logits.flatten(0, 1), following.flatten())
