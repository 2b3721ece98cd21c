"""`python -m benchmarks rows`: a step on some rows of a table, beside dense and torch.

One table, gradients of some of its rows, Adam. The sides take turns of five steps after
one that is not counted, and each is given the next of several batches of ids: `adam` on
row-sparse gradients, the same `fused`, with counts by row, AdamW that catches up, dense
`optax.adam`, and `torch.optim.SparseAdam` if torch is there. Parameters and state are
donated, and every result is waited for. Tables of other sizes and other numbers of ids
show what the time grows with. Beside each time stand the temporary bytes of the
compiled step, as a share of the table's.
"""

import argparse
import importlib.util
import itertools
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from benchmarks.cost.harness import options, report

PATH = options.RESULTS / "rows.json"
RATE = 1e-3
BATCHES = 8
BLOCK = 5
HEAD = "rows | ids | side | median ms | least ms | beside adam | temporaries / table"


class Case(NamedTuple):
    """One size: a table of `rows` x `width`, gradients of `ids` of its rows."""

    rows: int
    width: int
    ids: int


SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
BAR = Case(400_000, 64, 4_096)
CASES = (
    BAR,
    *(Case(rows, 64, 4_096) for rows in SIZES),
    *(Case(400_000, 64, ids) for ids in (256, 1_024, 16_384, 65_536)),
)
QUICK = (Case(1_000, 8, 32),)
OURS = ("adam", "adam, fused")
OTHERS = ("per row", "catching up", "optax, dense", "torch, sparse")

Side = Callable[[int], None]


def batches(case: Case) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(case)
    for _ in range(BATCHES):
        ids = random.integers(0, case.rows, case.ids, np.int32)
        yield ids, random.standard_normal((case.ids, case.width), np.float32)


def optimizer(side: str) -> Any:
    if side == "per row":
        return adamx.sparse.per_row(adamx.adam(RATE), ".")
    if side == "catching up":
        return adamx.sparse.catch_up(adamx.adamw(RATE), ".", exact=False)
    adam = adamx.adam(RATE)
    return adamx.fused(adam) if side == "adam, fused" else adam


