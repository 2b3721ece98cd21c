"""Times torch on the same model: starts the process of `torch_training` and asks it."""

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.cost.harness.measure import Sample
from benchmarks.cost.harness.subprocesses import Process
from benchmarks.training.paper.problem import Problem

ALONE = "torch: gradient alone"
NAMES = (ALONE, "torch: AdamW, foreach", "torch: AdamW, fused")
CLOSE = 1e-4  # relative, of loss and norm of the gradient


def missing() -> str | None:
    """Why torch is not measured."""
    there = importlib.util.find_spec("torch") is not None
    return None if there else "torch is not installed: `pip install torch==2.13.0`"


def flat(tree: Any) -> dict[str, np.ndarray]:
    """Leaves by their path: `blocks/0/norm/scale`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@contextlib.contextmanager
def samples(
    problem: Problem, params: Any, batch: Any, heads: int, steps: int
) -> Iterator[dict[str, Sample]]:
    """What torch does with the same parameters and batch, once checked to be the same.

    Without `heads` the problem is the perceptron, else the transformer.
    """
    parts = batch if isinstance(batch, tuple) else (batch,)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "start.npz")
        arrays = {f"param/{name}": leaf for name, leaf in flat(params).items()}
        arrays |= {f"batch/{i}": np.asarray(part) for i, part in enumerate(parts)}
        np.savez(path, **arrays)
        threads = str(len(os.sched_getaffinity(0)))
        process = Process(
            "torch",
            "benchmarks.training.step_share.torch_training",
            *(str(path), str(heads)),
            env={"OMP_NUM_THREADS": threads},
        )
        try:
            same(problem, params, batch, process.answer())
            yield {name: lambda name=name: process.ask(name, steps) for name in NAMES}
        finally:
            process.end()


def same(problem: Problem, params: Any, batch: Any, theirs: dict[str, float]) -> None:
    """Raises an error if torch's model is another function."""
    loss, grads = jax.value_and_grad(problem.loss)(params, batch, jax.random.key(1))
    ours = {"loss": float(loss), "norm": float(optax.tree.norm(grads))}
    for what, value in ours.items():
        if not abs(theirs[what] / value - 1) < CLOSE:
            raise SystemExit(
                f"share: {problem.name} in torch must be the same function, but its "
                f"{what} is {theirs[what]:.6g} and ours {value:.6g}."
            )
