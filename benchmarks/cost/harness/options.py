"""The command-line options that `step` and `device` share."""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from benchmarks.cost.harness import compare
from benchmarks.cost.harness.trees import FULL, QUICK, Tree
from benchmarks.optax_counterparts import COUNTERPARTS, Counterpart

Item = TypeVar("Item")

ROOT = pathlib.Path(__file__).resolve().parents[3]
RESULTS = ROOT / "benchmarks" / "results"


def some_of(table: Mapping[str, Item]) -> Callable[[str], list[Item]]:
    """A comma-separated selection of a table's rows."""

    def parse(text: str) -> list[Item]:
        names = [name.strip() for name in text.split(",")]
        unknown = [name for name in names if name not in table]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"must be some of {', '.join(table)}, got {unknown[0]!r}"
            )
        return [table[name] for name in dict.fromkeys(names)]

    return parse


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def record(
    given: pathlib.Path | None, argv: Sequence[str], name: str
) -> pathlib.Path | None:
    """Where a run is written: a run of its own sizes is no record."""
    return given or (None if argv else RESULTS / f"{name}.json")


def parser(name: str, what: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(f"python -m benchmarks {name}", description=what)
    made.add_argument(
        "--optimizers",
        type=some_of(COUNTERPARTS),
        default=list(COUNTERPARTS.values()),
        help=f"which, separated by commas: {', '.join(COUNTERPARTS)} (default: all)",
    )
    made.add_argument(
        "--trees",
        type=some_of(FULL),
        help="which, by their number of leaves: "
        + "; ".join(f"{tree.name} ({tree})" for tree in FULL.values())
        + " (default: all for the optimizers that every bar is about, 148 for others)",
    )
    made.add_argument(
        "--repeats",
        type=positive,
        help=f"blocks of four samples in a round (default: {compare.Settings.repeats})",
    )
    made.add_argument(
        "--rounds",
        type=positive,
        help=f"of step blocks, in fresh buffers (default: {compare.Settings.rounds})",
    )
    made.add_argument(
        "--quick",
        action="store_true",
        help="tiny trees, few repeats: shows that it runs, judges no bar, writes no "
        "JSON unless asked",
    )
    made.add_argument(
        "--json",
        type=pathlib.Path,
        metavar="PATH",
        help=f"where the results go (default: benchmarks/results/{name}.json)",
    )
    return made


def chosen(
    options: argparse.Namespace, name: str
) -> tuple[list[Counterpart], list[Tree], compare.Settings, pathlib.Path | None]:
    """Optimizers, trees, settings and destination of a run."""
    settings = compare.QUICK if options.quick else compare.Settings()
    given = {k: getattr(options, k) for k in ("repeats", "rounds")}
    settings = dataclasses.replace(
        settings, **{k: v for k, v in given.items() if v is not None}
    )
    names = list(FULL) if options.trees is None else [t.name for t in options.trees]
    trees = [(QUICK if options.quick else FULL)[name] for name in names]
    optimizers = options.optimizers
    if options.trees is not None:
        optimizers = [dataclasses.replace(m, trees=tuple(names)) for m in optimizers]
    path = options.json
    if path is None and not options.quick:
        path = RESULTS / f"{name}.json"
    return optimizers, trees, settings, path


def progress(text: str) -> None:
    """One line on stderr, so that stdout has the table only."""
    print(text, file=sys.stderr, flush=True)
