"""Scion: steps to the corner of a ball, of another norm for each type of layer.

The step for a gradient g is ρ times the point of the unit ball that is furthest along
g: U Vᵀ for the spectral norm, sign(g) for the largest element, g / RMS(g) for the RMS.
"""

import re
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.masks import Not, as_mask
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..numerics.matrices import HIGHEST, QUINTIC
from ..numerics.splits import whole_shape
from ..parts.iterations import as_iteration
from ..parts.layer_axes import HIDDEN, is_vector
from ..parts.masked import Masked
from ..parts.matrix_rules import MatrixRule
from ..parts.moments import Ema
from ..parts.orthogonal import NormalizeRms, Orthogonalize
from ..parts.tree_axes import as_axes
from ..parts.weight_decay import Decay, decoupled, with_rate
from .muon import muon_leaves

_EMBEDDING = re.compile(r"embe?d|(^|/)(wte|wpe)(/|$)", re.I)


def is_matrix(path: str, leaf: Any) -> bool:
    """Select leaves with two axes, but those that are vectors by name."""
    return leaf.ndim == 2 and not is_vector(path, leaf)


def is_embedding(path: str, leaf: Any) -> bool:
    """Select leaves with `embed` or `embd` in the path, or a segment wte, wpe."""
    return _EMBEDDING.search(path) is not None


MATRICES = as_mask("is_matrix", is_matrix)
EMBEDDINGS = as_mask("is_embedding", is_embedding)


@checked_keywords
def scale_by_scion(
    beta: ScalarOrSchedule = 0.9,
    *,
    radius: ScalarOrSchedule = 50.0,
    output_radius: ScalarOrSchedule = 3000.0,
    out_axis: int = -1,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    iteration: Any = None,
    axes: Any = None,
    spread: Any = None,
    hidden_mask: Any = HIDDEN,
    output_mask: Any = MATRICES,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Scale gradients as Scion does: `scion` without decay, rate and sign.

    Args: as in `scion`.

    State: `momentum`, 4 bytes per parameter.

    Reference: Pethick et al., "Training deep learning models with norm-constrained
    LMOs", ICML 2025, Algorithms 1 and 2, arXiv:2502.07529.
    """
    given, axes = axes, as_axes("scion", axes, out_axis)
    spectral = chain(
        Orthogonalize(
            as_iteration("scion", coefficients, ns_steps, iteration),
            public="eps_newton",
            precision=precision,
            axes=axes,
            spread=spread,
            axis_name=axis_name,
        ),
        SpectralRadius(radius, out_axis=out_axis, axes=axes, axis_name=axis_name),
    )
    hidden_mask = muon_leaves(hidden_mask, given, axes)
    embedding = SignOverInputs(output_radius, in_axis=-1, axis_name=axis_name)
    other = SignOverInputs(
        output_radius, in_axis=-2 if out_axis in (-1, 1) else -1, axis_name=axis_name
    )
    ends = chain(Masked(embedding, EMBEDDINGS), Masked(other, Not(EMBEDDINGS)))
    rms = NormalizeRms(radius, axis_name=axis_name)
    rest = chain(Masked(ends, output_mask), Masked(rms, Not(output_mask)))
    return chain(
        Ema(beta, name="momentum", public="beta"),
        Masked(spectral, hidden_mask),
        Masked(rest, Not(hidden_mask)),
    )


@checked_keywords
def scion(
    learning_rate: ScalarOrSchedule = 2**-12,
    beta: ScalarOrSchedule = 0.9,
    *,
    weight_decay: ScalarOrSchedule | Decay = 1.0,
    mask: Any = None,
    radius: ScalarOrSchedule = 50.0,
    output_radius: ScalarOrSchedule = 3000.0,
    out_axis: int = -1,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    iteration: Any = None,
    axes: Any = None,
    spread: Any = None,
    hidden_mask: Any = HIDDEN,
    output_mask: Any = MATRICES,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Scion: step to the corner of a ball, of another norm for each type of layer.

        d ← β d + (1 - β) g
        c = ρ sqrt(out / in) NewtonSchulz(d)    hidden matrices: the spectral norm
        c = ρ_out sign(d) / in                  embeddings, heads: the largest element
        c = ρ d / RMS(d)                        biases and all others: the RMS
        θ ← (1 - α λ) θ - α c

    Args:
        learning_rate: α ≥ 0, the share of the way to the corner c.
        beta: β in [0, 1), the decay of the average.
        weight_decay: λ ≥ 0 or a decay part; 1 is the paper's constrained form
            (Frank-Wolfe), which stays in the balls, 0 the unconstrained.
        mask: the leaves that decay, as in `adamw`.
        radius: ρ ≥ 0 of hidden matrices and of what has the RMS norm.
        output_radius: ρ_out ≥ 0 of embeddings and heads.
        out_axis: the axis of the outputs: -1 for kernels stored as (in, out), 0 for
            torch's (out, in). The inputs of an embedding, a path with `embed` or
            `embd` or a segment wte, wpe, are its last axis: it is (tokens, features).
        coefficients: of the iteration, as in `muon`.
        ns_steps: the number of iterations.
        iteration: in place of `coefficients` and `ns_steps`, as in `muon`.
        axes: which axes of hidden matrices are rows, columns and batch, as in `muon`;
            the corner of each matrix of a batch is that of its own in and out.
        spread: the sharding of stacks, as in `muon`.
        hidden_mask: the matrices with the spectral norm, as `muon_mask` of `muon`; by
            default those that have axes (`hidden_matrix`).
        output_mask: of the others, the leaves with the sign, likewise; by default
            those of two axes, but biases of attention and vectors of stacked layers.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `momentum` (d), from 0; 4 bytes per parameter.

    Departs from the paper: nothing; the radii, the rate and the norm of each layer are
    those of the authors' nanoGPT, whose embedding is also the head. Their code adds
    1e-8 to an RMS and iterates in bfloat16, and has the norms of rows and of columns,
    which are not here. A convolution of k × k places is out × (k² in) and has the
    factor of that matrix, sqrt(out / in) / k; their code of convolutions has
    sqrt(out / in) / k², a radius smaller by k. Of a leaf of more than two axes that is
    no hidden matrix the RMS is taken. Other norms are other parts: `chain(Ema(0.9),
    Masked(part, mask), ..., WeightDecay(1.0), LearningRate(α))`.

    Raises:
        ValueError: an argument out of its range, a leaf of `hidden_mask` or
            `output_mask` that is no matrix, or axes that do not exist.
        TypeError: an argument that is no number, array or schedule.

    Reference: Pethick et al., "Training deep learning models with norm-constrained
    LMOs", ICML 2025, Algorithms 1 and 2, arXiv:2502.07529.
    """
    direction = scale_by_scion(
        beta,
        radius=radius,
        output_radius=output_radius,
        out_axis=out_axis,
        coefficients=coefficients,
        ns_steps=ns_steps,
        iteration=iteration,
        axes=axes,
        spread=spread,
        hidden_mask=hidden_mask,
        output_mask=output_mask,
        precision=precision,
        axis_name=axis_name,
    )
    decay = decoupled(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, *decay))


