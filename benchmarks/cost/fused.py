"""`python -m benchmarks fused`: AdamW in one pass over memory, beside XLA and Optax.

For each tree and storage three steps take turns, params and state donated: `adamx.step`
of `adamx.fused(tx)`, `adamx.step` of `tx`, and Optax's float32 AdamW (`update` and
`apply_updates`), all times of which are ratios to it. `cpu` is the time of all threads.
`--without-native` is as on a machine without llvmlite: 8 and 4 bits in blocks of JAX.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

import adamx
from adamx.compiled.figures import step_of
from adamx.native import compiler
from adamx.storage import Blockwise
from benchmarks.cost.harness import measure, options, report
from benchmarks.cost.harness.trees import FULL, QUICK, Tree, fresh
from benchmarks.cost.memory.forms import BY_NAME
from benchmarks.cost.memory.speed import in_one_call

PATH = options.RESULTS / "fused.json"
BLOCKS = options.RESULTS / "fused_in_blocks.json"
STORAGES = ("float32", "bfloat16", "8 bits", "4 bits")
SMALL = "8 bits everywhere"
"""With `min_size=0`: leaves of 1,000 elements are kept in float32 otherwise."""
FORMS = BY_NAME | {SMALL: BY_NAME["8 bits"]._replace(moments=Blockwise(min_size=0))}
IN_BLOCKS = ("8 bits", "4 bits")
SIDES = ("fused", "plain", "optax")
HEAD = (
    "AdamW kept as | leaves | fused / Optax | CPU time | plain / Optax | fused, ms | "
    "Optax, ms | compile: fused, plain, Optax, s | temporary bytes: fused, plain"
)


class Side:
    """A compiled step with params and state of its own."""

    def __init__(self, tx: Any, step: Callable, tree: Tree) -> None:
        self.grads = fresh(tree.host(1))
        self.params = fresh(tree.host(0))
        self.state = jax.jit(tx.init)(self.params)
        self.step = jax.jit(step, donate_argnums=(0, 1))
        start = time.perf_counter()
        lowered = self.step.lower(self.params, self.state, self.grads)
        memory = lowered.compile().memory_analysis()
        self.compile_seconds = time.perf_counter() - start
        self.temporary = memory.temp_size_in_bytes / (tree.leaves * tree.size)
        for _ in range(2):
            self.once()

    def once(self) -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        done = self.step(self.params, self.state, self.grads)
        self.params, self.state = jax.block_until_ready(done)
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measured(
    storage: str, tree: Tree, repeats: int, native: bool = True
) -> dict[str, Any]:
    """The three sides in turns: medians of the ratios, and of the seconds."""
    tx, theirs = FORMS[storage].tx(), optax.adamw(1e-3, weight_decay=1e-2)
    with contextlib.nullcontext() if native else compiler.left_out():
        fused = Side(adamx.fused(tx), in_one_call(adamx.fused(tx)), tree)
    sides = {
        "fused": fused,
        "plain": Side(tx, in_one_call(tx), tree),
        "optax": Side(theirs, step_of(theirs), tree),
    }
    blocks = measure.turns({n: side.once for n, side in sides.items()}, repeats)
    row: dict[str, Any] = {"storage": storage, "tree": str(tree)}
    for name, side in sides.items():
        seconds = {
            kind: [block[name][kind] for block in blocks] for kind in ("wall", "cpu")
        }
        beside = {
            kind: [block["optax"][kind] for block in blocks] for kind in ("wall", "cpu")
        }
        row[name] = {
            "ms": 1e3 * float(np.median(seconds["wall"])),
            "ratio": _quartiles(seconds["wall"], beside["wall"]),
            "cpu_ratio": _quartiles(seconds["cpu"], beside["cpu"]),
            "cpu_ms": 1e3 * float(np.median(seconds["cpu"])),
            "compile_seconds": side.compile_seconds,
            "temporary_bytes": side.temporary,
        }
    return row


def _quartiles(ours: list[float], theirs: list[float]) -> list[float]:
    ratios = np.array(ours) / np.array(theirs)
    return [float(q) for q in np.quantile(ratios, (0.25, 0.5, 0.75))]


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """The rows of the table."""
    for row in rows:
        fused, plain, theirs = (row[side] for side in SIDES)
        compiles = (f"{x['compile_seconds']:.1f}" for x in (fused, plain, theirs))
        temporary = (f"{x['temporary_bytes']:.2f}" for x in (fused, plain))
        yield (
            row["storage"],
            row["tree"],
            _shown(fused["ratio"]),
            _shown(fused["cpu_ratio"]),
            _shown(plain["ratio"]),
            f"{fused['ms']:.2f}",
            f"{theirs['ms']:.2f}",
            ", ".join(compiles),
            ", ".join(temporary),
        )


def table() -> Iterator[tuple[str, ...]]:
    """The rows of the document."""
    return lines(json.loads(PATH.read_text())["rows"])


def in_blocks() -> str:
    """The table of the document of the steps without native loops."""
    kept = json.loads(BLOCKS.read_text())
    head = (
        "AdamW kept as | leaves | processor ms: blocks, plain | blocks / plain | "
        "temporary bytes: blocks, plain"
    )
    body = [tuple(head.split(" | "))]
    for row in kept["rows"]:
        both = row["fused"], row["plain"]
        cpu = [x["cpu_ms"] for x in both]
        body.append(
            (
                row["storage"],
                row["tree"],
                ", ".join(f"{ms:.0f}" for ms in cpu),
                f"{cpu[0] / cpu[1]:.2f}",
                ", ".join(f"{x['temporary_bytes']:.2f}" for x in both),
            )
        )
    known = kept["environment"]
    return f"{known['processor']}; jax {known['jax']}.\n\n{report.markdown(body)}"


def _shown(ratio: Sequence[float]) -> str:
    low, median, high = ratio
    return f"{median:.2f} ({low:.2f}–{high:.2f})"


def main(argv: Sequence[str]) -> int:
    parser = options.parser("fused", "One pass over memory beside XLA's and Optax's.")
    parser.add_argument(
        "--storages",
        type=options.some_of({name: name for name in (*STORAGES, SMALL)}),
        help=f"which, separated by commas: {', '.join((*STORAGES, SMALL))} "
        f"(default: all, the last on the smallest leaves only; without native loops "
        f"{' and '.join(IN_BLOCKS)})",
    )
    parser.add_argument(
        "--without-native",
        action="store_true",
        help="compute the fused step as on a machine without llvmlite, by default of "
        "the tree of one leaf",
    )
    given = parser.parse_args(argv)
    native = not given.without_native
    trees = given.trees or (list(FULL.values()) if native else [FULL["1"]])
    if given.quick:
        trees = [QUICK[tree.name] for tree in trees]
    repeats = given.repeats or (2 if given.quick else 12)
    device = jax.devices("cpu")[0]
    rows = []
    with jax.default_device(device):
        for tree in trees:
            few = STORAGES if tree.name != "1000" else (*STORAGES, SMALL)
            for storage in given.storages or (few if native else IN_BLOCKS):
                rows.append(measured(storage, tree, repeats, native))
                print(" | ".join(next(lines(rows[-1:]))), flush=True)
    path = given.json or (None if given.quick else PATH if native else BLOCKS)
    if path:
        kept = {"environment": report.environment(device), "rows": rows}
        path.write_text(json.dumps(kept, indent=1) + "\n")
    print(report.markdown([tuple(HEAD.split(" | ")), *lines(rows)]))
    return 0
