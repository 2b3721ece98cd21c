"""Times calls on a device that works while Python goes on; knows no JAX, no torch."""

import math
import time
from collections.abc import Callable

SAMPLE_SECONDS = 0.05
"""A sample is as many calls in a row as take so long, at most 500."""


def seconds_of(
    once: Callable[[], object], wait: Callable[[], object], count: int
) -> list[float]:
    """Seconds of one call in each of `count` samples; `wait` ends each sample."""

    def walk(n: int) -> float:
        wait()
        began = time.perf_counter()
        for _ in range(n):
            once()
        wait()
        return (time.perf_counter() - began) / n

    walk(3)
    n = min(max(1, math.ceil(SAMPLE_SECONDS / walk(3))), 500)
    return [walk(n) for _ in range(count)]
