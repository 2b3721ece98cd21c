"""Factored second moments: averages kept as the means of their rows and columns.

A tensor of two axes or more is factored over its last two, or over those that `axes`
says; the other axes are stacks of matrices. Inside `shard_map` the leaves are split
along their first axis.
"""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    Hyper,
    check_fields,
    hyper,
    option,
)
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..engine.value import Value
from ..numerics.arithmetic import lerp, safe_divide
from ..numerics.norms import mean
from ..numerics.splits import along, whole_shape
from .layer_axes import TWO
from .matrix_axes import MatrixAxes
from .matrix_views import MatrixView, Named, Side, of_elements
from .moments import Reading, square

_LAST = MatrixAxes(-2, -1)


class PowerDecaySchedule(Value):
    """Compute the decay `1 - t**-c`, which grows with t and needs no bias correction.

    Reference: Shazeer & Stern, "Adafactor", ICML 2018, section 7.2, arXiv:1804.04235.
    """

    decay_rate: Hyper = hyper(0.8, allowed=POSITIVE.but("0.8 is the paper's."))

    def __post_init__(self) -> None:
        check_fields(self)


class FactoredSecondMoment(Rule):
    """Keep an average as its row means r and column means c (Adafactor).

        v ← β v + (1 - β)(f(g) + ε)

        v = r cᵀ / mean(r)

    Where r and c are positive and v is below the range of the dtype, it is the smallest
    normal number, so that no update is divided by 0.

    Args:
        decay: β in [0, 1), or `PowerDecaySchedule()`.
        of: the statistic f of the gradient.
        name: the slots are `<name>_row`, `<name>_col`, and `<name>` for the leaves that
            are not factored.
        eps: ε ≥ 0, in units of f(g).
        public: the public name of the decay.
        keep_whole: whether leaves that are not factored keep an average of every
            element; if False they keep nothing, and v is 1.
        min_dim_size_to_factor: the least length of the rows and of the columns.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.
        least_mean: the least mean(r) ≥ 0 by which r cᵀ is divided; torch has one.
        axes: the rows and the columns of leaves of more than two axes, `MatrixAxes`
            without splits: `MatrixAxes(0, 1)` factors the spatial axes of a kernel
            (height, width, in, out), as torch does, `MatrixAxes((0, 1, 2), 3)` factors
            it as inputs × outputs. None for the last two. Two axes are always a matrix.

    Raises:
        ValueError: an argument out of its range; `axes` with splits; a leaf of more
            than two axes that lacks one of them.

    Reference: Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear
    memory cost", ICML 2018, Algorithm 2, arXiv:1804.04235.
    """

    scope = "tensor"

    decay: Any = hyper(
        allowed=FRACTION,
        or_part=PowerDecaySchedule,
        public=lambda self: self.public,
    )
    of: Reading = square
    name: str = "nu"
    eps: Hyper = hyper(1e-30, allowed=NON_NEGATIVE, public=lambda self: self.public_eps)
    public: str = option("b2")
    public_eps: str = option("eps")
    keep_whole: bool = option(True)
    min_dim_size_to_factor: int = option(0, least=0)
    axis_name: Any = option(None)
    least_mean: float = option(0.0, least=0)
    axes: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_factored_axes(type(self).__name__, self.axes)

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        shape, alone = tuple(leaf.shape), "elementwise" if self.keep_whole else "none"
        if len(shape) < 2:
            return of_elements(alone, "fewer than two axes")
        rows, columns = self.sides(shape)
        m, n = (math.prod(shape[a] for a in side) for side in (rows, columns))
        if not self.factors(shape):
            least = self.min_dim_size_to_factor
            return of_elements(alone, f"a side below min_dim_size_to_factor={least}")
        sides = (
            Side(rows, m, f"{self.name}_row", (m,)),
            Side(columns, n, f"{self.name}_col", (n,)),
        )
        last = self.axes is None or len(shape) == 2
        how = "axes=" if not last else TWO if len(shape) == 2 else "the last two axes"
        number = math.prod(shape) // max(m * n, 1)
        return MatrixView("factored", how, number, (m, n), sides)

    def sides(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the axes of the rows and those of the columns, counted from 0."""
        axes = _LAST if self.axes is None or len(shape) == 2 else self.axes
        layout = axes.of(shape, type(self).__name__)
        return layout.rows, layout.columns

    def factors(self, shape: tuple[int, ...]) -> bool:
        """Return whether a leaf of this shape is factored."""
        if len(shape) < 2:
            return False
        whole = whole_shape(shape, self.axis_name)
        sizes = [math.prod(whole[a] for a in side) for side in self.sides(shape)]
        return min(sizes) >= self.min_dim_size_to_factor

    def slots(self) -> dict[str, Slot]:
        def like(reduce: Any, factored: bool) -> Any:
            # an array is made here, not when the rule is built: that starts a backend
            def shaped(p: Array) -> Array:
                wanted = self.factors(p.shape) == factored
                return reduce(p) if wanted else jnp.zeros((0,), p.dtype)

            return shaped

        def sum_over(side: int) -> Any:
            return lambda p: p.sum(self.sides(p.shape)[side])

        whole = {self.name: Slot(shape_of=like(lambda p: p, False), signed=False)}
        return {
            f"{self.name}_row": Slot(shape_of=like(sum_over(1), True), signed=False),
            f"{self.name}_col": Slot(shape_of=like(sum_over(0), True), signed=False),
        } | (whole if self.keep_whole else {})

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        if not isinstance(self.decay, PowerDecaySchedule):
            return {}
        return {f"{self.name}_decay": 1 - count**-self.decay.decay_rate}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        power = isinstance(self.decay, PowerDecaySchedule)
        decay = ctx.shared[f"{self.name}_decay"] if power else self.decay
        x = self.of(update, slots) + self.eps
        if not self.factors(x.shape):
            if not self.keep_whole:
                return jnp.ones_like(x), slots
            v = lerp(slots[self.name], x, decay)
            return v, slots | {self.name: v}
        rows, columns = self.sides(x.shape)
        of_rows, of_columns = (
            along(self.axis_name, side, x.ndim) for side in (rows, columns)
        )
        kept_rows = tuple(a - sum(b < a for b in columns) for a in rows)

        row, col = f"{self.name}_row", f"{self.name}_col"
        r = lerp(slots[row], mean(x, columns, of_columns), decay)
        c = lerp(slots[col], mean(x, rows, of_rows), decay)
        whole = mean(r, kept_rows, of_rows)
        if self.least_mean:
            whole = jnp.maximum(whole, self.least_mean)
        share = safe_divide(r, jnp.expand_dims(whole, kept_rows))
        wide, high = jnp.expand_dims(r, columns), jnp.expand_dims(c, rows)
        v = jnp.expand_dims(share, columns) * high
        some = (wide > 0) & (high > 0)  # v may be below the range
        v = jnp.where(some, jnp.maximum(v, jnp.finfo(v.dtype).tiny), v)
        return v, slots | {row: r, col: c}


def check_factored_axes(where: str, axes: Any) -> None:
    """Raise an error unless `axes` is None or says rows and columns without splits."""
    if axes is not None and not isinstance(axes, MatrixAxes):
        raise errors.type_error(
            where,
            "`axes` must be MatrixAxes or None",
            errors.shown(axes),
            "Pass for example MatrixAxes(0, 1), or None for the last two.",
        )
    if axes is not None and axes.split_rows * axes.split_columns > 1:
        raise errors.AdamxError(
            f"{where}: `axes` must not split the rows or the columns, got {axes!r}. "
            f"A factored moment has one mean for each whole row and column."
        )
