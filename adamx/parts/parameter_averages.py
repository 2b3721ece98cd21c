"""Averages of the parameters, with which the model is evaluated.

Each rule is the last of a chain. It takes the step of the parts before it and keeps a
second point in the state. `eval_params` computes the point to evaluate with from the
state and the parameters alone, by the share in the slot `<name>_share`:

    evaluate at  θ + share (point - θ)
"""

from typing import Any

import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    UNIT,
    Hyper,
    Interval,
    hyper,
    option,
)
from ..engine.nested import by_path, check_readable, find_states, map_params
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots, State, copied, is_absent
from ..engine.tree import shared_dtype
from ..numerics.arithmetic import compute_dtype, gathered_weight

_SHARE = "_share"


def _point(name: str) -> dict[str, Slot]:
    point = Slot(
        init=copied, single_array_because="eval_params reads it, from the state alone."
    )
    return {name: point, name + _SHARE: Slot(shared=True)}


class _Averaging(Rule):
    """A rule that needs the parameter: the base of all averages."""

    takes = "step"

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}


class PrimalAveraging(_Averaging):
    """Average the iterates z into x, and take gradients between them, at y.

        z ← z + u,    x ← x + c (z - x),    y ← β x + (1 - β) z

    The parameters are y; evaluate at x, which is computed from y and z.

    Args:
        inner: β in (0, 1], how much of x is in y; with 1, x is y.
        decay: 1 - c in [0, 1), the weight of the past in x.
        name: the slot that holds z.

    Reference: Defazio et al., "Smoothing DiLoCo with primal averaging for faster
    training of LLMs", 2025, arXiv:2512.17131 (μ_y = `inner`, μ_x = `decay`).
    """

    inner: Hyper = hyper(
        allowed=Interval(0.0, 1.0, "(]", "It is how much of x is in y."),
        public="mu_y",
    )
    decay: Hyper = hyper(
        allowed=FRACTION.but("It is the weight of the past in the average."),
        public="mu_x",
    )
    name: str = option("z")

    def slots(self) -> dict[str, Slot]:
        return _point(self.name)

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        before = kept[self.name + _SHARE]
        c = jnp.full_like(count, 1) * (1 - self.decay)
        return _shares(self.name, before, self.inner, c)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return _average(self.name, self.inner, update, slots, ctx)


class ScheduleFree(_Averaging):
    """Average the iterates with weights from the learning rate (schedule-free).

        w_k = k^r (max rate so far)^p,    c = w_k / Σ w_i        (k = 1, 2, …)

    Args:
        learning_rate: the rate of the steps it is given, for the weights only.
        b1: β in (0, 1], how much of x is in y; it replaces Adam's momentum.
        weight_lr_power: p.
        r: the power of the step.
        scaled_by: a shared slot of a part before it, by which the rate is multiplied:
            "d" after `prodigy`, which finds its rate itself.
        name: the slot that holds z.

    Raises:
        ValueError: no part right before it in the chain has the slot `scaled_by`.

    Reference: Defazio et al., "The road less scheduled", NeurIPS 2024, eq. 3-5,
    arXiv:2405.15682, with the weights of the authors' code.
    """

    learning_rate: Hyper = hyper(allowed=NON_NEGATIVE)
    b1: Hyper = hyper(
        0.9, allowed=Interval(0.0, 1.0, "(]", "It is how much of x is in y.")
    )
    weight_lr_power: Hyper = hyper(2.0, allowed=NON_NEGATIVE)
    r: Hyper = hyper(0.0, allowed=NON_NEGATIVE)
    name: str = option("z")
    scaled_by: str | None = option(None)

    def slots(self) -> dict[str, Slot]:
        sums = {"learning_rate_max": Slot(shared=True), "weight_sum": Slot(shared=True)}
        return _point(self.name) | sums

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        rate = self.learning_rate * self._scale(kept)
        largest = jnp.maximum(kept["learning_rate_max"], rate)
        weight = count**self.r * largest**self.weight_lr_power
        total = kept["weight_sum"] + weight
        c = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1), 0)
        before = kept[self.name + _SHARE]
        sums = {"learning_rate_max": largest, "weight_sum": total}
        return sums | _shares(self.name, before, self.b1, c)

    def _scale(self, kept: dict[str, Array]) -> Any:
        if self.scaled_by is None:
            return 1
        if self.scaled_by not in kept:
            known = sorted(kept.keys() - self.slots().keys())
            raise errors.AdamxError(
                f"ScheduleFree: `scaled_by` must name a shared slot of a part right "
                f"before it in the chain, got {self.scaled_by!r} where there is "
                f"{errors.listed(known) or 'none'}. Write for example "
                f'chain(prodigy(betas=(0.0, 0.99)), ScheduleFree(1.0, scaled_by="d")).'
            )
        return kept[self.scaled_by]

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return _average(self.name, self.b1, update, slots, ctx)


