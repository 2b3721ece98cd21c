"""`python -m benchmarks accumulate`: a micro-step of `adamx.accumulate` beside Optax's.

For AdamW and Muon, of 4 micro-batches: the seconds of a micro-step that makes no step,
of the micro-step that does, and of a step without accumulation, each donated, the sides
taking turns; and the temporary bytes of a parameter. The sides are `optax.MultiSteps`
around the same optimizer of adamx, `accumulate` with `update` and `apply_updates`, and
`accumulate` with `adamx.step`.
"""

import argparse
import functools
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from benchmarks.cost.harness import measure, options, report
from benchmarks.cost.harness.measure import CLOCKS, Sample

EVERY = 4
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adamw": lambda: adamx.adamw(1e-3),
    "muon": lambda: adamx.muon(0.02),
}


def two_calls(tx: Any, params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def one_call(tx: Any, params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
    return adamx.step(tx, params, grads, state)


def multi_steps(tx: Any) -> Any:
    return optax.MultiSteps(tx, EVERY).gradient_transformation()


SIDES: dict[str, tuple[Callable[[Any], Any], Callable[..., Any]]] = {
    "no accumulation": (lambda tx: tx, two_calls),
    "optax.MultiSteps": (multi_steps, two_calls),
    "accumulate": (lambda tx: adamx.accumulate(tx, EVERY), two_calls),
    "accumulate, adamx.step": (lambda tx: adamx.accumulate(tx, EVERY), one_call),
}


def tree(leaves: int, size: int, seed: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed).standard_normal
    return {
        f"leaf{i}": jnp.asarray(draw((size, size)), "float32") for i in range(leaves)
    }


def side(
    make: Callable[[], Any], name: str, leaves: int, size: int
) -> tuple[Sample, int]:
    """The samples of one side, of a whole cycle of micro-steps, and its temporaries."""
    wrap, call = SIDES[name]
    tx = wrap(make())
    kept = [tree(leaves, size, 0), tx.init(tree(leaves, size, 0))]
    grads = tree(leaves, size, 1)
    step = jax.jit(functools.partial(call, tx), donate_argnums=(0, 1))
    program = step.lower(*kept, grads).compile()

    def sample() -> dict[str, float]:
        seconds = []
        for _ in range(EVERY):
            taken, after = measure.timed(CLOCKS, program, *kept, grads)
            kept[:] = after
            seconds.append(taken.wall)
        return {"micro": statistics.mean(seconds[:-1]), "last": seconds[-1]}

    sample()
    return sample, program.memory_analysis().temp_size_in_bytes


def run(name: str, leaves: int, size: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each side of one optimizer."""
    made = {key: side(OPTIMIZERS[name], key, leaves, size) for key in SIDES}
    blocks = measure.turns({key: one for key, (one, _) in made.items()}, repeats)
    rows = []
    for key, (_, temporaries) in made.items():
        times = {
            stage: statistics.median(block[key][stage] for block in blocks)
            for stage in ("micro", "last")
        }
        ratio = statistics.median(
            block[key]["micro"] / block["optax.MultiSteps"]["micro"] for block in blocks
        )
        rows.append(
            {
                "optimizer": name,
                "side": key,
                "micro_ms": 1e3 * times["micro"],
                "last_ms": 1e3 * times["last"],
                "micro_of_multi_steps": ratio,
                "temporary_bytes_per_parameter": temporaries / (leaves * size * size),
            }
        )
    return rows


HEAD = ["optimizer", "side", "micro-step, ms", "last, ms", "of MultiSteps", "temporary"]


def line(row: dict[str, Any]) -> list[str]:
    return [
        row["optimizer"],
        row["side"],
        f"{row['micro_ms']:.2f}",
        f"{row['last_ms']:.2f}",
        f"{row['micro_of_multi_steps']:.3f}",
        f"{row['temporary_bytes_per_parameter']:.2f}",
    ]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks accumulate", description="Micro-steps beside MultiSteps."
    )
    parser.add_argument("--leaves", type=int, default=12, help="matrices")
    parser.add_argument("--size", type=int, default=512, help="their rows and columns")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="where to write it")
    given = parser.parse_args(argv)
    rows = [
        row
        for name in OPTIMIZERS
        for row in run(name, given.leaves, given.size, given.repeats)
    ]
    print(report.aligned([HEAD, *map(line, rows)]))
    kept = {
        "environment": report.environment(jax.devices()[0]),
        "tree": f"{given.leaves} matrices of {given.size}²",
        "every": EVERY,
        "rows": rows,
    }
    path = options.record(given.json, argv, "accumulation")
    if path:
        path.write_text(json.dumps(kept, indent=1) + "\n")
    return 0
