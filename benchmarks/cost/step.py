"""`python -m benchmarks step`: each optimizer beside its Optax counterpart, in one run.

Measured as ratios, the sides taking turns (`measure.abba`): the trace, lowering and
compilation of a step from empty caches, the compiled step itself (`update` and
`apply_updates`, params and state donated), `update` outside `jit`, and the temporary
bytes of the compiled step. The arithmetic of the sides is checked to be the same first.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax

from benchmarks import roster
from benchmarks.cost.harness import compare, merge_runs as adding, options, report
from benchmarks.optax_counterparts import COUNTERPARTS

STAGES = ("step", "trace", "compile", "eager")
HEAD = f"optimizer | leaves | {' | '.join(STAGES)} | within 1.05"
WITHIN = 1.05  # of the counterpart's step, for an element-wise one


def verdict(scope: str, step: Mapping[str, Any]) -> str:
    """Whether the step is within the bar: by all of its interval, or by the median."""
    if scope != "element":
        return "–"
    if step["low"] > WITHIN:
        return "**no**"
    if step["high"] <= WITHIN:
        return "yes"
    return "by the median" if step["median"] <= WITHIN else "not by the median"


def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Ratios to the counterpart, medians and 95 % intervals, for the documents."""
    for row in rows:
        name, ratios = row["optimizer"], row["ratios"]
        cells = (
            f"{r['median']:.2f} ({r['low']:.2f}–{r['high']:.2f})"
            for r in (ratios[stage] for stage in STAGES)
        )
        said = verdict(roster.scope(COUNTERPARTS[name].ours()), ratios["step"])
        yield f"`{name}`", row["tree"], *cells, said


def table() -> Iterator[tuple[str, ...]]:
    """The rows of the document."""
    return lines(json.loads((options.RESULTS / "step.json").read_text())["rows"])


def main(argv: Sequence[str]) -> int:
    parser = options.parser("step", "adamx beside Optax: trace, compile, step, eager.")
    parser.add_argument(
        "--null",
        action="store_true",
        help="Optax on both sides: the noise of the harness; no JSON unless asked",
    )
    parser.add_argument("--add", action="store_true", help=adding.HELP)
    given = parser.parse_args(argv)
    optimizers, trees, settings, path = options.chosen(given, "step")
    if given.null:
        optimizers = [optimizer.null() for optimizer in optimizers]
        settings = dataclasses.replace(settings, judged=False)
        path = given.json
    device = jax.devices("cpu")[0]
    with jax.default_device(device):
        rows = report.kept(
            compare.run(optimizers, trees, settings, options.progress),
            path,
            trees,
            settings,
            adding.earlier(path) if given.add else None,
            null=given.null,
            environment=report.environment(device),
        )
    print(
        report.table(rows, trees, "optax, both being optax" if given.null else "optax")
    )
    print(f"\n{report.forms(rows)}\n\n{report.misses(rows)}")
    if path:
        print(f"Written to {path}.")
    return 0 if all(row.same for row in rows) else 1
