"""`python -m benchmarks compiled`: what a step is compiled to, on each machine.

For a CPU, an H100 and a TPU v5e, without any of them: the kernels, the bytes that they
move per parameter beside the fewest possible, the temporary bytes, the collectives and
the seconds of compilation. Bytes are those of the operands and results of kernels, of
which a cache may spare some and a window read may cost more.

With `--check` the figures must not be above those on record; a row that is says where.
"""

import argparse
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

import adamx
from adamx.compiled.targets import TARGETS, missing
from adamx.storage import Blockwise
from benchmarks.cost.compiled import row as rows_of
from benchmarks.cost.harness import options, report
from benchmarks.cost.harness.trees import FULL, square
from benchmarks.cost.memory.forms import BY_NAME
from benchmarks.cost.memory.sizes import gpt2
from benchmarks.cost.memory.speed import in_one_call

RECORD = options.RESULTS / "compiled.json"
HELD = ("kernels", "bytes", "temporaries", "collectives")
"""What a change must not raise."""


TREES: dict[str, Callable[[], Any]] = {
    "2048²": lambda: square(2048, 1),
    "148 × 10,000": FULL["148"].shaped,
    "1,000 × 1,000": FULL["1000"].shaped,
    "GPT-2 small": gpt2,
}
STORAGES = ("float32", "bfloat16", "8 bits", "4 bits", "7 bytes")
ELEMENTWISE = (
    *("sgd", "adagrad", "rmsprop", "adam", "nadamw", "radam", "adabelief", "lion"),
    *("adopt", "adadelta", "lamb", "adan", "schedule_free_adamw", "dadapt_adamw"),
)


PLAIN = {
    "2048²": STORAGES,
    "148 × 10,000": STORAGES[:3],
    "1,000 × 1,000": STORAGES[:1],
    "GPT-2 small": STORAGES[:3],
}
"""What XLA alone compiles of each tree. More codecs take minutes on many leaves."""


def stored(name: str, tree: str) -> tuple[Any, Any]:
    """AdamW in a storage, and the dtype of its parameters."""
    form = BY_NAME[name]
    if tree == "1,000 × 1,000" and name == "8 bits":  # smaller than what is coded
        form = form._replace(moments=Blockwise(min_size=0))
    return form.tx(), form.params


def cases(tree: str, quick: bool, target: str) -> dict[str, tuple[Any, Any, Any]]:
    """The rows of a tree: transformation, dtype of the parameters, form of the step."""
    found = {
        "optax.adamw": (optax.adamw(1e-3, weight_decay=1e-2), jnp.float32, None),
    }
    for name in PLAIN[tree]:
        found[f"adamw, {name}"] = (*stored(name, tree), None)
    if tree == "2048²":
        for name in ("float32", "bfloat16", "8 bits"):
            tx, dtype = stored(name, tree)
            found[f"adamw, {name}, step"] = (tx, dtype, in_one_call(tx))
    fused = STORAGES if tree == "2048²" else STORAGES[:3]
    if (tree, target) == ("1,000 × 1,000", "tpu-v5e"):
        fused = STORAGES[:1]  # XLA alone compiles leaves of one axis there
    for name in fused:
        tx, dtype = stored(name, tree)
        tx = adamx.fused(tx)
        found[f"adamw, {name}, fused step"] = (tx, dtype, in_one_call(tx))
    if tree == "2048²" and not (quick and target != "cpu"):
        for name in ELEMENTWISE:
            found[name] = (getattr(adamx, name)(1e-3), jnp.float32, None)
    return found


def cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), tree)


