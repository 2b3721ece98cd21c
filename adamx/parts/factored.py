"""Factored second moments: averages kept as the means of their rows and columns.

A tensor of two axes or more is factored over its last two; axes before them are
stacks of matrices. Inside `shard_map` the leaves are split along their first axis.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

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
from .moments import Reading, square


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
        min_dim_size_to_factor: the least length of the two axes.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.
        least_mean: the least mean(r) ≥ 0 by which r cᵀ is divided; torch has one.

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

    def factors(self, shape: tuple[int, ...]) -> bool:
        """Return whether a leaf of this shape is factored."""
        if len(shape) < 2:
            return False
        sides = whole_shape(shape, self.axis_name)[-2:]
        return min(sides) >= self.min_dim_size_to_factor

    def slots(self) -> dict[str, Slot]:
        def like(reduce: Any, factored: bool) -> Any:
            # an array is made here, not when the rule is built: that starts a backend
            def shaped(p: Array) -> Array:
                wanted = self.factors(p.shape) == factored
                return reduce(p) if wanted else jnp.zeros((0,), p.dtype)

            return shaped

        def sum_of(axis: int) -> Any:
            return lambda p: p.sum(axis)

        whole = {self.name: Slot(shape_of=like(lambda p: p, False), signed=False)}
        return {
            f"{self.name}_row": Slot(shape_of=like(sum_of(-1), True), signed=False),
            f"{self.name}_col": Slot(shape_of=like(sum_of(-2), True), signed=False),
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
        rows, columns = (along(self.axis_name, (a,), x.ndim) for a in (-2, -1))

        row, col = f"{self.name}_row", f"{self.name}_col"
        r = lerp(slots[row], mean(x, -1, columns), decay)
        c = lerp(slots[col], mean(x, -2, rows), decay)
        whole = mean(r, -1, rows)
        if self.least_mean:
            whole = jnp.maximum(whole, self.least_mean)
        share = safe_divide(r, whole[..., None])
        v = share[..., None] * c[..., None, :]
        some = (r[..., None] > 0) & (c[..., None, :] > 0)  # v may be below the range
        v = jnp.where(some, jnp.maximum(v, jnp.finfo(v.dtype).tiny), v)
        return v, slots | {row: r, col: c}
