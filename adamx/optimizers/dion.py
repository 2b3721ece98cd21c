"""Dion: a low-rank part of the momentum, orthonormalised; Adam for other leaves.

Stacked layers: say with `axes=` which axis is of layers, or use `adamx.stacked`.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import safe_divide
from ..numerics.matrices import (
    HIGHEST,
    narrow_product,
    orthonormal,
    placed_as,
    product,
    randomized_orthonormal,
)
from ..numerics.random_bits import Uniform, key_of, normal
from ..numerics.sharding import is_divided, placed_like, unsharded
from ..numerics.splits import Split, across, along, dims_of, own, whole
from ..parts.denominators import Eps
from ..parts.layer_axes import HIDDEN, TWO
from ..parts.masked import Masked
from ..parts.matrix_axes import Layout, MatrixAxes
from ..parts.matrix_rules import MatrixRule, layout_of
from ..parts.matrix_views import MatrixView, Named, Side
from ..parts.tree_axes import as_axes
from ..parts.weight_decay import Decay
from .muon import _finish, _rest, muon_leaves
from .scion import SpectralRadius

OVERSAMPLE = 1.25
"""Rows of the random sketch for each column of P: the default of the authors' code."""


@checked_keywords
def scale_by_dion(
    mu: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-8,
    *,
    rank_fraction: float = 1.0,
    randomized: bool = False,
    out_axis: int = -1,
    axes: Any = None,
    dion_mask: Any = HIDDEN,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Scale matrices as Dion does and other leaves as Adam: `dion` without rate, decay.

    Args: as in `dion`.

    State: `momentum`, `right_factor` for matrices; `mu`, `nu` for the others.

    Reference: Ahn et al., "Dion: distributed orthonormalized updates", 2025, Algorithm
    1, arXiv:2504.05295.
    """
    given, axes = axes, as_axes("dion", axes, out_axis)
    on: dict[str, Any] = {"out_axis": out_axis, "axes": axes, "axis_name": axis_name}
    hidden = chain(
        LowRankOrthogonal(
            mu,
            eps,
            rank_fraction=rank_fraction,
            randomized=randomized,
            precision=precision,
            **on,
        ),
        SpectralRadius(1.0, **on),
    )
    dion_mask = muon_leaves(dion_mask, given, axes)
    rest = _rest(dion_mask, adam_b1, adam_b2, adam_eps)
    return chain(Masked(hidden, dion_mask), rest)


@checked_keywords
def dion(
    learning_rate: ScalarOrSchedule = 0.01,
    mu: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.01,
    mask: Any = None,
    rank_fraction: float = 1.0,
    randomized: bool = False,
    out_axis: int = -1,
    axes: Any = None,
    dion_mask: Any = HIDDEN,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.95,
    adam_eps: ScalarOrSchedule | Eps = 1e-8,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.0,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Dion: orthonormalise a low-rank part of the momentum; Adam for other leaves.

        B = M + G,    P = QR(B Q),    R = Bᵀ P          (B ≈ P Rᵀ, of rank r)
        M ← B - (1 - μ) P Rᵀ,    Q ← R / (‖columns of R‖ + ε)
        θ ← θ - α (sqrt(out / in) P Qᵀ + λ θ)           (θ as (out, in))

    What the rank leaves out stays in M, undiminished (error feedback).

    Args:
        learning_rate: α ≥ 0; the step of rank r has r singular values of about α.
        mu: μ in [0, 1), the decay of that part of the momentum which was applied.
        eps: ε ≥ 0, added to the norms of the columns of R.
        weight_decay: λ ≥ 0 or a decay part, for the matrices.
        mask: the leaves that decay, as in `muon`.
        rank_fraction: r over the smaller side of the matrix, rounded up, in (0, 1].
        randomized: compute P by the authors' randomised Cholesky QR, which is made of
            products and so split over the devices that have the rows: they send r × r
            numbers, at least 128 r, for it, and not P. The steps are those of QR to
            rounding.
        out_axis: the axis of the outputs: -1 for kernels stored as (in, out), 0 for
            torch's (out, in).
        axes: which axes are rows, columns and batch, as in `muon`; each matrix of a
            batch has a Q of its own, of a rank by its own sides.
        dion_mask: the matrices, as `muon_mask` of `muon`; by default those that have
            axes (`hidden_matrix`).
        adam_learning_rate: the rate of the others; None for the same.
        adam_b1: β₁ of Adam.
        adam_b2: β₂ of Adam.
        adam_eps: ε of Adam, or an eps kind.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
            QR is computed in float32 (float64 for float64 leaves).
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `momentum` (M), 4 bytes per parameter, and `right_factor` (Q), 4 r bytes per
    input, for matrices; `mu`, `nu` for the other leaves, 8 bytes per parameter. All
    from 0; the first step sets Q to fixed pseudo-random numbers.

    Departs from the paper: ε and the decay are those of the authors' code, and where B
    is 0 the step is 0 and Q stays, as there. The first Q is uniform in (-1/2, 1/2), the
    same for all leaves of a shape, where the paper and the code draw normal numbers.
    Where out < in that code runs on Bᵀ (P is then of the inputs), of which the paper
    says nothing: `chain(LowRankOrthogonal(mu, out_axis=0), SpectralRadius(1.0,
    out_axis=-1), ...)` for kernels (in, out).
    With `randomized`, the sketch has the same normal numbers in every step, where the
    authors' code draws others; nothing depends on them. Columns of P that depend on
    others are 0, with their columns of Q unchanged; the authors' code replaces what is
    not a number by 0.

    On several devices the matrix stays where it is, whole, by rows or by columns: under
    `jit` with meshes of Auto or Explicit axes, and in `shard_map` with `axis_name`,
    only P, R and their like of r columns are sent, as in the authors' distributed
    algorithm. A stack of layers that is split along them sends nothing. A leaf whose
    axes are folded into a matrix, such as attention with heads, is gathered on Explicit
    axes; in `shard_map` it may be split along the first axis of the rows or of the
    columns, and any other split of it is refused.

    Raises:
        ValueError: an argument out of its range, a leaf of `dion_mask` that is no
            matrix, axes that do not exist, a split of a folded leaf in `shard_map` that
            would have to be gathered.

    Reference: Ahn et al., "Dion: distributed orthonormalized updates", 2025, Algorithm
    1, arXiv:2504.05295.
    """
    direction = scale_by_dion(
        mu,
        eps,
        rank_fraction=rank_fraction,
        randomized=randomized,
        out_axis=out_axis,
        axes=axes,
        dion_mask=dion_mask,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps=adam_eps,
        precision=precision,
        axis_name=axis_name,
    )
    return _finish(
        direction,
        muon_leaves(dion_mask, axes, as_axes("dion", axes, out_axis)),
        learning_rate,
        weight_decay,
        mask,
        adam_learning_rate,
        adam_weight_decay,
    )


class LowRankOrthogonal(MatrixRule):
    """Orthonormalise a low-rank part of a momentum, one power iteration a step (Dion).

        B = M + G,    P = QR(B Q),    R = Bᵀ P,    Q ← R / (‖columns‖ + ε)
        M ← B - (1 - μ) P Rᵀ,    u = P Qᵀ

    Args:
        mu: μ in [0, 1).
        eps: ε ≥ 0.
        rank_fraction: r over the smaller side, rounded up, in (0, 1].
        randomized: P by a randomised Cholesky QR, which is made of products.
        out_axis: the side of the outputs, the rows of B: -1 or 0.
        precision: that of every product.
        axes: which axes are rows and columns, as in `Orthogonalize`; each matrix of a
            leaf has its own Q.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    P is a constant in derivatives.

    Reference: Ahn et al., "Dion: distributed orthonormalized updates", 2025, Algorithm
    1, arXiv:2504.05295.
    """

    mu: Hyper = hyper(0.95, allowed=FRACTION)
    eps: Hyper = hyper(1e-8, allowed=NON_NEGATIVE)
    rank_fraction: float = option(
        1.0, above=0.0, most=1.0, advice="It is a share of the smaller side."
    )
    randomized: bool = option(False)
    out_axis: int = option(-1, least=-2, most=1, advice="A matrix has two axes.")
    precision: Any = option(HIGHEST)
    axes: Any = option(None)
    axis_name: Any = option(None)

    def slots(self) -> dict[str, Slot]:
        return {
            "momentum": Slot(),
            "right_factor": Slot(
                shape_of=self._starts,
                labelled_by=self.axes,
                single_array_because="Its columns are iterated from step to step.",
            ),
        }

    def _starts(self, axes: MatrixAxes | None, param: Array) -> Array:
        """Return the first Q of a leaf, (in, r), or (k, in, r) for several matrices."""
        layout = self._layout_by(axes, param)
        here, rows, columns = self._pieces(layout, param)
        first = self._start(layout, param.dtype)
        if layout.sizes[0] == 1:
            return first
        each = self._stack(here, param).sum((1, 2), keepdims=True)
        return first + across(each, _both(rows, columns))  # split as the batch is

    def _start(self, layout: Layout, dtype: Any) -> Array:
        """Return the first Q of each matrix, (in, r)."""
        _, *sides = layout.sizes
        rank = math.ceil(self.rank_fraction * min(sides))
        inputs = sides[["rows", "columns"].index(self._inputs)]
        return (Uniform(key_of(0))((inputs, rank)) - 0.5).astype(dtype)

    def _pieces(self, layout: Layout, x: Array) -> tuple[Layout, Split, Split]:
        """Return the axes of a piece of the leaf, and how a `shard_map` splits B.

        The first says over which mesh axes the rows of B are split, the second which
        split its columns: its outputs and its inputs.
        """
        by = {}
        dims = dims_of(self.axis_name, x.ndim)
        for side in ("rows", "columns"):
            first, *others = getattr(layout, side)
            by[side] = along(self.axis_name, (first,), x.ndim)
            cut = by[side].names and getattr(layout, f"split_{side}") > 1
            if cut or any(dims[axis] for axis in others):
                raise errors.AdamxError(
                    f"LowRankOrthogonal: inside shard_map a leaf must be split along "
                    f"its batch, or the first axis of rows or columns that are not "
                    f"cut, got mesh axes {dims} for the shape {layout.shape} with the "
                    f"{side} {getattr(layout, side)}. Split it otherwise, or update it "
                    f"by adamx.muon, which gathers it."
                )
        inputs = by.pop(self._inputs)
        (outputs,) = by.values()
        return layout._replace(shape=x.shape), outputs, inputs

    def _stack(self, layout: Layout, x: Array) -> Array:
        """Return the matrices (k, rows, columns) of a leaf, which stay where they are.

        JAX merges no split axes on Explicit axes: what is folded is gathered there.
        """
        folded = layout.is_folded and is_divided(x)
        return layout.stack(unsharded(x, layout.apart) if folded else x)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        layout = self._layout(update, ctx)
        here, rows, columns = self._pieces(layout, update)
        old, begins = slots["right_factor"], (ctx.count == 1).astype(update.dtype)
        first = begins * self._start(layout, update.dtype)

        def one(g: Array, m: Array, old: Array) -> tuple[Array, Array, Array]:
            begun = first + (1 - begins) * old
            turned = self._inputs == "rows"
            g, m = (x.T if turned else x for x in (g, m))
            u, m, kept = self._step(m + g, begun, old, rows, columns)
            return u.T if turned else u, m.T if turned else m, kept

        g, m = (self._stack(here, x) for x in (update, slots["momentum"]))
        if layout.sizes[0] == 1:
            u, m, kept = one(g[0], m[0], old)
            u, m = u[None], m[None]
        else:
            u, m, kept = jax.vmap(one)(g, m, old)
        u, m = (here.unstack(x) for x in (u, m))
        if layout.is_folded:
            u, m = (placed_like(x, update) for x in (u, m))
        return u, slots | {"momentum": m, "right_factor": kept}

    def _step(
        self, b: Array, q: Array, old: Array, rows: Split, columns: Split
    ) -> tuple[Array, Array, Array]:
        """Return the update, the momentum and Q of one matrix B, (out, in)."""
        found = jnp.any(b != 0).astype(b.dtype)
        some = across(found, _both(rows, columns)) > 0
        some = some.astype(b.dtype)
        fixed = jax.lax.stop_gradient
        p = fixed(across(narrow_product(b, own(q, columns), self.precision), columns))
        p = some * own(self._orthonormal(whole(p, rows)), rows)
        r = across(narrow_product(b.T, p, self.precision), rows)
        norms = jnp.sqrt(across(jnp.sum(fixed(r) ** 2, 0, keepdims=True), columns))
        new = safe_divide(r, norms + self.eps)
        if self.randomized:  # what it found no direction for
            ends = across(jnp.sum(fixed(p) ** 2, 0, keepdims=True), rows) > 0
            some = ends.astype(b.dtype)
        new = some * new + (1 - some) * placed_as(own(q, columns), new)
        times = functools.partial(product, precision=self.precision)
        u, m = times(p, new.T), b - (1 - self.mu) * times(p, r.T)
        return u, m, placed_as(whole(new, columns), old)

    def _orthonormal(self, p: Float[Array, "m r"]) -> Array:
        """Return Q of the QR decomposition."""
        m, r = p.shape
        if not self.randomized or m <= r:
            return orthonormal(p)
        k = 128 * math.ceil(OVERSAMPLE * r / 128)
        sketch = normal(key_of(1), (k, m), p.dtype) * k**-0.5
        return randomized_orthonormal(p, sketch)

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        layout = layout_of(self, leaf, named[0])
        k, m, n = layout.sizes
        rank = math.ceil(self.rank_fraction * min(m, n))
        rows = self._inputs == "rows"
        axes, size = (layout.rows, m) if rows else (layout.columns, n)
        inputs = Side(axes, size, "right_factor", (size, rank))
        why = f"{named[1] or TWO}; rank {rank} of {min(m, n)}"
        return MatrixView("Dion", why, k, (m, n), (inputs,))


def _both(rows: Split, columns: Split) -> Split:
    """Return over which mesh axes one matrix is split."""
    return Split((*rows.names, *columns.names))
