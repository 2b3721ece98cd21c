"""One second moment for many parameters: SM3's slices, Adam-mini's blocks.

Inside `shard_map` pass `axis_name`, the mesh axes over which the leaves are split along
their first axis. Stacked layers: `adamx.stacked`.
"""

from collections.abc import Callable
from typing import Any

from ..blocks import BlockEma, ByRole
from ..covers import Cover
from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper, is_zero
from ..engine.keywords import alias
from ..engine.rule import Rule
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, Root, RootEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, Identity
from ..parts.weight_decay import WeightDecay


@alias
def scale_by_sm3(
    momentum: Hyper = 0.9, *, eps: Hyper | Eps = 0.0, axis_name: Any = None
) -> Chain:
    """SM3's direction: `sm3` without rate and sign.

    Args: as in `sm3`.

    State: `cover`, and with momentum `mu`.

    Reference: Anil et al., "Memory-efficient adaptive optimization", NeurIPS 2019,
    Algorithm SM3-II, arXiv:1901.11150.
    """
    kind = eps if isinstance(eps, Eps) else RootEps(eps)
    direction = Precondition(Identity(), by=Root(Cover(axis_name=axis_name), kind))
    average = () if is_zero(momentum) else (Ema(momentum, public="momentum"),)
    return chain(direction, *average)


@alias
def sm3(
    learning_rate: Hyper,
    momentum: Hyper = 0.9,
    *,
    eps: Hyper | Eps = 0.0,
    axis_name: Any = None,
) -> Chain:
    """SM3: AdaGrad whose sums are known for rows and columns only.

        ν_i = min over the slices r ∋ i of μ(r) + g_i²
        u = g / sqrt(ν + ε)
        θ ← θ - α u,    with momentum  m ← μ m + (1 - μ) u,  θ ← θ - α m
        μ(r) = max over i in r of ν_i

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        momentum: μ in [0, 1); the number 0 keeps nothing.
        eps: ε ≥ 0 in units of g², inside the root, or an eps kind; Optax has 1e-8.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    State: `cover` (μ), from 0, one number for every slice across an axis: n + m for an
    (n, m) matrix, n for a vector; with momentum `mu` (m), from 0, 4 bytes per
    parameter.

    Departs from the paper: the momentum is that of its experiments, not of the
    algorithm; from `optax.sm3`: no ε.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Anil et al., "Memory-efficient adaptive optimization", NeurIPS 2019,
    Algorithm SM3-II, arXiv:1901.11150.
    """
    direction = scale_by_sm3(momentum, eps=eps, axis_name=axis_name)
    return chain(direction, LearningRate(learning_rate))


@alias
def scale_by_adam_mini(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    *,
    blocks: Callable[[Any, Any], Any] | None = None,
    axis_name: Any = None,
) -> Rule:
    """Adam-mini's direction: `adam_mini` without rate, sign and decay.

    Args: as in `adam_mini`.

    State: `mu`, `nu`; 4 bytes per parameter and 4 per block.

    Reference: Zhang et al., "Adam-mini: use fewer learning rates to gain more", ICLR
    2025, Algorithm 1, arXiv:2406.16793.
    """
    second = Debiased(BlockEma(b2, blocks or ByRole(), axis_name=axis_name))
    return Precondition(Debiased(Ema(b1)), by=Root(second, eps))


@alias
def adam_mini(
    learning_rate: Hyper = 1e-3,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    *,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    blocks: Callable[[Any, Any], Any] | None = None,
    axis_name: Any = None,
) -> Chain:
    """Adam-mini: Adam with one second moment for each block of a tensor.

        m ← β₁ m + (1 - β₁) g                          m̂ = m / (1 - β₁ᵗ)
        v_b ← β₂ v_b + (1 - β₂) mean over b of g²      v̂ = v / (1 - β₂ᵗ)
        θ ← θ - α (m̂ / (sqrt(v̂_b) + ε) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        blocks: a function of a leaf's path and shape that returns the number of blocks
            along each axis; None for `ByRole()`. `ByRole(heads=12)`: by head for
            queries and keys, by token for embeddings, by output neuron for other
            kernels, one block for the rest.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    State: `mu` (m), 4 bytes per parameter, and `nu` (v), 4 bytes per block, from 0.

    Departs from the paper: nothing; roles are read from paths and from JAX's layout of
    kernels, (in, out).

    Raises:
        ValueError: an argument out of its range, or blocks that do not divide a leaf.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zhang et al., "Adam-mini: use fewer learning rates to gain more", ICLR
    2025, Algorithms 1 and 3, arXiv:2406.16793.
    """
    direction = scale_by_adam_mini(b1, b2, eps, blocks=blocks, axis_name=axis_name)
    decay = WeightDecay(weight_decay, mask)
    return chain(direction, decay, LearningRate(learning_rate))
