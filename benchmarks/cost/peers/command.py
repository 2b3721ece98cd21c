"""`python -m benchmarks peers`: adamx, Optax and torch.optim side by side on the CPU.

`adamx fused` is `adamx.step` of `adamx.fused(tx)`: one native loop for each leaf.

Every side runs in a process of its own, all pinned to the same cores with as many
threads as these, and takes turns with the others. Each has the same parameters and
gradients; before anything is timed, ten steps must end in the same place. A copy of the
tree takes turns with them: what it moves in a second is what the machine reaches.

Measured: the step (`update` and the new parameters in place of the old), compilation
from empty caches, bytes of state, the process's peak of resident memory while it steps
(beside what it is once its runtime is imported), and the bytes that the step has to
move (gradients read; parameters and state read and written) in a second as a share of
the copy's. Where all fits into a cache or the tree has many leaves, this share says
little.
"""

import argparse
import dataclasses
import os
import pathlib
from collections.abc import Sequence

import jax

from benchmarks.cost.harness import merge_runs as adding, options, report
from benchmarks.cost.harness.trees import FULL, QUICK
from benchmarks.cost.peers import case, picture

OPTIMIZERS = {
    name: name for name in ("adam", "adamw", "sgd", "adagrad", "rmsprop", "lion")
}
STORAGES = {name: name for name in case.SAME}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "python -m benchmarks peers",
        description="adamx, Optax and torch.optim on the CPU, each in its own process.",
    )
    for name, table in (
        ("optimizers", OPTIMIZERS),
        ("trees", FULL),
        ("storages", STORAGES),
    ):
        made.add_argument(
            f"--{name}",
            type=options.some_of(table),
            default=list(table.values()),
            help=f"which, separated by commas: {', '.join(table)} (default: all)",
        )
    for name in "rounds", "repeats":
        made.add_argument(f"--{name}", type=options.positive)
    made.add_argument(
        "--threads",
        type=options.positive,
        default=1,
        help="cores that every side is pinned to (default: 1)",
    )
    made.add_argument(
        "--quick",
        action="store_true",
        help="tiny trees, few repeats; shows that it runs; writes no JSON unless asked",
    )
    made.add_argument("--add", action="store_true", help=adding.HELP)
    made.add_argument(
        "--json",
        type=pathlib.Path,
        metavar="PATH",
        help="where the results go (default: benchmarks/results/peers.json)",
    )
    return made


def main(argv: Sequence[str]) -> int:
    arguments = parser()
    given = arguments.parse_args(argv)
    allowed = sorted(os.sched_getaffinity(0))
    if given.threads > len(allowed):
        arguments.error(
            f"--threads must be at most {len(allowed)}, the cores that this process "
            f"may use, got {given.threads}"
        )
    if "adam" not in given.optimizers and "float32" not in given.storages:
        arguments.error(
            f"--storages must have float32 unless --optimizers has adam, got "
            f"{', '.join(given.storages)}: only adam is measured in other storages"
        )
    settings = case.QUICK if given.quick else case.Settings()
    asked = {k: getattr(given, k) for k in ("rounds", "repeats")}
    settings = dataclasses.replace(settings, **{k: n for k, n in asked.items() if n})
    trees = [QUICK[tree.name] if given.quick else tree for tree in given.trees]
    path = given.json or (None if given.quick else picture.PATH)
    cores = tuple(allowed[: given.threads])
    known = {
        "environment": report.environment(jax.devices("cpu")[0])
        | {"torch": report.version("torch")},
        "cores": cores,
    }
    found = case.run(
        given.optimizers, trees, given.storages, settings, cores, options.progress
    )
    before = adding.earlier(path) if given.add else None
    rows = report.kept(found, path, trees, settings, before, **known)
    print(picture.text(report.document(rows, trees, settings, **known)))
    if path:
        print(f"Written to {path}.")
    return 0