def _shares(name: str, before: Array, inner: Any, c: Array) -> dict[str, Array]:
    """Return the shares of z - y in x = y + (1 - 1 / β)(z - y), before and after."""
    after = jnp.full_like(before, 1) * (1 - 1 / inner)
    return {f"{name}_before": before, f"{name}_c": c, name + _SHARE: after}


def _average(
    name: str, inner: Any, update: Array, slots: Slots, ctx: Context
) -> tuple[Array, Slots]:
    y, z = ctx.param, slots[name]
    x = ctx.shared[f"{name}_before"] * (z - y)  # relative to y, so that 0 stays 0
    z = z + update
    x = x + ctx.shared[f"{name}_c"] * (z - y - x)
    return inner * x + (1 - inner) * (z - y), slots | {name: z}


class LookaheadWeights(_Averaging):
    """Move slow weights towards the fast ones every k steps, and reset the fast ones.

        fast ← fast + u;    each k steps:  slow ← slow + α (fast - slow),  fast ← slow

    Args:
        sync_period: k ≥ 1.
        slow_step_size: α in [0, 1].
        name: the slot that holds the slow weights.

    The moments of the parts before it are kept at a synchronisation ("maintaining").

    Reference: Zhang et al., "Lookahead optimizer: k steps forward, 1 step back",
    NeurIPS 2019, Algorithm 1, arXiv:1907.08610.
    """

    sync_period: int = option(5, least=1, kw_only=False, advice="5 is usual.")
    slow_step_size: Hyper = hyper(
        0.8, allowed=UNIT.but("It is the part of the way the slow weights go.")
    )
    name: str = option("slow")

    def slots(self) -> dict[str, Slot]:
        return _point(self.name)

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        return {self.name + _SHARE: jnp.ones_like(count)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        slow, now = slots[self.name], ctx.count % self.sync_period == 0
        fast = ctx.param + update
        moved = jnp.where(now, slow + self.slow_step_size * (fast - slow), slow)
        update = jnp.where(now, moved - ctx.param, update)
        return update, slots | {self.name: moved}


class OuterNesterov(_Averaging):
    """Take an outer step with Nesterov's momentum on the displacement of k steps.

        fast ← fast + u;    each k steps:  Δ = slow - fast,  B ← μ B + Δ,
                            slow ← slow - η (Δ + μ B),  fast ← slow

    Args:
        sync_period: k ≥ 1.
        outer_learning_rate: η ≥ 0.
        outer_momentum: μ in [0, 1).
        name: the slot that holds the slow weights; `<name>_momentum` holds B.

    The moments of the parts before it are kept.

    Reference: Kallusky et al., "SNOO: step-K Nesterov outer optimizer", 2025,
    arXiv:2510.15830; Douillard et al., "DiLoCo", 2023, Algorithm 1, arXiv:2311.08105.
    """

    sync_period: int = option(28, least=1, kw_only=False, advice="About 30 is usual.")
    outer_learning_rate: Hyper = hyper(0.68, allowed=NON_NEGATIVE)
    outer_momentum: Hyper = hyper(0.37, allowed=FRACTION)
    name: str = option("slow")

    def slots(self) -> dict[str, Slot]:
        return _point(self.name) | {f"{self.name}_momentum": Slot()}

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        return {self.name + _SHARE: jnp.ones_like(count)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        slow, before = slots[self.name], slots[f"{self.name}_momentum"]
        delta = slow - (ctx.param + update)
        outer = self.outer_momentum * before + delta
        step = self.outer_learning_rate * (delta + self.outer_momentum * outer)
        now = ctx.count % self.sync_period == 0
        moved = jnp.where(now, slow - step, slow)
        update = jnp.where(now, moved - ctx.param, update)
        new = {self.name: moved, f"{self.name}_momentum": jnp.where(now, outer, before)}
        return update, slots | new


class ParamEma(_Averaging):
    """Keep a bias-corrected exponential moving average of the parameters.

        θ̄ ← β θ̄ + (1 - β) θ from θ̄ = 0,    evaluate at θ̄ / (1 - βᵗ)

    The slot holds the corrected average, without the initial θ. The update is not
    changed.

    Args:
        decay: β in [0, 1), a number or an array.
        name: the slot that holds the average.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    section 7.2, arXiv:1412.6980.
    """

    decay: Hyper = hyper(
        0.999,
        allowed=FRACTION.but("It is the weight of the past."),
        public="ema_decay",
    )
    name: str = option("average")

    def slots(self) -> dict[str, Slot]:
        return _point(self.name) | {f"{self.name}_weight": Slot(shared=True)}

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        weight = gathered_weight(self.decay, kept[f"{self.name}_weight"], count)
        return {
            f"{self.name}_weight": weight,
            f"{self.name}_c": (1 - self.decay) / weight,
            self.name + _SHARE: jnp.ones_like(count),
        }

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        mean = slots[self.name]
        mean = mean + ctx.shared[f"{self.name}_c"] * (ctx.param + update - mean)
        return update, slots | {self.name: mean}


# ---- where to evaluate ---------------------------------------------------------


def _points(state: Any) -> list[tuple[Any, Any]]:
    """Return every (point, share) in any nesting of states."""
    found = []
    for one in find_states(state, State):
        shares = [name for name in one.slots if name.endswith(_SHARE)]
        names = [name.removesuffix(_SHARE) for name in shares]
        found += [(one.slots[name], one.slots[name + _SHARE]) for name in names]
    # Optax's own: x is y + (1 - 1 / β)(z - y), too
    for one in find_states(state, optax.contrib.ScheduleFreeState):
        found.append((one.z, 1 - 1 / jnp.asarray(one.b1).astype(shared_dtype())))
    return found


def has_average(state: Any) -> bool:
    """Return whether a state has an average of the parameters."""
    return bool(_points(state))


def eval_params(state: Any, params: Any) -> Any:
    """Return the parameters to evaluate with: the average if there is one, or `params`.

    It is a pure function and looks through any chain, mask or partition. The dtypes are
    those of `params`. State and parameters may be in the boxes of Flax
    (`optimizer.opt_state`, `nnx.state(optimizer)`, `nnx.state(model, nnx.Param)`), or
    dicts made of them; the result is like `params`.

    Args:
        state: the state of any transformation with averaging parts (`ScheduleFree`,
            `PrimalAveraging`, `LookaheadWeights`, `OuterNesterov`, `ParamEma`, and
            Optax's `schedule_free`), or without.
        params: the parameters that go with it.

    Raises:
        ValueError: two parts of one chain average the same leaf, or the state is not
            that of these parameters.
        TypeError: nothing in the state can be read.
    """
    check_readable("eval_params", state, (State,))
    taken: set[str] = set()
    for point, share in _points(state):
        kept = by_path("eval_params", point, params)
        live = {path for path, x in kept.items() if not is_absent(x)}
        if live & taken:
            raise errors.AdamxError(
                "eval_params: one part must average a leaf, got two. Pass the part of "
                "the state that is meant."
            )
        taken |= live

        def one(path: str, p: Any, kept: Any = kept, share: Any = share) -> Any:
            if path not in kept or is_absent(kept[path]):
                return p
            dtype = compute_dtype(p.dtype, kept[path].dtype)
            wide, there = p.astype(dtype), kept[path].astype(dtype)
            return (wide + share.astype(dtype) * (there - wide)).astype(p.dtype)

        params = map_params(one, params)
    return params
