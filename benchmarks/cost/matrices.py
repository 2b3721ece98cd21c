"""`python -m benchmarks matrices`: Muon beside Optax's, and errors by precision.

Part `cost`: of the compiled step, for the CPU, the products and kernels in the program
and as executed, the temporary bytes and the seconds of compilation; and the time of a
step as a ratio, the sides taking turns. Optax orthogonalises the same leaves. The trees
are (a) 12 matrices of 512², (b) GPT-2 small, (c) one matrix of 4096².

Part `errors`: how far singular values end from 1, and Shampoo's root from its float64
value, with products of float32, of TF32 and of bfloat16: operands are rounded to 23,
10 and 7 bits of mantissa, and the sums are float32.
"""

import argparse
import json
import re
import time
from collections.abc import Sequence
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from optax import contrib

import adamx
from adamx.numerics import matrices
from adamx.parts import iterations
from adamx.parts.tree_axes import AxesByName
from benchmarks.cost.harness import measure, options, report
from benchmarks.cost.harness.ratio import ratio
from benchmarks.cost.memory.sizes import gpt2

PARTS = ("cost", "errors")
BARS = {"products": 20, "kernels": 1 / 8, "step": 0.5, "temporaries": 1.0}
BITS = {"float32": 23, "TF32": 10, "bfloat16": 7}
CONDITIONS = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
ITERATIONS = (
    iterations.muon_quintic(5),
    iterations.classic_quintic(10),
    iterations.polar_express(5),
    iterations.polar_express(8),
    iterations.cans(8),
    iterations.deepseek_v4(),
    iterations.gram_newton_schulz(iterations.polar_express(5)),
)


def square(n: int, count: int) -> dict[str, jax.ShapeDtypeStruct]:
    return {f"w{i}": jax.ShapeDtypeStruct((n, n), jnp.float32) for i in range(count)}


TREES = {
    "a": ("12 × 512²", lambda: square(512, 12), 6),
    "b": ("GPT-2 small", gpt2, 1),
    "c": ("1 × 4096²", lambda: square(4096, 1), 1),
}
"""Each tree: its name, how it is made, and how often its step is timed."""


# ---- the compiled program ------------------------------------------------------------

_CALL = re.compile(r"(?:body|condition|to_apply|calls)=%?([\w.\-]+)")
_FREE = "parameter|constant|tuple|get-tuple-element|bitcast|while|call|partition-id"


