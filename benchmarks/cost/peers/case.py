"""One optimizer on one tree in one storage: what each library's process measured."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from benchmarks.cost.harness.measure import turns
from benchmarks.cost.harness.ratio import Ratio, ratio
from benchmarks.cost.harness.trees import Tree
from benchmarks.cost.peers.process import Worker
from benchmarks.cost.peers.worker import Spec

SIDES = ("adamx", "adamx fused", "optax", "torch foreach", "torch fused")
COPY = "copy"

# The largest difference of ten steps, relative to the longest way, that is still the
# rounding of the storage. In float32 it is that of 1 - b2, which is 1e-3 in a number
# that is near 1: known to 6e-5, its root to 3e-5. bfloat16 counts in 4e-3.
SAME = {"float32": 3e-5, "mu bfloat16": 2e-2, "bfloat16": 2e-2, "8 bits": 2e-1}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How long to measure."""

    rounds: int = 2  # each with buffers of its own
    repeats: int = 5  # mirrored blocks in a round
    compiles: int = 1  # from empty caches
    sample_seconds: float = 0.02  # a sample is at least this long


QUICK = Settings(rounds=1, repeats=1, compiles=1, sample_seconds=0.0)


@dataclasses.dataclass(frozen=True)
class Result:
    """What one side needs; seconds are of one step, medians and quartiles."""

    apart: float  # from adamx in the same storage, after ten steps
    step: tuple[float, float, float]  # quartile, median, quartile; on the wall
    cpu: float  # median seconds of all threads
    ratio: Ratio  # adamx over this side
    compile: float | None  # CPU seconds of trace, lower, compile; None: eager
    state_bytes: int
    peak_bytes: int  # resident, of the whole process while it steps
    base_bytes: int  # resident once the runtime is imported
    bytes_per_second: float  # gradients read, parameters and state read and written
    of_copy: float | None  # the share of what the copy reaches


@dataclasses.dataclass(frozen=True)
class Row:
    optimizer: str
    tree: str
    storage: str
    results: dict[str, Result]
    missing: dict[str, str]  # the sides that were not measured, and why
    copy_bytes_per_second: float | None


def cases(
    optimizers: Sequence[str], trees: Sequence[Tree], storages: Sequence[str]
) -> Iterator[tuple[str, Tree, str]]:
    """Every optimizer in float32, and Adam in every storage."""
    for tree, storage, optimizer in itertools.product(trees, storages, optimizers):
        if storage == "float32" or optimizer == "adam":
            yield optimizer, tree, storage


def apart(got: Sequence[float], want: Sequence[float]) -> float:
    """The largest difference, relative to the longest way that an element went."""
    got, want = np.array(got), np.array(want)
    return float(np.max(np.abs(got - want)) / np.max(np.abs(want)))


def met(workers: dict[str, Worker], storage: str) -> dict[str, float]:
    """How far each side is from adamx; a side of other mathematics goes missing."""
    moved = {side: worker.hello() for side, worker in workers.items()}
    found = {}
    for side, worker in workers.items():
        if side == COPY or worker.missing:
            continue
        found[side] = apart(moved[side], moved["adamx"])
        if not found[side] <= SAME[storage]:
            worker.missing = (
                f"{side} is not the same mathematics: {found[side]:.1e} from adamx "
                f"after ten steps, must be at most {SAME[storage]}"
            )
    return found


def steps(workers: dict[str, Worker], settings: Settings) -> list[list[dict]]:
    """Rounds of mirrored blocks of `{side: {"wall": …, "cpu": …}}`."""
    rounds = []
    for number in range(settings.rounds):
        sides = list(workers) if number % 2 == 0 else list(workers)[::-1]
        for side in sides:
            workers[side].ask("load")
        samples = {}
        for side in sides:
            once = max(workers[side].ask("step", 1)["wall"], 1e-9)
            n = min(max(1, math.ceil(settings.sample_seconds / once)), 1000)
            samples[side] = functools.partial(workers[side].ask, "step", n)
        rounds.append(turns(samples, settings.repeats))
    return rounds


def row(
    optimizer: str, tree: Tree, storage: str, settings: Settings, cores: tuple
) -> Row:
    """Measure every side that is there."""
    specs = [
        Spec(side, optimizer, storage, tree.leaves, tree.size, cores, side != COPY)
        for side in (*SIDES, COPY)
    ]
    workers = {spec.side: Worker(spec) for spec in specs}
    try:
        found = met(workers, storage)
        missing = {side: w.missing for side, w in workers.items() if w.missing}
        here = {side: w for side, w in workers.items() if not w.missing}
        compiled = {
            side: w.ask("compile", settings.compiles)["seconds"]
            for side, w in here.items()
        }
        rounds = steps(here, settings)
        sizes = {side: w.ask("sizes") for side, w in here.items()}
    finally:
        for worker in workers.values():
            worker.end()
    return judged(optimizer, tree, storage, found, missing, compiled, rounds, sizes)


def judged(
    optimizer: str,
    tree: Tree,
    storage: str,
    found: dict[str, float],
    missing: dict[str, str],
    compiled: dict[str, list[float] | None],
    rounds: list[list[dict]],
    sizes: dict[str, dict],
) -> Row:
    """The row of what the workers said."""
    blocks = [block for blocks in rounds for block in blocks]
    array = tree.leaves * tree.size * 4
    wall = {side: np.array([b[side]["wall"] for b in blocks]) for side in sizes}
    copies = 2 * array / float(np.median(wall[COPY])) if COPY in wall else None
    results = {}
    for side, size in sizes.items():
        if side == COPY:
            continue
        low, median, high = (
            float(x) for x in np.quantile(wall[side], (0.25, 0.5, 0.75))
        )
        rate = (3 * array + 2 * size["state"]) / median
        pairs = [
            [(b["adamx"]["wall"], b[side]["wall"]) for b in blocks] for blocks in rounds
        ]
        seconds = compiled[side]
        results[side] = Result(
            apart=found[side],
            step=(low, median, high),
            cpu=float(np.median([b[side]["cpu"] for b in blocks])),
            ratio=ratio(pairs),
            compile=None if seconds is None else float(np.median(seconds)),
            state_bytes=size["state"],
            peak_bytes=size["peak"],
            base_bytes=size["base"],
            bytes_per_second=rate,
            of_copy=None if copies is None else rate / copies,
        )
    return Row(optimizer, tree.name, storage, results, missing, copies)


def run(
    optimizers: Sequence[str],
    trees: Sequence[Tree],
    storages: Sequence[str],
    settings: Settings,
    cores: tuple[int, ...],
    progress: Callable[[str], None],
) -> Iterator[Row]:
    for optimizer, tree, storage in cases(optimizers, trees, storages):
        progress(f"{optimizer} on {tree}, {storage}")
        yield row(optimizer, tree, storage, settings, cores)