def worse(row: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """What is above its record, by more than a rounding."""
    return [
        f"{', '.join(key(row))}: {name} {row[name]:g}, on record {known[name]:g}"
        for name in HELD
        if row[name] > known[name] * (1 + 1e-3) + 0.005
    ]


def plan_differs(target: str) -> list[str]:
    """Compare a step compiled apart, as by `memory_plan`, with one compiled here."""
    found, tree = [], square(2048, 1)
    plain, fused = adamx.adamw(1e-3), adamx.fused(BY_NAME["8 bits"].tx())
    for tx, step in ((plain, None), (fused, in_one_call(fused))):
        here, _ = rows_of.row(tx, tree, TARGETS[target], step)
        plan = adamx.memory_plan(tx, tree, target=target).step
        assert plan is not None
        kind = "fused" if step else "plain"
        found += [
            f"{target}, {kind}: memory_plan has {name} {getattr(plan, name):g}, a step "
            f"compiled here {here[name]}"
            for name in ("kernels", "bytes", "temporaries")
            if getattr(plan, name) != here[name]
        ]
    return found


def left_out(target: str, case: str) -> str:
    """Why a case cannot be compiled here; nothing if it can."""
    needs = target == "cpu" and "fused" in case
    if needs and importlib.util.find_spec("llvmlite") is None:
        return f"{target}, {case}: llvmlite is not installed."
    return ""


COLUMNS = {
    "target": "target",
    "tree": "tree",
    "case": "case",
    "kernels": "kernels",
    "bytes": "bytes",
    "ideal": "ideal",
    "temporaries": "temporaries",
    "collectives": "collectives",
    "seconds": "least, ms",
    "compile": "compile, s",
}
"""What is shown of a row, and its name in the table."""

HEAD = list(COLUMNS.values())


def line(row: dict[str, Any]) -> list[str]:
    scaled = row | {"seconds": 1e3 * row["seconds"]}
    values = (scaled[name] for name in COLUMNS)
    return [f"{x:.4g}" if isinstance(x, float) else str(x) for x in values]


def markdown() -> str:
    """The recorded rows, and the versions of the compilers."""
    kept = json.loads(RECORD.read_text())
    versions = ", ".join(f"{name} {of}" for name, of in kept["versions"].items())
    places = list(TREES), list(TARGETS)
    ordered = sorted(
        kept["rows"],
        key=lambda row: [
            x.index(row[k]) for x, k in zip(places, ("tree", "target"), strict=True)
        ],
    )
    table = report.markdown([HEAD, *map(line, ordered)])
    return f"{versions}.\n\n{table}"


def key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[k] for k in ("target", "tree", "case"))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks compiled", description=__doc__
    )
    parser.add_argument(
        "--targets", type=options.some_of(TARGETS), default=list(TARGETS.values())
    )
    parser.add_argument("--trees", help=f"some of {'; '.join(TREES)}, by semicolons")
    parser.add_argument("--only", default="", help="cases whose name has this text")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one leaf; the other optimizers for a CPU only",
    )
    parser.add_argument("--check", action="store_true", help="compare with the record")
    parser.add_argument("--text", type=Path, help="write the programs to this folder")
    given = parser.parse_args(argv)
    names = list(TREES)[:1] if given.quick else list(TREES)
    if given.trees:
        names = [name.strip() for name in given.trees.split(";")]
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {"rows": []}
    known = {key(row): row for row in record["rows"]}
    rows, left, found = [], [], []
    for target in given.targets:
        if why := missing(target):
            left.append(why)
            continue
        for tree in names:
            shaped = TREES[tree]()
            for case, (tx, dtype, step) in cases(
                tree, given.quick, target.name
            ).items():
                if given.only not in case:
                    continue
                if why := left_out(target.name, case):
                    left.append(why)
                    continue
                figures, text = rows_of.row(tx, cast(shaped, dtype), target, step)
                row = {"target": target.name, "tree": tree, "case": case, **figures}
                rows.append(row)
                options.progress("  ".join(line(row)))
                if given.text:
                    given.text.mkdir(parents=True, exist_ok=True)
                    (given.text / f"{'-'.join(key(row))}.txt").write_text(text)
                if given.check and key(row) in known:
                    found += worse(row, known[key(row)])
                elif given.check:
                    found.append(f"{', '.join(key(row))}: is not on record")
                jax.clear_caches()
        if given.check:
            found += plan_differs(target.name)
    print(report.aligned([HEAD, *map(line, rows)]))
    print(*left, *found, sep="\n")
    if given.check:
        return 1 if found or left else 0
    versions = {name: report.version(name) for name in ("jax", "libtpu")}
    merged = known | {key(row): row for row in rows}
    document = {"versions": versions, "rows": list(merged.values())}
    RECORD.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    print(f"Written to {RECORD}.")
    return 0
