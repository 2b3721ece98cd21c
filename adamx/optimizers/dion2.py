"""Dion2: Muon on the largest rows or columns of the momentum; Adam for other leaves.

Inside `shard_map` matrices are gathered over `axis_name`. Stacked layers: say with
`axes=` which axis is of layers, or use `adamx.stacked`.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    Hyper,
    ScalarOrSchedule,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, part
from ..engine.state import Context, Slot, Slots
from ..numerics.matrices import HIGHEST, QUINTIC
from ..numerics.sharding import as_piece, as_whole
from ..parts.denominators import Eps
from ..parts.iterations import as_iteration
from ..parts.layer_axes import HIDDEN
from ..parts.masked import Masked
from ..parts.matrix_axes import Layout
from ..parts.matrix_rules import MatrixRule
from ..parts.matrix_views import MatrixView, Named
from ..parts.orthogonal import Orthogonalize
from ..parts.tree_axes import as_axes
from ..parts.weight_decay import Decay
from .muon import _finish, _rest, muon_leaves
from .scion import SpectralRadius


@checked_keywords
def scale_by_dion2(
    mu: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-8,
    *,
    fraction: float = 0.25,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    iteration: Any = None,
    precision: Any = HIGHEST,
    out_axis: int = -1,
    axes: Any = None,
    spread: Any = None,
    dion_mask: Any = HIDDEN,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    axis_name: Any = None,
) -> Chain:
    """Scale matrices as Dion2 does and other leaves as Adam: without rate and decay.

    Args: as in `dion2`.

    State: `momentum` for matrices; `mu`, `nu` for the others.

    Reference: Ahn, Amsel & Langford, "Dion2: a simple method to shrink matrix in Muon",
    2025, arXiv:2512.16928.
    """
    given, axes = axes, as_axes("dion2", axes, out_axis)
    on: dict[str, Any] = {"out_axis": out_axis, "axes": axes, "axis_name": axis_name}
    chosen = LargestSlices(
        Orthogonalize(
            as_iteration("dion2", coefficients, ns_steps, iteration),
            eps,
            precision=precision,
            axes=axes,
            spread=spread,
        ),
        mu,
        fraction=fraction,
        **on,
    )
    hidden = chain(chosen, SpectralRadius(1.0, **on))
    dion_mask = muon_leaves(dion_mask, given, axes)
    rest = _rest(dion_mask, adam_b1, adam_b2, adam_eps)
    return chain(Masked(hidden, dion_mask), rest)


@checked_keywords
def dion2(
    learning_rate: ScalarOrSchedule = 0.01,
    mu: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.01,
    mask: Any = None,
    fraction: float = 0.25,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    iteration: Any = None,
    precision: Any = HIGHEST,
    out_axis: int = -1,
    axes: Any = None,
    spread: Any = None,
    dion_mask: Any = HIDDEN,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.0,
    axis_name: Any = None,
) -> Chain:
    """Dion2: orthogonalise the largest rows of the momentum; Adam for other leaves.

        M ← M + G,    K: the rows with the largest Σ_j |M_ij|      (θ as (out, in))
        O = NewtonSchulz(M_K),    M_K ← μ M_K
        θ ← θ - α λ θ,    θ_K ← θ_K - α sqrt(out / in) O

    with columns in place of rows where out > in. What is not chosen stays in M,
    undiminished, until it is large enough (error feedback).

    Args:
        learning_rate: α ≥ 0; the step has as many singular values of about α as rows
            are chosen.
        mu: μ in [0, 1), the decay of the rows that were applied.
        eps: ε ≥ 0, added to ‖M_K‖.
        weight_decay: λ ≥ 0 or a decay part, for the matrices, all their rows.
        mask: the leaves that decay, as in `muon`.
        fraction: the share of the shorter side that is chosen, rounded up, in (0, 1].
        coefficients: those of the iteration, as in `muon`.
        ns_steps: the number of iterations, as in `muon`.
        iteration: in place of these two, as in `muon`.
        precision: that of every product, as in `muon`.
        out_axis: the axis of the outputs: -1 for kernels stored as (in, out), 0 for
            torch's (out, in).
        axes: which axes are rows, columns and batch, as in `muon`; of each matrix of a
            batch the same number of rows is chosen.
        spread: the sharding of stacks, as in `muon`.
        dion_mask: the matrices, as `muon_mask` of `muon`; by default those that have
            axes (`hidden_matrix`).
        adam_learning_rate: the rate of the others; None for the same.
        adam_b1: β₁ of Adam.
        adam_b2: β₂ of Adam.
        adam_eps: ε of Adam, or an eps kind.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split: they
            are gathered.

    State: `momentum` (M), from 0, 4 bytes per parameter, for matrices; `mu`, `nu` for
    the other leaves, 8 bytes per parameter.

    The chosen rows of matrices of one shape are iterated together, as one stack.

    Departs from the paper: the paper compares several choices of rows; this is the one
    of the authors' code, of which all else here is too: it was written and tested from
    that code, not from pseudo-code of the paper. That code iterates in bfloat16,
    by other polynomials: those of Polar Express for a cushion of 2, divided by 1.02.
    Where a matrix is split over devices, it takes the largest rows of each device by
    default; here they are those of the whole matrix, as with its
    `selection_scope="global"`.

    Raises:
        ValueError: an argument out of its range, a leaf of `dion_mask` that is no
            matrix, or axes that do not exist.

    Reference: Ahn, Amsel & Langford, "Dion2: a simple method to shrink matrix in Muon",
    2025, arXiv:2512.16928.
    """
    direction = scale_by_dion2(
        mu,
        eps,
        fraction=fraction,
        coefficients=coefficients,
        ns_steps=ns_steps,
        iteration=iteration,
        precision=precision,
        out_axis=out_axis,
        axes=axes,
        spread=spread,
        dion_mask=dion_mask,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps=adam_eps,
        axis_name=axis_name,
    )
    return _finish(
        direction,
        muon_leaves(dion_mask, axes, as_axes("dion2", axes, out_axis)),
        learning_rate,
        weight_decay,
        mask,
        adam_learning_rate,
        adam_weight_decay,
    )


class LargestSlices(MatrixRule):
    """Orthogonalise the largest rows, or columns, of a momentum; others wait (Dion2).

        M ← M + G,    u_K = part(M_K),    u = 0 elsewhere,    M_K ← μ M_K

    K are the slices along the shorter side, the outputs of a square matrix, with the
    largest sums of absolute values; each matrix of a leaf has its own.

    Args:
        part: the orthogonalisation, an `Orthogonalize`.
        mu: μ in [0, 1).
        fraction: the share of the shorter side, rounded up, in (0, 1].
        out_axis: the side of the outputs: -1 or 0.
        axes: which axes are rows and columns, as in `Orthogonalize`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Ahn, Amsel & Langford, "Dion2: a simple method to shrink matrix in Muon",
    2025, arXiv:2512.16928.
    """

    part: Part = part()
    mu: Hyper = hyper(0.95, allowed=FRACTION)
    fraction: float = option(
        0.25, above=0.0, most=1.0, advice="It is a share of the shorter side."
    )
    out_axis: int = option(-1, least=-2, most=1, advice="A matrix has two axes.")
    axes: Any = option(None)
    axis_name: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.part, Orthogonalize):
            raise errors.type_error(
                "LargestSlices",
                "`part` must be an Orthogonalize",
                errors.shown(self.part),
                "Pass for example Orthogonalize(muon_quintic(5)).",
            )

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        view = self.part.matrix_view(leaf, named)
        m, n = view.block
        chosen = self.number_of(m, n)
        block = (chosen, n) if m <= n else (m, chosen)
        why = f"{view.why}; the largest {chosen} of {min(m, n)}"
        return view._replace(rule="Dion2", why=why, block=block)

    def slots(self) -> dict[str, Slot]:
        return {"momentum": Slot()}

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"]:
        m, chosen = self._chosen(update, slots, self._layout(update, ctx))
        return jax.vmap(lambda m, chosen: m[chosen])(m, chosen)

    def together(self, stack: Float[Array, "k m n"]) -> Float[Array, "k m n"]:
        return self.part.together(stack)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        layout = self._layout(update, ctx)
        m, chosen = self._chosen(update, slots, layout)
        stack = (
            ctx.together
            if ctx.has("together")
            else self.together(self.matrices(update, slots, ctx))
        )

        def done(m: Array, chosen: Array, o: Array) -> tuple[Array, Array]:
            return jnp.zeros_like(m).at[chosen].set(o), m.at[chosen].multiply(self.mu)

        turned, keep = self._is_turned(layout), layout.apart
        each = jax.vmap(done)(m, chosen, stack)
        u, m = (layout.unstack(x.mT if turned else x) for x in each)
        u, m = (as_piece(x, self.axis_name, update, keep) for x in (u, m))
        return u, slots | {"momentum": m}

    def _chosen(
        self, update: Array, slots: Slots, layout: Layout
    ) -> tuple[Float[Array, "k m n"], Array]:
        """Return the momentum, its shorter side first, and the numbers of K."""
        full = as_whole(slots["momentum"] + update, self.axis_name, layout.apart)
        m = layout.stack(full)
        m = m.mT if self._is_turned(layout) else m
        sums = jnp.sum(jnp.abs(jax.lax.stop_gradient(m)), 2)
        return m, jax.lax.top_k(sums, self.number_of(*m.shape[1:]))[1]

    def number_of(self, rows: int, columns: int) -> int:
        """Return how many slices of a matrix of this shape are chosen."""
        return math.ceil(self.fraction * min(rows, columns))

    def _is_turned(self, layout: Layout) -> bool:
        """Return whether slices of the matrices are their columns."""
        _, rows, columns = layout.sizes
        return columns <= rows if self.out_axis in (-1, 1) else columns < rows
