"""Measures one library in a process of its own: `worker SPEC`, run as a module.

It is pinned before it imports anything that counts cores, loads its side, and answers
one line of JSON for each that it is asked. No other runtime is imported beside its own,
so that its memory is its own.
"""

import dataclasses
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from benchmarks.cost.harness.arrays import normal
from benchmarks.cost.harness.clocks import Clocks, timed
from benchmarks.cost.harness.subprocesses import asked

MODULES = {
    "adamx": "benchmarks.cost.peers.jax_side",
    "adamx fused": "benchmarks.cost.peers.jax_side",
    "optax": "benchmarks.cost.peers.jax_side",
    "torch foreach": "benchmarks.cost.peers.torch_side",
    "torch fused": "benchmarks.cost.peers.torch_side",
    "copy": "benchmarks.cost.peers.copy_side",
}
SCALES = (1.0, -0.5, 2.0, 0.1, -1.0, 0.3, 3.0, -0.2, 1.0, 0.7)
"""The factors of the gradients in the ten steps whose results are compared."""
SEEN = 4000
"""Elements of the tree that are compared."""

PERIOD = 2**20
"""A longer leaf repeats itself: random numbers take longer than what is measured."""

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Spec:
    side: str
    optimizer: str
    storage: str
    leaves: int
    size: int
    cores: tuple[int, ...]
    steps: bool = True  # whether ten steps are compared first


class Side(Protocol):
    """What a runtime has to offer; `step` returns when its result is there."""

    def missing(self) -> str | None: ...
    def compile(self, repeats: int) -> list[float] | None: ...
    def load(self, params: Arrays, grads: Arrays) -> None: ...
    def turn(self, grads: Arrays) -> None: ...
    def step(self, n: int) -> None: ...
    def params(self) -> Arrays: ...
    def state_bytes(self) -> int: ...


def memory(name: str) -> int:
    """`VmRSS` (resident now) or `VmHWM` (its peak), in bytes."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """From here on `VmHWM` is the peak since now."""
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


def filled(spec: Spec, seed: int) -> Arrays:
    few = normal(spec.leaves, min(spec.size, PERIOD), seed)
    return {k: np.resize(x, spec.size) for k, x in few.items()}


def ten_steps(side: Side, spec: Spec) -> list[float]:
    """How far some elements went in ten steps from small parameters.

    Small ones, so that the rounding of the parameters does not hide the updates.
    """
    start = {k: x * np.float32(0.01) for k, x in filled(spec, 0).items()}
    grads = filled(spec, 1)
    side.load(start, grads)
    for scale in SCALES:
        side.turn({k: g * np.float32(scale) for k, g in grads.items()})
        side.step(1)
    each = -(-SEEN // spec.leaves)
    went = [(x - start[k])[:each] for k, x in side.params().items()]
    return np.concatenate(went).astype(float).tolist()


def load(side: Side, spec: Spec) -> None:
    side.load(filled(spec, 0), filled(spec, 1))
    side.step(2)  # warm up: the first touch of each page, the thread pool
    forget_peak()


def serve(spec: Spec, side: Side, ask: Callable[[], Any], say: Callable) -> None:
    base = memory("VmRSS")
    missing = side.missing()
    if missing:
        say({"missing": missing})
        return
    say({"moved": ten_steps(side, spec) if spec.steps else None})
    while (asked := ask()) is not None:
        match asked:
            case ["compile", repeats]:
                say({"seconds": side.compile(repeats)})
            case ["load"]:
                load(side, spec)
                say({})
            case ["step", n]:
                seconds, _ = timed(Clocks(), side.step, n)
                say({"wall": seconds.wall / n, "cpu": seconds.cpu / n})
            case ["sizes"]:
                peak = memory("VmHWM")
                say({"state": side.state_bytes(), "peak": peak, "base": base})


def main(argv: list[str]) -> int:
    given = json.loads(argv[0])
    spec = Spec(**{**given, "cores": tuple(given["cores"])})
    os.sched_setaffinity(0, spec.cores)
    with asked() as (ask, say):
        try:
            module = importlib.import_module(MODULES[spec.side])
        except ModuleNotFoundError as error:
            say({"missing": f"{error.name} is not installed"})
            return 0
        serve(spec, module.make(spec), ask, say)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
