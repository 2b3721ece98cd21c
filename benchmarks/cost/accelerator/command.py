"""`python -m benchmarks accelerator`: steps of AdamW and Muon on an accelerator.

Each is a compiled step that donates parameters and state; a sample is several steps in
a row, waited for once. `share` is the bytes that a step must move (gradients read;
parameters and state read and written, once each) by its time, over the bandwidth of a
copy on the same device. torch, where it is installed, runs in a process of its own.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib

import adamx
from adamx.compiled.figures import held
from adamx.parts.tree_axes import AxesByName
from benchmarks.cost.accelerator.beside import beside
from benchmarks.cost.accelerator.seconds import seconds_of
from benchmarks.cost.harness import options, report
from benchmarks.cost.harness.measure import step_of
from benchmarks.cost.harness.trees import Tree, square
from benchmarks.cost.matrix_targets import muon
from benchmarks.cost.memory.forms import BY_NAME
from benchmarks.cost.memory.sizes import gpt2
from benchmarks.cost.memory.speed import in_one_call

SAMPLES = 7
COPY = 1 << 28  # float32 elements: 1 GiB

ADAMW = {
    **{f"adamx, {name}": BY_NAME[name].tx for name in ("float32", "bfloat16")},
    "optax, float32": lambda: optax.adamw(1e-3, weight_decay=1e-2),
    **{
        f"adamx.fused, {name}": lambda name=name: adamx.fused(BY_NAME[name].tx())
        for name in ("float32", "8 bits", "4 bits")
    },
    "adamx, 8 bits": BY_NAME["8 bits"].tx,
    "adamx.step, float32": BY_NAME["float32"].tx,
    "adamx.step, 8 bits": BY_NAME["8 bits"].tx,
}
"""What runs on the trees of AdamW; torch's own are in torch_side.py."""


def trees(quick: bool, only: str | None = None) -> dict[str, dict[str, Any]]:
    """The parameters' shapes, by the optimizer that runs on them and by name."""
    if quick:
        small = {
            "1 leaf": Tree("1", 1, 4096).shaped(),
            "8 leaves": Tree("8", 8, 100).shaped(),
        }
        found = {"adamw": small, "muon": {"2 × 8²": square(8, 2)}}
    else:
        found = {
            "adamw": {
                "1 × 134,217,728": Tree("1", 1, 1 << 27).shaped(),
                "GPT-2 small": gpt2(),
                "1,000 × 1,000": Tree("1000", 1000, 1000).shaped(),
            },
            "muon": {
                "12 × 512²": square(512, 12),
                "1 × 4096²": square(4096, 1),
                "GPT-2 small": gpt2(),
            },
        }
    return {only: found[only]} if only else found


def sides(optimizer: str, shaped: Any) -> dict[str, Callable[[], Any]]:
    if optimizer == "adamw":
        return dict(ADAMW)
    made = {
        f"adamx, {p}": lambda p=p: adamx.muon(0.02, precision=p)
        for p in ("highest", "default", "bfloat16")
    }
    return {**made, "optax, default": muon(shaped)["optax"]}


def samples(once: Callable[[], Any], count: int) -> list[float]:
    """Seconds of one call, many in a row, the last result waited for."""
    last = []

    def call() -> None:
        last[:] = [once()]

    return seconds_of(call, lambda: jax.block_until_ready(last), count)


def copy_bandwidth(elements: int) -> float:
    """Bytes a second, read and written, of `x + 1` in place."""
    kept = [jnp.zeros(elements, jnp.float32)]
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def once() -> Any:
        kept[0] = add(kept[0])
        return kept[0]

    return 8 * elements / float(np.median(samples(once, SAMPLES)))


