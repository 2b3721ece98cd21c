"""Measures the trace, compilation and steps of two sides that take turns.

Every sample is preceded by a garbage collection and runs without one, as in `timeit`;
warm-up is never in a sample; every result is waited for.

What one process works through alone (trace, lower, compile) is counted in its CPU
seconds, which neighbours on the machine do not stretch. Steps and eager updates wait
for threads and devices: they are counted in seconds on the wall, the step in both.
"""

import math
from collections.abc import Callable, Mapping

import jax
import optax

import adamx
from adamx.engine.transformation import Transformation
from adamx.wrappers.fused import is_fused
from benchmarks.cost.harness.clocks import Clocks, Seconds, timed as timed_ready
from benchmarks.cost.harness.ratio import Pair
from benchmarks.cost.harness.trees import Tree, fresh
from benchmarks.optax_counterparts import Make

Sample = Callable[[], dict[str, float]]
"""Prepares, does one thing, and returns the seconds of each of its stages."""


def timed(clocks: Clocks, work: Callable, *args: object) -> tuple[Seconds, object]:
    """The seconds of one call, its result being ready, and the result."""
    return timed_ready(clocks, lambda: jax.block_until_ready(work(*args)))


def turns(samples: Mapping[str, Sample], repeats: int) -> list[dict[str, dict]]:
    """Blocks in which every side goes once in an order and once in the mirrored one.

    The next block is the mirrored block. A drift that is linear over a block takes as
    much from one side as from the other. A block has each side's mean of its two.
    """
    blocks = []
    for repeat in range(repeats):
        order = list(samples) if repeat % 2 == 0 else list(samples)[::-1]
        seen: dict[str, list[dict[str, float]]] = {side: [] for side in samples}
        for side in order + order[::-1]:
            seen[side].append(samples[side]())
        blocks.append(
            {
                side: {stage: (one[stage] + two[stage]) / 2 for stage in one}
                for side, (one, two) in seen.items()
            }
        )
    return blocks


def abba(ours: Sample, theirs: Sample, repeats: int) -> dict[str, list[Pair]]:
    """Two sides in turn: ours, theirs, theirs, ours, and the mirrored block."""
    pairs: dict[str, list[Pair]] = {}
    for block in turns({"a": ours, "b": theirs}, repeats):
        for stage in block["a"]:
            pairs.setdefault(stage, []).append((block["a"][stage], block["b"][stage]))
    return pairs


# ---- one side ------------------------------------------------------------------------


def step_of(tx: optax.GradientTransformation) -> Callable:
    """A step as a training loop has it: params and state donated, gradients not.

    That of `adamx.fused` is `adamx.step`, which sums the parameters in the same pass.
    """

    def step(params, state, grads):
        if isinstance(tx, Transformation) and is_fused(tx):
            return adamx.step(tx, params, grads, state)
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


def first_call(make: Make, tree: Tree, clocks: Clocks, compiling: bool) -> Sample:
    """Samples what a new process pays: trace, lower, compile, from empty caches."""

    def sample() -> dict[str, float]:
        trace = traced(make, tree.shaped())
        jax.clear_caches()
        stages = {}
        stages["trace"], trace = timed(clocks, trace)
        stages["lower"], lowered = timed(clocks, trace.lower)
        if compiling:
            stages["compile"], _ = timed(clocks, lowered.compile)
        return {stage: seconds.cpu for stage, seconds in stages.items()}

    return sample


def steps(
    make: Make, program: jax.stages.Compiled, params: dict, grads: dict, clocks: Clocks
) -> Callable[[int], Seconds]:
    """A function that takes n donated steps and returns the seconds of one."""
    params = fresh(params)
    state = jax.block_until_ready(jax.jit(make().init)(params))
    kept = [params, state]

    def walk(n: int):
        for _ in range(n):
            kept[:] = program(*kept, grads)
        return kept

    def sample(n: int) -> Seconds:
        seconds, _ = timed(clocks, walk, n)
        return Seconds(seconds.wall / n, seconds.cpu / n)

    sample(2)  # warm up: the first touch of each page, the thread pool
    return sample


def eager(make: Make, params: dict, grads: dict, clocks: Clocks) -> Sample:
    """Samples one update outside `jit`, as in a notebook cell."""
    tx = make()
    state = tx.init(params)

    def sample() -> dict[str, float]:
        seconds, _ = timed(clocks, tx.update, grads, state, params)
        return {"eager": seconds.wall}

    sample()
    sample()
    return sample


# ---- two sides -----------------------------------------------------------------------


def first_calls(
    ours: Make, theirs: Make, tree: Tree, repeats: int, compiles: int, clocks: Clocks
) -> dict[str, list[list[Pair]]]:
    """Trace, lower and compile; the compiler, slow and not ours, fewer times."""
    rounds: dict[str, list[list[Pair]]] = {}
    for blocks, compiling in (compiles, True), (repeats - compiles, False):
        sides = (first_call(make, tree, clocks, compiling) for make in (ours, theirs))
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
    clocks: Clocks,
) -> dict[str, list[list[Pair]]]:
    """Rounds of blocks of donated steps, on the wall and in CPU seconds of all threads.

    Where a side's buffers happen to lie stays with it while they are donated from step
    to step, so every round begins with buffers of its own, the sides taking turns to
    be first.
    """
    params, grads = tree.host(0), fresh(tree.host(1))
    found: dict[str, list[list[Pair]]] = {"step": [], "step, CPU": []}
    for number in range(rounds):
        walkers = {}
        sides = (("a", ours, programs[0]), ("b", theirs, programs[1]))
        for side, make, program in sides if number % 2 == 0 else sides[::-1]:
            walkers[side] = steps(make, program, params, grads, clocks)
        once = max(walkers["a"](1).wall, walkers["b"](1).wall, 1e-9)
        n = min(max(1, math.ceil(sample_seconds / once)), 1000)

        def sample(side: str, walkers: dict = walkers, n: int = n) -> dict[str, float]:
            seconds = walkers[side](n)
            return {"step": seconds.wall, "step, CPU": seconds.cpu}

        blocks = abba(lambda: sample("a"), lambda: sample("b"), repeats)
        for stage, pairs in blocks.items():
            found[stage].append(pairs)
    return found


def eager_times(
    ours: Make, theirs: Make, tree: Tree, repeats: int, clocks: Clocks
) -> list[list[Pair]]:
    params, grads = fresh(tree.host(0)), fresh(tree.host(1))
    sides = (eager(make, params, grads, clocks) for make in (ours, theirs))
    return [abba(*sides, repeats)["eager"]]


CLOCKS = Clocks()
