"""Steps of adamx and of Optax for `peers`: compiled, with donated state."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from adamx import storage
from adamx.native import compiler
from benchmarks.cost.harness import measure
from benchmarks.cost.harness.trees import Tree, fresh
from benchmarks.cost.peers.worker import Arrays, Spec
from benchmarks.optax_counterparts import COUNTERPARTS, RATE, Make

# torch and Optax have eps in different places; without it they are the same.
ADAGRAD = dataclasses.replace(
    COUNTERPARTS["adagrad"],
    ours=lambda: adamx.adagrad(RATE, 0.0, 0.0),
    counterpart=lambda: optax.adagrad(RATE, initial_accumulator_value=0.0, eps=0.0),
)
FUSED = "adamx fused"
BFLOAT16 = storage.Cast(jnp.bfloat16)
CODECS = {
    "mu bfloat16": {"mu": BFLOAT16},
    "bfloat16": {"mu": BFLOAT16, "nu": BFLOAT16},
    "8 bits": {"mu": storage.Blockwise(bits=8), "nu": storage.Blockwise(bits=8)},
}
NARROW = {
    "adam": lambda: optax.adam(RATE, mu_dtype=jnp.bfloat16),
    "adamw": lambda: optax.adamw(RATE, weight_decay=1e-2, mu_dtype=jnp.bfloat16),
}


def transformation(spec: Spec) -> Make | None:
    """What builds the side; `None` if it has no such storage."""
    optimizer = ADAGRAD if spec.optimizer == "adagrad" else COUNTERPARTS[spec.optimizer]
    if spec.side == "optax":
        if spec.storage == "mu bfloat16":
            return NARROW.get(spec.optimizer)
        return optimizer.counterpart if spec.storage == "float32" else None

    def ours() -> Any:
        tx = optimizer.ours()
        if spec.storage != "float32":
            tx = adamx.store(tx, **CODECS[spec.storage])
        return adamx.fused(tx) if spec.side == FUSED else tx

    return ours


class Jax:
    def __init__(self, spec: Spec):
        self.spec, self.make = spec, transformation(spec)
        self.tree = Tree("", spec.leaves, spec.size)
        self.program = None
        jax.block_until_ready(jnp.zeros(1))  # the runtime is up

    def missing(self) -> str | None:
        if self.spec.side == FUSED and (reason := compiler.why_not()):
            return reason
        if self.make is not None:
            return None
        return f"optax.{self.spec.optimizer} has no storage in {self.spec.storage}"

    def compile(self, repeats: int) -> list[float]:
        sample = measure.first_call(self.make, self.tree, measure.CLOCKS, True)
        return [sum(sample().values()) for _ in range(repeats)]

    def load(self, params: Arrays, grads: Arrays) -> None:
        if self.program is None:
            self.program = measure.compiled(self.make, self.tree.shaped())
        start = fresh(params)
        self.kept = [start, jax.block_until_ready(jax.jit(self.make().init)(start))]
        self.turn(grads)

    def turn(self, grads: Arrays) -> None:
        self.grads = fresh(grads)

    def step(self, n: int) -> None:
        for _ in range(n):
            self.kept[:] = self.program(*self.kept, self.grads)
        jax.block_until_ready(self.kept)

    def params(self) -> Arrays:
        return {k: np.asarray(x) for k, x in self.kept[0].items()}

    def state_bytes(self) -> int:
        return sum(x.nbytes for x in jax.tree.leaves(self.kept[1]))


def make(spec: Spec) -> Jax:
    return Jax(spec)
