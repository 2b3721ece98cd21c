"""How one side is measured, and how two sides take turns.

Every sample is preceded by a garbage collection and runs without one, as in `timeit`;
warm-up is never in a sample; every result is waited for.
"""

import gc
import math
import time
from collections.abc import Callable

import jax
import optax

from benchmarks.members import Make
from benchmarks.ratio import Pair
from benchmarks.trees import Tree, fresh

Clock = Callable[[], float]
Sample = Callable[[], dict[str, float]]
"""Prepares, does one thing, and returns the seconds of each of its stages."""


def timed(clock: Clock, work: Callable, *args: object) -> tuple[float, object]:
    """The seconds of one call, its result being ready, and the result."""
    gc.collect()
    gc.disable()
    try:
        start = clock()
        result = jax.block_until_ready(work(*args))
        return clock() - start, result
    finally:
        gc.enable()


def abba(ours: Sample, theirs: Sample, repeats: int) -> dict[str, list[Pair]]:
    """Blocks of ours, theirs, theirs, ours, and the mirrored block, in turn.

    A drift that is linear over a block takes as much from one side as from the other.
    """
    pairs: dict[str, list[Pair]] = {}
    for repeat in range(repeats):
        order = "abba" if repeat % 2 == 0 else "baab"
        seen: dict[str, list[dict[str, float]]] = {"a": [], "b": []}
        for side in order:
            seen[side].append((ours if side == "a" else theirs)())
        for stage in seen["a"][0]:
            a, b = (sum(sample[stage] for sample in seen[side]) / 2 for side in "ab")
            pairs.setdefault(stage, []).append((a, b))
    return pairs


# ---- one side ------------------------------------------------------------------------


def step_of(tx: optax.GradientTransformation) -> Callable:
    """A step as a training loop has it: params and state donated, gradients not."""

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(step, donate_argnums=(0, 1))


def traced(make: Make, shaped: dict) -> Callable:
    """A function that traces the step of a new transformation for trees of a shape."""
    tx = make()
    state = jax.eval_shape(tx.init, shaped)
    return lambda: step_of(tx).trace(shaped, state, shaped)


def compiled(make: Make, shaped: dict) -> jax.stages.Compiled:
    return traced(make, shaped)().lower().compile()


def first_call(make: Make, tree: Tree, clock: Clock, compiling: bool) -> Sample:
    """Samples what a new process pays: trace, lower, compile, from empty caches."""

    def sample() -> dict[str, float]:
        trace = traced(make, tree.shaped())
        jax.clear_caches()
        stages = {}
        stages["trace"], trace = timed(clock, trace)
        stages["lower"], lowered = timed(clock, trace.lower)
        if compiling:
            stages["compile"], _ = timed(clock, lowered.compile)
        return stages

    return sample


def steps(
    make: Make, program: jax.stages.Compiled, params: dict, grads: dict, clock: Clock
) -> Callable[[int], float]:
    """A function that takes n donated steps and returns the seconds of one."""
    params = fresh(params)
    state = jax.block_until_ready(jax.jit(make().init)(params))
    kept = [params, state]

    def walk(n: int):
        for _ in range(n):
            kept[:] = program(*kept, grads)
        return kept

    def sample(n: int) -> float:
        return timed(clock, walk, n)[0] / n

    sample(2)  # warm up: the first touch of each page, the thread pool
    return sample


def eager(make: Make, params: dict, grads: dict, clock: Clock) -> Sample:
    """Samples one update outside `jit`, as in a notebook cell."""
    tx = make()
    state = tx.init(params)

    def sample() -> dict[str, float]:
        return {"eager": timed(clock, tx.update, grads, state, params)[0]}

    sample()
    sample()
    return sample


# ---- two sides -----------------------------------------------------------------------


def first_calls(
    ours: Make, theirs: Make, tree: Tree, repeats: int, compiles: int, clock: Clock
) -> dict[str, list[list[Pair]]]:
    """Trace, lower and compile; the compiler, slow and not ours, fewer times."""
    rounds: dict[str, list[list[Pair]]] = {}
    for blocks, compiling in (compiles, True), (repeats - compiles, False):
        sides = (first_call(make, tree, clock, compiling) for make in (ours, theirs))
        for stage, pairs in abba(*sides, max(blocks, 0)).items():
            rounds.setdefault(stage, [[]])[0].extend(pairs)
    return rounds


def step_times(
    ours: Make,
    theirs: Make,
    programs: tuple[jax.stages.Compiled, jax.stages.Compiled],
    tree: Tree,
    rounds: int,
    repeats: int,
    sample_seconds: float,
    clock: Clock,
) -> list[list[Pair]]:
    """Rounds of blocks of donated steps.

    Where a side's buffers happen to lie stays with it while they are donated from step
    to step, so every round begins with buffers of its own, the sides taking turns to
    be first.
    """
    params, grads = tree.host(0), fresh(tree.host(1))
    found = []
    for number in range(rounds):
        walkers = {}
        sides = (("a", ours, programs[0]), ("b", theirs, programs[1]))
        for side, make, program in sides if number % 2 == 0 else sides[::-1]:
            walkers[side] = steps(make, program, params, grads, clock)
        once = max(walkers["a"](1), walkers["b"](1), 1e-9)
        n = min(max(1, math.ceil(sample_seconds / once)), 1000)
        blocks = abba(
            lambda w=walkers["a"], n=n: {"step": w(n)},
            lambda w=walkers["b"], n=n: {"step": w(n)},
            repeats,
        )
        found.append(blocks["step"])
    return found


def eager_times(
    ours: Make, theirs: Make, tree: Tree, repeats: int, clock: Clock
) -> list[list[Pair]]:
    params, grads = fresh(tree.host(0)), fresh(tree.host(1))
    sides = (eager(make, params, grads, clock) for make in (ours, theirs))
    return [abba(*sides, repeats)["eager"]]


CLOCK: Clock = time.perf_counter
