"""One compiled program for a chunk of runs, as wide as the memory allows."""

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


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled chunk.

    Attributes:
        call: the compiled function of hyperparameters and seeds, `width` of each.
        width: how many runs it trains at once.
        bytes: what the compiler says that it needs: temporaries, results, arguments.
        compile_seconds: the seconds of all compilations that it took to find it.
    """

    call: Any
    width: int
    bytes: int
    compile_seconds: float


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


def compiled(lane: Lane, names: tuple[str, ...], width: int) -> tuple[Any, float]:
    """Return the program of `width` runs, and the seconds of its compilation."""
    since = time.perf_counter()
    number = jax.ShapeDtypeStruct((width,), jnp.result_type(float))
    seeds = jax.ShapeDtypeStruct((width,), np.uint32)
    made = jax.jit(jax.vmap(lane)).lower(dict.fromkeys(names, number), seeds).compile()
    return made, time.perf_counter() - since


def fitting(
    lane: Lane, names: tuple[str, ...], runs: int, max_bytes: int | None
) -> Program:
    """Return the widest program for at most `runs` runs within a budget of bytes.

    All runs are tried first. If they need too much, the bytes of one run and of all
    give those of a further run; the width that they allow is compiled and checked.

    Raises:
        ValueError: one run alone needs more.
    """
    whole, seconds = compiled(lane, names, runs)
    if max_bytes is None:
        said = whole.memory_analysis()
        return Program(whole, runs, 0 if said is None else needed(whole), seconds)
    most = needed(whole)
    if most <= max_bytes:
        return Program(whole, runs, most, seconds)
    one, took = compiled(lane, names, 1)
    seconds += took
    least = needed(one)
    if least > max_bytes:
        raise errors.AdamxError(
            f"sweep: `max_bytes` must allow one run, which needs {least:,} bytes "
            f"({html.size(least)}), got {max_bytes:,} ({html.size(max_bytes)}). Raise "
            f"it, or make the training smaller."
        )
    known = {1: (one, least), runs: (whole, most)}
    low, high = 1, runs
    while high - low > 1:
        each = (known[high][1] - known[low][1]) / (high - low)
        width = low + int((max_bytes - known[low][1]) / max(each, 1))
        width = level(runs, min(max(width, low), high - 1))
        if width <= low:
            break
        program, took = compiled(lane, names, width)
        seconds += took
        known[width] = program, needed(program)
        if known[width][1] <= max_bytes:
            low = width
            break
        high = width
    return Program(*(known[low][0], low, known[low][1]), seconds)


def level(runs: int, width: int) -> int:
    """Return the least width with as many chunks, so that the last is filled most."""
    return math.ceil(runs / math.ceil(runs / width))


def default_budget() -> int | None:
    """Return three quarters of the free memory of an accelerator; None for a CPU."""
    device = jax.devices()[0]
    said = None if device.platform == "cpu" else device.memory_stats()
    if not said or "bytes_limit" not in said:
        return None
    return (said["bytes_limit"] - said.get("bytes_in_use", 0)) * 3 // 4
