"""`python -m benchmarks step`: each member beside its Optax twin, in one run.

Measured as ratios, the sides taking turns (`measure.abba`): the trace, lowering and
compilation of a step from empty caches, the compiled step itself (`update` and
`apply_updates`, params and state donated), `update` outside `jit`, and the temporary
bytes of the compiled step. The arithmetic of the sides is checked to be the same first.
"""

import dataclasses
from collections.abc import Sequence

import jax

from benchmarks import compare, options, report


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
