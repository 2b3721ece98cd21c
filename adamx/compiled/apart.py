"""Compiling a step in a process of its own, whatever JAX runs on in this one.

JAX looks for XLA's compilers once, when it starts, and the one for a GPU is not loaded
on a machine without the GPU's libraries. So the step is exported, and this module, run
as a program, compiles what it reads and prints the figures.
"""

import base64
import dataclasses
import json
import os
import subprocess
import sys
from contextvars import ContextVar
from typing import Any

import jax
from jax import export

from .. import errors
from .figures import CompiledStep, Step, compiled, figures_of, step_of
from .targets import TARGETS, Target, placed

read_at_once: ContextVar[bool] = ContextVar("read_at_once", default=False)
"""Whether what is exported is read by the same versions of JAX and its compilers."""

KERNELS = ("__gpu$xla.gpu.triton", "tpu_custom_call")
"""The calls of kernels in a program, of which `export` promises nothing."""


def compiled_apart(
    where: str, tx: Any, params: Any, target: Target, step: Step | None = None
) -> CompiledStep:
    """Compile one step for a target in a new process; for a CPU in this one.

    Args:
        where: the call that asks, for messages.
        tx: the transformation.
        params: the parameters, or their shapes and dtypes.
        target: one of `TARGETS`.
        step: `step(params, state, grads)`, if not `update` and `apply_updates`.
    """
    step = step or step_of(tx)
    params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params)
    if target.name == "cpu":
        return compiled(tx, params, target, step)
    state = jax.eval_shape(tx.init, params)
    task = {
        "target": target.name,
        "x64": jax.config.read("jax_enable_x64"),
        "step": base64.b64encode(_exported(step, params, state, target)).decode(),
    }
    alone = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}
    alone |= {"JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1"}
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(task),
        env={**os.environ, **alone},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise errors.AdamxError(
            f"{where}: a step must compile for target={target.name!r}, got "
            f"{errors.shorten(last)!r}. Does the compiler belong to jax "
            f"{jax.__version__}?"
        )
    return CompiledStep(**json.loads(done.stdout.splitlines()[-1]))


def _exported(step: Step, params: Any, state: Any, target: Target) -> bytes:
    """Return the step of flat lists of arrays, as bytes."""
    kept = jax.tree.structure((params, state))

    def flat(params: list, state: list, grads: list) -> Any:
        tree, kept_state = jax.tree.unflatten(kept, [*params, *state])
        gradients = jax.tree.unflatten(jax.tree.structure(tree), grads)
        return [jax.tree.leaves(new) for new in step(tree, kept_state, gradients)]

    lists = [jax.tree.leaves(tree) for tree in (params, state, params)]
    unchecked = [export.DisabledSafetyCheck.platform()]
    unchecked += map(export.DisabledSafetyCheck.custom_call, KERNELS)
    platforms = [target.platform]
    made = export.export(jax.jit(flat), platforms=platforms, disabled_checks=unchecked)
    token = read_at_once.set(True)
    try:
        return bytes(made(*lists).serialize())
    finally:
        read_at_once.reset(token)


def main() -> None:
    task = json.loads(sys.stdin.read())
    target = TARGETS[task["target"]]
    jax.config.update("jax_enable_x64", task["x64"])
    step = export.deserialize(bytearray(base64.b64decode(task["step"])))
    (lists, _) = jax.tree.unflatten(step.in_tree, step.in_avals)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), lists)
    lowered = jax.jit(step.call, donate_argnums=(0, 1)).lower(*placed(target, shapes))
    done = figures_of(lowered, target, shapes[0], shapes[1])
    print(json.dumps(dataclasses.asdict(done)))


if __name__ == "__main__":
    main()
