"""`python -m benchmarks step`: each member beside its Optax twin, in one run.

Measured as ratios, the sides taking turns (`measure.abba`): the trace, lowering and
compilation of a step from empty caches, the compiled step itself (`update` and
`apply_updates`, params and state donated), `update` outside `jit`, and the temporary
bytes of the compiled step. The arithmetic of the sides is checked to be the same first.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence

import jax

from benchmarks import compare, options, report

HEAD = "optimizer | leaves | step | trace | compile | eager"
WITHIN = 1.05  # of the twin's step, for what is elementwise


def table() -> Iterator[tuple[str, ...]]:
    """Ratios to the twin, medians and 95 % intervals, for the documents."""
    rows = json.loads((options.RESULTS / "step.json").read_text())["rows"]
    for row in rows:
        cells = [
            f"{r['median']:.2f} ({r['low']:.2f}–{r['high']:.2f})"
            for r in (row["ratios"][stage] for stage in HEAD.split(" | ")[2:])
        ]
        if row["ratios"]["step"]["low"] > WITHIN:
            cells[0] += f" **over {WITHIN}**"
        yield f"`{row['member']}`", row["tree"], *cells


def main(argv: Sequence[str]) -> int:
    parser = options.parser("step", "adamx beside Optax: trace, compile, step, eager.")
    parser.add_argument(
        "--null",
        action="store_true",
        help="Optax on both sides: the noise of the harness; no JSON unless asked",
    )
    given = parser.parse_args(argv)
    members, trees, settings, path = options.chosen(given, "step")
    if given.null:
        members = [member.null() for member in members]
        settings = dataclasses.replace(settings, judged=False)
        path = given.json
    device = jax.devices("cpu")[0]
    with jax.default_device(device):
        rows = report.kept(
            compare.run(members, trees, settings, options.progress),
            path,
            trees,
            settings,
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
