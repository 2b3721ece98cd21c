"""`python -m benchmarks matrices`: Muon beside Optax's, and errors by precision.

Part `cost`: of the compiled step, for the CPU, the products and kernels in the program
and as executed, the temporary bytes and the seconds of compilation; and the time of a
step as a ratio, the sides taking turns. Optax orthogonalises the same leaves. The trees
are (a) 12 matrices of 512², (b) GPT-2 small, (c) one matrix of 4096².

Part `targets`: the program of a step for the CPU, an H100 and a TPU v5e, compiled
without them, and what SOAP's options do to the seconds that one matrix of 2048² takes.

Part `torch`: the time of a step of torch.optim.Muon, in a process of its own, where
torch is installed; it iterates in bfloat16.

Part `errors`: how far singular values end from 1, and Shampoo's roots and SOAP's bases
from what they should be, with products of float32, TF32 and bfloat16: matrix_errors.py.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adamx.compiled.program import Program
from benchmarks.cost import matrix_errors, matrix_targets
from benchmarks.cost.accelerator.command import torch_rows
from benchmarks.cost.harness import measure, options, report
from benchmarks.cost.harness.ratio import ratio
from benchmarks.cost.memory.sizes import gpt2

PARTS = ("cost", "targets", "torch", "errors")
BARS = {"products": 20, "kernels": 1 / 8, "step": 0.5, "temporaries": 1.0}


TREES = {
    "a": ("12 × 512²", matrix_targets.TREES["12 × 512²"], 6),
    "b": ("GPT-2 small", gpt2, 1),
    "c": ("1 × 4096²", matrix_targets.TREES["1 × 4096²"], 1),
}
"""Each tree: its name, how it is made, and how often its step is timed."""


def cost(key: str, timed: bool) -> dict[str, Any]:
    """The row of one tree."""
    name, make, repeats = TREES[key]
    shaped = make()
    row: dict[str, Any] = {"tree": name}
    samples = {}
    for side, tx in matrix_targets.muon(shaped).items():
        traced = measure.traced(tx, shaped)()
        began = time.perf_counter()
        compiled = traced.lower().compile()
        seconds = time.perf_counter() - began
        memory = compiled.memory_analysis()
        counts = Program(compiled.as_text()).counts()
        row[side] = {
            "products": counts.products,
            "kernels": counts.kernels,
            "products run": counts.products_run,
            "kernels run": counts.kernels_run,
            "temporaries": memory.temp_size_in_bytes,
            "compile": seconds,
        }
        if timed:
            samples[side] = Stepper(compiled, tx(), shaped)
    if timed:
        pairs = measure.abba(samples["adamx"], samples["optax"], repeats)["step"]
        row["step"] = vars(ratio([pairs]))
    return row


class Stepper:
    """Times one step of a compiled program, from random gradients."""

    def __init__(self, compiled: Any, tx: Any, shaped: Any) -> None:
        random = np.random.default_rng(0)

        def numbers() -> Any:
            return jax.tree.map(
                lambda x: jnp.asarray(random.standard_normal(x.shape, np.float32)),
                shaped,
            )

        self.compiled, self.params, self.grads = compiled, numbers(), numbers()
        self.state = tx.init(self.params)

    def __call__(self) -> dict[str, float]:
        began = time.perf_counter()
        done = self.compiled(self.params, self.state, self.grads)
        self.params, self.state = jax.block_until_ready(done)
        return {"step": time.perf_counter() - began}


def torch_steps(keys: Sequence[str]) -> list[dict[str, Any]]:
    """Median seconds of a step of torch and of both JAX sides, on each tree."""
    found = []
    for key in keys:
        name, make, repeats = TREES[key]
        shaped = make()
        theirs = list(torch_rows({"muon": {name: shaped}}, repeats, options.progress))
        row = {"tree": name}
        row |= {k: v for k, v in theirs[0].items() if k in ("seconds", "not run")}
        for side, tx in matrix_targets.muon(shaped).items():
            step = Stepper(measure.compiled(tx, shaped), tx(), shaped)
            step()
            row[side] = sorted(step()["step"] for _ in range(repeats))
        found.append(row)
    return found


def markdown() -> str:
    """The recorded times beside torch, for the documents."""
    kept = json.loads(matrix_errors.RESULTS.read_text())
    lines = [["tree", "side", "step, ms (median)", "range"]]
    for row in kept["torch"]:
        sides = {"torch.optim.Muon, bfloat16": row.get("seconds")}
        sides |= {f"{s}, float32": row[s] for s in ("adamx", "optax")}
        for side, seconds in sides.items():
            if not seconds:
                lines.append([row["tree"], side, "–", str(row.get("not run"))])
                continue
            low, median, high = (
                1e3 * float(np.quantile(seconds, q)) for q in (0, 0.5, 1)
            )
            ends = f"{low:.0f}–{high:.0f}" if len(seconds) > 1 else "one step"
            lines.append([row["tree"], side, f"{median:.0f}", ends])
    where = kept["environment of torch"]
    about = f"{where['processor']}; jax {where['jax']}, torch {where['torch']}."
    return f"{about}\n\n{report.markdown(lines)}"


# ---- the command ---------------------------------------------------------------------


COST_HEAD = (
    "tree",
    "products (Optax)",
    "kernels run (Optax)",
    "kernels / Optax's",
    "temporaries / Optax's",
    "step / Optax's (range)",
)


def cost_markdown() -> str:
    """The recorded costs on the CPU, and the aims on tree (a)."""
    kept = json.loads(matrix_errors.RESULTS.read_text())
    of = kept["environment"]
    lines = []
    for row in kept["cost"].values():
        ours, theirs = row["adamx"], row["optax"]
        lines.append(
            [
                row["tree"],
                f"{ours['products']} ({theirs['products']})",
                f"{ours['kernels run']} ({theirs['kernels run']})",
                f"{ours['kernels'] / theirs['kernels']:.3f}",
                f"{ours['temporaries'] / theirs['temporaries']:.3f}",
                _step(row["step"]) if "step" in row else "–",
            ]
        )
    table = report.markdown([list(COST_HEAD), *lines])
    aims = "; ".join(verdicts(kept["cost"]["a"]))
    return f"{of['processor']}; jax {of['jax']}.\n\n{table}\n\nOn 12 × 512²: {aims}."


def _step(ratio: dict[str, Any]) -> str:
    """The time of a step beside Optax's, with its range."""
    if ratio["blocks"] == 1:
        return f"{ratio['median']:.2f} (one block)"
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})"


