"""Orthogonalisation of matrices by Newton-Schulz, and its scale factors (Muon)."""

import re
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import NON_NEGATIVE, Hyper, hyper, option
from ..engine.masks import as_mask
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_divide
from ..numerics.matrices import QUINTIC, newton_schulz
from ..numerics.norms import norm, own, shards, whole

_ENDS = re.compile(r"embe?d|head|(^|/)(wte|wpe|logits|output)(/|$)", re.I)


def hidden_matrix(path: str, leaf: Any) -> bool:
    """Select leaves with two axes that are neither embeddings nor heads.

    Excluded are paths that contain `embed`, `embd` or `head`, or a segment wte, wpe,
    logits, output.
    """
    return leaf.ndim == 2 and _ENDS.search(path) is None


# not a callable, which optax.inject_hyperparams would take for a schedule
HIDDEN = as_mask("hidden_matrix", hidden_matrix)


class Orthogonalize(Rule):
    """Orthogonalise matrices: `u ← NewtonSchulz(u)`, about U Vᵀ of u = U S Vᵀ.

    All arithmetic is in float32.

    Args:
        ns_steps: the number of iterations.
        coefficients: (a, b, c) of the quintic.
        eps: ε ≥ 0, added to ‖u‖.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split: they
            are gathered, and every device computes the whole matrix.
        public: the public name of `eps`, if it is not "eps".

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
    2024, kellerjordan.github.io/posts/muon.
    """

    scope = "tensor"

    ns_steps: int = option(5, least=1, kw_only=False, advice="5 is usual.")
    coefficients: tuple[float, float, float] = option(
        QUINTIC, size=3, kw_only=False, advice="They are (a, b, c) of the quintic."
    )
    eps: Hyper = hyper(
        1e-7, allowed=NON_NEGATIVE, public=lambda self: self.public or "eps"
    )
    axis_name: Any = option(None)
    public: str | None = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        _check_matrix("Orthogonalize", update)
        u = whole(update, self.axis_name)
        o = newton_schulz(u, self.ns_steps, self.coefficients, self.eps)
        return own(o, self.axis_name), slots


class ScaleByShape(Rule):
    """Scale matrices by their shape.

        u ← sqrt(max(1, out / in)) u

    or, with `consistent_rms` = c, `u ← c sqrt(max(out, in)) u`.

    Args:
        consistent_rms: None for the first form; 0.2 gives updates about the RMS of
            AdamW's.
        out_axis: the axis of the outputs: -1 for kernels stored as (in, out), 0 for
            torch's (out, in).
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Jordan et al., 2024, kellerjordan.github.io/posts/muon; Liu et al., "Muon
    is scalable for LLM training", 2025, eq. 4, arXiv:2502.16982.
    """

    scope = "tensor"
    takes = "either"

    consistent_rms: Hyper | None = hyper(
        None, allowed=NON_NEGATIVE.but("0.2 is usual."), or_part=type(None)
    )
    out_axis: int = option(-1, least=-2, most=1, advice="A matrix has two axes.")
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        _check_matrix("ScaleByShape", update)
        shape = (update.shape[0] * shards(self.axis_name), update.shape[1])
        out, into = shape[self.out_axis], shape[self.out_axis - 1]
        if self.consistent_rms is None:
            return max(1.0, out / into) ** 0.5 * update, slots
        return self.consistent_rms * max(out, into) ** 0.5 * update, slots


class NormalizeRms(Rule):
    """Scale each tensor to the same RMS: `u ← r u / RMS(u)`; 0 stays 0.

    Args:
        rms: r ≥ 0; 0.2 is AdamW's in practice.
        eps: ε ≥ 0, added to ‖u‖.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Si, Zhang & Shen, "AdaMuon: adaptive Muon optimizer", 2025, Algorithm 1,
    arXiv:2507.11005.
    """

    scope = "tensor"

    rms: Hyper = hyper(0.2, allowed=NON_NEGATIVE)
    eps: Hyper = hyper(0.0, allowed=NON_NEGATIVE, public="eps_rms")
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        size = update.size * shards(self.axis_name)
        length = norm(update, self.axis_name) + self.eps
        return safe_divide(self.rms * size**0.5 * update, length), slots


def _check_matrix(where: str, update: Any) -> None:
    if update.ndim != 2:
        raise errors.AdamxError(
            f"{where}: every leaf it acts on must have two axes, got shape "
            f"{jnp.shape(update)}. Give muon a mask that selects matrices only, or "
            f"adamx.stacked the leaves (layers, m, n) that are stacks of them."
        )