class SpectralRadius(MatrixRule):
    """Scale an orthogonal matrix to a radius: `u ← ρ sqrt(out / in) u`.

    After `Orthogonalize` it is the corner of the ball of the norm RMS → RMS.

    Args:
        radius: ρ ≥ 0.
        out_axis: the side of the outputs: -1 or 0.
        axes: which axes are rows and columns, as in `Orthogonalize`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Pethick et al., 2025, Table 2, arXiv:2502.07529.
    """

    radius: Hyper = hyper(allowed=NON_NEGATIVE)
    out_axis: int = option(-1, least=-2, most=1, advice="A matrix has two axes.")
    axes: Any = option(None)
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        shape = self._layout(update, ctx).sizes[1:]
        ratio = shape[self.out_axis % 2] / shape[1 - self.out_axis % 2]
        return self.radius * ratio**0.5 * update, slots


class SignOverInputs(Rule):
    """Take the sign of a matrix, over the number of its inputs: `u ← ρ sign(u) / in`.

    It is the corner of the ball of the norm RMS → ∞, for output layers.

    Args:
        radius: ρ ≥ 0.
        in_axis: the axis of the inputs: -2 for kernels stored as (in, out), -1 for
            torch's (out, in) and for an embedding that is the head too.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Pethick et al., 2025, Table 3, arXiv:2502.07529.
    """

    scope = "tensor"

    radius: Hyper = hyper(allowed=NON_NEGATIVE, public="output_radius")
    in_axis: int = option(-2, least=-2, most=1, advice="A matrix has two axes.")
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if update.ndim != 2:
            raise errors.AdamxError(
                f"SignOverInputs: every leaf it acts on must have two axes, got shape "
                f"{jnp.shape(update)}. Give scion an output_mask that selects matrices "
                f"only, or adamx.stacked the leaves (layers, m, n) that are stacks."
            )
        inputs = whole_shape(update.shape, self.axis_name)[self.in_axis]
        return self.radius / inputs * jnp.sign(update), slots
