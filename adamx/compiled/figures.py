"""One optimizer's step, compiled for one target: what its program does."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import optax

from .program import Program
from .targets import Target, placed


@dataclasses.dataclass(frozen=True)
class CompiledStep:
    """Describe the program of one step: `update` and `apply_updates`, donated.

    Of what `adamx.fused` returned it is that of `adamx.step`.

    Bytes are those of the operands and results of kernels: a cache may spare some. They
    are given per parameter.

    Attributes:
        target: the machine that it was compiled for.
        kernels: how many kernels the program has.
        kernels_run: how many it runs: those in a loop count once a turn.
        products: how many products of matrices the program has.
        products_run: how many it computes.
        collectives: how many transfers between devices.
        bytes: what its kernels read and write.
        ideal: the fewest possible: the gradients are read, the parameters and the state
            are read and written, once each.
        temporaries: what it needs besides its arguments and results.
        seconds: the time in which the memory of the target moves all these bytes; a
            step takes at least that, and more if it is made of many small kernels.
        compile_seconds: how long its compilation took here.
        text: the program, as XLA prints it.
    """

    target: str
    kernels: float
    kernels_run: float
    products: float
    products_run: float
    collectives: float
    bytes: float
    ideal: float
    temporaries: float
    seconds: float
    compile_seconds: float
    text: str = dataclasses.field(repr=False)

    def __str__(self) -> str:
        return (
            f"One step on {self.target}: {self.kernels_run:,g} kernels, "
            f"{self.bytes:.4g} bytes read and written a parameter (at least "
            f"{self.ideal:.4g}), {self.temporaries:.4g} bytes of temporaries a "
            f"parameter, {self.collectives:g} collectives; moving these bytes takes "
            f"{self.seconds * 1e3:.3g} ms."
        )


def held(tree: Any) -> int:
    """Return the bytes of a tree's arrays."""
    return sum(
        math.prod(x.shape) * jax.dtypes.itemsize_bits(x.dtype) // 8
        for x in jax.tree.leaves(tree)
    )


Step: TypeAlias = Callable[[Any, Any, Any], Any]
"""`step(params, state, grads) -> params, state`."""


def step_of(tx: Any) -> Step:
    """Return one step as a training loop has it, without `jax.jit`."""

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step


def compiled(
    tx: Any, params: Any, target: Target, step: Step | None = None
) -> CompiledStep:
    """Compile one step for a target, from the shapes of the parameters alone.

    Args:
        tx: the transformation.
        params: arrays or their shapes and dtypes.
        target: one of `TARGETS`.
        step: `step(params, state, grads)`, if not `update` and `apply_updates`.
    """
    state = jax.eval_shape(tx.init, params)
    arguments = placed(target, (params, state, params))
    lowered = jax.jit(step or step_of(tx), donate_argnums=(0, 1)).lower(*arguments)
    return figures_of(lowered, target, params, state)


def figures_of(lowered: Any, target: Target, params: Any, state: Any) -> CompiledStep:
    """Compile a step that is lowered, and count what its program does."""
    n = max(sum(math.prod(x.shape) for x in jax.tree.leaves(params)), 1)
    began = time.perf_counter()
    done = lowered.compile()
    took = time.perf_counter() - began
    text = done.as_text() or ""
    counts = Program(text).counts()
    return CompiledStep(
        target.name,
        counts.kernels,
        counts.kernels_run,
        counts.products,
        counts.products_run,
        counts.collectives,
        round(counts.bytes / n, 2),
        round((3 * held(params) + 2 * held(state)) / n, 2),
        round(done.memory_analysis().temp_size_in_bytes / n, 2),
        counts.bytes / target.bandwidth,
        round(took, 1),
        text,
    )
