"""Preconditioners of the two sides of a matrix: Shampoo's roots, SOAP's bases.

A tensor of more than two axes is taken as the matrix of its last axis against the
others together. Inside `shard_map` the rows are gathered, and every device does the
whole; the statistics are those of the whole matrix.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine import hyperparams as hyper
from .engine.masks import as_mask
from .engine.rule import Rule
from .engine.state import Leaf, Slot, Slots
from .engine.value import Value
from .numerics.arithmetic import lerp, one_minus_power, safe_divide
from .numerics.matrices import symmetric_power
from .numerics.norms import own, shards, whole
from .parts.denominators import AddEps, Eps


class _TwoSided(Rule):
    """What the two have in common: a left and a right statistic of each matrix."""

    def reach(self) -> str:
        return "per tensor"

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The lengths of the two sides that have a statistic; 0 for none."""
        sizes = [0, 0]
        if len(shape) >= 2:
            rows = shape[0] * shards(self.axis_name)  # pyright: ignore[reportAttributeAccessIssue]
            for n in shape[1:-1]:
                rows *= n
            sizes = [rows, shape[-1]]
        limit = self.max_dim  # pyright: ignore[reportAttributeAccessIssue]
        return tuple(n if n <= limit else 0 for n in sizes)  # pyright: ignore[reportReturnType]

    def _square(self, side: int) -> Any:
        """The shape of the statistic of one side."""

        def like(p: Any) -> Any:
            n = self._sides(p.shape)[side]
            return jnp.zeros((n, n) if n else (0,), p.dtype)

        return like

    def _matrix(self, x: Any) -> Any:
        x = whole(x, self.axis_name)  # pyright: ignore[reportAttributeAccessIssue]
        return x.reshape(-1, x.shape[-1])

    def _own(self, x: Any, like: Any) -> Any:
        rows = like.shape[0] * shards(self.axis_name)  # pyright: ignore[reportAttributeAccessIssue]
        return own(x.reshape(rows, *like.shape[1:]), self.axis_name)  # pyright: ignore[reportAttributeAccessIssue]


class InverseRoots(_TwoSided):
    """Shampoo: `L^(-1/4) G R^(-1/4)`, L = ε I + Σ G Gᵀ, R = ε I + Σ Gᵀ G.

    A vector has one statistic, ε I + Σ g gᵀ, and the power -1/2; so has a scalar.

    Args:
        eps: ε > 0, in units of the gradient squared.
        exponent: in place of -1/4 (and -1/2).
        max_dim: a longer side is left as it is.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568.
    """

    eps: hyper.Hyper = hyper.hyper(1e-4, allowed=hyper.NON_NEGATIVE)
    exponent: float | None = None
    max_dim: int = hyper.option(10_000)
    axis_name: Any = hyper.option(None)

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        if len(shape) >= 2:
            return super()._sides(shape)
        n = shape[0] * shards(self.axis_name) if shape else 1
        return (n if n <= self.max_dim else 0, 0)

    def slots(self) -> dict[str, Slot]:
        return {
            "left": Slot(like=self._square(0)),
            "right": Slot(like=self._square(1)),
        }

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        order = 2 if update.ndim >= 2 else 1
        sides = self._sides(update.shape)
        if order == 2:
            u = g = self._matrix(update)
        else:
            u = g = whole(jnp.atleast_1d(update), self._split(update))[:, None]
        power = -1 / (2 * order) if self.exponent is None else self.exponent
        new = {}
        for name, n, x in (("left", sides[0], g), ("right", sides[1], g.T)):
            h = slots[name]
            if n:
                h = jnp.where(leaf.count == 1, self.eps * jnp.eye(n, dtype=x.dtype), h)
                h = self._gather(h, x @ x.T)
                root = symmetric_power(h, power)
                u = root @ u if name == "left" else u @ root
            new[name] = h
        if order == 2:
            return self._own(u, update), slots | new
        u = own(u[:, 0], self._split(update)).reshape(update.shape)
        return u, slots | new

    def _split(self, x: Any) -> Any:
        return self.axis_name if x.ndim else None

    def _gather(self, h: Any, square: Any) -> Any:
        return h + square


class AveragedInverseRoots(InverseRoots):
    """Shampoo with averages in place of the sums: `L ← β₂ L + (1 - β₂) G Gᵀ`.

    Args: as in `InverseRoots`, and b2: β₂ in [0, 1).

    Reference: Anil et al., "Scalable second order optimization for deep learning",
    2020, arXiv:2002.09018.
    """

    b2: hyper.Hyper = hyper.hyper(0.999, allowed=hyper.FRACTION)

    def _gather(self, h: Any, square: Any) -> Any:
        return lerp(h, square, self.b2)


class AsB2(Value):
    """Stands for the decay β₂ where another one could be given."""


