"""Measures the seconds of one call, without JAX: workers of `peers` may lack it."""

import dataclasses
import gc
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Clocks:
    """Where seconds come from; the tests bring their own."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time


@dataclasses.dataclass(frozen=True)
class Seconds:
    wall: float
    cpu: float


def timed(clocks: Clocks, work: Callable, *args: object) -> tuple[Seconds, object]:
    """The seconds of one call that waits for its result, and the result."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = clocks.wall(), clocks.cpu()
        result = work(*args)
        return Seconds(clocks.wall() - wall, clocks.cpu() - cpu), result
    finally:
        gc.enable()