def counted(program: str) -> dict[str, float]:
    """Count products and kernels: as they stand in the program, and as executed."""
    blocks: dict[str, list[str]] = {}
    name = entry = ""
    for line in program.splitlines():
        head = re.match(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        if head:
            name = head[2]
            blocks[name] = []
            entry = name if head[1] else entry
        elif name and " = " in line:
            blocks[name].append(line)

    def inside(block: str) -> int:
        """The products of a fusion and of what it calls."""
        lines = blocks.get(block, [])
        own = sum(" dot(" in line for line in lines)
        return own + sum(inside(c) for line in lines for c in _CALL.findall(line))

    found = {"products": 0, "kernels": 0, "products run": 0, "kernels run": 0}

    def walk(block: str, times: int) -> None:
        for line in blocks.get(block, []):
            kind = re.search(r"[\])}] ([\w\-]+)\(", line)
            kind = kind[1] if kind else ""
            called = _CALL.findall(line)
            if kind == "while":
                known = re.search(r'known_trip_count":\{"n":"(\d+)', line)
                turns = int(known[1]) if known else 1
                body = re.search(r"body=%?([\w.\-]+)", line)
                walk(body[1] if body else "", times * turns)
            elif kind == "call":
                for one in called:
                    walk(one, times)
            elif not re.fullmatch(_FREE, kind):
                products = int(kind == "dot") + sum(map(inside, called))
                products += int("matmul" in line and kind == "custom-call")
                found["products"] += products
                found["kernels"] += 1
                found["products run"] += products * times
                found["kernels run"] += times

    walk(entry, 1)
    return found


def sides(shaped: Any) -> dict[str, Any]:
    """The two optimizers: the same leaves are matrices to both."""
    dims = AxesByName().as_dimension_numbers(shaped)
    return {
        "adamx": lambda: adamx.muon(0.02),
        "optax": lambda: contrib.muon(0.02, muon_weight_dimension_numbers=dims),
    }


def cost(key: str, timed: bool) -> dict[str, Any]:
    """The row of one tree."""
    name, make, repeats = TREES[key]
    shaped = make()
    row: dict[str, Any] = {"tree": name}
    samples = {}
    for side, tx in sides(shaped).items():
        traced = measure.traced(tx, shaped)()
        began = time.perf_counter()
        compiled = traced.lower().compile()
        seconds = time.perf_counter() - began
        memory = compiled.memory_analysis()
        row[side] = counted(compiled.as_text()) | {
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


# ---- errors --------------------------------------------------------------------------


def rounded(bits: int) -> Any:
    """Round the operands of every product of matrices to so many bits."""

    def kept(x: Any) -> Any:
        return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=bits)

    def product(a: Any, b: Any, precision: Any = None) -> Any:
        return jnp.matmul(kept(a), kept(b), precision=matrices.HIGHEST)

    def gram(x: Any, precision: Any = None) -> Any:
        return product(x, x.mT)

    return mock.patch.multiple(matrices, product=product, gram=gram)


def matrix(condition: float, m: int = 32, n: int = 48) -> np.ndarray:
    """A matrix of random singular vectors, its singular values from 1 geometrically."""
    random = np.random.default_rng(0)
    u = np.linalg.qr(random.standard_normal((m, m)))[0]
    v = np.linalg.qr(random.standard_normal((n, m)))[0]
    return (u * np.geomspace(1, 1 / condition, m)) @ v.T


def farthest(iteration: Any, x: np.ndarray) -> float:
    """The largest |s - 1| of the singular values that are at least 0.01 ‖X‖_F."""
    stack = jnp.asarray(x[None], jnp.float32)
    o = np.asarray(iteration.orthogonalize(stack, 0.0, None)[0], np.float64)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    ends = np.linalg.norm(u.T @ o, axis=1)
    return float(np.abs(ends - 1)[s >= 0.01 * np.linalg.norm(x)].max())


def root(x: np.ndarray) -> float:
    """The error of (X Xᵀ + 10⁻⁴ I)^(-1/4), Shampoo's root, relative to its norm."""
    y = jnp.asarray(x, jnp.float32)
    h = matrices.gram(y) + 1e-4 * jnp.eye(len(x), dtype=jnp.float32)
    got = np.asarray(matrices.symmetric_power.__wrapped__(h, -0.25), np.float64)
    values, vectors = np.linalg.eigh(x @ x.T + 1e-4 * np.eye(len(x)))
    exact = (vectors * values**-0.25) @ vectors.T
    return float(np.linalg.norm(got - exact) / np.linalg.norm(exact))


def errors() -> list[dict[str, Any]]:
    """A row for each computation and arithmetic: the error at each condition."""
    rows = []
    for name, bits in BITS.items():
        with rounded(bits):
            for one in (*ITERATIONS, "Shampoo's root"):
                measured = [
                    root(matrix(c))
                    if isinstance(one, str)
                    else farthest(one, matrix(c))
                    for c in CONDITIONS
                ]
                rows.append({"of": str(one), "products": name, "errors": measured})
        jax.clear_caches()
    return rows


# ---- the command ---------------------------------------------------------------------


def verdicts(row: dict[str, Any]) -> list[str]:
    """Whether tree (a) is within the bars."""
    ours, theirs = row["adamx"], row["optax"]
    values = {
        "products": ours["products"],
        "kernels": ours["kernels"] / theirs["kernels"],
        "temporaries": ours["temporaries"] / theirs["temporaries"],
    }
    if "step" in row:
        values["step"] = row["step"]["median"]
    return [
        f"{name}: {value:.3g}, bar {BARS[name]:.3g}: "
        f"{'met' if value <= BARS[name] else 'missed'}"
        for name, value in values.items()
    ]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks matrices", description=__doc__
    )
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--trees", default="a,b,c", help="some of a,b,c")
    parser.add_argument("--untimed", action="store_true", help="compile only")
    given = parser.parse_args(argv)
    path = options.RESULTS / "matrices.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept["environment"] = report.environment(jax.devices("cpu")[0])
    if "cost" in (given.part or PARTS):
        done = {}
        for key in given.trees.split(","):
            done[key] = row = cost(key, not given.untimed)
            print(f"{row['tree']}: {json.dumps(row)}", flush=True)
        kept["cost"] = kept.get("cost", {}) | done
        if "a" in done:
            print("\n".join(verdicts(done["a"])))
    if "errors" in (given.part or PARTS):
        kept["errors"] = errors()
        head = ("of", "products", *(f"{c:.0e}" for c in CONDITIONS))
        rows = [
            (r["of"], r["products"], *(f"{e:.1e}" for e in r["errors"]))
            for r in kept["errors"]
        ]
        print(report.aligned([head, *rows]))
    path.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"Written to {path}.")
    return 0
