"""A user's file, for tests/repository/test_typing.py: pyright checks it strictly."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx


def train(params: dict[str, jax.Array], grads: dict[str, jax.Array]) -> optax.Params:
    tx: adamx.Chain = adamx.adamw(1e-3, weight_decay=np.float32(0.1))
    state = tx.init(params)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates)


def make(rate: float) -> optax.GradientTransformation:
    return adamx.chain(
        adamx.parts.Debiased(adamx.parts.Ema(0.9)), adamx.parts.LearningRate(rate)
    )


class Sign(adamx.Rule):
    b1: adamx.Hyper = adamx.hyper(0.9, allowed="[0, 1)")

    def slots(self) -> dict[str, adamx.Slot]:
        return {"mu": adamx.Slot()}

    def apply(
        self, update: jax.Array, slots: dict[str, jax.Array], ctx: adamx.Context
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        mu = self.b1 * slots["mu"] + (1 - self.b1) * update
        return jnp.sign(mu), slots | {"mu": mu}


def halved(count: int) -> float:
    return 0.5**count


both = optax.chain(optax.clip(1.0), adamx.adam(optax.cosine_decay_schedule(1.0, 10)))
own = adamx.chain(Sign(0.5), adamx.parts.LearningRate(halved))
wrapped: Any = adamx.store(adamx.lion(1e-4), mu=adamx.storage.Blockwise())
plan = adamx.memory_plan(wrapped, {"w": np.zeros(3)})
print(plan.bytes)
