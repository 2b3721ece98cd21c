"""How a fused optimizer's leaves are computed: JAX asks for each platform.

A leaf has a kernel if its step can be computed part by part (`engine.leaf_parts`), if
the platform's kernels have its operations, and if the program is given arrays as each
device has them: on one device, or inside `shard_map`. On GPUs a matrix that is divided
by the compiler is computed shard by shard. On a CPU a leaf has a native loop, or else
large ones with slots of few bits are computed in blocks. Others are computed by XLA.
"""

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any

import jax
from jax.interpreters import mlir

from ..compiled.apart import read_at_once
from ..engine import row_steps
from ..native import row_loop
from ..native.leaf_loop import LeafLoop, called
from ..native.primitive import LeafStep, is_whole, leaf_steps_p, plain
from . import cpu, shards
from .scalars import packed_as

_MODULES = {"cuda": "gpu", "tpu": "tpu"}


def register() -> None:
    """Tell JAX of the kernels. They are made, and Pallas is imported, when needed."""
    for platform in _MODULES:
        lower = functools.partial(_lower, platform)
        mlir.register_lowering(leaf_steps_p, lower, platform=platform)
    if any(importlib.util.find_spec(f"jax_cuda{n}_plugin") for n in (12, 13)):
        ask_for_devices()


def ask_for_devices() -> None:
    """Let the lowering by shards know which devices there are.

    JAX has no public name for it. Without it, programs for several GPUs are XLA's own;
    with it, a program for an abstract mesh is refused.
    """
    dispatch = importlib.import_module("jax._src.dispatch")
    asking = getattr(dispatch, "prim_requires_devices_during_lowering", set())
    asking.update((leaf_steps_p, row_steps.row_step_p))


def _lower(platform: str, ctx: Any, *operands: Any, steps: tuple[LeafStep, ...]) -> Any:
    context = ctx.module_context
    # what Triton compiles is not promised to be read by another version
    exported = platform == "cuda" and context.lowering_parameters.for_export
    exported = exported and not read_at_once.get()
    how = plain
    by_compiler = getattr(context.axis_context, "device_assignment", None) is not None
    # in an exported program the number of devices may change; on a TPU, where it
    # could not be tried, XLA divides its own program
    sharded = by_compiler and platform == "cuda"
    whole = is_whole(context)
    if (whole or sharded) and not exported and not _unknown(platform):
        how = functools.partial(_by_kernels, platform, not whole)
    function = functools.partial(how, steps=steps)
    lower = mlir.lower_fun(function, multiple_results=True)
    with jax.numpy_dtype_promotion("standard"), warnings.catch_warnings():
        # a user cannot do anything about it
        warnings.filterwarnings("ignore", "The Pallas Triton backend is deprecated")
        return lower(ctx, *operands)


def _lower_on_cpu(ctx: Any, *operands: Any, steps: tuple[LeafStep, ...]) -> Any:
    context = ctx.module_context
    here = not context.lowering_parameters.for_export and is_whole(context)
    function = functools.partial(_on_cpu if here else plain, steps=steps)
    lower = mlir.lower_fun(function, multiple_results=True)
    with jax.numpy_dtype_promotion("standard"):
        return lower(ctx, *operands)


def _on_cpu(*operands: Any, steps: tuple[LeafStep, ...]) -> list:
    calls = [(step.loop, [operands[i] for i in step.operands]) for step in steps]
    return called(calls, _in_blocks)


def _in_blocks(loop: LeafLoop) -> Any:
    blocks = cpu.prepared(loop, cpu.LENGTH)
    return loop.outlined if isinstance(blocks, str) else blocks.outlined


def way(platform: str, loop: LeafLoop) -> str:
    """Return how a leaf is computed on a platform, and why not better."""
    if platform != "cpu":
        reason = why_not(platform, loop)
        return f"by XLA: {reason}" if reason else "in one kernel"
    if not (reason := loop.why_not):
        return "in one native loop"
    blocks = cpu.prepared(loop, cpu.LENGTH)
    if not isinstance(blocks, str):
        return f"in blocks of {blocks.length:,} in plain JAX: {reason}"
    few_bits = any(aval.dtype.itemsize == 1 for aval in loop.closed.in_avals)
    return f"by XLA: {reason}" + (f"; in no blocks: {blocks}" if few_bits else "")


def _lower_rows_on_cpu(ctx: Any, *operands: Any, step: row_steps.RowStep) -> Any:
    context = ctx.module_context
    here = not context.lowering_parameters.for_export and is_whole(context)
    # asked again, as native loops may be left out by now
    native = here and not row_loop.why_not(step.whole, step.tables)
    function = functools.partial(_in_table if native else row_steps.plain, step=step)
    lower = mlir.lower_fun(function, multiple_results=True)
    with jax.numpy_dtype_promotion("standard"):
        return lower(ctx, *operands)


def _in_table(*operands: Any, step: row_steps.RowStep) -> list:
    given, indices = step.given(operands), operands[-1]
    return row_loop.called(step.whole, step.tables, given, indices)


# not in `register`, so that a test can put another in its place
mlir.register_lowering(leaf_steps_p, _lower_on_cpu, platform="cpu")
mlir.register_lowering(row_steps.row_step_p, _lower_rows_on_cpu, platform="cpu")


def _unknown(platform: str) -> str:
    """Return why there are no kernels for the platform of a program, or nothing."""
    try:
        return _module(platform).unknown()
    except ImportError as error:  # a future version of JAX
        return str(error)


def _by_kernels(
    platform: str, sharded: bool, *operands: Any, steps: tuple[LeafStep, ...]
) -> list:
    results = []
    for step in steps:
        compute = _outlined(platform, step.loop, sharded)
        function = step.loop.outlined if isinstance(compute, str) else compute
        results += function(*(operands[i] for i in step.operands))
    return results


def _module(platform: str) -> Any:
    # imported when it is needed, as Pallas takes half a second
    return importlib.import_module(f"adamx.kernels.{_MODULES[platform]}")


def why_not(platform: str, loop: LeafLoop) -> str:
    """Return why a leaf has no kernel on a platform; nothing if it has."""
    try:
        found = _outlined(platform, loop)
    except ImportError as error:
        return str(error)
    return found if isinstance(found, str) else ""


@functools.lru_cache(maxsize=1024)
def _outlined(platform: str, loop: LeafLoop, sharded: bool = False) -> Any:
    """Return the step of a leaf by a kernel, lowered once for all that are alike."""
    source = loop.source
    parts = source.parts(loop.closed.in_avals)
    if isinstance(parts, str):
        return parts

    def numbers(flat: Sequence) -> list:
        rule, _, shared, count, x, _ = source.given(flat)
        return parts.numbers(rule, shared, count, x)

    packing = packed_as(jax.eval_shape(numbers, loop.closed.in_avals), parts.words)
    prepare = _module(platform).prepared
    kernel = prepare(parts, packing)
    if isinstance(kernel, str):
        return kernel
    if sharded and (why := shards.why_not(parts)):
        return why

    def step(*flat: Any) -> list:
        _, kept, _, _, x, param = source.given(flat)
        arrays, packed = parts.arrays(kept, x, param), packing.pack(numbers(flat))
        if sharded:
            function = shards.by_shards(parts, packing, prepare)
            results = function(*packed, *arrays.values())
            done = dict(zip(parts.results, results, strict=True))
        else:
            done = kernel.run(arrays, packed)
        return jax.tree.leaves(parts.joined(done, kept, x))

    return jax.jit(step)