def of_jax(side: str, case: Case) -> tuple[Side, int]:
    """A step of one side, and the temporary bytes of its program."""
    tx = optax.adam(RATE) if "dense" in side else optimizer(side)
    params: Any = {"table": jnp.full((case.rows, case.width), 0.1)}
    state = tx.init(params)

    def sparse(params: Any, state: Any, ids: Any, rows: Any) -> Any:
        grads = {"table": adamx.RowSparse(ids, rows, case.rows)}
        return adamx.step(tx, params, grads, state)

    def dense(params: Any, state: Any, grads: Any, _: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    given: list[Any] = list(batches(case))
    if "dense" in side:
        given = [({"table": jnp.full((case.rows, case.width), 0.1)}, None)]
    step = jax.jit(dense if "dense" in side else sparse, donate_argnums=(0, 1))
    given = [jax.device_put(batch) for batch in given]
    compiled = step.lower(params, state, *given[0]).compile()
    kept = [params, state]

    def run(turn: int) -> None:
        kept[:] = jax.block_until_ready(compiled(*kept, *given[turn % len(given)]))

    del params, state
    analysis: Any = compiled.memory_analysis()
    return run, analysis.temp_size_in_bytes


def of_torch(case: Case) -> tuple[Side, None]:
    torch: Any = importlib.import_module("torch")
    table = torch.nn.Parameter(torch.full((case.rows, case.width), 0.1))
    tx = torch.optim.SparseAdam([table], lr=RATE)
    given = [
        torch.sparse_coo_tensor(
            torch.from_numpy(ids).long()[None],
            torch.from_numpy(rows),
            (case.rows, case.width),
            check_invariants=False,
        )
        for ids, rows in batches(case)
    ]

    def run(turn: int) -> None:
        table.grad = given[turn % BATCHES].clone()
        tx.step()

    return run, None


def sides(case: Case) -> Iterator[str]:
    """The sides of a case; beside the bar's all, elsewhere adamx alone."""
    yield from OURS
    if case in (BAR, *QUICK):
        there = importlib.util.find_spec("torch") is not None
        yield from (side for side in OTHERS if there or "torch" not in side)


def measured(case: Case, repeats: int) -> Iterator[dict[str, Any]]:
    """Each side's milliseconds, the sides taking turns."""
    made = {s: of_torch(case) if "torch" in s else of_jax(s, case) for s in sides(case)}
    seconds: dict[str, list[float]] = {side: [] for side in made}
    for turn in range(repeats):
        for side, (run, _) in made.items():
            for step in range(BLOCK + 1):
                start = time.perf_counter()
                run(BLOCK * turn + step)
                if step:  # before the first, caches and threads were another side's
                    seconds[side].append(time.perf_counter() - start)
    for side, (_, temporaries) in made.items():
        took = sorted(seconds[side])
        yield case._asdict() | {
            "side": side,
            "milliseconds": 1e3 * statistics.median(took),
            "least": 1e3 * took[0],
            "temporaries": temporaries,
        }


def verdicts(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the bars are about, by the least times: no neighbour has stretched those."""
    ours = [row for row in rows if row["side"] == OURS[0]]
    at = {Case(*(row[k] for k in Case._fields)): row for row in ours}
    there = [row for row in rows if row["rows"] == BAR.rows and row["ids"] == BAR.ids]
    by = {row["side"]: row["least"] for row in there}
    bars = ("optax, dense", 20), ("torch, sparse", 1)
    for ours, (side, least) in itertools.product(OURS, bars):
        if side in by and ours in by:
            times = by[side] / by[ours]
            said = "yes" if times >= least else "**no**"
            yield (
                f"{ours}: {times:.1f} times as fast as {side} "
                f"(at least {least}: {said})"
            )
    ends = [at.get(Case(n, 64, 4_096)) for n in (SIZES[0], SIZES[-1])]
    if all(ends):
        small, large = (row["least"] for row in ends if row)
        yield (
            f"{large / small:.2f} times the time of {SIZES[0]:,} rows for {SIZES[-1]:,}"
        )


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        same = [r for r in rows if all(r[k] == row[k] for k in Case._fields)]
        ours = next(r["least"] for r in same if r["side"] == "adam")
        share = "–"
        if row["temporaries"] is not None:
            share = f"{row['temporaries'] / (4 * row['rows'] * row['width']):.3f}"
        yield (
            f"{row['rows']:,}",
            f"{row['ids']:,}",
            row["side"],
            f"{row['milliseconds']:.3g}",
            f"{row['least']:.3g}",
            f"{row['least'] / ours:.2f}",
            share,
        )


def table() -> Iterator[tuple[str, ...]]:
    """The rows of the document."""
    return lines(json.loads(PATH.read_text())["rows"])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks rows", description=__doc__)
    parser.add_argument("--repeats", type=options.positive, default=20)
    parser.add_argument(
        "--largest",
        type=options.positive,
        default=SIZES[-1],
        help="leave out larger tables; 10,000,000 rows take 8 GB (default: all)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tiny table; no JSON unless asked"
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="PATH")
    given = parser.parse_args(argv)
    path = given.json or (None if given.quick else PATH)
    cases = [c for c in (QUICK if given.quick else CASES) if c.rows <= given.largest]
    rows: list[dict[str, Any]] = []
    for case in cases:
        options.progress(f"{case.rows:,} rows, {case.ids:,} ids")
        rows += measured(case, given.repeats)
        if path:
            environment = report.environment(jax.devices("cpu")[0])
            environment |= {"torch": report.version("torch")}
            kept = {"environment": environment, "repeats": given.repeats, "rows": rows}
            path.write_text(json.dumps(kept, indent=1) + "\n")
    print(report.aligned([HEAD.split(" | "), *lines(rows)]))
    print("\n".join(["", *verdicts(rows)]))
    if path:
        print(f"Written to {path}.")
    return 0
