"""One optimizer's step compiled for one target: the figures of its program."""

import time
from typing import Any

import jax

from benchmarks.cost.compiled.program import Program
from benchmarks.cost.compiled.targets import Target, placed
from benchmarks.cost.harness.measure import step_of
from benchmarks.cost.memory.sizes import parameters


def held(tree: Any) -> int:
    """The bytes of a tree's arrays."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def compiled(
    tx: Any, shaped: Any, target: Target, step: Any = None
) -> tuple[dict[str, Any], str]:
    """The figures, and the text of the program.

    `ideal` are the bytes of gradients read, parameters and state read and written, once
    each; `seconds` is the time in which the target's memory moves the program's bytes.
    All bytes are per parameter.
    """
    n = parameters(shaped)
    state = jax.eval_shape(tx.init, shaped)
    arguments = placed(target, (shaped, state, shaped))
    step = step_of(tx) if step is None else jax.jit(step, donate_argnums=(0, 1))
    traced = step.lower(*arguments)
    began = time.perf_counter()
    done = traced.compile()
    took = time.perf_counter() - began
    text = done.as_text()
    counts = Program(text).counts()
    return {
        "kernels": counts.kernels,
        "kernels run": counts.kernels_run,
        "products": counts.products,
        "products run": counts.products_run,
        "collectives": counts.collectives,
        "bytes": round(counts.bytes / n, 2),
        "ideal": round((2 * held(shaped) + 2 * held(state) + held(shaped)) / n, 2),
        "temporaries": round(done.memory_analysis().temp_size_in_bytes / n, 2),
        "seconds": counts.bytes / target.bandwidth,
        "compile": round(took, 1),
    }, text