def filled(shaped: Any, scale: float, seed: int) -> Any:
    """Normal random numbers, made on the device."""
    leaves, treedef = jax.tree.flatten(shaped)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    make = jax.jit(
        lambda key, like: scale * jax.random.normal(key, like.shape, like.dtype),
        static_argnums=1,
    )
    made = [
        make(key, jax.ShapeDtypeStruct(x.shape, x.dtype))
        for key, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(treedef, made)


def measured(name: str, tx: Any, shaped: Any, count: int) -> dict[str, Any]:
    """Compile and time the step of one side on one tree."""
    one = name.startswith(("adamx.step", "adamx.fused"))
    step = jax.jit(in_one_call(tx), donate_argnums=(0, 1)) if one else step_of(tx)
    like = jax.eval_shape(tx.init, shaped)
    began = time.perf_counter()
    compiled = step.lower(shaped, like, shaped).compile()
    took = time.perf_counter() - began
    params, grads = filled(shaped, 1.0, 0), filled(shaped, 1e-2, 1)
    kept = [params, jax.jit(tx.init)(params)]
    ideal = 2 * held(kept[0]) + 2 * held(kept[1]) + held(grads)

    def once() -> Any:
        kept[:] = compiled(*kept, grads)
        return kept

    seconds = samples(once, count)
    return {
        "compile": took,
        "seconds": sorted(seconds),
        "ideal bytes": ideal,
        "temporaries": compiled.memory_analysis().temp_size_in_bytes,
    }


def run(
    of_all: dict[str, Any], quick: bool, deadline: float, progress: Callable
) -> Iterator:
    """Yield a row for every optimizer, tree and side that starts in time."""
    count = 2 if quick else SAMPLES
    cells = [
        (optimizer, tree, shaped, name, make)
        for optimizer, of in of_all.items()
        for tree, shaped in of.items()
        for name, make in sides(optimizer, shaped).items()
    ]
    cells.sort(key=lambda cell: len(cell[2]) > 500 and "8 bits" in cell[3])
    for optimizer, tree, shaped, name, make in cells:  # the longest to compile last
        row = {"optimizer": optimizer, "tree": tree, "side": name}
        if time.monotonic() > deadline:
            yield row | {"not run": "the time was over"}
            continue
        progress(f"{optimizer} on {tree}: {name}")
        yield row | measured(name, make(), shaped, count)


def torch_rows(of_all: dict[str, Any], count: int, progress: Callable) -> Iterator:
    """Yield torch's rows, from its own process; one that says why there are none."""

    def described(optimizer: str, shaped: Any) -> list[tuple[list[int], bool]]:
        """Each leaf's shape, and whether Muon takes it, as in the other sides."""
        dims = AxesByName().as_dimension_numbers(shaped)
        kind = contrib.MuonDimensionNumbers | None
        marks = jax.tree.leaves(dims, is_leaf=lambda d: isinstance(d, kind))
        muon = [optimizer == "muon" and mark is not None for mark in marks]
        leaves = jax.tree.leaves(shaped)
        return [(list(x.shape), m) for x, m in zip(leaves, muon, strict=True)]

    shapes = {
        optimizer: {tree: described(optimizer, shaped) for tree, shaped in of.items()}
        for optimizer, of in of_all.items()
    }
    progress("torch")
    command = [sys.executable, "-m", "benchmarks.cost.accelerator.torch_side"]
    given = json.dumps({"trees": shapes, "samples": count})
    done = subprocess.run(
        command, input=given, text=True, stdout=subprocess.PIPE, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)
    if done.returncode:
        yield {"side": "torch", "not run": f"its process ended with {done.returncode}"}


def line(row: dict[str, Any], bandwidth: float) -> list[str]:
    head = [row.get("optimizer", ""), row.get("tree", ""), row["side"]]
    if "not run" in row:
        return [*head, row["not run"], "", "", "", "", beside(row)]
    low, middle, high = np.quantile(row["seconds"], (0, 0.5, 1))
    moved = row["ideal bytes"] / middle
    return [
        *head,
        f"{1e3 * middle:.3f}",
        f"{1e3 * low:.3f}–{1e3 * high:.3f}",
        f"{moved / 1e9:.0f}",
        f"{moved / bandwidth:.2f}",
        f"{row['compile']:.1f}" if "compile" in row else "",
        beside(row),
    ]


HEAD = [
    *("optimizer", "tree", "side", "ms", "range", "GB/s", "share", "compile, s"),
    "compiled for an H100: kernels, bytes, least ms",
]


def markdown() -> str:
    """The recorded rows, with the device that they are of."""
    kept = json.loads((options.RESULTS / "accelerator.json").read_text())
    of = kept["environment"]
    bandwidth = kept["copy, bytes a second"]
    versions = ", ".join(f"{name} {of[name]}" for name in ("jax", "optax", "torch"))
    lines = [line(row, bandwidth) for row in kept["rows"]]
    copy = f"a copy moves {bandwidth / 1e9:,.0f} GB/s"
    return f"{of['device']}; {versions}; {copy}.\n\n{report.markdown([HEAD, *lines])}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks accelerator", description=__doc__
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny trees, on any device"
    )
    parser.add_argument("--only", choices=("adamw", "muon"), help="this optimizer only")
    parser.add_argument(
        "--minutes", type=float, default=8, help="no row starts later (default: 8)"
    )
    parser.add_argument(
        "--json", type=Path, default=None, help="where the rows go, after each"
    )
    given = parser.parse_args(argv)
    device = jax.devices()[0]
    if device.platform == "cpu" and not given.quick:
        print("JAX finds no accelerator here, so there is nothing to measure.")
        return 0
    path = given.json or (None if given.quick else options.RESULTS / "accelerator.json")
    deadline = time.monotonic() + 60 * given.minutes
    of_all = trees(given.quick, given.only)
    bandwidth = copy_bandwidth(1 << 16 if given.quick else COPY)
    kept = {
        "environment": report.environment(device) | {"torch": report.version("torch")},
        "copy, bytes a second": bandwidth,
        "rows": [],
    }
    print(f"{device.device_kind}: a copy moves {bandwidth / 1e9:.0f} GB/s", flush=True)
    print("  ".join(HEAD), flush=True)
    rows = itertools.chain(
        torch_rows(of_all, 2 if given.quick else SAMPLES, options.progress),
        run(of_all, given.quick, deadline, options.progress),
    )
    for row in rows:
        kept["rows"].append(row)
        print("  ".join(line(row, bandwidth)), flush=True)
        if path:
            path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    print("\n" + report.aligned([HEAD, *(line(r, bandwidth) for r in kept["rows"])]))
    return 0
