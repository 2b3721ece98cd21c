"""`python -m benchmarks storage_staleness`: second moments after gradients shrink.

2,000 steps of Adam (b1 = .9, b2 = .999) on 32 × 256 normal gradients; at step 1,000
the scale of each element is multiplied by half a lognormal number. Blocks are `mild`
(rows and columns of lognormal size) or `heavy` (many decades inside each block).
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import adamx
from adamx.storage import Blockwise, Cast, Companded, DynamicMap, Linear, Logarithmic
from adamx.testing import kept_slot
from benchmarks.cost import memory

SHAPE = (32, 256)
QUICK = 2  # codecs of a quick run
NEAREST = "nearest"
HALF = Cast(jnp.bfloat16, "stochastic")
E4M3 = jnp.float8_e4m3fn

# (name, codec of both moments, whether a bar is judged)
CODECS: tuple[tuple[str, Any, bool], ...] = (
    ("float32", Cast(jnp.float32), True),
    ("bfloat16", HALF, True),
    ("8 bits", Blockwise(), True),
    ("8 bits, dither", Blockwise(rounding="dither"), False),
    ("8 bits, companded", Blockwise(code=Companded()), False),
    ("8 bits, dynamic map", Blockwise(code=DynamicMap()), False),
    ("8 bits, logarithmic", Blockwise(code=Logarithmic()), False),
    ("8 bits, linear", Blockwise(code=Linear()), False),
    ("float8 e4m3", Cast(E4M3, "stochastic"), False),
    ("4 bits", Blockwise(4), False),
    ("bfloat16, to nearest", Cast(jnp.bfloat16), False),
    ("8 bits, to nearest", Blockwise(rounding=NEAREST), False),
    (
        "8 bits companded, to nearest, no floor",
        Blockwise(code=Companded(), rounding=NEAREST, floor=False),
        False,
    ),
    (
        "8 bits dynamic map, to nearest, no floor",
        Blockwise(code=DynamicMap(), rounding=NEAREST, floor=False),
        False,
    ),
    ("float8 e4m3, to nearest", Cast(E4M3), False),
)


@functools.cache
def scales(heavy: bool, shape: tuple[int, int] = SHAPE) -> tuple[Any, Any]:
    """The sizes of the gradients, and what they are multiplied by at step 1,000."""
    rng = np.random.default_rng(0)
    size = np.exp(rng.standard_normal((shape[0], 1)))
    size = size * np.exp(0.5 * rng.standard_normal((1, shape[1])))
    size = size * np.exp((1.5 if heavy else 0) * rng.standard_normal(shape))
    return jnp.float32(size), jnp.float32(0.5 * np.exp(rng.standard_normal(shape)))


@functools.cache
def run(mu: Any, nu: Any, heavy: bool, shape: tuple[int, int] = SHAPE) -> dict:
    """What 2,000 steps leave: `ratio` = v kept / v exact, and the last updates.

    `largest` and `exact` are the largest updates of the last 500 steps, of the run with
    storage and of that without; `nmse` is the error of the last update.
    """
    wide = adamx.scale_by_adam(0.9, 0.999)
    stored = adamx.store(wide, mu=mu, nu=nu)
    before, shrunk = scales(heavy, shape)

    def step(carry: Any, k: Any) -> Any:
        kept, other = carry
        size = jnp.where(k < 1000, before, before * shrunk)
        g = size * jax.random.normal(jax.random.fold_in(jax.random.key(0), k), shape)
        u, kept = stored.update(g, kept)
        w, other = wide.update(g, other)
        error = jnp.sum((u - w) ** 2) / jnp.sum(w**2)
        return (kept, other), (jnp.abs(u).max(), jnp.abs(w).max(), error)

    p = jnp.zeros(shape)
    start = stored.init(p), wide.init(p)
    scan = jax.jit(lambda c: jax.lax.scan(step, c, jnp.arange(2000)))
    (kept, other), (largest, exact, error) = scan(start)
    v = np.asarray(kept_slot(stored, kept, "nu", p), np.float64)
    return {
        "ratio": v / np.asarray(other.slots["nu"], np.float64),
        "largest": float(np.asarray(largest)[1500:].max()),
        "exact": float(np.asarray(exact)[1500:].max()),
        "nmse": float(error[-1]),
    }


def row(name: str, codec: Any, judged: bool) -> dict[str, Any]:
    mild, heavy = (run(codec, codec, each) for each in (False, True))
    mean, median = mild["ratio"].mean(), np.median(np.sqrt(mild["ratio"]))
    largest = heavy["largest"] / heavy["exact"]
    met = 0.98 <= mean <= 1.02 and 0.95 <= median <= 1.05 and largest <= 2
    return {
        "form": name,
        "mean of v": float(mean),
        "median of the root": float(median),
        "error of the update": mild["nmse"],
        "heavy: mean of v": float(heavy["ratio"].mean()),
        "heavy: largest update": float(largest),
        "met": bool(met) if judged else None,
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of the median and of the largest update, one for each codec."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = [r["form"] for r in rows][::-1]
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="tight")
    medians = [r["median of the root"] for r in rows][::-1]
    largest = [r["heavy: largest update"] for r in rows][::-1]
    nearest = ["C3" if "nearest" in n else "C0" for n in names]
    axes[0].barh(names, medians, color=nearest)
    axes[0].axvspan(0.95, 1.05, color="C2", alpha=0.25)
    axes[0].axvline(1, color="k", lw=0.8)
    axes[0].set_xlabel("median of sqrt(v kept / v exact), 1,000 steps after the shrink")
    axes[1].barh(names, largest, color=nearest)
    axes[1].set_xscale("log")
    axes[1].axvline(2, color="C2")
    axes[1].set_xlabel("largest update / float32's, blocks of many decades")
    figure.suptitle("Red: rounded to nearest. Green: the bars that defaults must keep")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(argv: Sequence[str]) -> int:
    parser = memory.parser("storage_staleness", __doc__.splitlines()[0])
    given = parser.parse_args(argv)
    codecs = CODECS[:QUICK] if given.quick else CODECS
    path, rows = memory.destination(given), [row(*each) for each in codecs]
    memory.keep("staleness", rows, path)
    if path:
        draw(rows, path.with_name("memory_staleness.png"))
        print(f"Written to {path}, with a picture beside it.")
    return 0