class InEigenbasis(_TwoSided):
    """SOAP: Adam in the eigenbasis of Shampoo's statistics.

    Leaves of fewer than two axes have no basis: they are Adam's, from the second
    gradient on.

    Args:
        b1: β₁ in [0, 1); b2: β₂ in [0, 1).
        shampoo_beta: the decay of L and R; `AsB2()` for β₂.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0, λ θ is added from the second gradient on; mask: the leaves
            that decay.
        precondition_frequency: the bases are refreshed every so many steps.
        sort: sort the columns by their share before each refresh (the authors' code).
        max_dim: a longer side keeps the basis it has.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    In derivatives the bases are constants.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """

    b1: hyper.Hyper = hyper.hyper(0.95, allowed=hyper.FRACTION)
    b2: hyper.Hyper = hyper.hyper(0.95, allowed=hyper.FRACTION)
    shampoo_beta: Any = hyper.hyper(AsB2(), allowed=hyper.FRACTION, or_part=AsB2)
    eps: hyper.Hyper | Eps = hyper.hyper(1e-8, allowed=hyper.NON_NEGATIVE, or_part=Eps)
    weight_decay: hyper.Hyper = hyper.hyper(0.0, allowed=hyper.NON_NEGATIVE)
    mask: Any = None
    precondition_frequency: int = hyper.option(10)
    sort: bool = hyper.option(False)
    max_dim: int = hyper.option(10_000)
    axis_name: Any = hyper.option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("InEigenbasis", self.mask))

    def reads_param(self) -> bool:
        return not hyper.is_zero(self.weight_decay)

    def slots(self) -> dict[str, Slot]:
        slots = {"mu": Slot(), "nu": Slot(signed=False)}
        for side, name in enumerate(("left", "right")):
            slots[name] = Slot(like=self._square(side))
            slots[f"{name}_basis"] = Slot(
                like=self._square(side), alone="Its columns must stay orthogonal."
            )
        for name, decay in (("mu", self.b1), ("nu", self.b2)):
            if not hyper.is_constant(decay):
                slots[f"{name}_weight"] = Slot(
                    shared=True, signed=False, from_count=_weight_of(decay)
                )
        return slots

    def tick(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        weights = {}
        for name, decay in (("mu_weight", self.b1), ("nu_weight", self.b2)):
            if name in kept:
                more = lerp(kept[name], jnp.ones_like(count), decay)
                weights[name] = jnp.where(count > 1, more, kept[name])
            else:
                weights[name] = one_minus_power(decay, count - 1)
        return weights

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        first = leaf.count == 1
        matrix = update.ndim >= 2
        sides = self._sides(update.shape)
        bases = [slots["left_basis"], slots["right_basis"]]

        def rotate(x: Any, back: bool = False) -> Any:
            left, right = (q.T if back and matrix else q for q in bases)
            x = left.T @ x if matrix and sides[0] else x
            return x @ right if matrix and sides[1] else x

        g, m, v = update, slots["mu"], slots["nu"]
        if matrix:
            g, m, v = (self._matrix(x) for x in (g, m, v))
        m = jnp.where(first, m, lerp(m, g, self.b1))
        v = jnp.where(first, v, lerp(v, rotate(g) ** 2, self.b2))
        w1, w2 = (
            jnp.where(first, 1, leaf.shared[n]) for n in ("mu_weight", "nu_weight")
        )
        eps = self.eps if isinstance(self.eps, Eps) else AddEps(self.eps)
        u = rotate(safe_divide(rotate(m) / w1, eps.denominator(v / w2, w2)), back=True)
        u = jnp.where(first, 0, u)
        new = {"mu": m, "nu": v}
        if matrix:
            same = isinstance(self.shampoo_beta, AsB2)
            beta = self.b2 if same else self.shampoo_beta
            statistics = [
                lerp(slots[name], x @ x.T, beta) if n else slots[name]
                for name, n, x in (("left", sides[0], g), ("right", sides[1], g.T))
            ]
            bases, v = self._refreshed(leaf.count, statistics, bases, v, sides)
            new = {"mu": self._own(m, update), "nu": self._own(v, update)}
            new |= {"left": statistics[0], "right": statistics[1]}
            u = self._own(u, update)
        if self.reads_param() and leaf.selects(self.mask):
            u = u + jnp.where(first, 0, self.weight_decay) * leaf.param
        new |= {"left_basis": bases[0], "right_basis": bases[1]}
        return u, slots | new

    def _refreshed(
        self, count: Any, statistics: list, bases: list, v: Any, sides: Any
    ) -> tuple[list, Any]:
        """The bases for the next step, and v in their order."""
        live = [side for side in (0, 1) if sides[side]]
        fixed = [jax.lax.stop_gradient(h) for h in statistics]

        def keep(bases: list, v: Any) -> tuple[list, Any]:
            return bases, v

        def begin(bases: list, v: Any) -> tuple[list, Any]:
            new = list(bases)
            for side in live:
                new[side] = jnp.linalg.eigh(fixed[side])[1][:, ::-1]
            return new, v

        def iterate(bases: list, v: Any) -> tuple[list, Any]:
            new = list(bases)
            for side in live:
                h, q = fixed[side], bases[side]
                if self.sort:
                    order = jnp.argsort(-jnp.sum(q * (h @ q), 0))
                    q, v = q[:, order], jnp.take(v, order, side)
                new[side] = jnp.linalg.qr(h @ q)[0]
            return new, v

        due = (count - 1) % self.precondition_frequency == 0
        index = jnp.where(count == 1, 1, jnp.where(due, 2, 0))
        held = [jax.lax.stop_gradient(q) for q in bases]
        return jax.lax.switch(index, [keep, begin, iterate], held, v)


def _weight_of(decay: Any) -> Any:
    """The weight of an average after `count` steps, the first of which it skips."""

    def weight(count: Array) -> Array:
        now = decay(count) if callable(decay) else decay
        return one_minus_power(jnp.asarray(now, count.dtype), jnp.maximum(count - 1, 0))

    return weight