def verdicts(row: dict[str, Any]) -> list[str]:
    """Whether tree (a) is within the bars."""
    ours, theirs = row["adamx"], row["optax"]
    values = {
        "products": ours["products"],
        "kernels beside Optax's": ours["kernels"] / theirs["kernels"],
        "temporaries beside Optax's": ours["temporaries"] / theirs["temporaries"],
    }
    if "step" in row:
        values["step beside Optax's"] = row["step"]["median"]
    return [
        f"{name} {value:.3g} of at most {BARS[name.split()[0]]:.3g}: "
        f"{'met' if value <= BARS[name.split()[0]] else 'missed'}"
        for name, value in values.items()
    ]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks matrices", description=__doc__
    )
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--trees", default="a,b,c", help="some of a,b,c")
    parser.add_argument(
        "--targets", default="cpu,h100,tpu-v5e", help="some of cpu,h100,tpu-v5e"
    )
    parser.add_argument("--untimed", action="store_true", help="compile only")
    given = parser.parse_args(argv)
    path = matrix_errors.RESULTS
    kept = json.loads(path.read_text()) if path.exists() else {}
    if "cost" in (given.part or PARTS):
        kept["environment"] = report.environment(jax.devices("cpu")[0])
        done = {}
        for key in given.trees.split(","):
            done[key] = row = cost(key, not given.untimed)
            print(f"{row['tree']}: {json.dumps(row)}", flush=True)
        kept["cost"] = kept.get("cost", {}) | done
        if "a" in done:
            print("\n".join(verdicts(done["a"])))
    if "targets" in (given.part or PARTS):
        found = matrix_targets.rows(given.targets.split(","), options.progress)
        rows = {(row["target"], row["case"]): row for row in kept.get("targets", [])}
        rows |= {(row["target"], row["case"]): row for row in found}
        kept["targets"] = list(rows.values())
        lines = [matrix_targets.line(row) for row in kept["targets"]]
        print(report.aligned([matrix_targets.HEAD, *lines]))
    if "torch" in (given.part or PARTS):
        known = {row["tree"]: row for row in kept.get("torch", [])}
        known |= {row["tree"]: row for row in torch_steps(given.trees.split(","))}
        kept["torch"] = [known[name] for name, *_ in TREES.values() if name in known]
        where = report.environment(jax.devices("cpu")[0])
        kept["environment of torch"] = where | {"torch": report.version("torch")}
        print(json.dumps(kept["torch"], ensure_ascii=False))
    if "errors" in (given.part or PARTS):
        kept["errors"] = matrix_errors.errors()
        print(
            report.aligned([matrix_errors.HEAD, *matrix_errors.lines(kept["errors"])])
        )
    path.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"Written to {path}.")
    return 0
