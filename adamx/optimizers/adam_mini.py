"""Adam-mini: Adam with one second moment for each block of a tensor.

Inside `shard_map` pass `axis_name`, the mesh axes over which the leaves are split along
their first axis. Stacked layers: `adamx.stacked`.
"""

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    Hyper,
    ScalarOrSchedule,
    check_fields,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..engine.value import Value
from ..numerics.arithmetic import lerp
from ..numerics.norms import mean
from ..numerics.splits import along, own_grid, whole_shape
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.moments import Ema
from ..parts.weight_decay import Decay, as_decay, with_rate


@checked_keywords
def scale_by_adam_mini(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    blocks: Callable[[Any, Any], Any] | None = None,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as Adam-mini does: `adam_mini` without decay, rate and sign.

    Args: as in `adam_mini`.

    State: `mu`, `nu`; 4 bytes per parameter and 4 per block.

    Reference: Zhang et al., "Adam-mini: use fewer learning rates to gain more", ICLR
    2025, Algorithm 1, arXiv:2406.16793.
    """
    second = Debiased(BlockEma(b2, blocks or AdamMiniBlocks(), axis_name=axis_name))
    return Precondition(Debiased(Ema(b1)), by=RootPlusEps(second, eps))


@checked_keywords
def adam_mini(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    blocks: Callable[[Any, Any], Any] | None = None,
    axis_name: Any = None,
) -> Chain:
    """Adam-mini: Adam that keeps one second moment for each block of a tensor.

        m ← β₁ m + (1 - β₁) g                          m̂ = m / (1 - β₁ᵗ)
        v_b ← β₂ v_b + (1 - β₂) mean over b of g²      v̂ = v / (1 - β₂ᵗ)
        θ ← θ - α (m̂ / (sqrt(v̂_b) + ε) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        blocks: a function of a leaf's path and shape that returns the number of blocks
            along each axis; None for `AdamMiniBlocks()`.
            `AdamMiniBlocks(heads=12)`: by head for queries and keys, by token for
            embeddings, by output neuron for other kernels, one block for the rest.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    State: `mu` (m), 4 bytes per parameter, and `nu` (v), 4 bytes per block, from 0.

    Departs from the paper: nothing; roles are read from paths and from JAX's layout of
    kernels, (in, out). The authors' code updates biases as Adam does, takes a kernel
    whose name it does not know for one block, and does not decay norms and biases:
    `adam_mini(α, blocks=AdamMiniBlocks(released=True), weight_decay=λ,
    mask=lambda path, leaf: leaf.ndim > 1)`.

    Raises:
        ValueError: an argument out of its range, or blocks that do not divide a leaf.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zhang et al., "Adam-mini: use fewer learning rates to gain more", ICLR
    2025, Algorithms 1 and 3, arXiv:2406.16793.
    """
    direction = scale_by_adam_mini(b1, b2, eps, blocks=blocks, axis_name=axis_name)
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))


Grid = tuple[int, ...]


def one_block(path: str, shape: Grid) -> Grid:
    """Make the whole tensor one block."""
    return (1,) * len(shape)


def by_row(path: str, shape: Grid) -> Grid:
    """Make each entry of the first axis a block; tensors of one axis are one block."""
    if len(shape) < 2:
        return one_block(path, shape)
    return (shape[0],) + (1,) * (len(shape) - 1)


def by_column(path: str, shape: Grid) -> Grid:
    """Make each entry of the last axis a block: an output of an (in, out) kernel.

    Tensors of one axis are one block.
    """
    if len(shape) < 2:
        return one_block(path, shape)
    return (1,) * (len(shape) - 1) + (shape[-1],)


def _segment(*names: str) -> re.Pattern:
    return re.compile(rf"(^|/)({'|'.join(names)})(/|$)")


_EMBEDDING = re.compile(r"embe?d|(^|/)(wte|wpe)(/|$)")


_QUERY_KEY = _segment("q", "k", "query", "key", "q_proj", "k_proj", "wq", "wk")


_VALUE = _segment("v", "value", "v_proj", "wv")


# The names in which adam-mini 1.1.1 finds a role; all else is one block there.
_RELEASED = re.compile(
    r"embe?d|wte|lm_head|output|final_layer|[kq]_proj|w[kqvo]|query|key|v_proj|value|"
    r"o_proj|attn[/.]proj|feed_forward|linear|mlp"
)


class AdamMiniBlocks(Value):
    """Partition a tensor into Adam-mini's blocks, by its path and shape.

    - one axis or none (biases, norms): one block;
    - a path with `embed` or `embd`, or a segment `wte`, `wpe`: a block for each token,
      axis 0;
    - a segment q, k, query, key, q_proj, k_proj, wq, wk: a block for each head: the
      second-to-last axis of a (d, heads, size) kernel, or `heads` blocks along the last
      axis of a (d, heads · size) one, one for each column if `heads` is not given;
    - a (d, heads, size) kernel under v, value, v_proj, wv: one for each output neuron,
      (heads, size);
    - everything else: a block for each output neuron, the last axis.

    Args:
        heads: the number of heads where the kernels do not show it.
        released: as the authors' code (adam-mini 1.1.1): biases (a path with `bias`)
            have a block for each element, and a kernel in whose path that code knows no
            name is one block. It knows embed, embd, wte, lm_head, output, final_layer,
            k_proj, q_proj, wq, wk, query, key, v_proj, wv, value, o_proj, wo,
            attn/proj, feed_forward, linear and mlp, anywhere in the path.

    Reference: Zhang et al., "Adam-mini: use fewer learning rates to gain more", ICLR
    2025, Algorithm 3, arXiv:2406.16793.
    """

    heads: int | None = option(None, least=1, kw_only=False)
    released: bool = option(False)

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, path: str, shape: Grid) -> Grid:
        if self.released and "bias" in path.lower():
            return shape
        if self.released and not _RELEASED.search(path.lower()):
            return one_block(path, shape)
        if len(shape) < 2:
            return one_block(path, shape)
        if _EMBEDDING.search(path):
            return by_row(path, shape)
        if _QUERY_KEY.search(path):
            if len(shape) == 3:
                return (1, shape[1], 1)
            if self.heads is not None:
                return (1,) * (len(shape) - 1) + (self.heads,)
        if _VALUE.search(path) and len(shape) == 3:
            return (1, *shape[1:])
        return by_column(path, shape)


class BlockEma(Rule):
    """Keep a moving average of the mean of g² over each block: one number per block.

        v_b ← β v_b + (1 - β) mean over b of g²

    Args:
        decay: β in [0, 1), the weight of the past.
        blocks: a function of a leaf's path and shape that returns the number of blocks
            along each axis: `AdamMiniBlocks()`, `by_row`, `by_column`, `one_block`,
            your own.
        name: the slot that holds v.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    Reference: Zhang et al., "Adam-mini: use fewer learning rates to gain more", ICLR
    2025, Algorithm 1, arXiv:2406.16793.
    """

    scope = "tensor"

    decay: Hyper = hyper(allowed=FRACTION, public="b2")
    blocks: Callable[[str, Grid], Grid] = AdamMiniBlocks()
    name: str = option("nu")
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"path"}

    def slots(self) -> dict[str, Slot]:
        def like(path: str, p: Any) -> Any:
            grid, _ = self._grid(path, p.shape)
            return _cells(p, grid).mean(range(1, 2 * p.ndim, 2)) if p.ndim else p

        return {self.name: Slot(shape_of=like, by_path=True, signed=False)}

    def _grid(self, path: str, shape: Grid) -> tuple[Grid, list[int]]:
        """Return this device's blocks, and the axes along which others hold parts."""
        whole = whole_shape(shape, self.axis_name)
        grid = tuple(self.blocks(path, whole))
        found = own_grid(grid, shape, self.axis_name)
        if found is None:
            raise errors.AdamxError(
                f"BlockEma: `blocks` must divide every axis (and its shards), got "
                f"{grid} for `{path}` of shape {whole}. Return the number of blocks "
                f"along each axis, 1 for an axis that is not divided."
            )
        return found

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        grid, shared = self._grid(ctx.path or "", update.shape)
        cells = _cells(update * update, grid)
        inside = tuple(range(1, cells.ndim, 2))
        split = along(self.axis_name, shared, update.ndim)
        new = mean(cells, inside, split, keepdims=True)
        v = lerp(slots[self.name], new.reshape(grid), self.decay)
        spread = jnp.broadcast_to(v.reshape(new.shape), cells.shape)
        return spread.reshape(update.shape), slots | {self.name: v}


def _cells(x: Any, grid: Grid) -> Any:
    """Split each axis of length n into (blocks, n / blocks)."""
    pairs = ((b, n // b) for n, b in zip(x.shape, grid, strict=True))
    return x.reshape([length for pair in pairs for length in pair])
