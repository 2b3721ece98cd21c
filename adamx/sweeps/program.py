"""One compiled program for some of the runs, as wide as the memory allows."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import errors, html

Lane = Callable[[dict[str, Any], Any], Any]

CPU_WIDTH = 1
"""How many runs are trained at once on a CPU: `python -m benchmarks sweep`."""
INTERPOLATED, HALVED = 2, 3
"""How many widths are tried by the bytes of a run, and then by halving."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program.

    Attributes:
        call: the compiled function of hyperparameters and seeds, `width` of each.
        width: how many runs a call trains at once.
        bytes: what the compiler says that it needs: temporaries, results, arguments.
        compile_seconds: the seconds of all compilations that it took to find it.
        compilations: how many those were.
    """

    call: Any
    width: int
    bytes: int
    compile_seconds: float
    compilations: int


def needed(compiled: Any) -> int:
    """Return the bytes that a compiled program needs while it runs.

    Raises:
        ValueError: the backend does not say.
    """
    said = compiled.memory_analysis()
    if said is None:
        raise errors.AdamxError(
            "sweep: the compiler of this device must say how much memory a program "
            "needs, but it does not. Leave `max_bytes` out."
        )
    whole = said.temp_size_in_bytes + said.output_size_in_bytes
    return int(whole + said.argument_size_in_bytes - said.alias_size_in_bytes)


def batched(lane: Lane, width: int) -> Callable[[Any, Any], Any]:
    """Return the function of `width` runs, with no batch axis inside if it is one."""
    if width > 1:
        return jax.vmap(lane)

    def run(*rows: Any) -> Any:
        found = lane(*jax.tree.map(lambda x: x[0], rows))
        return jax.tree.map(lambda x: x[None], found)

    return run


class _Compiler:
    """Compiles programs of so many runs, and counts them."""

    def __init__(self, lane: Lane, names: tuple[str, ...]):
        self.lane, self.names = lane, names
        self.seconds, self.count = 0.0, 0

    def __call__(self, width: int) -> Any:
        since = time.perf_counter()
        number = jax.ShapeDtypeStruct((width,), jnp.result_type(float))
        seeds = jax.ShapeDtypeStruct((width,), np.uint32)
        run = jax.jit(batched(self.lane, width))
        made = run.lower(dict.fromkeys(self.names, number), seeds).compile()
        self.seconds += time.perf_counter() - since
        self.count += 1
        return made

    def program(self, width: int, call: Any) -> Program:
        said = call.memory_analysis()
        size = 0 if said is None else needed(call)
        return Program(call, width, size, self.seconds, self.count)


def fitting(
    lane: Lane, names: tuple[str, ...], width: int, max_bytes: int | None
) -> Program:
    """Return the widest program of at most `width` runs within a budget of bytes.

    The width itself is tried first. If it needs too much, the bytes of one run and of
    all give those of a further run; the width that they allow is compiled and checked.
    At most 2 + INTERPOLATED + HALVED programs are compiled.

    Raises:
        ValueError: one run alone needs more.
    """
    compiled = _Compiler(lane, names)
    whole = compiled(width)
    if max_bytes is None:
        return compiled.program(width, whole)
    size = needed(whole)
    if size <= max_bytes:
        return compiled.program(width, whole)
    one = compiled(1) if width > 1 else whole
    least = needed(one)
    if least > max_bytes:
        raise errors.AdamxError(
            f"sweep: `max_bytes` must allow one run, which needs {least:,} bytes "
            f"({html.size(least)}), got {max_bytes:,} ({html.size(max_bytes)}). Raise "
            f"it, or make the training smaller."
        )
    high = width
    for attempt in range(INTERPOLATED + HALVED):
        each = (size - least) / (high - 1)
        tried = 1 + int((max_bytes - least) / max(each, 1))
        if attempt >= INTERPOLATED:
            tried = min(tried, high // 2)
        tried = level(width, max(1, min(tried, high - 1)))
        if tried <= 1:
            break
        made = compiled(tried)
        high, size = tried, needed(made)
        if size <= max_bytes:
            return compiled.program(tried, made)
    return compiled.program(1, one)


def level(runs: int, width: int) -> int:
    """Return the least width with as many calls, so that the last is filled most."""
    return math.ceil(runs / math.ceil(runs / width))


def default_width() -> int | None:
    """Return how many runs are trained at once on this device; None for all."""
    return CPU_WIDTH if jax.devices()[0].platform == "cpu" else None


def default_budget() -> int | None:
    """Return three quarters of the free memory of an accelerator; None for a CPU."""
    device = jax.devices()[0]
    said = None if device.platform == "cpu" else device.memory_stats()
    if not said or "bytes_limit" not in said:
        return None
    return (said["bytes_limit"] - said.get("bytes_in_use", 0)) * 3 // 4
